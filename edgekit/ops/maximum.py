# SPDX-License-Identifier: Apache-2.0
"""Element-wise maximum of two operands that broadcast; either may be a constant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgekit.ir import Array
from edgekit.ops._extremum import ExtremumOperator, extremum_kernel, int16_extremum_kernel


@dataclass(frozen=True)
class Maximum:
    """There is nothing to choose."""


REF = extremum_kernel("maximum")
S16 = int16_extremum_kernel(REF, "maximum")


class MaximumOperator(ExtremumOperator):
    name = "maximum"
    attributes = Maximum
    kernels = (REF, S16)

    def choose(self, a: Array, b: Array) -> Array:
        return np.maximum(a, b)


OPERATOR = MaximumOperator()
