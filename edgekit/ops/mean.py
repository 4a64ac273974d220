# SPDX-License-Identifier: Apache-2.0
"""Mean over adjacent axes (height and width of a map), requantized to the output's scale."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.arith import INT32_MAX, quantize_multiplier, requantize
from edgekit.ir import Array, Call, Quantization, Shape, Tensor
from edgekit.kernel import BY_ROW, Binding, CStruct, CValue, Features, Kernel, input_rows
from edgekit.layout import map_size
from edgekit.ops._accumulating import accumulating_twin
from edgekit.ops._accumulators import count_bound
from edgekit.ops._channel_groups import grouped
from edgekit.ops._elementwise import verify_one_type
from edgekit.ops._int16 import int16_twin
from edgekit.ops._int16_cases import int16_cases
from edgekit.ops._operator import Case, Operator, Quantized, case_graph
from edgekit.ops._tuned import tuned_twin
from edgekit.window import Axis, RowMap

MAX_COUNT = {"int16": 2**16 - 1}
"""An int32 holds the sum of this many values minus their zero point; of other types 2^23 - 1."""


@dataclass(frozen=True)
class Mean:
    """The axes to average over, adjacent and ascending, without the batch axis."""

    axes: tuple[int, ...]
    keep_dims: bool


@dataclass(frozen=True)
class MeanArithmetic:
    """``multiplier`` and ``shift`` are those of input scale / output scale."""

    multiplier: int
    shift: int
    input_zero_point: int
    output_zero_point: int


@dataclass(frozen=True)
class Extents:
    """The input seen as (outer, count, inner): ``count`` elements become one."""

    outer: int
    count: int
    inner: int


def extents(call: Call) -> Extents:
    """The three-dimensional view of the input of a call."""
    axes, shape = call.node.attributes.axes, call.inputs[0].shape
    return Extents(
        math.prod(shape[: axes[0]]),
        math.prod(shape[axis] for axis in axes),
        math.prod(shape[axes[-1] + 1 :]),
    )


_BLOCK = 16
"""BLOCK of ek_mean_columns.c."""


def reduction_features(call: Call) -> Features:
    """Elements, those that are left of them, and the lines that lie side by side in memory."""
    view = extents(call)
    return {
        "layers": 1,
        "views": view.outer,
        "lines": view.outer * view.count,
        "inputs": call.inputs[0].elements,
        "outputs": call.output.elements,
    }


def fold_count(arithmetic: MeanArithmetic, count: int) -> tuple[int, int]:
    """(multiplier, shift) of scale / count, as TensorFlow Lite's QuantizedMeanOrSum folds it.

    The quotient is truncated, after as many extra bits as fit: this rounds unlike an exact 1/count.
    """
    bits = min(count.bit_length() - 1, 32, 31 + arithmetic.shift)
    return (arithmetic.multiplier << bits) // count, arithmetic.shift - bits


def keeps_rows(call: Call) -> bool:
    """Whether every output row depends on the input row at its place alone."""
    view, height = extents(call), map_size(call.inputs[0].shape)[0]
    kept = (height, view.outer // height, view.inner)
    return view.outer % height == 0 and map_size(call.output.shape) == kept


def refuse_rows(call: Call) -> str | None:
    """Why a mean or sum is not one row after the other, or None."""
    return None if keeps_rows(call) else "its output rows need more than one input row"


def refuse_parts(call: Call) -> str | None:
    """Why a mean or sum cannot take its input part by part, or None."""
    return None if extents(call).outer == 1 else "it does not reduce the height"


def parts_members(call: Call, binding: Binding) -> dict[str, CValue]:
    """The extents of one part of the input: the kernel is called ``outer`` times."""
    rows, count = input_rows(call, binding), extents(call).count
    assert count % rows == 0, f"{call.node}: {count} elements are not {rows} equal parts"
    return {"outer": rows, "count": count // rows}


def _pack_ref(call: Call, binding: Binding) -> CStruct:
    arithmetic: MeanArithmetic = call.node.arithmetic
    view = extents(call)
    multiplier, shift = fold_count(arithmetic, view.count)
    return CStruct(
        "ek_mean_s8",
        {
            "outer": view.outer,
            "count": view.count,
            "inner": view.inner,
            "multiplier": multiplier,
            "shift": shift,
            "input_zero_point": arithmetic.input_zero_point,
            "output_zero_point": arithmetic.output_zero_point,
        },
    )


REF = Kernel(
    symbol="ek_mean_s8__ref",
    isa="ref",
    kind="map",
    pack=_pack_ref,
    features=reduction_features,
    stack_bytes=128,
)


def _tuned_features(call: Call) -> Features:
    """By groups of the channels that lie side by side: those of whole views, and of their lines."""
    view = extents(call)
    return {
        "layers": 1,
        "views": view.outer,
        "blocks": view.outer * -(-view.inner // _BLOCK),
        "outputs": call.output.elements,
        **grouped(view.inner, {"views": view.outer, "lines": view.outer * view.count}),
    }


TUNED = tuned_twin(REF, stack_bytes=336, features=_tuned_features)

REF_ROWS = dataclasses.replace(
    REF,
    symbol="ek_mean_s8__ref_rows",
    kind="rows",
    costs_as=REF.symbol,
    accepts=refuse_rows,
    write_behind=BY_ROW,
)
TUNED_ROWS = dataclasses.replace(
    tuned_twin(REF_ROWS, stack_bytes=336, features=_tuned_features), costs_as=TUNED.symbol
)
REF_ACCUMULATING = accumulating_twin(
    REF, state_bytes=4, accepts=refuse_parts, members=parts_members
)
TUNED_ACCUMULATING = accumulating_twin(
    TUNED, state_bytes=4, accepts=refuse_parts, members=parts_members, stack_bytes=192
)

_ZERO_POINTS = ("input_zero_point", "output_zero_point")
S16 = int16_twin(REF, "ek_mean_s16__ref", without=_ZERO_POINTS)
S16_ROWS = dataclasses.replace(
    int16_twin(REF_ROWS, "ek_mean_s16__ref_rows", without=_ZERO_POINTS), costs_as=S16.symbol
)
S16_ACCUMULATING = accumulating_twin(
    S16, state_bytes=4, accepts=refuse_parts, members=parts_members
)


class MeanOperator(Operator):
    name = "mean"
    attributes = Mean
    arithmetic = MeanArithmetic
    kernels = (
        *(TUNED, TUNED_ROWS, TUNED_ACCUMULATING, REF, REF_ROWS, REF_ACCUMULATING),
        *(S16, S16_ROWS, S16_ACCUMULATING),
    )

    def output_shape(self, attributes: Mean, inputs: Sequence[Shape]) -> Shape:
        kept = 1 if attributes.keep_dims else 0
        shape = inputs[0]
        return tuple(
            1 if axis in attributes.axes else size
            for axis, size in enumerate(shape)
            if kept or axis not in attributes.axes
        )

    def verify(self, call: Call) -> None:
        axes, shape = call.node.attributes.axes, call.inputs[0].shape
        if not axes or axes[0] < 1 or axes[-1] >= len(shape):
            raise call.fail(f"axes {axes} of shape {shape}: average over 1 to {len(shape) - 1}")
        if axes != tuple(range(axes[0], axes[0] + len(axes))):
            raise call.fail(f"axes {axes} must be adjacent and ascending; use one mean for each")
        most = MAX_COUNT.get(call.output.dtype, 2**23 - 1)
        if (count := extents(call).count) > most:
            raise call.fail(f"it averages {count} elements; more than {most} overflow")
        verify_one_type(call)
        if (arithmetic := call.node.arithmetic) is None:
            return
        if not 0 <= arithmetic.multiplier <= INT32_MAX or not -31 <= arithmetic.shift <= 30:
            raise call.fail("its multiplier or shift is out of range")

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        arithmetic: MeanArithmetic = call.node.arithmetic
        view = extents(call)
        x = inputs[0].reshape(view.outer, view.count, view.inner).astype(np.int64)
        multiplier, shift = fold_count(arithmetic, view.count)
        limits = np.iinfo(call.output.dtype)
        means = requantize(
            x.sum(axis=1) - view.count * arithmetic.input_zero_point,
            multiplier,
            shift,
            zero_point=arithmetic.output_zero_point,
            minimum=int(limits.min),
            maximum=int(limits.max),
        )
        return means.astype(call.output.dtype).reshape(call.output.shape)

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        means: Array = inputs[0].mean(axis=call.node.attributes.axes, dtype=np.float32)
        return means.reshape(call.output.shape)

    def quantize(self, call: Call) -> Quantized:
        source, result = call.inputs[0].quantization, call.output.quantization
        assert source is not None and result is not None
        multiplier, shift = quantize_multiplier(source.scale / result.scale)
        return Quantized(MeanArithmetic(multiplier, shift, source.zero_point, result.zero_point))

    def accumulator_bound(self, call: Call) -> int:
        return count_bound(call, extents(call).count, call.node.arithmetic.input_zero_point)

    def row_map(self, call: Call) -> RowMap | None:
        return Axis(1) if keeps_rows(call) else None

    def cases(self) -> Iterator[Case]:
        yield from self._int8_cases()
        yield from int16_cases(self._int8_cases())

    def _int8_cases(self) -> Iterator[Case]:
        yield _case("height_and_width", (1, 5, 7, 6), Mean((1, 2), keep_dims=False))
        yield _case("keep_dims", (1, 4, 4, 8), Mean((1, 2), keep_dims=True))
        yield _case("height_only", (1, 6, 5, 3), Mean((1,), keep_dims=False))
        yield _case("width_only", (1, 6, 5, 3), Mean((2,), keep_dims=True))
        yield _case("channels_of_every_pixel", (1, 4, 5, 7), Mean((3,), keep_dims=True))
        yield _case("rank_3", (1, 9, 7), Mean((1,), keep_dims=False))
        yield _case("more_than_16_bits_hold", (1, 20, 26, 13), Mean((1, 2), keep_dims=False))
        yield _case("one_pixel", (1, 1, 1, 5), Mean((1, 2), keep_dims=False))
        yield _case("one_channel", (1, 8, 8, 1), Mean((1, 2), keep_dims=False))
        saturating = MeanArithmetic(2**30 + 12345, 4, -11, 3)
        yield _case("saturates_both_ends", (1, 3, 3, 4), Mean((1, 2), False), saturating)
        yield _case("saturates_in_every_row", (1, 3, 3, 4), Mean((2,), True), saturating)
        tiny = MeanArithmetic(2**30 + 1, -29, -11, 3)
        yield _case("fold_limited_by_the_shift", (1, 5, 5, 2), Mean((1, 2), False), tiny)
        yield _case(
            "end_of_int32",
            (1, 4, 5, 8),
            Mean((1,), True),
            MeanArithmetic(INT32_MAX, 29, 28, -52),
            inputs=((np.full((1, 4, 5, 8), 24, np.int8),),),  # scaled: 1 - 2^31
        )
        yield _tie_case(2)
        yield _tie_case(4)


def _case(
    name: str,
    shape: Shape,
    attributes: Mean,
    arithmetic: MeanArithmetic = MeanArithmetic(1518500250, 0, -11, 3),
    *,
    inputs: tuple[tuple[Array, ...], ...] = (),
) -> Case:
    graph = case_graph(
        "mean",
        inputs=[Tensor("x", shape, "int8", Quantization(0.05, arithmetic.input_zero_point))],
        output=Tensor(
            "y",
            OPERATOR.output_shape(attributes, [shape]),
            "int8",
            Quantization(0.07, arithmetic.output_zero_point),
        ),
        attributes=attributes,
        arithmetic=arithmetic,
        name=name,
    )
    return Case(name, graph, inputs)


def _tie_case(count: int) -> Case:
    """Means of ``count`` elements that end in exactly one half, for every int8 value."""
    pixels = np.repeat(np.arange(-128, 127), count).reshape(-1, count)
    pixels[:, : count // 2] += 1
    x = pixels.T.astype(np.int8).reshape(1, count, 1, -1)
    exact = MeanArithmetic(2**30, 1, 0, 0)
    return _case(
        f"rounding_ties_of_{count}", x.shape, Mean((1, 2), False), exact, inputs=((x,), (-1 - x,))
    )


OPERATOR: MeanOperator = MeanOperator()
