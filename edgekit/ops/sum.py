# SPDX-License-Identifier: Apache-2.0
"""Sum over adjacent axes of a map, requantized once to the output's scale.

TensorFlow Lite computes its int8 SUM in float32 (its reference kernel not at all: tflite-runtime 2.14
returns what was in memory). Here it is integers only, with one rounding, so it may differ by one
step where the real value lies near a half.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.arith import quantize_multiplier, requantize
from edgekit.ir import Array, Call, Quantization, Shape, Tensor
from edgekit.kernel import Binding, CStruct
from edgekit.ops import mean
from edgekit.ops._accumulating import accumulating_twin
from edgekit.ops._accumulators import count_bound
from edgekit.ops._elementwise import verify_output_range, verify_rank, verify_scale
from edgekit.ops._operator import Case, Operator, Quantized, case_graph
from edgekit.ops.mean import extents, keeps_rows, parts_members, refuse_parts
from edgekit.window import Axis, RowMap

MAX_COUNT = 2**23 - 1
"""An int32 holds the sum of this many int8 values minus their zero point."""


@dataclass(frozen=True)
class Sum:
    """The axes to add up, adjacent and ascending, without the batch axis."""

    axes: tuple[int, ...]
    keep_dims: bool = False


@dataclass(frozen=True)
class SumArithmetic:
    """``multiplier`` and ``shift`` are those of input scale / output scale."""

    multiplier: int
    shift: int
    input_zero_point: int
    output_zero_point: int


def _pack_ref(call: Call, binding: Binding) -> CStruct:
    arithmetic: SumArithmetic = call.node.arithmetic
    view = extents(call)
    return CStruct(
        "ek_mean_s8",
        {
            "outer": view.outer,
            "count": view.count,
            "inner": view.inner,
            "multiplier": arithmetic.multiplier,
            "shift": arithmetic.shift,
            "input_zero_point": arithmetic.input_zero_point,
            "output_zero_point": arithmetic.output_zero_point,
        },
    )


KERNELS = tuple(
    dataclasses.replace(kernel, pack=_pack_ref)
    for kernel in (mean.TUNED, mean.TUNED_ROWS, mean.REF, mean.REF_ROWS)
)
"""Those of a mean whose factor does not contain 1 / count."""

ACCUMULATING = tuple(
    accumulating_twin(
        kernel,
        state_bytes=4,
        accepts=refuse_parts,
        members=parts_members,
        stack_bytes=accumulating.stack_bytes,
    )
    for kernel, accumulating in (
        (KERNELS[0], mean.TUNED_ACCUMULATING),
        (KERNELS[2], mean.REF_ACCUMULATING),
    )
)


class SumOperator(Operator):
    name = "sum"
    attributes = Sum
    arithmetic = SumArithmetic
    kernels = (*KERNELS, *ACCUMULATING)

    def output_shape(self, attributes: Sum, inputs: Sequence[Shape]) -> Shape:
        sizes = [1 if i in attributes.axes else size for i, size in enumerate(inputs[0])]
        kept = attributes.keep_dims
        return tuple(size for i, size in enumerate(sizes) if kept or i not in attributes.axes)

    def verify(self, call: Call) -> None:
        if len(call.inputs) != 1 or not call.activations:
            raise call.fail("it needs one input that is not a constant")
        axes, shape = call.node.attributes.axes, call.inputs[0].shape
        if not axes or axes[0] < 1 or axes[-1] >= len(shape):
            raise call.fail(f"axes {axes} of shape {shape}: add up over 1 to {len(shape) - 1}")
        if axes != tuple(range(axes[0], axes[0] + len(axes))):
            raise call.fail(f"axes {axes} must be adjacent and ascending; use one sum for each")
        if (count := extents(call).count) > MAX_COUNT:
            raise call.fail(f"it adds up {count} elements; more than {MAX_COUNT} overflow")
        expected = "float32" if call.node.arithmetic is None else "int8"
        for tensor in (call.inputs[0], call.output):
            verify_rank(call, tensor)
            if tensor.dtype != expected:
                raise call.fail(f"tensor '{tensor.name}' is {tensor.dtype}; it must be {expected}")
        arithmetic: SumArithmetic | None = call.node.arithmetic
        if arithmetic is not None:
            verify_scale(call, arithmetic.multiplier, arithmetic.shift)
            zero_points = (arithmetic.input_zero_point, arithmetic.output_zero_point)
            verify_output_range(call, zero_points, -128, 127)

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        arithmetic: SumArithmetic = call.node.arithmetic
        view = extents(call)
        x = inputs[0].reshape(view.outer, view.count, view.inner).astype(np.int64)
        sums = requantize(
            x.sum(axis=1) - view.count * arithmetic.input_zero_point,
            arithmetic.multiplier,
            arithmetic.shift,
            zero_point=arithmetic.output_zero_point,
            minimum=-128,
            maximum=127,
        )
        return sums.astype(np.int8).reshape(call.output.shape)

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        sums: Array = inputs[0].sum(axis=call.node.attributes.axes, dtype=np.float64)
        return sums.astype(np.float32).reshape(call.output.shape)

    def quantize(self, call: Call) -> Quantized:
        source, result = call.inputs[0].quantization, call.output.quantization
        assert source is not None and result is not None
        multiplier, shift = quantize_multiplier(source.scale / result.scale)
        return Quantized(SumArithmetic(multiplier, shift, source.zero_point, result.zero_point))

    def accumulator_bound(self, call: Call) -> int:
        return count_bound(call, extents(call).count, call.node.arithmetic.input_zero_point)

    def row_map(self, call: Call) -> RowMap | None:
        return Axis(1) if keeps_rows(call) else None

    def cases(self) -> Iterator[Case]:
        yield _case("height_and_width", (1, 5, 7, 6), Sum((1, 2)))
        yield _case("keep_dims", (1, 4, 4, 8), Sum((1, 2), keep_dims=True))
        yield _case("height_only", (1, 6, 5, 3), Sum((1,)))
        yield _case("width_only", (1, 6, 5, 3), Sum((2,), keep_dims=True))
        yield _case("channels_of_every_pixel", (1, 4, 5, 7), Sum((3,), keep_dims=True))
        yield _case("channels", (1, 6, 5, 3), Sum((3,)))
        yield _case("everything", (1, 6, 5, 3), Sum((1, 2, 3)))
        yield _case("rank_3", (1, 9, 7), Sum((1,)))
        yield _case("one_element", (1, 1, 1, 1), Sum((1, 2)))
        saturating = SumArithmetic(2**30 + 12345, 4, -11, 3)
        yield _case("saturates_both_ends", (1, 3, 3, 4), Sum((1, 2)), saturating)
        yield _case("saturates_in_every_row", (1, 3, 3, 4), Sum((2,), True), saturating)
        vanishing = SumArithmetic(0, 0, -11, 3)
        yield _case("scale_vanishes", (1, 5, 5, 2), Sum((1, 2)), vanishing)
        halves = SumArithmetic(2**30, -1, 0, 0)  # a quarter
        pixels = np.stack([np.arange(-128, 128), np.zeros(256)]).astype(np.int8)
        x = pixels.reshape(1, 2, 1, 256)
        yield _case("rounding_ties", x.shape, Sum((1, 2)), halves, inputs=((x,), (-1 - x,)))


def _case(
    name: str,
    shape: Shape,
    attributes: Sum,
    arithmetic: SumArithmetic = SumArithmetic(1518500250, -3, -11, 3),
    *,
    inputs: tuple[tuple[Array, ...], ...] = (),
) -> Case:
    quantization = Quantization(0.05, 0)  # the kernel sees the zero points of the arithmetic only
    graph = case_graph(
        "sum",
        inputs=[Tensor("x", shape, "int8", quantization)],
        output=Tensor("y", OPERATOR.output_shape(attributes, [shape]), "int8", quantization),
        attributes=attributes,
        arithmetic=arithmetic,
        name=name,
    )
    return Case(name, graph, inputs)


OPERATOR = SumOperator()
