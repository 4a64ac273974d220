# SPDX-License-Identifier: Apache-2.0
"""Modelled instructions of layers and pairs: the kernels' own estimates, and what calls add."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from edgekit.column_blocks import ColumnBlocks
from edgekit.costs import Costs
from edgekit.ir import Call, Tensor
from edgekit.kernel import Kernel
from edgekit.layout import map_size
from edgekit.program import Pair, Step

ROW_CALL = 110.0
"""Instructions of the driver for one row, counted under QEMU on a Cortex-M4 (gcc 12 -O2)."""
BLOCK_CALL = 190.0
"""The same for one block of a row of a pair."""
FLOWING_ROW = 6.0
"""What it costs more to take the rows of several layers in turn, for each of them."""
COPIED_BYTE = 0.6
"""Instructions of memcpy for each byte that moves from a tile to the kept rows."""
COPY_CALL = 40.0
"""Instructions of a call of memcpy."""


def layer_cost(call: Call, step: Step, costs: Costs) -> float:
    """A layer over its whole map, in as many calls as its loop has rows.

    A kernel that takes pixels in groups has a rest in every call.
    """
    assert step.kernel is not None
    rows = step.loop.output_height if step.loop else 1
    if rows == 1 or step.kernel.accumulates:  # which takes rows of the input
        return costs.instructions(step.kernel, call) + ROW_CALL * rows
    return rows * (_row(call, step.kernel, costs).instructions + ROW_CALL)


def row_cost(call: Call, step: Step, costs: Costs) -> float:
    """A layer whose rows flow: never less than the layer by itself."""
    rows = step.loop.output_height if step.loop else 1
    return layer_cost(call, step, costs) + FLOWING_ROW * rows


@dataclass(frozen=True)
class _Row:
    """The instructions of a row, and what each block of its channels but one adds to them."""

    instructions: float
    again: float


def _row(call: Call, kernel: Kernel, costs: Costs) -> _Row:
    """Of an output row; never less than its share of the whole layer."""
    height, width, _ = map_size(call.output.shape)
    whole, again = costs.in_blocks(kernel, call)
    share = _Row(whole / height, again / height)
    if not kernel.flat or height == 1 or len(call.output.shape) != 4:
        return share
    instructions, again = costs.in_blocks(kernel, _part(call, 1, width))
    return _Row(max(instructions, share.instructions), max(again, share.again))


def _in_columns(call: Call, kernel: Kernel, costs: Costs, widths: Sequence[int]) -> float:
    """An output row, so many columns at a time."""
    height = 1 if kernel.flat else map_size(call.output.shape)[0]
    each = {w: costs.instructions(kernel, _part(call, height, w)) / height for w in set(widths)}
    return max(sum(each[w] for w in widths), _row(call, kernel, costs).instructions)


def _part(call: Call, height: int, width: int) -> Call:
    """A part of the output, and of the inputs that are maps as large."""
    size = map_size(call.output.shape)[:2]

    def part(tensor: Tensor) -> Tensor:
        is_map = not tensor.is_constant and len(tensor.shape) == 4
        if not is_map or map_size(tensor.shape)[:2] != size:
            return tensor
        return dataclasses.replace(
            tensor, shape=(tensor.shape[0], height, width, *tensor.shape[3:])
        )

    inputs, outputs = (tuple(map(part, tensors)) for tensors in (call.inputs, call.outputs))
    return dataclasses.replace(call, inputs=inputs, outputs=outputs)


def pair_cost(
    pair: Pair, calls: tuple[Call, Call], steps: tuple[Step, Step], costs: Costs
) -> float:
    """Both layers block by block, the rows that are computed again, and the rows that move."""
    (producer, consumer), (first, second) = calls, steps
    assert first.loop is not None and second.loop is not None and first.kernel is not None
    if pair.columns is not None:
        return _column_pair_cost(pair, pair.columns, calls, steps, costs)
    heights = first.loop.output_height, second.loop.output_height
    axis = second.loop.rows
    blocks = -(-pair.channels // pair.block_channels)
    made = heights[0]
    if pair.kept_rows == 0:
        made = sum(len(second.loop.rows_of(y)) for y in range(heights[1]))
    assert second.kernel is not None
    produced, consumed = _row(producer, first.kernel, costs), _row(consumer, second.kernel, costs)
    rows = made * (_in_blocks(produced, blocks) + ROW_CALL * blocks)
    rows += heights[1] * (_in_blocks(consumed, blocks) + BLOCK_CALL * blocks)
    if pair.tile_rows and pair.kept_rows:
        moved = min(pair.kept_rows, pair.tile_rows, axis.kernel)
        rows += heights[1] * moved * blocks * (COPIED_BYTE * pair.block_row_bytes + COPY_CALL)
    return rows


def _in_blocks(row: _Row, blocks: int) -> float:
    return row.instructions + (blocks - 1) * row.again


def _column_pair_cost(
    pair: Pair,
    columns: ColumnBlocks,
    calls: tuple[Call, Call],
    steps: tuple[Step, Step],
    costs: Costs,
) -> float:
    """Both layers block of columns by block; every new row moves from the tile to its slot."""
    first, second = (step.loop for step in steps)
    kernel, other = (step.kernel for step in steps)
    assert first is not None and second is not None and kernel is not None and other is not None
    blocks = list(columns.blocks())
    ends = [0, *(block.made for block in blocks)]
    made = [end - begin for begin, end in itertools.pairwise(ends) if end > begin]
    produced = _in_columns(calls[0], kernel, costs, made) + ROW_CALL * len(made)
    shifted = sum(block.made - block.first for block in blocks) * columns.pixel_bytes
    moved = COPIED_BYTE * shifted + 2 * COPY_CALL * len(blocks)
    widths = [block.end - block.begin for block in blocks]
    consumed = _in_columns(calls[1], other, costs, widths) + BLOCK_CALL * len(blocks)
    return first.output_height * (produced + moved) + second.output_height * consumed
