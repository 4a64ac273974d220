# SPDX-License-Identifier: Apache-2.0
"""Runs one kernel on the host over whole maps, between guard bytes, and checks what it touches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.ir import Array, Call, Shape, Tensor
from edgekit.kernel import Binding, Kernel
from edgekit.layout import NHWC, Layout, row_planar
from edgekit.ops import Operator, operator_of
from edgekit.window import Axis, RowMap
from support.kernel_library import KernelLibrary

GUARD_BYTES = 64

Block = tuple[int, int]
"""The first channel, and the one behind the last."""


@dataclass(frozen=True)
class Invocation:
    """One way to call a kernel: its operator call, bound layouts and view, blocks of channels."""

    operator: Operator
    kernel: Kernel
    call: Call
    binding: Binding
    blocks: tuple[Block, ...]

    def __str__(self) -> str:
        view = "flat" if self.binding.flat else "by row"
        text = f"{self.kernel.symbol} writing {self.binding.output.kind} {view}"
        return text if len(self.blocks) == 1 else f"{text}, channels {self.blocks}"


def invocations(operator: Operator, kernel: Kernel, call: Call) -> Iterator[Invocation]:
    """Every layout that the kernel writes, the flat view where it has one, whole and in blocks."""
    _, _, channels = map_shape(call.output.shape)
    blocks = uneven_blocks(channels, kernel.channel_blocks(call))
    for binding in _bindings(operator, kernel, call):
        yield Invocation(operator, kernel, call, binding, ((0, channels),))
        if len(blocks) > 1:
            yield Invocation(operator, kernel, call, binding, blocks)


def _bindings(operator: Operator, kernel: Kernel, call: Call) -> Iterator[Binding]:
    inputs = kernel.input_layouts(call)
    for kind in kernel.writes:
        width = map_shape(call.output.shape)[1]
        output = NHWC if kind == "nhwc" else row_planar(width=width, kernel=3, pad_left=1)
        yield Binding(inputs, output)
    if kernel.flat and operator.flattens(call) and all(layout == NHWC for layout in inputs):
        yield Binding(inputs, flat=True)


def uneven_blocks(channels: int, multiple: int) -> tuple[Block, ...]:
    """All channels in up to 3 blocks that begin at multiples of ``multiple``; 0: in one."""
    if multiple == 0:
        return ((0, channels),)
    units = -(-channels // multiple)
    cuts = {0, multiple, multiple * (1 + (units + 1) // 2)}
    begins = sorted(cut for cut in cuts if cut < channels)
    return tuple(zip(begins, [*begins[1:], channels], strict=True))


def row_sources(
    call: Call, heights: Sequence[int], row: int, *, flat: bool
) -> list[tuple[int, int | None]]:
    """(operand, its row or None for padding) of every row pointer; one row alone is repeated."""
    row_map: RowMap = operator_of(call.node).row_map(call) or Axis(1)
    if flat:
        row_map = Axis(1)
    found = row_map.inputs_of(row, max(heights))
    return [
        (operand, None if y is None else min(y, height - 1))
        for operand, height in enumerate(heights)
        for y in found
    ]


def as_map(array: Array, *, flat: bool) -> Array:
    """An array as (height, width, channels), or as one row of pixels."""
    height, width, channels = map_shape(array.shape)
    size = (1, height * width) if flat else (height, width)
    return array.reshape(*size, channels)


def as_bytes(array: Array) -> Array:
    """The memory of an array, as int8."""
    return np.ascontiguousarray(array).reshape(-1).view(np.int8)


class GuardedBytes:
    """Bytes between two guards; all of it starts as noise, and the bytes are 4-byte aligned."""

    def __init__(self, size: int, random: np.random.Generator) -> None:
        self._memory = random.integers(-128, 128, 2 * GUARD_BYTES + size).astype(np.int8)
        self._original = self._memory.copy()
        self._inside = slice(GUARD_BYTES, GUARD_BYTES + size)

    @property
    def data(self) -> Array:
        return self._memory[self._inside]

    def set(self, data: Array) -> None:
        self.data[:] = as_bytes(data)
        self._original[self._inside] = self.data

    def pointer(self, ffi: Any, offset: int = 0) -> Any:
        return ffi.from_buffer("int8_t[]", self._memory) + (GUARD_BYTES + offset)

    def check_guards(self, what: str) -> None:
        outside = np.ones(self._memory.size, bool)
        outside[self._inside] = False
        touched = np.flatnonzero(outside & (self._memory != self._original)) - GUARD_BYTES
        assert not touched.size, f"{what}: byte {touched[0]} of {self.data.size} was written"

    def check_unchanged(self, what: str) -> None:
        touched = np.flatnonzero(self._memory != self._original) - GUARD_BYTES
        assert not touched.size, f"{what}: byte {touched[0]} was changed"


def map_shape(shape: Shape) -> tuple[int, int, int]:
    """(height, width, channels) of any shape; missing dimensions are 1."""
    height = int(np.prod(shape[:-2], dtype=np.int64))
    width, channels = ((1, 1) + shape)[-2:]
    return height, width, channels


class KernelRun:
    """The blocks of one invocation."""

    def __init__(
        self, library: KernelLibrary, invocation: Invocation, operands: Sequence[Array]
    ) -> None:
        self._shape = invocation.call.output.shape
        self._blocks = [
            BlockRun(library, invocation, operands, block) for block in invocation.blocks
        ]

    def output(self, *, split: bool) -> Array:
        """The output, in the shape of its tensor; ``split`` runs each row in two column ranges."""
        maps = [block.output(split=split) for block in self._blocks]
        return np.concatenate(maps, axis=2).reshape(self._shape)


class BlockRun:
    """The memory of one block of channels, and the driver that walks it as generated code does.

    A channelwise kernel finds the block alone in its input and writes into the whole output; any
    other one finds the whole input and has an output of the block alone.
    """

    def __init__(
        self,
        library: KernelLibrary,
        invocation: Invocation,
        operands: Sequence[Array],
        block: Block,
    ) -> None:
        self._random = np.random.default_rng(1)
        self._ffi, self._invocation, self._block = library.ffi, invocation, block
        is_channelwise = invocation.operator.is_channelwise
        inputs = slice(*block) if is_channelwise else slice(None)
        self._written = slice(*block) if is_channelwise else slice(0, block[1] - block[0])
        call, kernel, binding = invocation.call, invocation.kernel, invocation.binding
        self._function = library.function(kernel)
        self._layer, self._alive = library.layer(kernel.pack(call, binding))
        self._tensors = invocation.operator.runtime_operands(call)
        self._maps = [self._view(array)[..., inputs] for array in operands]
        self._layouts = self._operand_layouts()
        self._operands = [
            self._filled(layout.to_memory(values, zero_point=zero_point(tensor)))
            for tensor, layout, values in zip(self._tensors, self._layouts, self._maps, strict=True)
        ]
        output = self._view(np.empty(call.output.shape, call.output.dtype))
        self._output_shape = output.shape if is_channelwise else output[..., slice(*block)].shape
        noise = self._random.integers(-128, 128, self._output_shape).astype(output.dtype)
        self._output = self._filled(self._output_memory(noise))
        self._scratch = GuardedBytes(kernel.scratch_bytes(call, binding), self._random)

    def output(self, *, split: bool) -> Array:
        """The channels of the block (H, W, C); ``split`` as in KernelRun."""
        if self._invocation.kernel.kind == "map":
            pointers = [operand.pointer(self._ffi) for operand in self._operands]
            self._function(*self._arguments(pointers, 0), self._scratch_pointer())
        else:
            self._run_rows(split=split)
        self._check_memory()
        return self._output_map()[..., self._written]

    def _view(self, array: Array) -> Array:
        return as_map(array, flat=self._invocation.binding.flat)

    def _operand_layouts(self) -> list[Layout]:
        """The bound layout of every activation; constants lie in flash as NHWC."""
        bound = iter(self._invocation.binding.inputs)
        return [NHWC if tensor.is_constant else next(bound) for tensor in self._tensors]

    def _filled(self, data: Array) -> GuardedBytes:
        buffer = GuardedBytes(data.nbytes, self._random)
        buffer.set(data)
        return buffer

    def _output_memory(self, values: Array) -> Array:
        tensor, layout = self._invocation.call.output, self._invocation.binding.output
        return layout.to_memory(values, zero_point=zero_point(tensor))

    def _output_map(self) -> Array:
        height, width, channels = self._output_shape
        dtype = np.dtype(self._invocation.call.output.dtype)
        rows = self._output.data.view(dtype).reshape(height, -1)
        layout = self._invocation.binding.output
        return layout.from_memory(rows, width=width, channels=channels).copy()

    def _scratch_pointer(self) -> Any:
        return self._scratch.pointer(self._ffi) if self._scratch.data.size else self._ffi.NULL

    def _arguments(self, pointers: Sequence[Any], output_offset: int) -> tuple[Any, Any, Any]:
        table = self._ffi.new("const void *[]", list(pointers))
        return self._layer, table, self._output.pointer(self._ffi, output_offset)

    def _run_rows(self, *, split: bool) -> None:
        height, width, _ = self._output_shape
        middle = width // 2
        ranges = ((middle, width), (0, middle)) if split else ((0, width),)
        for row in range(height):
            pointers = self._row_pointers(row)
            offset = row * (self._output.data.size // height)
            for begin, end in ranges:
                expected = self._output_map()
                region = self._ffi.new("ek_region *", (row, begin, end, *self._block))
                arguments = self._arguments(pointers, offset)
                self._function(*arguments, region, self._scratch_pointer())
                written = (row, slice(begin, end), self._written)
                expected[written] = self._output_map()[written]
                assert np.array_equal(as_bytes(self._output_memory(expected)), self._output.data), (
                    f"row {row}: bytes outside columns [{begin}, {end}) of channels {self._block} "
                    "were written"
                )

    def _row_pointers(self, row: int) -> list[Any]:
        heights = [values.shape[0] for values in self._maps]
        sources = row_sources(
            self._invocation.call, heights, row, flat=self._invocation.binding.flat
        )
        return [self._row(*source) for source in sources]

    def _row(self, operand: int, row: int | None) -> Any:
        values, buffer = self._maps[operand], self._operands[operand]
        row_bytes = buffer.data.size // values.shape[0]
        if row is not None:
            return buffer.pointer(self._ffi, row * row_bytes)
        if not self._invocation.kernel.needs_padding_row:
            return self._ffi.NULL
        padding = np.full(row_bytes, zero_point(self._tensors[operand]), np.int8)
        self._alive.append(buffer := self._filled(padding))
        return buffer.pointer(self._ffi)

    def _check_memory(self) -> None:
        self._output.check_guards("output")
        self._scratch.check_guards("scratch")
        for number, operand in enumerate(self._operands):
            operand.check_unchanged(f"operand {number}")


def zero_point(tensor: Tensor) -> int:
    """The zero point of a tensor, 0 where it has none."""
    return tensor.quantization.zero_point if tensor.quantization is not None else 0
