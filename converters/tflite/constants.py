# SPDX-License-Identifier: Apache-2.0
"""Operators over constants are computed when a file is read: their results are constants too.

Files keep weights that were reshaped, transposed or quantized again. What is not listed, or not of
these forms, stays for the mappings.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from edgekit.arith import quantize_multiplier, requantize, round_half_away
from edgekit.converters.tflite import multipliers
from edgekit.converters.tflite.operation import ACTIVATION_TYPES
from edgekit.converters.tflite.reader import ABSENT, ModelRecord, OperatorRecord, TensorRecord
from edgekit.errors import BadInputError
from edgekit.ir import INTEGER_RANGE, Array
from edgekit.limits import MAX_FOLDED_BYTES

Folder = Callable[[OperatorRecord, Sequence[TensorRecord], TensorRecord], Array | None]
"""The data of the result from the records of inputs and output, or None for another form."""


def fold_constants(model: ModelRecord) -> ModelRecord:
    """The same model with fewer operators and more constants.

    Raises:
        BadInputError: a result does not have the shape that the file declares.
    """
    tensors = list(model.tensors)
    ports = {port.tensor for port in (*model.inputs, *model.outputs)}
    kept, budget_bytes = [], MAX_FOLDED_BYTES
    for operator in model.operators:
        data = None
        if len(operator.outputs) == 1 and ports.isdisjoint(operator.outputs):
            data = _folded(operator, tensors, budget_bytes)
        if data is None:
            kept.append(operator)
            continue
        budget_bytes -= data.nbytes
        data.setflags(write=False)
        index = operator.outputs[0]
        tensors[index] = dataclasses.replace(tensors[index], data=data)
    return dataclasses.replace(model, tensors=tuple(tensors), operators=tuple(kept))


def _folded(
    operator: OperatorRecord, tensors: Sequence[TensorRecord], budget_bytes: int
) -> Array | None:
    folder = FOLDERS.get(operator.name)
    if folder is None or not operator.inputs or ABSENT in operator.inputs:
        return None
    inputs, output = [tensors[i] for i in operator.inputs], tensors[operator.outputs[0]]
    if any(t.peculiarity for t in (*inputs, output)) or output.data is not None:
        return None
    sizes_bytes = [t.data.nbytes for t in inputs if t.data is not None]
    if len(sizes_bytes) < len(inputs) or 4 * sum(sizes_bytes) > budget_bytes:
        return None
    data = folder(operator, inputs, output)
    if data is not None and data.shape != output.shape:
        raise BadInputError(
            f"{operator.name} '{output.name}': it computes shape {data.shape}, but its output has "
            f"{output.shape}"
        )
    return data


def _data(tensor: TensorRecord) -> Array:
    assert tensor.data is not None
    return tensor.data


def _reshape(
    operator: OperatorRecord, inputs: Sequence[TensorRecord], output: TensorRecord
) -> Array | None:
    """RESHAPE, SQUEEZE, EXPAND_DIMS: the file declares the shape."""
    data = _data(inputs[0])
    if inputs[0].type != output.type or data.size != np.prod(output.shape, dtype=np.int64):
        return None
    return np.array(data.reshape(output.shape))


def _transpose(
    operator: OperatorRecord, inputs: Sequence[TensorRecord], output: TensorRecord
) -> Array | None:
    if len(inputs) != 2 or inputs[0].type != output.type:
        return None
    order = [int(axis) for axis in _data(inputs[1]).reshape(-1)]
    if sorted(order) != list(range(len(inputs[0].shape))):
        return None
    return np.array(_data(inputs[0]).transpose(order), order="C")


def _dequantize(
    operator: OperatorRecord, inputs: Sequence[TensorRecord], output: TensorRecord
) -> Array | None:
    source = inputs[0]
    if source.type not in ("INT8", "UINT8", "INT16") or output.type != "FLOAT32":
        return None
    factors = _affine(source)
    if factors is None:
        return None
    scales, zero_points = factors
    return np.asarray(scales * (_data(source).astype(np.float64) - zero_points), np.float32)


def _quantize(
    operator: OperatorRecord, inputs: Sequence[TensorRecord], output: TensorRecord
) -> Array | None:
    """From float32, and from integers to the same type, as TensorFlow Lite rounds them."""
    source, factors = inputs[0], _affine(output)
    dtype = ACTIVATION_TYPES.get(output.type)
    if dtype is None or factors is None or source.shape != output.shape:
        return None
    low, high = INTEGER_RANGE[dtype]
    if source.type == "FLOAT32":
        data = _data(source)
        if not np.isfinite(data).all():
            return None
        scaled = round_half_away(data / factors[0].astype(np.float32)) + factors[1]
        return np.clip(scaled, low, high).astype(dtype)
    known = _affine(source)
    if source.type != output.type or known is None or known[0].size != 1 or factors[0].size != 1:
        return None
    factor = multipliers.rescale_factor(float(known[0].item()), float(factors[0].item()))
    rescaled = requantize(
        _data(source).astype(np.int64) - int(known[1].item()),
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


FOLDERS: Mapping[str, Folder] = {
    "DEQUANTIZE": _dequantize,
    "EXPAND_DIMS": _reshape,
    "QUANTIZE": _quantize,
    "RESHAPE": _reshape,
    "SQUEEZE": _reshape,
    "TRANSPOSE": _transpose,
}
