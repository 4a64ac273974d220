# SPDX-License-Identifier: Apache-2.0
"""What operators share that only move or repeat elements of one map: no arithmetic, one scale."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from edgekit.ir import Array, Call, Quantization, Tensor
from edgekit.ops._elementwise import verify_one_type
from edgekit.ops._operator import Case, Operator, Quantized, case_graph
from edgekit.window import RowTable

MAX_TABLE = 65535
"""Entries of an index table of a kernel, and the largest index in it (uint16)."""


@dataclass(frozen=True)
class MovingArithmetic:
    """Nothing: integers are copied."""


def verify_map(call: Call) -> None:
    """Raise BadInputError unless the only input is an activation (1, H, W, C) of the right type."""
    if len(call.inputs) != 1 or not call.activations:
        raise call.fail("it needs one input that is not a constant")
    shape = call.inputs[0].shape
    if len(shape) != 4 or shape[0] != 1:
        raise call.fail(f"the input has shape {shape}; it must be (1, height, width, channels)")
    verify_one_type(call)


def row_table(rows: Iterable[int]) -> RowTable:
    """One input row for every output row."""
    return RowTable(tuple((int(row),) for row in rows))


class MovingOperator(Operator):
    """An operator whose function is the same on floats and on integers."""

    arithmetic = MovingArithmetic

    @abstractmethod
    def moved(self, call: Call, x: Array) -> Array:
        """The output of any element type."""

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        return self.moved(call, inputs[0])

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        return self.moved(call, inputs[0])

    def quantize(self, call: Call) -> Quantized:
        return Quantized(MovingArithmetic())

    def output_quantization(self, call: Call) -> Quantization | None:
        return call.inputs[0].quantization


def moving_case(
    operator: Operator, name: str, shape: tuple[int, int, int], attributes: Any
) -> Case:
    """A one-node model over a map (height, width, channels)."""
    quantization = Quantization(0.05, -3)
    x = Tensor("x", (1, *shape), "int8", quantization)
    y = Tensor("y", operator.output_shape(attributes, [x.shape]), "int8", quantization)
    graph = case_graph(
        operator.name,
        inputs=[x],
        output=y,
        attributes=attributes,
        arithmetic=MovingArithmetic(),
        name=name,
    )
    return Case(name, graph)
