# SPDX-License-Identifier: Apache-2.0
"""Element-wise difference of two operands that broadcast; either may be a constant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgekit.ops._elementwise_kernel import binary_kernel, int16_binary_kernel
from edgekit.ops.add import Add, AddOperator


@dataclass(frozen=True)
class Sub(Add):
    """The clamp that is fused behind the difference (None: no bound)."""


REF = binary_kernel("sub", instructions=60.0)
S16 = int16_binary_kernel(REF)


class SubOperator(AddOperator):
    """The integers of add, with their bounds; the scaled second operand is subtracted."""

    name = "sub"
    function = np.subtract
    attributes = Sub
    kernels = (REF, S16)


OPERATOR = SubOperator()
