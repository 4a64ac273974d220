# SPDX-License-Identifier: Apache-2.0
"""Max pooling: the largest tap inside the map; padding never wins."""

from __future__ import annotations

import math
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
    verify_pool,
    window_cases,
)
from edgekit.ops._weighted import finish_float
from edgekit.ops._windows import pad_map, taps
from edgekit.window import Axis, Window


@dataclass(frozen=True)
class MaxPool2d:
    """Geometry, and the clamp that is fused behind the pooling (None: no bound)."""

    window: Window
    activation_min: float | None = None
    activation_max: float | None = None


def _largest(padded: Array, call: Call) -> Array:
    """Maxima (1, OH, OW, C) over the taps of a padded map."""
    views = taps(padded, call.node.attributes.window, *call.output.shape[1:3])
    _, _, first = next(views)
    largest = first.copy()
    for _, _, view in views:
        np.maximum(largest, view, out=largest)
    return largest


def _pack_ref(call: Call, binding: Binding) -> CStruct:
    return CStruct("ek_max_pool2d_s8", pool_members(call))


REF = Kernel(
    symbol="ek_max_pool2d_s8__ref",
    isa="ref",
    kind="rows",
    pack=_pack_ref,
    instructions=lambda call: 9.0 * OPERATOR.comparisons(call) + 10.0 * call.output.elements,
    write_behind=BY_ROW,
    stack_bytes=128,
)


S16 = int16_twin(REF, "ek_max_pool2d_s16__ref")


class MaxPool2dOperator(Operator):
    name = "max_pool2d"
    attributes = MaxPool2d
    arithmetic = PoolArithmetic
    kernels = (REF, S16)

    def output_shape(self, attributes: MaxPool2d, inputs: Sequence[Shape]) -> Shape:
        return pool_shape(attributes.window, inputs[0])

    def verify(self, call: Call) -> None:
        verify_pool(call)

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        arithmetic: PoolArithmetic = call.node.arithmetic
        lowest = np.iinfo(inputs[0].dtype).min
        largest = _largest(pad_map(inputs[0], call.node.attributes.window, lowest), call)
        return np.clip(largest, arithmetic.minimum, arithmetic.maximum).astype(call.output.dtype)

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        attributes: MaxPool2d = call.node.attributes
        largest = _largest(pad_map(inputs[0], attributes.window, -math.inf), call)
        return finish_float(largest, None, (attributes.activation_min, attributes.activation_max))

    def quantize(self, call: Call) -> Quantized:
        return quantize_pool(call)

    def output_quantization(self, call: Call) -> Quantization | None:
        return call.inputs[0].quantization

    def window(self, call: Call) -> Window:
        window: Window = call.node.attributes.window
        return window

    def comparisons(self, call: Call) -> int:
        """Taps of all output elements, padding counted."""
        window: Window = call.node.attributes.window
        return call.output.elements * window.height.kernel * window.width.kernel

    def cases(self) -> Iterator[Case]:
        yield from self._int8_cases()
        yield from int16_cases(self._int8_cases())

    def _int8_cases(self) -> Iterator[Case]:
        yield from window_cases(OPERATOR, MaxPool2d)
        same = Axis(3, 1, 1, 1, 1)
        shape = (3, 4, 2)
        lowest = np.full((1, *shape), -128, np.int8)
        yield pool_case(
            OPERATOR,
            "lowest_beats_padding",
            shape,
            MaxPool2d(Window(same, same)),
            zero_point=100,
            inputs=((lowest,), (lowest + 1,)),
        )
        ramp = np.arange(-128, 128).astype(np.int8).reshape(1, 1, 256, 1)
        descending = np.ascontiguousarray(ramp[:, :, ::-1])
        yield pool_case(
            OPERATOR,
            "largest_is_the_last_or_the_first_tap",
            (1, 256, 1),
            MaxPool2d(Window(Axis(1), Axis(2, 1))),
            inputs=((ramp,), (descending,)),
        )


OPERATOR: MaxPool2dOperator = MaxPool2dOperator()
