# SPDX-License-Identifier: Apache-2.0
"""Index of the greatest (or least) element along one axis, the first of equal ones, as int32."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.ir import Array, Call, Quantization, Shape, Tensor
from edgekit.kernel import BY_ROW, Binding, CStruct, Features, Kernel
from edgekit.layout import map_size
from edgekit.ops._elementwise import verify_rank
from edgekit.ops._operator import Case, Operator, Quantized, case_graph
from edgekit.window import Axis, RowMap


@dataclass(frozen=True)
class Argmax:
    """The axis, counted from the front, that the output loses or, with ``keep_dims``, has of size 1.

    ``of_least`` makes it an argmin.
    """

    axis: int
    of_least: bool = False
    keep_dims: bool = False


@dataclass(frozen=True)
class ArgmaxArithmetic:
    """Nothing: the order of integers is that of the real values."""


def _pack_ref(call: Call, binding: Binding) -> CStruct:
    attributes: Argmax = call.node.attributes
    shape = call.inputs[0].shape
    return CStruct(
        "ek_argmax_s8",
        {
            "outer": math.prod(shape[: attributes.axis]),
            "count": shape[attributes.axis],
            "inner": math.prod(shape[attributes.axis + 1 :]),
            "sign": -1 if attributes.of_least else 1,
        },
    )


def _features(call: Call) -> Features:
    outer = math.prod(call.inputs[0].shape[: call.node.attributes.axis])
    return {
        "layers": 1,
        "views": outer,
        "inputs": call.inputs[0].elements,
        "outputs": call.output.elements,
    }


REF = Kernel(
    symbol="ek_argmax_s8__ref",
    isa="ref",
    kind="map",
    pack=_pack_ref,
    features=_features,
    stack_bytes=96,
)


def _keeps_rows(call: Call) -> bool:
    """Whether every output row depends on the input row at its place alone."""
    height, width, channels = map_size(call.inputs[0].shape)
    behind = len(call.inputs[0].shape) - 1 - call.node.attributes.axis
    kept = {0: (height, width, 1), 1: (height, 1, channels)}
    return map_size(call.output.shape) == kept.get(behind)


REF_ROWS = dataclasses.replace(
    REF,
    symbol="ek_argmax_s8__ref_rows",
    kind="rows",
    accepts=lambda call: None if _keeps_rows(call) else "an output row needs several input rows",
    costs_as=REF.symbol,
    write_behind=BY_ROW,
)


class ArgmaxOperator(Operator):
    name = "argmax"
    attributes = Argmax
    arithmetic = ArgmaxArithmetic
    kernels = (REF, REF_ROWS)
    returns_indices = True

    def output_shape(self, attributes: Argmax, inputs: Sequence[Shape]) -> Shape:
        kept = (1,) if attributes.keep_dims else ()
        return (*inputs[0][: attributes.axis], *kept, *inputs[0][attributes.axis + 1 :])

    def verify(self, call: Call) -> None:
        if len(call.inputs) != 1 or not call.activations:
            raise call.fail("it needs one input that is not a constant")
        x = call.inputs[0]
        verify_rank(call, x)
        if not 0 <= call.node.attributes.axis < len(x.shape):
            raise call.fail(f"axis {call.node.attributes.axis} is outside rank {len(x.shape)}")
        expected = "float32" if call.node.arithmetic is None else "int8"
        if x.dtype != expected:
            raise call.fail(f"tensor '{x.name}' is {x.dtype}; it must be {expected}")
        if call.output.dtype != "int32":
            raise call.fail(f"tensor '{call.output.name}' is {call.output.dtype}, not int32")

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        attributes: Argmax = call.node.attributes
        find = np.argmin if attributes.of_least else np.argmax
        found = np.asarray(find(inputs[0], axis=attributes.axis))
        return found.astype(np.int32).reshape(call.output.shape)

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        return self.evaluate(call, inputs)

    def quantize(self, call: Call) -> Quantized:
        return Quantized(ArgmaxArithmetic())

    def row_map(self, call: Call) -> RowMap | None:
        return Axis(1) if _keeps_rows(call) else None

    def cases(self) -> Iterator[Case]:
        yield _case("classes", (1, 10), Argmax(1))
        yield _case("channels", (1, 4, 5, 7), Argmax(3))
        yield _case("channels_kept", (1, 4, 5, 7), Argmax(3, keep_dims=True))
        yield _case("columns_kept", (1, 4, 5, 7), Argmax(2, of_least=True, keep_dims=True))
        yield _case("rows_kept", (1, 4, 5, 7), Argmax(1, keep_dims=True))
        yield _case("rows", (1, 4, 5, 7), Argmax(1))
        yield _case("columns", (1, 4, 5, 7), Argmax(2))
        yield _case("batch", (1, 4, 5, 7), Argmax(0))
        yield _case("least_of_classes", (1, 10), Argmax(1, of_least=True))
        yield _case("least_of_columns", (1, 4, 5, 7), Argmax(2, of_least=True))
        yield _case("one_element", (1, 1, 1, 1), Argmax(3))
        yield _case("rank_3", (1, 9, 4), Argmax(1))
        yield _case("rank_3_square_channels", (1, 6, 6), Argmax(2))
        yield _case("rank_1", (9,), Argmax(0))
        yield _case("last_of_many", (1, 300), Argmax(1))
        tie = np.array([[-3, 7, 7, -128, 7, -128]], np.int8)
        yield _case("first_of_equal", (1, 6), Argmax(1), inputs=((tie,),))
        yield _case("first_of_equal_least", (1, 6), Argmax(1, of_least=True), inputs=((tie,),))


def _case(
    name: str, shape: Shape, attributes: Argmax, *, inputs: tuple[tuple[Array, ...], ...] = ()
) -> Case:
    rising = np.resize(np.arange(-128, 128), shape).astype(np.int8)
    graph = case_graph(
        "argmax",
        inputs=[Tensor("x", shape, "int8", Quantization(0.05, -3))],
        output=Tensor("y", OPERATOR.output_shape(attributes, [shape]), "int32"),
        attributes=attributes,
        arithmetic=ArgmaxArithmetic(),
        name=name,
    )
    return Case(name, graph, (*inputs, (rising,), (-1 - rising,)))


OPERATOR = ArgmaxOperator()
