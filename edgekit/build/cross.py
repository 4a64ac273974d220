# SPDX-License-Identifier: Apache-2.0
"""C files become an ELF for a target: one object per file, a generated linker script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.build.elf import cross_compiler, section_bytes
from edgekit.errors import BadInputError, DoesNotFitError
from edgekit.process import run_program
from edgekit.target import Architecture, MemoryRegion, QemuMachine, Target

OPTIMIZATION_FLAGS = ("-O2", "-std=c99", "-ffunction-sections", "-fdata-sections", "-fno-common")
STACK_BYTES = 64 * 1024

_WARNING_FLAGS = ("-Wall", "-Wextra")
_START_FLAGS: Mapping[Architecture, tuple[str, ...]] = {
    "arm": ("-nostartfiles",),
    "riscv": ("-nostartfiles", "-nodefaultlibs"),
}
"""Without start-up files; where the compiler comes without a C library, without that, too."""
_TIMEOUT_SECONDS = 300.0
_LIBRARY_SLACK_BYTES = 16 * 1024
_LINKER_SCRIPT_NAME = "firmware.ld"


@dataclass(frozen=True)
class ObjectFile:
    """A compiled C file; ``stack_usage`` is what GCC's -fstack-usage wrote beside it."""

    source: Path
    path: Path
    stack_usage: Path


@dataclass(frozen=True)
class Placement:
    """Which memory regions hold code (with the vectors), constants, and data with the stack."""

    code: MemoryRegion
    constants: MemoryRegion
    data: MemoryRegion


def compiler_version(target: Target) -> str:
    """Name and version of the target's compiler, such as ``arm-none-eabi-gcc 12.2.1``."""
    program = cross_compiler(target).prefix + "gcc"
    completed = run_program([program, "-dumpfullversion"], timeout_seconds=_TIMEOUT_SECONDS)
    return f"{program} {completed.stdout.strip()}"


def compiler_flags(target: Target) -> tuple[str, ...]:
    """The flags that decide about the generated instructions."""
    return (*cross_compiler(target).flags, *OPTIMIZATION_FLAGS)


def compile_objects(
    target: Target,
    sources: Sequence[Path],
    *,
    include_directories: Sequence[Path],
    build_directory: Path,
    extra_flags: Sequence[str] = (),
) -> tuple[ObjectFile, ...]:
    """Compile every source by itself into ``build_directory``, which must exist.

    Raises:
        MissingProgramError, ProgramFailedError: from the compiler.
    """
    program = cross_compiler(target).prefix + "gcc"
    include_flags = [f"-I{directory.resolve()}" for directory in include_directories]
    objects = []
    for number, source in enumerate(sources):
        if not source.is_file():
            raise BadInputError(f"{source}: no such source file; convert the model again")
        path = build_directory.resolve() / f"{number:03d}_{source.stem}.o"
        run_program(
            [program, *compiler_flags(target), *_WARNING_FLAGS, "-fstack-usage", *extra_flags]
            + [*include_flags, "-c", str(source.resolve()), "-o", str(path)],
            timeout_seconds=_TIMEOUT_SECONDS,
            cwd=build_directory,
        )
        objects.append(ObjectFile(source, path, path.with_suffix(".su")))
    return tuple(objects)


def link_firmware(target: Target, objects: Sequence[ObjectFile], *, build_directory: Path) -> Path:
    """Link a program that QEMU loads whole: data is placed straight in RAM, without a copy loop.

    Returns:
        the ELF file.

    Raises:
        DoesNotFitError: no memory region of the emulated machine is big enough.
    """
    sizes = section_bytes(target, tuple(item.path for item in objects))
    placement = place_sections(
        emulated_machine(target).memory,
        code_bytes=_sum_sections(sizes, ".text", ".vectors") + _LIBRARY_SLACK_BYTES,
        constant_bytes=_sum_sections(sizes, ".rodata", ".ARM"),
        data_bytes=_sum_sections(sizes, ".data", ".bss") + STACK_BYTES + _LIBRARY_SLACK_BYTES,
    )
    script = build_directory.resolve() / _LINKER_SCRIPT_NAME
    script.write_text(linker_script(placement), "utf-8")
    elf = build_directory.resolve() / "firmware.elf"
    link_objects(target, objects, elf=elf, extra_flags=(f"-Wl,-T,{script.name}",))
    return elf


def link_objects(
    target: Target, objects: Sequence[ObjectFile], *, elf: Path, extra_flags: Sequence[str]
) -> None:
    """Link without start-up files, dropping what nothing refers to."""
    compiler = cross_compiler(target)
    run_program(
        [f"{compiler.prefix}gcc", *compiler.flags, *_START_FLAGS[target.architecture]]
        + ["-Wl,--gc-sections"]
        + ["-Wl,--no-warn-rwx-segments", *extra_flags, *(str(item.path) for item in objects)]
        + ["-lgcc", "-o", str(elf)],
        timeout_seconds=_TIMEOUT_SECONDS,
        cwd=elf.parent,
    )


def emulated_machine(target: Target) -> QemuMachine:
    """The QEMU machine of ``target``; BadInputError where the target has none."""
    if target.qemu is None:
        raise BadInputError(
            f"target '{target.name}': has no emulated machine; use a core such as cortex-m4"
        )
    return target.qemu


def place_sections(
    memory: Sequence[MemoryRegion], *, code_bytes: int, constant_bytes: int, data_bytes: int
) -> Placement:
    """Choose regions in the order of ``memory``.

    Constants that do not fit beside the code go to RAM.

    Raises:
        DoesNotFitError: one of the three fits nowhere.
    """
    free = {region.name: region.bytes for region in memory}

    def take(regions: Sequence[MemoryRegion], what: str, size: int) -> MemoryRegion:
        for region in regions:
            if free[region.name] >= size:
                free[region.name] -= size
                return region
        raise DoesNotFitError(
            f"emulated machine: {what} of {size} bytes fit in none of "
            f"{', '.join(f'{region.name} ({region.bytes})' for region in regions)}; "
            "use a smaller model or a target with more memory"
        )

    code_regions = [region for region in memory if region.kind == "code"]
    ram_regions = [region for region in memory if region.kind == "ram"]
    code = take(code_regions, "code", code_bytes)
    data = take(ram_regions, "data", data_bytes)
    constants = take([code, *ram_regions], "constants", constant_bytes)
    return Placement(code=code, constants=constants, data=data)


def linker_script(placement: Placement) -> str:
    """The GNU ld script of ``placement``.

    The stack lies at the start of its region, so that an overflow leaves the memory instead of
    overwriting data.
    """
    regions = {region.name: region for region in vars(placement).values()}
    memory = "\n".join(
        f"  {name} (rwx) : ORIGIN = {region.origin:#x}, LENGTH = {region.bytes:#x}"
        for name, region in sorted(regions.items())
    )
    code, constants, data = (placement.code.name, placement.constants.name, placement.data.name)
    return f"""ENTRY(Reset_Handler)
MEMORY {{
{memory}
}}
SECTIONS {{
  .text : {{ KEEP(*(.vectors)) *(.text .text.*) }} > {code}
  .rodata : {{ . = ALIGN(16); *(.rodata .rodata.*) }} > {constants}
  .ARM.exidx : {{ *(.ARM.exidx* .ARM.extab*) }} > {constants}
  .stack (NOLOAD) : {{
    . = ALIGN(16); ek_stack_bottom = .; . += {STACK_BYTES}; ek_stack_top = .;
  }} > {data}
  .data : {{ . = ALIGN(16); *(.data .data.*) }} > {data}
  .bss (NOLOAD) : {{
    . = ALIGN(16); ek_bss_start = .; *(.bss .bss.* COMMON) . = ALIGN(16); ek_bss_end = .;
  }} > {data}
  .ek_marks 0 : {{ KEEP(*(.ek_marks)) }}
}}
"""


def _sum_sections(sizes: dict[str, int], *prefixes: str) -> int:
    return sum(
        size
        for name, size in sizes.items()
        if any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)
    )
