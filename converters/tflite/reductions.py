# SPDX-License-Identifier: Apache-2.0
"""What MEAN, SUM, REDUCE_MAX and REDUCE_MIN become: over any axes, by views and transposes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edgekit.converters.tflite import multipliers
from edgekit.converters.tflite.operation import Mapped, Operand, Operation
from edgekit.ir import Shape
from edgekit.ops._pooling import PoolArithmetic
from edgekit.ops.max_pool2d import MaxPool2d
from edgekit.ops.mean import Mean, MeanArithmetic
from edgekit.ops.reduce_min import ReduceMin, ReduceMinArithmetic
from edgekit.ops.reshape import Reshape, ReshapeArithmetic
from edgekit.ops.sum import Sum, SumArithmetic
from edgekit.ops.transpose import Transpose, TransposeArithmetic
from edgekit.window import Axis, Window

Source = Operand | Mapped
Reduce = Callable[[Source, Shape, tuple[int, ...], bool], Mapped]
"""A node over adjacent axes behind the batch: (input, its shape, axes, whether they stay as 1)."""


@dataclass(frozen=True)
class _Run:
    """Neighbouring axes that are all reduced, or all kept, as one."""

    reduced: bool
    size: int


def _axes(operation: Operation) -> tuple[int, ...]:
    rank = len(operation.input(0).shape)
    values = operation.integers(1).reshape(-1)
    if values.size == 0 or values.size > 8 or values.min() < -rank or values.max() >= rank:
        raise operation.fail(f"its axes do not fit an input of rank {rank}")
    return tuple(sorted({int(axis) % rank for axis in values}))


def _reduced_shape(shape: Shape, axes: tuple[int, ...], *, keep: bool) -> Shape:
    sizes = [1 if axis in axes else size for axis, size in enumerate(shape)]
    return tuple(size for axis, size in enumerate(sizes) if keep or axis not in axes)


def _reduction(operation: Operation, reduce: Reduce, *, in_steps: bool) -> Mapped:
    """One node where the axes are adjacent, else views around it.

    in_steps: over two runs of axes, one after the other gives what both together do.
    """
    shape, axes = operation.input(0).shape, _axes(operation)
    keep = bool(operation.option("KeepDims"))
    wanted = _reduced_shape(shape, axes, keep=keep)
    x = operation.activation(0)
    inner = axes[1:] if axes[0] == 0 and shape[0] == 1 else axes
    if inner and inner[0] > 0 and inner == tuple(range(inner[0], inner[-1] + 1)):
        node = reduce(x, shape, inner, keep)
        same = wanted == _reduced_shape(shape, inner, keep=keep)
        return node if same else _viewed(node, wanted)
    runs = _runs(shape, axes)
    reduced = [position for position, run in enumerate(runs) if run.reduced]
    sizes = tuple(run.size for run in runs)
    if len(reduced) < 2:
        position = reduced[0] if reduced else len(runs)
        view = (1, math.prod(sizes[:position]), *(sizes[position:] or (1,)))
        return _viewed(reduce(_viewed(x, view), view, (2,), False), wanted)
    first, kept, last = sizes  # more runs take more than three axes behind the batch
    return _viewed(_around(x, (1, first, kept, last), reduce, in_steps=in_steps), wanted)


def _around(x: Source, shape: Shape, reduce: Reduce, *, in_steps: bool) -> Mapped:
    """Over the first and the last axis of (1, first, kept, last)."""
    viewed = _viewed(x, shape)
    if in_steps:
        return reduce(reduce(viewed, shape, (3,), False), shape[:3], (1,), False)
    permutation = (0, 2, 1, 3)
    swapped = Mapped(
        "transpose", Transpose(permutation), TransposeArithmetic(), (viewed,), viewed.quantization
    )
    return reduce(swapped, tuple(shape[axis] for axis in permutation), (2, 3), False)


def _runs(shape: Shape, axes: tuple[int, ...]) -> list[_Run]:
    """The axes that are longer than 1, neighbours of one kind together."""
    kinds = [(axis in axes, size) for axis, size in enumerate(shape) if size > 1]
    groups = itertools.groupby(kinds, key=lambda kind: kind[0])
    return [_Run(reduced, math.prod(size for _, size in group)) for reduced, group in groups]


def _viewed(x: Source, shape: Shape) -> Mapped:
    return Mapped("reshape", Reshape(shape), ReshapeArithmetic(), (x,), x.quantization)


def _mean(operation: Operation) -> Mapped:
    operation.require(inputs=(2,))
    operation.require_one_type()
    result = operation.output_quantization()
    source = operation.quantization(operation.input(0))
    multiplier, shift = operation.multiplier(multipliers.rescale_factor(source.scale, result.scale))
    arithmetic = MeanArithmetic(
        multiplier=multiplier,
        shift=shift,
        input_zero_point=source.zero_point,
        output_zero_point=result.zero_point,
    )

    def reduce(x: Source, shape: Shape, axes: tuple[int, ...], keep: bool) -> Mapped:
        return Mapped("mean", Mean(axes, keep), arithmetic, (x,), result)

    return _reduction(operation, reduce, in_steps=False)


def _sum(operation: Operation) -> Mapped:
    operation.require(inputs=(2,))
    operation.require_int8()
    operation.require_one_type()
    result = operation.output_quantization()
    source = operation.quantization(operation.input(0))
    factor = operation.multiplier(multipliers.rescale_factor(source.scale, result.scale))
    arithmetic = SumArithmetic(*factor, source.zero_point, result.zero_point)

    def reduce(x: Source, shape: Shape, axes: tuple[int, ...], keep: bool) -> Mapped:
        return Mapped("sum", Sum(axes, keep), arithmetic, (x,), result)

    return _reduction(operation, reduce, in_steps=False)


def _reduce_max(operation: Operation) -> Mapped:
    """The input seen as (outer, count, inner), and a maximum over windows of count."""
    operation.require(inputs=(2,))
    quantization = operation.shared_quantization()
    arithmetic = PoolArithmetic(quantization.zero_point, *operation.clamp_range())

    def reduce(x: Source, shape: Shape, axes: tuple[int, ...], keep: bool) -> Mapped:
        outer, inner = math.prod(shape[: axes[0]]), math.prod(shape[axes[-1] + 1 :])
        count = math.prod(shape[axis] for axis in axes)
        view = _viewed(x, (1, outer, count, inner))
        attributes = MaxPool2d(Window(Axis(1), Axis(count, count)))
        pooled = Mapped("max_pool2d", attributes, arithmetic, (view,), quantization)
        return _viewed(pooled, _reduced_shape(shape, axes, keep=keep))

    return _reduction(operation, reduce, in_steps=True)


def _reduce_min(operation: Operation) -> Mapped:
    operation.require(inputs=(2,))
    quantization = operation.shared_quantization()

    def reduce(x: Source, shape: Shape, axes: tuple[int, ...], keep: bool) -> Mapped:
        attributes = ReduceMin(axes, keep)
        return Mapped("reduce_min", attributes, ReduceMinArithmetic(), (x,), quantization)

    return _reduction(operation, reduce, in_steps=True)


REDUCTION_MAPPINGS: Mapping[str, Callable[[Operation], Mapped]] = {
    "MEAN": _mean,
    "REDUCE_MAX": _reduce_max,
    "REDUCE_MIN": _reduce_min,
    "SUM": _sum,
}
"""The operators of this file."""
