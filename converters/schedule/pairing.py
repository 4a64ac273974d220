# SPDX-License-Identifier: Apache-2.0
"""Which two layers may run as a pair."""

from __future__ import annotations

from edgekit.ir import Call
from edgekit.ops import operator_of
from edgekit.program import MAX_PAIR_ROWS, Step
from edgekit.window import Axis


def can_pair(producer: Call, consumer: Call, first: Step, second: Step) -> bool:
    """Whether two layers may share rows block by block."""
    if first.kernel is None or second.kernel is None or first.loop is None or second.loop is None:
        return False
    if not _can_share_rows(second):
        return False
    if first.loop.output_channels != second.loop.output_channels:
        return False
    if second.kernel.channel_blocks(consumer) == 0:
        return False
    if not operator_of(consumer.node).is_channelwise or operator_of(producer.node).is_channelwise:
        return False
    return first.kernel.channel_blocks(producer) > 0


def can_pair_columns(consumer: Call, first: Step, second: Step) -> bool:
    """Whether two layers may share rows a block of columns at a time."""
    steps = (first, second)
    if any(step.kernel is None or step.loop is None for step in steps):
        return False
    if any(step.kernel.accumulates for step in steps if step.kernel):
        return False
    if any(step.output.layout.kind != "nhwc" or step.fill is not None for step in steps):
        return False
    window = operator_of(consumer.node).window(consumer)
    return window is not None and window.width.upsampling == 1 and _can_share_rows(second)


def _can_share_rows(consumer: Step) -> bool:
    """Whether the windows of a layer lie one below the other over a single map."""
    axis = consumer.loop.rows if consumer.loop else None
    if not isinstance(axis, Axis) or axis.dilation != 1 or axis.upsampling != 1:
        return False
    return len(consumer.operands) == 1 and axis.kernel <= MAX_PAIR_ROWS
