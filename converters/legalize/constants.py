# SPDX-License-Identifier: Apache-2.0
"""Nodes whose inputs are all constants are replaced by their results.

Importers may write such nodes down as they find them; operators refuse them, so they go before a
graph is verified.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import numpy as np

from edgekit.converters.legalize.rewrite import without_dead_nodes
from edgekit.ir import Call, Graph, Node, QGraph, Tensor, constant
from edgekit.limits import MAX_FOLDED_ELEMENTS
from edgekit.ops import operator_of

G = TypeVar("G", bound=Graph)


def fold_constant_nodes(graph: G) -> G:
    """The same function; what a model returns stays a node, and so does what would be too large."""
    returned = {port.tensor for port in graph.outputs}
    tensors: dict[str, Tensor] = dict(graph.tensors)
    nodes: list[Node] = []
    for node in graph.nodes:
        inputs = tuple(tensors[name] for name in node.inputs)
        outputs = tuple(tensors[name] for name in node.outputs)
        call = Call(node, inputs, outputs)
        if _folds(call, returned):
            tensors[call.output.name] = _result(graph, call)
        else:
            nodes.append(node)
    if len(nodes) == len(graph.nodes):
        return graph
    return without_dead_nodes(graph.with_nodes(nodes, tensors.values()))


def _folds(call: Call, returned: Iterable[str]) -> bool:
    if not call.inputs or len(call.outputs) != 1 or not all(t.is_constant for t in call.inputs):
        return False
    return call.output.name not in returned and call.output.elements <= MAX_FOLDED_ELEMENTS


def _result(graph: Graph, call: Call) -> Tensor:
    """The constant that the operator's own definition computes."""
    operator = operator_of(call.node)
    arrays = [call.constant(position) for position in range(len(call.inputs))]
    evaluate = operator.evaluate if isinstance(graph, QGraph) else operator.evaluate_float
    result = evaluate(call, arrays)
    if result.shape != call.output.shape:
        raise call.fail(f"it computes shape {result.shape}, but its output has {call.output.shape}")
    data = np.asarray(result, call.output.dtype)
    return constant(call.output.name, data, quantization=call.output.quantization)
