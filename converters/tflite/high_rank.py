# SPDX-License-Identifier: Apache-2.0
"""Tensors of rank 5 to 8 that data only passes through become vectors, and their moves rank 4.

Channel shuffles, pixel shuffles and Keras' nearest-neighbour upsampling are exported as RESHAPE to a
high rank, TRANSPOSE or TILE, and RESHAPE back. The high-rank tensors are rows of bytes in between:
each is stored as (1, elements), and what moves its axes moves merged ones. Tensors that anything else
reads or writes are left as they are, and the importer names them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from edgekit.converters.tflite.operation import ACTIVATION_TYPES
from edgekit.converters.tflite.record_builder import Options, RecordBuilder
from edgekit.converters.tflite.records import ModelRecord, OperatorRecord, TensorRecord
from edgekit.ir import Shape

MAX_RANK = 4
_VIEWS = ("RESHAPE", "EXPAND_DIMS", "SQUEEZE")
_NEAREST: Options = {"AlignCorners": False, "HalfPixelCenters": True}
"""The options of RESIZE_NEAREST_NEIGHBOR with which whole factors repeat elements exactly."""


def without_high_ranks(model: ModelRecord) -> ModelRecord:
    """The same model with a higher rank than 4 only where it is needed."""
    high = _removable(model)
    return _Rewriter(model, high).model() if high else model


def _removable(model: ModelRecord) -> frozenset[int]:
    """The tensors of high rank that only operators with a rewriting touch."""
    ports = {port.tensor for port in (*model.inputs, *model.outputs)}
    high = {t.index for t in model.tensors if _is_high(t)} - ports
    moved = [op for op in model.operators if not high.isdisjoint((*op.inputs, *op.outputs))]
    while True:
        blocked = {i for op in moved if not _rewritable(model, op, high) for i in _tensors(op)}
        if high.isdisjoint(blocked):
            break
        high -= blocked
        moved = [op for op in moved if not high.isdisjoint(_tensors(op))]
    return frozenset(high)


def _is_high(tensor: TensorRecord) -> bool:
    shape = tensor.shape
    fixed = len(shape) > MAX_RANK and shape[0] == 1 and min(shape) > 0
    return fixed and tensor.data is None and tensor.type in ACTIVATION_TYPES


def _tensors(operator: OperatorRecord) -> tuple[int, ...]:
    return (*operator.inputs, *operator.outputs)


def _rewritable(model: ModelRecord, operator: OperatorRecord, high: set[int]) -> bool:
    if not operator.inputs or operator.inputs[0] < 0 or len(operator.outputs) != 1:
        return False
    source, result = model.tensors[operator.inputs[0]], model.tensors[operator.outputs[0]]
    if operator.name in _VIEWS:
        opened = -1 in source.shape or -1 in result.shape
        return _tells_shape(operator) if opened else _elements(source) == _elements(result)
    if len(operator.inputs) != 2 or not {source.index, result.index} <= high:
        return False
    values = _integers(model, operator)
    if len(values) != len(source.shape):
        return False
    if operator.name == "TRANSPOSE":
        order = sorted(values) == list(range(len(values))) and values[0] == 0
        return order and result.shape == tuple(source.shape[axis] for axis in values)
    tiled = tuple(size * count for size, count in zip(source.shape, values, strict=True))
    return operator.name == "TILE" and result.shape == tiled


def _tells_shape(operator: OperatorRecord) -> bool:
    return operator.name == "RESHAPE" and len(operator.inputs) == 2


def _integers(model: ModelRecord, operator: OperatorRecord) -> list[int]:
    """The second input where it is a constant vector of integers, or nothing."""
    index = operator.inputs[1]
    tensor = model.tensors[index] if index >= 0 else None
    if tensor is None or tensor.data is None or tensor.type not in ("INT32", "INT64"):
        return []
    return [int(value) for value in tensor.data.reshape(-1)]


def _elements(tensor: TensorRecord) -> int:
    return math.prod(tensor.shape)


class _Rewriter:
    """The operators as they are written anew; tensors of high rank are flat from the start."""

    def __init__(self, model: ModelRecord, high: frozenset[int]) -> None:
        self._model = model
        self._high = high
        self._build = RecordBuilder(model)
        for index in high:
            tensor = model.tensors[index]
            self._build.tensors[index] = dataclasses.replace(tensor, shape=(1, _elements(tensor)))

    def model(self) -> ModelRecord:
        for operator in self._model.operators:
            if self._high.isdisjoint(_tensors(operator)):
                self._build.operators.append(operator)
            elif operator.name in _VIEWS:
                self._build.operators.append(self._view(operator))
            else:
                self._move(operator)
        return self._build.model()

    def _view(self, operator: OperatorRecord) -> OperatorRecord:
        """The same bytes under the shape that the file declares, or that an input tells."""
        if _tells_shape(operator) and operator.outputs[0] not in self._high:
            return operator
        inputs = operator.inputs[:1]
        return OperatorRecord(operator.index, "RESHAPE", inputs, operator.outputs)

    def _move(self, operator: OperatorRecord) -> None:
        """A TRANSPOSE or TILE as steps of rank 4, each between two views."""
        shape = self._model.tensors[operator.inputs[0]].shape
        values = _integers(self._model, operator)
        steps = (_swaps if operator.name == "TRANSPOSE" else _repeats)(shape, values)
        result = self._model.tensors[operator.outputs[0]]
        place = operator.inputs[0]
        for step in steps:
            source = self._build.add("RESHAPE", (place,), like=result, shape=step.shape)
            told = self._build.constant(step.values, name=f"{result.name}/axes")
            inputs, options = (source, told), step.options
            place = self._build.add(
                step.name, inputs, like=result, shape=step.result, options=options
            )
        self._build.finish("RESHAPE", (place,), result=result.index)


@dataclass(frozen=True)
class _Step:
    """An operator of rank 4 from ``shape`` to ``result``, told by a constant."""

    name: str
    shape: Shape
    values: tuple[int, ...]
    result: Shape
    options: Options = field(default_factory=dict)


def _swaps(shape: Shape, order: Sequence[int]) -> list[_Step]:
    """A permutation as swaps of neighbouring blocks of axes; axes that stay together are one."""
    sizes, order = _merged(shape, order)
    steps = []
    current = list(range(len(sizes)))
    for place, axis in enumerate(order):
        at = current.index(axis)
        if at == place:
            continue
        outer, block, inner = (
            math.prod(sizes[i] for i in part)
            for part in (current[:place], current[place:at], current[at + 1 :])
        )
        steps += _exchange(outer, block, sizes[axis], inner)
        current.insert(place, current.pop(at))
    return steps


def _exchange(outer: int, first: int, second: int, inner: int) -> list[_Step]:
    """(outer, first, second, inner) -> (outer, second, first, inner)."""
    if outer == 1:
        shape, result = (1, first, second, inner), (1, second, first, inner)
        return [_Step("TRANSPOSE", shape, (0, 2, 1, 3), result)]
    steps = [_last_two(outer, first, second * inner)]
    if inner > 1:
        steps.append(_last_two(outer * second, inner, first))
    return steps


def _last_two(outer: int, first: int, second: int) -> _Step:
    shape, result = (1, outer, first, second), (1, outer, second, first)
    return _Step("TRANSPOSE", shape, (0, 1, 3, 2), result)


def _merged(shape: Shape, order: Sequence[int]) -> tuple[list[int], list[int]]:
    """Sizes and permutation without axes of 1, with neighbours that stay neighbours as one axis."""
    kept = [axis for axis in order if shape[axis] > 1]
    blocks: list[list[int]] = []
    ranks = {axis: rank for rank, axis in enumerate(sorted(kept))}
    for axis in kept:
        if blocks and ranks[axis] == ranks[blocks[-1][-1]] + 1:
            blocks[-1].append(axis)
        else:
            blocks.append([axis])
    placed = sorted(blocks)
    sizes = [math.prod(shape[axis] for axis in block) for block in placed]
    return sizes, [placed.index(block) for block in blocks]


def _repeats(shape: Shape, multiples: Sequence[int]) -> list[_Step]:
    """A TILE axis by axis; repeated elements or rows are a resize, which can run row by row."""
    steps = []
    sizes = list(shape)
    for axis, count in enumerate(multiples):
        if count == 1:
            continue
        outer, inner = math.prod(sizes[:axis]), math.prod(sizes[axis + 1 :])
        channels = sizes[-1] if axis < len(sizes) - 1 else 1
        if sizes[axis] == 1 and inner == channels:
            width = sizes[axis - 1]
            steps.append(_nearest((1, outer // width, width, inner), (1, count)))
        elif sizes[axis] == 1:
            steps.append(_nearest((1, outer, inner // channels, channels), (count, 1)))
        else:
            steps.append(_tile((1, outer, sizes[axis], inner), count))
        sizes[axis] *= count
    return steps


def _nearest(shape: Shape, factors: tuple[int, int]) -> _Step:
    height, width = shape[1] * factors[0], shape[2] * factors[1]
    result = (1, height, width, shape[3])
    return _Step("RESIZE_NEAREST_NEIGHBOR", shape, (height, width), result, _NEAREST)


def _tile(shape: Shape, count: int) -> _Step:
    result = (*shape[:2], shape[2] * count, shape[3])
    return _Step("TILE", shape, (1, 1, count, 1), result)
