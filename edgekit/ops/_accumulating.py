# SPDX-License-Identifier: Apache-2.0
"""Kernels that take their input row by row: what the operators with such kernels share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from edgekit.ir import Call
from edgekit.kernel import Binding, CStruct, CValue, Features, Kernel, no_channel_blocks
from edgekit.layout import map_size
from edgekit.window import Window


def _no_members(call: Call, binding: Binding) -> Mapping[str, CValue]:
    return {}


def accumulating_twin(
    kernel: Kernel,
    *,
    state_bytes: int,
    accepts: Callable[[Call], str | None],
    members: Callable[[Call, Binding], Mapping[str, CValue]] = _no_members,
    stack_bytes: int = 128,
) -> Kernel:
    """The kernel that computes the same from one input row at a time: <symbol>_accumulating.

    state_bytes: scratch for each output element. accepts: the preconditions besides those of
    ``kernel``. members: those of the layer struct that differ.
    """

    def pack(call: Call, binding: Binding) -> CStruct:
        struct = kernel.pack(call, binding)
        return CStruct(struct.type, {**struct.members, **members(call, binding)})

    def features(call: Call) -> Features:
        calls = map_size(call.activations[0].shape)[0]
        sums = {"calls": calls, "row_sums": calls * call.output.elements}
        return {**kernel.features(call), **sums}

    return dataclasses.replace(
        kernel,
        symbol=f"{kernel.symbol}_accumulating",
        kind="rows",
        pack=pack,
        features=features,
        costs_as=None,
        accepts=lambda call: accepts(call) or kernel.accepts(call),
        scratch_bytes=lambda call, binding: state_bytes * call.output.elements,
        write_behind=None,
        flat=False,
        channel_blocks=no_channel_blocks,
        accumulates=True,
        stack_bytes=stack_bytes,
    )


def window_refusal(call: Call) -> str | None:
    """Why a window does not reduce its map over the whole height, or None; no padding is taken."""
    window: Window = call.node.attributes.window
    height, width = window.height, window.width
    if any((height.pad_before, height.pad_after, width.pad_before, width.pad_after)):
        return "its map is padded"
    if height.kernel != call.inputs[0].shape[1] or height.extent != height.kernel:
        return "its window does not span the whole height"
    return None
