# SPDX-License-Identifier: Apache-2.0
"""Which whole maps of a segment may lie over maps that die in it, and at what distance."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edgekit.converters.lowering.chase import (
    bottom_up_distance,
    chase_distance,
    in_place_elementwise,
)
from edgekit.converters.lowering.storage import Storage
from edgekit.converters.schedule.order import Order, RowLife, Unit, oldest_needed
from edgekit.program import Operand, Overlap, Pair, Step


@dataclass(frozen=True)
class Placed:
    """A segment with its order of rows; sizes in bytes, times are indices into the order.

    whole: tensors that it computes as whole maps; rings: those of which it keeps some rows;
    working: scratch and such, with the times of their use.
    """

    steps: Sequence[Step]
    pairs: Sequence[Pair]
    units: Sequence[Unit]
    unit_steps: Sequence[Step]
    order: Order
    lives: Mapping[str, RowLife]
    whole: Sequence[str]
    rings: Mapping[str, int]
    working: Mapping[str, tuple[int, Sequence[int]]]
    macs_executed: int


def overlaps_of(storage: Storage, placed: Placed, dying: Sequence[str]) -> Iterator[Overlap]:
    """Overlaps of the maps that a segment computes with those that nothing reads behind it."""
    for number, unit in enumerate(placed.units):
        output, step = unit.output, placed.unit_steps[number]
        if output not in placed.whole or not storage.in_arena(output):
            continue
        sources = [source for source in dying if source != output]
        if len(placed.units) == 1 and len(placed.steps) == 1:
            yield from _layer_overlaps(step, sources)
            continue
        for source in sources:
            distance = _replayed_distance(storage, placed, number, source)
            if distance is not None:
                yield Overlap(output, source, distance)


def _layer_overlaps(step: Step, sources: Sequence[str]) -> Iterator[Overlap]:
    """Those of a single layer, whose kernel tells how far it has read when it writes."""
    operands = [operand for operand in step.operands if operand.place == "arena"]
    found = []
    for source in sources:
        distances = [chase_distance(step, o) for o in operands if o.buffer == source]
        known = [distance for distance in distances if distance is not None]
        if known and len(known) == len(distances):
            found.append(Overlap(step.output.buffer, source, max(known)))
    if len(found) == 1 and len(operands) == 1:
        bottom_up = bottom_up_distance(step, operands[0])
        found[0] = dataclasses.replace(found[0], distance_bottom_up=bottom_up)
    yield from found


def _replayed_distance(storage: Storage, placed: Placed, number: int, source: str) -> int | None:
    """Least source offset - output offset at which no row is overwritten before its last use.

    None: the source is not complete when the first row of the output is.
    """
    units, order, unit = placed.units, placed.order, placed.units[number]
    times = [time for time, fired in enumerate(order.units) if fired == number]
    own = placed.lives.get(source)
    if own is not None and not _complete_before(units, order, source, times[0]):
        return None
    height, read = storage.height(source), storage.row_bytes(source)
    written = storage.row_bytes(unit.output)
    oldest = oldest_needed(units, order, source, rows=height)
    in_place = _reads_in_place(placed.unit_steps[number], source)
    done, distance = 0, -(height * read)
    for time in times:
        rows = int(unit.rows[order.numbers[time]])
        if rows > done:
            needed = int(oldest[time])
            if in_place:
                (row,) = (r.first[order.numbers[time]] for r in unit.reads if r.tensor == source)
                distance = max(distance, done * written - int(row) * read)
                needed = int(oldest[time + 1])
            if needed < height:
                distance = max(distance, rows * written - needed * read)
        done = rows
    return distance


def _complete_before(units: Sequence[Unit], order: Order, tensor: str, time: int) -> bool:
    return all(units[fired].output != tensor for fired in order.units[time:])


def _reads_in_place(step: Step, source: str) -> bool:
    operands: list[Operand] = [o for o in step.operands if o.buffer == source]
    return bool(operands) and all(in_place_elementwise(step, operand) for operand in operands)
