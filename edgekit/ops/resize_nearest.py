# SPDX-License-Identifier: Apache-2.0
"""Resizing by repeating or dropping whole rows and columns: nearest neighbour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.ir import Array, Call, Shape
from edgekit.kernel import BY_ROW, Binding, CStruct, Features, Kernel
from edgekit.layout import map_size
from edgekit.ops._int16 import int16_twin
from edgekit.ops._int16_cases import int16_cases
from edgekit.ops._moving import MAX_TABLE, MovingOperator, moving_case, row_table, verify_map
from edgekit.ops._operator import Case
from edgekit.ops._tuned import copied, tuned_twin
from edgekit.window import RowTable


@dataclass(frozen=True)
class ResizeNearest:
    """The input row of every output row, and the same for columns.

    Which input is nearest depends on the source: TensorFlow Lite and PyTorch compute it in float32,
    with different rounding, so the importers write down the result.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]


def _pack_ref(call: Call, binding: Binding) -> CStruct:
    attributes: ResizeNearest = call.node.attributes
    return CStruct(
        "ek_resize_nearest_s8",
        {
            "columns": np.array(attributes.columns, np.uint16),
            "channels": call.output.shape[3],
        },
    )


REF = Kernel(
    symbol="ek_resize_nearest_s8__ref",
    isa="ref",
    kind="rows",
    pack=_pack_ref,
    write_behind=BY_ROW,
    stack_bytes=64,
)


def _copied(call: Call) -> Features:
    """The channels of every pixel."""
    height, width, channels = map_size(call.output.shape)
    return copied(call, bytes_each=channels, copies=height * width)


TUNED = tuned_twin(REF, features=_copied, stack_bytes=96)
S16 = int16_twin(REF, "ek_resize_nearest_s16__ref")


class ResizeNearestOperator(MovingOperator):
    name = "resize_nearest"
    attributes = ResizeNearest
    kernels = (TUNED, REF, S16)

    def output_shape(self, attributes: ResizeNearest, inputs: Sequence[Shape]) -> Shape:
        return (1, len(attributes.rows), len(attributes.columns), inputs[0][3])

    def verify(self, call: Call) -> None:
        verify_map(call)
        attributes: ResizeNearest = call.node.attributes
        tables = (("row", attributes.rows), ("column", attributes.columns))
        for (label, table), size in zip(tables, call.inputs[0].shape[1:3], strict=True):
            if not 1 <= len(table) <= MAX_TABLE or size > MAX_TABLE:
                raise call.fail(
                    f"{size} {label}s become {len(table)}; both must be between 1 and {MAX_TABLE}"
                )
            if min(table) < 0 or max(table) >= size:
                raise call.fail(f"it reads {label} {max(table)}; the input has {size}")

    def moved(self, call: Call, x: Array) -> Array:
        attributes: ResizeNearest = call.node.attributes
        return x[:, list(attributes.rows)][:, :, list(attributes.columns)]

    def row_map(self, call: Call) -> RowTable:
        return row_table(call.node.attributes.rows)

    def cases(self) -> Iterator[Case]:
        yield from self._int8_cases()
        yield from int16_cases(self._int8_cases())

    def _int8_cases(self) -> Iterator[Case]:
        def case(
            name: str,
            shape: tuple[int, int, int],
            rows: Sequence[int],
            columns: Sequence[int],
        ) -> Case:
            return moving_case(OPERATOR, name, shape, ResizeNearest(tuple(rows), tuple(columns)))

        yield case("twice", (3, 4, 5), [0, 0, 1, 1, 2, 2], [0, 1, 2, 3])
        yield case("both_axes_odd_channels", (2, 3, 3), [0, 0, 1, 1, 1], [0, 1, 1, 2, 2])
        yield case("smaller", (7, 6, 4), [0, 3, 6], [1, 4])
        yield case("out_of_order", (3, 3, 2), [2, 0, 1, 0], [2, 0, 1])
        yield case("one_pixel_repeated", (1, 1, 7), [0] * 4, [0] * 3)
        yield case("one_pixel_taken", (5, 5, 1), [2], [4])
        yield case("last_row_and_column", (3, 3, 2), [2, 2, 2], [2, 2])
        yield case("identity", (3, 2, 5), [0, 1, 2], [0, 1])
        yield case("wide_map", (1, 300, 1), [0], list(range(299, -1, -1)))


OPERATOR = ResizeNearestOperator()
