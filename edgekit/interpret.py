# SPDX-License-Identifier: Apache-2.0
"""Runs a whole graph with the numpy definitions of its operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgekit.errors import BadInputError
from edgekit.ir import Array, Call, Graph, QGraph
from edgekit.ops import operator_of

_Evaluate = Callable[[Call, Sequence[Array]], Array]


def interpret(
    graph: QGraph, inputs: Sequence[Array], *, outputs_only: bool = False
) -> dict[str, Array]:
    """The integer reference: the activations of a model, by tensor name.

    Args:
        graph: an integer model.
        inputs: one array per input of the model, of its tensor's shape (NHWC, batch 1) and type.
        outputs_only: return the model's outputs alone; other arrays go after their last use.

    Raises:
        BadInputError: the inputs are not what the model takes.
    """
    return _run(graph, inputs, lambda call: operator_of(call.node).evaluate, outputs_only)


def interpret_float(
    graph: Graph, inputs: Sequence[Array], *, outputs_only: bool = False
) -> dict[str, Array]:
    """The float32 activations of a float model; arguments and errors as in :func:`interpret`.

    What overflows is Inf or NaN, as in the frameworks.
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return _run(graph, inputs, lambda call: operator_of(call.node).evaluate_float, outputs_only)


def _run(
    graph: Graph,
    inputs: Sequence[Array],
    evaluate_of: Callable[[Call], _Evaluate],
    outputs_only: bool,
) -> dict[str, Array]:
    arrays = _checked_inputs(graph, inputs)
    wanted = tuple(dict.fromkeys(port.tensor for port in graph.outputs))
    dead_after = _last_uses(graph, keep=set(wanted)) if outputs_only else {}
    for position, call in enumerate(graph.calls()):
        operands = [
            tensor.data if tensor.data is not None else arrays[tensor.name]
            for tensor in call.inputs
        ]
        result = evaluate_of(call)(call, operands)
        _check_result(call, result)
        arrays[call.output.name] = result
        for name in dead_after.get(position, ()):
            del arrays[name]
    constants = {name: graph.tensors[name].data for name in wanted}
    arrays.update({name: data for name, data in constants.items() if data is not None})
    return {name: arrays[name] for name in wanted} if outputs_only else arrays


def _checked_inputs(graph: Graph, inputs: Sequence[Array]) -> dict[str, Array]:
    if len(inputs) != len(graph.inputs):
        raise BadInputError(
            f"model '{graph.name}': {len(inputs)} arrays for {len(graph.inputs)} inputs"
        )
    arrays: dict[str, Array] = {}
    for port, array in zip(graph.inputs, inputs, strict=True):
        tensor = graph.tensors[port.tensor]
        if array.shape != tensor.shape or array.dtype != np.dtype(tensor.dtype):
            raise BadInputError(
                f"input '{port.name}': it is {array.dtype} {array.shape}; "
                f"give {tensor.dtype} {tensor.shape}"
            )
        arrays[tensor.name] = array
    return arrays


def _check_result(call: Call, result: Array) -> None:
    """An operator that breaks its own shape rule is a bug of ours, not of the input."""
    shape, dtype = call.output.shape, np.dtype(call.output.dtype)
    matches = result.shape == shape and result.dtype == dtype
    assert matches, f"{call.node}: {result.dtype} {result.shape} instead of {dtype} {shape}"


def _last_uses(graph: Graph, *, keep: set[str]) -> dict[int, list[str]]:
    """The activations that nothing reads after the node at each position."""
    last: dict[str, int] = {}
    for position, node in enumerate(graph.nodes):
        for name in (*node.inputs, *node.outputs):
            if not graph.tensors[name].is_constant and name not in keep:
                last[name] = position
    dead: dict[int, list[str]] = {}
    for name, position in last.items():
        dead.setdefault(position, []).append(name)
    return dead
