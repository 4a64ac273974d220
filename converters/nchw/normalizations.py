# SPDX-License-Identifier: Apache-2.0
"""Layer, group and instance norms: statistics of the sample itself, over axes of the source."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edgekit.converters.nchw.graph import (
    Activation,
    Parameter,
    RefusalError,
    SourceCall,
)
from edgekit.converters.nchw.layers import scale_and_shift
from edgekit.converters.nchw.maps import map_of
from edgekit.ir import Array, Shape
from edgekit.ops.layer_normalization import MAX_DEPTH, LayerNormalization
from edgekit.ops.reshape import Reshape

_GAMMA, _BETA = ("neutral_gamma", 1.0), ("neutral_beta", 0.0)
"""Names and values of what a norm without weight or bias has."""


def layer_normalization(
    call: SourceCall,
    x: Activation,
    weight: Parameter | None,
    bias: Parameter | None,
    *,
    axes: int,
    epsilon: float,
) -> Activation:
    """Over the last ``axes`` axes of the source as one, times ``weight`` plus ``bias``."""
    kept, normalized = x.shape[: len(x.shape) - axes], x.shape[len(x.shape) - axes :]
    vectors = [
        _neutral_or_flat(parameter, neutral, normalized)
        for parameter, neutral in ((weight, _GAMMA), (bias, _BETA))
    ]
    view = (*kept, math.prod(normalized))
    tensor = _normalized(call, call.builder.in_source_order(x), view, vectors, epsilon)
    return call.builder.from_source_order(tensor)


def group_normalization(
    call: SourceCall,
    argument: str,
    weight: Array | None,
    bias: Array | None,
    *,
    groups: int | None,
    epsilon: float,
) -> Activation:
    """Over the elements of every group of channels; weight and bias have one value per channel.

    groups: None for one of every channel.
    """
    x = call.activation(argument)
    if len(x.shape) != 2 or x.shape[0] != 1:
        x = map_of(call, argument)
    channels = x.shape[1]
    groups = channels if groups is None else groups
    if groups < 1 or channels % groups:
        raise RefusalError(f"{channels} channels are not {groups} equal groups")
    if any(vector is not None and vector.shape != (channels,) for vector in (weight, bias)):
        raise RefusalError(f"its parameters must have {channels} values each")
    elements = math.prod(x.shape)
    neutral = [(name, np.full(elements // groups, value)) for name, value in (_GAMMA, _BETA)]
    if groups == 1:  # a mean over all elements is the same in any order
        tensor = _normalized(call, x.tensor, (1, elements), neutral, epsilon)
        x = Activation(tensor, x.shape)
    else:
        view = (1, groups, elements // groups)
        tensor = _normalized(call, call.builder.in_source_order(x), view, neutral, epsilon)
        x = call.builder.from_source_order(tensor)
    if weight is None and bias is None:
        return call.builder.reshape(x, call.shape)
    scale = np.ones(channels) if weight is None else weight
    return scale_and_shift(call, x, scale, np.zeros(channels) if bias is None else bias)


def _neutral_or_flat(
    parameter: Parameter | None, neutral: tuple[str, float], shape: Shape
) -> tuple[str, Array]:
    """Name and values of a vector with one value per element of the normalized ``shape``."""
    name, value = neutral if parameter is None else (parameter.name, parameter.data)
    try:
        return name, np.broadcast_to(value, shape).reshape(-1)
    except ValueError:
        raise RefusalError(
            f"'{name}' has shape {np.shape(value)}; it must be {shape}, as what is normalized"
        ) from None


def _normalized(
    call: SourceCall, tensor: str, view: Shape, vectors: Sequence[tuple[str, Array]], epsilon: float
) -> str:
    """Rows of the last axis of ``view`` normalized, under the shape of ``tensor``.

    vectors: gamma and beta under the names of the source.
    """
    if view[-1] > MAX_DEPTH:
        raise RefusalError(f"it normalizes over {view[-1]} elements; up to {MAX_DEPTH} can be")
    builder = call.builder
    shape = builder.tensors[tensor].shape
    names = [builder.constant(name, data) for name, data in vectors]
    if view != shape:
        tensor = builder.node("reshape", [tensor], Reshape(view))
    tensor = builder.node("layer_normalization", [tensor, *names], LayerNormalization(epsilon))
    return tensor if view == shape else builder.node("reshape", [tensor], Reshape(shape))
