# SPDX-License-Identifier: Apache-2.0
"""Conv and ConvTranspose over maps and sequences."""

from __future__ import annotations

from collections.abc import Mapping

from edgekit.converters.nchw.convolutions import (
    convolution,
    transposed_convolution,
    weight_maps,
)
from edgekit.converters.nchw.graph import Activation, RefusalError
from edgekit.converters.nchw.maps import map_of, output_size
from edgekit.converters.onnx.call import OnnxCall
from edgekit.converters.onnx.geometry import axes, pair
from edgekit.converters.onnx.mapper import Mapper
from edgekit.ir import Array
from edgekit.window import Window


def _kernel(call: OnnxCall) -> tuple[int, int]:
    data: Array = weight_maps(call, call.parameter("W"))
    height, width = data.shape[2:]
    declared = call.arguments.get("kernel_shape")
    if declared and (1, *declared)[-2:] != (height, width):
        raise call.fail(f"its kernel_shape {declared} is not that of its weights")
    return height, width


def _convolution(call: OnnxCall) -> Activation:
    x = map_of(call, "X")
    window = Window(*axes(call, x, _kernel(call)))
    for axis, size in zip((window.height, window.width), x.shape[2:], strict=True):
        if (problem := axis.problem(size)) is not None:
            raise call.fail(problem)
    weight, bias = call.parameter("W"), call.optional_parameter("B")
    return convolution(call, x, weight, bias, window=window, groups=int(call["group"]))


def _transposed(call: OnnxCall) -> Activation:
    x, kernel = map_of(call, "X"), _kernel(call)
    weight, bias = call.parameter("W"), call.optional_parameter("B")
    return transposed_convolution(
        call,
        x,
        weight,
        bias,
        stride=pair(call, "strides", 1),
        dilation=pair(call, "dilations", 1),
        crop=_crop(call, x, kernel),
        groups=int(call["group"]),
    )


def _crop(call: OnnxCall, x: Activation, kernel: tuple[int, int]) -> tuple[int, int]:
    """Outputs cut off in front: the pads, or what auto_pad or output_shape make of them."""
    kind = call.arguments.get("auto_pad") or "NOTSET"
    if kind == "VALID" or (kind == "NOTSET" and not call.arguments.get("output_shape")):
        count = len(call.shape) - 2
        pads = call.attribute("pads", [0] * (2 * count))
        if min(pads) < 0:
            raise RefusalError(f"its pads {pads} are negative; add a Pad behind")
        front = [0, 0] if kind == "VALID" else pads[:count]
        return (0, front[0]) if count == 1 else (front[0], front[1])
    strides, dilations = pair(call, "strides", 1), pair(call, "dilations", 1)
    extra = pair(call, "output_padding", 0)
    crops = []
    for i, size in enumerate(output_size(call)):
        reach = (kernel[i] - 1) * dilations[i] + 1
        total = max(strides[i] * (x.shape[2 + i] - 1) + extra[i] + reach - size, 0)
        crops.append(total // 2 if kind == "SAME_UPPER" else total - total // 2)
    return crops[0], crops[1]


CONVOLUTION_MAPPINGS: Mapping[str, Mapper] = {"Conv": _convolution, "ConvTranspose": _transposed}
