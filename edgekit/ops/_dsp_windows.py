# SPDX-License-Identifier: Apache-2.0
"""How the windows of convolutions become lanes of the DSP kernels: segments, tails, padding."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from edgekit.ir import Array, Call
from edgekit.kernel import CStruct
from edgekit.ops._dsp_pairs import TILE_PIXELS, arrange_segments, windows_struct
from edgekit.ops._weighted import INPUT, WEIGHTS, WeightedArithmetic
from edgekit.window import Axis, Window

_BATCH = 12
"""EK_DSP_BATCH of ek_dsp_geometry.h."""


@dataclass(frozen=True)
class ConvolutionWindows:
    """The windows of a convolution as segments of adjacent bytes (ek_dsp_geometry.h).

    group_inputs: channels that an output channel reads.
    """

    map_width: int
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

    @property
    def one_row(self) -> ConvolutionWindows:
        """The windows of one row of the kernel; the map is padded as before."""
        height = dataclasses.replace(self.height, kernel=1)
        return dataclasses.replace(self, height=height)

    def arranged(self, matrix: Array) -> Array:
        """Weights (outputs, taps) in the order of the lanes."""
        taps = matrix.reshape(len(matrix), self.segments, self.segment_taps)
        if not self.has_tails:
            return arrange_segments(taps)
        # The last taps of 4 rows are a group, which overlaps no other one.
        tails = np.pad(taps[:, :, -1], ((0, 0), (0, -self.segments % 4)))
        return np.concatenate([arrange_segments(taps[:, :, :-1]), tails], axis=1)


def convolution_windows(call: Call) -> ConvolutionWindows:
    window: Window = call.node.attributes.window
    outputs, _, _, group_inputs = call.inputs[WEIGHTS].shape
    channels = call.inputs[INPUT].shape[3]
    return ConvolutionWindows(
        call.inputs[INPUT].shape[2], channels, outputs, group_inputs, window.height, window.width
    )


def geometry_struct(call: Call, windows: ConvolutionWindows) -> CStruct:
    """The ek_dsp_geometry of a layer struct."""
    arithmetic: WeightedArithmetic = call.node.arithmetic
    return CStruct(
        "ek_dsp_geometry",
        {
            "windows": windows_struct(windows.expanded_taps, windows.pixel_step),
            "row_segments": windows.row_segments,
            "segment_step": windows.segment_step,
            "has_tails": int(windows.has_tails),
            "row_bytes": windows.map_width * windows.channels,
            "kernel_height": windows.height.kernel,
            "window_bytes": windows.window_bytes,
            "pad_bytes": windows.width.pad_before * windows.channels,
            "input_zero_point": arithmetic.input_zero_point,
        },
    )


GATHERING = frozenset(
    {
        *("gathered_rows", "split_rows", "segments", "short_segments"),
        *("tail_tiles", "tail_groups", "padded_rows"),
    }
)
"""The counts of ``gather_features`` and ``padded_rows``, of which every block of channels has all."""


def gather_features(windows: ConvolutionWindows) -> dict[str, float]:
    """Of the windows of a tile of 4 pixels, besides its groups."""
    kernel_rows = windows.height.kernel
    return {
        "gathered_rows": kernel_rows,
        "split_rows": kernel_rows * (windows.row_segments > 1),
        "segments": windows.segments,
        "short_segments": windows.segments * (windows.expanded_taps % 4 > 0),
        "tail_tiles": int(windows.has_tails),
        "tail_groups": -(-windows.segments // 4) * windows.has_tails,
    }


def padded_rows(windows: ConvolutionWindows, width: int) -> int:
    """The kernel rows that are copied for a row of ``width`` output pixels, where there is padding."""
    tiles = min(2, -(-width // TILE_PIXELS))
    return windows.height.kernel * windows.may_leave_the_map * tiles
