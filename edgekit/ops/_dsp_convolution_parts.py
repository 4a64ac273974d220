# SPDX-License-Identifier: Apache-2.0
"""The DSP kernel of convolutions with many taps: one row of the kernel after the other."""

from __future__ import annotations

from edgekit.ir import Call
from edgekit.kernel import BY_ROW, Binding, CStruct, Features, Kernel
from edgekit.ops._dsp_pairs import (
    LANES_BYTES,
    TILE_PIXELS,
    sums_refusal,
)
from edgekit.ops._dsp_parts import PartedLayer, parted_layer, parts_struct
from edgekit.ops._dsp_requantize import finish_features
from edgekit.ops._dsp_windows import (
    GATHERING,
    ConvolutionWindows,
    convolution_windows,
    gather_features,
    geometry_struct,
    padded_rows,
)
from edgekit.ops._weighted import INPUT

_PAIR_SUMS_BYTES = 2 * 4 * TILE_PIXELS


def _row_windows(call: Call) -> ConvolutionWindows:
    return convolution_windows(call).one_row


def _layer(call: Call) -> PartedLayer:
    return parted_layer(call, convolution_windows(call).height.kernel)


def _accepts(call: Call) -> str | None:
    if call.inputs[INPUT].dtype != "int8" or call.output.dtype != "int8":
        return "only int8"
    if convolution_windows(call).channel_groups > 1:
        return "only one group"
    return sums_refusal(call)


def _pack(call: Call, binding: Binding) -> CStruct:
    height, row = convolution_windows(call).height.kernel, _row_windows(call)
    return CStruct(
        "ek_conv2d_s8_parts",
        {
            "sums": parts_struct(call, _layer(call), row.arranged),
            "geometry": geometry_struct(call, row),
            "kernel_height": height,
        },
    )


def _scratch_bytes(call: Call, binding: Binding) -> int:
    """Sums of a tile, the windows of one kernel row as int16, such windows with padding."""
    row = _row_windows(call)
    return _PAIR_SUMS_BYTES * _layer(call).pairs + LANES_BYTES * row.groups + row.padded_bytes


def _features(call: Call) -> Features:
    """By tile and kernel row; sums pass through memory."""
    windows, row, pairs = convolution_windows(call), _row_windows(call), _layer(call).pairs
    _, height, width, channels = call.output.shape
    whole, rest = divmod(width, TILE_PIXELS)
    tiles = height * (whole + (rest > 0))
    parts = tiles * windows.height.kernel
    part_pixels = height * width * windows.height.kernel
    features = {name: parts * count for name, count in gather_features(row).items()}
    for size, count in ((TILE_PIXELS, whole), (rest, int(rest > 0))):
        if count:
            groups = height * count * windows.height.kernel * pairs * row.groups
            features[f"groups_{size}"] = groups
    return features | {
        "rows": height,
        "padded_rows": height * padded_rows(windows, width),
        "parts": parts,
        "part_groups": parts * row.groups,
        "pairs": parts * pairs,
        "pair_pixels": part_pixels * pairs,
        "tile_channels": tiles * channels,
        "outputs": height * width * channels,
        **finish_features(_layer(call).finish.finish, height * width * channels),
    }


DSP_PARTS = Kernel(
    symbol="ek_conv2d_s8_parts__dsp_4x2",
    isa="dsp",
    kind="rows",
    pack=_pack,
    accepts=_accepts,
    lane_bound=lambda call: _layer(call).lane_bound,
    features=_features,
    shared=GATHERING | {"rows", "parts", "part_groups"},
    scratch_bytes=_scratch_bytes,
    write_behind=BY_ROW,
    channel_blocks=lambda call: 2,
    stack_bytes=656,
)
