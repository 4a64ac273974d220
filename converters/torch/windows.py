# SPDX-License-Identifier: Apache-2.0
"""PyTorch's poolings of maps and sequences: ceil_mode and what counts as a divisor, exactly."""

from __future__ import annotations

import numpy as np

from edgekit.converters.nchw.graph import Activation, RefusalError, SourceCall
from edgekit.converters.nchw.maps import map_of, map_result, output_size
from edgekit.converters.nchw.pooling import PoolAxis, mean_over_map, pool_axis, tiles
from edgekit.converters.nchw.pooling import average_pool as average_pooled
from edgekit.converters.nchw.pooling import max_pool as max_pooled
from edgekit.converters.torch.maps import height_and_width
from edgekit.ops.average_pool2d import AveragePool2d
from edgekit.ops.max_pool2d import MaxPool2d
from edgekit.ops.mul import Mul
from edgekit.window import Axis, Window


def _pooling_axes(call: SourceCall, x: Activation) -> tuple[PoolAxis, PoolAxis]:
    rank = len(call.shape)
    kernel = height_and_width(call["kernel_size"], rank=rank, neutral=1)
    stride = height_and_width(call["stride"] or call["kernel_size"], rank=rank, neutral=1)
    dilation = height_and_width(call.arguments.get("dilation", 1), rank=rank, neutral=1)
    padding = height_and_width(call["padding"], rank=rank, neutral=0)
    height, width = (
        pool_axis(Axis(k, s, d, p, p), input_size=size, output_size=output)
        for k, s, d, p, size, output in zip(
            kernel, stride, dilation, padding, x.shape[2:], output_size(call), strict=True
        )
    )
    return height, width


def max_pool(call: SourceCall) -> Activation:
    """max_pool1d and max_pool2d."""
    x = map_of(call, "self")
    return max_pooled(call, x, *_pooling_axes(call, x))


def average_pool(call: SourceCall) -> Activation:
    """avg_pool1d and avg_pool2d."""
    x = map_of(call, "self")
    axes = _pooling_axes(call, x)
    if (override := call.arguments.get("divisor_override")) is not None:
        window = Window(axes[0].axis, axes[1].axis)
        return _sum_over(call, x, window, float(override))
    return average_pooled(call, x, *axes, count_padding=bool(call["count_include_pad"]))


def _sum_over(call: SourceCall, x: Activation, window: Window, divisor: float) -> Activation:
    """divisor_override: the sum over a constant is the mean over all taps times a constant."""
    if not divisor:
        raise RefusalError("divisor_override=0 is not a divisor; leave it out")
    taps = window.height.kernel * window.width.kernel
    tensor = call.builder.node("average_pool2d", [x.tensor], AveragePool2d(window, True))
    factor = np.full((1, 1, 1, 1), taps / divisor, np.float32)
    inputs = [tensor, call.builder.constant(f"{call.builder.name}/factor", factor)]
    return map_result(call, "mul", inputs, Mul())


def global_or_tiled_average_pool(call: SourceCall) -> Activation:
    """To 1x1 it is a mean; to a divisor of the map, equal tiles; PyTorch's other tiles overlap."""
    x = map_of(call, "self")
    if output_size(call) == (1, 1):
        return mean_over_map(call, x)
    window = tiles(x.shape[2:], output_size(call))
    return map_result(call, "average_pool2d", [x.tensor], AveragePool2d(window))


def global_or_tiled_max_pool(call: SourceCall) -> Activation:
    """As for the average."""
    x = map_of(call, "self")
    window = tiles(x.shape[2:], output_size(call))
    return map_result(call, "max_pool2d", [x.tensor], MaxPool2d(window))
