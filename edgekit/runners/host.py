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
from edgekit.manifest import Manifest, load_manifest
from edgekit.runners.host_calls import HostCaller, HostMemory, declarations
from edgekit.runners.layer_trace import FiredRows, fired_rows, output_of

PAINT_BYTES = (0xA5, 0x5A)
_GUARD_BYTES = 64

RowsCallback = Callable[[int, FiredRows], None]
"""Called with the sample number and what a layer has just completed."""


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
    on_rows: RowsCallback | None = None,
) -> HostRun:
    """Run the model in ``directory`` on every sample.

    ``samples[sample][input]`` are in the order of the manifest's inputs. With ``paint`` every
    sample runs on two differently filled arenas, which must give equal results. What an input mode
    leaves to the caller (how many rows to push at once, where an input lies that is overwritten)
    differs from run to run, and is the same for the same samples.

    Raises:
        BadInputError: a sample does not match the inputs.
        ValidationError: the model wrote outside its arena, changed its input or refused it, or its
            result depends on the paint.
        MissingProgramError, ProgramFailedError: from the compiler.
    """
    manifest = load_manifest(directory)
    for sample in samples:
        _check_sample(manifest, sample)
    with tempfile.TemporaryDirectory(prefix="edgekit-host-") as folder:
        model = _HostModel(directory, manifest, Path(folder), traced=on_rows is not None)
        paints = PAINT_BYTES if paint else PAINT_BYTES[:1]
        outputs, touched = [], 0
        for number, sample in enumerate(samples):
            runs = [model.run(sample, fill, number, on_rows) for fill in paints]
            for other, _ in runs[1:]:
                if not all(np.array_equal(a, b) for a, b in zip(runs[0][0], other, strict=True)):
                    raise ValidationError(
                        f"{manifest.name}, sample {number}: the result depends on what the "
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
        trace = "extern void (*ek_host_trace)(int, int);" if traced else ""
        self._ffi.cdef(declarations(manifest) + trace)
        self._library: Any = self._ffi.dlopen(str(library))
        self._caller = HostCaller(self._ffi, self._library, manifest)
        self._guarded = _aligned_bytes(manifest.arena_bytes + 2 * _GUARD_BYTES)
        self._arena = self._guarded[_GUARD_BYTES : _GUARD_BYTES + manifest.arena_bytes]

    def run(
        self, sample: Sequence[Array], fill: int, number: int, on_rows: RowsCallback | None
    ) -> tuple[tuple[Array, ...], int]:
        """The outputs of one sample, and the highest arena byte that changed plus one."""
        self._guarded[:] = fill
        memory = HostMemory(
            inputs=tuple(np.array(array, order="C") for array in sample),
            outputs=tuple(np.full(e.shape, -1, e.dtype) for e in self._manifest.outputs),
            arena=self._arena,
        )
        errors: list[BaseException] = []
        callback = self._trace(number, memory, on_rows, errors)
        self._caller.run(memory, np.random.default_rng([number, fill]))
        del callback
        if errors:
            raise errors[0]
        self._check_memory(sample, memory, fill, number)
        changed = np.flatnonzero(self._arena != fill)
        return memory.outputs, int(changed[-1]) + 1 if changed.size else 0

    def _check_memory(
        self, sample: Sequence[Array], memory: HostMemory, fill: int, number: int
    ) -> None:
        size = self._arena.size
        guards = (self._guarded[:_GUARD_BYTES], self._guarded[_GUARD_BYTES + size :])
        if any((guard != fill).any() for guard in guards):
            raise ValidationError(
                f"{self._manifest.name}, sample {number}: it wrote outside its arena; "
                "report this as a bug"
            )
        for ours, given in zip(memory.inputs, sample, strict=True):
            if not np.array_equal(ours, given):
                raise ValidationError(
                    f"{self._manifest.name}, sample {number}: it changed its input; "
                    "report this as a bug"
                )

    def _trace(
        self,
        number: int,
        memory: HostMemory,
        on_rows: RowsCallback | None,
        errors: list[BaseException],
    ) -> object | None:
        """Install the hook that reports what each firing of a layer completed.

        An exception cannot pass through C: it goes to ``errors``.
        """
        if on_rows is None:
            return None
        outputs = [array.ravel().view(np.uint8) for array in memory.outputs]

        def fired(index: int, row: int) -> None:
            layer = self._manifest.layers[index]
            entry = output_of(layer)
            place = outputs[entry.index] if entry.place == "model_output" else self._arena
            rows = fired_rows(layer, row, place)
            if rows is not None:
                on_rows(number, rows)

        callback = self._ffi.callback(
            "void(int, int)", fired, onerror=lambda kind, value, traceback: errors.append(value)
        )
        self._library.ek_host_trace = callback
        return callback  # type: ignore[no-any-return]


def _aligned_bytes(size: int) -> Array:
    """A zeroed byte array at a 64-byte boundary."""
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size]
