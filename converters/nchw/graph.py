# SPDX-License-Identifier: Apache-2.0
"""The NHWC graph under construction while a channels-first graph is walked.

A value of rank 4 is stored NHWC, every other rank in the source's own order; shapes that the
mapping sees are the source's. What mixes the axes goes through source order with explicit
transposes, so no order is ever assumed; legalize removes the transposes that cancel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgekit.converters.axis_moves import AxisMoves
from edgekit.ir import MAX_ELEMENTS, Array, Node, Shape, Tensor, constant
from edgekit.ops import operators
from edgekit.ops.reshape import Reshape
from edgekit.ops.transpose import Transpose

TO_STORAGE = (0, 2, 3, 1)
TO_SOURCE = (0, 3, 1, 2)


class RefusalError(Exception):
    """A call that cannot be mapped: the fact and the remedy, without the name of the node."""


@dataclass(frozen=True)
class Activation:
    """A tensor of the graph under construction; ``shape`` is the source's."""

    tensor: str
    shape: Shape


@dataclass(frozen=True)
class Regrouped(Activation):
    """A view of more than four axes that no tensor holds: ``tensor``, and how its axes moved."""

    moves: AxisMoves

    def transposed(self, order: Sequence[int]) -> Regrouped:
        shape = tuple(self.shape[axis] for axis in order)
        return Regrouped(self.tensor, shape, self.moves.transpose(order))


@dataclass(frozen=True, eq=False)
class Parameter:
    """A constant, in the source's order, float32."""

    name: str
    data: Array

    @property
    def shape(self) -> Shape:
        return self.data.shape


def storage_shape(shape: Shape) -> Shape:
    """The shape of the tensor behind a shape of the source."""
    return tuple(shape[axis] for axis in TO_STORAGE) if len(shape) == 4 else shape


@dataclass
class GraphBuilder:
    """Collects tensors and nodes; ``begin`` names what the next nodes come from.

    ``sources`` has, for every constant, the name under which the source knows it.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)
    name: str = ""
    source: str = ""

    def begin(self, *, name: str, source: str) -> None:
        self.name, self.source = name, source

    def placeholder(self, name: str, shape: Shape) -> Activation:
        """An activation that no node computes: a model input, or the result of a refused call."""
        self.tensors[name] = Tensor(name, storage_shape(shape), "float32")
        return Activation(name, shape)

    def channels_last_placeholder(self, name: str, shape: Shape) -> tuple[str, Activation]:
        """A model input that is stored as the source has it, (1, H, W, C), and its value."""
        self.tensors[name] = Tensor(name, shape, "float32")
        self.begin(name=f"{name}/source", source="")
        return name, self.from_source_order(name)

    def constant(self, name: str, data: Array) -> str:
        """The name of a constant of the graph; equal data under the same name is shared."""
        unique = name
        while unique in self.tensors:
            known = self.tensors[unique].data
            if known is not None and np.array_equal(known, data):
                return unique
            unique = f"{unique}_"
        self.sources[unique] = name
        self.tensors[unique] = constant(unique, np.asarray(data, np.float32))
        return unique

    def node(self, op: str, inputs: Sequence[str], attributes: Any) -> str:
        """Append a node with the operator's own shape rule; the name of its output tensor."""
        name, number = self.name, 1
        while name in self.tensors:
            name = f"{self.name}_{number}"
            number += 1
        shapes = [self.tensors[tensor].shape for tensor in inputs]
        shape = operators()[op].output_shape(attributes, shapes)
        types = {self.tensors[tensor].dtype for tensor in inputs}
        indices = operators()[op].returns_indices or types == {"int32"}
        self.tensors[name] = Tensor(name, shape, "int32" if indices else "float32")
        self.nodes.append(Node(name, op, tuple(inputs), (name,), attributes, None, self.source))
        return name

    def in_source_order(self, value: Activation) -> str:
        """The tensor of ``value`` with its axes in the source's order."""
        if len(value.shape) != 4:
            return value.tensor
        return self.node("transpose", [value.tensor], Transpose(TO_SOURCE))

    def from_source_order(self, tensor: str) -> Activation:
        """The value behind a tensor whose axes are in the source's order."""
        shape = self.tensors[tensor].shape
        if len(shape) == 4:
            tensor = self.node("transpose", [tensor], Transpose(TO_STORAGE))
        return Activation(tensor, shape)

    def reshape(self, value: Activation, shape: Shape) -> Activation:
        """The elements in the source's order under another shape."""
        if shape == value.shape:
            return value
        if isinstance(value, Regrouped) or len(shape) > 4:
            return self._regrouped(value, shape)
        ordered = self.in_source_order(value)
        return self.from_source_order(self.node("reshape", [ordered], Reshape(shape)))

    def _regrouped(self, value: Activation, shape: Shape) -> Activation:
        """A view from or to more than four axes, stored once it has four again."""
        if isinstance(value, Regrouped):
            before: AxisMoves = value.moves
        else:
            before = AxisMoves.of(self.tensors[value.tensor].shape)
            before = before.transpose(TO_SOURCE) if len(value.shape) == 4 else before
        moves = before.reshape(shape)
        if moves is None:
            raise RefusalError(f"a view of {value.shape} as {shape} splits its axes unevenly")
        if len(shape) > 4:
            return Regrouped(value.tensor, shape, moves)
        steps = (moves.transpose(TO_STORAGE) if len(shape) == 4 else moves).steps()
        if steps is None:
            raise RefusalError(f"the order of axes behind {shape} takes more than one transpose")
        tensor = value.tensor
        for step in steps:
            tensor = self.node(
                "reshape" if isinstance(step, Reshape) else "transpose", [tensor], step
            )
        return Activation(tensor, shape)


@dataclass(frozen=True)
class SourceCall:
    """One call of the source: arguments by its schema's names, and the shape of the (first) result.

    ``shapes`` are those of all results, for calls that return a list.
    """

    builder: GraphBuilder
    op: str
    arguments: Mapping[str, Any]
    shape: Shape
    shapes: tuple[Shape, ...] = ()

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def activation(self, *names: str, rank: int | None = None) -> Activation:
        """The argument under the first of ``names`` that exists; it must not be a constant."""
        value = next(self.arguments[name] for name in names if name in self.arguments)
        if not isinstance(value, Activation):
            raise RefusalError(f"'{names[0]}' must be computed from the input of the model")
        if rank is not None and len(value.shape) != rank:
            raise RefusalError(f"the input has shape {value.shape}; only rank {rank} is supported")
        return value

    def parameter(self, name: str) -> Parameter:
        value = self.arguments[name]
        if not isinstance(value, Parameter):
            raise RefusalError(f"'{name}' must be a constant of the model")
        return value

    def optional_parameter(self, name: str) -> Parameter | None:
        return None if self.arguments.get(name) is None else self.parameter(name)

    def node(self, op: str, inputs: Sequence[str], attributes: Any) -> Activation:
        """A node whose result is this call's result."""
        return Activation(self.builder.node(op, inputs, attributes), self.shape)


def check_size(shape: Shape) -> None:
    """Raise RefusalError where a tensor is empty or overflows 32 bits."""
    elements = 1
    for size in shape:
        elements *= size
    if not 0 < elements <= MAX_ELEMENTS:
        raise RefusalError(f"a tensor of shape {shape} is empty or overflows 32 bits")
