# SPDX-License-Identifier: Apache-2.0
"""Blocks of pixels become channels: SPACE_TO_DEPTH, and pixel unshuffle with its own order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgekit.ir import Array, Call, Shape
from edgekit.kernel import BY_ROW, Binding, CStruct, Features, Kernel
from edgekit.layout import map_size
from edgekit.ops._blocks import BlockOrder, Blocks, block_members, to_depth
from edgekit.ops._int16 import int16_twin
from edgekit.ops._int16_cases import int16_cases
from edgekit.ops._moving import MovingOperator, moving_case, verify_map
from edgekit.ops._operator import Case
from edgekit.ops._tuned import copied, refuse_strided, tuned_twin
from edgekit.window import Axis, Window


def _pack_ref(call: Call, binding: Binding) -> CStruct:
    members = block_members(call.node.attributes, call.inputs[0].shape[3])
    return CStruct("ek_space_to_depth_s8", members)


REF = Kernel(
    symbol="ek_space_to_depth_s8__ref",
    isa="ref",
    kind="rows",
    pack=_pack_ref,
    write_behind=BY_ROW,
    stack_bytes=128,
)


def _copied(call: Call) -> Features:
    """Runs of one input row."""
    height, width, channels = map_size(call.output.shape)
    return copied(
        call,
        bytes_each=channels // call.node.attributes.block,
        copies=height * width * call.node.attributes.block,
    )


TUNED = tuned_twin(REF, features=_copied, stack_bytes=96, accepts=refuse_strided(REF))
S16 = int16_twin(REF, "ek_space_to_depth_s16__ref")


class SpaceToDepthOperator(MovingOperator):
    name = "space_to_depth"
    attributes = Blocks
    kernels = (TUNED, REF, S16)

    def output_shape(self, attributes: Blocks, inputs: Sequence[Shape]) -> Shape:
        _, height, width, channels = inputs[0]
        b = attributes.block
        return (1, height // b, width // b, b * b * channels)

    def verify(self, call: Call) -> None:
        verify_map(call)
        b: int = call.node.attributes.block
        _, height, width, _ = call.inputs[0].shape
        if b < 1 or height % b or width % b:
            raise call.fail(f"a map of {height} x {width} does not divide into {b} x {b} blocks")

    def moved(self, call: Call, x: Array) -> Array:
        return to_depth(x, call.node.attributes)

    def window(self, call: Call) -> Window:
        b: int = call.node.attributes.block
        return Window(Axis(b, b), Axis(b, b))

    def cases(self) -> Iterator[Case]:
        yield from self._int8_cases()
        yield from int16_cases(self._int8_cases())

    def _int8_cases(self) -> Iterator[Case]:
        orders: tuple[BlockOrder, ...] = ("block_major", "channel_major")
        for order in orders:
            yield moving_case(OPERATOR, f"{order}_2", (6, 8, 3), Blocks(2, order))
            yield moving_case(OPERATOR, f"{order}_3_odd_channels", (6, 9, 5), Blocks(3, order))
            yield moving_case(OPERATOR, f"{order}_one_channel", (4, 6, 1), Blocks(2, order))
            yield moving_case(OPERATOR, f"{order}_one_block", (4, 4, 2), Blocks(4, order))
            yield moving_case(OPERATOR, f"{order}_block_of_1", (3, 3, 5), Blocks(1, order))


OPERATOR = SpaceToDepthOperator()
