# SPDX-License-Identifier: Apache-2.0
"""A change of scale, type and clamp, element by element: QUANTIZE, RELU, RELU6, clip."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.arith import quantize_multiplier, requantize
from edgekit.ir import Array, Call, DType, Quantization, Shape, Tensor
from edgekit.kernel import BY_ELEMENT, Binding, CStruct, Kernel
from edgekit.layout import map_size
from edgekit.ops._elementwise import (
    clip_float,
    row_window,
    verify_one_type,
    verify_output_range,
    verify_rank,
    verify_scale,
    verify_types,
)
from edgekit.ops._int16 import int16_twin, verify_zero_point
from edgekit.ops._int16_cases import int16_cases
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


_ZERO_POINTS = ("input_zero_point", "output_zero_point")
S16 = int16_twin(REF, "ek_requantize_s16__ref", without=_ZERO_POINTS)
S16_S8 = dataclasses.replace(
    int16_twin(REF, "ek_requantize_s16_s8__ref", without=_ZERO_POINTS[:1]), write_behind=None
)
S8_S16 = dataclasses.replace(
    int16_twin(REF, "ek_requantize_s8_s16__ref", without=_ZERO_POINTS[1:]), write_behind=None
)


class RequantizeOperator(Operator):
    name = "requantize"
    attributes = Requantize
    arithmetic = RequantizeArithmetic
    kernels = (REF, S16, S16_S8, S8_S16)

    def output_shape(self, attributes: Requantize, inputs: Sequence[Shape]) -> Shape:
        return inputs[0]

    def verify(self, call: Call) -> None:
        if len(call.inputs) != 1 or not call.activations:
            raise call.fail("it needs one input that is not a constant")
        source = call.inputs[0]
        verify_rank(call, source)
        arithmetic: RequantizeArithmetic | None = call.node.arithmetic
        if arithmetic is None:
            verify_one_type(call)
            return
        verify_types(call, source.dtype if source.dtype in ("int8", "int16") else "int8")
        verify_scale(call, arithmetic.multiplier, arithmetic.shift)
        verify_zero_point(call, source.dtype, arithmetic.input_zero_point)
        zero_points = (arithmetic.output_zero_point,)
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
        return values.astype(call.output.dtype)

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
        yield from self._int8_cases()
        yield from int16_cases(self._int8_cases())
        narrowing = RequantizeArithmetic(0, -11, 1_395_864_371, -7, -128, 127)
        yield _mixed_case("int16_to_int8", ("int16", "int8"), narrowing)
        ties = RequantizeArithmetic(0, 3, 2**30, -7, -100, 127)
        yield _mixed_case("int16_to_int8_ties", ("int16", "int8"), ties)
        widening = RequantizeArithmetic(-5, 0, 1_395_864_371, 8, -32768, 32767)
        yield _mixed_case("int8_to_int16", ("int8", "int16"), widening)
        exact = RequantizeArithmetic(-128, 0, 2**30, 8, 0, 20000)
        yield _mixed_case("int8_to_int16_clamped", ("int8", "int16"), exact)

    def _int8_cases(self) -> Iterator[Case]:
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


def _mixed_case(name: str, types: tuple[DType, DType], arithmetic: RequantizeArithmetic) -> Case:
    """Every 16th int16 value and its neighbour, or every int8 value."""
    shape = (1, 4, 512, 4)
    source = Quantization(0.05, arithmetic.input_zero_point)
    result = Quantization(0.05, arithmetic.output_zero_point)
    graph = case_graph(
        "requantize",
        inputs=[Tensor("x", shape, types[0], source)],
        output=Tensor("y", shape, types[1], result),
        attributes=Requantize(),
        arithmetic=arithmetic,
        name=name,
    )
    values = np.arange(-32768, 32768, 16) if types[0] == "int16" else np.arange(-128, 128)
    x = np.resize(np.concatenate([values, values + 1]), shape).astype(types[0])
    return Case(name, graph, ((x,),))


OPERATOR = RequantizeOperator()
