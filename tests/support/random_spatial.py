# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategies for operators that enlarge, mirror or reorder maps."""

from __future__ import annotations

from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from edgekit.ir import Call
from edgekit.ops._blocks import BlockOrder, Blocks
from edgekit.ops.pad import Pad, PadMode
from edgekit.ops.resize_bilinear import ResizeAxis, ResizeBilinear, resize_axis
from edgekit.ops.resize_nearest import ResizeNearest
from edgekit.ops.transposed_conv2d import TransposedConv2d, transposed_axis
from edgekit.window import Axis, Window
from support.random_calls import BOUNDS, CHANNELS, SIZES, Draw, _activation, _call, _weights

ORDERS: tuple[BlockOrder, ...] = ("block_major", "channel_major")
MODES: tuple[PadMode, ...] = ("reflect", "symmetric", "replicate", "circular")


def _axis(draw: Draw, size: int) -> Axis:
    kernel, stride, dilation = (draw(st.integers(1, top)) for top in (4, 4, 3))
    reach = dilation * (kernel - 1)
    crop, more = draw(st.integers(0, reach)), draw(st.integers(0, stride))
    result = (size - 1) * stride + 1 + reach - crop - draw(st.integers(0, reach)) + more
    axis = transposed_axis(kernel, stride, dilation, crop=crop, input_size=size, output_size=result)
    assume(axis.problem(size) is None)
    return axis


@st.composite
def transposed_conv2d(draw: Draw) -> Call:
    groups, inputs, outputs = draw(st.integers(1, 3)), draw(st.integers(1, 5)), draw(SIZES)
    height, width = (draw(st.integers(1, 5)) for _ in range(2))
    x = _activation(draw, (1, height, width, groups * inputs))
    window = Window(_axis(draw, height), _axis(draw, width))
    channels = groups * outputs
    shape = (channels, window.height.kernel, window.width.kernel, inputs)
    attributes = TransposedConv2d(window, *draw(BOUNDS))
    return _call(draw, "transposed_conv2d", attributes, [x, *_weights(draw, shape, channels)])


@st.composite
def resize_nearest(draw: Draw) -> Call:
    x = _activation(draw, (1, draw(SIZES), draw(SIZES), draw(CHANNELS)))
    rows, columns = (
        tuple(draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=9)))
        for size in x.shape[1:3]
    )
    return _call(draw, "resize_nearest", ResizeNearest(rows, columns), [x])


@st.composite
def resize_bilinear(draw: Draw) -> Call:
    x = _activation(draw, (1, draw(SIZES), draw(SIZES), draw(CHANNELS)))

    def axis(size: int) -> ResizeAxis:
        align_corners, half_pixel = draw(
            st.sampled_from(((False, False), (True, False), (False, True)))
        )
        result = draw(st.integers(1, 15))
        return resize_axis(result, size, align_corners=align_corners, half_pixel=half_pixel)

    attributes = ResizeBilinear(axis(x.shape[1]), axis(x.shape[2]))
    return _call(draw, "resize_bilinear", attributes, [x])


@st.composite
def blocks(draw: Draw) -> Call:
    """depth_to_space or space_to_depth."""
    b, height, width = draw(st.integers(1, 3)), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    attributes: Any = Blocks(b, draw(st.sampled_from(ORDERS)))
    if draw(st.booleans()):
        x = _activation(draw, (1, height, width, b * b * draw(st.integers(1, 5))))
        return _call(draw, "depth_to_space", attributes, [x])
    x = _activation(draw, (1, height * b, width * b, draw(CHANNELS)))
    return _call(draw, "space_to_depth", attributes, [x])


@st.composite
def mirror_pad(draw: Draw) -> Call:
    x = _activation(draw, (1, draw(SIZES), draw(SIZES), draw(CHANNELS)))
    mode = draw(st.sampled_from(MODES))
    reach = [size - 1 if mode == "reflect" else size for size in x.shape]
    before, after = ((0, *(draw(st.integers(0, n)) for n in reach[1:])) for _ in range(2))
    return _call(draw, "pad", Pad(before, after, mode), [x])


@st.composite
def pad_value(draw: Draw) -> Call:
    x = _activation(draw, (1, draw(SIZES), draw(SIZES), draw(CHANNELS)))
    before, after = ((0, *(draw(st.integers(0, 3)) for _ in range(3))) for _ in range(2))
    return _call(draw, "pad", Pad(before, after, "constant", draw(st.floats(-9, 9))), [x])


SPATIAL_CALLS: dict[str, st.SearchStrategy[Call]] = {
    "transposed_conv2d": transposed_conv2d(),
    "resize_nearest": resize_nearest(),
    "resize_bilinear": resize_bilinear(),
    "blocks": blocks(),
    "mirror_pad": mirror_pad(),
    "pad_value": pad_value(),
}
"""A strategy for every family of operators of this file."""
