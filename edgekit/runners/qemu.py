# SPDX-License-Identifier: Apache-2.0
"""Run a converted model on the emulated core of its target and watch its memory."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgekit.build.cross import emulated_machine
from edgekit.build.elf import read_functions
from edgekit.errors import EdgekitError, ValidationError
from edgekit.manifest import Manifest, load_manifest
from edgekit.process import CompletedProgram, ProgramFailedError, run_program, stderr_tail
from edgekit.runners.firmware import (
    INPUT_FILE,
    OUTPUT_FILE,
    PAINT_BYTES,
    VIOLATIONS,
    Array,
    RunRecord,
    build_firmware,
    read_records,
    write_samples,
)
from edgekit.target import Architecture, Target

DEFAULT_TIMEOUT_SECONDS = 600.0
EMULATORS: Mapping[Architecture, str] = {
    "arm": "qemu-system-arm",
    "riscv": "qemu-system-riscv32",
}

_FAULT_PC = re.compile(r"fault: exception 0x[0-9a-f]+ at pc 0x([0-9a-f]{8})")


class EmulationError(EdgekitError):
    """The program on the emulated core faulted or could not run."""


@dataclass(frozen=True)
class QemuRun:
    """Outputs of an emulated run and the memory it used.

    ``outputs[sample][output]`` has the type and shape that the manifest states.
    ``arena_touched_bytes`` is the highest arena byte that changed, plus one; a byte that was
    written with the paint value counts as unchanged, so one paint may miss it and two cannot.
    ``stack_used_bytes`` is the deepest stack below the caller of the model.
    """

    outputs: tuple[tuple[Array, ...], ...]
    arena_touched_bytes: int
    stack_used_bytes: int


def run_qemu(
    directory: Path,
    samples: Sequence[Sequence[Array]],
    target: Target,
    *,
    paint: bool = False,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
) -> QemuRun:
    """Run the model in ``directory`` on every sample, all in one run of the emulator.

    ``samples[sample][input]`` are in the order of the manifest's inputs. With ``paint`` every
    sample runs on two differently filled arenas and outputs, which must give equal results.

    Raises:
        BadInputError: a sample does not match the inputs, or the target is not emulated.
        ValidationError: the model wrote where it must not, read arena bytes it never wrote, or
            returned another status than EK_OK.
        EmulationError: the program faulted.
        MissingProgramError, ProgramTimeoutError: from the compiler or the emulator.
    """
    manifest = load_manifest(directory)
    paint_count = len(PAINT_BYTES) if paint else 1
    with tempfile.TemporaryDirectory(prefix="edgekit-qemu-") as folder:
        build_directory = Path(folder)
        write_samples(build_directory / INPUT_FILE, manifest, samples, paint_count=paint_count)
        elf = build_firmware(directory, manifest, target, build_directory=build_directory)
        emulate(target, elf, timeout_seconds=timeout_seconds)
        records = read_records(
            build_directory / OUTPUT_FILE, manifest, record_count=len(samples) * paint_count
        )
    check_records(manifest, records, paint_count=paint_count)
    return QemuRun(
        outputs=tuple(record.outputs for record in records[::paint_count]),
        arena_touched_bytes=max((record.arena_touched_bytes for record in records), default=0),
        stack_used_bytes=max((record.stack_used_bytes for record in records), default=0),
    )


def emulate(
    target: Target, elf: Path, *, timeout_seconds: float, qemu_flags: Sequence[str] = ()
) -> CompletedProgram:
    """Run ``elf`` in its own folder, where it finds its files, until it exits with code 0.

    Raises:
        EmulationError: it exited with another code, or the core stopped.
    """
    machine = emulated_machine(target)
    cpu_flags = ["-cpu", machine.cpu] if machine.cpu is not None else []
    command = [
        *(
            EMULATORS[target.architecture],
            "-M",
            machine.machine,
            *cpu_flags,
            *machine.flags,
            "-nographic",
        ),
        *("-monitor", "none", "-serial", "none"),
        *("-semihosting-config", "enable=on,target=native", *qemu_flags, "-kernel", elf.name),
    ]
    try:
        return run_program(command, timeout_seconds=timeout_seconds, cwd=elf.parent)
    except ProgramFailedError as error:
        raise EmulationError(_describe_failure(target, elf, error.completed)) from None


def check_records(manifest: Manifest, records: Sequence[RunRecord], *, paint_count: int) -> None:
    """Raise ValidationError where a run broke the rules of the generated C."""
    for number, record in enumerate(records):
        node = f"{manifest.name}, sample {number // paint_count}"
        if record.status != 0:
            raise ValidationError(f"{node}: returned status {record.status}; check its arguments")
        for bit, fact in VIOLATIONS.items():
            if record.violations & bit:
                raise ValidationError(f"{node}: {fact}; report this as a bug")
        first = records[number - number % paint_count]
        outputs = zip(manifest.outputs, record.outputs, first.outputs, strict=True)
        for entry, ours, other in outputs:
            if not np.array_equal(ours, other):
                raise ValidationError(
                    f"{node}: output '{entry.name}' depends on what the arena held before; "
                    "report this as a bug"
                )


def _describe_failure(target: Target, elf: Path, completed: CompletedProgram) -> str:
    match = _FAULT_PC.search(completed.stderr)
    place = ""
    if match is not None:
        address = int(match[1], 16) & ~1
        for function in read_functions(target, elf):
            if function.address <= address < function.address + function.bytes:
                place = f" in {function.name}"
    return (
        f"emulated {target.core}: stopped with code {completed.returncode}{place}: "
        f"{stderr_tail(completed)}; the generated C or its arguments are wrong"
    )
