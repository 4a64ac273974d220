# SPDX-License-Identifier: Apache-2.0
"""Skips of which the layers in front are computed a second time, instead of rows that wait.

The skip of a U-Net waits until the levels below have passed: its rows are most of the memory. Where
some more multiply-accumulates are allowed, what is in front of it may be computed again for its
late reader, from a map in front of it whose rows take less.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from edgekit.converters.schedule.plan import NOTHING_TWICE, Repeats
from edgekit.errors import BadInputError
from edgekit.ir import Node, QGraph
from edgekit.ops import operator_of
from edgekit.ops.reshape import Reshape, ReshapeArithmetic
from edgekit.program import InputMode

LONG_SKIP = 8
"""Layers between the readers of a tensor from which on it is worth a try."""


@dataclass(frozen=True)
class Skip:
    """A tensor, the last node that reads it, and the nodes that compute it from ``source``."""

    tensor: str
    reader: str
    source: str
    nodes: tuple[Node, ...]
    macs: int
    saved_bytes: int


@dataclass(frozen=True)
class Again:
    """A model in which some layers occur twice, and the multiply-accumulates of the second ones."""

    graph: QGraph
    macs: int = 0
    repeats: Repeats = NOTHING_TWICE


def computed_again(
    graph: QGraph, input_mode: InputMode, *, max_macs: int | None
) -> Iterator[Again]:
    """The model with one, two, ... of its long skips computed again, the most worthwhile first.

    max_macs: of the second layers, in all; where the best way to a skip takes more, a shorter one
    does. Rows of a pulled input are read again as well.
    """
    found = Again(graph)
    for ways in _worthwhile(graph, input_mode):
        left = None if max_macs is None else max_macs - found.macs
        fitting = [way for way in ways if left is None or way.macs <= left]
        if fitting:
            found = _again(found, fitting[-1], input_mode)
            yield found


def with_skips_again(
    graph: QGraph, input_mode: InputMode, skips: Sequence[tuple[str, str]]
) -> Again:
    """The model with just these skips, by (tensor, source), computed again.

    Raises:
        BadInputError: one of them is no skip of the model.
    """
    known = {
        (way.tensor, way.source): way for ways in _worthwhile(graph, input_mode) for way in ways
    }
    found = Again(graph)
    for tensor, source in skips:
        twice = any(tensor == other for other, _ in found.repeats.skips)
        if (tensor, source) not in known or twice:
            raise BadInputError(
                f"the plan computes '{tensor}' again from '{source}', which is no long skip"
            )
        found = _again(found, known[tensor, source], input_mode)
    return found


def _worthwhile(graph: QGraph, input_mode: InputMode) -> list[list[Skip]]:
    """For every long skip the ways back, each of which saves more than those before it."""
    held_input = input_mode in ("stream", "overwrite")
    return sorted(
        _skips(graph, held_input), key=lambda w: (w[-1].macs / w[-1].saved_bytes, w[-1].tensor)
    )


def _again(again: Again, skip: Skip, input_mode: InputMode) -> Again:
    inputs = {port.tensor for port in again.graph.inputs}
    pulled = input_mode == "pull" and skip.source in inputs
    number = len(again.repeats.skips)
    second, source = _with_second(again.graph, skip, number, pulled=pulled)
    repeats = Repeats(
        (*again.repeats.skips, (skip.tensor, skip.source)),
        (*again.repeats.pulled, *((source,) if pulled else ())),
    )
    return Again(second.verify(), again.macs + skip.macs, repeats)


def _skips(graph: QGraph, held_input: bool) -> Iterator[list[Skip]]:
    position = {node.name: number for number, node in enumerate(graph.nodes)}
    returned = {port.tensor for port in graph.outputs}
    for name, readers in graph.consumers().items():
        if len(readers) < 2 or name in returned:
            continue
        before, last = (position[node.name] for node in readers[-2:])
        if last - before >= LONG_SKIP and (
            ways := list(_ways_back(graph, name, readers[-1], held_input))
        ):
            yield ways


def _ways_back(graph: QGraph, name: str, reader: Node, held_input: bool) -> Iterator[Skip]:
    """Ways back to maps in front of a tensor, each of which takes less bytes than those before it."""
    producer = graph.producer()
    inputs = {port.tensor for port in graph.inputs}
    nodes: list[Node] = []
    source, macs, most_saved = name, 0, 0
    while source in producer:
        node = producer[source]
        call = graph.call(node)
        if len(call.activations) != 1 or len(node.outputs) != 1:
            break
        nodes.insert(0, node)
        macs += operator_of(node).macs(call)
        source = call.activations[0].name
        held = graph.tensors[source].bytes if held_input or source not in inputs else 0
        saved = graph.tensors[name].bytes - held
        if saved > most_saved:
            most_saved = saved
            yield Skip(name, reader.name, source, tuple(nodes), macs, saved)


def _with_second(graph: QGraph, skip: Skip, number: int, *, pulled: bool) -> tuple[QGraph, str]:
    """The model with the nodes of a skip once more in front of its last reader, and their source.

    pulled: their source is the input under another name.
    """
    renamed: dict[str, str] = {}
    tensors = dict(graph.tensors)
    second: list[Node] = []
    for node in (*([_renaming(graph, skip.source)] if pulled else []), *skip.nodes):
        (output,) = node.outputs
        inputs = _with_names(node.inputs, renamed)
        renamed[output] = _free(output, number, tensors)
        tensors[renamed[output]] = dataclasses.replace(tensors[output], name=renamed[output])
        names = {other.name for other in (*graph.nodes, *second)}
        second.append(
            dataclasses.replace(
                node,
                name=_free(node.name, number, names),
                inputs=inputs,
                outputs=(renamed[output],),
            )
        )
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.name == skip.reader:
            nodes += second
            last = {skip.tensor: renamed[skip.tensor]}
            node = dataclasses.replace(node, inputs=_with_names(node.inputs, last))
        nodes.append(node)
    return graph.with_nodes(nodes, tensors.values()), renamed.get(skip.source, skip.source)


def _renaming(graph: QGraph, name: str) -> Node:
    """A node whose output is a tensor as it is."""
    shape = graph.tensors[name].shape
    return Node(name, "reshape", (name,), (name,), Reshape(shape), ReshapeArithmetic(), name)


def _with_names(names: Sequence[str], renamed: dict[str, str]) -> tuple[str, ...]:
    return tuple(renamed.get(name, name) for name in names)


def _free(name: str, number: int, taken: Collection[str]) -> str:
    """A name that is not taken."""
    text = f"{name}/again_{number}"
    while text in taken:
        text += "'"
    return text
