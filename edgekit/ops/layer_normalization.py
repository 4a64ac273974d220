# SPDX-License-Identifier: Apache-2.0
"""Each row of the last axis less its mean, divided by its standard deviation, times gamma plus beta.

Mean and variance of the integers are exact: with S = sum(x) and n channels, d = n * x - S and
V = n * sum(x * x) - S^2 are the deviation in n-ths and the variance in squares of n-ths; the input's
zero point cancels. The inverse square root and everything behind it is fixed point, with f =
``fraction_bits(n)``. No step overflows, for any int8 input and n up to 2^16:

- |S| <= 2^23, sum(x * x) <= 2^30 and |d| <= 255 * (n - 1) < 2^24.
- V <= (127.5 * n)^2 < 2^46. It is summed with epsilon in int64: V * 2^14 + 2^31 < 2^61, or V + 2^60.
- V is the mean of d^2, and the other channels' d add up to -d: d^2 <= (n - 1) * V. So the normalized
  value is at most sqrt(n - 1) <= 2^(15 - f).
- The inverse root is m * 2^(s - 31) with m > 2^27, where V > 0. A shift to the left in front of the
  product leaves |d| * 2^(s + f) <= 2^15 * 2^31 / m < 2^19. Else m is rounded to fewer bits, which
  changes a normalized value by at most |d| / 2^32 < 2^-8 of its step of 2^-f. Newton's method is right
  to 2^-19, 2^-4 of that step. So normalized values round to at most 2^15 steps.
- 2^15 * gamma + beta <= 2^15 * (2^15 - 1) + 2^30 = 2^31 - 2^15. Its factor is less than 1, so the
  zero point of the output fits, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.arith import (
    quantize_multiplier,
    requantize,
    round_half_away,
    rounding_divide_by_power_of_two,
)
from edgekit.arith import saturating_rounding_doubling_high_multiply as multiply
from edgekit.ir import Array, Call, Quantization, Shape, Tensor, constant
from edgekit.kernel import Binding, CStruct, Kernel, WriteBehind, vector_features
from edgekit.ops._elementwise import (
    row_window,
    verify_int8,
    verify_output_range,
    verify_scale,
    verify_types,
)
from edgekit.ops._inverse_root import inverse_square_root_64
from edgekit.ops._operator import Case, Operator, Quantized, case_graph
from edgekit.window import Window

INPUT, GAMMA, BETA = 0, 1, 2
MAX_DEPTH = 2**16
"""An int32 holds the squares of this many int8 values."""
NORMALIZED_BITS = 15
"""A normalized value reaches sqrt(n - 1); with its fraction it stays inside -2^15 to 2^15."""
MAX_GAMMA = 2**15 - 1
MAX_BETA = 2**30
"""With it, and the largest gamma and normalized value, sums stay inside int32."""
MAX_EPSILON_ROOT = 2.0**30 - 1.0
"""In square roots of units of V, whose own root is below 2^23: beyond, epsilon alone divides."""
MAX_EPSILON_SHIFT = 29
MIN_EPSILON_SHIFT = -14
"""V is shifted to the left by as much: at V = 1 the rounding of epsilon changes little."""
LEAST_VARIANCE = 1e-30
"""A row of equal values becomes beta where epsilon is 0."""


@dataclass(frozen=True)
class LayerNormalization:
    """What is added to the variance."""

    epsilon: float


@dataclass(frozen=True)
class LayerNormalizationArithmetic:
    """``epsilon`` * 2^``epsilon_shift`` is in units of V; a negative shift is even.

    ``multiplier`` and ``shift`` bring n * gamma + beta to the scale of the output.
    """

    epsilon: int
    epsilon_shift: int
    multiplier: int
    shift: int
    output_zero_point: int


def fraction_bits(depth: int) -> int:
    """The most with which a normalized value of ``depth`` channels stays within 2^15."""
    return NORMALIZED_BITS - ((max(depth, 2) - 2).bit_length() + 1) // 2


def _normalized_shift(arithmetic: LayerNormalizationArithmetic, depth: int) -> int:
    """What normalized values are shifted by: their fraction, and the root of what V is shifted by."""
    return fraction_bits(depth) + max(-arithmetic.epsilon_shift, 0) // 2


def _pack_ref(call: Call, binding: Binding) -> CStruct:
    arithmetic: LayerNormalizationArithmetic = call.node.arithmetic
    depth = call.inputs[INPUT].shape[-1]
    return CStruct(
        "ek_layer_normalization_s8",
        {
            "gamma": call.constant(GAMMA),
            "beta": call.constant(BETA),
            "depth": depth,
            "normalized_shift": _normalized_shift(arithmetic, depth),
            "epsilon": arithmetic.epsilon,
            "epsilon_shift": arithmetic.epsilon_shift,
            "multiplier": arithmetic.multiplier,
            "shift": arithmetic.shift,
            "output_zero_point": arithmetic.output_zero_point,
        },
    )


REF = Kernel(
    symbol="ek_layer_normalization_s8__ref",
    isa="ref",
    kind="rows",
    pack=_pack_ref,
    features=vector_features,
    write_behind=WriteBehind(grain=1),
    flat=True,
    stack_bytes=160,
)


class LayerNormalizationOperator(Operator):
    name = "layer_normalization"
    attributes = LayerNormalization
    arithmetic = LayerNormalizationArithmetic
    kernels = (REF,)

    def output_shape(self, attributes: LayerNormalization, inputs: Sequence[Shape]) -> Shape:
        return inputs[INPUT]

    def verify(self, call: Call) -> None:
        if len(call.inputs) != 3 or call.activations != call.inputs[:1]:
            raise call.fail(
                "it needs one input that is not a constant, and constant gamma and beta"
            )
        verify_int8(call)
        is_float = call.node.arithmetic is None
        verify_types(call, *(("float32",) * 3 if is_float else ("int8", "int16", "int32")))
        shape = call.inputs[INPUT].shape
        if not shape:
            raise call.fail("the input has no axis")
        if not 1 <= (depth := shape[-1]) <= MAX_DEPTH:
            raise call.fail(f"its last axis has {depth} elements; more than {MAX_DEPTH} overflow")
        for name, position in (("gamma", GAMMA), ("beta", BETA)):
            if (given := call.inputs[position].shape) != (depth,):
                raise call.fail(f"its {name} has shape {given}; it must be ({depth},)")
        if not 0 <= (epsilon := call.node.attributes.epsilon) < math.inf:
            raise call.fail(f"epsilon {epsilon} must be a number, 0 or more")
        if not is_float:
            _verify_arithmetic(call, call.node.arithmetic)

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        arithmetic: LayerNormalizationArithmetic = call.node.arithmetic
        x = inputs[INPUT].astype(np.int64)
        depth = x.shape[-1]
        sums = x.sum(axis=-1, keepdims=True)
        variance = depth * (x * x).sum(axis=-1, keepdims=True) - sums * sums
        to_left = arithmetic.epsilon_shift
        inverse, shift = inverse_square_root_64(
            (variance << max(-to_left, 0)) + (arithmetic.epsilon << max(to_left, 0))
        )
        shift = shift + _normalized_shift(arithmetic, depth)
        inverse = rounding_divide_by_power_of_two(inverse, np.maximum(-shift, 0))
        normalized = multiply((depth * x - sums) << np.maximum(shift, 0), inverse)
        values = requantize(
            normalized * inputs[GAMMA].astype(np.int64) + inputs[BETA],
            arithmetic.multiplier,
            arithmetic.shift,
            zero_point=arithmetic.output_zero_point,
            minimum=-128,
            maximum=127,
        )
        return values.astype(np.int8)

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        x = inputs[INPUT].astype(np.float64)
        deviations = x - x.mean(axis=-1, keepdims=True)
        variance = (deviations**2).mean(axis=-1, keepdims=True) + call.node.attributes.epsilon
        normalized = deviations / np.sqrt(np.maximum(variance, LEAST_VARIANCE))
        result: Array = normalized * inputs[GAMMA] + inputs[BETA]
        return result.astype(np.float32)

    def quantize(self, call: Call) -> Quantized:
        source, result = call.inputs[INPUT].quantization, call.output.quantization
        assert source is not None and result is not None
        depth = call.inputs[INPUT].shape[-1]
        root = math.sqrt(call.node.attributes.epsilon) * depth / source.scale
        epsilon, epsilon_shift = _integer_epsilon(min(root, MAX_EPSILON_ROOT))
        gamma, beta = (call.constant(p).astype(np.float64) for p in (GAMMA, BETA))
        gamma = gamma * (MAX_EPSILON_ROOT / max(root, MAX_EPSILON_ROOT))
        step = _product_scale(gamma, beta, fraction_bits(depth))
        multiplier, shift = quantize_multiplier(min(step / result.scale, 1.0 - 2.0**-31))
        gamma_scale = step * 2.0 ** fraction_bits(depth)
        constants = {
            GAMMA: constant(
                call.inputs[GAMMA].name, round_half_away(gamma / gamma_scale).astype(np.int16)
            ),
            BETA: constant(call.inputs[BETA].name, round_half_away(beta / step).astype(np.int32)),
        }
        arithmetic = LayerNormalizationArithmetic(
            epsilon, epsilon_shift, multiplier, shift, result.zero_point
        )
        return Quantized(arithmetic, constants)

    def window(self, call: Call) -> Window | None:
        return row_window(call)

    def accumulator_bound(self, call: Call) -> int:
        """The sum of squares, or normalized * gamma + beta; the variance has 64 bits."""
        gamma, beta = (np.abs(call.constant(p).astype(np.int64)).max() for p in (GAMMA, BETA))
        squares = call.inputs[INPUT].shape[-1] * 2**14
        return max(squares, int((gamma << NORMALIZED_BITS) + beta))

    def cases(self) -> Iterator[Case]:
        yield _case("pixels_of_40", (1, 3, 4, 40))
        yield _case("odd_channels", (1, 5, 3, 7))
        yield _case("row", (1, 128))
        yield _case("rank_3", (1, 7, 12))
        yield _case("vector", (6,))
        yield _case("one_column", (1, 4, 1, 5))
        every = np.arange(-128, 128).astype(np.int8)
        yield _case("one_channel", (1, 16, 16, 1), inputs=(every.reshape(1, 16, 16, 1),))
        pairs = np.array([(a, b) for a in range(-128, 128, 3) for b in range(-128, 128, 7)])
        yield _case("many_pairs", (1, len(pairs), 2), inputs=(pairs.astype(np.int8)[np.newaxis],))
        yield _case("least_variances", (1, 33, 24), inputs=(_least_variances(24),))
        yield _case("without_epsilon", (1, 33, 24), epsilon=(0, 0), inputs=(_least_variances(24),))
        yield _case("epsilon_of_one", (1, 33, 24), epsilon=(1, 0), inputs=(_least_variances(24),))
        yield _case(
            "epsilon_of_an_eighth", (1, 33, 24), epsilon=(1, -4), inputs=(_least_variances(24),)
        )
        yield _case("epsilon_of_52_bits", (1, 6, 24), epsilon=(2**31 - 1, 21))
        yield _case("largest_epsilon", (1, 6, 24), epsilon=(2**31 - 1, MAX_EPSILON_SHIFT))
        yield _case("saturates_both_ends", (1, 5, 4, 9), shift=-12)
        yield _case("largest_scale", (1, 5, 9), multiplier=2**31 - 1, shift=0)
        yield _case("scale_vanishes", (1, 5, 9), multiplier=2**30, shift=-31)
        yield _largest_case(MAX_DEPTH)
        yield _largest_case(5)
        yield _tie_case()


def _verify_arithmetic(call: Call, arithmetic: LayerNormalizationArithmetic) -> None:
    verify_output_range(call, (arithmetic.output_zero_point,), -128, 127)
    verify_scale(call, arithmetic.multiplier, arithmetic.shift, max_shift=0)
    shift = arithmetic.epsilon_shift
    if not 0 <= arithmetic.epsilon < 2**31 or not MIN_EPSILON_SHIFT <= shift <= MAX_EPSILON_SHIFT:
        raise call.fail(f"its integer epsilon {arithmetic.epsilon} * 2^{shift} is out of range")
    if shift < 0 and shift % 2:
        raise call.fail(f"epsilon_shift {shift} is odd; below 0 it must be even")
    for name, position, most in (("gamma", GAMMA, MAX_GAMMA), ("beta", BETA, MAX_BETA)):
        values = call.constant(position).astype(np.int64)
        if np.abs(values).max() > most:
            raise call.fail(f"its integer {name} is outside -{most} to {most}")


def _integer_epsilon(root: float) -> tuple[int, int]:
    """(mantissa, shift) of the square of ``root``: the most bits that fit 31."""
    shift = MIN_EPSILON_SHIFT
    while (mantissa := round(root * root * 2.0**-shift)) >= 2**31:
        shift += 2 if shift < 0 else 1
    return mantissa, shift


def _product_scale(gamma: Array, beta: Array, bits: int) -> float:
    """The real value of one step of normalized * gamma: the finest that holds gamma and beta."""
    largest_gamma = float(np.abs(gamma).max()) * 2.0**-bits
    return max(largest_gamma / MAX_GAMMA, float(np.abs(beta).max()) / MAX_BETA) or 2.0**-bits


def _least_variances(depth: int) -> Array:
    """Equal values, and one that differs a little from all others, at both ends of int8."""
    rows = []
    for value in (-128, 0, 127):
        for difference in (-3, -2, -1, 0, 1, 2, 3, 16, -16, 128, -128):
            row = np.full(depth, value)
            row[difference % depth] = np.clip(value + difference, -128, 127)
            rows.append(row)
    return np.array([rows], np.int8)


def _largest_case(depth: int) -> Case:
    """One channel differs from all others: the largest normalized value, with gamma and beta."""
    x = np.full((1, 2, depth), -128, np.int8)
    x[0, 0, 0], x[0, 1, depth - 1] = 127, -127
    gamma = np.full(depth, MAX_GAMMA, np.int16)
    gamma[-1] = -MAX_GAMMA
    beta = np.full(depth, MAX_BETA, np.int32)
    beta[-1] = -MAX_BETA
    return _case(
        f"largest_of_{depth}", x.shape, gamma=gamma, beta=beta, epsilon=(0, 0), shift=-23,
        inputs=(x, -1 - x),
    )  # fmt: skip


def _tie_case() -> Case:
    """Normalized values of +-1 (as 2^15) times gamma of 2^k: exact halves of both signs behind."""
    x = np.array([[[-1, 1], [1, -1], [-128, 127]]], np.int8)
    gamma = np.array([1, 3], np.int16)
    return _case(
        "rounding_ties", x.shape, gamma=gamma, beta=np.zeros(2, np.int32), epsilon=(0, 0),
        multiplier=2**30, shift=-15, output_zero_point=0, inputs=(x,),
    )  # fmt: skip


def _case(
    name: str,
    shape: Shape,
    *,
    gamma: Array | None = None,
    beta: Array | None = None,
    epsilon: tuple[int, int] = (600_000, MIN_EPSILON_SHIFT),
    multiplier: int = 1_395_864_371,
    shift: int = -23,
    output_zero_point: int = -9,
    inputs: tuple[Array, ...] = (),
) -> Case:
    random = np.random.default_rng(shape[-1])
    if gamma is None:
        gamma = random.integers(-MAX_GAMMA, MAX_GAMMA + 1, shape[-1]).astype(np.int16)
    if beta is None:
        beta = random.integers(-(2**27), 2**27, shape[-1]).astype(np.int32)
    graph = case_graph(
        "layer_normalization",
        inputs=[
            Tensor("x", shape, "int8", Quantization(0.05, 3)),
            constant("gamma", gamma),
            constant("beta", beta),
        ],
        output=Tensor("y", shape, "int8", Quantization(0.03, output_zero_point)),
        attributes=LayerNormalization(1e-5),
        arithmetic=LayerNormalizationArithmetic(*epsilon, multiplier, shift, output_zero_point),
        name=name,
    )
    return Case(name, graph, tuple((x,) for x in inputs))


OPERATOR: LayerNormalizationOperator = LayerNormalizationOperator()
