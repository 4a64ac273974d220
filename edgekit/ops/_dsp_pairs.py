# SPDX-License-Identifier: Apache-2.0
"""What the DSP convolutions share: weights of two output channels in one lane, proven to fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgekit.ir import Array, Call
from edgekit.kernel import Binding, CStruct
from edgekit.ops._dsp_requantize import (
    Finish,
    LayerFinish,
    finish_features,
    folded_sums,
    general_finish,
    lane_words,
    layer_finish,
    sums_problem,
    words,
)
from edgekit.ops._weighted import WEIGHTS, WeightedArithmetic

TILE_PIXELS = 4
LANES_BYTES = 2 * 4 * TILE_PIXELS
"""Scratch for a group of 4 taps of a tile."""
GENERAL_SCRATCH_BYTES = 32
_SPLIT_LIMIT = 2**23


def sums_refusal(call: Call) -> str | None:
    """Why the sums of a convolution cannot be computed in 32 bits, or None."""
    return sums_problem(folded_sums(call, _matrix(call)))


def _matrix(call: Call) -> Array:
    """Weights (output channels, taps) as int64."""
    weights = call.constant(WEIGHTS)
    return weights.reshape(weights.shape[0], -1).astype(np.int64)


@dataclass(frozen=True, eq=False)
class PairedLayer:
    """The weights of a convolution, zero for channels whose output is constant, and its finish.

    matrix: (output channels, taps), int64. bias: of each channel. is_paired: the weights and sums
    of two channels fit one lane, so that a pair has two channels; else one, and a dummy.
    """

    matrix: Array
    bias: Array
    finish: LayerFinish
    channel_groups: int
    is_paired: bool

    @property
    def pair_channels(self) -> int:
        return 2 if self.is_paired else 1

    @property
    def is_general(self) -> bool:
        """Whether sums go through memory to the general requantization."""
        return self.finish.finish is Finish.GENERAL


def paired_layer(call: Call, channel_groups: int = 1) -> PairedLayer:
    """How the output channels of a convolution are packed."""
    arithmetic: WeightedArithmetic = call.node.arithmetic
    matrix = _matrix(call)
    sums = folded_sums(call, matrix)
    finish = layer_finish(arithmetic, sums)
    live = np.where(finish.is_constant[:, None], 0, matrix)
    if fits_lanes(*_pairs(live, channel_groups)):
        bias = np.where(finish.is_constant, 0, sums.bias)
        return PairedLayer(live, bias, finish, channel_groups, is_paired=True)
    general = general_finish(arithmetic)
    return PairedLayer(matrix, sums.bias, general, channel_groups, is_paired=False)


def fits_lanes(first: Array, second: Array) -> bool:
    """Whether 256 * second + first fits 16 bits for all taps, and the sums of second 24 bits."""
    in_lane = int((second * 256 + first).min()) >= -(2**15)
    return in_lane and lanes_reach(second) < _SPLIT_LIMIT


def lanes_reach(second: Array) -> int:
    """The largest magnitude of the sums of second channels."""
    return 128 * int(np.abs(second).sum(axis=1).max())


def lane_bound(layer: PairedLayer) -> int | None:
    """What the sums of second channels, which lie above those of the first, can reach at most."""
    return lanes_reach(_split(layer, layer.matrix)[1]) if layer.is_paired else None


def _pairs(rows: Array, channel_groups: int) -> tuple[Array, Array]:
    """First and second channels of all pairs; an odd last channel is second, beside a dummy."""
    grouped = rows.reshape(channel_groups, -1, rows.shape[1])
    even = grouped.shape[1] // 2 * 2
    first, second = grouped[:, 0:even:2], grouped[:, 1:even:2]
    if even != grouped.shape[1]:
        last = grouped[:, even:]
        first = np.concatenate([first, np.zeros_like(last)], axis=1)
        second = np.concatenate([second, last], axis=1)
    return first.reshape(-1, rows.shape[1]), second.reshape(-1, rows.shape[1])


def _split(layer: PairedLayer, rows: Array) -> tuple[Array, Array]:
    """First and second channels of the layer's pairs."""
    if layer.is_paired:
        return _pairs(rows, layer.channel_groups)
    return rows, np.zeros_like(rows)


def _packed_weights(layer: PairedLayer, taps: Array) -> Array:
    """Words (pairs, taps / 2)."""
    return pack_lanes(*_split(layer, taps))


def pack_lanes(first: Array, second: Array) -> Array:
    """Weights (pairs, taps) as words: groups of 4 taps k as lanes (k, k+2), (k+1, k+3)."""
    lanes = (second * 256 + first).reshape(len(first), -1, 2, 2)
    return lane_words(lanes[:, :, 0, :], lanes[:, :, 1, :]).reshape(len(first), -1)


def _finish_words(layer: PairedLayer) -> Array:
    """Words (pairs, n) behind the weights of each pair."""
    finish = layer.finish
    first, second = _split(layer, finish.parameters)
    second_bias = _split(layer, layer.bias[:, None])[1]
    if layer.is_general:
        return words(np.concatenate([second_bias, first[:, :2], second[:, :2]], axis=1))
    clamp = np.tile(np.array(finish.clamp, np.int64), (len(first), 1))
    return words(np.concatenate([first, clamp, second, 2 * second_bias, clamp], axis=1))


def pairs_struct(
    call: Call, binding: Binding, layer: PairedLayer, arrange: Callable[[Array], Array]
) -> CStruct:
    """The ek_dsp_pairs of a layer struct.

    arrange: puts weights (output channels, taps) in the order of the kernel's lanes, whole groups.
    """
    arithmetic: WeightedArithmetic = call.node.arithmetic
    taps = arrange(layer.matrix)
    bias = words(_split(layer, layer.bias[:, None])[0])
    packed = np.concatenate([bias, _packed_weights(layer, taps), _finish_words(layer)], axis=1)
    planar = binding.output.kind == "row_planar"
    return CStruct(
        "ek_dsp_pairs",
        {
            "packed": packed.ravel(),
            "pair_words": packed.shape[1],
            "pair_channels": layer.pair_channels,
            "groups": taps.shape[1] // 4,
            "finish": int(layer.finish.finish),
            "is_planar": int(planar),
            "channel_step": binding.output.channel_stride if planar else 1,
            "planar_pad_left": binding.output.pad_left,
            "output_zero_point": arithmetic.output_zero_point,
            "minimum": arithmetic.minimum,
            "maximum": arithmetic.maximum,
        },
    )


def arrange_segments(weights: Array) -> Array:
    """Taps (channels, segments, n) as groups of 4 in the order in which the kernels expand them.

    The last group of a segment overlaps the one before, or reads too much; such taps are 0.
    """
    channels, segments, taps = weights.shape
    groups, rest = -(-taps // 4), taps % 4
    arranged = np.zeros((channels, segments, 4 * groups), weights.dtype)
    whole = taps - rest
    arranged[:, :, :whole] = weights[:, :, :whole]
    if rest:
        place = arranged[:, :, whole:]
        start = 4 - rest if whole else 0
        place[:, :, start : start + rest] = weights[:, :, whole:]
    return arranged.reshape(channels, segments * 4 * groups)


def windows_struct(segment_taps: int, pixel_step: int) -> CStruct:
    """The ek_dsp_windows of a layer struct, for taps in the order of ``arrange_segments``."""
    whole = max(segment_taps // 4 * 4, 4)
    overlap = 4 - segment_taps % 4 if segment_taps > whole else 0
    members = {"segment_bytes": whole, "overlap": overlap, "pixel_step": pixel_step}
    return CStruct("ek_dsp_windows", members)


def row_features(
    layer: PairedLayer, *, pixels: int, channels: int, groups: int
) -> dict[str, float]:
    """Of tiles of 4 pixels and a smaller one, whose channels come from ``groups`` groups of 4 taps."""
    whole, rest = divmod(pixels, TILE_PIXELS)
    pairs = -(-channels // layer.pair_channels)
    tiles = whole + (rest > 0)
    features: dict[str, float] = {
        "tiles": tiles,
        "tile_groups": tiles * groups,
        "pairs": tiles * pairs,
        "pair_pixels": pixels * pairs,
    }
    for size, count in ((TILE_PIXELS, whole), (rest, int(rest > 0))):
        if count:
            features[f"groups_{size}"] = count * pairs * groups
    if layer.is_general:
        general = {"general_pairs": tiles * pairs, "general_outputs": pixels * channels}
        features |= general
    else:
        features |= finish_features(layer.finish.finish, pixels * channels)
        if channels % 2 and channels > 1:  # the last one is computed by itself
            features["odd_tiles"] = tiles
    return features
