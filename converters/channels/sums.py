# SPDX-License-Identifier: Apache-2.0
"""Sums of an operator with weights, apart for every way in which its window overlaps the border.

Padding stands for the input's zero point, so a tap outside the map adds nothing: at the border a
constant channel adds something else than inside, unless it equals the zero point.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.arith import INT32_MAX, INT32_MIN, requantize
from edgekit.converters.channels.bounds import Bounds
from edgekit.ir import Array, Call
from edgekit.ops._weighted import BIAS, INPUT, WEIGHTS, WeightedArithmetic, bias_of
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
    """The bounds of the output of conv2d, depthwise_conv2d or fully_connected."""
    arithmetic: WeightedArithmetic = call.node.arithmetic
    outputs = len(arithmetic.multipliers)
    source = _per_column(call, inputs[INPUT])
    if source is None or call.output.dtype != "int8":
        return None
    low, high = source.low - arithmetic.input_zero_point, source.high - arithmetic.input_zero_point
    lows, highs = [], []
    for taps in tap_sums(call):
        lows.append(_applied(call, taps.positive, low) + _applied(call, taps.negative, high))
        highs.append(_applied(call, taps.positive, high) + _applied(call, taps.negative, low))
    if not lows:
        return None
    bias = bias_of(call, outputs).astype(np.int64)
    sums = Bounds(np.min(lows, axis=0) + bias, np.max(highs, axis=0) + bias)
    return _requantized(sums, arithmetic)


def tap_sums(call: Call) -> Iterator[TapSums]:
    """One entry for every overlap of the window with the border; none where there are too many."""
    weights = call.constant(WEIGHTS).astype(np.int64)
    if call.node.op == "fully_connected":
        yield TapSums(np.maximum(weights, 0), np.minimum(weights, 0))
        return
    overlaps = _overlaps(call)
    if weights.size * len(overlaps) > MAX_WORK:
        return
    if call.node.op == "depthwise_conv2d":
        taps = weights[0]
    else:
        taps = weights.transpose(1, 2, 0, 3)
    for inside in overlaps:
        chosen = taps[inside]
        yield TapSums(np.maximum(chosen, 0).sum(axis=0), np.minimum(chosen, 0).sum(axis=0))


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
    if min(count, 2 * edge) * axis.kernel > MAX_TAPS:
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


def _applied(call: Call, sums: Array, values: Array) -> Array:
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
    offsets = values - call.node.arithmetic.input_zero_point
    first: Array | None = None
    same: Array | None = None
    for taps in tap_sums(call):
        amounts = taps.total * offsets
        if first is None or same is None:
            first, same = amounts, np.ones(amounts.shape, bool)
        same &= amounts == first
    if first is None or same is None:
        weights = call.inputs[WEIGHTS].shape
        return np.zeros((weights[0], weights[-1]), np.int64), np.zeros(
            (weights[0], weights[-1]), bool
        )
    return first, same


def bias_fits(call: Call, bias: Array) -> bool:
    """Whether a new bias is an int32 one."""
    fits = INT32_MIN <= int(bias.min(initial=0)) and int(bias.max(initial=0)) <= INT32_MAX
    return fits and len(call.inputs) <= BIAS + 1
