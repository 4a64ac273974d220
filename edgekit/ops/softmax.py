# SPDX-License-Identifier: Apache-2.0
"""Softmax over the last axis, in gemmlowp's fixed point; the output scale is 1/256."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.arith import INT32_MAX, quantize_multiplier, rounding_divide_by_power_of_two
from edgekit.arith import saturating_rounding_doubling_high_multiply as multiply
from edgekit.ir import Array, Call, Quantization, Shape, Tensor
from edgekit.kernel import BY_ROW, Binding, CStruct, Features, Kernel, vector_features
from edgekit.ops._elementwise import verify_one_type
from edgekit.ops._operator import Case, Operator, Quantized, case_graph
from edgekit.ops._softmax_fixed_point import exp_on_negative_values, one_over_one_plus
from edgekit.ops._softmax_int16 import (
    exponential_table,
    int16_cases,
    int16_quotients,
    reciprocal_table,
    verify_int16,
)
from edgekit.window import Axis, RowMap

OUTPUT_QUANTIZATION = Quantization(1.0 / 256.0, -128)
FEWEST_OF_TABLE = 64
"""Elements from which a table of up to 1 KiB pays."""
SUM_LIMIT = 512 << 19
"""Sum of exponentials (Q12.19) from which every quotient rounds to 0."""


@dataclass(frozen=True)
class Softmax:
    """exp(beta * x) / sum(exp(beta * x)) over the last axis."""

    beta: float = 1.0


@dataclass(frozen=True)
class SoftmaxArithmetic:
    """A difference to the largest input becomes Q5.26 by ``multiplier`` and a left ``shift``.

    Differences below ``diff_min`` would overflow; their exponential is 0. int16 (no ``diff_min``):
    ops/_softmax_int16.py.
    """

    multiplier: int
    shift: int
    diff_min: int


def softmax_arithmetic(beta: float, input_scale: float) -> SoftmaxArithmetic:
    """The integer parameters, as TensorFlow Lite's PreprocessSoftmaxScaling computes them."""
    factor = min(beta * input_scale * 2**26, 2.0**31 - 1.0)
    multiplier, shift = quantize_multiplier(max(factor, 1.0))
    return SoftmaxArithmetic(multiplier, shift, -math.floor(31 * 2**26 / 2**shift))


def _quotients(x: Array, arithmetic: SoftmaxArithmetic) -> Array:
    """256 * exp / sum(exp) - 128 over rows of x (rows, depth), before the clamp to int8."""
    differences = x - x.max(axis=1, keepdims=True)
    within = differences >= arithmetic.diff_min
    scaled = multiply(np.where(within, differences, 0) << arithmetic.shift, arithmetic.multiplier)
    exponentials = np.where(within, exp_on_negative_values(scaled), 0)
    sums = rounding_divide_by_power_of_two(exponentials, 12).sum(axis=1, keepdims=True)
    overflows = sums >= SUM_LIMIT
    sums = np.where(overflows, SUM_LIMIT - 1, sums)
    # frexp's exponent is the bit length; the sum is at least the largest input's exp(0), 2^19.
    bit_length = np.frexp(sums.astype(np.float64))[1].astype(np.int64)
    reciprocal = one_over_one_plus((sums << (32 - bit_length)) - (1 << 31))
    exponent = (bit_length - 20) + 31 - 8
    quotients = rounding_divide_by_power_of_two(multiply(reciprocal, exponentials), exponent)
    return np.where(overflows | ~within, 0, quotients) - 128


def _pack_ref(call: Call, binding: Binding) -> CStruct:
    arithmetic: SoftmaxArithmetic = call.node.arithmetic
    return CStruct(
        "ek_softmax_s8",
        {
            "depth": call.inputs[0].shape[-1],
            "multiplier": arithmetic.multiplier,
            "shift": arithmetic.shift,
            "diff_min": arithmetic.diff_min,
        },
    )


def exponential_features(call: Call) -> Features:
    """And the exponentials that are not 0, were the inputs spread evenly over their type."""
    depth = call.inputs[0].shape[-1]
    plain = vector_features(call)
    counted = (1 - call.node.arithmetic.diff_min) * (depth + 1) / (256 * depth)
    near = 1 + (depth - 1) * min(counted, 1.0)
    return {**plain, "exponentials": plain["vectors"] * near}


REF = Kernel(
    symbol="ek_softmax_s8__ref",
    isa="ref",
    kind="rows",
    pack=_pack_ref,
    write_behind=BY_ROW,
    features=exponential_features,
    stack_bytes=256,
)


def _exponentials(arithmetic: SoftmaxArithmetic) -> Array:
    """Of differences 0, -1, ... as far as they are not 0, Q0.31."""
    differences = np.arange(0, max(arithmetic.diff_min, -255) - 1, -1, dtype=np.int64)
    scaled = multiply(differences << arithmetic.shift, arithmetic.multiplier)
    return exp_on_negative_values(scaled).astype(np.int32)


def _pack_table(call: Call, binding: Binding) -> CStruct:
    table = _exponentials(call.node.arithmetic)
    return CStruct(
        "ek_softmax_table_s8",
        {"exponentials": table, "length": len(table), "depth": call.inputs[0].shape[-1]},
    )


def _refuse_few(call: Call) -> str | None:
    few = call.output.elements < FEWEST_OF_TABLE
    return "it has too few elements to be worth a table of exponentials" if few else None


TABLE = Kernel(
    symbol="ek_softmax_table_s8__c",
    isa="c",
    kind="rows",
    pack=_pack_table,
    accepts=_refuse_few,
    write_behind=BY_ROW,
    features=exponential_features,
    stack_bytes=144,
)


def _pack_int16(call: Call, binding: Binding) -> CStruct:
    arithmetic: SoftmaxArithmetic = call.node.arithmetic
    return CStruct(
        "ek_softmax_s16",
        {
            "exponentials": exponential_table(),
            "reciprocals": reciprocal_table(),
            "depth": call.inputs[0].shape[-1],
            "multiplier": arithmetic.multiplier,
            "shift": arithmetic.shift,
        },
    )


S16 = Kernel(
    symbol="ek_softmax_s16__ref",
    isa="ref",
    kind="rows",
    pack=_pack_int16,
    write_behind=BY_ROW,
    features=vector_features,
    stack_bytes=192,
)


class SoftmaxOperator(Operator):
    name = "softmax"
    attributes = Softmax
    arithmetic = SoftmaxArithmetic
    kernels = (TABLE, REF, S16)

    def output_shape(self, attributes: Softmax, inputs: Sequence[Shape]) -> Shape:
        return inputs[0]

    def verify(self, call: Call) -> None:
        beta = call.node.attributes.beta
        if not (math.isfinite(beta) and beta > 0):
            raise call.fail(f"beta {beta} must be a number above 0")
        if not call.inputs[0].shape:
            raise call.fail("the input has no axis")
        verify_one_type(call)
        if (arithmetic := call.node.arithmetic) is None:
            return
        if call.output.dtype == "int16":
            verify_int16(call, arithmetic.multiplier, arithmetic.shift)
            return
        if call.output.quantization != OUTPUT_QUANTIZATION:
            raise call.fail("the output must have scale 1/256 and zero point -128")
        if not 0 <= arithmetic.multiplier <= INT32_MAX or not 0 <= arithmetic.shift <= 30:
            raise call.fail("its multiplier or shift is out of range")
        if not -(31 << 26) <= arithmetic.diff_min << arithmetic.shift <= 0:
            raise call.fail(f"diff_min {arithmetic.diff_min} overflows with its shift")

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        rows = inputs[0].reshape(-1, inputs[0].shape[-1]).astype(np.int64)
        arithmetic: SoftmaxArithmetic = call.node.arithmetic
        if call.output.dtype == "int16":
            wide = int16_quotients(rows, arithmetic.multiplier, arithmetic.shift)
            return wide.astype(np.int16).reshape(call.output.shape)
        quotients = _quotients(rows, arithmetic)
        return np.clip(quotients, -128, 127).astype(np.int8).reshape(call.output.shape)

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        x = inputs[0] * np.float32(call.node.attributes.beta)
        exponentials = np.exp(x - x.max(axis=-1, keepdims=True))
        result: Array = exponentials / exponentials.sum(axis=-1, keepdims=True)
        return result.astype(np.float32, copy=False)

    def quantize(self, call: Call) -> Quantized:
        source = call.inputs[0].quantization
        assert source is not None
        return Quantized(softmax_arithmetic(call.node.attributes.beta, source.scale))

    def output_quantization(self, call: Call) -> Quantization | None:
        return OUTPUT_QUANTIZATION

    def row_map(self, call: Call) -> RowMap:
        return Axis(1)

    def cases(self) -> Iterator[Case]:
        yield _case("ten_classes", (1, 10), 0.1)
        yield _case("one_class", (1, 1), 0.1)
        yield _case("two_classes", (1, 2), 0.05, inputs=_all_differences())
        yield _case("two_classes_coarse", (1, 2), 0.25, inputs=_all_differences())
        # Found by search: two steps of Newton's method would give other integers.
        near_ties = (_row(-34, 99, -30, 82), _row(96, 40, 75, -125))
        yield _case("third_newton_step", (1, 4), 0.05, inputs=tuple((x,) for x in near_ties))
        yield _case("pixels", (1, 3, 4, 5), 0.08)
        yield _case("rank_3_odd", (1, 7, 3), 0.2)
        yield _case("fine_scale", (1, 12), 0.0003)
        yield _case("coarse_scale", (1, 12), 20.0)
        yield _case("beta_2", (1, 12), 0.05, beta=2.0)
        yield _case("saturates_both_ends", (1, 4), 3.0, inputs=((_row(127, -128, 126, 0),),))
        equal = np.full((1, 511), 127, np.int8)
        yield _case("table_of_pixels", (1, 5, 4, 12), 0.08)
        yield _case("coarse_table", (1, 6, 12), 20.0)
        yield _case("fine_table", (1, 6, 12), 0.0003)
        pairs = np.concatenate([row for (row,) in _all_differences()])
        yield _case("table_of_two_classes", (1, 256, 2), 0.05, inputs=((pairs[np.newaxis],),))
        yield _case("sum_below_512", (1, 511), 0.1, inputs=((equal,),))
        yield _case("sum_of_512_gives_the_minimum", (1, 512), 0.1)
        yield _case("sum_above_4096_does_not_wrap", (1, 5000), 0.001)
        yield from int16_cases(Softmax, SoftmaxArithmetic)


def _row(*values: int) -> Array:
    return np.array([values], np.int8)


def _all_differences() -> tuple[tuple[Array, ...], ...]:
    """Every difference that two int8 values can have."""
    return tuple((_row(127, 127 - difference),) for difference in range(256))


def _case(
    name: str,
    shape: Shape,
    scale: float,
    *,
    beta: float = 1.0,
    inputs: tuple[tuple[Array, ...], ...] = (),
) -> Case:
    graph = case_graph(
        "softmax",
        inputs=[Tensor("x", shape, "int8", Quantization(scale, 5))],
        output=Tensor("y", shape, "int8", OUTPUT_QUANTIZATION),
        attributes=Softmax(beta),
        arithmetic=softmax_arithmetic(beta, scale),
        name=name,
    )
    return Case(name, graph, inputs)


OPERATOR: SoftmaxOperator = SoftmaxOperator()
