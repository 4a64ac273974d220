# SPDX-License-Identifier: Apache-2.0
"""ATen's convolutions, transposed or not, over maps and sequences."""

from __future__ import annotations

import numpy as np

from edgekit.converters.torch.builder import Activation, Parameter, RefusalError, TorchCall
from edgekit.converters.torch.maps import height_and_width, map_of, map_result, output_size
from edgekit.ir import Array
from edgekit.ops.conv2d import Conv2d
from edgekit.ops.depthwise_conv2d import DepthwiseConv2d
from edgekit.ops.transposed_conv2d import TransposedConv2d, transposed_axis
from edgekit.window import Axis, Window


def convolution(call: TorchCall) -> Activation:
    """conv1d, conv2d, conv_transpose1d, conv_transpose2d, and convolution, which is all of them."""
    x, weight = map_of(call, "input"), call.parameter("weight")
    if len(weight.shape) != len(call.shape):
        raise RefusalError(f"weights of shape {weight.shape} for a result of shape {call.shape}")
    data = weight.data[:, :, None] if len(weight.shape) == 3 else weight.data
    if call.arguments.get("transposed") or call.op.startswith("conv_transpose"):
        return _transposed(call, x, weight.name, data)
    channels, groups, outputs = x.shape[1], int(call["groups"]), data.shape[0]
    if groups < 1 or channels != data.shape[1] * groups or outputs % groups:
        raise RefusalError(
            f"groups={groups} does not fit {channels} input and {outputs} output channels; "
            f"use 1 or {channels} (depthwise)"
        )
    window = _window(call, data.shape[2:])
    bias = bias_inputs(call, call.optional_parameter("bias"))
    if groups == channels and channels > 1:  # output channel = input channel * multiplier + m
        depthwise = data[:, 0].transpose(1, 2, 0)[None]
        inputs = [x.tensor, call.builder.constant(weight.name, depthwise), *bias]
        return map_result(call, "depthwise_conv2d", inputs, DepthwiseConv2d(window))
    inputs = [x.tensor, call.builder.constant(weight.name, data.transpose(0, 2, 3, 1)), *bias]
    return map_result(call, "conv2d", inputs, Conv2d(window))


def _window(call: TorchCall, kernel: tuple[int, ...]) -> Window:
    stride, dilation, padding = (
        _pair(call, "stride", 1),
        _pair(call, "dilation", 1),
        call["padding"],
    )
    if padding == "same":  # torch puts the odd element behind; it requires stride 1
        totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        pads = [(total // 2, total - total // 2) for total in totals]
    elif padding == "valid":
        pads = [(0, 0), (0, 0)]
    else:
        pads = [(p, p) for p in _pair(call, "padding", 0)]
    height, width = (
        Axis(k, s, d, *pad) for k, s, d, pad in zip(kernel, stride, dilation, pads, strict=True)
    )
    return Window(height, width)


def _pair(call: TorchCall, name: str, neutral: int) -> tuple[int, int]:
    return height_and_width(call[name], rank=len(call.shape), neutral=neutral)


def _transposed(call: TorchCall, x: Activation, name: str, data: Array) -> Activation:
    """Weights are (inputs, outputs / groups, kh, kw); the result's size has output_padding in it."""
    channels, groups = x.shape[1], int(call["groups"])
    if groups < 1 or data.shape[0] != channels or channels % groups:
        raise RefusalError(f"groups={groups} does not fit {channels} input channels")
    axes = []
    sizes = zip(
        data.shape[2:],
        _pair(call, "stride", 1),
        _pair(call, "dilation", 1),
        _pair(call, "padding", 0),
        x.shape[2:],
        output_size(call),
        strict=True,
    )
    for kernel, stride, dilation, crop, size, result in sizes:
        if crop > dilation * (kernel - 1):
            raise RefusalError(
                f"padding={crop} cuts off more than the kernel adds; use {dilation * (kernel - 1)}"
            )
        axes.append(
            transposed_axis(
                kernel, stride, dilation, crop=crop, input_size=size, output_size=result
            )
        )
    by_group = data.reshape(groups, channels // groups, *data.shape[1:])
    weights = by_group.transpose(0, 2, 3, 4, 1).reshape(-1, *data.shape[2:], channels // groups)
    bias = bias_inputs(call, call.optional_parameter("bias"))
    inputs = [x.tensor, call.builder.constant(name, np.ascontiguousarray(weights)), *bias]
    return map_result(call, "transposed_conv2d", inputs, TransposedConv2d(Window(*axes)))


def bias_inputs(call: TorchCall, bias: Parameter | None) -> list[str]:
    """The name of the bias' constant, or nothing."""
    return [] if bias is None else [call.builder.constant(bias.name, bias.data)]
