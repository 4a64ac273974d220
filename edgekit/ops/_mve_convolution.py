# SPDX-License-Identifier: Apache-2.0
"""The Helium kernels of convolutions: 1x1 straight from the map, others from gathered windows."""

from __future__ import annotations

import numpy as np

from edgekit.ir import Array, Call
from edgekit.kernel import BY_ROW, Binding, CStruct, Features, Kernel, WriteBehind
from edgekit.ops._mve_matrix import (
    CHANNEL_GROUP,
    LANES,
    TILE_PIXELS,
    TILES,
    channel_bytes,
    columns_inside,
    matrix_features,
    matrix_members,
    matrix_problem,
)
from edgekit.ops._weighted import INPUT, WEIGHTS, WeightedArithmetic
from edgekit.window import Axis, Window


def _matrix(call: Call) -> Array:
    """Weights (output channels, inputs of a window) as int64."""
    weights = call.constant(WEIGHTS)
    return weights.reshape(weights.shape[0], -1).astype(np.int64)


def _groups(call: Call) -> int:
    return call.inputs[INPUT].shape[3] // call.inputs[WEIGHTS].shape[3]


def _window_bytes(call: Call) -> int:
    _, kernel_height, kernel_width, group_inputs = call.inputs[WEIGHTS].shape
    return kernel_height * kernel_width * group_inputs


def _accepts(call: Call) -> str | None:
    return matrix_problem(call, _matrix(call))


def _accepts_pointwise(call: Call) -> str | None:
    window: Window = call.node.attributes.window
    for axis in (window.height, window.width):
        if axis != Axis(1, dilation=axis.dilation):
            return "only a 1x1 kernel with stride 1 and no padding"
    if _groups(call) != 1:
        return "only one group"
    return _accepts(call)


def _pack_pointwise(call: Call, binding: Binding) -> CStruct:
    matrix = _matrix(call)
    return CStruct(
        "ek_pointwise_s8_interleaved", {**matrix_members(call, matrix), "depth": matrix.shape[1]}
    )


def _pack(call: Call, binding: Binding) -> CStruct:
    arithmetic: WeightedArithmetic = call.node.arithmetic
    width: Axis = call.node.attributes.window.width
    outputs, kernel_height, kernel_width, _ = call.inputs[WEIGHTS].shape
    _, _, input_width, input_channels = call.inputs[INPUT].shape
    return CStruct(
        "ek_conv2d_s8_interleaved",
        {
            **matrix_members(call, _matrix(call), groups=_groups(call)),
            "input_zero_point": arithmetic.input_zero_point,
            "input_width": input_width,
            "input_channels": input_channels,
            "output_channels": outputs,
            "groups": _groups(call),
            "kernel_height": kernel_height,
            "kernel_width": kernel_width,
            "stride_width": width.stride,
            "dilation_width": width.dilation,
            "pad_left": width.pad_before,
        },
    )


def _scratch_bytes(call: Call, binding: Binding) -> int:
    return TILE_PIXELS * channel_bytes(_window_bytes(call))


def _pointwise_features(call: Call) -> Features:
    _, height, width, channels = call.output.shape
    depth = call.inputs[INPUT].shape[3]
    matrix = matrix_features(pixels=height * width, channels=channels, depth=depth)
    return {"layers": 1, **matrix}


def _features(call: Call) -> Features:
    _, height, width, channels = call.output.shape
    groups, depth = _groups(call), _window_bytes(call)
    row = matrix_features(pixels=width, channels=channels // groups, depth=depth)
    row |= _gathering(call)
    return {"rows": height, **{name: height * groups * count for name, count in row.items()}}


def _gathering(call: Call) -> dict[str, float]:
    """Of the windows of a row: row by row inside of the map, in runs of taps at its borders, tap by
    tap with dilation or groups.
    """
    _, kernel_height, kernel_width, channels = call.inputs[WEIGHTS].shape
    width = call.output.shape[2]

    def words(taps: float) -> float:
        return kernel_height * -(-taps * channels // LANES)

    if _groups(call) > 1 or call.node.attributes.window.width.dilation > 1:
        taps = width * kernel_width
        return {"scattered": width, "runs": taps * kernel_height, "run_words": taps * words(1)}
    inside = len(columns_inside(call))
    border = width - inside
    return {
        "inside": inside,
        "border": border,
        "inside_rows": inside * kernel_height,
        "runs": 2 * border * kernel_height,
        "run_words": inside * words(kernel_width) + 2 * border * words(kernel_width / 2),
    }


POINTWISE = Kernel(
    symbol="ek_pointwise_s8_interleaved__mve_3x2",
    isa="mve",
    kind="rows",
    pack=_pack_pointwise,
    accepts=_accepts_pointwise,
    features=_pointwise_features,
    shared=TILES | {"layers"},
    write_behind=WriteBehind(grain=TILE_PIXELS),
    flat=True,
    channel_blocks=lambda call: CHANNEL_GROUP,
    stack_bytes=400,
)
CONV2D = Kernel(
    symbol="ek_conv2d_s8_interleaved__mve_3x2",
    isa="mve",
    kind="rows",
    pack=_pack,
    accepts=_accepts,
    features=_features,
    shared=TILES | {"rows", "scattered", "inside", "border", "inside_rows", "runs", "run_words"},
    scratch_bytes=_scratch_bytes,
    write_behind=BY_ROW,
    channel_blocks=lambda call: CHANNEL_GROUP if _groups(call) == 1 else 0,
    stack_bytes=600,
)
