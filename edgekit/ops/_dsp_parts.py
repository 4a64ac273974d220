# SPDX-License-Identifier: Apache-2.0
"""Sums in parts for the DSP kernels: each part's weights fit lanes of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgekit.ir import Array, Call
from edgekit.kernel import CStruct
from edgekit.ops._dsp_pairs import fits_lanes, lanes_reach, pack_lanes
from edgekit.ops._dsp_requantize import LayerFinish, folded_sums, layer_finish, words
from edgekit.ops._weighted import WEIGHTS, WeightedArithmetic


@dataclass(frozen=True, eq=False)
class PartedLayer:
    """The weights (output channels, taps) of a layer in equal parts of their taps, and its finish.

    is_paired: the weights and sums of two channels fit one lane in every part.
    """

    parts: tuple[Array, ...]
    bias: Array
    finish: LayerFinish
    is_paired: bool

    @property
    def pairs(self) -> int:
        """Pairs of a part."""
        return -(-len(self.bias) // 2) if self.is_paired else len(self.bias)

    @property
    def lane_bound(self) -> int | None:
        """What the sums of second channels, which lie above those of the first, can reach at most."""
        if not self.is_paired:
            return None
        return max(lanes_reach(_channel_pairs(part)[1]) for part in self.parts)


def parted_layer(call: Call, parts: int) -> PartedLayer:
    """How a layer is packed whose taps come in so many parts."""
    arithmetic: WeightedArithmetic = call.node.arithmetic
    weights = call.constant(WEIGHTS)
    matrix = weights.reshape(weights.shape[0], -1).astype(np.int64)
    sums = folded_sums(call, matrix)
    finish = layer_finish(arithmetic, sums)
    live = np.where(finish.is_constant[:, None], 0, matrix)
    pieces = tuple(np.split(live, parts, axis=1))
    is_paired = all(fits_lanes(*_channel_pairs(piece)) for piece in pieces)
    return PartedLayer(pieces, np.where(finish.is_constant, 0, sums.bias), finish, is_paired)


def _channel_pairs(matrix: Array) -> tuple[Array, Array]:
    """First and second channels of all pairs; the second of an odd last one is a dummy."""
    padded = np.pad(matrix, ((0, len(matrix) % 2), (0, 0)))
    return padded[0::2], padded[1::2]


def _part_words(taps: Array, bias: Array, *, paired: bool) -> Array:
    """Words (pairs, n) of one part."""
    rows = [taps, bias[:, None]]
    pairs = [_channel_pairs(row) if paired else (row, np.zeros_like(row)) for row in rows]
    (first, second), (first_bias, second_bias) = pairs
    columns = [words(first_bias), pack_lanes(first, second), words(second_bias)]
    return np.concatenate(columns, axis=1)


def parts_struct(call: Call, layer: PartedLayer, arrange: Callable[[Array], Array]) -> CStruct:
    """The ek_dsp_parts of a layer struct.

    arrange: puts the weights of a part in the order of the kernel's lanes, whole groups.
    """
    arithmetic: WeightedArithmetic = call.node.arithmetic
    packed = [
        _part_words(arrange(part), layer.bias * (number == 0), paired=layer.is_paired)
        for number, part in enumerate(layer.parts)
    ]
    raised, lowered = layer.finish.clamp or (0, 0)
    return CStruct(
        "ek_dsp_parts",
        {
            "packed": np.concatenate(packed).ravel(),
            "scales": words(layer.finish.parameters).ravel(),
            "groups": (packed[0].shape[1] - 2) // 2,
            "pairs": layer.pairs,
            "pair_channels": 2 if layer.is_paired else 1,
            "finish": int(layer.finish.finish),
            "raise": raised,
            "lower": lowered,
            "output_zero_point": arithmetic.output_zero_point,
            "minimum": arithmetic.minimum,
            "maximum": arithmetic.maximum,
        },
    )
