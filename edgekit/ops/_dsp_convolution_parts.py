# SPDX-License-Identifier: Apache-2.0
"""The DSP kernel of convolutions with many taps: one row of the kernel after the other."""

from __future__ import annotations

from edgekit.ir import Call
from edgekit.kernel import BY_ROW, Binding, CStruct, Kernel
from edgekit.ops._dsp_pairs import (
    GROUP_INSTRUCTIONS,
    LANES_BYTES,
    TILE_PIXELS,
    sums_refusal,
)
from edgekit.ops._dsp_parts import PartedLayer, parted_layer, parts_struct
from edgekit.ops._dsp_windows import (
    ConvolutionWindows,
    convolution_windows,
    gather_instructions,
    geometry_struct,
    padding_instructions,
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


def _instructions(call: Call) -> float:
    """Counted under QEMU, gcc 12 -O2: by tile and kernel row; sums pass through memory."""
    windows, row, pairs = convolution_windows(call), _row_windows(call), _layer(call).pairs
    _, height, width, channels = call.output.shape
    total = 0.0
    whole, rest = divmod(width, TILE_PIXELS)
    for pixels, tiles in ((TILE_PIXELS, whole), (rest, int(rest > 0))):
        if tiles:
            pair = 14.0 + 10.0 * pixels + GROUP_INSTRUCTIONS[pixels] * row.groups
            part = 120.0 + gather_instructions(row) + pairs * (12.0 + 10.0 * pixels + pair)
            total += tiles * (windows.height.kernel * part + (18.0 + 20.0 * pixels) * channels)
    return height * (150.0 + padding_instructions(windows, width) + total)


DSP_PARTS = Kernel(
    symbol="ek_conv2d_s8_parts__dsp_4x2",
    isa="dsp",
    kind="rows",
    pack=_pack,
    accepts=_accepts,
    lane_bound=lambda call: _layer(call).lane_bound,
    instructions=_instructions,
    scratch_bytes=_scratch_bytes,
    write_behind=BY_ROW,
    channel_blocks=lambda call: 2,
    stack_bytes=656,
)
