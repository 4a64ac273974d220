# SPDX-License-Identifier: Apache-2.0
"""Each row of the last axis divided by its Euclidean length; the output scale is 1/128."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.arith import multiply_by_quantized_multiplier
from edgekit.ir import Array, Call, Quantization, Shape, Tensor
from edgekit.kernel import Binding, CStruct, Kernel, vector_features
from edgekit.ops._elementwise import verify_int8, verify_one_type, verify_output_range
from edgekit.ops._inverse_root import inverse_square_root
from edgekit.ops._operator import Case, Operator, Quantized, case_graph

OUTPUT_QUANTIZATION = Quantization(1.0 / 128.0, 0)
MAX_DEPTH = 2**15
"""An int32 holds the squares of this many int8 values minus their zero point."""
EPSILON = 1e-6
"""A row of zeros stays one."""


@dataclass(frozen=True)
class L2Normalization:
    """There is nothing to choose."""


@dataclass(frozen=True)
class L2NormalizationArithmetic:
    """The scale of the input does not matter."""

    input_zero_point: int


def _pack_ref(call: Call, binding: Binding) -> CStruct:
    depth = call.inputs[0].shape[-1]
    return CStruct(
        "ek_l2_normalization_s8",
        {
            "rows": call.inputs[0].elements // depth,
            "depth": depth,
            "input_zero_point": call.node.arithmetic.input_zero_point,
        },
    )


REF = Kernel(
    symbol="ek_l2_normalization_s8__ref",
    isa="ref",
    kind="map",
    pack=_pack_ref,
    features=vector_features,
    stack_bytes=128,
)


class L2NormalizationOperator(Operator):
    name = "l2_normalization"
    attributes = L2Normalization
    arithmetic = L2NormalizationArithmetic
    kernels = (REF,)

    def output_shape(self, attributes: L2Normalization, inputs: Sequence[Shape]) -> Shape:
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
        arithmetic: L2NormalizationArithmetic | None = call.node.arithmetic
        if arithmetic is None:
            return
        verify_output_range(call, (arithmetic.input_zero_point,), -128, 127)
        if call.output.quantization != OUTPUT_QUANTIZATION:
            raise call.fail("its output must have scale 1/128 and zero point 0")

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        x = inputs[0].astype(np.int64) - call.node.arithmetic.input_zero_point
        multiplier, shift = inverse_square_root((x * x).sum(axis=-1, keepdims=True))
        values = multiply_by_quantized_multiplier(x, multiplier, shift + 7)
        return np.clip(values, -128, 127).astype(np.int8)

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        x = inputs[0].astype(np.float64)
        length = np.sqrt((x * x).sum(axis=-1, keepdims=True))
        result: Array = x / np.maximum(length, EPSILON)
        return result.astype(np.float32)

    def quantize(self, call: Call) -> Quantized:
        source = call.inputs[0].quantization
        assert source is not None
        return Quantized(L2NormalizationArithmetic(source.zero_point))

    def output_quantization(self, call: Call) -> Quantization | None:
        return OUTPUT_QUANTIZATION

    def cases(self) -> Iterator[Case]:
        yield _case("embedding", (1, 128))
        yield _case("pixels", (1, 3, 4, 5))
        yield _case("rank_3_odd", (1, 7, 3))
        yield _case("vector", (6,))
        every = tuple((np.array([[value]], np.int8),) for value in range(-128, 128))
        yield _case("one_element", (1, 1), zero_point=0, inputs=every)
        yield _case("length_0_and_1", (1, 2), inputs=tuple((_row(3, 3 + d),) for d in range(-2, 3)))
        yield _case("zero_point_at_the_end", (1, 9), zero_point=-128)
        pairs = [(a, b) for a in range(-128, 128, 5) for b in range(-128, 128, 7)]
        yield _case("many_lengths", (1, len(pairs), 2), inputs=((_rows(pairs),),))
        ties = [(1, *(63 * (1,))), (3, 4), (6, 8), (1, 0), (-1, 0), (1, -1)]
        padded = [(*row, *((0,) * (64 - len(row)))) for row in ties]
        yield _case("exact_lengths", (1, len(ties), 64), zero_point=0, inputs=((_rows(padded),),))
        yield _case("largest_sum", (1, MAX_DEPTH), zero_point=127)


def _row(*values: int) -> Array:
    return np.array([values], np.int8)


def _rows(values: Sequence[tuple[int, ...]]) -> Array:
    return np.array([values], np.int8)


def _case(
    name: str, shape: Shape, *, zero_point: int = 3, inputs: tuple[tuple[Array, ...], ...] = ()
) -> Case:
    graph = case_graph(
        "l2_normalization",
        inputs=[Tensor("x", shape, "int8", Quantization(0.05, zero_point))],
        output=Tensor("y", shape, "int8", OUTPUT_QUANTIZATION),
        attributes=L2Normalization(),
        arithmetic=L2NormalizationArithmetic(zero_point),
        name=name,
    )
    return Case(name, graph, inputs)


OPERATOR: L2NormalizationOperator = L2NormalizationOperator()
