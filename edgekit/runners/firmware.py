# SPDX-License-Identifier: Apache-2.0
"""A converted model becomes a program for the emulated core: glue, build, sample files."""

from __future__ import annotations

import importlib.resources
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgekit.build.cross import STACK_BYTES, compile_objects, link_firmware
from edgekit.build.model import compile_model, model_include_directories
from edgekit.errors import BadInputError, EdgekitError
from edgekit.manifest import Manifest, TensorEntry
from edgekit.runners.firmware_calls import entry_symbol, firmware_model_header
from edgekit.target import Architecture, Target

Array = npt.NDArray[np.generic]

INPUT_FILE = "input.bin"
OUTPUT_FILE = "output.bin"
PAINT_BYTES = (0xA5, 0x5A)

HARNESS_HEADERS: Mapping[Architecture, Mapping[str, str]] = {
    "arm": {"profile_hook.h": "profile_hook.h", "semihosting.h": "semihosting.h"},
    "riscv": {
        "profile_hook.h": "profile_hook.h",
        "semihosting.h": "semihosting.h",
        "string.h": "riscv_string.h",
    },
}
"""Headers beside an emulated program, and the files of this folder that they are."""
STARTUP: Mapping[Architecture, str] = {"arm": "cortex_m_startup.c", "riscv": "riscv_startup.c"}
_TIMED_CALLS: Mapping[Architecture, str] = {"arm": "timed_call.S", "riscv": "riscv_timed_call.S"}
_MAIN = "firmware_main.c"
_HARNESS_FLAGS = ("-Werror=incompatible-pointer-types",)
_MODEL_HEADER = "firmware_model.h"
_RECORD = struct.Struct("<iIII")


@dataclass(frozen=True)
class RunRecord:
    """What the firmware saw in one run: ``violations`` is a sum of the keys of VIOLATIONS."""

    status: int
    violations: int
    arena_touched_bytes: int
    stack_used_bytes: int
    outputs: tuple[Array, ...]


VIOLATIONS = {
    1: "it wrote outside its arena",
    2: "it changed its input",
    4: "it wrote outside its outputs",
    8: f"it used more than {STACK_BYTES} bytes of stack",
}


def build_firmware(
    directory: Path,
    manifest: Manifest,
    target: Target,
    *,
    build_directory: Path,
    model_flags: Sequence[str] = (),
) -> Path:
    """Compile the model in ``directory`` and the harness that runs it; returns the ELF file.

    ``model_flags`` are for the model's own sources only; the harness lies in ``harness/`` below the
    folder in which they are compiled.
    """
    harness, sources = write_harness(build_directory, target)
    model_objects = compile_model(
        directory,
        manifest,
        target,
        build_directory=build_directory,
        extra_flags=(*model_flags, *library_flags(harness, target)),
    )
    (harness / _MODEL_HEADER).write_text(firmware_model_header(manifest), "utf-8")
    harness_objects = compile_objects(
        target,
        sources,
        include_directories=[harness, *model_include_directories(directory, manifest)],
        build_directory=harness,
        extra_flags=(f"-DEK_ENTRY={entry_symbol(manifest)}", *_HARNESS_FLAGS),
    )
    return link_firmware(
        target, [*harness_objects, *model_objects], build_directory=build_directory
    )


def write_harness(build_directory: Path, target: Target) -> tuple[Path, tuple[Path, ...]]:
    """Copy the harness out of the package into ``build_directory/harness``; also its sources."""
    harness = build_directory / "harness"
    harness.mkdir(exist_ok=True)
    package = importlib.resources.files("edgekit.runners")
    architecture = target.architecture
    sources = (STARTUP[architecture], _MAIN, _TIMED_CALLS[architecture])
    files = {**HARNESS_HEADERS[architecture], **{name: name for name in sources}}
    for name, origin in files.items():
        (harness / name).write_text((package / origin).read_text("utf-8"), "utf-8")
    return harness, tuple(harness / name for name in sources)


def library_flags(harness: Path, target: Target) -> tuple[str, ...]:
    """Where the C library's headers are, if the compiler has none."""
    has_library = "string.h" not in HARNESS_HEADERS[target.architecture]
    return () if has_library else (f"-I{harness.resolve()}",)


def write_samples(
    path: Path, manifest: Manifest, samples: Sequence[Sequence[Array]], *, paint_count: int
) -> None:
    """Write the file that the firmware reads.

    Raises:
        BadInputError: a sample has not the number, types or sizes of the model's inputs.
    """
    with path.open("wb") as file:
        file.write(struct.pack("<IIII", len(samples), paint_count, *PAINT_BYTES))
        for number, sample in enumerate(samples):
            if len(sample) != len(manifest.inputs):
                raise BadInputError(
                    f"sample {number}: {len(sample)} arrays for {len(manifest.inputs)} inputs; "
                    "give one array per input"
                )
            for entry, array in zip(manifest.inputs, sample, strict=True):
                file.write(_tensor_bytes(entry, array, number))


def read_records(path: Path, manifest: Manifest, *, record_count: int) -> tuple[RunRecord, ...]:
    """Read the file that the firmware wrote: one record per sample and paint."""
    content = path.read_bytes()
    record_bytes = _RECORD.size + sum(entry.bytes for entry in manifest.outputs)
    if len(content) != record_count * record_bytes:
        raise EdgekitError(
            f"{manifest.name}: the emulated program wrote {len(content)} bytes, not "
            f"{record_count} records of {record_bytes}; report this as a bug"
        )
    return tuple(
        _parse_record(content[start : start + record_bytes], manifest)
        for start in range(0, len(content), record_bytes)
    )


def _parse_record(content: bytes, manifest: Manifest) -> RunRecord:
    outputs = []
    at = _RECORD.size
    for entry in manifest.outputs:
        flat = np.frombuffer(content[at : at + entry.bytes], dtype=_numpy_dtype(entry))
        outputs.append(flat.reshape(entry.shape).astype(entry.dtype))
        at += entry.bytes
    status, violations, arena_touched_bytes, stack_used_bytes = _RECORD.unpack_from(content)
    return RunRecord(status, violations, arena_touched_bytes, stack_used_bytes, tuple(outputs))


def _tensor_bytes(entry: TensorEntry, array: Array, sample: int) -> bytes:
    if array.dtype != np.dtype(entry.dtype) or array.size != math.prod(entry.shape):
        raise BadInputError(
            f"sample {sample}, input '{entry.name}': {array.dtype} of shape {array.shape}; "
            f"give {entry.dtype} of shape {entry.shape}"
        )
    return np.ascontiguousarray(array, dtype=_numpy_dtype(entry)).tobytes()


def _numpy_dtype(entry: TensorEntry) -> np.dtype[np.generic]:
    return np.dtype(entry.dtype).newbyteorder("<")
