# SPDX-License-Identifier: Apache-2.0
"""Edge cases that operators with weights share: seeded weights, and crafted ends and ties."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgekit.ir import Array, Quantization, Shape, Tensor, constant
from edgekit.ops._operator import Case, Operator, case_graph
from edgekit.ops._weighted import WeightedArithmetic

INPUT_ZERO_POINT = -11
OUTPUT_ZERO_POINT = -7


def weighted_case(
    operator: Operator,
    name: str,
    attributes: Any,
    *,
    input_shape: Shape,
    weights_shape: Shape,
    channels: int,
    shift: int = -7,
    minimum: int = -128,
    maximum: int = 127,
    with_bias: bool = True,
) -> Case:
    """Seeded weights, bias and multipliers; zero points are not 0, so padding must honour them."""
    random = np.random.default_rng(len(name))
    weights = random.integers(-127, 128, weights_shape).astype(np.int8)
    bias = random.integers(-3000, 3000, channels).astype(np.int32)
    constants = [constant("weights", weights)] + [constant("bias", bias)] * with_bias
    output_shape = operator.output_shape(attributes, [input_shape, weights_shape])
    arithmetic = WeightedArithmetic(
        input_zero_point=INPUT_ZERO_POINT,
        output_zero_point=OUTPUT_ZERO_POINT,
        multipliers=tuple(int(m) for m in random.integers(2**30, 2**31 - 1, channels)),
        shifts=tuple(shift - int(s) for s in random.integers(0, 2, channels)),
        minimum=minimum,
        maximum=maximum,
    )
    graph = case_graph(
        operator.name,
        inputs=[
            Tensor("x", input_shape, "int8", Quantization(0.05, INPUT_ZERO_POINT)),
            *constants,
        ],
        output=Tensor("y", output_shape, "int8", Quantization(0.1, OUTPUT_ZERO_POINT)),
        attributes=attributes,
        arithmetic=arithmetic,
        name=name,
    )
    return Case(name, graph)


def tie_case(operator: Operator, attributes: Any, *, x: Array, weights: Array) -> Case:
    """Factors of 1/2 and 1/4 over ``x``: ties in both roundings, of both signs.

    ``weights`` are those of 4 output channels that each read one element of ``x``.
    """
    arithmetic = WeightedArithmetic(
        input_zero_point=0,
        output_zero_point=0,
        multipliers=(2**30,) * 4,
        shifts=(0, 0, -1, -1),
        minimum=-128,
        maximum=127,
    )
    return _single_products(operator, "rounding_ties", attributes, arithmetic, x, weights)


def int32_end_case(operator: Operator, attributes: Any, *, x: Array, weights: Array) -> Case:
    """Sums that wrap to -2^31: the zero point must not be added before the clamp.

    ``x`` and ``weights`` as in :func:`tie_case`, with -128 among the values.
    """
    arithmetic = WeightedArithmetic(
        input_zero_point=0,
        output_zero_point=-52,
        multipliers=(2**31 - 1,) * 4,
        shifts=(24, 24, 24, 30),
        minimum=-128,
        maximum=127,
    )
    return _single_products(operator, "end_of_int32", attributes, arithmetic, x, weights)


def _single_products(
    operator: Operator,
    name: str,
    attributes: Any,
    arithmetic: WeightedArithmetic,
    x: Array,
    weights: Array,
) -> Case:
    """Four channels, each of one product, the last two with a bias of 1."""
    output_shape = operator.output_shape(attributes, [x.shape, weights.shape])
    graph = case_graph(
        operator.name,
        inputs=[
            Tensor("x", x.shape, "int8", Quantization(0.05, arithmetic.input_zero_point)),
            constant("weights", weights),
            constant("bias", np.array([0, 0, 1, 1], np.int32)),
        ],
        output=Tensor("y", output_shape, "int8", Quantization(0.1, arithmetic.output_zero_point)),
        attributes=attributes,
        arithmetic=arithmetic,
        name=name,
    )
    return Case(name, graph, ((x,),))
