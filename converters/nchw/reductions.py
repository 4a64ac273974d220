# SPDX-License-Identifier: Apache-2.0
"""Sums, means, extrema and searches along axes of the source."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from edgekit.converters.nchw.graph import Activation, RefusalError, SourceCall, storage_shape
from edgekit.converters.nchw.parts import storage_axis
from edgekit.ir import Shape
from edgekit.ops.argmax import Argmax
from edgekit.ops.lookup import Lookup
from edgekit.ops.max_pool2d import MaxPool2d
from edgekit.ops.mean import Mean
from edgekit.ops.reshape import Reshape
from edgekit.ops.sum import Sum
from edgekit.ops.transpose import Transpose
from edgekit.window import Axis, Window


def mean(call: SourceCall, x: Activation, axes: Sequence[int], *, keep_dims: bool) -> Activation:
    """The mean over the given axes, which count from the front."""
    rank, axes = len(x.shape), tuple(sorted(axes))
    if rank == 4 and axes in ((2, 3), (2,), (3,)):
        keep = keep_dims or axes != (2, 3)
        kept = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
        storage_axes = tuple(axis - 1 for axis in axes)
        tensor = call.builder.node("mean", [x.tensor], Mean(storage_axes, keep))
        return call.builder.reshape(Activation(tensor, kept if keep else x.shape[:2]), call.shape)
    if rank == 3 and axes in ((1,), (2,)):
        tensor = x.tensor
        if axes == (2,):
            tensor = call.builder.node("transpose", [tensor], Transpose((0, 2, 1)))
        tensor = call.builder.node("mean", [tensor], Mean((1,), keep_dims=False))
        result = Activation(tensor, (x.shape[0], x.shape[3 - axes[0]]))
        return call.builder.reshape(result, call.shape)
    return reduced(call, x, axes, op="mean", attributes=Mean)


def reduced(
    call: SourceCall,
    x: Activation,
    axes: Sequence[int],
    *,
    op: str,
    attributes: Callable[[tuple[int, ...], bool], Any],
) -> Activation:
    """A reduction over axes that lie side by side, in storage or in the source's order."""
    stored = _stored_axes(call, x, axes)
    return stored.result(
        call, call.builder.node(op, [stored.tensor], attributes(stored.axes, True))
    )


@dataclass(frozen=True)
class _StoredAxes:
    """A tensor in which the axes of a reduction lie side by side; ``kept`` is the source's shape
    with 1 in their place."""

    tensor: str
    shape: Shape
    axes: tuple[int, ...]
    kept: Shape
    in_source_order: bool

    def result(self, call: SourceCall, tensor: str) -> Activation:
        """What the call returns, of a tensor like this one with 1 for every axis of the reduction."""
        if self.in_source_order:
            return call.builder.reshape(call.builder.from_source_order(tensor), call.shape)
        return call.builder.reshape(Activation(tensor, self.kept), call.shape)


def _stored_axes(call: SourceCall, x: Activation, axes: Sequence[int]) -> _StoredAxes:
    rank = len(x.shape)
    dims = sorted({axis % rank for axis in axes if x.shape[axis % rank] != 1}) or [rank - 1]
    kept = tuple(1 if dim in dims else size for dim, size in enumerate(x.shape))
    stored = tuple(sorted(storage_axis(dim, rank) for dim in dims))
    if _side_by_side(stored):
        return _StoredAxes(x.tensor, storage_shape(x.shape), stored, kept, in_source_order=False)
    if _side_by_side(dims):
        ordered = call.builder.in_source_order(x)
        return _StoredAxes(ordered, x.shape, tuple(dims), kept, in_source_order=True)
    raise RefusalError(
        f"dim={tuple(dims)} of shape {x.shape} is not supported; use dim=(2, 3) of a 4-D map"
    )


def _side_by_side(axes: Sequence[int]) -> bool:
    return axes[0] > 0 and list(axes) == list(range(axes[0], axes[-1] + 1))


def euclidean_length(
    call: SourceCall, x: Activation, axes: Sequence[int], *, shape: Shape
) -> Activation:
    """The square root of the sum of squares over the given axes, with the given shape.

    A map divided by it is fused (converters/legalize/normalizations.py).
    """
    squares = Activation(call.builder.node("lookup", [x.tensor], Lookup("square")), x.shape)
    call = dataclasses.replace(call, shape=shape)
    total = reduced(call, squares, axes, op="sum", attributes=Sum)
    return call.node("lookup", [total.tensor], Lookup("sqrt"))


def maximum(call: SourceCall, x: Activation, axes: Sequence[int]) -> Activation:
    """The input seen as (outer, count, inner), and a maximum over windows of count."""
    stored = _stored_axes(call, x, axes)
    first, last = stored.axes[0], stored.axes[-1] + 1
    outer, inner = math.prod(stored.shape[:first]), math.prod(stored.shape[last:])
    count = math.prod(stored.shape[first:last])
    view = call.builder.node("reshape", [stored.tensor], Reshape((1, outer, count, inner)))
    window = Window(Axis(1), Axis(count, count))
    pooled = call.builder.node("max_pool2d", [view], MaxPool2d(window))
    shape = tuple(1 if axis in stored.axes else size for axis, size in enumerate(stored.shape))
    return stored.result(call, call.builder.node("reshape", [pooled], Reshape(shape)))


def search(
    call: SourceCall, x: Activation, axis: int, *, keep_dims: bool, of_least: bool
) -> Activation:
    """The index of the largest or least value along an axis, the first of equal ones."""
    rank = len(x.shape)
    if keep_dims or axis == 1:
        stored = Argmax(storage_axis(axis, rank), of_least)
        tensor = call.builder.node("argmax", [x.tensor], stored)
        if not keep_dims:
            return Activation(tensor, call.shape)
        return call.node("reshape", [tensor], Reshape(storage_shape(call.shape)))
    return call.node("argmax", [call.builder.in_source_order(x)], Argmax(axis, of_least))
