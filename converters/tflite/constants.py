# SPDX-License-Identifier: Apache-2.0
"""What a TFLite file computes from constants, or from shapes, is computed at import.

Files keep weights that were reshaped, transposed or quantized again; those are folded when the file
is read. Models that were exported with a dynamic batch compute their shapes while they run (SHAPE ->
STRIDED_SLICE -> PACK -> RESHAPE); those are folded operator by operator, because the shapes of
activations are known only then. What is not listed, or not of these forms, stays for the mappings.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping

import numpy as np

from edgekit.arith import quantize_multiplier, requantize, round_half_away
from edgekit.converters.tflite import multipliers
from edgekit.converters.tflite.operation import ACTIVATION_TYPES, Operation
from edgekit.converters.tflite.parts import normal_axis, plain_part, strided_part
from edgekit.converters.tflite.records import ABSENT, ModelRecord, OperatorRecord, TensorRecord
from edgekit.ir import INTEGER_RANGE, Array
from edgekit.limits import MAX_FOLDED_BYTES

MAX_SHAPE_ELEMENTS = 64
"""Larger integer tensors are no shapes."""
_INTEGERS: Mapping[str, str] = {"INT32": "int32", "INT64": "int64"}
Folder = Callable[[Operation], Array | None]
"""The data of the result of an operator whose inputs are all known, or None for another form."""


def fold_constants(model: ModelRecord) -> ModelRecord:
    """The same model with fewer operators and more constants; shape arithmetic stays.

    Raises:
        BadInputError: a result does not have the shape that the file declares.
    """
    tensors = list(model.tensors)
    ports = {port.tensor for port in (*model.inputs, *model.outputs)}
    kept: list[OperatorRecord] = []
    budget_bytes = MAX_FOLDED_BYTES
    for record in model.operators:
        data = None
        if len(record.outputs) == 1 and ports.isdisjoint(record.outputs):
            data = _folded(record, tensors, budget_bytes)
        if data is None:
            kept.append(record)
            continue
        budget_bytes -= data.nbytes
        data.setflags(write=False)
        index = record.outputs[0]
        tensors[index] = dataclasses.replace(tensors[index], data=data)
    return dataclasses.replace(model, tensors=tuple(tensors), operators=tuple(kept))


def _folded(record: OperatorRecord, tensors: list[TensorRecord], budget_bytes: int) -> Array | None:
    folder = CONSTANT_FOLDERS.get(record.name)
    if folder is None or not record.inputs or ABSENT in record.inputs:
        return None
    inputs, output = tuple(tensors[i] for i in record.inputs), tensors[record.outputs[0]]
    if any(t.peculiarity for t in (*inputs, output)) or output.data is not None:
        return None
    sizes_bytes = [t.data.nbytes for t in inputs if t.data is not None]
    if len(sizes_bytes) < len(inputs) or 4 * sum(sizes_bytes) > budget_bytes:
        return None
    operation = Operation(record, inputs, (output,))
    data = folder(operation)
    if data is not None and data.shape != output.shape:
        raise operation.fail(f"it computes shape {data.shape}, but its output has {output.shape}")
    return data


def folded_shape(operation: Operation) -> Array | None:
    """The result of an operator over small integers that are all known, or None.

    Raises:
        BadInputError: the operator contradicts itself.
    """
    fold = SHAPE_FOLDERS.get(operation.record.name)
    if fold is None or len(operation.outputs) != 1 or operation.output.type not in _INTEGERS:
        return None
    if operation.record.name != "SHAPE" and not all(map(_is_shape, operation.inputs)):
        return None
    value = fold(operation)
    return None if value is None else np.asarray(value).astype(_INTEGERS[operation.output.type])


def _is_shape(tensor: TensorRecord | None) -> bool:
    if tensor is None or tensor.data is None or tensor.type not in _INTEGERS:
        return False
    return tensor.data.size <= MAX_SHAPE_ELEMENTS


def _data(operation: Operation, position: int = 0) -> Array:
    data = operation.input(position).data
    assert data is not None
    return data


def _reshaped(operation: Operation) -> Array | None:
    """RESHAPE, SQUEEZE, EXPAND_DIMS: the file declares the shape."""
    data, output = _data(operation), operation.output
    if operation.input(0).type != output.type or data.size != math.prod(output.shape):
        return None
    return np.array(data.reshape(output.shape))


def _transposed(operation: Operation) -> Array | None:
    source = operation.input(0)
    if len(operation.inputs) != 2 or source.type != operation.output.type:
        return None
    order = [int(axis) for axis in _data(operation, 1).reshape(-1)]
    if sorted(order) != list(range(len(source.shape))):
        return None
    return np.array(_data(operation).transpose(order), order="C")


def _dequantized(operation: Operation) -> Array | None:
    source = operation.input(0)
    factors = _affine(source)
    known = source.type in ("INT8", "UINT8", "INT16") and operation.output.type == "FLOAT32"
    if not known or factors is None:
        return None
    scales, zero_points = factors
    return np.asarray(scales * (_data(operation).astype(np.float64) - zero_points), np.float32)


def _quantized(operation: Operation) -> Array | None:
    """From float32, and from integers to the same type, as TensorFlow Lite rounds them."""
    source, output = operation.input(0), operation.output
    factors, dtype = _affine(output), ACTIVATION_TYPES.get(output.type)
    if dtype is None or factors is None or source.shape != output.shape:
        return None
    low, high = INTEGER_RANGE[dtype]
    data = _data(operation)
    if source.type == "FLOAT32":
        if not np.isfinite(data).all():
            return None
        scaled = round_half_away(data / factors[0].astype(np.float32)) + factors[1]
        return np.clip(scaled, low, high).astype(dtype)
    known = _affine(source)
    if source.type != output.type or known is None or known[0].size != 1 or factors[0].size != 1:
        return None
    factor = multipliers.rescale_factor(float(known[0].item()), float(factors[0].item()))
    rescaled = requantize(
        data.astype(np.int64) - int(known[1].item()),
        *quantize_multiplier(factor),
        zero_point=int(factors[1].item()),
        minimum=low,
        maximum=high,
    )
    return rescaled.astype(dtype)


def _affine(tensor: TensorRecord) -> tuple[Array, Array] | None:
    """Scales and zero points that broadcast over the tensor; None where they are not valid."""
    scales = np.array(tensor.scales, np.float64)
    count, axis = scales.size, tensor.channel_axis
    if not count or not np.isfinite(scales).all() or (scales <= 0).any():
        return None
    low, high = INTEGER_RANGE.get(tensor.type.lower(), (0, 255))
    if not all(low <= zero_point <= high for zero_point in tensor.zero_points):
        return None
    shape = [1] * len(tensor.shape)
    if count > 1:
        if not 0 <= axis < len(shape) or tensor.shape[axis] != count:
            return None
        shape[axis] = count
    return scales.reshape(shape), np.array(tensor.zero_points, np.int64).reshape(shape)


def _shape(operation: Operation) -> Array | None:
    _require(operation, 1)
    shape = operation.input(0).shape
    return None if -1 in shape else np.array(shape, np.int64)


def _reshaped_or_flat(operation: Operation) -> Array:
    """A vector where the file leaves the shape open."""
    whole = _reshaped(operation)
    return operation.integers(0).reshape(-1) if whole is None else whole


def _cast(operation: Operation) -> Array:
    return operation.integers(0)


def _parted(operation: Operation) -> Array:
    strided = operation.record.name == "STRIDED_SLICE"
    _require(operation, 4 if strided else 3)
    part = strided_part(operation) if strided else plain_part(operation)
    x = operation.integers(0)
    for axis, (begin, size, stride) in enumerate(part.axes):
        x = x.take(range(begin, begin + size * stride, stride), axis=axis)
    return x.reshape(part.shape)


def _values(operation: Operation) -> list[Array]:
    values = [operation.integers(position) for position in range(len(operation.inputs))]
    if not values or sum(value.size for value in values) > MAX_SHAPE_ELEMENTS:
        raise operation.fail("it has no inputs, or too many elements for a shape")
    return values


def _packed(operation: Operation) -> Array:
    values = _values(operation)
    axis = normal_axis(operation, operation.option("Axis"), values[0].ndim + 1)
    if any(value.shape != values[0].shape for value in values):
        raise operation.fail("its inputs differ in shape")
    return np.stack(values, axis)


def _concatenated(operation: Operation) -> Array:
    values = _values(operation)
    axis = normal_axis(operation, operation.option("Axis"), values[0].ndim)
    rest = {(value.ndim, *value.shape[:axis], *value.shape[axis + 1 :]) for value in values}
    if len(rest) != 1:
        raise operation.fail("its inputs differ in shape")
    return np.concatenate(values, axis)


def _gathered(operation: Operation) -> Array:
    _require(operation, 2)
    x, indices = operation.integers(0), operation.integers(1)
    if x.ndim != 1 or indices.size == 0 or not (0 <= indices.min() <= indices.max() < x.size):
        raise operation.fail("it does not pick elements of a shape")
    return x[indices]


def _binary(compute: Callable[[Array, Array], Array]) -> Folder:
    def fold(operation: Operation) -> Array:
        _require(operation, 2)
        x, y = operation.integers(0), operation.integers(1)
        if x.size != 1 and y.size != 1 and x.shape != y.shape:
            raise operation.fail(f"shapes {x.shape} and {y.shape} do not match")
        if operation.record.name == "FLOOR_DIV" and not y.all():
            raise operation.fail("it divides by 0")
        return compute(x, y)

    return fold


def _product(operation: Operation) -> Array:
    _require(operation, 2)
    return np.asarray(np.prod(operation.integers(0)))


def _require(operation: Operation, count: int) -> None:
    if len(operation.inputs) != count:
        raise operation.fail(f"it has {len(operation.inputs)} inputs; it must have {count}")


CONSTANT_FOLDERS: Mapping[str, Folder] = {
    "DEQUANTIZE": _dequantized,
    "EXPAND_DIMS": _reshaped,
    "QUANTIZE": _quantized,
    "RESHAPE": _reshaped,
    "SQUEEZE": _reshaped,
    "TRANSPOSE": _transposed,
}
SHAPE_FOLDERS: Mapping[str, Folder] = {
    "ADD": _binary(np.add),
    "CAST": _cast,
    "CONCATENATION": _concatenated,
    "EXPAND_DIMS": _reshaped_or_flat,
    "FLOOR_DIV": _binary(np.floor_divide),
    "GATHER": _gathered,
    "MUL": _binary(np.multiply),
    "PACK": _packed,
    "REDUCE_PROD": _product,
    "RESHAPE": _reshaped_or_flat,
    "SHAPE": _shape,
    "SLICE": _parted,
    "SQUEEZE": _reshaped_or_flat,
    "STRIDED_SLICE": _parted,
    "SUB": _binary(np.subtract),
}
