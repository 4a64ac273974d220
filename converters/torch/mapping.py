# SPDX-License-Identifier: Apache-2.0
"""ATen operators to operators of edgekit: one small function for each family, and the table.

Arguments are looked up by the names of ATen's schemas. A function returns the value of the call, or
raises RefusalError with the fact and the remedy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edgekit.converters.nchw.graph import Activation, Parameter, RefusalError, SourceCall
from edgekit.converters.nchw.layers import along_axis, fully_connected
from edgekit.converters.nchw.parts import permuted, tiled
from edgekit.converters.nchw.reductions import mean
from edgekit.converters.torch.elementwise import ELEMENTWISE_MAPPERS
from edgekit.converters.torch.movement import (
    MOVEMENT_MAPPERS,
    is_computed_product,
    matrix_product,
    reduction_axes,
)
from edgekit.converters.torch.normalizations import NORMALIZATION_MAPPERS
from edgekit.converters.torch.spatial import SPATIAL_MAPPERS
from edgekit.ops.log_softmax import LogSoftmax
from edgekit.ops.softmax import Softmax

Mapper = Callable[[SourceCall], Activation | tuple[Activation, ...]]


def _linear(call: SourceCall) -> Activation:
    x, weight = call.activation("input"), call.parameter("weight")
    return fully_connected(call, x, weight, call.optional_parameter("bias"))


def _matrix_product(call: SourceCall) -> Activation:
    if is_computed_product(call):
        return matrix_product(call)
    x = call.activation("mat1", "self")
    matrix = call.parameter("mat2" if "mat2" in call.arguments else "other")
    if len(matrix.shape) != 2:
        raise RefusalError(f"the constant has shape {matrix.shape}; only a matrix is supported")
    return fully_connected(call, x, Parameter(matrix.name, matrix.data.T), None)


def _addmm(call: SourceCall) -> Activation:
    if (call["beta"], call["alpha"]) != (1, 1):
        raise RefusalError("beta and alpha must be 1; multiply the parameters beforehand")
    bias, matrix = call.parameter("self"), call.parameter("mat2")
    if bias.data.size != matrix.shape[1]:
        raise RefusalError(f"the bias has shape {bias.shape}; it must be ({matrix.shape[1]},)")
    flat = Parameter(bias.name, bias.data.reshape(-1))
    transposed = Parameter(matrix.name, matrix.data.T)
    return fully_connected(call, call.activation("mat1"), transposed, flat)


def _mean(call: SourceCall) -> Activation:
    x = call.activation("self")
    keep_dims = bool(call.arguments.get("keepdim"))
    return mean(call, x, reduction_axes(call, x), keep_dims=keep_dims)


def _softmax(op: str, attributes: Any) -> Mapper:
    def mapped(call: SourceCall) -> Activation:
        x = call.activation("self")
        return along_axis(call, x, call["dim"] % len(x.shape), op, attributes)

    return mapped


def _view(call: SourceCall) -> Activation:
    return call.builder.reshape(call.activation("self"), call.shape)


def _expand(call: SourceCall) -> Activation:
    x = call.activation("self")
    if tuple(call.shape[len(call.shape) - len(x.shape) :]) != x.shape or 0 in call.shape:
        return tiled(call, x)
    return call.builder.reshape(x, call.shape)


def _permute(call: SourceCall) -> Activation:
    return permuted(
        call, call.activation("self"), tuple(axis % len(call.shape) for axis in call["dims"])
    )


def _transpose(call: SourceCall) -> Activation:
    order = list(range(len(call.shape)))
    first, second = call.arguments.get("dim0", 0), call.arguments.get("dim1", -1)
    order[first], order[second] = order[second], order[first]
    return permuted(call, call.activation("self"), tuple(order))


def _identity(call: SourceCall) -> Activation:
    return call.activation("self", "input")


def _dropout(call: SourceCall) -> Activation:
    if call.arguments.get("train"):
        raise RefusalError("it is in training mode; call module.eval() before torch.export")
    return call.activation("input")


def _cast(call: SourceCall) -> Activation:
    if call.arguments.get("dtype") not in (None, "torch.float32"):
        raise RefusalError(f"a cast to {call['dtype']} is not supported; keep float32")
    return call.activation("self")


COPIES = ("clone", "contiguous", "alias", "detach", "lift_fresh_copy")
VIEWS = ("view", "_unsafe_view", "reshape", "flatten", "squeeze", "unsqueeze", "unflatten")
PERMUTATIONS = ("permute", "transpose", "t", *COPIES)
SELECTIONS = ("select", "unbind")
"""With VIEWS and PERMUTATIONS: what may work on more than four axes."""

MAPPERS: Mapping[str, Mapper] = {
    **ELEMENTWISE_MAPPERS,
    **MOVEMENT_MAPPERS,
    **NORMALIZATION_MAPPERS,
    **SPATIAL_MAPPERS,
    "linear": _linear,
    **dict.fromkeys(("mm", "matmul"), _matrix_product),
    "addmm": _addmm,
    "mean": _mean,
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
    **dict.fromkeys(("var", "std", "var_mean"), "nn.LayerNorm, nn.GroupNorm or nn.InstanceNorm2d"),
    "where": "a product with a constant mask",
    "threshold": "relu",
    "_native_batch_norm_legit_functional": "eval mode: call module.eval() before torch.export",
    "native_dropout": "eval mode: call module.eval() before torch.export",
    "bmm": "linear (a product with a constant matrix)",
}
"""Operators that are not mapped -> the nearest one that is."""
