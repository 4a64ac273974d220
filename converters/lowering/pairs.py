# SPDX-License-Identifier: Apache-2.0
"""The memory of two layers that share rows: which rows are kept, and what a tile holds."""

from __future__ import annotations

import dataclasses

from edgekit.column_blocks import ColumnBlocks
from edgekit.converters.schedule.plan import PlannedPair
from edgekit.program import Operand, Pair, RowLoop, Step
from edgekit.window import Axis


def pair_of(
    planned: PlannedPair,
    producer: Step,
    consumer: Step,
    indices: tuple[int, int],
    *,
    columns: Axis | None,
) -> Pair:
    """The pair of two steps, whose indices are given; ``columns`` is the consumer's window."""
    assert producer.loop is not None and consumer.loop is not None
    axis = consumer.loop.rows
    assert isinstance(axis, Axis) and axis.dilation == axis.upsampling == 1
    blocks = _column_blocks(planned, producer, consumer, columns)
    channels = producer.loop.output_channels
    block = channels if blocks else min(planned.block, channels)
    layout, width = producer.output.layout, producer.loop.output_width
    row_bytes = blocks.row_bytes if blocks else layout.row_bytes(width, block)
    height = producer.loop.output_height
    again = max(axis.kernel - axis.stride, 0)
    kept_rows = {"F": again, "D": again, "R": 0, "E": axis.kernel}
    kept = min(kept_rows[planned.primitive], height)
    first_rows = 0
    if planned.primitive in ("F", "D") and kept:
        ahead = axis.kernel - axis.pad_before - axis.stride
        first_rows = max(0, min(height, ahead))
    tile_rows = _tile_rows(axis, kept, first_rows, consumer.loop, in_slots=blocks is None)
    return Pair(
        producer=indices[0],
        consumer=indices[1],
        channels=channels,
        block_channels=block,
        block_row_bytes=row_bytes,
        kept=f"{planned.consumer}/kept" if kept else "",
        kept_rows=kept,
        kept_block_bytes=0 if planned.primitive == "E" else kept * row_bytes,
        tile=f"{planned.consumer}/tile" if tile_rows or not kept else "",
        tile_rows=tile_rows,
        first_rows=first_rows,
        whole_map=planned.primitive == "E",
        columns=blocks,
    )


def _column_blocks(
    planned: PlannedPair, producer: Step, consumer: Step, columns: Axis | None
) -> ColumnBlocks | None:
    if planned.primitive != "D":
        return None
    assert producer.loop is not None and consumer.loop is not None and columns is not None
    widths = producer.loop.output_width, consumer.loop.output_width
    pixel_bytes = producer.output.bytes // producer.output.pixels
    return ColumnBlocks(planned.block, columns, *widths, pixel_bytes)


def _tile_rows(axis: Axis, kept: int, first_rows: int, loop: RowLoop, *, in_slots: bool) -> int:
    """New rows of a window, at most; ``in_slots``: but for those whose slot is free (ek_pair.c)."""
    most, before = 0, first_rows
    for y in range(loop.output_height):
        window = loop.rows_of(y)
        new = [row for row in window if row >= before] if kept else window
        needed = max(axis.first_input(y), 0)
        if kept and in_slots:
            new = [row for row in new if row - kept >= needed]
        most = max(most, len(new))
        before = max([before, *(row + 1 for row in window)])
    return most


def between_steps(pair: Pair, operand: Operand) -> Operand:
    """What stands for the map between in the steps of a pair: kept rows, or the tile.

    Its rows are as long as they seem to the consumer, which finds every column of them where it would
    be in the map, even if a tile holds only some.
    """
    rows = pair.kept_rows or pair.tile_rows
    held = pair.block_row_bytes if pair.kept else pair.tile_row_bytes
    return dataclasses.replace(
        operand,
        buffer=pair.kept or pair.tile,
        bytes=rows * held,
        row_bytes=pair.block_row_bytes,
        ring_rows=max(rows, 1),
    )
