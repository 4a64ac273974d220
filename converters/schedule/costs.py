# SPDX-License-Identifier: Apache-2.0
"""Modelled instructions of layers and pairs: the kernels' own estimates, and what calls add."""

from __future__ import annotations

import dataclasses

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
COPIED_BYTE = 0.6
"""Instructions of memcpy for each byte that moves from a tile to the kept rows."""
COPY_CALL = 40.0
"""Instructions of a call of memcpy."""
TILE_PIXELS = 4
LANES_GROUP = 19.0
LANES_TILE = 90.0
"""The DSP pointwise kernel expands 4 pixels again for each block: per tile, per 4 channels."""


def layer_cost(call: Call, step: Step, costs: Costs) -> float:
    """A layer over its whole map."""
    assert step.kernel is not None
    rows = step.loop.output_height if step.loop else 1
    return costs.instructions(step.kernel, call) + ROW_CALL * rows


def row_cost(call: Call, step: Step, costs: Costs) -> float:
    """A layer row by row: a kernel that takes pixels in groups has a rest in every row."""
    assert step.kernel is not None
    if step.loop is None:
        return layer_cost(call, step, costs)
    rows = step.loop.output_height
    return rows * (_instructions_of_a_row(call, step.kernel, costs) + ROW_CALL)


def _instructions_of_a_row(call: Call, kernel: Kernel, costs: Costs) -> float:
    height = map_size(call.output.shape)[0]
    if not kernel.flat or height == 1 or len(call.output.shape) != 4:
        return costs.instructions(kernel, call) / height
    one_row = dataclasses.replace(
        call,
        outputs=(_of_height_1(call.output),),
        inputs=tuple(_row_of(call, t) for t in call.inputs),
    )
    return costs.instructions(kernel, one_row)


def _row_of(call: Call, tensor: Tensor) -> Tensor:
    same_height = map_size(tensor.shape)[0] == map_size(call.output.shape)[0]
    plain = not tensor.is_constant and len(tensor.shape) == 4
    return _of_height_1(tensor) if plain and same_height else tensor


def _of_height_1(tensor: Tensor) -> Tensor:
    return dataclasses.replace(tensor, shape=(tensor.shape[0], 1, *tensor.shape[2:]))


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
    again = 0.0
    if first.kernel.isa != "ref":
        tiles = -(-first.loop.output_width // TILE_PIXELS)
        groups = -(-map_size(producer.activations[0].shape)[2] // 4)
        again = (blocks - 1) * tiles * (LANES_TILE + LANES_GROUP * groups)
    rows = made * (
        _instructions_of_a_row(producer, first.kernel, costs) + again + ROW_CALL * blocks
    )
    assert second.kernel is not None
    rows += heights[1] * BLOCK_CALL * blocks + costs.instructions(second.kernel, consumer)
    if pair.tile_rows and pair.kept_rows:
        moved = min(pair.kept_rows, pair.tile_rows, axis.kernel)
        rows += heights[1] * moved * blocks * (COPIED_BYTE * pair.block_row_bytes + COPY_CALL)
    return rows


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
    produced = _instructions_of_a_row(calls[0], kernel, costs) + ROW_CALL * len(blocks)
    shifted = sum(block.made - block.first for block in blocks) * columns.pixel_bytes
    moved = COPIED_BYTE * shifted + 2 * COPY_CALL * len(blocks)
    consumed = _instructions_of_a_row(calls[1], other, costs) + BLOCK_CALL * len(blocks)
    return first.output_height * (produced + moved) + second.output_height * consumed
