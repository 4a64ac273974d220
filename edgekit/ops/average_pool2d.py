# SPDX-License-Identifier: Apache-2.0
"""Average pooling: the raw int8 sum over the taps, halves rounded away from zero."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.ir import Array, Call, Quantization, Shape
from edgekit.kernel import BY_ROW, Binding, CStruct, Kernel
from edgekit.ops._int16 import int16_twin
from edgekit.ops._int16_cases import int16_cases
from edgekit.ops._operator import Case, Operator, Quantized
from edgekit.ops._pooling import (
    PoolArithmetic,
    pool_case,
    pool_members,
    pool_shape,
    quantize_pool,
    taps_inside,
    verify_pool,
    window_cases,
)
from edgekit.ops._weighted import finish_float
from edgekit.ops._windows import pad_map, taps
from edgekit.window import Axis, Window


@dataclass(frozen=True)
class AveragePool2d:
    """Geometry, and the clamp that is fused behind the pooling (None: no bound).

    The divisor is the number of taps inside the map, or of all taps where ``count_padding``: then
    the padding counts as zero.
    """

    window: Window
    count_padding: bool = False
    activation_min: float | None = None
    activation_max: float | None = None


def _sums(padded: Array, call: Call) -> Array:
    """Sums (1, OH, OW, C) over the taps of a padded map, in its dtype."""
    sums = np.zeros(call.output.shape, padded.dtype)
    for _, _, view in taps(padded, call.node.attributes.window, *call.output.shape[1:3]):
        sums += view
    return sums


def _divisors(call: Call) -> Array:
    """Taps that count, int64 broadcasting to (1, OH, OW, C)."""
    attributes: AveragePool2d = call.node.attributes
    height, width = attributes.window.height, attributes.window.width
    if attributes.count_padding:
        return np.full((1, 1, 1, 1), height.kernel * width.kernel, np.int64)
    _, input_height, input_width, _ = call.inputs[0].shape
    rows, columns = taps_inside(height, input_height), taps_inside(width, input_width)
    divisors: Array = rows[:, np.newaxis] * columns
    return divisors[np.newaxis, :, :, np.newaxis]


def _pack_ref(call: Call, binding: Binding) -> CStruct:
    attributes: AveragePool2d = call.node.attributes
    members = {
        **pool_members(call),
        "count_padding": int(attributes.count_padding),
        "zero_point": call.node.arithmetic.zero_point,
    }
    return CStruct("ek_average_pool2d_s8", members)


REF = Kernel(
    symbol="ek_average_pool2d_s8__ref",
    isa="ref",
    kind="rows",
    pack=_pack_ref,
    instructions=lambda call: 8.0 * OPERATOR.additions(call) + 20.0 * call.output.elements,
    write_behind=BY_ROW,
    stack_bytes=128,
)


S16 = int16_twin(REF, "ek_average_pool2d_s16__ref")


class AveragePool2dOperator(Operator):
    name = "average_pool2d"
    attributes = AveragePool2d
    arithmetic = PoolArithmetic
    kernels = (REF, S16)

    def output_shape(self, attributes: AveragePool2d, inputs: Sequence[Shape]) -> Shape:
        return pool_shape(attributes.window, inputs[0])

    def verify(self, call: Call) -> None:
        verify_pool(call)

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        attributes: AveragePool2d = call.node.attributes
        arithmetic: PoolArithmetic = call.node.arithmetic
        padding = arithmetic.zero_point if attributes.count_padding else 0
        sums = _sums(pad_map(inputs[0].astype(np.int64), attributes.window, padding), call)
        divisors = _divisors(call)
        means: Array = np.sign(sums) * ((np.abs(sums) + divisors // 2) // divisors)
        return np.clip(means, arithmetic.minimum, arithmetic.maximum).astype(call.output.dtype)

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        attributes: AveragePool2d = call.node.attributes
        sums = _sums(pad_map(inputs[0], attributes.window, 0.0), call)
        means = sums / _divisors(call).astype(np.float32)
        return finish_float(means, None, (attributes.activation_min, attributes.activation_max))

    def quantize(self, call: Call) -> Quantized:
        return quantize_pool(call)

    def output_quantization(self, call: Call) -> Quantization | None:
        return call.inputs[0].quantization

    def window(self, call: Call) -> Window:
        window: Window = call.node.attributes.window
        return window

    def additions(self, call: Call) -> int:
        """Taps of all output elements, padding counted."""
        window: Window = call.node.attributes.window
        return call.output.elements * window.height.kernel * window.width.kernel

    def cases(self) -> Iterator[Case]:
        yield from self._int8_cases()
        yield from int16_cases(self._int8_cases())

    def _int8_cases(self) -> Iterator[Case]:
        yield from window_cases(OPERATOR, AveragePool2d)
        same = Axis(3, 1, 1, 1, 1)
        counted = AveragePool2d(Window(same, same), count_padding=True)
        yield pool_case(OPERATOR, "padding_counts", (4, 5, 3), counted, zero_point=37)
        wide = AveragePool2d(Window(Axis(3, 2, 1, 2, 1), Axis(2, 2, 1, 0, 1)), count_padding=True)
        yield pool_case(OPERATOR, "padding_counts_stride_2", (6, 5, 4), wide, zero_point=-128)
        yield _tie_case("rounding_ties_of_2_taps", taps_per_window=2, remainder=1)
        yield _tie_case("rounding_ties_of_4_taps", taps_per_window=4, remainder=2)
        yield _tie_case("near_ties_of_3_taps", taps_per_window=3, remainder=1)
        yield _tie_case("near_ties_of_5_taps", taps_per_window=5, remainder=3)


def _tie_case(name: str, *, taps_per_window: int, remainder: int) -> Case:
    """Windows whose sums are ``value * taps_per_window + remainder`` for every int8 value."""
    values = np.arange(-128, 127)
    pixels = np.repeat(values, taps_per_window).reshape(-1, taps_per_window)
    pixels[:, :remainder] += 1
    x = pixels.astype(np.int8).reshape(1, 1, -1, 1)
    window = Window(Axis(1), Axis(taps_per_window, taps_per_window))
    shape = (1, x.shape[2], 1)
    return pool_case(OPERATOR, name, shape, AveragePool2d(window), inputs=((x,),))


OPERATOR: AveragePool2dOperator = AveragePool2dOperator()
