# SPDX-License-Identifier: Apache-2.0
"""The integer layer norm: how far it may be from real numbers, and that its C is the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.conformance import check_kernel, only_call
from support.kernel_library import host_library
from support.random_calls import quantized

from edgekit.errors import BadInputError
from edgekit.ir import Array, Call, Node, Quantization, Tensor, constant
from edgekit.ops._inverse_root import inverse_square_root_64
from edgekit.ops.layer_normalization import (
    BETA,
    GAMMA,
    MAX_DEPTH,
    OPERATOR,
    REF,
    LayerNormalization,
    fraction_bits,
)

Draw = Callable[[st.SearchStrategy[Any]], Any]
NEWTON_ERROR = 2.0**-19
SOURCE, RESULT = Quantization(0.05, 3), Quantization(0.03, -9)


def float_call(
    gamma: Array,
    beta: Array,
    *,
    rows: int = 1,
    epsilon: float = 1e-5,
    source: Quantization = SOURCE,
    result: Quantization = RESULT,
) -> Call:
    shape = (rows, gamma.size)
    tensors = (
        Tensor("x", shape, "float32", source),
        constant("gamma", gamma.astype(np.float32)),
        constant("beta", beta.astype(np.float32)),
    )
    node = Node(
        "norm", "layer_normalization", ("x", "gamma", "beta"), ("y",), LayerNormalization(epsilon)
    )
    call = Call(node, tensors, (Tensor("y", shape, "float32", result),))
    OPERATOR.verify(call)
    return call


def most_error(call: Call) -> Array:
    """In real numbers, per channel: what each rounding can add.

    Half an output step; half a step of the normalized value, 2^-8 of one where the inverse root is
    rounded to fewer bits, as much where V = 1 and epsilon is rounded, and Newton's method; half a step
    of gamma, which has 2^15 - 1 steps or those of beta; half a step of beta; half a step of the first of
    the two roundings behind the multiplier of 31 bits, and this multiplier.
    """
    assert call.output.quantization is not None
    gamma, beta = (np.abs(call.constant(p)).astype(np.float64) for p in (GAMMA, BETA))
    most = np.sqrt(max(gamma.size - 1, 1))
    step = 2.0 ** (np.ceil(np.log2(most)) - 15)
    normalized = step * (0.5 + 2.0**-8) + most * (2.0**-16 + NEWTON_ERROR)
    product_step = max(gamma.max() * step / (2**15 - 1), beta.max() / 2**30)
    constants = product_step / step / 2 * (most + 2.0**-8) + product_step
    scale = call.output.quantization.scale
    return scale * (0.5 + 2.0**-20) + gamma * normalized + constants


def assert_follows_real_numbers(call: Call, x: Array) -> None:
    graph = quantized(call)
    source, result = call.inputs[0].quantization, call.output.quantization
    assert source is not None and result is not None
    integers = only_call(graph)
    y = OPERATOR.evaluate(integers, [x, *(integers.constant(p) for p in (GAMMA, BETA))])
    reals = source.scale * (x.astype(np.float64) - source.zero_point)
    gamma, beta = (call.constant(p).astype(np.float64) for p in (GAMMA, BETA))
    deviations = reals - reals.mean(axis=-1, keepdims=True)
    variance = (deviations**2).mean(axis=-1, keepdims=True) + call.node.attributes.epsilon
    equal = x.min(axis=-1, keepdims=True) == x.max(axis=-1, keepdims=True)
    normalized = np.where(equal, 0.0, deviations / np.sqrt(np.where(equal, 1.0, variance)))
    ends = [result.scale * (end - result.zero_point) for end in (-128, 127)]
    expected = np.clip(normalized * gamma + beta, *ends)
    error = np.abs(result.scale * (y.astype(np.float64) - result.zero_point) - expected)
    assert (error <= most_error(call)).all()


def rows_of(kind: str, rows: int, depth: int, random: np.random.Generator) -> Array:
    """int8 rows: noise, equal values, all but one equal, both ends, neighbours."""
    base = random.integers(-128, 128, (rows, 1))
    if kind == "noise":
        return random.integers(-128, 128, (rows, depth)).astype(np.int8)
    if kind == "ends":
        return random.choice(np.array([-128, 127], np.int8), (rows, depth))
    if kind == "neighbours":
        return np.clip(base + random.integers(0, 2, (rows, depth)), -128, 127).astype(np.int8)
    x = np.broadcast_to(base, (rows, depth)).astype(np.int8)
    if kind == "all_but_one_equal":
        x[np.arange(rows), random.integers(0, depth, rows)] = random.integers(-128, 128, rows)
    return x


@st.composite
def layers(draw: Draw) -> tuple[Call, Array]:
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    depth = draw(st.one_of(st.integers(1, 70), st.sampled_from((257, 1024, 16385, MAX_DEPTH))))
    rows = draw(st.integers(1, 4))
    gamma = random.normal(size=depth) * draw(st.sampled_from((0.0, 1e-6, 1.0, 300.0)))
    beta = random.normal(size=depth) * draw(st.sampled_from((0.0, 1e-3, 1.0, 50.0)))
    spread = float(np.abs(gamma).max() + np.abs(beta).max()) or 1.0
    # With an output step below that of the products, the multiplier would be 1 or more.
    least = spread * 2.0**-14
    call = float_call(
        gamma,
        beta,
        rows=rows,
        epsilon=draw(st.sampled_from((0.0, 1e-12, 1e-6, 1e-5, 1e-3, 1.0, 1e4))),
        source=Quantization(draw(st.floats(1e-5, 10.0)), draw(st.integers(-128, 127))),
        result=Quantization(draw(st.floats(least, 8 * spread)), draw(st.integers(-128, 127))),
    )
    kinds = ("noise", "ends", "neighbours", "equal", "all_but_one_equal")
    return call, rows_of(draw(st.sampled_from(kinds)), rows, depth, random)


PAIR = np.array([[0, 1], [-128, 127]], np.int8)


ONE = np.full((1, MAX_DEPTH), -128, np.int8)
ONE[0, 7] = 127
HUGE_EPSILON = float_call(
    np.ones(MAX_DEPTH),
    np.zeros(MAX_DEPTH),
    epsilon=1e4,
    source=Quantization(1e-5, 0),
    result=Quantization(2.0**-9, 0),
)


@settings(max_examples=200, deadline=None)
@given(layer=layers())
@example((float_call(np.ones(2), np.zeros(2), rows=2, epsilon=1e-3), PAIR))
@example((float_call(np.ones(1), np.full(1, 0.7)), np.full((1, 1), 127, np.int8)))
@example((HUGE_EPSILON, ONE))
def test_integers_are_near_real_numbers_and_equal_in_c(layer: tuple[Call, Array]) -> None:
    call, x = layer
    assert_follows_real_numbers(call, x)
    graph = quantized(call)
    check_kernel(host_library("ref"), OPERATOR, REF, only_call(graph), [(x,)])


def test_normalized_values_stay_within_16_bits() -> None:
    """One channel differs: the largest normalized value, of every difference and many depths."""
    difference = np.arange(1, 256)
    for depth in (
        *range(2, 300),
        *(2**k + extra for k in range(9, 16) for extra in range(-1, 3)),
        MAX_DEPTH,
    ):
        variance = (depth - 1) * difference**2
        inverse, shift = inverse_square_root_64(variance << 14)
        shift += fraction_bits(depth) + 7
        reach = ((depth - 1) * difference) * (inverse * 2.0 ** (shift - 31.0))
        assert inverse.min() > 2**27
        assert (reach < 2**15 + 0.25).all(), depth
        assert (reach < 2.0**19).all()


@pytest.mark.parametrize("epsilon", [-1e-9, float("nan"), float("inf")])
def test_epsilon_is_a_number_of_0_or_more(epsilon: float) -> None:
    with pytest.raises(BadInputError, match=r"layer_normalization 'norm': epsilon .* 0 or more"):
        float_call(np.ones(3), np.zeros(3), epsilon=epsilon)


CHANGES: dict[str, tuple[dict[str, int], str]] = {
    "odd_shift": ({"epsilon_shift": -3}, "epsilon_shift -3 is odd"),
    "shift_too_low": ({"epsilon_shift": -16}, "epsilon .* is out of range"),
    "shift_too_high": ({"epsilon_shift": 30}, "epsilon .* is out of range"),
    "negative_epsilon": ({"epsilon": -1}, "epsilon .* is out of range"),
    "scale_of_more_than_1": ({"shift": 1}, "shift 1 is outside"),
    "zero_point": ({"output_zero_point": 128}, "zero point 128"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_integers_out_of_range_are_refused(name: str) -> None:
    change, message = CHANGES[name]
    call = only_call(next(OPERATOR.cases()).graph)
    arithmetic = dataclasses.replace(call.node.arithmetic, **change)
    changed = dataclasses.replace(call, node=dataclasses.replace(call.node, arithmetic=arithmetic))
    with pytest.raises(BadInputError, match=message):
        OPERATOR.verify(changed)


@pytest.mark.parametrize("value", [-(2**15), 2**15 - 1])
def test_gamma_has_15_bits_and_a_sign(value: int) -> None:
    """-2^15 * 2^15 - 2^30 would be one more than an int32 holds below."""
    call = only_call(next(OPERATOR.cases()).graph)
    gamma = constant("gamma", np.full(call.inputs[GAMMA].shape, value, np.int16))
    changed = dataclasses.replace(call, inputs=(call.inputs[0], gamma, call.inputs[BETA]))
    if value > 0:
        OPERATOR.verify(changed)
        return
    with pytest.raises(BadInputError, match="its integer gamma is outside -32767 to 32767"):
        OPERATOR.verify(changed)


@pytest.mark.parametrize("epsilon", [0.0, 1e-5, 1e30])
def test_float_definition_is_numpy_s(epsilon: float) -> None:
    random = np.random.default_rng(1)
    gamma, beta, x = (random.normal(size=n).astype(np.float32) for n in (5, 5, (2, 5)))
    x[1] = 0.1  # equal values, which need an epsilon nowhere
    call = float_call(gamma, beta, rows=2, epsilon=epsilon)
    y = OPERATOR.evaluate_float(call, [x, gamma, beta])
    wide = x.astype(np.float64)
    expected = (wide - wide.mean(-1, keepdims=True)) / np.sqrt(
        wide.var(-1, keepdims=True) + epsilon + 1e-300
    )
    np.testing.assert_allclose(
        y, np.where(x == 0.1, beta, expected * gamma + beta), rtol=1e-5, atol=1e-6
    )


def test_shapes_of_the_constants_are_checked() -> None:
    call = float_call(np.ones(4), np.zeros(4))
    wrong = constant("gamma", np.ones(3, np.float32))
    with pytest.raises(BadInputError, match=r"its gamma has shape \(3,\); it must be \(4,\)"):
        OPERATOR.verify(
            dataclasses.replace(call, inputs=(call.inputs[0], wrong, call.inputs[BETA]))
        )
