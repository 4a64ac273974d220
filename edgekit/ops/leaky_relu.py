# SPDX-License-Identifier: Apache-2.0
"""Leaky ReLU of int16: one rescale for inputs from 0 on, another below. int8 has ``lookup``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.arith import quantize_multiplier, requantize
from edgekit.ir import Array, Call, Quantization, Shape, Tensor
from edgekit.kernel import BY_ELEMENT, Binding, CStruct, Kernel, flat_features
from edgekit.layout import map_size
from edgekit.ops._elementwise import row_window, verify_operands, verify_scale
from edgekit.ops._operator import Case, Operator, Quantized, case_graph
from edgekit.window import Window


@dataclass(frozen=True)
class LeakyRelu:
    """The slope below 0."""

    slope: float


@dataclass(frozen=True)
class LeakyReluArithmetic:
    """Factors of input scale / output scale, and of that times the slope.

    ``slope_multiplier`` has the slope's sign.
    """

    multiplier: int
    shift: int
    slope_multiplier: int
    slope_shift: int


def signed_multiplier(factor: float) -> tuple[int, int]:
    """(multiplier, shift) of a factor of either sign."""
    multiplier, shift = quantize_multiplier(abs(factor))
    return (-multiplier if factor < 0 else multiplier), shift


def _pack_ref(call: Call, binding: Binding) -> CStruct:
    arithmetic: LeakyReluArithmetic = call.node.arithmetic
    return CStruct(
        "ek_leaky_relu_s16",
        {
            "channels": map_size(call.output.shape)[2],
            "multiplier": arithmetic.multiplier,
            "shift": arithmetic.shift,
            "slope_multiplier": arithmetic.slope_multiplier,
            "slope_shift": arithmetic.slope_shift,
        },
    )


REF = Kernel(
    symbol="ek_leaky_relu_s16__ref",
    isa="ref",
    kind="rows",
    pack=_pack_ref,
    write_behind=BY_ELEMENT,
    flat=True,
    features=flat_features,
    stack_bytes=96,
)


class LeakyReluOperator(Operator):
    name = "leaky_relu"
    is_elementwise = True
    attributes = LeakyRelu
    arithmetic = LeakyReluArithmetic
    kernels = (REF,)

    def output_shape(self, attributes: LeakyRelu, inputs: Sequence[Shape]) -> Shape:
        return inputs[0]

    def verify(self, call: Call) -> None:
        verify_operands(call, count=1)
        if not math.isfinite(call.node.attributes.slope):
            raise call.fail(f"slope {call.node.attributes.slope} must be finite")
        arithmetic: LeakyReluArithmetic | None = call.node.arithmetic
        if arithmetic is None:
            return
        if call.output.dtype != "int16":
            raise call.fail(f"it computes int16, not {call.output.dtype}; use a lookup")
        verify_scale(call, arithmetic.multiplier, arithmetic.shift)
        verify_scale(call, abs(arithmetic.slope_multiplier), arithmetic.slope_shift)

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        a: LeakyReluArithmetic = call.node.arithmetic
        x = inputs[0].astype(np.int64)
        ends = {"zero_point": 0, "minimum": -32768, "maximum": 32767}
        above = requantize(x, a.multiplier, a.shift, **ends)
        below = requantize(x, a.slope_multiplier, a.slope_shift, **ends)
        return np.where(x >= 0, above, below).astype(np.int16)

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        x = inputs[0]
        result: Array = np.where(x >= 0, x, np.float32(call.node.attributes.slope) * x)
        return result.astype(np.float32)

    def quantize(self, call: Call) -> Quantized:
        source, result = call.inputs[0].quantization, call.output.quantization
        assert source is not None and result is not None
        factor = source.scale / result.scale
        identity = quantize_multiplier(factor)
        slope = signed_multiplier(factor * call.node.attributes.slope)
        return Quantized(LeakyReluArithmetic(*identity, *slope))

    def window(self, call: Call) -> Window | None:
        return row_window(call)

    def cases(self) -> Iterator[Case]:
        every = (1, 256, 64, 4)
        yield _case("every_value", every, (2**30, 1), (1_717_986_918, -3))
        yield _case("rounding_ties", every, (2**30, 0), (2**30, -2))
        yield _case("saturates_both_ends", every, (1_717_986_918, 3), (1_395_864_371, 5))
        yield _case("shift_wraps", (1, 65536), (2**31 - 1, 30), (2**31 - 1, 30))
        yield _case("slope_of_0", (1, 65536), (2**30, 1), (0, 0))
        yield _case("negative_slope", every, (2**30, 1), (-1_717_986_918, -3))
        yield _case("negative_slope_ties", every, (2**30, 0), (-(2**30), -2))
        yield _case("absolute_value", every, (2**30, 1), (-(2**30), 1))
        yield _case("negative_shift_wraps", (1, 65536), (2**31 - 1, 30), (-(2**31) + 1, 30))
        yield _case("odd_channels", (1, 3, 5, 7), (1_395_864_371, 1), (1_395_864_371, -1))
        yield _case("one_element", (1, 1, 1, 1), (2**30, 1), (2**30, -3))


def _case(name: str, shape: Shape, factor: tuple[int, int], slope: tuple[int, int]) -> Case:
    """Every int16 value is tried where the map has room for it."""
    graph = case_graph(
        "leaky_relu",
        inputs=[Tensor("x", shape, "int16", Quantization(0.001, 0))],
        output=Tensor("y", shape, "int16", Quantization(0.001, 0)),
        attributes=LeakyRelu(0.1),
        arithmetic=LeakyReluArithmetic(*factor, *slope),
        name=name,
    )
    values = np.resize(np.arange(-32768, 32768), shape).astype(np.int16)
    return Case(name, graph, ((values,),))


OPERATOR = LeakyReluOperator()
