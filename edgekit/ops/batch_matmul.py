# SPDX-License-Identifier: Apache-2.0
"""Product of two activations as matrices over their last two axes, with one requantization.

TensorFlow Lite's BATCH_MATMUL: int32 sums of (x - x_zero_point) * (y - y_zero_point) on int8, int64
sums on int16. The leading axes broadcast as numpy's do; a constant int8 matrix with zero point 0 is
better off as ``fully_connected``.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.arith import quantize_multiplier, requantize
from edgekit.ir import Array, Call, Quantization, Shape, Tensor, constant
from edgekit.kernel import Binding, CStruct, Kernel, plain_features
from edgekit.ops._elementwise import (
    broadcast_shape,
    quantized_operands,
    verify_one_type,
    verify_output_range,
    verify_rank,
    verify_scale,
)
from edgekit.ops._int16 import (
    ARITHMETIC_STACK_BYTES,
    MAX_WIDE_SHIFT,
    activation_range,
    int16_twin,
    requantize_wide,
)
from edgekit.ops._int16_cases import int16_cases, int16_graph
from edgekit.ops._operator import Case, Operator, Quantized, case_graph

MAX_DEPTH = 2**15
"""An int32 holds the sum of this many products of int8 values minus their zero points.

Products of int16 take 30 bits, and as many of them 45: inside what 64-bit sums are scaled from.
"""


@dataclass(frozen=True)
class BatchMatmul:
    """Whether the last two axes of an operand are swapped before the product."""

    adjoint_x: bool = False
    adjoint_y: bool = False


@dataclass(frozen=True)
class BatchMatmulArithmetic:
    """Integer parameters; ``multiplier`` and ``shift`` are of x scale * y scale / output scale."""

    zero_points: tuple[int, int]
    multiplier: int
    shift: int
    output_zero_point: int


def _as_product(attributes: BatchMatmul, shapes: Sequence[Shape]) -> tuple[Shape, Shape]:
    """The shapes (..., M, K) and (..., K, N)."""
    x, y = shapes[:2]
    if attributes.adjoint_x:
        x = (*x[:-2], x[-1], x[-2])
    if attributes.adjoint_y:
        y = (*y[:-2], y[-1], y[-2])
    return x, y


def _pack_ref(call: Call, binding: Binding) -> CStruct:
    attributes: BatchMatmul = call.node.attributes
    arithmetic: BatchMatmulArithmetic = call.node.arithmetic
    x, y = _as_product(attributes, [tensor.shape for tensor in call.inputs])
    rows, depth, columns = x[-2], x[-1], y[-1]
    batches = math.prod(call.output.shape[:-2])
    return CStruct(
        "ek_batch_matmul_s8",
        {
            "batches": batches,
            "rows": rows,
            "depth": depth,
            "columns": columns,
            "x_batch_stride": rows * depth if math.prod(x[:-2]) > 1 else 0,
            "x_row_stride": 1 if attributes.adjoint_x else depth,
            "x_depth_stride": rows if attributes.adjoint_x else 1,
            "y_batch_stride": depth * columns if math.prod(y[:-2]) > 1 else 0,
            "y_depth_stride": 1 if attributes.adjoint_y else columns,
            "y_column_stride": depth if attributes.adjoint_y else 1,
            "x_zero_point": arithmetic.zero_points[0],
            "y_zero_point": arithmetic.zero_points[1],
            "multiplier": arithmetic.multiplier,
            "shift": arithmetic.shift,
            "output_zero_point": arithmetic.output_zero_point,
        },
    )


REF = Kernel(
    symbol="ek_batch_matmul_s8__ref",
    isa="ref",
    kind="map",
    pack=_pack_ref,
    features=lambda call: {"macs": OPERATOR.macs(call), **plain_features(call)},
    stack_bytes=160,
)
S16 = int16_twin(
    REF,
    "ek_batch_matmul_s16__ref",
    without=("x_zero_point", "y_zero_point", "output_zero_point"),
    extra_stack_bytes=ARITHMETIC_STACK_BYTES,
)


class BatchMatmulOperator(Operator):
    name = "batch_matmul"
    attributes = BatchMatmul
    arithmetic = BatchMatmulArithmetic
    kernels = (REF, S16)

    def output_shape(self, attributes: BatchMatmul, inputs: Sequence[Shape]) -> Shape:
        x, y = _as_product(attributes, inputs)
        batch = broadcast_shape([x[:-2], y[:-2]])
        assert batch is not None
        return (*batch, x[-2], y[-1])

    def verify(self, call: Call) -> None:
        if len(call.inputs) != 2 or not call.activations:
            raise call.fail("it needs two inputs, one of them not a constant")
        verify_one_type(call)
        for tensor in (*call.inputs, call.output):
            verify_rank(call, tensor)
        shapes = [tensor.shape for tensor in call.inputs]
        if min(len(shape) for shape in shapes) < 2:
            raise call.fail(f"shapes {shapes[0]} and {shapes[1]} are no matrices")
        x, y = _as_product(call.node.attributes, shapes)
        if x[-1] != y[-2] or broadcast_shape([x[:-2], y[:-2]]) is None:
            raise call.fail(f"there is no product of shapes {x} and {y}")
        if x[-1] > MAX_DEPTH:
            raise call.fail(f"it sums {x[-1]} products; more than {MAX_DEPTH} overflow")
        arithmetic: BatchMatmulArithmetic | None = call.node.arithmetic
        if arithmetic is not None:
            most = MAX_WIDE_SHIFT if call.output.dtype == "int16" else 30
            verify_scale(call, arithmetic.multiplier, arithmetic.shift, max_shift=most)
            zero_points = (*arithmetic.zero_points, arithmetic.output_zero_point)
            verify_output_range(call, zero_points, *activation_range(call))

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        arithmetic: BatchMatmulArithmetic = call.node.arithmetic
        pairs = zip(inputs, arithmetic.zero_points, strict=True)
        # float64 holds the sums exactly and multiplies faster than integers do
        operands = [array.astype(np.float64) - zero_point for array, zero_point in pairs]
        sums = _product(call.node.attributes, operands).astype(np.int64)
        low, high = activation_range(call)
        if call.output.dtype == "int16":
            factor = np.array(arithmetic.multiplier), np.array(arithmetic.shift)
            return requantize_wide(sums, *factor, minimum=low, maximum=high).astype(np.int16)
        values = requantize(
            sums,
            arithmetic.multiplier,
            arithmetic.shift,
            zero_point=arithmetic.output_zero_point,
            minimum=low,
            maximum=high,
        )
        return values.astype(np.int8)

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        operands = [array.astype(np.float64) for array in inputs]
        return _product(call.node.attributes, operands).astype(np.float32)

    def quantize(self, call: Call) -> Quantized:
        constants, (x, y) = quantized_operands(call)
        result = call.output.quantization
        assert result is not None
        multiplier, shift = quantize_multiplier(x.scale * y.scale / result.scale)
        zero_points = (x.zero_point, y.zero_point)
        arithmetic = BatchMatmulArithmetic(zero_points, multiplier, shift, result.zero_point)
        return Quantized(arithmetic, constants)

    def runtime_operands(self, call: Call) -> tuple[Tensor, ...]:
        return call.inputs

    def macs(self, call: Call) -> int:
        x, _ = _as_product(call.node.attributes, [tensor.shape for tensor in call.inputs])
        return call.output.elements * x[-1]

    def cases(self) -> Iterator[Case]:
        yield from self._int8_cases()
        yield from int16_cases(self._int8_cases(), adjust=_finer)
        yield from _wide_cases()

    def _int8_cases(self) -> Iterator[Case]:
        yield _case("matrices", (4, 5), (5, 7))
        yield _case("row_times_matrix", (1, 13), (13, 6))
        yield _case("adjoint_x", (5, 4), (5, 7), BatchMatmul(adjoint_x=True))
        yield _case("adjoint_y", (4, 5), (7, 5), BatchMatmul(adjoint_y=True))
        yield _case("both_adjoint", (5, 4), (7, 5), BatchMatmul(True, True))
        yield _case("batches", (3, 4, 5), (3, 5, 2))
        yield _case("heads", (1, 3, 4, 5), (1, 3, 5, 2))
        yield _case("heads_adjoint", (1, 3, 4, 5), (1, 3, 6, 5), BatchMatmul(adjoint_y=True))
        yield _case("x_broadcasts", (4, 5), (1, 3, 5, 2))
        yield _case("y_broadcasts", (3, 4, 5), (1, 5, 2))
        yield _case("one_element", (1, 1), (1, 1))
        yield _case("outer_product", (6, 1), (1, 7))
        yield _case("constant_y", (4, 5), (5, 7), constant_at=1)
        yield _case("constant_x", (4, 5), (1, 3, 5, 2), constant_at=0)
        yield _case("same_input_twice", (5, 5), (5, 5), names=("x", "x"))
        shifted = BatchMatmulArithmetic((-128, 127), 1_395_864_371, 2, 9)
        yield _case("saturates_both_ends", (4, 16), (16, 3), arithmetic=shifted)
        vanishing = BatchMatmulArithmetic((3, -5), 0, 0, 9)
        yield _case("scale_vanishes", (4, 6), (6, 3), arithmetic=vanishing)
        ties = BatchMatmulArithmetic((0, 0), 2**30, -1, 0)
        column = np.arange(-128, 128).astype(np.int8).reshape(256, 1)
        row = np.array([[1, -1, 3, 5]], np.int8)
        samples = ((column, row),)
        yield _case("rounding_ties", (256, 1), (1, 4), arithmetic=ties, inputs=samples)


def _product(attributes: BatchMatmul, operands: Sequence[Array]) -> Array:
    x, y = operands
    x = x.swapaxes(-1, -2) if attributes.adjoint_x else x
    y = y.swapaxes(-1, -2) if attributes.adjoint_y else y
    product: Array = np.matmul(x, y)
    return product


def _finer(arithmetic: BatchMatmulArithmetic) -> BatchMatmulArithmetic:
    """Products of int16 have 16 bits more, their output 8."""
    return dataclasses.replace(arithmetic, shift=arithmetic.shift - 8)


def _wide_cases() -> Iterator[Case]:
    """Sums of more than 32 bits, and multipliers and ties of the scaling to 15 bits."""
    ends = np.array([-32768, 32767, -1, 1, 3, 12345], np.int16)
    column = np.resize(np.concatenate([np.arange(-300, 300), ends]), (606, 1)).astype(np.int16)
    for name, multiplier, shift in (
        ("int16_ties", 2**30, -1),
        ("int16_largest_multiplier", 2**31 - 1, -15),
        ("int16_multiplier_rounds_up", 2**30 + 2**15, -6),
        ("int16_shift_to_the_left", 2**30 + 12345, 7),
    ):
        factor = BatchMatmulArithmetic((0, 0), multiplier, shift, 0)
        graph = int16_graph(_case(name, (606, 1), (1, 6), arithmetic=factor).graph)
        yield Case(name, graph, ((column, ends.reshape(1, 6)),))
    factor = BatchMatmulArithmetic((0, 0), 2**30 + 5, -29, 0)
    deep = _case("int16_sums_of_45_bits", (2, MAX_DEPTH), (MAX_DEPTH, 1), arithmetic=factor)
    yield Case(deep.name, int16_graph(deep.graph))


def _case(
    name: str,
    x_shape: Shape,
    y_shape: Shape,
    attributes: BatchMatmul = BatchMatmul(),
    *,
    arithmetic: BatchMatmulArithmetic = BatchMatmulArithmetic((-11, 37), 1_717_986_918, -8, -5),
    names: tuple[str, str] = ("x", "y"),
    constant_at: int | None = None,
    inputs: tuple[tuple[Array, ...], ...] = (),
) -> Case:
    quantization = Quantization(0.05, 0)  # the kernels see the zero points of the arithmetic only
    pairs = zip(names, (x_shape, y_shape), strict=True)
    tensors = [Tensor(n, s, "int8", quantization) for n, s in pairs]
    if constant_at is not None:
        old = tensors[constant_at]
        values = np.random.default_rng(5).integers(-128, 128, old.shape).astype(np.int8)
        tensors[constant_at] = constant(old.name, values, quantization=quantization)
    output_shape = OPERATOR.output_shape(attributes, (x_shape, y_shape))
    graph = case_graph(
        "batch_matmul",
        inputs=tensors,
        output=Tensor("z", output_shape, "int8", quantization),
        attributes=attributes,
        arithmetic=arithmetic,
        name=name,
    )
    return Case(name, graph, inputs)


OPERATOR: BatchMatmulOperator = BatchMatmulOperator()
