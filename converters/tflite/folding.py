# SPDX-License-Identifier: Apache-2.0
"""Shape arithmetic of TFLite models, computed at import: SHAPE -> STRIDED_SLICE -> PACK -> RESHAPE.

Models that were exported with a dynamic batch compute their shapes while they run. With the batch
fixed, all of it is known, and what reads it sees constants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from edgekit.converters.tflite.operation import Operation
from edgekit.converters.tflite.parts import normal_axis, plain_part, strided_part
from edgekit.ir import Array

MAX_ELEMENTS = 64
"""Larger integer tensors are no shapes."""
_INTEGERS: Mapping[str, str] = {"INT32": "int32", "INT64": "int64"}


def folded_value(operation: Operation) -> Array | None:
    """The result of an operator over small integers that are all known, or None.

    Raises:
        BadInputError: the operator contradicts itself.
    """
    fold = _FOLDERS.get(operation.record.name)
    if fold is None or len(operation.outputs) != 1 or operation.output.type not in _INTEGERS:
        return None
    if operation.record.name != "SHAPE":
        for tensor in operation.inputs:
            if tensor is None or tensor.data is None or tensor.type not in _INTEGERS:
                return None
            if tensor.data.size > MAX_ELEMENTS:
                return None
    value = fold(operation)
    return None if value is None else np.asarray(value).astype(_INTEGERS[operation.output.type])


def _shape(operation: Operation) -> Array | None:
    if len(operation.inputs) != 1:
        raise operation.fail(f"it has {len(operation.inputs)} inputs; it must have 1")
    shape = operation.input(0).shape
    return None if -1 in shape else np.array(shape, np.int64)


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
    if not values or sum(value.size for value in values) > MAX_ELEMENTS:
        raise operation.fail("it has no inputs, or too many elements for a shape")
    return values


def _pack(operation: Operation) -> Array:
    values = _values(operation)
    axis = normal_axis(operation, operation.option("Axis"), values[0].ndim + 1)
    if any(value.shape != values[0].shape for value in values):
        raise operation.fail("its inputs differ in shape")
    return np.stack(values, axis)


def _concatenation(operation: Operation) -> Array:
    values = _values(operation)
    if any(value.ndim != 1 for value in values):
        raise operation.fail("the shapes that it joins must be vectors")
    return np.concatenate(values)


def _gather(operation: Operation) -> Array:
    _require(operation, 2)
    x, indices = operation.integers(0), operation.integers(1)
    if x.ndim != 1 or indices.size == 0 or not (0 <= indices.min() <= indices.max() < x.size):
        raise operation.fail("it does not pick elements of a shape")
    return x[indices]


def _reshaped(operation: Operation) -> Array:
    x = operation.integers(0)
    return x.reshape(()) if operation.output.shape == () and x.size == 1 else x.reshape(-1)


def _binary(compute: Callable[[Array, Array], Array]) -> Callable[[Operation], Array]:
    def fold(operation: Operation) -> Array:
        _require(operation, 2)
        x, y = operation.integers(0), operation.integers(1)
        if x.size != 1 and y.size != 1 and x.shape != y.shape:
            raise operation.fail(f"shapes {x.shape} and {y.shape} do not match")
        if operation.record.name in ("DIV", "FLOOR_DIV") and not y.all():
            raise operation.fail("it divides by 0")
        return compute(x, y)

    return fold


def _product(operation: Operation) -> Array:
    _require(operation, 2)
    return np.asarray(np.prod(operation.integers(0)))


def _require(operation: Operation, count: int) -> None:
    if len(operation.inputs) != count:
        raise operation.fail(f"it has {len(operation.inputs)} inputs; it must have {count}")


_FOLDERS: Mapping[str, Callable[[Operation], Array | None]] = {
    "ADD": _binary(np.add),
    "CAST": _reshaped,
    "CONCATENATION": _concatenation,
    "EXPAND_DIMS": _reshaped,
    "FLOOR_DIV": _binary(np.floor_divide),
    "GATHER": _gather,
    "MUL": _binary(np.multiply),
    "PACK": _pack,
    "REDUCE_PROD": _product,
    "RESHAPE": _reshaped,
    "SHAPE": _shape,
    "SLICE": _parted,
    "SQUEEZE": _reshaped,
    "STRIDED_SLICE": _parted,
    "SUB": _binary(np.subtract),
}
