# SPDX-License-Identifier: Apache-2.0
"""What conv2d, depthwise_conv2d and fully_connected share: weights, bias, per-channel requantize."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.arith import (
    INT32_MAX,
    INT32_MIN,
    quantize_multiplier,
    requantize,
    round_half_away,
    rounded_up,
)
from edgekit.ir import INTEGER_RANGE, Array, Call, Quantization, Tensor, constant
from edgekit.kernel import CValue, Kernel
from edgekit.ops._int16 import (
    ARITHMETIC_STACK_BYTES,
    int16_twin,
    requantize_wide,
    verify_wide_sums,
    verify_zero_point,
)
from edgekit.ops._weight_channels import OUTPUT_AXIS, per_output_channel

INPUT, WEIGHTS, BIAS = 0, 1, 2
"""Positions of the inputs of a weighted operator; the bias may be missing."""
LARGEST_BIAS = 2.0**28
"""Bound of a quantized bias, which leaves the sums room inside [-2^30, 2^30)."""

LEAST_WEIGHT_SCALE = 2.0**-100
"""Far below what any multiplier resolves, and a normal float32."""


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


def fused_clamp(call: Call) -> tuple[float | None, float | None]:
    """The clamp that is fused behind an operator (None: no bound)."""
    return call.node.attributes.activation_min, call.node.attributes.activation_max


def clamp_to_integers(
    minimum: float | None, maximum: float | None, quantization: Quantization
) -> tuple[int, int]:
    """The int8 clamp of a float one; the bounds round half away from zero."""
    low, high = INTEGER_RANGE["int8"]

    def integer(value: float) -> int:
        steps = min(max(value / quantization.scale, -(2.0**31)), 2.0**31)
        return quantization.zero_point + int(round_half_away(steps))

    at_least = low if minimum is None else max(low, integer(minimum))
    at_most = high if maximum is None else min(high, integer(maximum))
    return min(at_least, high), max(at_most, low)


def quantize_weights(
    call: Call, *, activation: tuple[float | None, float | None]
) -> tuple[WeightedArithmetic, Mapping[int, Tensor]]:
    """Per-channel symmetric int8 weights in [-127, 127], int32 bias, and the multipliers.

    ``call`` is a float call whose input and output tensors already carry their Quantization.
    """
    source, result = call.inputs[INPUT].quantization, call.output.quantization
    assert source is not None and result is not None
    weights = call.constant(WEIGHTS).astype(np.float64)
    scales = weight_scales(call)
    broadcast = per_output_channel(call.node.op, weights.shape, scales)
    integers = np.clip(round_half_away(weights / broadcast), -127, 127).astype(np.int8)
    name = call.inputs[WEIGHTS].name
    constants = {WEIGHTS: constant(name, integers)}
    if len(call.inputs) > BIAS:
        accumulators = round_half_away(call.constant(BIAS) / (source.scale * scales))
        bias = np.clip(accumulators, INT32_MIN, INT32_MAX).astype(np.int32)
        constants[BIAS] = constant(call.inputs[BIAS].name, bias)
    pairs = [quantize_multiplier(source.scale * float(s) / result.scale) for s in scales]
    low, high = clamp_to_integers(*activation, result)
    arithmetic = WeightedArithmetic(
        input_zero_point=source.zero_point,
        output_zero_point=result.zero_point,
        multipliers=tuple(multiplier for multiplier, _ in pairs),
        shifts=tuple(shift for _, shift in pairs),
        minimum=low,
        maximum=high,
    )
    return arithmetic, constants


def weight_scales(call: Call) -> Array:
    """The scale of the weights of every output channel of a float call with a quantized input.

    It is peak / 127, but never so fine that the bias overflows: channels of (nearly) dead weights.
    Scales are float32 numbers, which a model file keeps. TensorFlow Lite rounds the product of a
    single one with the input's 16 bits to float32: 8 bits leave it exact.
    """
    source = call.inputs[INPUT].quantization
    assert source is not None
    weights = np.abs(call.constant(WEIGHTS).astype(np.float64))
    channel_axis = OUTPUT_AXIS[call.node.op]
    axes = tuple(axis for axis in range(weights.ndim) if axis != channel_axis)
    scales = weights.max(axis=axes) / 127.0
    if len(call.inputs) > BIAS:
        bias = np.abs(call.constant(BIAS).astype(np.float64))
        scales = np.maximum(scales, bias / (source.scale * LARGEST_BIAS))
    bits = 24 if len(scales) > 1 else 8
    used = np.where(scales > 0, np.maximum(scales, LEAST_WEIGHT_SCALE), 1.0 / 127.0)
    return np.array([rounded_up(float(scale), bits=bits) for scale in used])


def verify_weighted(call: Call, *, channels: int) -> None:
    """Raise BadInputError where bias or arithmetic do not have one entry per output channel."""
    if len(call.inputs) > BIAS and call.constant(BIAS).shape != (channels,):
        shape = call.constant(BIAS).shape
        raise call.fail(f"the bias has shape {shape}; it must be ({channels},)")
    arithmetic = call.node.arithmetic
    if arithmetic is None:
        return
    verify_multipliers(call, arithmetic.multipliers, arithmetic.shifts, channels=channels)
    _verify_types(call, channels)


def verify_multipliers(
    call: Call, multipliers: Sequence[int], shifts: Sequence[int], *, channels: int
) -> None:
    """Raise BadInputError unless every output channel has a multiplier and shift that kernels take."""
    if len(multipliers) != channels or len(shifts) != channels:
        raise call.fail(f"{len(multipliers)} multipliers for {channels} channels")
    if any(not 0 <= m <= INT32_MAX for m in multipliers):
        raise call.fail("a multiplier is outside [0, 2^31)")
    if any(not -31 <= s <= 30 for s in shifts):
        raise call.fail("a requantize shift is outside [-31, 30]")


def _verify_types(call: Call, channels: int) -> None:
    """Raise BadInputError unless weights and bias are of the types that the activations ask for."""
    source, result = call.inputs[INPUT].dtype, call.output.dtype
    if source != result:
        raise call.fail(f"it cannot compute {result} from {source}; both must be int8 or int16")
    bias = call.inputs[BIAS].dtype if len(call.inputs) > BIAS else "int32"
    if bias != "int32" and (source, bias) != ("int16", "int64"):
        raise call.fail(f"a bias of {bias} behind {source}; use int32 (or int64 behind int16)")
    arithmetic: WeightedArithmetic = call.node.arithmetic
    verify_zero_point(call, source, arithmetic.input_zero_point, arithmetic.output_zero_point)
    if sums_are_wide(call):
        products = call.inputs[WEIGHTS].elements // channels
        biases = bias_of(call, channels)
        verify_wide_sums(call, products=products, bias=biases, shifts=arithmetic.shifts)


def sums_are_wide(call: Call) -> bool:
    """Whether sums have 64 bits: int16 activations, and a bias of int64 or none."""
    narrow = len(call.inputs) > BIAS and call.inputs[BIAS].dtype == "int32"
    return call.output.dtype == "int16" and not narrow


def bias_of(call: Call, channels: int) -> Array:
    """The int32 bias, zeros where there is none."""
    if len(call.inputs) > BIAS:
        return call.constant(BIAS)
    return np.zeros(channels, np.int32)


def finish(accumulator: Array, call: Call) -> Array:
    """Add the bias to int64 sums (..., channels), requantize, clamp, narrow to the output type."""
    arithmetic: WeightedArithmetic = call.node.arithmetic
    total = accumulator + bias_of(call, accumulator.shape[-1])
    multipliers = np.array(arithmetic.multipliers, np.int64)
    shifts = np.array(arithmetic.shifts, np.int64)
    minimum, maximum = arithmetic.minimum, arithmetic.maximum
    if sums_are_wide(call):
        wide = requantize_wide(total, multipliers, shifts, minimum=minimum, maximum=maximum)
        return wide.astype(call.output.dtype)
    values = requantize(
        total,
        multipliers,
        shifts,
        zero_point=arithmetic.output_zero_point,
        minimum=minimum,
        maximum=maximum,
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
    """The members that the layer structs of weighted reference kernels share.

    The bias has 64 bits behind int16 activations, whose zero points are 0 and left out.
    """
    arithmetic: WeightedArithmetic = call.node.arithmetic
    is_int16 = call.output.dtype == "int16"
    zero_points: dict[str, CValue] = {
        "input_zero_point": arithmetic.input_zero_point,
        "output_zero_point": arithmetic.output_zero_point,
    }
    bias = bias_of(call, len(arithmetic.multipliers))
    return {
        "weights": call.constant(WEIGHTS),
        "bias": bias.astype(np.int64) if is_int16 else bias,
        "multipliers": np.array(arithmetic.multipliers, np.int32),
        "shifts": np.array(arithmetic.shifts, np.int8),
        **({} if is_int16 else zero_points),
        "minimum": arithmetic.minimum,
        "maximum": arithmetic.maximum,
    }


def wide_kernel(kernel: Kernel, symbol: str) -> Kernel:
    """The int16 kernel with sums of 64 bits beside an int8 one."""
    return int16_twin(
        kernel,
        symbol,
        accepts=_accepts_wide,
        extra_stack_bytes=ARITHMETIC_STACK_BYTES,
    )


def narrow_kernel(kernel: Kernel, symbol: str) -> Kernel:
    """The int16 kernel with sums of 32 bits beside an int8 one."""
    return int16_twin(
        kernel, symbol, accepts=_accepts_narrow, extra_stack_bytes=ARITHMETIC_STACK_BYTES
    )


def _accepts_wide(call: Call) -> str | None:
    return None if sums_are_wide(call) else "a bias of int32 behind int16; use int64"


def _accepts_narrow(call: Call) -> str | None:
    return "its sums need 64 bits" if sums_are_wide(call) else None
