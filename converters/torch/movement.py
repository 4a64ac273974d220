# SPDX-License-Identifier: Apache-2.0
"""ATen operators that take tensors apart, join them, multiply, reduce or search them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edgekit.converters.index_runs import equal_steps
from edgekit.converters.torch.builder import (
    TO_STORAGE,
    Activation,
    Parameter,
    RefusalError,
    TorchCall,
    storage_shape,
)
from edgekit.ir import Array
from edgekit.ops.argmax import Argmax
from edgekit.ops.batch_matmul import BatchMatmul
from edgekit.ops.concat import Concat
from edgekit.ops.max_pool2d import MaxPool2d
from edgekit.ops.reshape import Reshape
from edgekit.ops.slice import axis_slice
from edgekit.ops.sum import Sum
from edgekit.ops.tile import Tile
from edgekit.ops.transpose import Transpose
from edgekit.window import Axis, Window

Mapper = Callable[[TorchCall], Activation | tuple[Activation, ...]]
SEARCHES = ("argmax", "argmin")
"""Operators whose results are indices."""
MAX_RUNS = 16
"""Slices that an index with constants may become."""


def storage_axis(axis: int, rank: int) -> int:
    """The axis of the stored tensor for an axis of PyTorch's, which may count from the back."""
    axis %= rank
    return TO_STORAGE.index(axis) if rank == 4 else axis


def _part(call: TorchCall, x: Activation, dim: int, run: tuple[int, int, int]) -> Activation:
    """``size`` indices from ``begin`` in steps, along one of PyTorch's axes."""
    rank = len(x.shape)
    begin, size, step = run
    if size < 1:
        raise RefusalError(f"it takes an empty part of shape {x.shape} along dim={dim}")
    dim %= rank
    if run == (0, x.shape[dim], 1):
        return x
    axis = storage_axis(dim, rank)
    attributes = axis_slice(storage_shape(x.shape), axis, begin, size, step)
    shape = (*x.shape[:dim], size, *x.shape[dim + 1 :])
    return Activation(call.builder.node("slice", [x.tensor], attributes), shape)


def _joined(call: TorchCall, parts: Sequence[Activation | Parameter], dim: int) -> Activation:
    """The parts side by side along one of PyTorch's axes."""
    if len(parts) == 1 and isinstance(parts[0], Activation):
        return parts[0]
    rank = len(parts[0].shape)
    dim %= rank
    names = [_tensor(call, part) for part in parts]
    tensor = call.builder.node("concat", names, Concat(storage_axis(dim, rank)))
    size = sum(part.shape[dim] for part in parts)
    return Activation(tensor, (*parts[0].shape[:dim], size, *parts[0].shape[dim + 1 :]))


def _tensor(call: TorchCall, part: Activation | Parameter) -> str:
    if isinstance(part, Activation):
        return part.tensor
    data = part.data.transpose(TO_STORAGE) if part.data.ndim == 4 else part.data
    return call.builder.constant(part.name, data)


def _parts_of(call: TorchCall, name: str) -> list[Activation | Parameter]:
    """A list of tensors; empty ones of shape (0,) count for nothing, as torch.cat has it."""
    parts = [part for part in call[name] if part.shape != (0,)]
    if not all(isinstance(part, Activation | Parameter) for part in parts):
        raise RefusalError("only tensors can be joined")
    return parts


def _cat(call: TorchCall) -> Activation:
    return _joined(call, _parts_of(call, "tensors"), call["dim"])


def _stack(call: TorchCall) -> Activation:
    """Every part gains an axis of 1, along which they are joined."""
    parts = _parts_of(call, "tensors")
    dim = call["dim"] % len(call.shape)
    if len(call.shape) > 4 or (len(call.shape) == 4 and dim == 0):
        raise RefusalError(f"its result has shape {call.shape}; stack tensors of rank 3 at most")
    shape = (*call.shape[:dim], 1, *call.shape[dim + 1 :])
    longer: list[Activation | Parameter] = []
    for part in parts:
        if isinstance(part, Activation):
            longer.append(call.builder.reshape(part, shape))
        else:
            longer.append(Parameter(part.name, part.data.reshape(shape)))
    return _joined(call, longer, dim)


def _slice(call: TorchCall) -> Activation:
    x = call.activation("self")
    dim, step = call["dim"] % len(x.shape), call["step"]
    indices = range(*slice(call["start"], call["end"], step).indices(x.shape[dim]))
    return _part(call, x, dim, (indices.start, len(indices), step))


def _narrow(call: TorchCall) -> Activation:
    x = call.activation("self")
    dim = call["dim"] % len(x.shape)
    start = call["start"]
    if not isinstance(start, int):
        raise RefusalError("its start is computed; use a number")
    return _part(call, x, dim, (start % x.shape[dim], call["length"], 1))


def _select(call: TorchCall) -> Activation:
    x = call.activation("self")
    dim = call["dim"] % len(x.shape)
    taken = _part(call, x, dim, (call["index"] % x.shape[dim], 1, 1))
    return call.builder.reshape(taken, call.shape)


def _split(call: TorchCall) -> tuple[Activation, ...]:
    """chunk, split, tensor_split and unbind: the shapes of the results say where to cut."""
    x = call.activation("self")
    rank = len(x.shape)
    dim = call.arguments.get("dim", 0) % rank
    sizes = [shape[dim] if len(shape) == rank else 1 for shape in call.shapes]
    begins = [sum(sizes[:i]) for i in range(len(sizes))]
    parts = [
        _part(call, x, dim, (begin, size, 1)) for begin, size in zip(begins, sizes, strict=True)
    ]
    return tuple(
        call.builder.reshape(part, shape) for part, shape in zip(parts, call.shapes, strict=True)
    )


def _index(call: TorchCall) -> Activation:
    """x[:, [0, 2, 4]] with constant indices along one axis."""
    x = call.activation("self")
    found = [(dim, index) for dim, index in enumerate(call["indices"]) if index is not None]
    if len(found) != 1 or not isinstance(found[0][1], Parameter):
        raise RefusalError("only constant indices along one axis are supported")
    return _picked(call, x, found[0][0], found[0][1].data)


def _index_select(call: TorchCall) -> Activation:
    return _picked(call, call.activation("self"), call["dim"], call.parameter("index").data)


def _picked(call: TorchCall, x: Activation, dim: int, indices: Array) -> Activation:
    dim %= len(x.shape)
    if indices.ndim > 1:
        raise RefusalError(f"indices of shape {indices.shape} are not supported; use a vector")
    if len(call.shape) == len(x.shape) and call.shape[dim] != indices.size:
        raise RefusalError("a mask is not supported; use indices")
    wanted = [int(index) % x.shape[dim] for index in indices.reshape(-1)]
    runs = equal_steps(wanted)
    if len(runs) > MAX_RUNS:
        raise RefusalError(f"the indices form {len(runs)} slices; at most {MAX_RUNS}")
    joined = _joined(call, [_part(call, x, dim, run) for run in runs], dim)
    return call.builder.reshape(joined, call.shape)


def _flip(call: TorchCall) -> Activation:
    x = call.activation("self")
    for dim in call["dims"]:
        size = x.shape[dim]
        if size > 1:
            x = _part(call, x, dim, (size - 1, size, -1))
    return x


def _roll(call: TorchCall) -> Activation:
    x = call.activation("self")
    dims = [call["dims"]] if isinstance(call["dims"], int) else list(call["dims"])
    shifts = [call["shifts"]] if isinstance(call["shifts"], int) else list(call["shifts"])
    if len(dims) != len(shifts):
        raise RefusalError("a roll over the flattened tensor is not supported; give dims")
    for dim, shift in zip(dims, shifts, strict=True):
        size = x.shape[dim]
        if shift := shift % size:
            tail = _part(call, x, dim, (size - shift, shift, 1))
            x = _joined(call, [tail, _part(call, x, dim, (0, size - shift, 1))], dim)
    return x


def _channel_shuffle(call: TorchCall) -> Activation:
    """Channels as (groups, rest), swapped: one transpose of (pixels, groups, rest)."""
    x = call.activation("self", rank=4)
    _, channels, height, width = x.shape
    groups = call["groups"]
    view = (1, height * width, groups, channels // groups)
    tensor = call.builder.node("reshape", [x.tensor], Reshape(view))
    tensor = call.builder.node("transpose", [tensor], Transpose((0, 1, 3, 2)))
    return call.node("reshape", [tensor], Reshape(storage_shape(call.shape)))


def tiled(call: TorchCall) -> Activation:
    """expand and repeat: copies along axes, new ones in front."""
    x, rank = call.activation("self"), len(call.shape)
    source = (1,) * (rank - len(x.shape)) + x.shape
    x = call.builder.reshape(x, source)
    multiples = tuple(want // have for want, have in zip(call.shape, source, strict=True))
    if set(multiples) == {1}:
        return x
    stored = tuple(multiples[axis] for axis in TO_STORAGE) if rank == 4 else multiples
    return call.node("tile", [x.tensor], Tile(stored))


def is_computed_product(call: TorchCall) -> bool:
    """Whether a product is no product of an activation with a constant matrix."""
    x, y = _factors(call)
    computed = isinstance(x, Activation) and isinstance(y, Activation)
    return computed or isinstance(x, Parameter) or len(y.shape) > 2


def _factors(call: TorchCall) -> tuple[Any, Any]:
    arguments = call.arguments
    x = next(arguments[name] for name in ("mat1", "self") if name in arguments)
    return x, next(arguments[name] for name in ("mat2", "other") if name in arguments)


def batch_matmul(call: TorchCall) -> Activation:
    """bmm, mm and matmul of two activations, or of one and constants of any rank."""
    names = []
    for value in _factors(call):
        if not 2 <= len(value.shape) <= 4:
            raise RefusalError(f"an operand has shape {value.shape}; use matrices of rank 2 to 4")
        if isinstance(value, Activation):
            names.append(call.builder.in_source_order(value))
        else:
            names.append(call.builder.constant(value.name, value.data))
    return call.builder.from_source_order(call.builder.node("batch_matmul", names, BatchMatmul()))


def _search(call: TorchCall) -> Activation:
    """argmax and argmin, over one axis or over all elements."""
    x, dim = call.activation("self"), call["dim"]
    least = call.op == "argmin"
    if dim is None:
        flat = call.builder.reshape(x, (math.prod(x.shape),))
        tensor = call.builder.node("argmax", [flat.tensor], Argmax(0, least))
        return call.node("reshape", [tensor], Reshape(storage_shape(call.shape)))
    rank = len(x.shape)
    dim %= rank
    if call["keepdim"] or dim == 1:
        tensor = call.builder.node("argmax", [x.tensor], Argmax(storage_axis(dim, rank), least))
        if not call["keepdim"]:
            return Activation(tensor, call.shape)
        return call.node("reshape", [tensor], Reshape(storage_shape(call.shape)))
    return call.node("argmax", [call.builder.in_source_order(x)], Argmax(dim, least))


def reduced(
    call: TorchCall, op: str, attributes: Callable[[tuple[int, ...], bool], Any]
) -> Activation:
    """A sum or mean over axes that lie side by side in storage."""
    x = call.activation("self")
    axes, kept = _reduced_axes(call, x)
    tensor = call.builder.node(op, [x.tensor], attributes(axes, True))
    return call.builder.reshape(Activation(tensor, kept), call.shape)


def _reduced_axes(call: TorchCall, x: Activation) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The stored axes, and PyTorch's shape with 1 in their place."""
    rank = len(x.shape)
    dims = call.arguments.get("dim")
    dims = [dims] if isinstance(dims, int) else list(dims or range(rank))
    dims = [dim % rank for dim in dims if x.shape[dim] != 1] or [rank - 1]
    axes = tuple(sorted(storage_axis(dim, rank) for dim in dims))
    if axes[0] == 0 or axes != tuple(range(axes[0], axes[-1] + 1)):
        raise RefusalError(
            f"dim={tuple(dims)} of shape {x.shape} is not supported; use dim=(2, 3) of a 4-D map"
        )
    return axes, tuple(1 if dim in dims else size for dim, size in enumerate(x.shape))


def _sum(call: TorchCall) -> Activation:
    return reduced(call, "sum", Sum)


def _maximum(call: TorchCall) -> Activation:
    """amax: the input seen as (outer, count, inner), and a maximum over windows of count."""
    x = call.activation("self")
    axes, kept = _reduced_axes(call, x)
    stored = storage_shape(x.shape)
    outer, inner = math.prod(stored[: axes[0]]), math.prod(stored[axes[-1] + 1 :])
    count = math.prod(stored[axis] for axis in axes)
    view = call.builder.node("reshape", [x.tensor], Reshape((1, outer, count, inner)))
    window = Window(Axis(1), Axis(count, count))
    pooled = call.builder.node("max_pool2d", [view], MaxPool2d(window))
    tensor = call.builder.node("reshape", [pooled], Reshape(storage_shape(kept)))
    return call.builder.reshape(Activation(tensor, kept), call.shape)


MOVEMENT_MAPPERS: Mapping[str, Mapper] = {
    **dict.fromkeys(("cat", "concat", "concatenate"), _cat),
    "stack": _stack,
    "slice": _slice,
    "narrow": _narrow,
    "select": _select,
    **dict.fromkeys(("split", "split_with_sizes", "chunk", "unbind"), _split),
    **dict.fromkeys(("unsafe_split", "unsafe_chunk", "tensor_split", "hsplit", "vsplit"), _split),
    "index": _index,
    "index_select": _index_select,
    "flip": _flip,
    "roll": _roll,
    **dict.fromkeys(("channel_shuffle", "native_channel_shuffle"), _channel_shuffle),
    **dict.fromkeys(("repeat", "tile", "broadcast_to", "expand_as"), tiled),
    "bmm": batch_matmul,
    **dict.fromkeys(SEARCHES, _search),
    "sum": _sum,
    "amax": _maximum,
}
"""Name of the ATen operator (without overload) -> how it is mapped."""
