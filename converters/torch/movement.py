# SPDX-License-Identifier: Apache-2.0
"""ATen operators that take tensors apart, join them, multiply, reduce or search them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from edgekit.converters.nchw.graph import (
    Activation,
    Parameter,
    RefusalError,
    SourceCall,
    storage_shape,
)
from edgekit.converters.nchw.layers import batch_matmul
from edgekit.converters.nchw.parts import cut, joined, part, picked, tiled
from edgekit.converters.nchw.reductions import maximum, reduced, search
from edgekit.ir import Array
from edgekit.ops.argmax import Argmax
from edgekit.ops.reduce_min import ReduceMin
from edgekit.ops.reshape import Reshape
from edgekit.ops.sum import Sum
from edgekit.ops.transpose import Transpose

Mapper = Callable[[SourceCall], Activation | tuple[Activation, ...]]
SEARCHES = ("argmax", "argmin")
"""Operators whose results are indices."""


def _parts_of(call: SourceCall, name: str) -> list[Activation | Parameter]:
    """A list of tensors; empty ones of shape (0,) count for nothing, as torch.cat has it."""
    parts = [part for part in call[name] if part.shape != (0,)]
    if not all(isinstance(part, Activation | Parameter) for part in parts):
        raise RefusalError("only tensors can be joined")
    return parts


def _cat(call: SourceCall) -> Activation:
    return joined(call, _parts_of(call, "tensors"), call["dim"])


def _stack(call: SourceCall) -> Activation:
    """Every part gains an axis of 1, along which they are joined."""
    parts = _parts_of(call, "tensors")
    dim = call["dim"] % len(call.shape)
    if len(call.shape) > 4 or (len(call.shape) == 4 and dim == 0):
        raise RefusalError(f"its result has shape {call.shape}; stack tensors of rank 3 at most")
    shape = (*call.shape[:dim], 1, *call.shape[dim + 1 :])
    longer: list[Activation | Parameter] = []
    for piece in parts:
        if isinstance(piece, Activation):
            longer.append(call.builder.reshape(piece, shape))
        else:
            longer.append(Parameter(piece.name, piece.data.reshape(shape)))
    return joined(call, longer, dim)


def _slice(call: SourceCall) -> Activation:
    x = call.activation("self")
    dim, step = call["dim"] % len(x.shape), call["step"]
    indices = range(*slice(call["start"], call["end"], step).indices(x.shape[dim]))
    return part(call, x, dim, (indices.start, len(indices), step))


def _narrow(call: SourceCall) -> Activation:
    x = call.activation("self")
    dim = call["dim"] % len(x.shape)
    start = call["start"]
    if not isinstance(start, int):
        raise RefusalError("its start is computed; use a number")
    return part(call, x, dim, (start % x.shape[dim], call["length"], 1))


def _select(call: SourceCall) -> Activation:
    x = call.activation("self")
    dim = call["dim"] % len(x.shape)
    taken = part(call, x, dim, (call["index"] % x.shape[dim], 1, 1))
    return call.builder.reshape(taken, call.shape)


def _split(call: SourceCall) -> tuple[Activation, ...]:
    """chunk, split, tensor_split and unbind: the shapes of the results say where to cut."""
    x = call.activation("self")
    rank = len(x.shape)
    dim = call.arguments.get("dim", 0) % rank
    sizes = [shape[dim] if len(shape) == rank else 1 for shape in call.shapes]
    return tuple(
        call.builder.reshape(piece, shape)
        for piece, shape in zip(cut(call, x, dim, sizes), call.shapes, strict=True)
    )


def _index(call: SourceCall) -> Activation:
    """x[:, [0, 2, 4]] with constant indices along one axis."""
    x = call.activation("self")
    found = [(dim, index) for dim, index in enumerate(call["indices"]) if index is not None]
    if len(found) != 1 or not isinstance(found[0][1], Parameter):
        raise RefusalError("only constant indices along one axis are supported")
    return _picked(call, x, found[0][0], found[0][1].data)


def _index_select(call: SourceCall) -> Activation:
    return _picked(call, call.activation("self"), call["dim"], call.parameter("index").data)


def _picked(call: SourceCall, x: Activation, dim: int, indices: Array) -> Activation:
    dim %= len(x.shape)
    if indices.ndim > 1:
        raise RefusalError(f"indices of shape {indices.shape} are not supported; use a vector")
    if len(call.shape) == len(x.shape) and call.shape[dim] != indices.size:
        raise RefusalError("a mask is not supported; use indices")
    taken = picked(call, x, dim, indices.reshape(-1).astype(int).tolist())
    return call.builder.reshape(taken, call.shape)


def _flip(call: SourceCall) -> Activation:
    x = call.activation("self")
    for dim in call["dims"]:
        size = x.shape[dim]
        if size > 1:
            x = part(call, x, dim, (size - 1, size, -1))
    return x


def _roll(call: SourceCall) -> Activation:
    x = call.activation("self")
    dims = [call["dims"]] if isinstance(call["dims"], int) else list(call["dims"])
    shifts = [call["shifts"]] if isinstance(call["shifts"], int) else list(call["shifts"])
    if len(dims) != len(shifts):
        raise RefusalError("a roll over the flattened tensor is not supported; give dims")
    for dim, shift in zip(dims, shifts, strict=True):
        size = x.shape[dim]
        if shift := shift % size:
            tail = part(call, x, dim, (size - shift, shift, 1))
            x = joined(call, [tail, part(call, x, dim, (0, size - shift, 1))], dim)
    return x


def _channel_shuffle(call: SourceCall) -> Activation:
    """Channels as (groups, rest), swapped: one transpose of (pixels, groups, rest)."""
    x = call.activation("self", rank=4)
    _, channels, height, width = x.shape
    groups = call["groups"]
    view = (1, height * width, groups, channels // groups)
    tensor = call.builder.node("reshape", [x.tensor], Reshape(view))
    tensor = call.builder.node("transpose", [tensor], Transpose((0, 1, 3, 2)))
    return call.node("reshape", [tensor], Reshape(storage_shape(call.shape)))


def copies(call: SourceCall) -> Activation:
    """expand and repeat."""
    return tiled(call, call.activation("self"))


def is_computed_product(call: SourceCall) -> bool:
    """Whether a product is no product of an activation with a constant matrix."""
    x, y = _factors(call)
    computed = isinstance(x, Activation) and isinstance(y, Activation)
    return computed or isinstance(x, Parameter) or len(y.shape) > 2


def _factors(call: SourceCall) -> tuple[Any, Any]:
    arguments = call.arguments
    x = next(arguments[name] for name in ("mat1", "self") if name in arguments)
    return x, next(arguments[name] for name in ("mat2", "other") if name in arguments)


def matrix_product(call: SourceCall) -> Activation:
    """bmm, mm and matmul of two activations, or of one and constants of any rank."""
    return batch_matmul(call, *_factors(call))


def _search(call: SourceCall) -> Activation:
    """argmax and argmin, over one axis or over all elements."""
    x, dim = call.activation("self"), call["dim"]
    least = call.op == "argmin"
    if dim is None:
        flat = call.builder.reshape(x, (math.prod(x.shape),))
        tensor = call.builder.node("argmax", [flat.tensor], Argmax(0, least))
        return call.node("reshape", [tensor], Reshape(storage_shape(call.shape)))
    keep_dims = bool(call["keepdim"])
    return search(call, x, dim % len(x.shape), keep_dims=keep_dims, of_least=least)


def reduction_axes(call: SourceCall, x: Activation) -> list[int]:
    """ATen's ``dim``, counted from the front: a number, a list, or all axes."""
    dims = call.arguments.get("dim")
    dims = [dims] if isinstance(dims, int) else list(dims or range(len(x.shape)))
    return [dim % len(x.shape) for dim in dims]


def _sum(call: SourceCall) -> Activation:
    x = call.activation("self")
    return reduced(call, x, reduction_axes(call, x), op="sum", attributes=Sum)


def _maximum(call: SourceCall) -> Activation:
    x = call.activation("self")
    return maximum(call, x, reduction_axes(call, x))


def _minimum(call: SourceCall) -> Activation:
    x = call.activation("self")
    return reduced(call, x, reduction_axes(call, x), op="reduce_min", attributes=ReduceMin)


def _extremum_and_place(call: SourceCall) -> Activation | tuple[Activation, ...]:
    """max and min: over all elements, or along one axis with the indices as a second result."""
    least = call.op == "min"
    extremum = _minimum(call) if least else _maximum(call)
    if "dim" not in call.arguments:
        return extremum
    x = call.activation("self")
    axis, keep_dims = call["dim"] % len(x.shape), bool(call["keepdim"])
    return extremum, search(call, x, axis, keep_dims=keep_dims, of_least=least)


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
    **dict.fromkeys(("repeat", "tile", "broadcast_to", "expand_as"), copies),
    "bmm": matrix_product,
    **dict.fromkeys(SEARCHES, _search),
    "sum": _sum,
    "amax": _maximum,
    "amin": _minimum,
    **dict.fromkeys(("max", "min"), _extremum_and_place),
}
"""Name of the ATen operator (without overload) -> how it is mapped."""
