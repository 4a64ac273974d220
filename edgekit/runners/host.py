# SPDX-License-Identifier: Apache-2.0
"""Run a converted model on this machine through cffi, in ABI mode, and watch its memory."""

from __future__ import annotations

import importlib.resources
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.build.host import build_shared_library
from edgekit.errors import BadInputError, ValidationError
from edgekit.ir import Array
from edgekit.layout import Layout
from edgekit.manifest import BufferEntry, LayerEntry, Manifest, load_manifest

PAINT_BYTES = (0xA5, 0x5A)
_GUARD_BYTES = 64

LayerCallback = Callable[[int, LayerEntry, Array], None]
"""Called with sample number, layer and the bytes of its output, when the layer is done."""


@dataclass(frozen=True)
class HostRun:
    """Outputs of a run on this machine and the arena it used.

    ``outputs[sample][output]`` has the type and shape that the manifest states.
    ``arena_touched_bytes`` is the highest arena byte that changed under either paint, plus one.
    """

    outputs: tuple[tuple[Array, ...], ...]
    arena_touched_bytes: int


def run_host(
    directory: Path,
    samples: Sequence[Sequence[Array]],
    *,
    paint: bool = False,
    on_layer: LayerCallback | None = None,
) -> HostRun:
    """Run the model in ``directory`` on every sample.

    ``samples[sample][input]`` are in the order of the manifest's inputs. With ``paint`` every
    sample runs on two differently filled arenas, which must give equal results.

    Raises:
        BadInputError: a sample does not match the inputs.
        ValidationError: the model wrote outside its arena, or its result depends on the paint.
        MissingProgramError, ProgramFailedError: from the compiler.
    """
    manifest = load_manifest(directory)
    for sample in samples:
        _check_sample(manifest, sample)
    with tempfile.TemporaryDirectory(prefix="edgekit-host-") as folder:
        model = _HostModel(directory, manifest, Path(folder), traced=on_layer is not None)
        paints = PAINT_BYTES if paint else PAINT_BYTES[:1]
        outputs, touched = [], 0
        for number, sample in enumerate(samples):
            runs = [model.run(sample, fill, number, on_layer) for fill in paints]
            for other, _ in runs[1:]:
                if not all(np.array_equal(a, b) for a, b in zip(runs[0][0], other, strict=True)):
                    raise ValidationError(
                        f"{manifest.name}_run, sample {number}: the result depends on what the "
                        "arena held before; report this as a bug"
                    )
            outputs.append(runs[0][0])
            touched = max(touched, *(high for _, high in runs))
    return HostRun(tuple(outputs), touched)


def _check_sample(manifest: Manifest, sample: Sequence[Array]) -> None:
    expected = [(entry.dtype, entry.shape) for entry in manifest.inputs]
    given = [(array.dtype.name, array.shape) for array in sample]
    if given != expected:
        raise BadInputError(f"{manifest.name}: the inputs are {given}; they must be {expected}")


class _HostModel:
    """The loaded library and its arena between guard bytes."""

    def __init__(self, directory: Path, manifest: Manifest, folder: Path, *, traced: bool) -> None:
        import cffi

        self._manifest = manifest
        harness = importlib.resources.files("edgekit.runners")
        with (
            importlib.resources.as_file(harness / "host_trace.h") as header,
            importlib.resources.as_file(harness / "host_trace.c") as source,
        ):
            library = build_shared_library(
                directory,
                manifest,
                build_directory=folder,
                extra_sources=[source] if traced else [],
                extra_flags=["-include", str(header)] if traced else [],
            )
        self._ffi: Any = cffi.FFI()
        trace = "extern void (*ek_host_trace)(int);" if traced else ""
        self._ffi.cdef(f"int {manifest.name}_run(const void *, const void *, void *);{trace}")
        self._library: Any = self._ffi.dlopen(str(library))
        self._arena = _aligned_bytes(manifest.arena_bytes + 2 * _GUARD_BYTES)

    def run(
        self, sample: Sequence[Array], fill: int, number: int, on_layer: LayerCallback | None
    ) -> tuple[tuple[Array, ...], int]:
        """The outputs of one sample, and the highest arena byte that changed plus one."""
        self._arena[:] = fill
        inputs = [np.ascontiguousarray(array) for array in sample]
        outputs = [np.full(e.shape, -1, e.dtype) for e in self._manifest.outputs]
        callback = self._trace(number, outputs, on_layer)
        status = self._call(inputs, outputs)
        del callback
        if status != 0:
            raise ValidationError(f"{self._manifest.name}_run: returned status {status}")
        size = self._manifest.arena_bytes
        guards = np.concatenate([self._arena[:_GUARD_BYTES], self._arena[_GUARD_BYTES + size :]])
        if (guards != fill).any():
            raise ValidationError(
                f"{self._manifest.name}_run, sample {number}: it wrote outside its arena; "
                "report this as a bug"
            )
        changed = np.flatnonzero(self._arena[_GUARD_BYTES : _GUARD_BYTES + size] != fill)
        return tuple(outputs), int(changed[-1]) + 1 if changed.size else 0

    def _call(self, inputs: list[Array], outputs: list[Array]) -> int:
        function = getattr(self._library, f"{self._manifest.name}_run")
        arena = self._ffi.cast("void *", self._arena.ctypes.data + _GUARD_BYTES)
        pointers = [
            self._ffi.new("void *[]", [self._ffi.cast("void *", a.ctypes.data) for a in arrays])
            for arrays in (inputs, outputs)
        ]
        if len(inputs) == 1 and len(outputs) == 1:
            return int(function(pointers[0][0], pointers[1][0], arena))
        # A struct of pointers has the layout of an array of pointers.
        return int(function(pointers[0], pointers[1], arena))

    def _trace(
        self, number: int, outputs: list[Array], on_layer: LayerCallback | None
    ) -> object | None:
        """Install the hook that reports a layer when the next one begins."""
        if on_layer is None:
            return None
        layers = self._manifest.layers
        pending: list[int] = []

        def begin(index: int) -> None:
            if pending:
                layer = layers[pending.pop()]
                on_layer(number, layer, self._memory_of(layer, outputs))
            if index >= 0:
                pending.append(index)

        callback = self._ffi.callback("void(int)", begin)
        self._library.ek_host_trace = callback
        return callback  # type: ignore[no-any-return]

    def _memory_of(self, layer: LayerEntry, outputs: list[Array]) -> Array:
        entry = next(buffer for buffer in layer.buffers if buffer.role == "output")
        if entry.place == "model_output":
            return outputs[entry.index].ravel().copy()
        start = _GUARD_BYTES + entry.offset
        return self._arena[start : start + entry.bytes].view(np.int8).copy()


def _aligned_bytes(size: int) -> Array:
    """A zeroed byte array at a 64-byte boundary."""
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size]


def unpack_buffer(entry: BufferEntry, memory: Array, like: Array) -> Array:
    """The array of the shape and type of ``like`` in the bytes of a layer's output buffer."""
    shape = like.shape
    kind, *fields = entry.layout.split(":")
    if kind == "nhwc":
        return memory.view(like.dtype).reshape(shape)
    pad_left, channel_stride = (int(field) for field in fields)
    layout = Layout("row_planar", pad_left, channel_stride)
    _, height, width, channels = shape
    rows = memory.reshape(height, -1)
    return layout.from_memory(rows, width=width, channels=channels).reshape(shape)
