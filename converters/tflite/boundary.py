# SPDX-License-Identifier: Apache-2.0
"""The outer QUANTIZE and DEQUANTIZE of a TFLite model fall away: its ports become int8 or int16."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgekit.converters.tflite.records import ModelRecord, OperatorRecord, PortRecord, TensorRecord
from edgekit.errors import BadInputError

OUTER_TYPES = ("FLOAT32", "UINT8")
"""Types of a port that a QUANTIZE or DEQUANTIZE may stand behind."""
INNER_TYPES: Mapping[str, tuple[str, ...]] = {"FLOAT32": ("INT8", "INT16"), "UINT8": ("INT8",)}
"""What a port of each outer type may become."""


@dataclass(frozen=True)
class Boundary:
    """The ports as integer tensors where that is possible, and the operators between them.

    ``replaced`` maps a tensor to the one that is read in its place: an input that several QUANTIZE
    make the same integers of has one tensor.
    """

    inputs: tuple[PortRecord, ...]
    outputs: tuple[PortRecord, ...]
    operators: tuple[OperatorRecord, ...]
    replaced: Mapping[int, int]


def boundary_of(model: ModelRecord) -> Boundary:
    """Move every port that is not int8 or int16 behind the operator that converts it, if there is one."""
    readers: dict[int, list[OperatorRecord]] = {}
    producers: dict[int, OperatorRecord] = {}
    for operator in model.operators:
        producers.update(dict.fromkeys(operator.outputs, operator))
        for index in dict.fromkeys(operator.inputs):
            readers.setdefault(index, []).append(operator)
    replaced: dict[int, int] = {}
    removed: set[int] = set()
    inputs, outputs = [], []
    for port in model.inputs:
        quantizers = readers.get(port.tensor, [])
        if _quantize_alike(model, port, quantizers):
            first = quantizers[0].outputs[0]
            replaced.update((operator.outputs[0], first) for operator in quantizers)
            removed.update(operator.index for operator in quantizers)
            port = PortRecord(port.name, first)
        inputs.append(port)
    for port in model.outputs:
        dequantizer = producers.get(port.tensor)
        if dequantizer is not None and _leaves_integers(model, dequantizer):
            if port.tensor not in readers:
                removed.add(dequantizer.index)
            port = PortRecord(port.name, dequantizer.inputs[0])
        outputs.append(PortRecord(port.name, replaced.get(port.tensor, port.tensor)))
    kept = tuple(operator for operator in model.operators if operator.index not in removed)
    return Boundary(tuple(inputs), tuple(outputs), kept, replaced)


def _quantize_alike(
    model: ModelRecord, port: PortRecord, readers: Sequence[OperatorRecord]
) -> bool:
    """Whether all readers of an outer input make the same integer tensor of it."""
    source = model.tensors[port.tensor]
    if source.type not in OUTER_TYPES or not readers:
        return False
    if not all(_converts(model, operator, "QUANTIZE") for operator in readers):
        return False
    results = [model.tensors[operator.outputs[0]] for operator in readers]
    return all(
        result.type in INNER_TYPES[source.type]
        and (result.type, result.scales, result.zero_points)
        == (results[0].type, results[0].scales, results[0].zero_points)
        for result in results
    )


def _leaves_integers(model: ModelRecord, operator: OperatorRecord) -> bool:
    if not _converts(model, operator, "QUANTIZE", "DEQUANTIZE"):
        return False
    source, result = model.tensors[operator.inputs[0]], model.tensors[operator.outputs[0]]
    return source.data is None and source.type in INNER_TYPES.get(result.type, ())


def _converts(model: ModelRecord, operator: OperatorRecord, *names: str) -> bool:
    """Whether an operator is one of ``names``, from one tensor to another of the same shape."""
    if operator.name not in names or len(operator.inputs) != 1 or len(operator.outputs) != 1:
        return False
    if operator.inputs[0] < 0:
        return False
    source, result = model.tensors[operator.inputs[0]], model.tensors[operator.outputs[0]]
    _check_shapes(operator, source, result)
    return True


def _check_shapes(operator: OperatorRecord, source: TensorRecord, result: TensorRecord) -> None:
    if source.shape != result.shape:
        raise BadInputError(
            f"{operator.name} '{result.name}': shape {source.shape} cannot become {result.shape}"
        )
