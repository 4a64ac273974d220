# SPDX-License-Identifier: Apache-2.0
"""Random small layers: the integer reference, which kernels equal, follows the float definition."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.conformance import model_inputs, noise, only_call
from support.random_calls import CALLS, quantized
from support.random_elementwise import ELEMENTWISE_CALLS
from support.random_movement import MOVEMENT_CALLS
from support.random_spatial import SPATIAL_CALLS

from edgekit.ir import Array, Call, Tensor
from edgekit.ops import operators
from edgekit.ops.layer_normalization import fraction_bits

CALLS = {**CALLS, **ELEMENTWISE_CALLS, **MOVEMENT_CALLS, **SPATIAL_CALLS}
FAMILIES = sorted(CALLS)
CHECKS = [HealthCheck.filter_too_much, HealthCheck.too_slow]


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=40, suppress_health_check=CHECKS)
@given(data=st.data())
def test_integers_follow_the_float_definition(family: str, data: st.DataObject) -> None:
    float_call = data.draw(CALLS[family])
    call = only_call(quantized(float_call))
    operator = operators()[call.node.op]
    random = np.random.default_rng(3)
    integers = {tensor.name: noise(tensor, random) for tensor in model_inputs(call)}
    result = operator.evaluate(call, [_values(tensor, integers) for tensor in call.inputs])
    reals = {t.name: dequantize(t, integers[t.name]) for t in model_inputs(call)}
    arrays = [_values(tensor, reals) for tensor in float_call.inputs]
    expected = operator.evaluate_float(float_call, arrays)
    if operator.returns_indices:
        assert np.array_equal(result, expected)
        return
    assert expected.dtype == np.float32
    assert expected.shape == call.output.shape
    low, high = (dequantize(call.output, np.array(end)) for end in (-128, 127))
    error = np.abs(dequantize(call.output, result) - np.clip(expected, low, high))
    assert (error <= tolerance(call, float_call, integers)).all()


def _values(tensor: Tensor, activations: dict[str, Array]) -> Array:
    return tensor.data if tensor.data is not None else activations[tensor.name]


def dequantize(tensor: Tensor, integers: Array) -> Array:
    assert tensor.quantization is not None
    scale, zero_point = dataclasses.astuple(tensor.quantization)
    return (scale * (integers.astype(np.float64) - zero_point)).astype(np.float32)


def tolerance(call: Call, float_call: Call, integers: dict[str, Array]) -> float:
    """One and a half output steps for both roundings and a clamp between two steps, and what
    rounding the constants to int8 adds: half of their step for every product with an input.
    """
    assert call.output.quantization is not None
    steps = 1.5 * call.output.quantization.scale + 1e-4  # float32 sums
    constants = [t.data for t in float_call.inputs if t.data is not None]
    if not constants:
        return steps
    peak = max(float(np.abs(dequantize(t, integers[t.name])).max()) for t in model_inputs(call))
    weights = constants[0]
    if (
        call.node.op == "layer_normalization"
    ):  # roundings of epsilon, the normalized value and gamma
        return steps + 2.0 * float(np.abs(weights).max()) * 2.0 ** -fraction_bits(weights.size)
    if call.node.op in ("add", "sub", "mul", "prelu", "minimum", "maximum", "concat"):
        span = max(float(weights.max()), 0.0) - min(float(weights.min()), 0.0)
        return steps + span / 255.0 * max(peak, 1.0)
    products = weights.size // len(call.node.arithmetic.multipliers)
    return steps + float(np.abs(weights).max()) / 127.0 * (0.5 * peak * products + 1.0)
