# SPDX-License-Identifier: Apache-2.0
"""Other weights and biases for the layers of a float graph: what equalization and corrections change."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from edgekit.ir import Array, Call, Graph, constant
from edgekit.ops._weight_channels import OUTPUT_AXIS
from edgekit.ops._weighted import BIAS, WEIGHTS


@dataclasses.dataclass(frozen=True, eq=False)
class Parameters:
    """The float weights and bias of a layer; None: they stay."""

    weights: Array | None = None
    bias: Array | None = None


def has_weights(call: Call) -> bool:
    return call.node.op in OUTPUT_AXIS


def output_channels(call: Call) -> int:
    return call.inputs[WEIGHTS].shape[OUTPUT_AXIS[call.node.op]]


def bias_or_zeros(call: Call) -> Array:
    """The float64 bias of a layer."""
    if len(call.inputs) > BIAS:
        return call.constant(BIAS).astype(np.float64)
    return np.zeros(output_channels(call))


def with_parameters(graph: Graph, changes: Mapping[str, Parameters]) -> Graph:
    """The graph with other constants for some layers, by the names of their nodes.

    Constants that other layers read stay as they are for them.
    """
    tensors = dict(graph.tensors)
    nodes = []
    for node in graph.nodes:
        names = list(node.inputs)
        change = changes.get(node.name, Parameters())
        for position, label, data in (
            (WEIGHTS, "weights", change.weights),
            (BIAS, "bias", change.bias),
        ):
            if data is None:
                continue
            tensor = constant(_fresh(tensors, f"{node.name}/{label}"), data.astype(np.float32))
            tensors[tensor.name] = tensor
            names[position : position + 1] = [tensor.name]
        nodes.append(dataclasses.replace(node, inputs=tuple(names)))
    return graph.with_nodes(nodes, tensors.values())


def _fresh(taken: Mapping[str, object], name: str) -> str:
    while name in taken:
        name += "_"
    return name
