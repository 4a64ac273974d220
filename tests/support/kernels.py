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
from edgekit.ops import Operator
from edgekit.window import Axis, Window
from support.kernel_library import KernelLibrary

GUARD_BYTES = 64


@dataclass(frozen=True)
class Invocation:
    """One way to call a kernel: its operator call, and the layouts and view that are bound."""

    operator: Operator
    kernel: Kernel
    call: Call
    binding: Binding

    def __str__(self) -> str:
        view = "flat" if self.binding.flat else "by row"
        return f"{self.kernel.symbol} writing {self.binding.output.kind} {view}"


def invocations(operator: Operator, kernel: Kernel, call: Call) -> Iterator[Invocation]:
    """Every layout that the kernel writes, and the flat view where it has one."""
    inputs = kernel.input_layouts(call)
    for kind in kernel.writes:
        width = map_shape(call.output.shape)[1]
        output = NHWC if kind == "nhwc" else row_planar(width=width, kernel=3, pad_left=1)
        yield Invocation(operator, kernel, call, Binding(inputs, output))
    if kernel.flat and operator.flattens(call) and all(layout == NHWC for layout in inputs):
        yield Invocation(operator, kernel, call, Binding(inputs, flat=True))


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
    """The memory of one invocation, and the driver that walks it as generated code does."""

    def __init__(
        self, library: KernelLibrary, invocation: Invocation, operands: Sequence[Array]
    ) -> None:
        self._random = np.random.default_rng(1)
        self._ffi, self._invocation = library.ffi, invocation
        call, kernel, binding = invocation.call, invocation.kernel, invocation.binding
        self._function = library.function(kernel)
        self._layer, self._alive = library.layer(kernel.pack(call, binding))
        self._tensors = invocation.operator.runtime_operands(call)
        self._maps = [self._view(array) for array in operands]
        self._layouts = self._operand_layouts()
        self._operands = [
            self._filled(layout.to_memory(values, zero_point=zero_point(tensor)))
            for tensor, layout, values in zip(self._tensors, self._layouts, self._maps, strict=True)
        ]
        noise = self._random.integers(-128, 128, call.output.shape)
        shape = noise.astype(call.output.dtype)
        self._output_shape = self._view(shape).shape
        self._output = self._filled(self._output_memory(self._view(shape)))
        self._scratch = GuardedBytes(kernel.scratch_bytes(call, binding), self._random)

    def output(self, *, split: bool) -> Array:
        """The output, in the shape of its tensor; ``split`` runs each row in two column ranges."""
        if self._invocation.kernel.kind == "map":
            pointers = [operand.pointer(self._ffi) for operand in self._operands]
            self._function(*self._arguments(pointers, 0), self._scratch_pointer())
        else:
            self._run_rows(split=split)
        self._check_memory()
        return self._output_map().reshape(self._invocation.call.output.shape)

    def _view(self, array: Array) -> Array:
        height, width, channels = map_shape(array.shape)
        if self._invocation.binding.flat:
            height, width = 1, height * width
        return array.reshape(height, width, channels)

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
        height, width, channels = self._output_shape
        middle = width // 2
        ranges = ((middle, width), (0, middle)) if split else ((0, width),)
        for row in range(height):
            pointers = self._row_pointers(row)
            offset = row * (self._output.data.size // height)
            for begin, end in ranges:
                expected = self._output_map()
                region = self._ffi.new("ek_region *", (row, begin, end, 0, channels))
                arguments = self._arguments(pointers, offset)
                self._function(*arguments, region, self._scratch_pointer())
                expected[row, begin:end] = self._output_map()[row, begin:end]
                assert np.array_equal(as_bytes(self._output_memory(expected)), self._output.data), (
                    f"row {row}: bytes outside columns [{begin}, {end}) were written"
                )

    def _row_pointers(self, row: int) -> list[Any]:
        """kernel_height pointers for one operand, one pointer each for several."""
        call = self._invocation.call
        if len(self._operands) > 1:
            heights = [values.shape[0] for values in self._maps]
            return [self._row(i, row if h > 1 else 0) for i, h in enumerate(heights)]
        axis = (self._invocation.operator.window(call) or Window(Axis(1), Axis(1))).height
        if self._invocation.binding.flat:
            axis = Axis(1)
        rows = axis.inputs_of(row, self._maps[0].shape[0])
        return [self._row(0, -1 if found is None else found) for found in rows]

    def _row(self, operand: int, row: int) -> Any:
        values, buffer = self._maps[operand], self._operands[operand]
        row_bytes = buffer.data.size // values.shape[0]
        if 0 <= row < values.shape[0]:
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
