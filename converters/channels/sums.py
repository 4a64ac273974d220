# SPDX-License-Identifier: Apache-2.0
"""Sums of an operator with weights, apart for every way in which its window overlaps the border.

Padding stands for the input's zero point, so a tap outside the map adds nothing: at the border a
constant channel adds something else than inside, unless it equals the zero point.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.arith import INT32_MAX, INT32_MIN, requantize
from edgekit.converters.channels.bounds import Bounds
from edgekit.ir import Array, Call
from edgekit.ops._weighted import INPUT, WEIGHTS, WeightedArithmetic, bias_of
from edgekit.window import Axis

MAX_TAPS = 2**24
MAX_WORK = 2**30
"""Weights times overlaps with the border; beyond it nothing is claimed (a hostile window)."""


@dataclass(frozen=True, eq=False)
class TapSums:
    """Weights summed over the taps inside the map, their positive and their negative parts apart.

    Shapes are (outputs, inputs) for mixing operators, (outputs,) for depthwise ones.
    """

    positive: Array
    negative: Array

    @property
    def total(self) -> Array:
        total: Array = self.positive + self.negative
        return total


def weighted_bounds(call: Call, inputs: Sequence[Bounds]) -> Bounds | None:
    """The bounds of the output of a convolution or matrix product."""
    arithmetic: WeightedArithmetic = call.node.arithmetic
    source = _per_column(call, inputs[INPUT])
    if source is None or call.output.dtype != "int8":
        return None
    low, high = source.low - arithmetic.input_zero_point, source.high - arithmetic.input_zero_point
    parts = tap_sums(call)
    if parts is None:  # any tap may lie outside the map and add 0
        low, high = np.minimum(low, 0), np.maximum(high, 0)
        parts = (_summed(_taps_first(call).reshape(-1, *_taps_first(call).shape[2:])),)
    lows = [_applied(t.positive, low) + _applied(t.negative, high) for t in parts]
    highs = [_applied(t.positive, high) + _applied(t.negative, low) for t in parts]
    bias = bias_of(call, len(arithmetic.multipliers)).astype(np.int64)
    sums = Bounds(np.min(lows, axis=0) + bias, np.max(highs, axis=0) + bias)
    return _requantized(sums, arithmetic)


def tap_sums(call: Call) -> tuple[TapSums, ...] | None:
    """One entry for every overlap of the window with the border; None: they are not told apart."""
    weights = call.constant(WEIGHTS).astype(np.int64)
    if call.node.op == "fully_connected":
        return (_summed(weights[None]),)
    if call.node.op not in ("conv2d", "depthwise_conv2d"):
        return None
    overlaps = _overlaps(call)
    if not overlaps or weights.size * len(overlaps) > MAX_WORK:
        return None
    taps = _taps_first(call)
    return tuple(_summed(taps[inside]) for inside in overlaps)


def _summed(taps: Array) -> TapSums:
    """Of weights whose first dimension counts the taps."""
    return TapSums(np.maximum(taps, 0).sum(axis=0), np.minimum(taps, 0).sum(axis=0))


def _taps_first(call: Call) -> Array:
    """(kernel height, kernel width, outputs, inputs / groups), for depthwise without the last."""
    weights = call.constant(WEIGHTS).astype(np.int64)
    depthwise = call.node.op == "depthwise_conv2d"
    return weights[0] if depthwise else weights.transpose(1, 2, 0, 3)


def _overlaps(call: Call) -> list[Array]:
    """The distinct sets of taps that lie inside the map, as masks (kernel height, kernel width)."""
    window = call.node.attributes.window
    _, height, width, _ = call.inputs[INPUT].shape
    rows, columns = _inside(window.height, height), _inside(window.width, width)
    return [np.outer(row, column) for row, column in itertools.product(rows, columns)]


def _inside(axis: Axis, size: int) -> list[Array]:
    """The distinct rows of (output, tap inside the map)."""
    count = axis.output_size(size)
    edge = -(-(axis.extent + axis.pad_before + axis.pad_after) // axis.stride) + 1
    if min(count, 2 * edge) * axis.kernel > MAX_TAPS or axis.upsampling != 1:
        return []
    outputs = np.arange(count)
    if count > 2 * edge:  # windows between the edges lie wholly inside
        outputs = np.concatenate([outputs[: edge + 1], outputs[-edge:]])
    taps = outputs[:, None] * axis.stride - axis.pad_before
    taps = taps + np.arange(axis.kernel) * axis.dilation
    return list(np.unique((taps >= 0) & (taps < size), axis=0))


def _per_column(call: Call, source: Bounds) -> Bounds | None:
    """The bounds for each input of the weights' inner sum (depthwise: for each output)."""
    channels, weights = len(source.low), call.inputs[WEIGHTS].shape
    if call.node.op == "depthwise_conv2d":
        return source.at(np.repeat(np.arange(channels), weights[3] // channels))
    if call.node.op == "fully_connected":
        columns = columns_of_channels(call)
        return None if columns is None else source.at(columns)
    return source


def columns_of_channels(call: Call) -> Array | None:
    """The channel behind every weight column of a fully_connected, or None where they mix."""
    shape, columns = call.inputs[INPUT].shape, call.inputs[WEIGHTS].shape[1]
    channels = shape[-1] if shape else 1
    return None if columns % channels else np.arange(columns) % channels


def _applied(sums: Array, values: Array) -> Array:
    """The sums times the values, along the inner dimension of each group."""
    if sums.ndim == 1:
        product: Array = sums * values
        return product
    groups = len(values) // sums.shape[1]
    # float64 holds the sums exactly, as in the reference, and multiplies faster.
    matrix = sums.reshape(groups, -1, sums.shape[1]).astype(np.float64)
    vectors = values.reshape(groups, sums.shape[1], 1).astype(np.float64)
    applied: Array = (matrix @ vectors).reshape(-1).astype(np.int64)
    return applied


def _requantized(sums: Bounds, arithmetic: WeightedArithmetic) -> Bounds:
    """Requantization is monotone as long as nothing wraps; where it may, the clamp bounds it."""
    multipliers = np.array(arithmetic.multipliers, np.int64)
    shifts = np.array(arithmetic.shifts, np.int64)
    left = np.maximum(shifts, 0)
    wraps = ((sums.low << left) < INT32_MIN) | ((sums.high << left) > INT32_MAX)
    wraps |= np.maximum(np.abs(sums.low), np.abs(sums.high)) > INT32_MAX
    ends = [
        requantize(
            np.where(wraps, 0, end),
            multipliers,
            shifts,
            zero_point=arithmetic.output_zero_point,
            minimum=arithmetic.minimum,
            maximum=arithmetic.maximum,
        )
        for end in (sums.low, sums.high)
    ]
    low = np.where(wraps, arithmetic.minimum, ends[0])
    return Bounds(low, np.where(wraps, arithmetic.maximum, ends[1]))


def absorbed(call: Call, values: Array) -> tuple[Array, Array]:
    """What constant inputs add to the sums: (outputs, inputs), and where it is the same everywhere.

    Only for mixing operators; ``values`` are the constants of the weights' columns. Columns that
    add different amounts at the border are False in the second array (outputs, inputs).
    """
    weights, parts = call.inputs[WEIGHTS].shape, tap_sums(call)
    if parts is None:
        shape = (weights[0], weights[-1])
        return np.zeros(shape, np.int64), np.zeros(shape, bool)
    offsets = values - call.node.arithmetic.input_zero_point
    amounts = [part.total * offsets for part in parts]
    return amounts[0], np.all([amount == amounts[0] for amount in amounts], axis=0)
