# SPDX-License-Identifier: Apache-2.0
"""ATen operators to operators of edgekit: one small function for each family, and the table.

Arguments are looked up by the names of ATen's schemas. A function returns the value of the call, or
raises RefusalError with the fact and the remedy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edgekit.converters.torch.builder import (
    TO_STORAGE,
    Activation,
    Parameter,
    RefusalError,
    Regrouped,
    TorchCall,
)
from edgekit.converters.torch.convolutions import bias_inputs
from edgekit.converters.torch.elementwise import ELEMENTWISE_MAPPERS
from edgekit.converters.torch.maps import map_of
from edgekit.converters.torch.movement import (
    MOVEMENT_MAPPERS,
    batch_matmul,
    is_computed_product,
    reduced,
    tiled,
)
from edgekit.converters.torch.spatial import SPATIAL_MAPPERS
from edgekit.ops.add import Add
from edgekit.ops.fully_connected import FullyConnected
from edgekit.ops.log_softmax import LogSoftmax
from edgekit.ops.mean import Mean
from edgekit.ops.mul import Mul
from edgekit.ops.reduce_min import ReduceMin
from edgekit.ops.softmax import Softmax
from edgekit.ops.transpose import Transpose

Mapper = Callable[[TorchCall], Activation | tuple[Activation, ...]]


def _linear(call: TorchCall) -> Activation:
    x, weight = call.activation("input"), call.parameter("weight")
    return _fully_connected(call, x, weight, call.optional_parameter("bias"))


def _matrix_product(call: TorchCall) -> Activation:
    if is_computed_product(call):
        return batch_matmul(call)
    x = call.activation("mat1", "self")
    matrix = call.parameter("mat2" if "mat2" in call.arguments else "other")
    if len(matrix.shape) != 2:
        raise RefusalError(f"the constant has shape {matrix.shape}; only a matrix is supported")
    return _fully_connected(call, x, Parameter(matrix.name, matrix.data.T), None)


def _addmm(call: TorchCall) -> Activation:
    if (call["beta"], call["alpha"]) != (1, 1):
        raise RefusalError("beta and alpha must be 1; multiply the parameters beforehand")
    bias, matrix = call.parameter("self"), call.parameter("mat2")
    if bias.data.size != matrix.shape[1]:
        raise RefusalError(f"the bias has shape {bias.shape}; it must be ({matrix.shape[1]},)")
    flat = Parameter(bias.name, bias.data.reshape(-1))
    transposed = Parameter(matrix.name, matrix.data.T)
    return _fully_connected(call, call.activation("mat1"), transposed, flat)


def _fully_connected(
    call: TorchCall, x: Activation, weight: Parameter, bias: Parameter | None
) -> Activation:
    if len(x.shape) < 2 or len(weight.shape) != 2:
        raise RefusalError(f"the input has shape {x.shape}; it must start with a batch of 1")
    inputs = [call.builder.in_source_order(x), call.builder.constant(weight.name, weight.data)]
    attributes = FullyConnected(keep_dims=len(x.shape) != 2)
    tensor = call.builder.node("fully_connected", inputs + bias_inputs(call, bias), attributes)
    return call.builder.from_source_order(tensor)


def _batch_norm(call: TorchCall) -> Activation:
    """y = x * scale + shift per channel; legalize folds both into the layer in front."""
    if call.arguments.get("training"):
        raise RefusalError("it is in training mode; call module.eval() before torch.export")
    x = call.activation("input")
    if len(x.shape) != 2:
        x = map_of(call, "input")
    mean, variance = (
        call.parameter(name).data.astype(np.float64) for name in ("running_mean", "running_var")
    )
    weight, bias = call.optional_parameter("weight"), call.optional_parameter("bias")
    scale = (1.0 if weight is None else weight.data) / np.sqrt(variance + call["eps"])
    shift = (0.0 if bias is None else bias.data) - mean * scale
    shape = (1,) * (len(x.shape) - 1) + (-1,)  # the channels are the last axis in storage
    name = call.builder.name
    scales = call.builder.constant(f"{name}/scale", scale.reshape(shape).astype(np.float32))
    shifts = call.builder.constant(f"{name}/shift", shift.reshape(shape).astype(np.float32))
    scaled = call.builder.node("mul", [x.tensor, scales], Mul())
    shifted = Activation(call.builder.node("add", [scaled, shifts], Add()), x.shape)
    return call.builder.reshape(shifted, call.shape)


def _mean(call: TorchCall) -> Activation:
    x = call.activation("self")
    rank = len(x.shape)
    axes = tuple(sorted(axis % rank for axis in (call.arguments.get("dim") or range(rank))))
    if rank == 4 and axes in ((2, 3), (2,), (3,)):
        keep = bool(call.arguments.get("keepdim")) or axes != (2, 3)
        kept = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
        storage_axes = tuple(axis - 1 for axis in axes)
        tensor = call.builder.node("mean", [x.tensor], Mean(storage_axes, keep))
        return call.builder.reshape(Activation(tensor, kept if keep else x.shape[:2]), call.shape)
    if rank == 3 and axes in ((1,), (2,)):
        tensor = x.tensor
        if axes == (2,):
            tensor = call.builder.node("transpose", [tensor], Transpose((0, 2, 1)))
        tensor = call.builder.node("mean", [tensor], Mean((1,), keep_dims=False))
        return call.builder.reshape(
            Activation(tensor, (x.shape[0], x.shape[3 - axes[0]])), call.shape
        )
    return reduced(call, "mean", Mean)


def _softmax(op: str, attributes: Any) -> Mapper:
    """An operator over the last stored axis; another one is swapped with it."""

    def mapped(call: TorchCall) -> Activation:
        x = call.activation("self")
        rank, dim = len(x.shape), call["dim"] % len(x.shape)
        axis = TO_STORAGE.index(dim) if rank == 4 else dim
        if axis == rank - 1:
            return call.node(op, [x.tensor], attributes)
        order = list(range(rank))
        order[axis], order[-1] = order[-1], order[axis]
        swap = Transpose(tuple(order))  # its own inverse
        swapped = call.builder.node("transpose", [x.tensor], swap)
        return call.node("transpose", [call.builder.node(op, [swapped], attributes)], swap)

    return mapped


def _minimum(call: TorchCall) -> Activation:
    return reduced(call, "reduce_min", ReduceMin)


def _view(call: TorchCall) -> Activation:
    return call.builder.reshape(call.activation("self"), call.shape)


def _expand(call: TorchCall) -> Activation:
    x = call.activation("self")
    if tuple(call.shape[len(call.shape) - len(x.shape) :]) != x.shape or 0 in call.shape:
        return tiled(call)
    return call.builder.reshape(x, call.shape)


def _permute(call: TorchCall) -> Activation:
    return _permuted(call, tuple(axis % len(call.shape) for axis in call["dims"]))


def _transpose(call: TorchCall) -> Activation:
    order = list(range(len(call.shape)))
    first, second = call.arguments.get("dim0", 0), call.arguments.get("dim1", -1)
    order[first], order[second] = order[second], order[first]
    return _permuted(call, tuple(order))


def _permuted(call: TorchCall, order: tuple[int, ...]) -> Activation:
    x = call.activation("self")
    if isinstance(x, Regrouped):
        return x.transposed(order)
    if len(order) > 4:
        raise RefusalError(f"rank {len(order)} is not supported; up to 4")
    if len(order) == 4:  # storage axis i of the result holds source axis order[TO_STORAGE[i]] of x
        order = tuple(TO_STORAGE.index(order[axis]) for axis in TO_STORAGE)
    return call.node("transpose", [x.tensor], Transpose(order))


def _identity(call: TorchCall) -> Activation:
    return call.activation("self", "input")


def _dropout(call: TorchCall) -> Activation:
    if call.arguments.get("train"):
        raise RefusalError("it is in training mode; call module.eval() before torch.export")
    return call.activation("input")


def _cast(call: TorchCall) -> Activation:
    if call.arguments.get("dtype") not in (None, "torch.float32"):
        raise RefusalError(f"a cast to {call['dtype']} is not supported; keep float32")
    return call.activation("self")


COPIES = ("clone", "contiguous", "alias", "detach", "lift_fresh_copy")
VIEWS = ("view", "_unsafe_view", "reshape", "flatten", "squeeze", "unsqueeze", "unflatten")
PERMUTATIONS = ("permute", "transpose", "t", *COPIES)
"""With VIEWS: what may work on more than four axes."""

MAPPERS: Mapping[str, Mapper] = {
    **ELEMENTWISE_MAPPERS,
    **MOVEMENT_MAPPERS,
    **SPATIAL_MAPPERS,
    "linear": _linear,
    **dict.fromkeys(("mm", "matmul"), _matrix_product),
    "addmm": _addmm,
    **dict.fromkeys(("batch_norm", "_native_batch_norm_legit_no_training"), _batch_norm),
    "mean": _mean,
    "amin": _minimum,
    **dict.fromkeys(("softmax", "_softmax"), _softmax("softmax", Softmax())),
    **dict.fromkeys(("log_softmax", "_log_softmax"), _softmax("log_softmax", LogSoftmax())),
    **dict.fromkeys(VIEWS, _view),
    "expand": _expand,
    "permute": _permute,
    **dict.fromkeys(("transpose", "t"), _transpose),
    **dict.fromkeys(COPIES, _identity),
    "dropout": _dropout,
    **dict.fromkeys(("to", "_to_copy"), _cast),
}
"""Name of the ATen operator (without overload) -> how it is mapped."""

NEAREST: Mapping[str, str] = {
    **dict.fromkeys(
        ("lstm", "gru", "rnn_tanh", "rnn_relu"),
        "convolutions over a window of the last steps, which the program keeps and feeds in whole",
    ),
    **dict.fromkeys(
        ("embedding", "sort", "topk", "cumsum"),
        "it outside the model: return its input",
    ),
    "threshold": "relu",
    "native_layer_norm": "batch_norm",
    "layer_norm": "batch_norm",
    "native_group_norm": "batch_norm",
    "group_norm": "batch_norm",
    "instance_norm": "batch_norm",
    "_native_batch_norm_legit_functional": "eval mode: call module.eval() before torch.export",
    "native_dropout": "eval mode: call module.eval() before torch.export",
    "bmm": "linear (a product with a constant matrix)",
}
"""Operators that are not mapped -> the nearest one that is."""
