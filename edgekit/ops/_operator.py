# SPDX-License-Identifier: Apache-2.0
"""What every operator declares: shape rule, window, quantization, reference, kernels, edge cases."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgekit.ir import Array, Call, Port, QGraph, Quantization, Shape, Tensor
from edgekit.kernel import Kernel
from edgekit.window import RowMap, Window


@dataclass(frozen=True)
class Quantized:
    """The integer parameters of a node and the constants that replace its float ones.

    ``constants`` maps an input position to its integer tensor.
    """

    arithmetic: Any
    constants: Mapping[int, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """An edge case by name: a one-node integer model, and inputs that must be tried besides noise."""

    name: str
    graph: QGraph
    inputs: tuple[tuple[Array, ...], ...] = ()


class Operator(ABC):
    """One operator. Arrays are NHWC with the batch dimension 1."""

    name: str
    attributes: type
    arithmetic: type
    kernels: tuple[Kernel, ...]
    is_view: bool = False
    """The output is the input's memory under another shape: no kernel runs."""
    is_channelwise: bool = False
    """Every output channel depends on the input channel of the same index alone (and on its window)."""
    returns_indices: bool = False
    """The output is int32 without a scale, in float models too."""
    is_elementwise: bool = False
    """An output element is a function of the elements at its own place; operands broadcast."""

    wants_equal_scales: bool = False
    """Where its inputs and its output share scale and zero point, it moves integers unchanged."""

    @property
    def summary(self) -> str:
        """The first line of the operator's file: what it computes."""
        return (sys.modules[type(self).__module__].__doc__ or "").splitlines()[0]

    @abstractmethod
    def output_shape(self, attributes: Any, inputs: Sequence[Shape]) -> Shape:
        """The shape rule; ``inputs`` are the shapes of all inputs, constants included."""

    @abstractmethod
    def verify(self, call: Call) -> None:
        """Raise BadInputError where attributes, shapes or integer parameters are wrong."""

    @abstractmethod
    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        """The integer reference: the definition of the operator.

        ``inputs`` has an array for every input of the call, constants included.
        """

    @abstractmethod
    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        """The float definition, float32 in and out."""

    @abstractmethod
    def quantize(self, call: Call) -> Quantized:
        """Integer parameters of a float call whose activations already carry a Quantization."""

    @abstractmethod
    def cases(self) -> Iterator[Case]:
        """The edge cases that every kernel is tried on."""

    def output_quantization(self, call: Call) -> Quantization | None:
        """The quantization that the output must share with the input (pooling, reshape), or None."""
        return None

    def window(self, call: Call) -> Window | None:
        """The input window of an output pixel; None: the operator cannot run row by row."""
        return None

    def row_map(self, call: Call) -> RowMap | None:
        """The input rows of an output row; None: the operator needs whole maps.

        It holds for every operand; one whose height is 1 repeats its row.
        """
        window = self.window(call)
        return window.height if window else None

    def runtime_operands(self, call: Call) -> tuple[Tensor, ...]:
        """The inputs that a kernel is handed when it runs; the others are packed in its struct."""
        return call.activations

    def flattens(self, call: Call) -> bool:
        """Whether flat kernels may see the maps of this call as one row (no operand spans H or W only)."""
        return True

    def accumulator_bound(self, call: Call) -> int | None:
        """The largest magnitude that a sum of products or inputs can reach; None: it sums nothing."""
        return None

    def macs(self, call: Call) -> int:
        """Multiply-accumulates, padding taps counted."""
        return 0


def case_graph(
    op: str,
    *,
    inputs: Sequence[Tensor],
    output: Tensor,
    attributes: Any,
    arithmetic: Any,
    name: str,
) -> QGraph:
    """A model of one node, for a Case."""
    from edgekit.ir import Node

    node = Node(op, op, tuple(t.name for t in inputs), (output.name,), attributes, arithmetic)
    activations = {t.name: t for t in inputs if not t.is_constant}
    ports = tuple(Port(t.name, t.name, t.shape) for t in activations.values())
    return QGraph(
        {t.name: t for t in (*inputs, output)},
        (node,),
        ports,
        (Port(output.name, output.name, output.shape),),
        name=name,
    ).verify()
