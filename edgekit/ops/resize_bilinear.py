# SPDX-License-Identifier: Apache-2.0
"""Resizing by linear interpolation between the two nearest rows and columns.

The integer definition is TensorFlow Lite's: positions in 1024ths of a pixel, one sum of four taps,
divided by 2^20 with halves away from zero. Positions below the first or above the last pixel read
that pixel, so they are stored clamped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.ir import Array, Call, Quantization, Shape, Tensor
from edgekit.kernel import BY_ROW, Binding, CStruct, Kernel
from edgekit.ops._int16 import int16_twin
from edgekit.ops._int16_cases import int16_cases
from edgekit.ops._moving import MAX_TABLE, verify_map
from edgekit.ops._operator import Case, Operator, Quantized, case_graph
from edgekit.window import RowTable

ONE = 1024
"""A whole pixel in the units of the integer positions."""


@dataclass(frozen=True)
class ResizeAxis:
    """Output o of ``size`` lies at input o * scale + offset."""

    size: int
    scale: float
    offset: float = 0.0

    def positions(self, input_size: int) -> Array:
        """Inputs, float64 (size,), inside [0, input_size - 1]."""
        places = np.arange(self.size, dtype=np.float64) * self.scale + self.offset
        return np.clip(places, 0.0, input_size - 1)


@dataclass(frozen=True)
class ResizeBilinear:
    """Where the rows and columns of the output lie in the input."""

    height: ResizeAxis
    width: ResizeAxis


@dataclass(frozen=True)
class ResizeBilinearArithmetic:
    """The position of every row and column of the output in 1024ths of an input pixel."""

    rows: tuple[int, ...]
    columns: tuple[int, ...]


def _interpolate(x: Array, positions: Array, axis: int, one: float) -> Array:
    """Weighted sums (times ``one``) of the two neighbours of every position along an axis."""
    low = (positions // one).astype(np.int64)
    high = np.minimum(low + 1, x.shape[axis] - 1)
    shape = [-1 if i == axis else 1 for i in range(x.ndim)]
    fraction = (positions - low * one).reshape(shape)
    sums: Array = x.take(low, axis) * (one - fraction) + x.take(high, axis) * fraction
    return sums


def _pack_ref(call: Call, binding: Binding) -> CStruct:
    arithmetic: ResizeBilinearArithmetic = call.node.arithmetic
    _, _, input_width, channels = call.inputs[0].shape
    return CStruct(
        "ek_resize_bilinear_s8",
        {
            "row_fractions": (np.array(arithmetic.rows) % ONE).astype(np.uint16),
            "columns": np.array(arithmetic.columns, np.int32),
            "input_width": input_width,
            "channels": channels,
        },
    )


REF = Kernel(
    symbol="ek_resize_bilinear_s8__ref",
    isa="ref",
    kind="rows",
    pack=_pack_ref,
    write_behind=BY_ROW,
    stack_bytes=96,
)
S16 = int16_twin(REF, "ek_resize_bilinear_s16__ref", extra_stack_bytes=96)


class ResizeBilinearOperator(Operator):
    name = "resize_bilinear"
    attributes = ResizeBilinear
    arithmetic = ResizeBilinearArithmetic
    kernels = (REF, S16)

    def output_shape(self, attributes: ResizeBilinear, inputs: Sequence[Shape]) -> Shape:
        return (1, attributes.height.size, attributes.width.size, inputs[0][3])

    def verify(self, call: Call) -> None:
        verify_map(call)
        attributes: ResizeBilinear = call.node.attributes
        for axis, size in zip(
            (attributes.height, attributes.width), call.inputs[0].shape[1:3], strict=True
        ):
            if not 1 <= axis.size <= MAX_TABLE or size > MAX_TABLE:
                raise call.fail(f"{size} pixels become {axis.size}; use 1 to {MAX_TABLE} of both")
        if (arithmetic := call.node.arithmetic) is None:
            return
        for table, axis, size in (
            (arithmetic.rows, attributes.height, call.inputs[0].shape[1]),
            (arithmetic.columns, attributes.width, call.inputs[0].shape[2]),
        ):
            if len(table) != axis.size or min(table) < 0 or max(table) > (size - 1) * ONE:
                raise call.fail(f"its positions are not {axis.size} inside {size} pixels")

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        arithmetic: ResizeBilinearArithmetic = call.node.arithmetic
        rows, columns = (np.array(t, np.int64) for t in (arithmetic.rows, arithmetic.columns))
        x = inputs[0].astype(np.int64)
        sums = _interpolate(_interpolate(x, rows, 1, ONE), columns, 2, ONE)
        means: Array = np.sign(sums) * ((np.abs(sums) + ONE * ONE // 2) // (ONE * ONE))
        return means.astype(call.output.dtype)

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        attributes: ResizeBilinear = call.node.attributes
        _, height, width, _ = call.inputs[0].shape
        x = inputs[0].astype(np.float64)
        tall = _interpolate(x, attributes.height.positions(height), 1, 1.0)
        return _interpolate(tall, attributes.width.positions(width), 2, 1.0).astype(np.float32)

    def quantize(self, call: Call) -> Quantized:
        attributes: ResizeBilinear = call.node.attributes
        _, height, width, _ = call.inputs[0].shape
        rows = np.rint(attributes.height.positions(height) * ONE).astype(int)
        columns = np.rint(attributes.width.positions(width) * ONE).astype(int)
        return Quantized(ResizeBilinearArithmetic(tuple(rows.tolist()), tuple(columns.tolist())))

    def output_quantization(self, call: Call) -> Quantization | None:
        return call.inputs[0].quantization

    def row_map(self, call: Call) -> RowTable | None:
        """The rows above and below; at a whole position the lower one does not count.

        A float node may lie between other rows than its integer twin: it has no map.
        """
        arithmetic: ResizeBilinearArithmetic | None = call.node.arithmetic
        if arithmetic is None:
            return None
        return RowTable(tuple((row // ONE, -(-row // ONE)) for row in arithmetic.rows))

    def cases(self) -> Iterator[Case]:
        yield from self._int8_cases()
        yield from int16_cases(self._int8_cases())

    def _int8_cases(self) -> Iterator[Case]:
        yield _case("twice_half_pixel", (4, 5, 3), (8, 10), half_pixel=True)
        yield _case("align_corners", (4, 5, 3), (7, 13), align_corners=True)
        yield _case("asymmetric", (3, 4, 8), (7, 9))
        yield _case("smaller", (9, 8, 2), (4, 3), half_pixel=True)
        yield _case("one_pixel", (1, 1, 5), (3, 4), half_pixel=True)
        yield _case("to_one_pixel", (5, 4, 5), (1, 1), half_pixel=True)
        yield _case("to_one_pixel_align_corners", (5, 4, 1), (1, 1), align_corners=True)
        yield _case("one_row", (1, 6, 3), (2, 12), half_pixel=True)
        yield _case("identity", (3, 4, 3), (3, 4))
        neighbours = np.stack([np.arange(-128, 127), np.arange(-127, 128)])
        x = neighbours.reshape(1, 1, 2, 255).astype(np.int8)
        yield _case("rounding_ties", (1, 2, 255), (1, 4), half_pixel=False, inputs=((x,), (~x,)))


def resize_axis(
    size: int, input_size: int, *, align_corners: bool, half_pixel: bool, scale: float | None = None
) -> ResizeAxis:
    """The usual ways to lay ``size`` outputs over inputs; ``scale`` is inputs per output, if given."""
    if align_corners:
        return ResizeAxis(size, (input_size - 1) / (size - 1) if size > 1 else 0.0)
    ratio = input_size / size if scale is None else scale
    return ResizeAxis(size, ratio, (ratio - 1.0) / 2.0 if half_pixel else 0.0)


def _case(
    name: str,
    shape: tuple[int, int, int],
    size: tuple[int, int],
    *,
    align_corners: bool = False,
    half_pixel: bool = False,
    inputs: tuple[tuple[Array, ...], ...] = (),
) -> Case:
    axes = [
        resize_axis(o, i, align_corners=align_corners, half_pixel=half_pixel)
        for o, i in zip(size, shape[:2], strict=True)
    ]
    rows, columns = (
        tuple(np.rint(axis.positions(i) * ONE).astype(int).tolist())
        for axis, i in zip(axes, shape[:2], strict=True)
    )
    attributes = ResizeBilinear(*axes)
    quantization = Quantization(0.05, -11)
    x = Tensor("x", (1, *shape), "int8", quantization)
    graph = case_graph(
        "resize_bilinear",
        inputs=[x],
        output=Tensor("y", OPERATOR.output_shape(attributes, [x.shape]), "int8", quantization),
        attributes=attributes,
        arithmetic=ResizeBilinearArithmetic(rows, columns),
        name=name,
    )
    return Case(name, graph, inputs)


OPERATOR: ResizeBilinearOperator = ResizeBilinearOperator()
