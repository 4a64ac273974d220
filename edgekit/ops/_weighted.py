# SPDX-License-Identifier: Apache-2.0
"""What conv2d, depthwise_conv2d and fully_connected share: weights, bias, per-channel requantize."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgekit.arith import INT32_MAX, INT32_MIN, quantize_multiplier, requantize, round_half_away
from edgekit.ir import Array, Call, Quantization, Tensor, constant
from edgekit.kernel import CValue

INPUT, WEIGHTS, BIAS = 0, 1, 2
"""Positions of the inputs of a weighted operator; the bias may be missing."""
LARGEST_BIAS = 2.0**28
"""Bound of a quantized bias, which leaves the sums room inside [-2^30, 2^30)."""


@dataclass(frozen=True)
class WeightedArithmetic:
    """Integer parameters of an operator with weights.

    ``multipliers`` and ``shifts`` have one entry per output channel.
    """

    input_zero_point: int
    output_zero_point: int
    multipliers: tuple[int, ...]
    shifts: tuple[int, ...]
    minimum: int
    maximum: int


def clamp_to_integers(
    minimum: float | None, maximum: float | None, quantization: Quantization, low: int, high: int
) -> tuple[int, int]:
    """The integer clamp of a float one, inside [low, high]; the bounds round half away from zero."""

    def integer(value: float) -> int:
        return quantization.zero_point + int(round_half_away(value / quantization.scale))

    at_least = low if minimum is None else max(low, integer(minimum))
    at_most = high if maximum is None else min(high, integer(maximum))
    return min(at_least, high), max(at_most, low)


def quantize_weights(
    call: Call, *, channel_axis: int, activation: tuple[float | None, float | None]
) -> tuple[WeightedArithmetic, Mapping[int, Tensor]]:
    """Per-channel symmetric int8 weights in [-127, 127], int32 bias, and the multipliers.

    ``call`` is a float call whose input and output tensors already carry their Quantization.
    """
    source, result = call.inputs[INPUT].quantization, call.output.quantization
    assert source is not None and result is not None
    weights = call.constant(WEIGHTS).astype(np.float64)
    axes = tuple(axis for axis in range(weights.ndim) if axis != channel_axis)
    peak = np.abs(weights).max(axis=axes)
    scales = _weight_scales(call, peak, source.scale)
    broadcast = scales.reshape([-1 if axis == channel_axis else 1 for axis in range(weights.ndim)])
    integers = np.clip(round_half_away(weights / broadcast), -127, 127).astype(np.int8)
    name = call.inputs[WEIGHTS].name
    constants = {WEIGHTS: constant(name, integers)}
    if len(call.inputs) > BIAS:
        accumulators = round_half_away(call.constant(BIAS) / (source.scale * scales))
        bias = np.clip(accumulators, INT32_MIN, INT32_MAX).astype(np.int32)
        constants[BIAS] = constant(call.inputs[BIAS].name, bias)
    pairs = [quantize_multiplier(source.scale * float(s) / result.scale) for s in scales]
    low, high = clamp_to_integers(*activation, result, -128, 127)
    arithmetic = WeightedArithmetic(
        input_zero_point=source.zero_point,
        output_zero_point=result.zero_point,
        multipliers=tuple(multiplier for multiplier, _ in pairs),
        shifts=tuple(shift for _, shift in pairs),
        minimum=low,
        maximum=high,
    )
    return arithmetic, constants


def _weight_scales(call: Call, peak: Array, input_scale: float) -> Array:
    """peak / 127, but never so fine that the bias overflows: channels of (nearly) dead weights."""
    scales = peak / 127.0
    if len(call.inputs) > BIAS:
        bias = np.abs(call.constant(BIAS).astype(np.float64))
        scales = np.maximum(scales, bias / (input_scale * LARGEST_BIAS))
    return np.where(scales > 0, scales, 1.0 / 127.0)


def verify_weighted(call: Call, *, channels: int) -> None:
    """Raise BadInputError where bias or arithmetic do not have one entry per output channel."""
    if len(call.inputs) > BIAS and call.constant(BIAS).shape != (channels,):
        shape = call.constant(BIAS).shape
        raise call.fail(f"the bias has shape {shape}; it must be ({channels},)")
    arithmetic = call.node.arithmetic
    if arithmetic is None:
        return
    if len(arithmetic.multipliers) != channels or len(arithmetic.shifts) != channels:
        raise call.fail(f"{len(arithmetic.multipliers)} multipliers for {channels} channels")
    if any(not 0 <= m <= INT32_MAX for m in arithmetic.multipliers):
        raise call.fail("a multiplier is outside [0, 2^31)")
    if any(not -31 <= s <= 30 for s in arithmetic.shifts):
        raise call.fail("a requantize shift is outside [-31, 30]")


def bias_of(call: Call, channels: int) -> Array:
    """The int32 bias, zeros where there is none."""
    if len(call.inputs) > BIAS:
        return call.constant(BIAS)
    return np.zeros(channels, np.int32)


def finish(accumulator: Array, call: Call) -> Array:
    """Add the bias to int64 sums (..., channels), requantize, clamp, narrow to the output type."""
    arithmetic: WeightedArithmetic = call.node.arithmetic
    total = accumulator + bias_of(call, accumulator.shape[-1])
    values = requantize(
        total,
        np.array(arithmetic.multipliers, np.int64),
        np.array(arithmetic.shifts, np.int64),
        zero_point=arithmetic.output_zero_point,
        minimum=arithmetic.minimum,
        maximum=arithmetic.maximum,
    )
    return values.astype(call.output.dtype)


def finish_float(
    sums: Array, bias: Array | None, activation: tuple[float | None, float | None]
) -> Array:
    """Add the bias to float sums and clamp, in place where possible."""
    if bias is not None:
        sums = sums + bias
    if activation != (None, None):
        minimum, maximum = activation
        low = -math.inf if minimum is None else minimum
        high = math.inf if maximum is None else maximum
        np.clip(sums, low, high, out=sums)
    return sums.astype(np.float32, copy=False)


def common_members(call: Call) -> dict[str, CValue]:
    """The members that the layer structs of weighted reference kernels share."""
    arithmetic: WeightedArithmetic = call.node.arithmetic
    return {
        "weights": call.constant(WEIGHTS),
        "bias": bias_of(call, len(arithmetic.multipliers)),
        "multipliers": np.array(arithmetic.multipliers, np.int32),
        "shifts": np.array(arithmetic.shifts, np.int8),
        "input_zero_point": arithmetic.input_zero_point,
        "output_zero_point": arithmetic.output_zero_point,
        "minimum": arithmetic.minimum,
        "maximum": arithmetic.maximum,
    }
