# SPDX-License-Identifier: Apache-2.0
"""The slices of a run: what one call of <name>_step computes, and how many MACs that is at most."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.program import Pair, Program, Step

COLUMN_MULTIPLE = 16
"""Slices of a row begin at multiples of the pixels that any kernel processes together."""
_MOST_COLUMNS = 0xFFFF // COLUMN_MULTIPLE * COLUMN_MULTIPLE


@dataclass(frozen=True)
class Slices:
    """``columns`` has, by step, the columns of a row that a slice computes (0: a slice is a firing).

    ``macs``: the multiply-accumulates of the largest slice.
    """

    columns: tuple[int, ...]
    macs: int


def slices_of(program: Program) -> Slices:
    """Slices no larger than the largest firing that cannot be cut.

    Flat steps see their whole map as one row, which is cut into columns; every other firing is a row
    of a map, a row of a pair, or a whole map of a kernel that does not work by rows.
    """
    by_pair = {pair.consumer: pair for pair in program.pairs}
    whole = [
        _firing_macs(program, step, by_pair.get(index))
        for index, step in enumerate(program.steps)
        if not _is_flat(step)
    ]
    most = max(whole, default=0)
    columns, macs = [], most
    for step in program.steps:
        loop = step.loop
        if not _is_flat(step) or loop is None:
            columns.append(0)
            continue
        each = -(-step.macs // loop.output_width)
        fitting = most // max(each, loop.output_channels)  # an element takes time without MACs too
        count = min(max(fitting // COLUMN_MULTIPLE, 1) * COLUMN_MULTIPLE, _MOST_COLUMNS)
        columns.append(count)
        macs = max(macs, min(step.macs, each * count))
    return Slices(tuple(columns), macs)


def _is_flat(step: Step) -> bool:
    return step.kernel is not None and step.loop is not None and step.binding.flat


def _firing_macs(program: Program, step: Step, pair: Pair | None) -> int:
    """MACs of the largest firing of a step; a pair's consumer fires its producer as well."""
    if step.loop is None:
        return step.macs
    row = -(-step.macs // step.loop.output_height)
    if pair is None:
        return row
    producer = program.steps[pair.producer]
    assert producer.loop is not None
    if pair.whole_map:
        return step.macs + producer.macs
    each = -(-producer.macs // producer.loop.output_height)
    return row + each * max(len(rows) for rows in pair.new_rows(step.loop))
