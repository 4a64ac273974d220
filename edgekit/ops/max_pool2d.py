# SPDX-License-Identifier: Apache-2.0
"""Max pooling: the largest tap inside the map; padding never wins."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edgekit.ir import Array, Call
from edgekit.ops._accumulating import accumulating_twin, window_refusal
from edgekit.ops._int16 import int16_twin
from edgekit.ops._operator import Case
from edgekit.ops._pooling import PoolOperator, pool_kernel, tuned_pool_kernel
from edgekit.ops._windows import pad_map, taps
from edgekit.window import Axis, Window


@dataclass(frozen=True)
class MaxPool2d:
    """Geometry, and the clamp that is fused behind the pooling (None: no bound)."""

    window: Window
    activation_min: float | None = None
    activation_max: float | None = None


REF = pool_kernel("max_pool2d")
S16 = int16_twin(REF, "ek_max_pool2d_s16__ref")
TUNED = tuned_pool_kernel(REF, stack_bytes=176)
ACCUMULATING = tuple(
    accumulating_twin(
        kernel, state_bytes=state_bytes, accepts=window_refusal, stack_bytes=stack_bytes
    )
    for kernel, state_bytes, stack_bytes in ((REF, 1, 128), (S16, 2, 128), (TUNED, 1, 144))
)


class MaxPool2dOperator(PoolOperator):
    name = "max_pool2d"
    attributes = MaxPool2d
    kernels = (TUNED, REF, S16, *ACCUMULATING)

    def pool(self, call: Call, x: Array) -> Array:
        return _largest(pad_map(x, self.window(call), np.iinfo(x.dtype).min), call)

    def pool_float(self, call: Call, x: Array) -> Array:
        return _largest(pad_map(x, self.window(call), -math.inf), call)

    def int8_cases(self) -> Iterator[Case]:
        yield from super().int8_cases()
        same = MaxPool2d(Window(Axis(3, 1, 1, 1, 1), Axis(3, 1, 1, 1, 1)))
        lowest = np.full((1, 3, 4, 2), -128, np.int8)
        inputs = ((lowest,), (lowest + 1,))
        yield self.case("lowest_beats_padding", (3, 4, 2), same, zero_point=100, inputs=inputs)
        pairs = MaxPool2d(Window(Axis(1), Axis(2, 1)))
        ramp = np.arange(-128, 128).astype(np.int8).reshape(1, 1, 256, 1)
        inputs = ((ramp,), (np.ascontiguousarray(ramp[:, :, ::-1]),))
        name = "largest_is_the_last_or_the_first_tap"
        yield self.case(name, (1, 256, 1), pairs, inputs=inputs)


def _largest(padded: Array, call: Call) -> Array:
    """Maxima (1, OH, OW, C) over the taps of a padded map."""
    views = taps(padded, call.node.attributes.window, *call.output.shape[1:3])
    _, _, first = next(views)
    largest = first.copy()
    for _, _, view in views:
        np.maximum(largest, view, out=largest)
    return largest


OPERATOR = MaxPool2dOperator()
