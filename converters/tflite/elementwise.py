# SPDX-License-Identifier: Apache-2.0
"""TFLite's differences, extrema and functions of one variable: int8 to one node each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from edgekit.converters.tflite import c_math, lookup_tables, multipliers
from edgekit.converters.tflite.operation import Mapped, Operation
from edgekit.converters.tflite.sums import sum_arithmetic
from edgekit.ir import Array, Quantization
from edgekit.ops._extremum import extremum_arithmetic
from edgekit.ops.lookup import Lookup, LookupArithmetic
from edgekit.ops.maximum import Maximum
from edgekit.ops.minimum import Minimum
from edgekit.ops.prelu import Prelu, PreluArithmetic
from edgekit.ops.squared_difference import SquaredDifference, SquaredDifferenceArithmetic
from edgekit.ops.sub import Sub

LOGISTIC_QUANTIZATION = Quantization(1.0 / 256.0, -128)
TANH_QUANTIZATION = Quantization(1.0 / 128.0, 0)
FunctionTable = Callable[[Quantization, Quantization], lookup_tables.Table | None]


def _sub(operation: Operation) -> Mapped:
    arithmetic = sum_arithmetic(operation)
    return Mapped("sub", Sub(), arithmetic, (operation.operand(0), operation.operand(1)))


def _squared_difference(operation: Operation) -> Mapped:
    operation.require(inputs=(2,))
    operation.require_int8()
    operation.require_one_type()
    a, b = (operation.quantization(operation.input(position)) for position in (0, 1))
    result = operation.output_quantization()
    factors = multipliers.squared_difference_factors(a.scale, b.scale, result.scale)
    if factors[2] >= 1.0:
        raise operation.fail(
            "its input scales are too far from the output scale for TFLite's SQUARED_DIFFERENCE"
        )
    first, second, square = (operation.multiplier(factor) for factor in factors)
    arithmetic = SquaredDifferenceArithmetic(
        left_shift=multipliers.SQUARED_DIFFERENCE_LEFT_SHIFT,
        zero_points=(a.zero_point, b.zero_point),
        multipliers=(first[0], second[0]),
        shifts=(first[1], second[1]),
        output_multiplier=square[0],
        output_shift=square[1],
        output_zero_point=result.zero_point,
    )
    operands = (operation.operand(0), operation.operand(1))
    return Mapped("squared_difference", SquaredDifference(), arithmetic, operands)


def _extremum(op: str, attributes: object) -> Callable[[Operation], Mapped]:
    """MINIMUM and MAXIMUM: TFLite compares the integers, whatever the scales are."""

    def mapping(operation: Operation) -> Mapped:
        operation.require(inputs=(2,))
        operation.require_one_type()
        operands = [operation.quantization(operation.input(position)) for position in (0, 1)]
        result = operation.output_quantization()
        if any(operand != result for operand in operands):
            raise operation.unsupported(
                "its inputs and output differ in scale or zero point; quantize them alike"
            )
        arithmetic = extremum_arithmetic(operands, result)
        return Mapped(op, attributes, arithmetic, (operation.operand(0), operation.operand(1)))

    return mapping


def _prelu(operation: Operation) -> Mapped:
    operation.require(inputs=(2,))
    operation.require_int8()
    source, slope = (operation.quantization(operation.input(position)) for position in (0, 1))
    result = operation.output_quantization()
    identity = operation.multiplier(multipliers.relu_factor(source.scale, result.scale))
    product = operation.multiplier(multipliers.mul_factor(source.scale, slope.scale, result.scale))
    arithmetic = PreluArithmetic(
        zero_points=(source.zero_point, slope.zero_point),
        identity_multiplier=identity[0],
        identity_shift=identity[1],
        slope_multiplier=product[0],
        slope_shift=product[1],
        output_zero_point=result.zero_point,
    )
    return Mapped("prelu", Prelu(), arithmetic, (operation.operand(0), operation.operand(1)))


def _lookup(operation: Operation, attributes: Lookup, table: FunctionTable) -> Mapped:
    operation.require(inputs=(1,))
    operation.require_int8()
    x = operation.activation(0)
    source, result = operation.quantization(x.tensor), operation.output_quantization()
    operation.multiplier(multipliers.relu_factor(source.scale, result.scale))
    entries = table(source, result)
    if entries is None:
        raise operation.unsupported(
            f"output scale {result.scale:.9g} is below 1/128 of the input scale "
            f"{source.scale:.9g}; quantize it more coarsely"
        )
    return Mapped("lookup", attributes, LookupArithmetic(entries), (x,))


def _float_function(
    attributes: Lookup,
    function: Callable[[Array], Array],
    *,
    required: Quantization | None = None,
) -> Callable[[Operation], Mapped]:
    """A function that TFLite tabulates in float32; ``required`` is the only output scale it allows."""

    def table(source: Quantization, result: Quantization) -> lookup_tables.Table:
        return lookup_tables.float_table(function, source, result)

    def mapping(operation: Operation) -> Mapped:
        if required not in (None, result := operation.output_quantization()):
            assert required is not None
            raise operation.unsupported(
                f"output scale {result.scale:.9g} and zero point {result.zero_point}; "
                f"use 1/{1 / required.scale:.0f} and {required.zero_point}"
            )
        return _lookup(operation, attributes, table)

    return mapping


def _gelu(operation: Operation) -> Mapped:
    if operation.option("Approximate"):
        return _float_function(Lookup("gelu_tanh"), lookup_tables.gelu_tanh)(operation)
    return _float_function(Lookup("gelu"), lookup_tables.gelu)(operation)


def _leaky_relu(operation: Operation) -> Mapped:
    alpha = float(operation.option("Alpha"))
    if not math.isfinite(alpha):
        raise operation.fail(f"alpha {alpha} is not finite")

    def table(source: Quantization, result: Quantization) -> lookup_tables.Table:
        operation.multiplier(multipliers.mul_factor(source.scale, abs(alpha), result.scale))
        return lookup_tables.leaky_relu_table(alpha, source, result)

    return _lookup(operation, Lookup("leaky_relu", (alpha,)), table)


def _rsqrt(operation: Operation) -> Mapped:
    def table(source: Quantization, result: Quantization) -> lookup_tables.Table:
        operation.multiplier(multipliers.rsqrt_factor(source.scale, result.scale))
        return lookup_tables.rsqrt_table(source, result)

    return _lookup(operation, Lookup("rsqrt"), table)


def _hard_swish(operation: Operation) -> Mapped:
    return _lookup(operation, Lookup("hard_swish"), lookup_tables.hard_swish_table)


def _abs(operation: Operation) -> Mapped:
    return _lookup(operation, Lookup("abs"), lookup_tables.abs_table)


ELEMENTWISE_MAPPINGS: Mapping[str, Callable[[Operation], Mapped]] = {
    "ABS": _abs,
    "ELU": _float_function(Lookup("elu", (1.0, 1.0, 1.0)), lookup_tables.elu),
    "EXP": _float_function(Lookup("exp"), c_math.expf),
    "GELU": _gelu,
    "HARD_SWISH": _hard_swish,
    "LEAKY_RELU": _leaky_relu,
    "LOGISTIC": _float_function(
        Lookup("sigmoid"), lookup_tables.logistic, required=LOGISTIC_QUANTIZATION
    ),
    "MAXIMUM": _extremum("maximum", Maximum()),
    "MINIMUM": _extremum("minimum", Minimum()),
    "PRELU": _prelu,
    "RSQRT": _rsqrt,
    "SQUARED_DIFFERENCE": _squared_difference,
    "SUB": _sub,
    "TANH": _float_function(Lookup("tanh"), c_math.tanhf, required=TANH_QUANTIZATION),
}
"""The operators of this file."""
