# SPDX-License-Identifier: Apache-2.0
"""The DSP kernel of convolutions of any geometry: windows gathered as lanes, packed-lane weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgekit.ir import Array, Call
from edgekit.kernel import BY_ROW, Binding, CStruct, Kernel
from edgekit.ops._dsp_pairs import (
    GENERAL_SCRATCH_BYTES,
    LANES_BYTES,
    TILE_PIXELS,
    PairedLayer,
    arrange_segments,
    lane_bound,
    paired_layer,
    pairs_struct,
    row_instructions,
    sums_refusal,
    windows_struct,
)
from edgekit.ops._weighted import INPUT, WEIGHTS, WeightedArithmetic
from edgekit.window import Axis, Window

_BATCH = 16
"""EK_CONV2D_BATCH of ek_conv2d_s8_packed.h."""


@dataclass(frozen=True)
class _Windows:
    """The windows of a call as segments of adjacent bytes (ek_conv2d_s8_packed.h)."""

    channels: int
    outputs: int
    group_inputs: int
    height: Axis
    width: Axis

    @property
    def channel_groups(self) -> int:
        return self.channels // self.group_inputs

    @property
    def _is_contiguous(self) -> bool:
        """Whether the taps of a kernel row are adjacent bytes."""
        return self.channel_groups == 1 and self.width.dilation == 1

    @property
    def row_segments(self) -> int:
        return 1 if self._is_contiguous else self.width.kernel

    @property
    def segments(self) -> int:
        return self.height.kernel * self.row_segments

    @property
    def segment_taps(self) -> int:
        return self.group_inputs * self.width.kernel // self.row_segments

    @property
    def has_tails(self) -> bool:
        """Whether the last taps of all kernel rows share groups of 4."""
        taps, rows = self.segment_taps, self.height.kernel
        return self._is_contiguous and taps > 4 and taps % 4 == 1 and 1 < rows <= _BATCH

    @property
    def expanded_taps(self) -> int:
        """Taps of a segment without its tail."""
        return self.segment_taps - 1 if self.has_tails else self.segment_taps

    @property
    def segment_step(self) -> int:
        return self.width.dilation * self.channels

    @property
    def window_bytes(self) -> int:
        return (self.row_segments - 1) * self.segment_step + max(self.segment_taps, 4)

    @property
    def pixel_step(self) -> int:
        return self.width.stride * self.channels

    @property
    def groups(self) -> int:
        tails = -(-self.segments // 4) if self.has_tails else 0
        return self.segments * -(-self.expanded_taps // 4) + tails

    @property
    def padded_bytes(self) -> int:
        """Scratch for windows with padding, a batch of kernel rows."""
        row = 3 + self.window_bytes + (TILE_PIXELS - 1) * self.pixel_step
        return min(self.height.kernel, _BATCH) * row if self.may_leave_the_map else 0

    @property
    def may_leave_the_map(self) -> bool:
        """Whether a window may lie in the padding, or be read beyond the row's end."""
        axes = (self.height, self.width)
        return self.segment_taps < 4 or any(axis.pad_before or axis.pad_after for axis in axes)

    def arranged(self, matrix: Array) -> Array:
        """Weights (outputs, taps) in the order of the lanes."""
        taps = matrix.reshape(len(matrix), self.segments, self.segment_taps)
        if not self.has_tails:
            return arrange_segments(taps)
        groups = [taps[:, :, :-1], taps[:, None, :, -1]]
        return np.concatenate([arrange_segments(group) for group in groups], axis=1)


def _windows(call: Call) -> _Windows:
    window: Window = call.node.attributes.window
    outputs, _, _, group_inputs = call.inputs[WEIGHTS].shape
    channels = call.inputs[INPUT].shape[3]
    return _Windows(channels, outputs, group_inputs, window.height, window.width)


def _layer(call: Call) -> PairedLayer:
    return paired_layer(call, _windows(call).channel_groups)


def _accepts(call: Call) -> str | None:
    if call.inputs[INPUT].dtype != "int8" or call.output.dtype != "int8":
        return "only int8"
    return sums_refusal(call)


def _pack(call: Call, binding: Binding) -> CStruct:
    windows, arithmetic = _windows(call), call.node.arithmetic
    assert isinstance(arithmetic, WeightedArithmetic)
    return CStruct(
        "ek_conv2d_s8_packed",
        {
            "pairs": pairs_struct(call, binding, _layer(call), windows.arranged),
            "windows": windows_struct(windows.expanded_taps, windows.pixel_step),
            "row_segments": windows.row_segments,
            "segment_step": windows.segment_step,
            "has_tails": int(windows.has_tails),
            "row_bytes": call.inputs[INPUT].shape[2] * windows.channels,
            "channel_groups": windows.channel_groups,
            "group_inputs": windows.group_inputs,
            "group_outputs": windows.outputs // windows.channel_groups,
            "kernel_height": windows.height.kernel,
            "window_bytes": windows.window_bytes,
            "pad_bytes": windows.width.pad_before * windows.channels,
            "input_zero_point": arithmetic.input_zero_point,
        },
    )


def _scratch_bytes(call: Call, binding: Binding) -> int:
    """The tile's windows as int16, sums of a pair in general form, a row of windows with padding."""
    windows = _windows(call)
    general = GENERAL_SCRATCH_BYTES * _layer(call).is_general
    return LANES_BYTES * windows.groups + general + windows.padded_bytes


def _instructions(call: Call) -> float:
    """Counted under QEMU: windows gathered segment by segment, then the pairs, row by row."""
    windows = _windows(call)
    _, height, width, channels = call.output.shape
    rows = windows.height.kernel * (12.0 + 40.0 * (windows.row_segments > 1))
    segments = windows.segments * (12.0 + 14.0 * (windows.expanded_taps % 4 > 0))
    tails = 40.0 + 50.0 * -(-windows.segments // 4) if windows.has_tails else 0.0
    padded = windows.height.kernel * 45.0 * windows.may_leave_the_map * min(2, -(-width // 4))
    row = row_instructions(
        _layer(call),
        pixels=width,
        channels=channels // windows.channel_groups,
        groups=windows.groups,
        tile=160.0 + rows + segments + tails + 16 * windows.groups,
    )
    return height * (250.0 + windows.channel_groups * (120.0 + padded + row))


DSP_PACKED = Kernel(
    symbol="ek_conv2d_s8_packed__dsp_4x2",
    isa="dsp",
    kind="rows",
    pack=_pack,
    accepts=_accepts,
    lane_bound=lambda call: lane_bound(_layer(call)),
    instructions=_instructions,
    scratch_bytes=_scratch_bytes,
    writes=("nhwc", "row_planar"),
    write_behind=BY_ROW,
    channel_blocks=lambda call: 2 if _windows(call).channel_groups == 1 else 0,
    stack_bytes=704,
)
