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
    """As of opset 21; the older one is deprecated."""
    return group_normalization(
        call,
        "X",
        call.floating("scale"),
        call.floating("bias"),
        groups=int(call["num_groups"]),
        epsilon=float(call["epsilon"]),
    )


def _instance_norm(call: OnnxCall) -> Activation:
    return group_normalization(
        call,
        "input",
        call.floating("scale"),
        call.floating("B"),
        groups=None,
        epsilon=float(call["epsilon"]),
    )


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
