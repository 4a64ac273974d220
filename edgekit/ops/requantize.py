# SPDX-License-Identifier: Apache-2.0
"""A change of scale, type and clamp, element by element: QUANTIZE, RELU, RELU6, clip."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.arith import quantize_multiplier, requantize
from edgekit.ir import INTEGER_RANGE, Array, Call, DType, Quantization, Shape, Tensor
from edgekit.kernel import Binding, CStruct, Kernel
from edgekit.layout import map_size
from edgekit.ops import lookup
from edgekit.ops._elementwise import (
    clip_float,
    row_window,
    verify_one_type,
    verify_output_range,
    verify_rank,
    verify_scale,
    verify_types,
)
from edgekit.ops._elementwise_kernel import elementwise_kernel
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


REF = elementwise_kernel("ek_requantize_s8", stack_bytes=96)

INT32_PAIRS = (("int16", "int32"), ("int32", "int16"), ("int32", "int8"))
"""Types of input and output with int32, which stands at a port of a model; its zero point is 0."""


def _between(source: str, result: str) -> Callable[[Call], str | None]:
    """Accepts this pair of types only."""

    def accepts(call: Call) -> str | None:
        types = call.inputs[0].dtype, call.output.dtype
        return None if types == (source, result) else f"it computes {result} from {source}"

    return accepts


def _twin(name: str, source: str, result: str) -> Kernel:
    """The kernel for another pair of types; where they differ, it cannot run in place."""
    zero_points = {"input_zero_point": source, "output_zero_point": result}
    without = tuple(member for member, dtype in zero_points.items() if dtype != "int8")
    accepts = _between(source, result)
    twin = int16_twin(REF, f"ek_requantize_{name}__ref", without=without, accepts=accepts)
    return twin if source == result else dataclasses.replace(twin, write_behind=None)


def _pack_table(call: Call, binding: Binding) -> CStruct:
    values = np.arange(-128, 128, dtype=np.int8)
    table = OPERATOR.evaluate(call, [values])
    return CStruct("ek_lookup_s8", {"channels": map_size(call.output.shape)[2], "table": table})


TABLE = dataclasses.replace(lookup.TUNED, pack=_pack_table, accepts=_between("int8", "int8"))
"""All 256 results: faster than any arithmetic, and exact whatever the factor."""
S16 = _twin("s16", "int16", "int16")
S16_S8 = _twin("s16_s8", "int16", "int8")
S8_S16 = _twin("s8_s16", "int8", "int16")
S16_S32 = _twin("s16_s32", "int16", "int32")
S32_S16 = _twin("s32_s16", "int32", "int16")
S32_S8 = _twin("s32_s8", "int32", "int8")


class RequantizeOperator(Operator):
    name = "requantize"
    is_elementwise = True
    attributes = Requantize
    arithmetic = RequantizeArithmetic
    kernels = (TABLE, REF, S16, S16_S8, S8_S16, S16_S32, S32_S16, S32_S8)

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
        if (source.dtype, call.output.dtype) in INT32_PAIRS:
            _verify_int32(call, arithmetic)
        else:
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
        factor = quantize_multiplier(source.scale / result.scale)
        clamp = clamp_to_integers(attributes.minimum, attributes.maximum, result)
        zero_points = (source.zero_point, result.zero_point)
        return Quantized(RequantizeArithmetic(*zero_points, *factor, *clamp))

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
        yield from _int32_cases()

    def _int8_cases(self) -> Iterator[Case]:
        for name, (shape, arithmetic) in _INT8_CASES.items():
            yield _int8_case(name, shape, RequantizeArithmetic(*arithmetic))


_NOISY, _HALF = 1_395_864_371, 2**30
_INT8_CASES: dict[str, tuple[Shape, tuple[int, int, int, int, int, int]]] = {
    "identity": ((1, 16, 4, 4), (3, 3, _HALF, 1, -128, 127)),
    "zero_point_shift": ((1, 256), (-128, 127, _HALF, 1, -128, 127)),
    "relu": ((1, 4, 8, 8), (-4, -4, _HALF, 1, -4, 127)),
    "relu6": ((1, 4, 8, 8), (7, -128, _NOISY, 1, -128, 40)),
    "narrower_scale": ((1, 8, 32), (-9, 5, _NOISY, -2, -128, 127)),
    "wider_scale_saturates": ((1, 256, 1, 1), (1, 2, 2**31 - 1, 3, -128, 127)),
    "ties_of_the_high_multiply": ((1, 1, 256, 1), (0, 0, _HALF, 0, -128, 127)),
    "ties_of_the_shift": ((1, 1, 256, 1), (1, 0, _HALF, -2, -128, 127)),
    "shift_wraps": ((256,), (0, 0, 2**31 - 1, 30, -128, 127)),
    "scale_vanishes": ((1, 256), (5, 6, 0, 0, -128, 127)),
    "smallest_factor": ((1, 256), (5, 6, _HALF, -31, -128, 127)),
    "odd_channels": ((1, 3, 5, 7), (-11, 4, 1_717_986_918, 0, -100, 100)),
}
"""Name -> shape and arithmetic."""


def _verify_int32(call: Call, arithmetic: RequantizeArithmetic) -> None:
    """Raise BadInputError where int32, or int16 beside it, has a zero point other than 0."""
    pairs = (
        (call.inputs[0], arithmetic.input_zero_point),
        (call.output, arithmetic.output_zero_point),
    )
    for tensor, zero_point in pairs:
        declared = tensor.quantization.zero_point if tensor.quantization else 0
        if tensor.dtype != "int8" and (zero_point or declared):
            raise call.fail(f"'{tensor.name}' is {tensor.dtype}; its zero point must be 0")


def _int32_cases() -> Iterator[Case]:
    """Factors of either direction: ties of both roundings, wraps, both ends."""
    low, high = INTEGER_RANGE["int32"]
    for name, multiplier, shift, bounds in (
        ("int16_to_int32", 1_395_864_371, 15, (low, high)),
        ("int16_to_int32_coarser", 2**30, -3, (low, high)),
        ("int16_to_int32_wraps", 2**31 - 1, 30, (low, high)),
        ("int16_to_int32_clamped", 2**30, 16, (-(2**30), 2**29 + 1)),
    ):
        factor = RequantizeArithmetic(0, 0, multiplier, shift, *bounds)
        yield _mixed_case(name, ("int16", "int32"), factor)
    for name, multiplier, shift in (
        ("int32_to_int16", 1_395_864_371, -15),
        ("int32_to_int16_ties", 2**30, -20),
        ("int32_to_int16_saturates", 1_717_986_918, -9),
        ("int32_to_int16_wraps", 2**31 - 1, 3),
        ("int32_to_int16_smallest_factor", 2**30, -31),
        ("int32_to_int16_vanishes", 0, 0),
    ):
        factor = RequantizeArithmetic(0, 0, multiplier, shift, -32768, 32767)
        yield _mixed_case(name, ("int32", "int16"), factor)
    for name, zero_point, shift in (("int32_to_int8", -11, -23), ("int32_to_int8_ties", 127, -24)):
        factor = RequantizeArithmetic(0, zero_point, 2**30, shift, -128, 127)
        yield _mixed_case(name, ("int32", "int8"), factor)


def _int8_case(name: str, shape: Shape, arithmetic: RequantizeArithmetic) -> Case:
    """Every int8 value is tried where the map has room for it."""
    return _case(name, shape, ("int8", "int8"), arithmetic, values=np.arange(-128, 128))


def _mixed_case(name: str, types: tuple[DType, DType], arithmetic: RequantizeArithmetic) -> Case:
    """Every 16th int16 value and its neighbour, every int8 value, or int32 values around ties."""
    low, high = INTEGER_RANGE[types[0]]
    step = {"int8": 1, "int16": 16, "int32": 2 ** max(-arithmetic.shift, 20)}[types[0]]
    values = np.arange(low, high + 1, step)
    near = np.concatenate([values - 1, values, values + 1]) if step > 16 else values
    tried = np.concatenate([near, values + 1])
    return _case(name, (1, 4, 512, 4), types, arithmetic, values=tried)


def _case(
    name: str,
    shape: Shape,
    types: tuple[DType, DType],
    arithmetic: RequantizeArithmetic,
    *,
    values: Array,
) -> Case:
    """From the first type to the second, with ``values`` over and over as the input."""
    graph = case_graph(
        "requantize",
        inputs=[Tensor("x", shape, types[0], Quantization(0.05, arithmetic.input_zero_point))],
        output=Tensor("y", shape, types[1], Quantization(0.05, arithmetic.output_zero_point)),
        attributes=Requantize(),
        arithmetic=arithmetic,
        name=name,
    )
    return Case(
        name, graph, ((np.resize(values, shape).clip(*INTEGER_RANGE[types[0]]).astype(types[0]),),)
    )


OPERATOR = RequantizeOperator()
