# SPDX-License-Identifier: Apache-2.0
"""Logarithm of the softmax over the last axis, in gemmlowp's fixed point; the output scale is 1/16."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.arith import (
    INT32_MIN,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_divide_by_power_of_two,
)
from edgekit.arith import saturating_rounding_doubling_high_multiply as multiply
from edgekit.ir import Array, Call, Quantization, Shape, Tensor
from edgekit.kernel import Binding, CStruct, Kernel
from edgekit.ops._elementwise import verify_int8, verify_one_type, verify_scale
from edgekit.ops._log_fixed_point import log_of_at_least_1
from edgekit.ops._operator import Case, Operator, Quantized, case_graph
from edgekit.ops._softmax_fixed_point import exp_on_negative_values
from edgekit.ops.softmax import exponential_features

OUTPUT_QUANTIZATION = Quantization(16.0 / 256.0, 127)
FRACTION_BITS = 26
"""Of differences to the largest input, and of the logarithm: Q5.26."""
MAX_DEPTH = 4095
"""A Q12.19 holds the sum of this many exponentials."""


@dataclass(frozen=True)
class LogSoftmax:
    """There is nothing to choose."""


@dataclass(frozen=True)
class LogSoftmaxArithmetic:
    """A difference to the largest input becomes Q5.26 by ``multiplier`` and a left ``shift``.

    Differences below ``diff_min`` would overflow; they count for nothing. The reverse factor brings
    Q5.26 back to steps of the input.
    """

    multiplier: int
    shift: int
    diff_min: int
    reverse_multiplier: int
    reverse_shift: int


def log_softmax_arithmetic(input_scale: float) -> LogSoftmaxArithmetic:
    """The integer parameters, as TensorFlow Lite's PreprocessLogSoftmaxScalingExp computes them."""
    factor = min(max(input_scale * 2**FRACTION_BITS, 2.0), 2.0**31 - 1.0)
    multiplier, shift = quantize_multiplier(factor)
    diff_min = -math.floor(31 * 2**FRACTION_BITS / 2**shift)
    reverse = quantize_multiplier(2.0 ** (31 - shift) / multiplier)
    return LogSoftmaxArithmetic(multiplier, shift, diff_min, *reverse)


def _logarithms(x: Array, arithmetic: LogSoftmaxArithmetic) -> Array:
    """16 * log(exp / sum(exp)) + 127 over rows of x (rows, depth), as int8 values."""
    differences = x - x.max(axis=1, keepdims=True)
    within = differences >= arithmetic.diff_min
    scaled = multiply(np.where(within, differences, 0) << arithmetic.shift, arithmetic.multiplier)
    exponentials = np.where(within, exp_on_negative_values(scaled), 0)
    sums = rounding_divide_by_power_of_two(exponentials, 12).sum(axis=1, keepdims=True)
    logarithm = log_of_at_least_1(sums)
    lowest = multiply_by_quantized_multiplier(
        logarithm + INT32_MIN, arithmetic.reverse_multiplier, arithmetic.reverse_shift
    )
    above = differences > np.maximum(arithmetic.diff_min - 1, lowest)
    values = rounding_divide_by_power_of_two(np.where(above, scaled - logarithm, 0), 22) + 127
    return np.where(above, np.clip(values, -128, 127), -128)


def _pack_ref(call: Call, binding: Binding) -> CStruct:
    arithmetic: LogSoftmaxArithmetic = call.node.arithmetic
    depth = call.inputs[0].shape[-1]
    return CStruct(
        "ek_log_softmax_s8",
        {
            "rows": call.inputs[0].elements // depth,
            "depth": depth,
            "multiplier": arithmetic.multiplier,
            "shift": arithmetic.shift,
            "diff_min": arithmetic.diff_min,
            "reverse_multiplier": arithmetic.reverse_multiplier,
            "reverse_shift": arithmetic.reverse_shift,
        },
    )


REF = Kernel(
    symbol="ek_log_softmax_s8__ref",
    isa="ref",
    kind="map",
    pack=_pack_ref,
    features=exponential_features,
    stack_bytes=224,
)


class LogSoftmaxOperator(Operator):
    name = "log_softmax"
    attributes = LogSoftmax
    arithmetic = LogSoftmaxArithmetic
    kernels = (REF,)

    def output_shape(self, attributes: LogSoftmax, inputs: Sequence[Shape]) -> Shape:
        return inputs[0]

    def verify(self, call: Call) -> None:
        if len(call.inputs) != 1 or not call.activations:
            raise call.fail("it needs one input that is not a constant")
        verify_one_type(call)
        verify_int8(call)
        if not 1 <= len(call.inputs[0].shape) <= 4:
            raise call.fail(f"shape {call.inputs[0].shape} must have 1 to 4 dimensions")
        if (depth := call.inputs[0].shape[-1]) > MAX_DEPTH:
            raise call.fail(f"its last axis has {depth} elements; more than {MAX_DEPTH} overflow")
        arithmetic: LogSoftmaxArithmetic | None = call.node.arithmetic
        if arithmetic is None:
            return
        verify_scale(call, arithmetic.multiplier, arithmetic.shift, max_shift=31)
        verify_scale(call, arithmetic.reverse_multiplier, arithmetic.reverse_shift, max_shift=0)
        shift, diff_min = arithmetic.shift, arithmetic.diff_min
        if shift < 1 or diff_min > 0 or -diff_min << shift > 31 << FRACTION_BITS:
            raise call.fail(f"shift {shift} and diff_min {diff_min} overflow")
        if call.output.quantization != OUTPUT_QUANTIZATION:
            raise call.fail("its output must have scale 1/16 and zero point 127")

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        x = inputs[0].astype(np.int64)
        rows = _logarithms(x.reshape(-1, x.shape[-1]), call.node.arithmetic)
        return rows.astype(np.int8).reshape(x.shape)

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        x = inputs[0].astype(np.float64)
        x = x - x.max(axis=-1, keepdims=True)
        result: Array = x - np.log(np.exp(x).sum(axis=-1, keepdims=True))
        return result.astype(np.float32)

    def quantize(self, call: Call) -> Quantized:
        source = call.inputs[0].quantization
        assert source is not None
        return Quantized(log_softmax_arithmetic(source.scale))

    def output_quantization(self, call: Call) -> Quantization | None:
        return OUTPUT_QUANTIZATION

    def cases(self) -> Iterator[Case]:
        yield _case("ten_classes", (1, 10), 0.1)
        yield _case("one_class", (1, 1), 0.1)
        yield _case("two_classes", (1, 2), 0.05, inputs=_all_differences())
        yield _case("two_classes_coarse", (1, 2), 0.25, inputs=_all_differences())
        yield _case("rounding_ties", (1, 2), 0.03125, inputs=_all_differences())
        yield _case("pixels", (1, 3, 4, 5), 0.08)
        yield _case("rank_3_odd", (1, 7, 3), 0.2)
        yield _case("vector", (6,), 0.2)
        yield _case("fine_scale", (1, 12), 0.0003)
        yield _case("finest_scale", (1, 12), 2.0**-25)
        yield _case("coarse_scale", (1, 12), 20.0)
        yield _case("coarsest_scale", (1, 12), 1000.0)
        yield _case("saturates_at_the_minimum", (1, 4), 3.0, inputs=((_row(127, -128, 126, 0),),))
        equal = tuple((np.full((1, 300), value, np.int8),) for value in (-128, 0, 127))
        yield _case("sums_of_one_step_more", (1, 300), 0.1, inputs=(*equal, *_steps(300)))
        yield _case("near_ties", (1, 10, 6), 0.046875, inputs=((np.array([NEAR_TIES], np.int8),),))
        yield _case("longest_row", (1, MAX_DEPTH), 0.001)


# Found by search: an output is at most 2^-26 from a tie, so that the last bit of a logarithm counts.
NEAR_TIES = (
    (-36, -15, -1, 4, 8, -29),
    (-26, 21, -24, 28, 30, 11),
    (-23, 14, 9, 16, -23, -21),
    (-15, -9, 14, 24, 27, 7),
    (-11, 6, 9, -27, -4, -33),
    (-11, 33, -18, 21, 33, 10),
    (2, 22, 4, 32, 21, 12),
    (6, 18, -26, 18, -33, -5),
    (10, 22, 22, -22, -1, -29),
    (10, 30, 17, -6, -12, 27),
)


def _row(*values: int) -> Array:
    return np.array([values], np.int8)


def _all_differences() -> tuple[tuple[Array, ...], ...]:
    """Every difference that two int8 values can have."""
    return tuple((_row(127, 127 - difference),) for difference in range(256))


def _steps(depth: int) -> Iterator[tuple[Array, ...]]:
    """1, 5, 9, ... of ``depth`` elements at the maximum, the others far below."""
    for count in range(1, depth, 4):
        x = np.full((1, depth), -128, np.int8)
        x[:, :count] = 127
        yield (x,)


def _case(
    name: str, shape: Shape, scale: float, *, inputs: tuple[tuple[Array, ...], ...] = ()
) -> Case:
    graph = case_graph(
        "log_softmax",
        inputs=[Tensor("x", shape, "int8", Quantization(scale, 5))],
        output=Tensor("y", shape, "int8", OUTPUT_QUANTIZATION),
        attributes=LogSoftmax(),
        arithmetic=log_softmax_arithmetic(scale),
        name=name,
    )
    return Case(name, graph, inputs)


OPERATOR: LogSoftmaxOperator = LogSoftmaxOperator()
