# SPDX-License-Identifier: Apache-2.0
"""Functions of one variable that a model spells out become one lookup table.

In float models that are x * sigmoid(x) and the forms of hard sigmoid and hard swish around relu6(x + 3). In
integer models it is every chain of element-wise nodes between one int8 map and scalars: its table is
what the nodes compute of all 256 values.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from edgekit.converters.legalize.clamps import bounds_of, is_unclamped
from edgekit.converters.legalize.rewrite import Rewrite, Rules, View, for_elementwise
from edgekit.ir import Array, Call, Node, Tensor
from edgekit.ops import operator_of
from edgekit.ops.lookup import COMPOSITE, Lookup, LookupArithmetic

GATED = {"sigmoid": "silu", "hard_sigmoid": "hard_swish"}
"""f and the name of x * f(x)."""
EVERY_VALUE = np.arange(-128, 128).astype(np.int8)
EVERY_VALUE.setflags(write=False)


def fuse_gate(view: View, node: Node) -> Rewrite | None:
    """x * sigmoid(x) is SiLU, x * hard_sigmoid(x) is hard swish."""
    if not is_unclamped(node):
        return None
    for x, gate in (node.inputs, node.inputs[::-1]):
        producer = view.exclusive_producer(gate)
        if producer is None or producer.op != "lookup" or producer.inputs != (x,):
            continue
        if (name := GATED.get(producer.attributes.function)) is not None:
            return _fused(node, (producer,), x, name)
    return None


def fuse_hard_sigmoid(view: View, node: Node) -> Rewrite | None:
    """relu6(x + 3) / 6 is hard sigmoid, (x * relu6(x + 3)) / 6 hard swish."""
    producer = _scaled_by(view, node, 1.0 / 6.0)
    if producer is None:
        return None
    if (x := _shifted_relu6(view, producer)) is not None:
        return _fused(node, (producer,), x, "hard_sigmoid")
    if producer.op != "mul" or not is_unclamped(producer):
        return None
    for factor, gate in (producer.inputs, producer.inputs[::-1]):
        behind = view.exclusive_producer(gate)
        if behind is not None and _shifted_relu6(view, behind) == factor:
            return _fused(node, (behind, producer), factor, "hard_swish")
    return None


def _fused(node: Node, removed: tuple[Node, ...], x: str, name: str) -> Rewrite:
    fused = dataclasses.replace(node, op="lookup", inputs=(x,), attributes=Lookup(name))
    return Rewrite((*removed, node), (fused,))


def _scaled_by(view: View, node: Node, factor: float) -> Node | None:
    """The exclusive producer of y where the node is y * factor."""
    if not is_unclamped(node):
        return None
    for y, scalar in (node.inputs, node.inputs[::-1]):
        if _is_scalar(view.tensor(scalar), factor):
            return view.exclusive_producer(y)
    return None


def _shifted_relu6(view: View, node: Node) -> str | None:
    """x where the node is relu6(x + 3)."""
    if node.op != "add" or bounds_of(node) != (0.0, 6.0):
        return None
    for x, scalar in (node.inputs, node.inputs[::-1]):
        same_shape = view.tensor(x).shape == view.tensor(node.outputs[0]).shape
        if same_shape and _is_scalar(view.tensor(scalar), 3.0):
            return x
    return None


def _is_scalar(tensor: Tensor, value: float) -> bool:
    """Whether all elements of a constant are ``value``, to the precision of float32."""
    data = tensor.data
    return data is not None and bool(np.allclose(data, value, rtol=1e-6, atol=0.0))


def compose_lookup(view: View, node: Node) -> Rewrite | None:
    """A node over functions of one int8 map, and the nodes that compute them, as one table.

    The nodes in front must have no other reader. Their operands may be the map itself and scalars.
    """
    call = view.call(node)
    maps = dict.fromkeys(tensor.name for tensor in call.activations)
    behind = {name: _unary_producer(view, name) for name in maps}
    inner = [producer for producer in behind.values() if producer is not None]
    sources = {_only_map(view, behind[name]) or name for name in maps}
    if not inner or len(sources) != 1 or not _is_unary(call, set(maps)):
        return None
    (source,) = sources
    if any(view.tensor(name).shape != call.output.shape for name in (source, *maps)):
        return None
    arrays = {source: EVERY_VALUE}
    for producer in inner:
        arrays[producer.outputs[0]] = _evaluate(view.call(producer), arrays)
    table = tuple(int(value) for value in _evaluate(call, arrays))
    fused = dataclasses.replace(
        node,
        op="lookup",
        inputs=(source,),
        attributes=Lookup(COMPOSITE),
        arithmetic=LookupArithmetic(table),
    )
    return Rewrite((*inner, node), (fused,))


def _unary_producer(view: View, name: str) -> Node | None:
    """The node behind a map that only one node reads, if it is a function of one map."""
    producer = view.exclusive_producer(name)
    if producer is None or not operator_of(producer).is_elementwise:
        return None
    call = view.call(producer)
    sources = {tensor.name for tensor in call.activations}
    return producer if len(sources) == 1 and _is_unary(call, sources) else None


def _only_map(view: View, producer: Node | None) -> str | None:
    """The map that a unary node reads."""
    return None if producer is None else view.call(producer).activations[0].name


def _is_unary(call: Call, maps: set[str]) -> bool:
    """Whether an int8 call has no operands but ``maps`` and scalars."""
    tensors = (*call.inputs, call.output)
    scalars = all(t.name in maps or (t.is_constant and t.elements == 1) for t in call.inputs)
    return scalars and all(tensor.dtype == "int8" for tensor in tensors)


def _evaluate(call: Call, arrays: Mapping[str, Array]) -> Array:
    inputs = [t.data.reshape(()) if t.data is not None else arrays[t.name] for t in call.inputs]
    return operator_of(call.node).evaluate(call, inputs).reshape(-1)


FLOAT_ACTIVATION_RULES: Rules = {"mul": (fuse_gate, fuse_hard_sigmoid)}


def integer_activation_rules() -> Rules:
    return for_elementwise(compose_lookup)
