# SPDX-License-Identifier: Apache-2.0
"""Which finish of ek_dsp_requantize.h is exact for a layer, proven channel by channel.

For 1 <= exponent the two roundings of gemmlowp collapse into one arithmetic shift:
``(x + nudge + 2^(exponent - 1) + (zero_point << exponent)) >> exponent`` with
``x = doubling_high_multiply(sum, multiplier)`` and a nudge of -1 for negative sums, which breaks
ties away from zero. It is exact where nothing overflows 32 bits, and a clamp at the zero point
makes the nudge superfluous. What the sums of a channel can reach follows from its own weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from edgekit.arith import (
    INT32_MAX,
    INT32_MIN,
    requantize,
    saturating_rounding_doubling_high_multiply,
)
from edgekit.ir import Array, Call
from edgekit.ops._weighted import WeightedArithmetic, bias_of

_CONSTANT_EXPONENT = 8
_SUM_LIMIT = 2**30


class Finish(IntEnum):
    """The values of the enum in ek_dsp_requantize.h."""

    AT_ZERO_POINT = 0
    LINEAR = 1
    CLAMPED = 2
    GENERAL = 3


@dataclass(frozen=True, eq=False)
class Sums:
    """Per output channel: the bias with the input zero point folded in, and the sums' range.

    The range covers every int8 input, padding with the zero point included; int64 arrays.
    """

    bias: Array
    least: Array
    greatest: Array


@dataclass(frozen=True, eq=False)
class LayerFinish:
    """The finish of a layer, and what its packed parameters are made of.

    ``parameters`` are rows (multiplier, offset, exponent) per channel, or (multiplier, shift, 0)
    where the finish is GENERAL. ``is_constant`` marks channels that give one value whatever their
    input is: their weights and bias must be packed as 0. ``clamp`` is empty or (raise, lower).
    """

    finish: Finish
    parameters: Array
    is_constant: Array
    clamp: tuple[int, ...]


def folded_sums(call: Call, weights: Array) -> Sums:
    """The sums of ``weights``, an int64 array (output channels, taps), with their bias."""
    arithmetic: WeightedArithmetic = call.node.arithmetic
    bias = bias_of(call, weights.shape[0]).astype(np.int64)
    bias = bias - arithmetic.input_zero_point * weights.sum(axis=1)
    positive = np.maximum(weights, 0).sum(axis=1)
    negative = np.minimum(weights, 0).sum(axis=1)
    return Sums(
        bias, bias - 128 * positive + 127 * negative, bias + 127 * positive - 128 * negative
    )


def sums_problem(sums: Sums) -> str | None:
    """Why the sums cannot be computed in 32 bits, or None."""
    least = min(int(sums.least.min()), int(sums.bias.min()))
    greatest = max(int(sums.greatest.max()), int(sums.bias.max()))
    if least < INT32_MIN or greatest > INT32_MAX:
        return f"its sums reach [{least}, {greatest}], more than 32 bits"
    return None


def layer_finish(arithmetic: WeightedArithmetic, sums: Sums) -> LayerFinish:
    """The fastest finish that is exact for every channel."""
    finish, zero_point, clamp = _fast_finish(arithmetic)
    multipliers = np.array(arithmetic.multipliers, np.int64)
    shifts = np.array(arithmetic.shifts, np.int64)
    offsets = _offsets(-shifts, zero_point)
    is_exact = _is_exact(sums, multipliers, -shifts, offsets)
    is_constant, values = _constants(arithmetic, sums, multipliers, shifts)
    is_constant &= ~is_exact
    if finish is Finish.GENERAL or not (is_exact | is_constant).all():
        return general_finish(arithmetic)
    # The shift of a constant channel must give what the zero point of the offsets stands for.
    shifted = values - arithmetic.output_zero_point + zero_point
    fixed = np.int64(1 << (_CONSTANT_EXPONENT - 1)) + (shifted << _CONSTANT_EXPONENT)
    rows = np.stack(
        [
            np.where(is_constant, 0, multipliers),
            np.where(is_constant, fixed, offsets),
            np.where(is_constant, _CONSTANT_EXPONENT, -shifts),
        ],
        axis=1,
    )
    return LayerFinish(finish, rows, is_constant, clamp)


def finish_features(finish: Finish, outputs: int) -> dict[str, float]:
    """What a fast finish costs more than the fastest one."""
    return {} if finish is Finish.AT_ZERO_POINT else {f"{finish.name.lower()}_outputs": outputs}


def general_finish(arithmetic: WeightedArithmetic) -> LayerFinish:
    """The finish that is exact for any multiplier, shift and clamp."""
    multipliers = np.array(arithmetic.multipliers, np.int64)
    shifts = np.array(arithmetic.shifts, np.int64)
    rows = np.stack([multipliers, shifts, np.zeros_like(shifts)], axis=1)
    return LayerFinish(Finish.GENERAL, rows, np.zeros(len(shifts), bool), ())


def _fast_finish(arithmetic: WeightedArithmetic) -> tuple[Finish, int, tuple[int, ...]]:
    """The finish that the clamp asks for, the zero point of the offsets, and (raise, lower).

    The offset of a clamped layer puts its minimum at -128; raising the saturated value puts the
    maximum at 127. QADD8 raises by 127 at most.
    """
    low, high = arithmetic.minimum, arithmetic.maximum
    if (low, high) == (-128, 127):
        at_zero_point = arithmetic.output_zero_point == -128
        finish = Finish.AT_ZERO_POINT if at_zero_point else Finish.LINEAR
        return finish, arithmetic.output_zero_point, ()
    raised = (low + 128) + (127 - high)
    if raised > 127:
        return Finish.GENERAL, 0, ()
    return Finish.CLAMPED, arithmetic.output_zero_point - low - 128, (raised, 127 - high)


def _offsets(exponents: Array, zero_point: int) -> Array:
    """2^(exponent - 1) + (zero_point << exponent); meaningless where an exponent is below 1."""
    usable = np.maximum(exponents, 1)
    return (np.int64(1) << (usable - 1)) + (np.int64(zero_point) << usable)


def _is_exact(sums: Sums, multipliers: Array, exponents: Array, offsets: Array) -> Array:
    """Where a fast finish equals the general requantization for every sum that can occur."""
    lowest = saturating_rounding_doubling_high_multiply(sums.least, multipliers)
    highest = saturating_rounding_doubling_high_multiply(sums.greatest, multipliers)
    return (
        (exponents >= 1)
        & (exponents <= 30)
        & (sums.least >= -_SUM_LIMIT)
        & (sums.greatest < _SUM_LIMIT)
        & (np.minimum(lowest, 0) - 1 + offsets >= INT32_MIN)
        & (np.maximum(highest, 0) + offsets <= INT32_MAX)
    )


def _constants(
    arithmetic: WeightedArithmetic, sums: Sums, multipliers: Array, shifts: Array
) -> tuple[Array, Array]:
    """Which channels give one value for every sum, and the value.

    A left shift may wrap, and then the output is not monotonic between the ends of the range.
    """
    at_ends = [
        requantize(
            end,
            multipliers,
            shifts,
            zero_point=arithmetic.output_zero_point,
            minimum=arithmetic.minimum,
            maximum=arithmetic.maximum,
        )
        for end in (sums.least, sums.greatest)
    ]
    is_monotonic = (shifts <= 0) | (sums.least == sums.greatest)
    return is_monotonic & (at_ends[0] == at_ends[1]), at_ends[0]


def words(values: Sequence[int] | Array) -> Array:
    """Integers of 32 bits, signed or not, as int32."""
    return (np.asarray(values, np.int64) & 0xFFFFFFFF).astype(np.uint32).view(np.int32)


def lane_words(low: Array, high: Array) -> Array:
    """Words of two int16 lanes."""
    return words((low.astype(np.int64) & 0xFFFF) | ((high.astype(np.int64) & 0xFFFF) << 16))
