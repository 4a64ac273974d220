# SPDX-License-Identifier: Apache-2.0
"""A change of scale and a clamp, element by element: QUANTIZE int8 to int8, RELU, RELU6, clip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.arith import quantize_multiplier, requantize
from edgekit.ir import Array, Call, Quantization, Shape, Tensor
from edgekit.kernel import BY_ELEMENT, Binding, CStruct, Kernel
from edgekit.layout import map_size
from edgekit.ops._elementwise import (
    clip_float,
    row_window,
    verify_operands,
    verify_output_range,
    verify_scale,
)
from edgekit.ops._operator import Case, Operator, Quantized, case_graph
from edgekit.ops._weighted import clamp_to_integers
from edgekit.window import Window


@dataclass(frozen=True)
class Requantize:
    """The bounds of the values (None: no bound)."""

    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True)
class RequantizeArithmetic:
    """clamp(scale(x - input_zero_point) + output_zero_point)."""

    input_zero_point: int
    output_zero_point: int
    multiplier: int
    shift: int
    minimum: int
    maximum: int


def _pack_ref(call: Call, binding: Binding) -> CStruct:
    arithmetic: RequantizeArithmetic = call.node.arithmetic
    return CStruct(
        "ek_requantize_s8",
        {
            "channels": map_size(call.output.shape)[2],
            "input_zero_point": arithmetic.input_zero_point,
            "output_zero_point": arithmetic.output_zero_point,
            "multiplier": arithmetic.multiplier,
            "shift": arithmetic.shift,
            "minimum": arithmetic.minimum,
            "maximum": arithmetic.maximum,
        },
    )


REF = Kernel(
    symbol="ek_requantize_s8__ref",
    isa="ref",
    kind="rows",
    pack=_pack_ref,
    instructions=lambda call: 30.0 * call.output.elements,
    write_behind=BY_ELEMENT,
    flat=True,
    stack_bytes=96,
)


class RequantizeOperator(Operator):
    name = "requantize"
    attributes = Requantize
    arithmetic = RequantizeArithmetic
    kernels = (REF,)

    def output_shape(self, attributes: Requantize, inputs: Sequence[Shape]) -> Shape:
        return inputs[0]

    def verify(self, call: Call) -> None:
        verify_operands(call, count=1)
        arithmetic: RequantizeArithmetic | None = call.node.arithmetic
        if arithmetic is None:
            return
        verify_scale(call, arithmetic.multiplier, arithmetic.shift)
        zero_points = (arithmetic.input_zero_point, arithmetic.output_zero_point)
        verify_output_range(call, zero_points, arithmetic.minimum, arithmetic.maximum)

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        arithmetic: RequantizeArithmetic = call.node.arithmetic
        values = requantize(
            inputs[0].astype(np.int64) - arithmetic.input_zero_point,
            arithmetic.multiplier,
            arithmetic.shift,
            zero_point=arithmetic.output_zero_point,
            minimum=arithmetic.minimum,
            maximum=arithmetic.maximum,
        )
        return values.astype(np.int8)

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        attributes: Requantize = call.node.attributes
        return clip_float(inputs[0], attributes.minimum, attributes.maximum)

    def quantize(self, call: Call) -> Quantized:
        attributes: Requantize = call.node.attributes
        source, result = call.inputs[0].quantization, call.output.quantization
        assert source is not None and result is not None
        multiplier, shift = quantize_multiplier(source.scale / result.scale)
        low, high = clamp_to_integers(attributes.minimum, attributes.maximum, result, -128, 127)
        return Quantized(
            RequantizeArithmetic(
                input_zero_point=source.zero_point,
                output_zero_point=result.zero_point,
                multiplier=multiplier,
                shift=shift,
                minimum=low,
                maximum=high,
            )
        )

    def window(self, call: Call) -> Window | None:
        return row_window(call)

    def cases(self) -> Iterator[Case]:
        yield _case("identity", (1, 16, 4, 4), RequantizeArithmetic(3, 3, 2**30, 1, -128, 127))
        yield _case(
            "zero_point_shift", (1, 256), RequantizeArithmetic(-128, 127, 2**30, 1, -128, 127)
        )
        yield _case("relu", (1, 4, 8, 8), RequantizeArithmetic(-4, -4, 2**30, 1, -4, 127))
        yield _case(
            "relu6", (1, 4, 8, 8), RequantizeArithmetic(7, -128, 1_395_864_371, 1, -128, 40)
        )
        yield _case(
            "narrower_scale", (1, 8, 32), RequantizeArithmetic(-9, 5, 1_395_864_371, -2, -128, 127)
        )
        yield _case(
            "wider_scale_saturates",
            (1, 256, 1, 1),
            RequantizeArithmetic(1, 2, 2**31 - 1, 3, -128, 127),
        )
        yield _case(
            "ties_of_the_high_multiply",
            (1, 1, 256, 1),
            RequantizeArithmetic(0, 0, 2**30, 0, -128, 127),
        )
        yield _case(
            "ties_of_the_shift", (1, 1, 256, 1), RequantizeArithmetic(1, 0, 2**30, -2, -128, 127)
        )
        yield _case("shift_wraps", (256,), RequantizeArithmetic(0, 0, 2**31 - 1, 30, -128, 127))
        yield _case("scale_vanishes", (1, 256), RequantizeArithmetic(5, 6, 0, 0, -128, 127))
        yield _case("smallest_factor", (1, 256), RequantizeArithmetic(5, 6, 2**30, -31, -128, 127))
        yield _case(
            "odd_channels", (1, 3, 5, 7), RequantizeArithmetic(-11, 4, 1_717_986_918, 0, -100, 100)
        )


def _case(name: str, shape: Shape, arithmetic: RequantizeArithmetic) -> Case:
    """Every int8 value is tried where the map has room for it."""
    graph = case_graph(
        "requantize",
        inputs=[Tensor("x", shape, "int8", Quantization(0.05, arithmetic.input_zero_point))],
        output=Tensor("y", shape, "int8", Quantization(0.05, arithmetic.output_zero_point)),
        attributes=Requantize(),
        arithmetic=arithmetic,
        name=name,
    )
    return Case(name, graph, ((np.resize(np.arange(-128, 128), shape).astype(np.int8),),))


OPERATOR = RequantizeOperator()
