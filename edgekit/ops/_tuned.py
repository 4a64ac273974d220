# SPDX-License-Identifier: Apache-2.0
"""Tuned portable kernels on the layer structs of the reference kernels."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from edgekit.ir import Call
from edgekit.kernel import Kernel


def tuned_twin(
    kernel: Kernel,
    *,
    instructions: Callable[[Call], float],
    stack_bytes: int,
    accepts: Callable[[Call], str | None] | None = None,
) -> Kernel:
    """The kernel <family>__c beside <family>__ref, with the same layer struct and contract."""
    return dataclasses.replace(
        kernel,
        symbol=kernel.symbol.replace("__ref", "__c"),
        isa="c",
        instructions=instructions,
        stack_bytes=stack_bytes,
        accepts=accepts or kernel.accepts,
    )
