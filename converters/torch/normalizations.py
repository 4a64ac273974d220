# SPDX-License-Identifier: Apache-2.0
"""ATen's norms of batches, layers, groups, instances and vectors, and attention."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from edgekit.converters.nchw.graph import Activation, Parameter, RefusalError, SourceCall
from edgekit.converters.nchw.layers import attention, scale_and_shift
from edgekit.converters.nchw.maps import map_of
from edgekit.converters.nchw.normalizations import group_normalization, layer_normalization
from edgekit.converters.nchw.reductions import euclidean_length
from edgekit.converters.torch.movement import reduction_axes
from edgekit.ir import Array


def _batch_norm(call: SourceCall) -> Activation:
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
    return scale_and_shift(call, x, scale, shift)


def _layer_norm(call: SourceCall) -> Activation:
    return layer_normalization(
        call,
        call.activation("input"),
        call.optional_parameter("weight"),
        call.optional_parameter("bias"),
        axes=len(call["normalized_shape"]),
        epsilon=float(call["eps"]),
    )


def _group_norm(call: SourceCall) -> Activation:
    """group_norm and native_group_norm, which names the groups otherwise."""
    groups = next(call[name] for name in ("num_groups", "group") if name in call.arguments)
    return _of_groups(call, int(groups))


def _instance_norm(call: SourceCall) -> Activation:
    """Every channel is a group; with statistics of its own it is a batch norm."""
    if not call["use_input_stats"]:
        return _batch_norm(call)
    return _of_groups(call, None)


def _of_groups(call: SourceCall, groups: int | None) -> Activation:
    weight, bias = (_vector(call.optional_parameter(name)) for name in ("weight", "bias"))
    epsilon = float(call["eps"])
    return group_normalization(call, "input", weight, bias, groups=groups, epsilon=epsilon)


def _vector(parameter: Parameter | None) -> Array | None:
    return None if parameter is None else parameter.data.astype(np.float64)


def _vector_norm(call: SourceCall) -> Activation:
    if (order := call.arguments.get("ord", 2)) != 2:
        raise RefusalError(f"ord={order} is not supported; use 2")
    x = call.activation("self")
    return euclidean_length(call, x, reduction_axes(call, x), shape=call.shape)


def _attention(call: SourceCall) -> Activation:
    arguments = call.arguments
    for name in ("attn_mask", "dropout_p", "is_causal", "enable_gqa"):
        if arguments.get(name):
            raise RefusalError(f"{name} is not supported; leave it out")
    query, key, value = (call.activation(name) for name in ("query", "key", "value"))
    given = arguments.get("scale")
    scale = 1.0 / math.sqrt(query.shape[-1]) if given is None else float(given)
    if not 0.0 < scale < math.inf:
        raise RefusalError(f"scale={scale} is not supported; use a number above 0")
    return attention(call, query, key, value, scale=scale)


NORMALIZATION_MAPPERS: Mapping[str, Callable[[SourceCall], Activation]] = {
    **dict.fromkeys(("batch_norm", "_native_batch_norm_legit_no_training"), _batch_norm),
    **dict.fromkeys(("layer_norm", "native_layer_norm"), _layer_norm),
    **dict.fromkeys(("group_norm", "native_group_norm"), _group_norm),
    "instance_norm": _instance_norm,
    "linalg_vector_norm": _vector_norm,
    "scaled_dot_product_attention": _attention,
}
"""The ATen operators of this file."""
