# SPDX-License-Identifier: Apache-2.0
"""Steps as units that fire row by row: which rows each firing reads and completes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from edgekit.converters.lowering.storage import Storage
from edgekit.converters.schedule.order import Firing, Read, Unit
from edgekit.ir import Array
from edgekit.program import Operand, Pair, Step


def layer_unit(storage: Storage, index: int, step: Step) -> Unit:
    """A step on its own: row by row where its kernel works by rows, else at once."""
    output = storage.root_of(step.output.tensor)
    loop = step.loop
    if loop is None or step.binding.flat:
        reads = tuple(_whole(storage, o.tensor) for o in _read_operands(step))
        rows = np.array([storage.height(output)], np.int64)
        return Unit(((index, 0),), _merged(reads), output, rows)
    reads = tuple(_by_rows(storage, o, loop.spans) for o in _read_operands(step))
    firings = tuple((index, y) for y in range(loop.output_height))
    accumulates = step.kernel is not None and step.kernel.accumulates
    rows = np.arange(1, loop.output_height + 1)
    if accumulates:
        rows = np.where(rows == loop.output_height, storage.height(output), 0)
    return Unit(firings, _merged(reads), output, rows)


def input_unit(storage: Storage, index: int, tensor: str) -> Unit:
    """The rows of an input that arrive from outside."""
    height = storage.height(tensor)
    return Unit(tuple((index, y) for y in range(height)), (), tensor, np.arange(1, height + 1))


def output_unit(storage: Storage, index: int, operand: Operand, name: str) -> Unit:
    """The rows of an output that are handed over, or copied to it."""
    height = storage.height(operand.tensor)
    spans = [(y, y + 1) for y in range(height)]
    reads = () if operand.place == "constant" else (_by_rows(storage, operand, spans),)
    firings = tuple((index, y) for y in range(height))
    return Unit(firings, reads, name, np.arange(1, height + 1))


def pair_unit(storage: Storage, pair: Pair, producer: Step, consumer: Step) -> Unit:
    """Two steps that share rows: what the producer reads, when the consumer needs its rows."""
    output = storage.root_of(consumer.output.tensor)
    assert producer.loop is not None and consumer.loop is not None
    height = consumer.loop.output_height
    operands = _read_operands(producer)
    if pair.whole_map:
        reads = tuple(_whole(storage, o.tensor) for o in operands)
        return Unit(((pair.consumer, 0),), _merged(reads), output, np.array([height]))
    made = pair.new_rows(consumer.loop)
    spans = [_joined([producer.loop.spans[row] for row in rows]) for rows in made]
    reads = tuple(_by_rows(storage, o, spans) for o in operands)
    ahead: list[Firing] = [(pair.producer, row) for row in range(pair.first_rows)]
    firings = (*ahead, *((pair.consumer, y) for y in range(height)))
    rows = np.array([0] * len(ahead) + list(range(1, height + 1)), np.int64)
    return Unit(tuple(firings), _merged(reads), output, rows)


def _read_operands(step: Step) -> list[Operand]:
    return [operand for operand in step.operands if operand.place != "constant"]


def _whole(storage: Storage, tensor: str) -> Read:
    root = storage.root_of(tensor)
    return Read(root, np.zeros(1, np.int64), np.array([storage.height(root)]))


def _joined(spans: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """From the first to the last row of spans; (0, 0) where all are empty."""
    firsts, ends = zip(*[span for span in spans if span[0] < span[1]] or [(0, 0)], strict=True)
    return min(firsts), max(ends)


def _by_rows(storage: Storage, operand: Operand, spans: Sequence[tuple[int, int]]) -> Read:
    """Rows of the root under the rows of a view; an operand of height 1 repeats its row."""
    root = storage.root_of(operand.tensor)
    first, end = np.array(spans, np.int64).reshape(-1, 2).T
    if storage.height(operand.tensor) == 1:
        return Read(root, np.zeros_like(first), np.where(first < end, storage.height(root), 0))
    view, own = storage.row_bytes(operand.tensor), storage.row_bytes(root)
    if view != own:
        first, end = first * view // own, -(-end * view // own)
    return Read(root, first, end)


def _merged(reads: Iterable[Read]) -> tuple[Read, ...]:
    """One Read for each tensor, where a step reads one twice."""
    found: dict[str, tuple[Array, Array]] = {}
    for read in reads:
        if read.tensor in found:
            first, end = found[read.tensor]
            found[read.tensor] = np.minimum(first, read.first), np.maximum(end, read.end)
        else:
            found[read.tensor] = read.first, read.end
    return tuple(Read(tensor, *rows) for tensor, rows in found.items())
