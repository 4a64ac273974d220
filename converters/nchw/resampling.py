# SPDX-License-Identifier: Apache-2.0
"""Borders and resized maps and sequences."""

from __future__ import annotations

from collections.abc import Sequence

from edgekit.converters.nchw.graph import TO_STORAGE, Activation, RefusalError, SourceCall
from edgekit.converters.nchw.maps import map_of, map_result, output_size
from edgekit.ops._moving import MAX_TABLE
from edgekit.ops.pad import Pad, PadMode

Size = tuple[int, int]


def padded(
    call: SourceCall,
    argument: str,
    before: Sequence[int],
    after: Sequence[int],
    mode: PadMode,
    value: float,
) -> Activation:
    """Amounts in front of and behind every axis of the source; the first axis gets none."""
    x = call.activation(argument)
    if len(x.shape) == 2:
        return call.node("pad", [x.tensor], Pad(tuple(before), tuple(after), mode, value))
    if len(x.shape) == 3:  # (1, C, L) is padded as (1, C, 1, L)
        before, after = ((*side[:2], 0, side[2]) for side in (before, after))
    stored = [tuple(side[axis] for axis in TO_STORAGE) for side in (before, after)]
    source = map_of(call, argument).tensor
    return map_result(call, "pad", [source], Pad(stored[0], stored[1], mode, value))


def resize_sizes(call: SourceCall, x: Activation) -> tuple[Size, Size]:
    """(input, output) sizes of H and W."""
    outputs = output_size(call)
    if max(*outputs, *x.shape[2:]) > MAX_TABLE:
        raise RefusalError(f"{x.shape} to {call.shape}: sides up to {MAX_TABLE} are supported")
    return (x.shape[2], outputs[0]), (x.shape[3], outputs[1])
