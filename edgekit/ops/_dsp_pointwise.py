# SPDX-License-Identifier: Apache-2.0
"""The DSP kernel of 1x1 convolutions: packed-lane weights, 4 pixels x 2 output channels."""

from __future__ import annotations

from edgekit.ir import Array, Call
from edgekit.kernel import Binding, CStruct, Features, Kernel, WriteBehind
from edgekit.ops._dsp_pairs import (
    GENERAL_SCRATCH_BYTES,
    LANES_BYTES,
    TILE_PIXELS,
    arrange_segments,
    lane_bound,
    paired_layer,
    pairs_struct,
    row_features,
    sums_refusal,
    windows_struct,
)
from edgekit.ops._weighted import INPUT, WEIGHTS
from edgekit.window import Axis


def _accepts(call: Call) -> str | None:
    window = call.node.attributes.window
    for axis in (window.height, window.width):
        if axis != Axis(1, dilation=axis.dilation):
            return "only a 1x1 kernel with stride 1 and no padding"
    if call.inputs[INPUT].shape[3] != call.inputs[WEIGHTS].shape[3]:
        return "only one group"
    if call.inputs[INPUT].shape[3] < 4:
        return "only 4 input channels or more"
    if call.inputs[INPUT].dtype != "int8" or call.output.dtype != "int8":
        return "only int8"
    return sums_refusal(call)


def _arranged(matrix: Array) -> Array:
    return arrange_segments(matrix[:, None, :])


def _pack(call: Call, binding: Binding) -> CStruct:
    channels = call.inputs[INPUT].shape[3]
    return CStruct(
        "ek_pointwise_s8",
        {
            "pairs": pairs_struct(call, binding, paired_layer(call), _arranged),
            "windows": windows_struct(channels, pixel_step=channels),
        },
    )


def _groups(call: Call) -> int:
    return -(-call.inputs[INPUT].shape[3] // 4)


def _scratch_bytes(call: Call, binding: Binding) -> int:
    """The tile's pixels as int16; sums of one pair where the requantization is the general one."""
    general = GENERAL_SCRATCH_BYTES * paired_layer(call).is_general
    return LANES_BYTES * _groups(call) + general


def _features(call: Call) -> Features:
    _, height, width, channels = call.output.shape
    row = row_features(
        paired_layer(call), pixels=height * width, channels=channels, groups=_groups(call)
    )
    return {"layers": 1, **row}


DSP_4X2 = Kernel(
    symbol="ek_pointwise_s8__dsp_4x2",
    isa="dsp",
    kind="rows",
    pack=_pack,
    accepts=_accepts,
    lane_bound=lambda call: lane_bound(paired_layer(call)),
    features=_features,
    shared=frozenset({"layers", "tiles", "tile_groups"}),
    scratch_bytes=_scratch_bytes,
    writes=("nhwc", "row_planar"),
    write_behind=WriteBehind(grain=TILE_PIXELS, buffered=True),
    flat=True,
    channel_blocks=lambda call: 2,
    stack_bytes=432,
)
