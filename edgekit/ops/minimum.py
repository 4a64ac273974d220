# SPDX-License-Identifier: Apache-2.0
"""Element-wise minimum of two operands that broadcast; either may be a constant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgekit.ops._extremum import ExtremumOperator, extremum_kernels


@dataclass(frozen=True)
class Minimum:
    """There is nothing to choose."""


class MinimumOperator(ExtremumOperator):
    name = "minimum"
    function = np.minimum
    attributes = Minimum
    kernels = extremum_kernels("minimum")


OPERATOR = MinimumOperator()
