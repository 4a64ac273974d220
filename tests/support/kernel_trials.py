# SPDX-License-Identifier: Apache-2.0
"""Kernels as C programs with their trials compiled in, for the host and for emulated cores."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgekit.build.cross import ObjectFile, compile_objects, emulated_machine, link_firmware
from edgekit.emit.c_tables import TableSet, struct_text
from edgekit.emit.runtime_files import runtime_files
from edgekit.ir import Array, Call
from edgekit.kernel import Binding, Kernel
from edgekit.layout import Layout
from edgekit.process import run_program
from edgekit.runners.firmware import HARNESS_HEADERS, STARTUP
from edgekit.runners.plugin import RegionCounts, count_instructions
from edgekit.runners.qemu import emulate
from edgekit.target import Target
from support.blob_tables import BlobTables
from support.kernels import Block
from support.trial_memory import GUARD_BYTES, PROGRAM_BYTES, Trial, trial_memory

C_FOLDER = Path(__file__).resolve().parents[1] / "c"
HOST_COMPILERS = {
    "gcc": ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1"),
    "clang": ("-O2",),  # Debian's clang comes without the sanitizers' library
}
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
_TIMEOUT_SECONDS = 300.0


def whole_map(
    name: str,
    kernel: Kernel,
    call: Call,
    x: Array,
    *,
    output: Layout | None = None,
    flat: bool = False,
    ranges: tuple[tuple[int, int], ...] | None = None,
    block: Block | None = None,
) -> Trial:
    """All columns or those of ``ranges``, all channels or a block; NHWC unless said otherwise."""
    assert kernel.refusal(call) is None, kernel.refusal(call)
    inputs = kernel.input_layouts(call)
    binding = Binding(inputs, flat=flat) if output is None else Binding(inputs, output, flat)
    _, height, width, channels = call.output.shape
    columns = height * width if flat else width
    block = block or (0, channels)
    return Trial(name, kernel, call, binding, (x,), ranges or ((0, columns),), block)


def trial_program(trials: Sequence[Trial], tables: TableSet | None = None) -> str:
    """kernel_trials_data.c; without ``tables`` every table is a C array of its own."""
    tables = tables or TableSet("ALIGNED")
    layers, entries = [], []
    for number, trial in enumerate(trials):
        name = f"layer_{number}"
        layers.append(struct_text(name, trial.kernel.pack(trial.call, trial.binding), tables))
        entries.append(_entry(trial, name, tables))
    headers = sorted({trial.kernel.header for trial in trials})
    return "\n".join(
        [
            '/* generated */\n#include "kernel_trials.h"\n#include "platform.h"',
            *(f'#include "{header}"' for header in headers),
            "#define ALIGNED __attribute__((aligned(8)))",
            *tables.texts(),
            *([] if isinstance(tables, BlobTables) else ["void kernel_trials_close_gaps(void) {}"]),
            *layers,
            "const kernel_trial kernel_trials[] = {\n" + ",\n".join(entries) + "\n};",
            "const int32_t kernel_trial_count = sizeof kernel_trials / sizeof kernel_trials[0];\n",
        ]
    )


def _entry(trial: Trial, layer: str, tables: TableSet) -> str:
    memory = trial_memory(trial)
    scratch = trial.kernel.scratch_bytes(trial.call, trial.binding)
    assert max(scratch, memory.before.size) <= PROGRAM_BYTES, f"{trial.name} is too large"
    padding = memory.padding_row
    kind = "map_kernel" if trial.kernel.kind == "map" else "rows_kernel"
    values = {
        "name": f'"{trial.name}"',
        kind: trial.kernel.symbol,
        "layer": f"&{layer}",
        "input": tables.add(f"{layer}_input", memory.operands),
        "input_bytes": memory.operands.size,
        "padding_row": "NULL" if padding is None else tables.add(f"{layer}_padding", padding),
        "row_offsets": tables.add(f"{layer}_rows", memory.row_offsets),
        "rows": memory.row_offsets.shape[0],
        "row_pointers": memory.row_offsets.shape[1],
        "ranges": f"(const ek_region *){tables.add(f'{layer}_ranges', memory.regions)}",
        "range_count": len(memory.regions),
        "output_row_bytes": memory.output_row_bytes,
        "before": tables.add(f"{layer}_before", memory.before),
        "after": tables.add(f"{layer}_after", memory.after),
        "output_bytes": memory.before.size - 2 * GUARD_BYTES,
        "scratch_bytes": scratch,
    }
    return "  {" + ", ".join(f".{member} = {value}" for member, value in values.items()) + "}"


def write_program(
    folder: Path, kernels: Sequence[Kernel], *, sources: Sequence[str], generated: dict[str, str]
) -> list[Path]:
    """Put runtime files, files of tests/c and generated text into ``folder``; the C files to build."""
    files = runtime_files([kernel.symbol for kernel in kernels], [])
    for name in [*sources, *(path.name for path in C_FOLDER.glob("*.h"))]:
        files[name] = (C_FOLDER / name).read_text("utf-8")
    files |= generated
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    return [folder / name for name in sorted(files) if name.endswith(".c")]


def run_on_host(sources: Sequence[Path], *, compiler: str) -> list[str]:
    """The lines that the program prints, compiled with the flags of HOST_COMPILERS."""
    folder = sources[0].parent
    program = folder / f"program_{compiler}"
    flags = [*STRICT, *HOST_COMPILERS[compiler], f"-I{folder}"]
    run_program([compiler, *flags, "-o", program, *sources], timeout_seconds=_TIMEOUT_SECONDS)
    return run_program([program], timeout_seconds=_TIMEOUT_SECONDS).stdout.splitlines()


def build_for_core(
    sources: Sequence[Path], target: Target, *, extra_flags: Sequence[str] = ()
) -> Path:
    """The ELF file of the program for the emulated core."""
    folder = sources[0].parent
    objects = compile_for_core(sources, target, folder, extra_flags=extra_flags)
    return link_firmware(target, objects, build_directory=folder)


def compile_for_core(
    sources: Sequence[Path], target: Target, folder: Path, *, extra_flags: Sequence[str] = ()
) -> tuple[ObjectFile, ...]:
    """Objects of the sources and of the core's start-up code, whose headers go to ``folder``."""
    package = importlib.resources.files("edgekit.runners")
    startup = STARTUP[target.architecture]
    for name, origin in {**HARNESS_HEADERS[target.architecture], startup: startup}.items():
        (folder / name).write_text((package / origin).read_text("utf-8"), "utf-8")
    return compile_objects(
        target,
        [*sources, folder / startup],
        include_directories=[folder],
        build_directory=folder,
        extra_flags=(f"-DRAM_END={FENCES[_machine_name(target)]:#x}u", *extra_flags),
    )


FENCES: Mapping[str, int] = {
    **dict.fromkeys(("mps2-an385", "mps2-an386", "mps2-an500"), 0x20400000),
    "mps2-an521": 0x38400000,
    "mps3-an547": 0x20080000,
    "virt": 0x82000000,
}
"""The end of a RAM of each QEMU machine; a read behind it faults (tests/c/platform_emulated.c)."""
_FENCE_FLAGS = {"virt": ("-m", "32M")}


def _machine_name(target: Target) -> str:
    return emulated_machine(target).machine


def run_on_core(elf: Path, target: Target) -> list[str]:
    """The lines that the program prints on the emulated core."""
    flags = _FENCE_FLAGS.get(_machine_name(target), ())
    run = emulate(target, elf, timeout_seconds=_TIMEOUT_SECONDS, qemu_flags=flags)
    return run.stderr.splitlines()


def count_on_core(elf: Path, target: Target) -> RegionCounts:
    """Exact instructions; the parts are the program's COUNT_PART."""
    return count_instructions(target, elf, timeout_seconds=_TIMEOUT_SECONDS)
