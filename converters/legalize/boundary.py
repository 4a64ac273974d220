# SPDX-License-Identifier: Apache-2.0
"""An NCHW input becomes NHWC at the boundary where that saves transposes while the model runs.

Models that come from PyTorch or ONNX declare an NCHW input and transpose it first. Then the caller
hands over NHWC instead, and the port says so: its layout is "NCHW" and its source shape that of the file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from edgekit.ir import Node, Port, QGraph
from edgekit.ops.transpose import Transpose, TransposeArithmetic

TO_NHWC = (0, 2, 3, 1)
TO_NCHW = (0, 3, 1, 2)


def with_nhwc_inputs(graph: QGraph, legalize: Callable[[QGraph], QGraph]) -> QGraph:
    """``legalize(graph)``, with every input of rank 4 as NHWC for which that costs fewer transposes.

    A port that has a layout other than "NHWC" or none was turned by its importer and stays.
    """
    best = legalize(graph)
    for position, port in enumerate(graph.inputs):
        if _cost(best) == 0:
            break
        rank = len(graph.tensors[port.tensor].shape)
        if rank != 4 or port.layout not in ("", "NHWC") or _is_returned(graph, port):
            continue
        turned = _turned(graph, position)
        candidate = legalize(turned)
        if _cost(candidate) < _cost(best):
            graph, best = turned, candidate
    return best


def _cost(graph: QGraph) -> int:
    """Elements that transposes move."""
    return sum(call.output.elements for call in graph.calls() if call.node.op == "transpose")


def _is_returned(graph: QGraph, port: Port) -> bool:
    return any(output.tensor == port.tensor for output in graph.outputs)


def _turned(graph: QGraph, position: int) -> QGraph:
    """The graph with an input as NHWC, and a transpose to what the model reads."""
    port = graph.inputs[position]
    source = graph.tensors[port.tensor]
    name = f"{port.tensor}/nhwc"
    while name in graph.tensors:
        name = f"{name}_"
    tensor = dataclasses.replace(
        source, name=name, shape=tuple(source.shape[axis] for axis in TO_NHWC)
    )
    node = Node(
        name, "transpose", (name,), (source.name,), Transpose(TO_NCHW), TransposeArithmetic(), name
    )
    ports = list(graph.inputs)
    ports[position] = Port(port.name, name, port.source_shape, "NCHW")
    turned = dataclasses.replace(graph, inputs=tuple(ports))
    return turned.with_nodes((node, *graph.nodes), (*graph.tensors.values(), tensor))
