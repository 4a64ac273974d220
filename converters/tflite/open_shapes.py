# SPDX-License-Identifier: Apache-2.0
"""Shapes that a TFLite file leaves open (-1): what they become once the batch is fixed at 1."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from edgekit.converters.tflite.operation import Operation
from edgekit.converters.tflite.records import TensorRecord
from edgekit.ir import MAX_ELEMENTS, Shape

_SHAPE_INPUT = {"RESHAPE": 1, "TRANSPOSE_CONV": 0}
"""Operators that are told the shape of their output, and the input that tells it."""


def agrees(declared: Shape, computed: Shape) -> bool:
    """Whether a computed shape fits a declared one, whose open sizes are -1."""
    if len(declared) != len(computed):
        return False
    return all(want in (-1, have) for want, have in zip(declared, computed, strict=True))


def declared_shape(tensor: TensorRecord) -> Shape:
    """The shape that the file declares, with -1 for every size that it leaves open."""
    return (-1, *tensor.shape[1:]) if tensor.open_batch else tensor.shape


def without_open_sizes(tensor: TensorRecord) -> TensorRecord:
    """The record with 1 for every open size."""
    if -1 not in tensor.shape:
        return tensor
    return dataclasses.replace(tensor, shape=tuple(max(size, 1) for size in tensor.shape))


def with_declared_shape(operation: Operation) -> Operation:
    """The operation with the output shape that its own constant input states, where it is open."""
    position = _SHAPE_INPUT.get(operation.record.name)
    if position is None or len(operation.outputs) != 1 or position >= len(operation.inputs):
        return operation
    shape, source = operation.inputs[position], operation.inputs[0]
    if (
        shape is None
        or shape.data is None
        or source is None
        or shape.type not in ("INT32", "INT64")
    ):
        return operation
    wanted: Shape | None = tuple(operation.integers(position).reshape(-1).tolist())
    if operation.record.name == "RESHAPE":
        wanted = reshaped(source.shape, operation.integers(position).reshape(-1).tolist())
    declared = operation.output.shape
    opened = (-1, *declared[1:]) if declared[:1] == (1,) else declared  # 1 may stand for -1
    if wanted is None or min(wanted, default=1) < 1 or not agrees(opened, wanted):
        return operation
    record = dataclasses.replace(operation.output, shape=wanted)
    return dataclasses.replace(operation, outputs=(record,))


def reshaped(source: Sequence[int], wanted: Sequence[int]) -> Shape | None:
    """The shape that RESHAPE makes of ``source``, whose -1 is what remains; None if there is none."""
    total = math.prod(source)
    known = math.prod(size for size in wanted if size != -1)
    if list(wanted).count(-1) > 1 or not 0 < known <= MAX_ELEMENTS or min(wanted, default=1) < -1:
        return None
    shape = tuple(total // known if size == -1 else size for size in wanted)
    return shape if math.prod(shape) == total else None
