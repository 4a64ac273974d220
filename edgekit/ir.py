# SPDX-License-Identifier: Apache-2.0
"""The graphs that the stages hand on: frozen, NHWC, batch 1, verified at every border.

A :class:`Graph` is what an importer makes of a float model; a :class:`QGraph` is the integer
model that everything behind quantization works on. Both list their nodes in execution order.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from edgekit.errors import BadInputError

DType = Literal["float32", "int8", "int16", "int32", "int64"]
Shape = tuple[int, ...]
Array = npt.NDArray[Any]

DTYPE_BYTES: Mapping[str, int] = {
    "float32": 4,
    "int8": 1,
    "int16": 2,
    "int32": 4,
    "int64": 8,
}
INTEGER_RANGE: Mapping[str, tuple[int, int]] = {
    "int8": (-128, 127),
    "int16": (-32768, 32767),
    "int32": (-(2**31), 2**31 - 1),
}
MAX_ELEMENTS = 2**31 - 1


@dataclass(frozen=True)
class Quantization:
    """Per-tensor affine quantization: real = scale * (integer - zero_point)."""

    scale: float
    zero_point: int


@dataclass(frozen=True, eq=False)
class Tensor:
    """An activation, or a constant when ``data`` is set (its array is read-only).

    ``shape`` starts with the batch size 1 for activations. ``quantization`` is set on the integer
    activations of a QGraph (int32 ones may be plain indices without it), and on constants that take
    part in element-wise arithmetic; the scales of weights live in the multipliers of their node.
    """

    name: str
    shape: Shape
    dtype: DType
    quantization: Quantization | None = None
    data: Array | None = None

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.elements * DTYPE_BYTES[self.dtype]

    @property
    def is_constant(self) -> bool:
        return self.data is not None


def constant(name: str, data: Array, *, quantization: Quantization | None = None) -> Tensor:
    """A constant tensor over a read-only copy of ``data`` (float32 or a signed integer type)."""
    array = np.array(data, order="C", copy=True)
    array.setflags(write=False)
    dtype: Any = array.dtype.name
    if dtype not in DTYPE_BYTES:
        raise BadInputError(f"constant '{name}': element type {dtype} is not supported")
    return Tensor(name, tuple(array.shape), dtype, quantization, array)


@dataclass(frozen=True)
class Node:
    """One operator call.

    ``op`` names a file of ``edgekit.ops``; ``attributes`` is that operator's geometry and
    ``arithmetic`` its integer parameters (None in a float Graph). ``source`` is the module path or
    tensor name of the imported model, for messages and reports.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Any
    arithmetic: Any = None
    source: str = ""

    def __str__(self) -> str:
        return f"{self.op} '{self.source or self.name}'"


@dataclass(frozen=True)
class Port:
    """An input or output of the model: the tensor behind it and how the source declared it."""

    name: str
    tensor: str
    source_shape: Shape
    layout: str = ""


@dataclass(frozen=True)
class Call:
    """A node together with its tensors: what the methods of an operator look at."""

    node: Node
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @property
    def output(self) -> Tensor:
        return self.outputs[0]

    @property
    def activations(self) -> tuple[Tensor, ...]:
        """The inputs that are not constants, in order."""
        return tuple(t for t in self.inputs if not t.is_constant)

    def constant(self, position: int) -> Array:
        """The array of the constant input at ``position``."""
        data = self.inputs[position].data if position < len(self.inputs) else None
        if data is None:
            raise BadInputError(f"{self.node}: input {position} must be a constant")
        return data

    def fail(self, fact: str) -> BadInputError:
        """An error that names this node."""
        return BadInputError(f"{self.node}: {fact}")


G = TypeVar("G", bound="Graph")


@dataclass(frozen=True)
class Graph:
    """A float model: nodes in execution order over named tensors."""

    tensors: Mapping[str, Tensor]
    nodes: tuple[Node, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    name: str = field(default="model", kw_only=True)

    def call(self, node: Node) -> Call:
        return Call(
            node,
            tuple(self.tensors[name] for name in node.inputs),
            tuple(self.tensors[name] for name in node.outputs),
        )

    def calls(self) -> Iterable[Call]:
        return (self.call(node) for node in self.nodes)

    def consumers(self) -> dict[str, list[Node]]:
        """The nodes that read each tensor, in execution order."""
        readers: dict[str, list[Node]] = {name: [] for name in self.tensors}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                readers[name].append(node)
        return readers

    def producer(self) -> dict[str, Node]:
        return {name: node for node in self.nodes for name in node.outputs}

    def with_nodes(self: G, nodes: Iterable[Node], tensors: Iterable[Tensor]) -> G:
        """The same model with other nodes and tensors; tensors that nothing names are dropped."""
        nodes = tuple(nodes)
        used = {name for node in nodes for name in (*node.inputs, *node.outputs)}
        used |= {port.tensor for port in (*self.inputs, *self.outputs)}
        kept = {tensor.name: tensor for tensor in tensors if tensor.name in used}
        return dataclasses.replace(self, nodes=nodes, tensors=kept)

    def verify(self: G) -> G:
        """Check names, order of definition, shapes and every operator's own rules.

        Raises:
            BadInputError: naming the first node that is wrong.
        """
        if not self.inputs or not self.outputs:
            raise BadInputError(f"model '{self.name}': it needs at least one input and one output")
        for tensor in self.tensors.values():
            _verify_tensor(tensor)
        defined = {t.name for t in self.tensors.values() if t.is_constant}
        for port in self.inputs:
            if port.tensor not in self.tensors or port.tensor in defined:
                raise BadInputError(f"input '{port.name}': it is not an activation of its own")
            defined.add(port.tensor)
        for node in self.nodes:
            for name in (*node.inputs, *node.outputs):
                if name not in self.tensors:
                    raise BadInputError(f"{node}: tensor '{name}' does not exist")
            for name in node.inputs:
                if name not in defined:
                    raise BadInputError(f"{node}: tensor '{name}' is used before it is computed")
            for name in node.outputs:
                if name in defined:
                    raise BadInputError(f"{node}: tensor '{name}' is defined twice")
                defined.add(name)
            self._verify_node(node)
            _verify_call(self.call(node))
        for port in self.outputs:
            if port.tensor not in defined:
                raise BadInputError(
                    f"output '{port.name}': tensor '{port.tensor}' is never computed"
                )
        return self

    def _verify_node(self, node: Node) -> None:
        if node.arithmetic is not None:
            raise BadInputError(f"{node}: integer parameters in a float model")


@dataclass(frozen=True)
class QGraph(Graph):
    """An integer model: every node carries its integer parameters, every activation its scale."""

    def _verify_node(self, node: Node) -> None:
        if node.arithmetic is None:
            raise BadInputError(f"{node}: no integer parameters in an integer model")
        for tensor in (*self.call(node).activations, *self.call(node).outputs):
            if tensor.dtype == "float32":
                raise BadInputError(f"{node}: float tensor '{tensor.name}' in an integer model")
            if tensor.quantization is None and tensor.dtype != "int32":
                raise BadInputError(f"{node}: tensor '{tensor.name}' has no scale and zero point")


def _verify_call(call: Call) -> None:
    """The operator's own rules, its shape rule, and the types of its parameters."""
    from edgekit.ops import operator_of

    operator = operator_of(call.node)
    if not isinstance(call.node.attributes, operator.attributes):
        raise call.fail(f"its attributes are not those of {operator.name}")
    if call.node.arithmetic is not None and not isinstance(
        call.node.arithmetic, operator.arithmetic
    ):
        raise call.fail(f"its integer parameters are not those of {operator.name}")
    for tensor in (*call.activations, *call.outputs):
        if len(tensor.shape) > 4 or (len(tensor.shape) == 4 and tensor.shape[0] != 1):
            raise call.fail(
                f"shape {tensor.shape} of '{tensor.name}' is not (1, H, W, C) or smaller"
            )
    for name, value in vars(call.node.attributes).items():
        # A float pad of -inf is what a max pool never takes; legalization folds it into the pool.
        never_wins = call.node.arithmetic is None and (name, value) == ("value", -math.inf)
        if isinstance(value, float) and not math.isfinite(value) and not never_wins:
            raise call.fail(f"its {name} is {value}; it must be a finite number")
    operator.verify(call)
    shape = operator.output_shape(call.node.attributes, [tensor.shape for tensor in call.inputs])
    if shape != call.output.shape:
        raise call.fail(f"it computes shape {shape}, but its output has {call.output.shape}")


def _verify_tensor(tensor: Tensor) -> None:
    if any(size <= 0 for size in tensor.shape):
        raise BadInputError(f"tensor '{tensor.name}': shape {tensor.shape} has an empty dimension")
    if tensor.elements > MAX_ELEMENTS:
        raise BadInputError(f"tensor '{tensor.name}': shape {tensor.shape} overflows 32 bits")
    if tensor.data is not None:
        if tensor.data.shape != tensor.shape:
            raise BadInputError(f"tensor '{tensor.name}': data does not match shape {tensor.shape}")
        if tensor.dtype == "float32" and not np.isfinite(tensor.data).all():
            raise BadInputError(f"tensor '{tensor.name}': it holds NaN or Inf")
    if (quantization := tensor.quantization) is not None:
        if not (math.isfinite(quantization.scale) and quantization.scale > 0):
            raise BadInputError(f"tensor '{tensor.name}': scale {quantization.scale} is not > 0")
        low, high = INTEGER_RANGE.get(tensor.dtype, (0, 0))
        if tensor.dtype != "float32" and not low <= quantization.zero_point <= high:
            raise BadInputError(
                f"tensor '{tensor.name}': zero point {quantization.zero_point} is outside {tensor.dtype}"
            )
