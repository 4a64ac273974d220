# SPDX-License-Identifier: Apache-2.0
"""Element-wise difference of two operands that broadcast; either may be a constant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgekit.ops.add import Add, AddOperator, add_kernels


@dataclass(frozen=True)
class Sub(Add):
    """The clamp that is fused behind the difference (None: no bound)."""


class SubOperator(AddOperator):
    """The integers of add, with their bounds; the scaled second operand is subtracted."""

    name = "sub"
    function = np.subtract
    attributes = Sub
    kernels = add_kernels("sub", np.subtract, sign=-1)


OPERATOR = SubOperator()
