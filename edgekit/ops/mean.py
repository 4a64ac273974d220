# SPDX-License-Identifier: Apache-2.0
"""Mean over adjacent axes (height and width of a map), requantized to the output's scale."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.arith import INT32_MAX, quantize_multiplier, requantize
from edgekit.ir import Array, Call, Quantization, Shape, Tensor
from edgekit.kernel import Binding, CStruct, Kernel
from edgekit.ops._elementwise import verify_one_type
from edgekit.ops._int16 import int16_twin
from edgekit.ops._int16_cases import int16_cases
from edgekit.ops._operator import Case, Operator, Quantized, case_graph

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


def fold_count(arithmetic: MeanArithmetic, count: int) -> tuple[int, int]:
    """(multiplier, shift) of scale / count, as TensorFlow Lite's QuantizedMeanOrSum folds it.

    The quotient is truncated, after as many extra bits as fit: this rounds unlike an exact 1/count.
    """
    bits = min(count.bit_length() - 1, 32, 31 + arithmetic.shift)
    return (arithmetic.multiplier << bits) // count, arithmetic.shift - bits


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
    instructions=lambda call: 5.0 * call.inputs[0].elements + 30.0 * call.output.elements,
    stack_bytes=128,
)


S16 = int16_twin(REF, "ek_mean_s16__ref", without=("input_zero_point", "output_zero_point"))


class MeanOperator(Operator):
    name = "mean"
    attributes = Mean
    arithmetic = MeanArithmetic
    kernels = (REF, S16)

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

    def cases(self) -> Iterator[Case]:
        yield from self._int8_cases()
        yield from int16_cases(self._int8_cases())

    def _int8_cases(self) -> Iterator[Case]:
        yield _case("height_and_width", (1, 5, 7, 6), Mean((1, 2), keep_dims=False))
        yield _case("keep_dims", (1, 4, 4, 8), Mean((1, 2), keep_dims=True))
        yield _case("height_only", (1, 6, 5, 3), Mean((1,), keep_dims=False))
        yield _case("width_only", (1, 6, 5, 3), Mean((2,), keep_dims=True))
        yield _case("rank_3", (1, 9, 7), Mean((1,), keep_dims=False))
        yield _case("one_pixel", (1, 1, 1, 5), Mean((1, 2), keep_dims=False))
        yield _case("one_channel", (1, 8, 8, 1), Mean((1, 2), keep_dims=False))
        saturating = MeanArithmetic(2**30 + 12345, 4, -11, 3)
        yield _case("saturates_both_ends", (1, 3, 3, 4), Mean((1, 2), False), saturating)
        tiny = MeanArithmetic(2**30 + 1, -29, -11, 3)
        yield _case("fold_limited_by_the_shift", (1, 5, 5, 2), Mean((1, 2), False), tiny)
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
