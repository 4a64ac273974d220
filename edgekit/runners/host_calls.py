# SPDX-License-Identifier: Apache-2.0
"""How the C functions of a model are called on this machine, one way for each input mode."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.errors import ValidationError
from edgekit.ir import Array
from edgekit.layout import map_size
from edgekit.manifest import Manifest
from edgekit.program import InputMode

_INCOMPLETE = 3
"""EK_INCOMPLETE of runtime_c/ek_status.h."""
_SPOILED = 0x5C
"""What pushed rows are overwritten with: the model must not need them any more."""


@dataclass(frozen=True)
class HostMemory:
    """The tensors of one run and the bytes of its arena, guards left out."""

    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]
    arena: Array


def declarations(manifest: Manifest) -> str:
    """The model's functions as cffi parses them; pointers to tensors are untyped."""
    name = manifest.name
    sink = ""
    if manifest.output_mode == "stream":
        sink = "typedef struct { void *context; void (*write)(void *, int32_t, void *); } sink;"
    if manifest.input_mode == "stream":
        more = ", const void *" if sink else ""
        rows = f"void *, const void *, uint32_t{more}"
        return (
            f"{sink} void {name}_begin(void *); int {name}_push_rows({rows});"
            f"int {name}_finish(void *, const void *); int {name}_step(void *, const void *);"
        )
    source = ""
    if manifest.input_mode == "pull":
        window = "int32_t y, int32_t x, int32_t height, int32_t width"
        source = (
            f"typedef struct {{ void *context; void (*read)(void *, {window}, void *); }} source;"
        )
    tensors = "const void *, const void *, void *"
    return f"{source} {sink} int {name}_run({tensors}); int {name}_step({tensors}, void *);"


class HostCaller:
    """Calls the functions of a loaded model; ``random`` draws what a caller is free to choose."""

    def __init__(self, ffi: Any, library: Any, manifest: Manifest) -> None:
        self._ffi, self._library, self._manifest = ffi, library, manifest
        self._rows_written = 0
        self._alive: tuple[Any, ...] = ()

    def run(self, memory: HostMemory, random: np.random.Generator) -> None:
        """Compute ``memory.outputs``.

        Raises:
            ValidationError: a function returned another status than EK_OK, or asked for input that
                there is not.
        """
        mode = self._manifest.input_mode
        self._call_mode(mode, memory, random)
        if self._manifest.output_mode == "stream":
            rows = map_size(memory.outputs[0].shape)[0]
            if self._rows_written != rows:
                raise ValidationError(
                    f"{self._manifest.name}: it handed over {self._rows_written} of {rows} rows; "
                    "report this as a bug"
                )

    def _call_mode(self, mode: InputMode, memory: HostMemory, random: np.random.Generator) -> None:
        if mode == "stream":
            self._stream(memory, random)
        elif mode == "pull":
            self._pull(memory, random)
        elif mode == "overwrite":
            self._overwrite(memory, random)
        else:
            self._run(self._inputs(memory.inputs), memory, random)

    def _inputs(self, arrays: tuple[Array, ...]) -> Any:
        return self._ports(arrays, struct=self._manifest.port_structs[0])

    def _outputs(self, memory: HostMemory) -> Any:
        if self._manifest.output_mode == "stream":
            return self._sink(memory.outputs[0])
        return self._ports(memory.outputs, struct=self._manifest.port_structs[1])

    def _sink(self, output: Array) -> Any:
        """A callback that fills ``output``; it lives as long as the caller."""
        rows = output.reshape(map_size(output.shape)[0], -1)
        self._rows_written = 0

        def write(context: Any, y: int, row: Any) -> None:
            if y == self._rows_written < len(rows):
                rows[y] = np.frombuffer(self._ffi.buffer(row, rows[y].nbytes), rows.dtype)
            self._rows_written += 1

        callback = self._ffi.callback("void(void *, int32_t, void *)", write)
        self._alive = self._ffi.new("sink *", [self._ffi.NULL, callback]), callback
        return self._alive[0]

    def _ports(self, arrays: tuple[Array, ...], *, struct: bool) -> Any:
        """A struct of pointers has the layout of an array of pointers."""
        pointers = [self._address(array) for array in arrays]
        return self._ffi.new("void *[]", pointers) if struct else pointers[0]

    def _address(self, array: Array) -> Any:
        return self._ffi.cast("void *", array.ctypes.data)

    def _call(self, word: str, *arguments: Any) -> Any:
        return getattr(self._library, f"{self._manifest.name}_{word}")(*arguments)

    def _check(self, word: str, *arguments: Any) -> None:
        status = self._call(word, *arguments)
        if status != 0:
            raise ValidationError(f"{self._manifest.name}_{word}: returned status {status}")

    def _run(self, inputs: Any, memory: HostMemory, random: np.random.Generator) -> None:
        """At once, or slice after slice."""
        arguments = (inputs, self._outputs(memory), self._address(memory.arena))
        if random.integers(2):
            self._check("run", *arguments)
        else:
            position = self._ffi.new("uint32_t [2]")
            self._steps(*arguments, position)
            if list(position) != [0, 0]:
                raise ValidationError(f"{self._manifest.name}_step: position {list(position)}")

    def _steps(self, *arguments: Any) -> None:
        status = _INCOMPLETE
        while status == _INCOMPLETE:
            status = self._call("step", *arguments)
        if status != 0:
            raise ValidationError(f"{self._manifest.name}_step: returned status {status}")

    def _overwrite(self, memory: HostMemory, random: np.random.Generator) -> None:
        """The input where the caller has it, or at its place in the arena."""
        given = memory.inputs
        if random.integers(2):
            given = tuple(
                memory.arena[entry.arena_offset :][: entry.bytes] for entry in self._manifest.inputs
            )
            for place, array in zip(given, memory.inputs, strict=True):
                place[:] = array.ravel().view(np.uint8)
        self._run(self._inputs(given), memory, random)

    def _stream(self, memory: HostMemory, random: np.random.Generator) -> None:
        (image,) = memory.inputs
        rows = image.reshape(map_size(image.shape)[0], -1)
        arena, outputs = self._address(memory.arena), self._outputs(memory)
        sink = (outputs,) if self._manifest.output_mode == "stream" else ()
        sliced = bool(random.integers(2))
        self._call("begin", arena)
        start = 0
        for count in chunk_sizes(len(rows), random):
            chunk = np.array(rows[start : start + count])
            self._check("push_rows", arena, self._address(chunk), count, *sink)
            if not np.array_equal(chunk, rows[start : start + count]):
                raise ValidationError(f"{self._manifest.name}_push_rows: it changed its input")
            chunk[...] = _SPOILED
            start += count
            if sliced:
                self._some_steps(random, arena, outputs)
        self._check("finish", arena, outputs)

    def _some_steps(self, random: np.random.Generator, *arguments: Any) -> None:
        """All slices that are ready, or a few of them."""
        if random.integers(2):
            self._steps(*arguments)
            return
        for _ in range(int(random.integers(4))):
            if self._call("step", *arguments) not in (0, _INCOMPLETE):
                raise ValidationError(f"{self._manifest.name}_step: refused")

    def _pull(self, memory: HostMemory, random: np.random.Generator) -> None:
        (image,) = memory.inputs
        pixels = image.reshape(map_size(image.shape))
        problems: list[str] = []

        def read(context: Any, y: int, x: int, height: int, width: int, destination: Any) -> None:
            window = pixels[max(y, 0) : y + height, max(x, 0) : x + width]
            offset = int(self._ffi.cast("uintptr_t", destination)) - memory.arena.ctypes.data
            if window.shape[:2] != (height, width):
                problems.append(f"read of {height} x {width} pixels at ({y}, {x})")
            elif not 0 <= offset <= memory.arena.size - window.nbytes:
                problems.append("read to a destination outside of the arena")
            else:
                memory.arena[offset : offset + window.nbytes] = window.ravel().view(np.uint8)

        callback = self._ffi.callback(
            "void(void *, int32_t, int32_t, int32_t, int32_t, void *)",
            read,
            onerror=lambda kind, value, traceback: problems.append(repr(value)),
        )
        source = self._ffi.new("source *", [self._ffi.NULL, callback])
        self._run(source, memory, random)
        if problems:
            raise ValidationError(f"{self._manifest.name}_run: {problems[0]}; report this as a bug")


def chunk_sizes(rows: int, random: np.random.Generator) -> Iterator[int]:
    """How many rows to push at a time: all, one by one, or as it comes, 0 included."""
    kind = random.choice(("all", "single", "random"))
    while rows > 0:
        count = {"all": rows, "single": 1, "random": int(random.integers(rows + 1))}[kind]
        yield count
        rows -= count
    yield 0
