# SPDX-License-Identifier: Apache-2.0
"""PyTorch's pooling windows: ceil_mode and count_include_pad, exactly or refused."""

from __future__ import annotations

from typing import Any

from edgekit.converters.torch.builder import Activation, RefusalError, TorchCall
from edgekit.ops.average_pool2d import AveragePool2d
from edgekit.ops.max_pool2d import MaxPool2d
from edgekit.ops.mean import Mean
from edgekit.window import Axis, Window


def pair(value: Any) -> tuple[int, int]:
    """ATen's int[2], where one number stands for both."""
    values = [value] if isinstance(value, int) else list(value)
    return (int(values[0]), int(values[-1]))


def _pooling_axes(call: TorchCall, x: Activation) -> tuple[Axis, Axis, bool]:
    """The windows, and whether ceil_mode adds a window that hangs over the padded map."""
    kernel = pair(call["kernel_size"])
    stride = pair(call["stride"]) if call["stride"] else kernel
    dilation = pair(call.arguments.get("dilation", 1))
    padding = pair(call["padding"])
    axes, hangs_over = [], False
    for k, s, d, p, size, output in zip(
        kernel, stride, dilation, padding, x.shape[2:], call.shape[2:], strict=True
    ):
        axis = Axis(k, s, d, p, p)
        if axis.output_size(size) != output:
            needed = (output - 1) * s + axis.extent - size - p
            axis, hangs_over = Axis(k, s, d, p, needed), True
        axes.append(axis)
    return axes[0], axes[1], hangs_over


def max_pool(call: TorchCall) -> Activation:
    """Padding never wins a maximum, so windows that hang over are just more padding."""
    x = call.activation("self", rank=4)
    height, width, _ = _pooling_axes(call, x)
    return call.node("max_pool2d", [x.tensor], MaxPool2d(Window(height, width)))


def average_pool(call: TorchCall) -> Activation:
    x = call.activation("self", rank=4)
    height, width, hangs_over = _pooling_axes(call, x)
    kernel, override = height.kernel * width.kernel, call["divisor_override"]
    padded = bool(height.pad_before or width.pad_before)
    count_padding = bool(call["count_include_pad"]) and padded
    if override is not None and (override != kernel or padded or hangs_over):
        raise RefusalError(f"divisor_override={override} is not supported; leave it out")
    if count_padding and hangs_over:
        raise RefusalError("ceil_mode with counted padding is not supported; use ceil_mode=False")
    attributes = AveragePool2d(Window(height, width), count_padding)
    return call.node("average_pool2d", [x.tensor], attributes)


def global_or_tiled_average_pool(call: TorchCall) -> Activation:
    """To 1x1 it is a mean; to a divisor of the map, equal tiles; PyTorch's other tiles overlap."""
    x = call.activation("self", rank=4)
    sizes, outputs = x.shape[2:], call.shape[2:]
    if tuple(outputs) == (1, 1):
        return call.node("mean", [x.tensor], Mean((1, 2), keep_dims=True))
    if any(size % output for size, output in zip(sizes, outputs, strict=True)):
        raise RefusalError(
            f"a map of {sizes} does not divide into {tuple(outputs)} equal tiles; use output_size=1"
        )
    height, width = (Axis(s // o, s // o) for s, o in zip(sizes, outputs, strict=True))
    return call.node("average_pool2d", [x.tensor], AveragePool2d(Window(height, width)))
