# SPDX-License-Identifier: Apache-2.0
"""PyTorch's poolings of maps and sequences: ceil_mode and what counts as a divisor, exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgekit.converters.torch.builder import Activation, RefusalError, TorchCall
from edgekit.converters.torch.maps import height_and_width, map_of, map_result, output_size
from edgekit.ops.average_pool2d import AveragePool2d
from edgekit.ops.max_pool2d import MaxPool2d
from edgekit.ops.mean import Mean
from edgekit.ops.mul import Mul
from edgekit.ops.pad import Pad
from edgekit.window import Axis, Window


def _pooling_axes(call: TorchCall, x: Activation) -> tuple[Axis, Axis, bool]:
    """The windows, and whether ceil_mode adds a window that hangs over the padded map."""
    rank = len(call.shape)
    kernel = height_and_width(call["kernel_size"], rank=rank, neutral=1)
    stride = height_and_width(call["stride"] or call["kernel_size"], rank=rank, neutral=1)
    dilation = height_and_width(call.arguments.get("dilation", 1), rank=rank, neutral=1)
    padding = height_and_width(call["padding"], rank=rank, neutral=0)
    axes, hangs_over = [], False
    for k, s, d, p, size, output in zip(
        kernel, stride, dilation, padding, x.shape[2:], output_size(call), strict=True
    ):
        axis = Axis(k, s, d, p, p)
        if axis.output_size(size) != output:
            needed = (output - 1) * s + axis.extent - size - p
            axis, hangs_over = Axis(k, s, d, p, needed), True
        axes.append(axis)
    return axes[0], axes[1], hangs_over


def max_pool(call: TorchCall) -> Activation:
    """Padding never wins a maximum, so windows that hang over are just more padding."""
    x = map_of(call, "self")
    height, width, _ = _pooling_axes(call, x)
    return map_result(call, "max_pool2d", [x.tensor], MaxPool2d(Window(height, width)))


def average_pool(call: TorchCall) -> Activation:
    """The divisor is what lies inside the map, or inside its padding, but never what hangs over it.

    Over the whole map it is a mean, which has a scale of its own.
    """
    x = map_of(call, "self")
    height, width, hangs_over = _pooling_axes(call, x)
    window = Window(height, width)
    padded = bool(height.pad_before or width.pad_before)
    if (override := call.arguments.get("divisor_override")) is not None:
        return _sum_over(call, x, window, float(override))
    if (height.kernel, width.kernel) == x.shape[2:] and not padded and not hangs_over:
        return map_result(call, "mean", [x.tensor], Mean((1, 2), keep_dims=True))
    if not (call["count_include_pad"] and padded):
        return map_result(call, "average_pool2d", [x.tensor], AveragePool2d(window))
    if not hangs_over:
        return map_result(call, "average_pool2d", [x.tensor], AveragePool2d(window, True))
    before = (0, height.pad_before, width.pad_before, 0)
    bordered = call.builder.node("pad", [x.tensor], Pad(before, before))
    axes = (
        replace(axis, pad_before=0, pad_after=max(axis.pad_after - axis.pad_before, 0))
        for axis in (height, width)
    )
    return map_result(call, "average_pool2d", [bordered], AveragePool2d(Window(*axes)))


def _sum_over(call: TorchCall, x: Activation, window: Window, divisor: float) -> Activation:
    """divisor_override: the sum over a constant is the mean over all taps times a constant."""
    if not divisor:
        raise RefusalError("divisor_override=0 is not a divisor; leave it out")
    taps = window.height.kernel * window.width.kernel
    tensor = call.builder.node("average_pool2d", [x.tensor], AveragePool2d(window, True))
    factor = np.full((1, 1, 1, 1), taps / divisor, np.float32)
    inputs = [tensor, call.builder.constant(f"{call.builder.name}/factor", factor)]
    return map_result(call, "mul", inputs, Mul())


def global_or_tiled_average_pool(call: TorchCall) -> Activation:
    """To 1x1 it is a mean; to a divisor of the map, equal tiles; PyTorch's other tiles overlap."""
    x = map_of(call, "self")
    if output_size(call) == (1, 1):
        return map_result(call, "mean", [x.tensor], Mean((1, 2), keep_dims=True))
    return map_result(call, "average_pool2d", [x.tensor], AveragePool2d(_tiles(call, x)))


def global_or_tiled_max_pool(call: TorchCall) -> Activation:
    """As for the average."""
    x = map_of(call, "self")
    return map_result(call, "max_pool2d", [x.tensor], MaxPool2d(_tiles(call, x)))


def _tiles(call: TorchCall, x: Activation) -> Window:
    sizes, outputs = x.shape[2:], output_size(call)
    if any(size % output for size, output in zip(sizes, outputs, strict=True)):
        raise RefusalError(
            f"a map of {sizes} does not divide into {outputs} equal tiles; use output_size=1"
        )
    height, width = (Axis(s // o, s // o) for s, o in zip(sizes, outputs, strict=True))
    return Window(height, width)
