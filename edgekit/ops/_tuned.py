# SPDX-License-Identifier: Apache-2.0
"""Tuned portable kernels on the layer structs of the reference kernels."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from edgekit.ir import Call
from edgekit.kernel import Binding, Features, Kernel
from edgekit.layout import NHWC, map_size


def copied(call: Call, *, bytes_each: int, copies: int) -> Features:
    """Calls of memcpy or memset, and the bytes that they move."""
    rows = map_size(call.output.shape)[0]
    return {"rows": rows, "copies": copies, "bytes": copies * bytes_each}


def refuse_strided(kernel: Kernel) -> Callable[[Call], str | None]:
    """Accepts layers whose channels lie side by side: ``channel_stride`` of their struct is 1."""

    def refusal(call: Call) -> str | None:
        stride = kernel.pack(call, Binding((NHWC,))).members["channel_stride"]
        return None if stride == 1 else "its channels do not lie side by side"

    return refusal


def tuned_twin(
    kernel: Kernel,
    *,
    stack_bytes: int,
    accepts: Callable[[Call], str | None] | None = None,
    features: Callable[[Call], Features] | None = None,
) -> Kernel:
    """The kernel <family>__c beside <family>__ref, with the same layer struct and contract."""
    return dataclasses.replace(
        kernel,
        symbol=kernel.symbol.replace("__ref", "__c"),
        isa="c",
        features=features or kernel.features,
        costs_as=None,
        stack_bytes=stack_bytes,
        accepts=accepts or kernel.accepts,
    )
