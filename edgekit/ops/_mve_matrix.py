# SPDX-License-Identifier: Apache-2.0
"""Weights and parameters of ek_mve_dot.h, which the Helium convolutions and dense layers share."""

from __future__ import annotations

import numpy as np

from edgekit.ir import Array, Call
from edgekit.kernel import CValue
from edgekit.ops._dsp_requantize import folded_sums, sums_problem, words
from edgekit.ops._weighted import INPUT, WeightedArithmetic
from edgekit.window import Axis

LANES = 16
"""Inputs that one VMLADAVA.S8 multiplies."""
TILE_PIXELS = 3
CHANNEL_GROUP = 4
"""Output channels whose weights lie side by side."""
_BIAS_ORDER = [0, 2, 1, 3]


def channel_bytes(depth: int) -> int:
    """Bytes of the weights of one output channel."""
    return -(-depth // LANES) * LANES


def matrix_problem(call: Call, weights: Array) -> str | None:
    """Why the sums of ``weights`` (output channels, inputs) cannot be computed, or None."""
    return sums_problem(folded_sums(call, weights))


def matrix_members(call: Call, weights: Array, *, groups: int = 1) -> dict[str, CValue]:
    """The members that the layer structs share, of int64 weights (output channels, inputs)."""
    arithmetic: WeightedArithmetic = call.node.arithmetic
    shifts = np.array(arithmetic.shifts, np.int64)
    is_general = bool((shifts >= 0).any())
    columns = [
        folded_sums(call, weights).bias,
        np.array(arithmetic.multipliers, np.int64),
        np.minimum(shifts, 0),
        np.maximum(shifts, 0),
    ]
    zero_point = arithmetic.output_zero_point
    return {
        "weights": _interleaved(_padded(weights, groups)),
        "parameters": _parameters(_padded(np.stack(columns, axis=1), groups), is_general),
        "minimum": arithmetic.minimum - zero_point,
        "maximum": arithmetic.maximum - zero_point,
        "output_zero_point": zero_point,
        "is_general": int(is_general),
    }


def _padded(rows: Array, groups: int) -> Array:
    """Rows (quads, 4, ...) of every group of channels, zero behind its last channel."""
    by_group = rows.reshape(groups, len(rows) // groups, rows.shape[1])
    missing = -by_group.shape[1] % CHANNEL_GROUP
    padded = np.pad(by_group, ((0, 0), (0, missing), (0, 0)))
    return padded.reshape(-1, CHANNEL_GROUP, rows.shape[1])


def _interleaved(weights: Array) -> Array:
    """int8 [quad][16 inputs][channel][16] of weights (quads, 4, inputs)."""
    depth = weights.shape[2]
    padded = np.pad(weights, ((0, 0), (0, 0), (0, channel_bytes(depth) - depth)))
    chunks = padded.reshape(len(weights), CHANNEL_GROUP, -1, LANES)
    return np.ascontiguousarray(chunks.transpose(0, 2, 1, 3)).astype(np.int8).ravel()


def _parameters(columns: Array, is_general: bool) -> Array:
    """Words [quad][n] of (quads, 4, (bias, multiplier, right shift, left shift))."""
    by_column = columns.transpose(0, 2, 1).copy()
    by_column[:, 0] = by_column[:, 0, _BIAS_ORDER]
    return words(by_column[:, : 4 if is_general else 3]).ravel()


def columns_inside(call: Call) -> range:
    """Output columns none of whose taps leaves the width of the map."""
    axis: Axis = call.node.attributes.window.width
    size = call.inputs[INPUT].shape[2]
    begin = -(-axis.pad_before // axis.stride)
    end = (size - axis.extent + axis.pad_before) // axis.stride + 1
    return range(begin, min(max(end, begin), call.output.shape[2]))


TILES = frozenset(f"tiles_{size}" for size in range(1, TILE_PIXELS + 1))
"""The counts of ``matrix_features`` of which every block of channels has all."""


def matrix_features(*, pixels: int, channels: int, depth: int) -> dict[str, float]:
    """Tiles of 3, 2 or 1 pixels, each of groups of 4 channels, each of chunks of 16 taps."""
    chunks, quads = -(-depth // LANES), -(-channels // CHANNEL_GROUP)
    full, rest = divmod(pixels, TILE_PIXELS)
    features: dict[str, float] = {}
    for size, tiles in ((TILE_PIXELS, full), (rest, int(rest > 0))):
        if tiles:
            features[f"tiles_{size}"] = tiles
            features[f"quads_{size}"] = tiles * quads
            features[f"chunks_{size}"] = tiles * quads * chunks
    return features
