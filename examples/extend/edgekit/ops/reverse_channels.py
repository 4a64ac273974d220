# SPDX-License-Identifier: Apache-2.0
"""The channels of a map in reverse order, as from BGR to RGB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.ir import Array, Call, Shape
from edgekit.kernel import Binding, CStruct, Kernel, WriteBehind, flat_features
from edgekit.ops._moving import MovingOperator, moving_case, verify_map
from edgekit.ops._operator import Case
from edgekit.window import Axis, Window


@dataclass(frozen=True)
class ReverseChannels:
    """Nothing to choose: the shape says it all."""


def pack(call: Call, binding: Binding) -> CStruct:
    """The layer struct of every kernel of this operator."""
    return CStruct("ek_reverse_channels_s8", {"channels": call.output.shape[3]})


REF = Kernel(
    symbol="ek_reverse_channels_s8__ref",
    isa="ref",
    kind="rows",
    pack=pack,
    write_behind=WriteBehind(grain=1),
    flat=True,
    features=flat_features,
    stack_bytes=64,
)


class ReverseChannelsOperator(MovingOperator):
    name = "reverse_channels"
    attributes = ReverseChannels
    kernels: tuple[Kernel, ...] = (REF,)

    def output_shape(self, attributes: ReverseChannels, inputs: Sequence[Shape]) -> Shape:
        return inputs[0]

    def verify(self, call: Call) -> None:
        verify_map(call)

    def moved(self, call: Call, x: Array) -> Array:
        return np.ascontiguousarray(x[..., ::-1])

    def window(self, call: Call) -> Window:
        return Window(Axis(1), Axis(1))

    def cases(self) -> Iterator[Case]:
        for name, shape in (
            ("bgr", (5, 7, 3)),
            ("one_channel", (2, 3, 1)),
            ("even_channels", (3, 3, 8)),
            ("one_pixel", (1, 1, 5)),
        ):
            yield moving_case(self, name, shape, ReverseChannels())


OPERATOR: ReverseChannelsOperator = ReverseChannelsOperator()
