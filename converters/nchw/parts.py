# SPDX-License-Identifier: Apache-2.0
"""Taking tensors apart, joining them, repeating them: along axes of the source."""

from __future__ import annotations

from collections.abc import Sequence

from edgekit.converters.index_runs import equal_steps
from edgekit.converters.nchw.graph import (
    TO_STORAGE,
    Activation,
    Parameter,
    RefusalError,
    Regrouped,
    SourceCall,
    storage_shape,
)
from edgekit.ops.concat import Concat
from edgekit.ops.slice import axis_slice
from edgekit.ops.tile import Tile
from edgekit.ops.transpose import Transpose

MAX_RUNS = 16
"""Slices that an index with constants may become."""


def storage_axis(axis: int, rank: int) -> int:
    """The axis of the stored tensor for an axis of the source, which may count from the back."""
    axis %= rank
    return TO_STORAGE.index(axis) if rank == 4 else axis


def part(call: SourceCall, x: Activation, dim: int, run: tuple[int, int, int]) -> Activation:
    """``size`` indices from ``begin`` in steps (begin, size, step), along one axis."""
    rank = len(x.shape)
    begin, size, step = run
    if size < 1:
        raise RefusalError(f"it takes an empty part of shape {x.shape} along dim={dim}")
    dim %= rank
    if run == (0, x.shape[dim], 1):
        return x
    if isinstance(x, Regrouped):
        return _taken(call, x, dim, run)
    axis = storage_axis(dim, rank)
    attributes = axis_slice(storage_shape(x.shape), axis, begin, size, step)
    shape = (*x.shape[:dim], size, *x.shape[dim + 1 :])
    return Activation(call.builder.node("slice", [x.tensor], attributes), shape)


def _taken(call: SourceCall, x: Regrouped, dim: int, run: tuple[int, int, int]) -> Regrouped:
    """One index along an axis of a view of more than four axes."""
    begin, size, _ = run
    found = x.moves.taken(dim, begin) if size == 1 else None
    if found is None:
        raise RefusalError(f"it takes {size} of dim={dim} of rank {len(x.shape)}; use rank 4")
    moves, axis, indices = found
    stored = call.builder.tensors[x.tensor].shape
    attributes = axis_slice(stored, axis, indices.start, len(indices), indices.step)
    shape = (*x.shape[:dim], 1, *x.shape[dim + 1 :])
    return Regrouped(call.builder.node("slice", [x.tensor], attributes), shape, moves)


def cut(call: SourceCall, x: Activation, dim: int, sizes: Sequence[int]) -> list[Activation]:
    """Consecutive parts along one axis."""
    begins = [sum(sizes[:i]) for i in range(len(sizes))]
    return [part(call, x, dim, (begin, size, 1)) for begin, size in zip(begins, sizes, strict=True)]


def joined(call: SourceCall, parts: Sequence[Activation | Parameter], dim: int) -> Activation:
    """The parts side by side along one axis."""
    if len(parts) == 1 and isinstance(parts[0], Activation):
        return parts[0]
    rank = len(parts[0].shape)
    dim %= rank
    names = [_tensor(call, part) for part in parts]
    tensor = call.builder.node("concat", names, Concat(storage_axis(dim, rank)))
    size = sum(part.shape[dim] for part in parts)
    return Activation(tensor, (*parts[0].shape[:dim], size, *parts[0].shape[dim + 1 :]))


def _tensor(call: SourceCall, part: Activation | Parameter) -> str:
    if isinstance(part, Activation):
        return part.tensor
    data = part.data.transpose(TO_STORAGE) if part.data.ndim == 4 else part.data
    return call.builder.constant(part.name, data)


def picked(call: SourceCall, x: Activation, dim: int, indices: Sequence[int]) -> Activation:
    """Constant indices along one axis; those of equal steps are one slice."""
    runs = equal_steps([index % x.shape[dim] for index in indices])
    if len(runs) > MAX_RUNS:
        raise RefusalError(f"the indices form {len(runs)} slices; at most {MAX_RUNS}")
    return joined(call, [part(call, x, dim, run) for run in runs], dim)


def tiled(call: SourceCall, x: Activation) -> Activation:
    """Copies along axes up to the shape of the call, new axes in front."""
    rank = len(call.shape)
    source = (1,) * (rank - len(x.shape)) + x.shape
    x = call.builder.reshape(x, source)
    multiples = tuple(want // have for want, have in zip(call.shape, source, strict=True))
    if set(multiples) == {1}:
        return x
    stored = tuple(multiples[axis] for axis in TO_STORAGE) if rank == 4 else multiples
    return call.node("tile", [x.tensor], Tile(stored))


def permuted(call: SourceCall, x: Activation, order: tuple[int, ...]) -> Activation:
    """Axis i of the result is axis ``order[i]`` of ``x``."""
    if isinstance(x, Regrouped):
        return x.transposed(order)
    if len(order) > 4:
        raise RefusalError(f"rank {len(order)} is not supported; up to 4")
    if len(order) == 4:  # storage axis i of the result holds source axis order[TO_STORAGE[i]] of x
        order = tuple(TO_STORAGE.index(order[axis]) for axis in TO_STORAGE)
    return call.node("transpose", [x.tensor], Transpose(order))
