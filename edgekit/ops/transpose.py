# SPDX-License-Identifier: Apache-2.0
"""A permutation of the dimensions; the integers stay what they are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.ir import Array, Call, Quantization, Shape, Tensor
from edgekit.kernel import Binding, CStruct, Kernel
from edgekit.ops._elementwise import MAX_RANK, verify_one_type, verify_rank
from edgekit.ops._int16 import int16_twin
from edgekit.ops._int16_cases import int16_cases
from edgekit.ops._operator import Case, Operator, Quantized, case_graph


@dataclass(frozen=True)
class Transpose:
    """Dimension i of the output is dimension permutation[i] of the input."""

    permutation: tuple[int, ...]


@dataclass(frozen=True)
class TransposeArithmetic:
    """Nothing: integers are copied."""


def _pack_ref(call: Call, binding: Binding) -> CStruct:
    permutation: tuple[int, ...] = call.node.attributes.permutation
    shape = call.inputs[0].shape
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    missing = MAX_RANK - len(shape)
    return CStruct(
        "ek_transpose_s8",
        {
            "sizes": np.array((1,) * missing + call.output.shape, np.int32),
            "strides": np.array([0] * missing + [strides[a] for a in permutation], np.int32),
        },
    )


REF = Kernel(
    symbol="ek_transpose_s8__ref",
    isa="ref",
    kind="map",
    pack=_pack_ref,
    stack_bytes=96,
)


S16 = int16_twin(REF, "ek_transpose_s16__ref")


class TransposeOperator(Operator):
    name = "transpose"
    attributes = Transpose
    arithmetic = TransposeArithmetic
    kernels = (REF, S16)

    def output_shape(self, attributes: Transpose, inputs: Sequence[Shape]) -> Shape:
        return tuple(inputs[0][axis] for axis in attributes.permutation)

    def verify(self, call: Call) -> None:
        if len(call.inputs) != 1 or not call.activations:
            raise call.fail("it needs one input that is not a constant")
        rank = len(call.inputs[0].shape)
        permutation: tuple[int, ...] = call.node.attributes.permutation
        if sorted(permutation) != list(range(rank)):
            raise call.fail(f"{permutation} is not a permutation of the {rank} dimensions")
        verify_one_type(call)
        for tensor in (call.inputs[0], call.output):
            verify_rank(call, tensor)

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        return np.ascontiguousarray(inputs[0].transpose(call.node.attributes.permutation))

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        return self.evaluate(call, inputs)

    def quantize(self, call: Call) -> Quantized:
        return Quantized(TransposeArithmetic())

    def output_quantization(self, call: Call) -> Quantization | None:
        return call.inputs[0].quantization

    def cases(self) -> Iterator[Case]:
        yield from self._int8_cases()
        yield from int16_cases(self._int8_cases())

    def _int8_cases(self) -> Iterator[Case]:
        yield _case("nhwc_to_nchw", (1, 4, 5, 3), (0, 3, 1, 2))
        yield _case("nchw_to_nhwc", (1, 3, 4, 5), (0, 2, 3, 1))
        yield _case("rows_with_columns", (1, 4, 5, 3), (0, 2, 1, 3))
        yield _case("columns_with_channels", (1, 4, 5, 3), (0, 1, 3, 2))
        yield _case("reversed", (1, 5, 3, 1), (3, 2, 1, 0))
        yield _case("identity", (1, 2, 3, 5), (0, 1, 2, 3))
        yield _case("one_element", (1, 1, 1, 1), (0, 3, 2, 1))
        yield _case("rank_3", (1, 6, 7), (0, 2, 1))
        yield _case("rank_2", (1, 9), (1, 0))
        yield _case("rank_1", (9,), (0,))


def _case(name: str, shape: Shape, permutation: tuple[int, ...]) -> Case:
    attributes = Transpose(permutation)
    quantization = Quantization(0.05, -3)
    output_shape = OPERATOR.output_shape(attributes, [shape])
    graph = case_graph(
        "transpose",
        inputs=[Tensor("x", shape, "int8", quantization)],
        output=Tensor("y", output_shape, "int8", quantization),
        attributes=attributes,
        arithmetic=TransposeArithmetic(),
        name=name,
    )
    return Case(name, graph)


OPERATOR = TransposeOperator()
