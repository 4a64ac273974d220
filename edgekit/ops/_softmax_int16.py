# SPDX-License-Identifier: Apache-2.0
"""Softmax of int16 rows with two interpolated tables; the output has scale 2^-15."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from edgekit.arith import INT32_MAX, multiply_by_quantized_multiplier, quantize_multiplier
from edgekit.ir import Array, Call, Quantization, Shape, Tensor
from edgekit.ops._interpolation import interpolate, interpolated_table
from edgekit.ops._operator import Case, case_graph

OUTPUT_SCALE = 1.0 / 32768.0
EXPONENT_RANGE = 10.0
"""exp(-10) and less count as the least exponential of the table."""
MAX_SHIFT = 14
"""A difference of 17 bits stays inside int32."""
MAX_DEPTH = 2**16 - 1
"""An int32 holds the sum of this many exponentials."""


@functools.cache
def exponential_table() -> Array:
    """exp over [-10, 0], in Q0.15."""
    return interpolated_table(np.exp, -EXPONENT_RANGE, 0.0, scale=32768.0)


@functools.cache
def reciprocal_table() -> Array:
    """1 / (1 + x) over [0, 1], in Q0.15."""
    return interpolated_table(lambda x: 1.0 / (1.0 + x), 0.0, 1.0, scale=32768.0)


def difference_factor(beta: float, input_scale: float) -> tuple[int, int]:
    """(multiplier, shift) that take differences of -10 / (scale * beta) to -65535."""
    return quantize_multiplier(input_scale * beta / (EXPONENT_RANGE / 65535.0))


def int16_quotients(x: Array, multiplier: int, shift: int) -> Array:
    """32768 * exp / sum(exp) over rows of x (rows, depth), int64."""
    differences = x - x.max(axis=1, keepdims=True)
    scaled = multiply_by_quantized_multiplier(differences, multiplier, shift)
    places = np.clip(scaled + 32767, -32768, 32767)
    exponentials = interpolate(exponential_table(), places)
    sums = exponentials.sum(axis=1, keepdims=True)
    # The sum is 2^(bits - 1) * (1 + fraction); the fraction has 16 bits.
    bits = np.array([[int(total).bit_length()] for total in sums[:, 0]], np.int64)
    normal = ((sums << (31 - bits)) + (1 << 13)) >> 14
    fraction = np.clip(normal - (1 << 15) - (1 << 16), -32768, 32767)
    reciprocals = interpolate(reciprocal_table(), fraction)
    shifts = bits - 1
    products = exponentials * reciprocals + (np.int64(1) << (shifts - 1))
    result: Array = np.clip(products >> shifts, 0, 32767)
    return result


def verify_int16(call: Call, multiplier: int, shift: int) -> None:
    """Raise BadInputError where output or parameters are not those of an int16 softmax."""
    result = call.output.quantization
    if result is None or not math.isclose(result.scale, OUTPUT_SCALE, rel_tol=1e-3):
        raise call.fail("the output of int16 must have scale 2^-15")
    if not 0 <= multiplier <= INT32_MAX or not -31 <= shift <= MAX_SHIFT:
        raise call.fail("its multiplier or shift is out of range")
    if call.inputs[0].shape[-1] > MAX_DEPTH:
        raise call.fail(f"rows of more than {MAX_DEPTH} overflow")


def int16_cases(
    attributes: Callable[[float], Any], arithmetic: Callable[[int, int, int], Any]
) -> Iterator[Case]:
    """Edge cases by name, for the operator's own two types of parameters."""

    def case(name: str, shape: Shape, scale: float, *rows: Array) -> Case:
        factor = difference_factor(1.0, scale)
        graph = case_graph(
            "softmax",
            inputs=[Tensor("x", shape, "int16", Quantization(scale, 0))],
            output=Tensor("y", shape, "int16", Quantization(OUTPUT_SCALE, 0)),
            attributes=attributes(1.0),
            arithmetic=arithmetic(*factor, 0),
            name=name,
        )
        return Case(name, graph, tuple((row.astype(np.int16).reshape(shape),) for row in rows))

    yield case("int16_ten_classes", (1, 10), 0.001)
    yield case("int16_one_class", (1, 1), 0.001)
    yield case("int16_pixels", (1, 3, 4, 5), 0.0003)
    yield case("int16_rank_3_odd", (1, 7, 3), 0.002)
    steps = np.arange(2048) * 32
    pairs = np.stack([np.full(2048, 32767), 32767 - steps])
    yield case("int16_two_classes", (1, 2048, 2), 10.0 / 65535.0, pairs.T)
    yield case("int16_fine_scale", (1, 12), 1e-6)
    yield case("int16_coarse_scale", (1, 12), 0.9)
    ends = np.array([32767, -32768, 32766, 0])
    yield case("int16_saturates_both_ends", (1, 4), 0.001, ends, np.full(4, -32768))
    yield case("int16_sum_rounds_up_to_a_power", (1, 9), 10.0 / 65535.0, _eighteen_ones())
    yield case("int16_equal_classes", (1, 4096), 0.001, np.zeros(4096))
    yield case("int16_many_classes", (1, 20000), 0.0001)


def _eighteen_ones() -> Array:
    """A row whose exponentials add up to 2^18 - 1."""
    places = np.arange(-32768, 32768)
    exponentials = interpolate(exponential_table(), places)
    rest = 2**18 - 1 - 8 * exponentials[-1]
    (found, *_) = np.flatnonzero(exponentials == rest)
    return np.array([32767] * 8 + [int(places[found])])
