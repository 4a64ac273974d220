# SPDX-License-Identifier: Apache-2.0
"""Convolutions over maps and sequences, transposed or not, from channels-first weights."""

from __future__ import annotations

import numpy as np

from edgekit.converters.nchw.graph import Activation, Parameter, RefusalError, SourceCall
from edgekit.converters.nchw.maps import map_result, output_size
from edgekit.ir import Array
from edgekit.ops.conv2d import Conv2d
from edgekit.ops.depthwise_conv2d import DepthwiseConv2d
from edgekit.ops.transposed_conv2d import TransposedConv2d, transposed_axis
from edgekit.window import Window

Pair = tuple[int, int]


def convolution(
    call: SourceCall,
    x: Activation,
    weight: Parameter,
    bias: Parameter | None,
    *,
    window: Window,
    groups: int,
) -> Activation:
    """``x`` is a map (1, C, H, W); weights are (outputs, inputs / groups, kh, kw)."""
    data = weight_maps(call, weight)
    channels, outputs = x.shape[1], data.shape[0]
    if groups < 1 or channels != data.shape[1] * groups or outputs % groups:
        raise RefusalError(
            f"groups={groups} does not fit {channels} input and {outputs} output channels; "
            f"use 1 or {channels} (depthwise)"
        )
    biases = bias_inputs(call, bias)
    if groups == channels and channels > 1:  # output channel = input channel * multiplier + m
        depthwise = data[:, 0].transpose(1, 2, 0)[None]
        inputs = [x.tensor, call.builder.constant(weight.name, depthwise), *biases]
        return map_result(call, "depthwise_conv2d", inputs, DepthwiseConv2d(window))
    inputs = [x.tensor, call.builder.constant(weight.name, data.transpose(0, 2, 3, 1)), *biases]
    return map_result(call, "conv2d", inputs, Conv2d(window))


def transposed_convolution(
    call: SourceCall,
    x: Activation,
    weight: Parameter,
    bias: Parameter | None,
    *,
    stride: Pair,
    dilation: Pair,
    crop: Pair,
    groups: int,
) -> Activation:
    """Weights are (inputs, outputs / groups, kh, kw); ``crop`` outputs in front are cut off.

    What is cut off behind follows from the size of the result.
    """
    data = weight_maps(call, weight)
    channels = x.shape[1]
    if groups < 1 or data.shape[0] != channels or channels % groups:
        raise RefusalError(f"groups={groups} does not fit {channels} input channels")
    axes = []
    for k, s, d, cut, size, result in zip(
        data.shape[2:], stride, dilation, crop, x.shape[2:], output_size(call), strict=True
    ):
        if cut > d * (k - 1):
            raise RefusalError(
                f"padding={cut} cuts off more than the kernel adds; use {d * (k - 1)}"
            )
        axes.append(transposed_axis(k, s, d, crop=cut, input_size=size, output_size=result))
    by_group = data.reshape(groups, channels // groups, *data.shape[1:])
    weights = by_group.transpose(0, 2, 3, 4, 1).reshape(-1, *data.shape[2:], channels // groups)
    name = call.builder.constant(weight.name, np.ascontiguousarray(weights))
    inputs = [x.tensor, name, *bias_inputs(call, bias)]
    return map_result(call, "transposed_conv2d", inputs, TransposedConv2d(Window(*axes)))


def weight_maps(call: SourceCall, weight: Parameter) -> Array:
    """The weights with a kernel of two dimensions; those of a sequence get a height of 1."""
    if len(weight.shape) != len(call.shape):
        raise RefusalError(f"weights of shape {weight.shape} for a result of shape {call.shape}")
    return weight.data[:, :, None] if len(weight.shape) == 3 else weight.data


def bias_inputs(call: SourceCall, bias: Parameter | None) -> list[str]:
    """The name of the bias' constant, or nothing."""
    return [] if bias is None else [call.builder.constant(bias.name, bias.data)]
