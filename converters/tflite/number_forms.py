# SPDX-License-Identifier: Apache-2.0
"""What differs between integer and float32 models: the geometry of an operator is mapped once.

A mapping asks its operation for scales to compute integer parameters. Of a float operator they are
neutral ones that every rule accepts, and what is computed from them is dropped afterwards.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edgekit.converters.tflite.int16 import INT16_MAPPINGS
from edgekit.converters.tflite.mapping import MAPPINGS
from edgekit.converters.tflite.operation import (
    FUSED_ACTIVATIONS,
    RESCALED_TYPES,
    Mapped,
    Operand,
    Operation,
)
from edgekit.converters.tflite.records import TensorRecord
from edgekit.ir import DType, Graph, QGraph, Quantization
from edgekit.ops import operators
from edgekit.ops.lookup import Lookup

Mapper = Callable[[Operation], Mapped | tuple[Mapped, ...]]
TypeAndScale = tuple[DType, Quantization | None]
NEUTRAL = Quantization(1.0 / 128.0, 0)
REQUIRED: Mapping[str, Quantization] = {
    "LOGISTIC": Quantization(1.0 / 256.0, -128),
    "LOG_SOFTMAX": Quantization(1.0 / 16.0, 127),
    "SOFTMAX": Quantization(1.0 / 256.0, -128),
}
"""Operators whose integer form has one output scale only, and that one; NEUTRAL does for the rest."""
FLOAT_FUNCTIONS: Mapping[str, str] = {
    "COS": "cos",
    "LOG": "log",
    "SIN": "sin",
    "SQRT": "sqrt",
    "SQUARE": "square",
}
"""Functions without an integer kernel in TFLite, and ours."""


class IntegerForm:
    """int8 and 16x8 models."""

    operation: type[Operation] = Operation
    graph: type[Graph] = QGraph

    def mapping(self, operation: Operation) -> Mapper | None:
        mapping = MAPPINGS.get(operation.record.name)
        if operation.outputs and operation.is_int16:
            return INT16_MAPPINGS.get(operation.record.name, mapping)
        return mapping

    def finished(self, operation: Operation, mapped: Mapped) -> Mapped:
        """A mapped operator as a node of the graph."""
        return mapped

    def type_of(self, operation: Operation, record: TensorRecord, op: str) -> TypeAndScale:
        """The type of a result in the graph, and its scale and zero point; indices are int32."""
        if operators()[op].returns_indices:
            return "int32", None
        quantization = operation.quantization(record, with_int32=op == "requantize")
        return RESCALED_TYPES[record.type], quantization


class FloatOperation(Operation):
    """An operator of a float32 model; its scales mean nothing."""

    def quantization(self, tensor: TensorRecord, *, with_int32: bool = False) -> Quantization:
        if tensor.type != "FLOAT32":
            raise self.unsupported(f"{tensor} is {tensor.type} in a float model; use FLOAT32")
        return REQUIRED.get(self.record.name, NEUTRAL)

    def weight_scales(self, tensor: TensorRecord, *, axis: int) -> tuple[float, ...]:
        self.quantization(tensor)
        return (1.0,) * tensor.shape[axis]


class FloatForm:
    """float32 models."""

    operation: type[Operation] = FloatOperation
    graph: type[Graph] = Graph

    def mapping(self, operation: Operation) -> Mapper | None:
        function = FLOAT_FUNCTIONS.get(operation.record.name)
        if function is not None:
            return _function(function)
        return MAPPINGS.get(operation.record.name)

    def finished(self, operation: Operation, mapped: Mapped) -> Mapped:
        """The node without integer parameters, its fused activation as float bounds."""
        attributes = mapped.attributes
        if hasattr(attributes, "activation_min"):
            code = int(operation.record.options.get("FusedActivationFunction", 0))
            _, low, high = FUSED_ACTIVATIONS[code]
            attributes = dataclasses.replace(attributes, activation_min=low, activation_max=high)
        if operation.record.name == "PADV2":
            attributes = dataclasses.replace(attributes, value=_number(operation, 2))
        return dataclasses.replace(_plain(mapped), attributes=attributes)

    def type_of(self, operation: Operation, record: TensorRecord, op: str) -> TypeAndScale:
        if operators()[op].returns_indices:
            return "int32", None
        operation.quantization(record)
        return "float32", None


NumberForm = IntegerForm | FloatForm


def _plain(mapped: Mapped) -> Mapped:
    """A node and those in front of it, without integer parameters and scales."""
    operands = (
        _plain(operand) if isinstance(operand, Mapped) else Operand(operand.tensor, None)
        for operand in mapped.operands
    )
    return dataclasses.replace(mapped, arithmetic=None, operands=tuple(operands), quantization=None)


def _function(name: str) -> Mapper:
    def mapping(operation: Operation) -> Mapped:
        operation.require(inputs=(1,))
        return Mapped("lookup", Lookup(name), None, (operation.activation(0),))

    return mapping


def _number(operation: Operation, position: int) -> float:
    data: Any = operation.input(position).data
    value = float(np.asarray(data).reshape(-1)[0])
    if not math.isfinite(value):
        raise operation.fail(f"its value {value} is not finite")
    return value
