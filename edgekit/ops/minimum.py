# SPDX-License-Identifier: Apache-2.0
"""Element-wise minimum of two operands that broadcast; either may be a constant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgekit.ir import Array
from edgekit.ops._extremum import ExtremumOperator, extremum_kernel, int16_extremum_kernel


@dataclass(frozen=True)
class Minimum:
    """There is nothing to choose."""


REF = extremum_kernel("minimum")
S16 = int16_extremum_kernel(REF, "minimum")


class MinimumOperator(ExtremumOperator):
    name = "minimum"
    attributes = Minimum
    kernels = (REF, S16)

    def choose(self, a: Array, b: Array) -> Array:
        return np.minimum(a, b)


OPERATOR = MinimumOperator()
