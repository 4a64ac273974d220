# SPDX-License-Identifier: Apache-2.0
"""Average pooling: the raw int8 sum over the taps, halves rounded away from zero."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edgekit.ir import Array, Call
from edgekit.kernel import CValue
from edgekit.ops._accumulating import accumulating_twin, window_refusal
from edgekit.ops._accumulators import count_bound
from edgekit.ops._int16 import int16_twin
from edgekit.ops._operator import Case
from edgekit.ops._pooling import PoolOperator, pool_kernel, taps_inside, tuned_pool_kernel
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


MOST_TUNED_TAPS = 180
"""EK_POOL_MOST_TAPS of runtime_c/ek_pool_window.h."""


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


def _members(call: Call) -> dict[str, CValue]:
    return {
        "count_padding": int(call.node.attributes.count_padding),
        "zero_point": call.node.arithmetic.zero_point,
    }


REF = pool_kernel("average_pool2d", members=_members)
S16 = int16_twin(REF, "ek_average_pool2d_s16__ref")
TUNED = tuned_pool_kernel(REF, stack_bytes=224, most_taps=MOST_TUNED_TAPS)
ACCUMULATING = (
    *(accumulating_twin(kernel, state_bytes=4, accepts=window_refusal) for kernel in (REF, S16)),
    accumulating_twin(
        tuned_pool_kernel(REF, stack_bytes=224),
        state_bytes=4,
        accepts=window_refusal,
        stack_bytes=224,
    ),
)


class AveragePool2dOperator(PoolOperator):
    name = "average_pool2d"
    attributes = AveragePool2d
    kernels = (TUNED, REF, S16, *ACCUMULATING)

    def accumulator_bound(self, call: Call) -> int:
        window = self.window(call)
        count = window.height.kernel * window.width.kernel
        return count_bound(call, count, call.node.arithmetic.zero_point)

    def pool(self, call: Call, x: Array) -> Array:
        attributes: AveragePool2d = call.node.attributes
        padding = call.node.arithmetic.zero_point if attributes.count_padding else 0
        sums = _sums(pad_map(x.astype(np.int64), attributes.window, padding), call)
        divisors = _divisors(call)
        means: Array = np.sign(sums) * ((np.abs(sums) + divisors // 2) // divisors)
        return means

    def pool_float(self, call: Call, x: Array) -> Array:
        sums = _sums(pad_map(x, self.window(call), 0.0), call)
        means: Array = sums / _divisors(call).astype(np.float32)
        return means

    def int8_cases(self) -> Iterator[Case]:
        yield from super().int8_cases()
        same = Axis(3, 1, 1, 1, 1)
        counted = AveragePool2d(Window(same, same), count_padding=True)
        yield self.case("padding_counts", (4, 5, 3), counted, zero_point=37)
        wide = AveragePool2d(Window(Axis(3, 2, 1, 2, 1), Axis(2, 2, 1, 0, 1)), count_padding=True)
        yield self.case("padding_counts_stride_2", (6, 5, 4), wide, zero_point=-128)
        yield self._tie_case("rounding_ties_of_2_taps", taps_per_window=2, remainder=1)
        yield self._tie_case("rounding_ties_of_4_taps", taps_per_window=4, remainder=2)
        yield self._tie_case("near_ties_of_3_taps", taps_per_window=3, remainder=1)
        yield self._tie_case("near_ties_of_5_taps", taps_per_window=5, remainder=3)

    def _tie_case(self, name: str, *, taps_per_window: int, remainder: int) -> Case:
        """Windows whose sums are ``value * taps_per_window + remainder`` for every int8 value."""
        values = np.arange(-128, 127)
        pixels = np.repeat(values, taps_per_window).reshape(-1, taps_per_window)
        pixels[:, :remainder] += 1
        x = pixels.astype(np.int8).reshape(1, 1, -1, 1)
        attributes = AveragePool2d(Window(Axis(1), Axis(taps_per_window, taps_per_window)))
        return self.case(name, (1, x.shape[2], 1), attributes, inputs=((x,),))


OPERATOR = AveragePool2dOperator()
