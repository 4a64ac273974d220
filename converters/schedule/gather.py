# SPDX-License-Identifier: Apache-2.0
"""Gathers what the search knows of a model, once for all cuts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgekit.converters.choose import Choice
from edgekit.converters.schedule.costs import layer_cost, row_cost
from edgekit.converters.schedule.facts import Facts, Item, Ring, TensorFact
from edgekit.converters.schedule.pair_options import Options, PairOptions, rings_with_pairs
from edgekit.converters.schedule.plan import NOTHING_TWICE, Repeats
from edgekit.converters.schedule.segments import Segments, Source
from edgekit.ir import QGraph
from edgekit.program import InputMode, OutputMode

Rings = Mapping[str, Mapping[str, Ring]]


def gather_facts(
    graph: QGraph,
    choices: Mapping[str, Choice],
    input_mode: InputMode,
    output_mode: OutputMode = "resident",
    *,
    repeats: Repeats = NOTHING_TWICE,
    compact: bool = False,
) -> Facts:
    """Everything that does not depend on where the model is cut; ``repeats`` as in a Plan.

    compact: pairs may take the compact kernels as well (pair_options.py).
    """
    segments = Segments(Source(graph, input_mode, output_mode, repeats), choices)
    items = _items(graph, segments, choices)
    reads = [tuple(read.tensor for read in item.unit.reads) for item in items]
    tensors = _tensors(segments, items)
    pairs = PairOptions(segments, choices).find(items, tensors)
    rings: Rings = {
        way: rings_with_pairs(segments, way, pairs, reads) for way in ("C", "F", "R", "D")
    }
    if compact and any(choice.compact for choice in choices.values()):
        others = segments.compact()
        found = PairOptions(others, choices, compact=True).find(items, tensors)
        rings = _with_rings_of(others, found, pairs, rings, reads)
        indices = sorted({*pairs, *found})
        pairs = {index: (*pairs.get(index, ()), *found.get(index, ())) for index in indices}
    return Facts(
        graph,
        input_mode,
        output_mode,
        tuple(items),
        tensors,
        rings,
        pairs,
        dict(enumerate(reads)),
        repeats,
    )


def _with_rings_of(
    segments: Segments, found: Options, known: Options, rings: Rings, reads: Sequence[Sequence[str]]
) -> Rings:
    """Where pairs of a second kind alone run in some way, the rows in front of them are their own."""
    result = {way: dict(rows) for way, rows in rings.items()}
    for way in result:
        alone = [
            index
            for index in found
            if all(option.planned.primitive != way for option in known.get(index, ()))
        ]
        own = rings_with_pairs(segments, way, found, reads) if alone else {}
        for index in alone:
            result[way] |= {read: own[read] for read in reads[index] if read in own}
    return result


def _items(graph: QGraph, segments: Segments, choices: Mapping[str, Choice]) -> list[Item]:
    rows, whole = segments.whole_model(flows=True), segments.whole_model(flows=False)
    names = {node.name for node in graph.nodes}
    found = []
    for unit, step, other in zip(rows.units, rows.steps, whole.steps, strict=True):
        sums = step.kernel is not None and step.kernel.accumulates
        call = segments.calls.get(step.layer)
        costs = choices[step.layer].costs if call else None
        found.append(
            Item(
                step.layer,
                unit,
                step,
                other,
                0 if sums else step.scratch_bytes,
                step.scratch_bytes if sums else 0,
                other.scratch_bytes,
                row_cost(call, step, costs) if call and costs else 0.0,
                layer_cost(call, other, costs) if call and costs else 0.0,
                step.macs,
                sums,
                step.layer in names,
            )
        )
    return found


def _tensors(segments: Segments, items: Sequence[Item]) -> dict[str, TensorFact]:
    readers: dict[str, list[int]] = {}
    producer: dict[str, int] = {}
    for index, item in enumerate(items):
        producer[item.unit.output] = index
        for read in item.unit.reads:
            readers.setdefault(read.tensor, []).append(index)
    storage = segments.storage
    facts = {
        name: TensorFact(
            name,
            storage.height(name),
            storage.row_bytes(name),
            producer.get(name, -1),
            tuple(readers.get(name, ())),
            not storage.in_arena(name)
            or storage.is_copied(name)
            or not storage.has_plain_rows(name),
            storage.in_arena(name),
        )
        for name in dict.fromkeys([*producer, *readers])
        if name in storage.graph.tensors
    }
    for name, index in producer.items():  # rows that leave are no tensor
        rows = len(items[index].unit.firings)
        facts.setdefault(name, TensorFact(name, rows, 0, index, (), True, False))
    return facts
