# SPDX-License-Identifier: Apache-2.0
"""BatchNormalization, LayerNormalization, GroupNormalization, InstanceNormalization, LpNormalization."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgekit.converters.nchw.arithmetic import quotient
from edgekit.converters.nchw.graph import Activation, RefusalError
from edgekit.converters.nchw.layers import scale_and_shift
from edgekit.converters.nchw.maps import map_of
from edgekit.converters.nchw.normalizations import group_normalization, layer_normalization
from edgekit.converters.nchw.reductions import euclidean_length
from edgekit.converters.onnx.call import OnnxCall
from edgekit.converters.onnx.mapper import Mapper
from edgekit.ir import Array


def _batch_norm(call: OnnxCall) -> Activation:
    """y = x * scale + shift per channel."""
    if call.arguments.get("training_mode") or any(call.outputs[1:]):
        raise RefusalError("it is in training mode; export in eval mode")
    x = call.activation("X")
    if len(x.shape) != 2:
        x = map_of(call, "X")
    weight, bias = (call.floating(name).astype(np.float64) for name in ("scale", "B"))
    mean = call.floating("input_mean", "mean").astype(np.float64)
    variance = call.floating("input_var", "var").astype(np.float64)
    if {value.shape for value in (weight, bias, mean, variance)} != {(x.shape[1],)}:
        raise call.fail(f"its parameters must have {x.shape[1]} values each")
    with np.errstate(all="ignore"):
        scale = weight / np.sqrt(variance + float(call["epsilon"]))
    return scale_and_shift(call, x, scale, bias - mean * scale)


def _layer_norm(call: OnnxCall) -> Activation:
    """All axes from ``axis`` on count as one."""
    if any(call.outputs[1:]):
        raise RefusalError("its mean and inverse deviation are not supported as results")
    x = call.activation("X")
    rank = len(x.shape)
    return layer_normalization(
        call,
        x,
        call.parameter("Scale"),
        call.optional_parameter("B"),
        axes=rank - call.axis(rank, -1),
        epsilon=float(call["epsilon"]),
    )


def _group_norm(call: OnnxCall) -> Activation:
    """Before opset 21, scale and bias have one value per group."""
    groups, channels = int(call["num_groups"]), call.activation("X").shape[1]
    if groups < 1 or channels % groups:
        raise call.fail(f"{channels} channels are not {groups} equal groups")
    repeats = channels // groups if call.version < 21 else 1
    scale, bias = (np.repeat(call.floating(name), repeats) for name in ("scale", "bias"))
    return _of_groups(call, "X", scale, bias, groups)


def _instance_norm(call: OnnxCall) -> Activation:
    channels = call.activation("input").shape[1]
    return _of_groups(call, "input", call.floating("scale"), call.floating("B"), channels)


def _of_groups(call: OnnxCall, argument: str, scale: Array, bias: Array, groups: int) -> Activation:
    channels = call.activation(argument).shape[1]
    if {scale.shape, bias.shape} != {(channels,)}:
        raise call.fail(f"its parameters must have {channels} values each")
    epsilon = float(call["epsilon"])
    return group_normalization(call, argument, scale, bias, groups=groups, epsilon=epsilon)


def _vector_norm(call: OnnxCall) -> Activation:
    """x over its Euclidean length along one axis."""
    if (order := int(call["p"])) != 2:
        raise RefusalError(f"p={order} is not supported; use 2")
    x = call.activation("input")
    axis = call.axis(len(x.shape), -1)
    kept = tuple(1 if i == axis else size for i, size in enumerate(x.shape))
    return quotient(call, x, euclidean_length(call, x, [axis], shape=kept))


NORMALIZATION_MAPPINGS: Mapping[str, Mapper] = {
    "BatchNormalization": _batch_norm,
    "GroupNormalization": _group_norm,
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "LpNormalization": _vector_norm,
}
