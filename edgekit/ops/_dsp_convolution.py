# SPDX-License-Identifier: Apache-2.0
"""The DSP kernel of convolutions of any geometry: windows gathered as lanes, packed-lane weights."""

from __future__ import annotations

from edgekit.ir import Call
from edgekit.kernel import BY_ROW, Binding, CStruct, Features, Kernel
from edgekit.ops._dsp_pairs import (
    GENERAL_SCRATCH_BYTES,
    LANES_BYTES,
    PairedLayer,
    lane_bound,
    paired_layer,
    pairs_struct,
    row_features,
    sums_refusal,
)
from edgekit.ops._dsp_windows import (
    GATHERING,
    convolution_windows,
    gather_features,
    geometry_struct,
    padded_rows,
)
from edgekit.ops._weighted import INPUT

MOST_TAPS = 512
"""Of a window: what takes more scratch is computed in parts, where it has several rows."""


def _layer(call: Call) -> PairedLayer:
    return paired_layer(call, convolution_windows(call).channel_groups)


def _accepts(call: Call) -> str | None:
    if call.inputs[INPUT].dtype != "int8" or call.output.dtype != "int8":
        return "only int8"
    windows = convolution_windows(call)
    has_parts = windows.channel_groups == 1 and windows.height.kernel > 1
    if has_parts and 4 * windows.groups > MOST_TAPS:
        return f"its windows have more than {MOST_TAPS} taps"
    return sums_refusal(call)


def _pack(call: Call, binding: Binding) -> CStruct:
    windows = convolution_windows(call)
    return CStruct(
        "ek_conv2d_s8_packed",
        {
            "pairs": pairs_struct(call, binding, _layer(call), windows.arranged),
            "geometry": geometry_struct(call, windows),
            "channel_groups": windows.channel_groups,
            "group_inputs": windows.group_inputs,
            "group_outputs": windows.outputs // windows.channel_groups,
        },
    )


def _scratch_bytes(call: Call, binding: Binding) -> int:
    """The tile's windows as int16, sums of a pair in general form, rows of windows with padding."""
    windows = convolution_windows(call)
    general = GENERAL_SCRATCH_BYTES * _layer(call).is_general
    return LANES_BYTES * windows.groups + general + windows.padded_bytes


def _features(call: Call) -> Features:
    """Windows gathered segment by segment, then the pairs, row by row."""
    windows = convolution_windows(call)
    _, height, width, channels = call.output.shape
    row = row_features(
        _layer(call),
        pixels=width,
        channels=channels // windows.channel_groups,
        groups=windows.groups,
    )
    tiles = row["tiles"]
    row |= {name: tiles * count for name, count in gather_features(windows).items()}
    row |= {"calls": 1, "padded_rows": padded_rows(windows, width)}
    rows = height * windows.channel_groups
    return {"rows": height, **{name: rows * count for name, count in row.items()}}


DSP_PACKED = Kernel(
    symbol="ek_conv2d_s8_packed__dsp_4x2",
    isa="dsp",
    kind="rows",
    pack=_pack,
    accepts=_accepts,
    lane_bound=lambda call: lane_bound(_layer(call)),
    features=_features,
    shared=GATHERING | {"rows", "calls", "tiles", "tile_groups"},
    scratch_bytes=_scratch_bytes,
    writes=("nhwc", "row_planar"),
    write_behind=BY_ROW,
    channel_blocks=lambda call: 2 if convolution_windows(call).channel_groups == 1 else 0,
    stack_bytes=632,
)
