# SPDX-License-Identifier: Apache-2.0
"""QOperator models as QDQ models: every QLinear operator as its float twin between scales.

Both forms say the same about the integers, so the importer knows only one of them. The bias of
QLinearConv and QGemm is int32 with the product of the scales of input and weights.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from edgekit.converters.onnx.records import MICROSOFT, ONNX, ModelRecord, OperatorRecord
from edgekit.errors import BadInputError
from edgekit.ir import Array

Inputs = list[str]


class _Expansion:
    """The records that take the place of one, and the constants that they need."""

    def __init__(self, record: OperatorRecord, constants: Mapping[str, Array]) -> None:
        self.record, self.known = record, constants
        self.records: list[OperatorRecord] = []
        self.constants: dict[str, Array] = {}
        self.inputs = [*record.inputs, *[""] * 9]  # what is left out at the end reads as ''

    def floats(self, position: int, *, axis: int = 1) -> str:
        """The input at ``position``, whose scale and zero point follow it, dequantized."""
        return self.dequantized(*self.inputs[position : position + 3], axis=axis)

    def dequantized(self, x: str, scale: str, zero_point: str, *, axis: int) -> str:
        name = f"{self.record.outputs[0]}/{len(self.records)}"
        self._add("DequantizeLinear", (x, scale, zero_point), name, {"axis": axis})
        return name

    def bias(self, name: str, input_scale: str, weight_scale: str) -> list[str]:
        """The int32 bias, dequantized; none where the name is ''."""
        if not name:
            return []
        scales = [self.known.get(scale) for scale in (input_scale, weight_scale)]
        if any(scale is None for scale in scales):
            raise BadInputError(f"{self.record}: its scales must be constants")
        product = np.multiply(*(np.asarray(s, np.float64) for s in scales)).reshape(-1)
        scale = f"{self.record.outputs[0]}/bias_scale"
        self.constants[scale] = product if product.size > 1 else product.reshape(())
        return [self.dequantized(name, scale, "", axis=0)]

    def float_node(self, op: str, inputs: Inputs, skipped: tuple[str, ...] = ()) -> str:
        attributes = {n: v for n, v in self.record.attributes.items() if n not in skipped}
        name = f"{self.record.outputs[0]}/float"
        self._add(op, tuple(inputs), name, attributes)
        return name

    def quantized(self, x: str, scale: str, zero_point: str) -> None:
        self._add("QuantizeLinear", (x, scale, zero_point), self.record.outputs[0], {})

    def _add(
        self, op: str, inputs: tuple[str, ...], output: str, attributes: Mapping[str, object]
    ) -> None:
        self.records.append(
            OperatorRecord(op, ONNX, self.record.name, inputs, (output,), dict(attributes))
        )


def _convolution(e: _Expansion) -> None:
    x, weights = e.floats(0), e.floats(3, axis=0)
    y = e.float_node("Conv", [x, weights, *e.bias(e.inputs[8], e.inputs[1], e.inputs[4])])
    e.quantized(y, *e.inputs[6:8])


def _matrix_product(e: _Expansion) -> None:
    e.quantized(e.float_node("MatMul", [e.floats(0), e.floats(3, axis=-1)]), *e.inputs[6:8])


def _gemm(e: _Expansion) -> None:
    x = e.floats(0)
    weights = e.floats(3, axis=0 if e.record.attributes.get("transB") else 1)
    y = e.float_node("Gemm", [x, weights, *e.bias(e.inputs[6], e.inputs[1], e.inputs[4])])
    e.quantized(y, *e.inputs[7:9])


def _binary(op: str) -> Callable[[_Expansion], None]:
    def expand(e: _Expansion) -> None:
        e.quantized(e.float_node(op, [e.floats(0), e.floats(3)]), *e.inputs[6:8])

    return expand


def _unary(op: str, *skipped: str) -> Callable[[_Expansion], None]:
    def expand(e: _Expansion) -> None:
        e.quantized(e.float_node(op, [e.floats(0)], skipped), *e.inputs[3:5])

    return expand


def _concat(e: _Expansion) -> None:
    count = len(e.record.inputs)
    parts = [e.floats(position) for position in range(2, count, 3)]
    e.quantized(e.float_node("Concat", parts), *e.inputs[:2])


EXPANSIONS: Mapping[tuple[str, str], Callable[[_Expansion], None]] = {
    (ONNX, "QLinearConv"): _convolution,
    (ONNX, "QLinearMatMul"): _matrix_product,
    (MICROSOFT, "QGemm"): _gemm,
    (MICROSOFT, "QLinearAdd"): _binary("Add"),
    (MICROSOFT, "QLinearAveragePool"): _unary("AveragePool", "channels_last"),
    (MICROSOFT, "QLinearConcat"): _concat,
    (MICROSOFT, "QLinearGlobalAveragePool"): _unary("GlobalAveragePool", "channels_last"),
    (MICROSOFT, "QLinearLeakyRelu"): _unary("LeakyRelu"),
    (MICROSOFT, "QLinearMul"): _binary("Mul"),
    (MICROSOFT, "QLinearReduceMean"): _unary("ReduceMean"),
    (MICROSOFT, "QLinearSigmoid"): _unary("Sigmoid"),
    (MICROSOFT, "QLinearSoftmax"): _unary("Softmax", "opset"),
}
"""(domain, operator) -> what takes its place."""
SAME = ("QuantizeLinear", "DequantizeLinear")
"""Operators of onnxruntime's domain that are the standard ones."""


def without_qoperators(model: ModelRecord) -> ModelRecord:
    """The same model in QDQ form.

    Raises:
        BadInputError: a scale is not a constant.
    """
    operators: list[OperatorRecord] = []
    constants = dict(model.constants)
    for record in model.operators:
        if record.domain == MICROSOFT and record.op in SAME:
            record = dataclasses.replace(record, domain=ONNX)
        expand = EXPANSIONS.get((record.domain, record.op))
        if expand is None or not record.outputs or _is_peculiar(record):
            operators.append(record)
            continue
        expansion = _Expansion(record, constants)
        expand(expansion)
        operators += expansion.records
        constants |= expansion.constants
    return dataclasses.replace(model, operators=tuple(operators), constants=constants)


def _is_peculiar(record: OperatorRecord) -> bool:
    """Forms that onnxruntime computes unlike the float operator: they are refused by name.

    Its averages in ceil_mode count what hangs over the padding.
    """
    attributes = record.attributes
    counts_more = attributes.get("ceil_mode") and attributes.get("count_include_pad")
    return bool(attributes.get("channels_last") or counts_more)
