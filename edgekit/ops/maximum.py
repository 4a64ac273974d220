# SPDX-License-Identifier: Apache-2.0
"""Element-wise maximum of two operands that broadcast; either may be a constant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgekit.ops._extremum import ExtremumOperator, extremum_kernels


@dataclass(frozen=True)
class Maximum:
    """There is nothing to choose."""


class MaximumOperator(ExtremumOperator):
    name = "maximum"
    function = np.maximum
    attributes = Maximum
    kernels = extremum_kernels("maximum")


OPERATOR = MaximumOperator()
