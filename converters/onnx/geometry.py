# SPDX-License-Identifier: Apache-2.0
"""The windows of ONNX's convolutions and poolings: strides, dilations, pads and auto_pad."""

from __future__ import annotations

from collections.abc import Sequence

from edgekit.converters.nchw.graph import Activation, RefusalError
from edgekit.converters.onnx.call import OnnxCall
from edgekit.window import Axis

Pair = tuple[int, int]


def pair(call: OnnxCall, name: str, neutral: int) -> Pair:
    """An attribute with an entry for every axis of the map; a sequence has the neutral one as H."""
    count = len(call.shape) - 2
    values = call.attribute(name, [neutral] * count)
    return (neutral, values[0]) if count == 1 else (values[0], values[1])


def axes(call: OnnxCall, x: Activation, kernel: Sequence[int]) -> tuple[Axis, Axis]:
    """The axes of a window over the map ``x``, before ceil_mode."""
    strides, dilations = pair(call, "strides", 1), pair(call, "dilations", 1)
    pads = _pads(call)
    kind = call.arguments.get("auto_pad") or "NOTSET"
    made = []
    for position in range(2):
        axis = Axis(kernel[position], strides[position], dilations[position], *pads[position])
        made.append(_auto_padded(axis, kind, x.shape[2 + position]))
    return made[0], made[1]


def _pads(call: OnnxCall) -> tuple[Pair, Pair]:
    """(before, after) of H and W."""
    count = len(call.shape) - 2
    values = call.attribute("pads", [0] * (2 * count))
    if min(values) < 0:
        raise RefusalError(f"its pads {values} are negative; cut the map with Slice")
    pads = [(values[i], values[count + i]) for i in range(count)]
    return ((0, 0), pads[0]) if count == 1 else (pads[0], pads[1])


def _auto_padded(axis: Axis, kind: str, size: int) -> Axis:
    if kind == "NOTSET":
        return axis
    if kind == "VALID":
        return Axis(axis.kernel, axis.stride, axis.dilation)
    if kind not in ("SAME_UPPER", "SAME_LOWER"):
        raise RefusalError(f"its auto_pad '{kind}' is not one of SAME_UPPER, SAME_LOWER, VALID")
    outputs = -(-size // axis.stride)
    total = max((outputs - 1) * axis.stride + axis.extent - size, 0)
    less, more = total // 2, total - total // 2
    pads = (less, more) if kind == "SAME_UPPER" else (more, less)
    return Axis(axis.kernel, axis.stride, axis.dilation, *pads)
