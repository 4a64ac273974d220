# SPDX-License-Identifier: Apache-2.0
"""The contract between operators and C kernels: what a kernel accepts, packs, reads and writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from edgekit.ir import Array, Call
from edgekit.layout import NHWC, Layout, map_size

ELEMENT_TYPES: Mapping[str, str] = {"s8": "int8", "s16": "int16", "s32": "int32"}
"""The words for element types in the names of kernels."""


@dataclass(frozen=True, eq=False)
class CStruct:
    """The constant layer struct that a kernel is called with, or a struct inside it.

    ``members`` are the C members by name, in the order of the C type; a numpy array becomes a
    static table of its element type and the member points at it.
    """

    type: str
    members: Mapping[str, CValue]


CValue = int | str | Array | CStruct
"""A member of a layer struct: a number, the name of an enum constant, a table, or a struct."""


@dataclass(frozen=True)
class WriteBehind:
    """How far a kernel has read when it writes, so that its output may overtake a dead input.

    grain: pixels (or elements of an element-wise kernel) that are processed together, or None: a
    whole output row, and every input row that the row's own call needs must survive it.
    buffered: the inputs of a grain are consumed before its outputs are written. by_pixel: no element
    of an input is read for another pixel, so their pixels may have other sizes than the output's.
    """

    grain: int | None = None
    buffered: bool = False
    by_pixel: bool = False


BY_ROW = WriteBehind()
BY_ELEMENT = WriteBehind(grain=1, buffered=True)
BY_PIXEL = WriteBehind(grain=1, buffered=True, by_pixel=True)


@dataclass(frozen=True)
class Binding:
    """The layouts that lowering chose for the activations of a call, and the flat view.

    A flat call sees its maps as one row of height * width pixels.

    rows: the equal parts in which the input of an accumulating kernel arrives, one for each call,
        where they are not the rows of its map: a classifier's flat input is a map row by row.
    """

    inputs: tuple[Layout, ...]
    output: Layout = NHWC
    flat: bool = False
    rows: int | None = None


def input_rows(call: Call, binding: Binding) -> int:
    """How many calls an accumulating kernel gets: one for each row of its input."""
    return binding.rows or map_size(call.activations[0].shape)[0]


def _accept_all(call: Call) -> str | None:
    return None


def _no_scratch(call: Call, binding: Binding) -> int:
    return 0


def no_channel_blocks(call: Call) -> int:
    """The kernel always computes all channels."""
    return 0


def _reads_nhwc(call: Call) -> tuple[Layout, ...]:
    return tuple(NHWC for _ in call.activations)


Features = Mapping[str, float]
"""What a kernel's instructions are a sum over: counts by name, each with a coefficient (costs.py)."""


def plain_features(call: Call) -> Features:
    """Of most kernels: the layer, its rows and pixels, the elements that it reads and writes."""
    height, width, _ = map_size(call.output.shape)
    return {
        "layers": 1,
        "rows": height,
        "pixels": height * width,
        "inputs": sum(tensor.elements for tensor in call.activations),
        "outputs": call.output.elements,
    }


PLACES = frozenset({"layers", "rows", "pixels"})
"""The counts of ``plain_features`` of which every block of channels has all."""


def flat_features(call: Call) -> Features:
    """Of kernels to which a map may be one long row, unless an operand spans one axis of it only.

    Where an operand is repeated, the pixels are apart; one channel may be spread over all.
    """
    height, width, channels = map_size(call.output.shape)
    spans = {map_size(tensor.shape)[:2] for tensor in call.activations}
    is_repeated = any(map_size(t.shape) != (height, width, channels) for t in call.inputs)
    is_spread = channels > 1 and any(map_size(t.shape)[2] == 1 for t in call.inputs)
    return {
        "calls": 1 if spans <= {(height, width), (1, 1)} else height,
        "apart": height * width * is_repeated,
        "spread": call.output.elements * is_spread,
        "outputs": call.output.elements,
    }


def vector_features(call: Call) -> Features:
    """Of kernels that normalize the elements along the last axis together."""
    outputs = call.output.elements
    return {
        "rows": map_size(call.output.shape)[0],
        "vectors": outputs // call.output.shape[-1],
        "outputs": outputs,
    }


def no_lanes(call: Call) -> int | None:
    """For kernels whose sums have registers of their own."""
    return None


@dataclass(frozen=True, eq=False)
class Kernel:
    """One C function of ``runtime_c`` and what Python must know to use it.

    symbol: ek_<op>_<dtype>[_<layout>]__<isa>[_<blocking>]; also the name of its .c file.
    kind: "rows" kernels compute columns of one output row from row pointers, "map" kernels a whole
        output (runtime_c/ek_kernel.h has both signatures).
    pack: the layer struct with packed weights.
    accepts: None, or the reason why the kernel cannot serve a call (its preconditions).
    scratch_bytes: RAM that a call needs besides its maps.
    input_layouts: the layouts that it reads; ``writes`` are the layouts it can write.
    needs_padding_row: rows of padding must point at real bytes of zero point; else NULL marks them.
    write_behind: how its output may overlap a dead input; None when it may not.
    flat: pixels are independent, so a map may be seen as one long row.
    channel_blocks: 0, or the number of which the first channel of a block must be a multiple.
        A channelwise kernel (depthwise, pooling) then finds only the block's channels in its input
        rows and writes them between those of the other blocks; any other kernel reads all
        channels and writes only those of the block, side by side.
    accumulates: it is called once for every input row, top to bottom, with that row alone; scratch
        keeps its sums from the first call to the last one, which completes the output.
    lane_bound: what the sums that share a register with others can reach at most (packed lanes), None
        where none do.
    features: the counts of one whole layer of which its instructions are a weighted sum.
    shared: those of them that every block of channels of a row has again (channel_blocks).
    costs_as: the kernel whose coefficients are its own: one with the same loops.
    stack_bytes: upper bound of its stack frame and of what it calls, over all targets.
    """

    symbol: str
    isa: str
    kind: Literal["rows", "map"]
    pack: Callable[[Call, Binding], CStruct]
    accepts: Callable[[Call], str | None] = _accept_all
    scratch_bytes: Callable[[Call, Binding], int] = _no_scratch
    input_layouts: Callable[[Call], tuple[Layout, ...]] = _reads_nhwc
    writes: tuple[Literal["nhwc", "row_planar"], ...] = ("nhwc",)
    needs_padding_row: bool = False
    write_behind: WriteBehind | None = None
    flat: bool = False
    channel_blocks: Callable[[Call], int] = no_channel_blocks
    accumulates: bool = False
    lane_bound: Callable[[Call], int | None] = no_lanes
    features: Callable[[Call], Features] = plain_features
    shared: frozenset[str] = PLACES
    costs_as: str | None = None
    stack_bytes: int = 256

    @property
    def header(self) -> str:
        """The header that declares the kernel and its layer struct."""
        return self.symbol.split("__")[0] + ".h"

    @property
    def element_types(self) -> tuple[str, ...]:
        """The types in the symbol: that of the activations, and that of the output if it differs."""
        words = self.symbol.split("__")[0].split("_")
        return tuple(ELEMENT_TYPES[word] for word in words if word in ELEMENT_TYPES)

    def refusal(self, call: Call) -> str | None:
        """Why the kernel cannot serve a call, or None: first the types, then its preconditions."""
        source, result = call.activations[0].dtype, call.output.dtype
        types = self.element_types
        if source != types[0] or result not in (types[-1], "int32"):
            return f"no kernel computes {result} from {source}"
        return self.accepts(call)
