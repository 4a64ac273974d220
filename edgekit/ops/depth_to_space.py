# SPDX-License-Identifier: Apache-2.0
"""Channels become blocks of pixels: DEPTH_TO_SPACE, and pixel shuffle with its own channel order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgekit.ir import Array, Call, Shape
from edgekit.kernel import BY_ROW, Binding, CStruct, Features, Kernel
from edgekit.layout import map_size
from edgekit.ops._blocks import BlockOrder, Blocks, block_members, to_space
from edgekit.ops._int16 import int16_twin
from edgekit.ops._int16_cases import int16_cases
from edgekit.ops._moving import MovingOperator, moving_case, row_table, verify_map
from edgekit.ops._operator import Case
from edgekit.ops._tuned import copied, refuse_strided, tuned_twin
from edgekit.window import RowTable


def _pack_ref(call: Call, binding: Binding) -> CStruct:
    return CStruct(
        "ek_depth_to_space_s8", block_members(call.node.attributes, call.output.shape[3])
    )


REF = Kernel(
    symbol="ek_depth_to_space_s8__ref",
    isa="ref",
    kind="rows",
    pack=_pack_ref,
    write_behind=BY_ROW,
    stack_bytes=128,
)


def _copied(call: Call) -> Features:
    """The channels of every pixel."""
    height, width, channels = map_size(call.output.shape)
    return copied(call, bytes_each=channels, copies=height * width)


TUNED = tuned_twin(REF, features=_copied, stack_bytes=96, accepts=refuse_strided(REF))
S16 = int16_twin(REF, "ek_depth_to_space_s16__ref")


class DepthToSpaceOperator(MovingOperator):
    name = "depth_to_space"
    attributes = Blocks
    kernels = (TUNED, REF, S16)

    def output_shape(self, attributes: Blocks, inputs: Sequence[Shape]) -> Shape:
        _, height, width, deep = inputs[0]
        b = attributes.block
        return (1, height * b, width * b, deep // (b * b))

    def verify(self, call: Call) -> None:
        verify_map(call)
        b: int = call.node.attributes.block
        deep = call.inputs[0].shape[3]
        if b < 1 or deep % (b * b):
            raise call.fail(f"{deep} channels are not blocks of {b} x {b}")

    def moved(self, call: Call, x: Array) -> Array:
        return to_space(x, call.node.attributes)

    def row_map(self, call: Call) -> RowTable:
        b: int = call.node.attributes.block
        return row_table(y // b for y in range(call.output.shape[1]))

    def cases(self) -> Iterator[Case]:
        yield from self._int8_cases()
        yield from int16_cases(self._int8_cases())

    def _int8_cases(self) -> Iterator[Case]:
        orders: tuple[BlockOrder, ...] = ("block_major", "channel_major")
        for order in orders:
            yield moving_case(OPERATOR, f"{order}_2", (3, 4, 12), Blocks(2, order))
            yield moving_case(OPERATOR, f"{order}_3_odd_channels", (2, 5, 45), Blocks(3, order))
            yield moving_case(OPERATOR, f"{order}_one_channel", (4, 3, 4), Blocks(2, order))
            yield moving_case(OPERATOR, f"{order}_one_pixel", (1, 1, 32), Blocks(4, order))
            yield moving_case(OPERATOR, f"{order}_block_of_1", (3, 3, 5), Blocks(1, order))


OPERATOR = DepthToSpaceOperator()
