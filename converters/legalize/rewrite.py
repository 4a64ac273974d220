# SPDX-License-Identifier: Apache-2.0
"""Local rewriting of graphs: rules look at one node and its neighbours, the engine applies them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from edgekit.ir import Call, Graph, Node, Tensor
from edgekit.ops import operators

G = TypeVar("G", bound=Graph)


@dataclass(frozen=True)
class Rewrite:
    """Nodes to take out, nodes to put where the last of them was, and their new tensors.

    ``renamed`` maps a tensor that is no longer computed to the one that its readers read instead.
    """

    removed: tuple[Node, ...]
    added: tuple[Node, ...] = ()
    tensors: tuple[Tensor, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class View:
    """A graph with what rules ask for: who reads and who computes a tensor."""

    graph: Graph
    readers: Mapping[str, list[Node]]
    producers: Mapping[str, Node]
    results: frozenset[str]

    @classmethod
    def of(cls, graph: Graph) -> View:
        results = frozenset(port.tensor for port in graph.outputs)
        return cls(graph, graph.consumers(), graph.producer(), results)

    def call(self, node: Node) -> Call:
        return self.graph.call(node)

    def tensor(self, name: str) -> Tensor:
        return self.graph.tensors[name]

    def exclusive_producer(self, tensor: str) -> Node | None:
        """The node behind a tensor that exactly one node reads and the model does not return."""
        if len(self.readers[tensor]) != 1 or tensor in self.results:
            return None
        return self.producers.get(tensor)

    def bypass(self, node: Node) -> Rewrite | None:
        """Take out a node that changes nothing; None where the model's interface needs it."""
        source, result = node.inputs[0], node.outputs[0]
        if result in self.results and (source in self.results or source not in self.producers):
            return None
        return Rewrite((node,), renamed={result: source})


Rule = Callable[[View, Node], Rewrite | None]
Rules = Mapping[str, tuple[Rule, ...]]
"""The rules of each operator, by its name, in the order in which they are tried."""


def merged(*tables: Rules) -> Rules:
    """The rules of all tables; for one operator those of an earlier table are tried first."""
    operators = dict.fromkeys(op for table in tables for op in table)
    return {op: tuple(rule for table in tables for rule in table.get(op, ())) for op in operators}


def for_elementwise(rule: Rule) -> Rules:
    """The rule for every operator that says it is element-wise."""
    return {name: (rule,) for name, op in operators().items() if op.is_elementwise}


def rewrite(graph: G, rules: Rules) -> G:
    """Apply the rules of each operator, the first one that matches, until none does."""
    graph = without_dead_nodes(graph)
    while (found := _first_match(graph, rules)) is not None:
        graph = without_dead_nodes(_apply(graph, found))
    return graph


def without_dead_nodes(graph: G) -> G:
    """The nodes that some output depends on."""
    wanted = {port.tensor for port in graph.outputs}
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if not wanted.isdisjoint(node.outputs):
            kept.append(node)
            wanted.update(node.inputs)
    return graph.with_nodes(reversed(kept), graph.tensors.values())


def _first_match(graph: Graph, rules: Rules) -> Rewrite | None:
    view = View.of(graph)
    for node in graph.nodes:
        for rule in rules.get(node.op, ()):
            if (found := rule(view, node)) is not None:
                return found
    return None


def _apply(graph: G, change: Rewrite) -> G:
    removed = {node.name for node in change.removed}
    last = max(i for i, node in enumerate(graph.nodes) if node.name in removed)
    nodes: list[Node] = []
    for position, node in enumerate(graph.nodes):
        if node.name not in removed:
            nodes.append(_renamed(node, change.renamed))
        if position == last:
            nodes.extend(change.added)
    outputs = tuple(
        dataclasses.replace(port, tensor=change.renamed.get(port.tensor, port.tensor))
        for port in graph.outputs
    )
    graph = dataclasses.replace(graph, outputs=outputs)
    return graph.with_nodes(nodes, (*graph.tensors.values(), *change.tensors))


def _renamed(node: Node, renamed: Mapping[str, str]) -> Node:
    if renamed.keys().isdisjoint(node.inputs):
        return node
    return dataclasses.replace(node, inputs=tuple(renamed.get(n, n) for n in node.inputs))
