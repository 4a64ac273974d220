# SPDX-License-Identifier: Apache-2.0
"""ATen's convolutions, transposed or not, over maps and sequences."""

from __future__ import annotations

from edgekit.converters.nchw.convolutions import convolution as convolved
from edgekit.converters.nchw.convolutions import transposed_convolution, weight_maps
from edgekit.converters.nchw.graph import Activation, SourceCall
from edgekit.converters.nchw.maps import map_of
from edgekit.converters.torch.maps import height_and_width
from edgekit.window import Axis, Window


def convolution(call: SourceCall) -> Activation:
    """conv1d, conv2d, conv_transpose1d, conv_transpose2d, and convolution, which is all of them."""
    x, weight = map_of(call, "input"), call.parameter("weight")
    bias, groups = call.optional_parameter("bias"), int(call["groups"])
    kernel = weight_maps(call, weight).shape[2:]
    if call.arguments.get("transposed") or call.op.startswith("conv_transpose"):
        stride, dilation = _pair(call, "stride", 1), _pair(call, "dilation", 1)
        crop = _pair(call, "padding", 0)
        return transposed_convolution(
            call, x, weight, bias, stride=stride, dilation=dilation, crop=crop, groups=groups
        )
    return convolved(call, x, weight, bias, window=_window(call, kernel), groups=groups)


def _window(call: SourceCall, kernel: tuple[int, ...]) -> Window:
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


def _pair(call: SourceCall, name: str, neutral: int) -> tuple[int, int]:
    return height_and_width(call[name], rank=len(call.shape), neutral=neutral)
