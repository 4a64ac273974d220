# SPDX-License-Identifier: Apache-2.0
"""DEQUANTIZE -> a float function of one variable -> QUANTIZE is a table over the int8 values between.

The TFLite converter leaves functions in float for which it knows no int8 kernel (ELU, NEG, SQUARE).
Both conversions and the function round elsewhere than an int8 kernel of the same name would, so the
operator gets a name of its own, and its table is computed as the three reference kernels compute it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from edgekit.arith import round_half_away
from edgekit.converters.tflite import c_math, lookup_tables
from edgekit.converters.tflite.operation import Mapped, Operation
from edgekit.converters.tflite.records import ModelRecord, OperatorRecord
from edgekit.ir import INTEGER_RANGE, Array, Quantization
from edgekit.ops.lookup import COMPOSITE, Lookup, LookupArithmetic

SUFFIX = "_IN_FLOAT"
_FUNCTIONS: Mapping[str, Callable[[Array], Array]] = {
    "ABS": np.abs,
    "ELU": lookup_tables.elu,
    "EXP": c_math.expf,
    "FLOOR": np.floor,
    "NEG": np.negative,
    "SQRT": np.sqrt,
    "SQUARE": np.square,
}


def without_float_islands(model: ModelRecord) -> ModelRecord:
    """The same model, with one operator from int8 to int8 for each of the three."""
    producers = {index: op for op in model.operators for index in op.outputs}
    readers: dict[int, list[OperatorRecord]] = {}
    for operator in model.operators:
        for index in operator.inputs:
            readers.setdefault(index, []).append(operator)
    ports = {port.tensor for port in (*model.inputs, *model.outputs)}
    removed: set[int] = set()
    replaced: dict[int, OperatorRecord] = {}
    for operator in model.operators:
        source = _converted(model, producers, operator)
        if source is None or not ports.isdisjoint(operator.outputs):
            continue
        behind = readers.get(operator.outputs[0], [])
        if not behind or not all(_quantizes(model, reader) for reader in behind):
            continue
        removed.add(operator.index)
        name = operator.name + SUFFIX
        for reader in behind:
            replaced[reader.index] = dataclasses.replace(reader, name=name, inputs=(source,))
    operators = [replaced.get(op.index, op) for op in model.operators if op.index not in removed]
    used = ports.union(*(operator.inputs for operator in operators))
    kept = [op for op in operators if op.name != "DEQUANTIZE" or not used.isdisjoint(op.outputs)]
    return dataclasses.replace(model, operators=tuple(kept)) if replaced else model


def _converted(
    model: ModelRecord, producers: Mapping[int, OperatorRecord], operator: OperatorRecord
) -> int | None:
    """The int8 tensor that the only, float, input of a known function is made of."""
    single = len(operator.inputs) == len(operator.outputs) == 1
    if operator.name not in _FUNCTIONS or not single:
        return None
    producer = producers.get(operator.inputs[0])
    if producer is None or producer.name != "DEQUANTIZE" or len(producer.inputs) != 1:
        return None
    source = producer.inputs[0]
    is_int8 = source >= 0 and model.tensors[source].type == "INT8"
    return source if is_int8 and model.tensors[source].data is None else None


def _quantizes(model: ModelRecord, operator: OperatorRecord) -> bool:
    single = len(operator.inputs) == len(operator.outputs) == 1
    return operator.name == "QUANTIZE" and single and _type(model, operator) == "INT8"


def _type(model: ModelRecord, operator: OperatorRecord) -> str:
    return model.tensors[operator.outputs[0]].type


def _table(
    function: Callable[[Array], Array], source: Quantization, result: Quantization
) -> tuple[int, ...]:
    """DEQUANTIZE in double, the function in float32, QUANTIZE by a float32 division."""
    low, high = INTEGER_RANGE["int8"]
    with np.errstate(all="ignore"):
        x = source.scale * (lookup_tables.EVERY_VALUE - source.zero_point).astype(np.float64)
        steps = function(x.astype(np.float32)).astype(np.float32) / np.float32(result.scale)
    steps = np.clip(np.nan_to_num(steps.astype(np.float64)), -(2.0**31), 2.0**31)
    values = round_half_away(steps) + result.zero_point
    return tuple(int(value) for value in np.clip(values, low, high))


def _mapping(function: Callable[[Array], Array]) -> Callable[[Operation], Mapped]:
    def mapping(operation: Operation) -> Mapped:
        operation.require(inputs=(1,))
        x, result = operation.activation(0), operation.output_quantization()
        table = _table(function, operation.quantization(x.tensor), result)
        return Mapped("lookup", Lookup(COMPOSITE), LookupArithmetic(table), (x,))

    return mapping


FLOAT_ISLAND_MAPPINGS: Mapping[str, Callable[[Operation], Mapped]] = {
    name + SUFFIX: _mapping(function) for name, function in _FUNCTIONS.items()
}
