# SPDX-License-Identifier: Apache-2.0
"""Target files: each one runs a program under its QEMU machine, and bad ones are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from emulated_model import (
    ARENA_BYTES,
    expected_output,
    random_samples,
    write_model,
)

from edgekit.build.cross import (
    compile_objects,
    compiler_version,
    linker_script,
    place_sections,
)
from edgekit.errors import BadInputError, DoesNotFitError
from edgekit.runners.qemu import run_qemu
from edgekit.target import MemoryRegion, Target, list_targets, load_target

TARGETS = list_targets()
EMULATED = [
    target for target in TARGETS if target.qemu is not None and target.architecture == "arm"
]
"""Those that run the hand-made model, which is partly Arm assembly."""

VALID = """
name = "board"
description = "a board"
core = "cortex-m4"
isa = ["dsp", "ref"]
sram_bytes = 65536
flash_bytes = 262144
[compiler]
prefix = "arm-none-eabi-"
flags = ["-mcpu=cortex-m4", "-mthumb"]
[qemu]
machine = "mps2-an386"
[[qemu.memory]]
name = "flash"
kind = "code"
origin = 0
bytes = 0x1000
[[qemu.memory]]
name = "sram"
kind = "ram"
origin = 0x20000000
bytes = 0x1000
"""


def test_shipped_targets() -> None:
    assert {target.name for target in TARGETS} >= {
        *("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55"),
        *("cortex-m85", "host", "rv32imc"),
    }
    isa = {target.name: target.isa for target in TARGETS}
    assert isa["cortex-m4"] == isa["cortex-m33"] == ("dsp", "c", "ref")
    assert isa["cortex-m55"] == isa["cortex-m85"] == ("mve", "dsp", "c", "ref")
    assert isa["cortex-m3"] == isa["cortex-m0plus"] == isa["host"] == ("c", "ref")


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_target_is_found_by_name_and_by_file(target: Target, repository: Path) -> None:
    assert load_target(target.name) == target
    assert load_target(repository / "targets" / f"{target.name}.toml") == target


@pytest.mark.parametrize("target", EMULATED, ids=lambda target: target.name)
def test_target_runs_a_model(
    target: Target, tmp_path: Path, require_program: Callable[[str], str]
) -> None:
    require_program("arm-none-eabi-gcc")
    require_program("qemu-system-arm")
    samples = random_samples(3)
    run = run_qemu(write_model(tmp_path / "m"), samples, target, paint=True)
    assert [int(outputs[0][0, 0]) for outputs in run.outputs] == [
        expected_output(sample[0]) for sample in samples
    ]
    assert run.arena_touched_bytes == ARENA_BYTES
    assert compiler_version(target).startswith("arm-none-eabi-gcc ")


@pytest.mark.parametrize("target", EMULATED, ids=lambda target: target.name)
def test_every_memory_region_holds_what_is_put_there(
    target: Target, tmp_path: Path, require_program: Callable[[str], str]
) -> None:
    """The target with one of its RAM regions at a time holds constants, data and stack."""
    require_program("arm-none-eabi-gcc")
    require_program("qemu-system-arm")
    assert target.qemu is not None
    samples = random_samples(2)
    directory = write_model(tmp_path / "m")
    code = [region for region in target.qemu.memory if region.kind == "code"]
    for region in target.qemu.memory:
        if region.kind == "ram":
            machine = msgspec.structs.replace(target.qemu, memory=(*code, region))
            run = run_qemu(directory, samples, msgspec.structs.replace(target, qemu=machine))
            assert [int(outputs[0][0, 0]) for outputs in run.outputs] == [
                expected_output(sample[0]) for sample in samples
            ]


def test_target_without_a_machine_compiles_and_is_not_emulated(
    tmp_path: Path, require_program: Callable[[str], str]
) -> None:
    require_program("arm-none-eabi-gcc")
    target = load_target("cortex-m85")
    source = write_model(tmp_path / "m") / "model.c"
    (compiled,) = compile_objects(
        target, [source], include_directories=[tmp_path / "m"], build_directory=tmp_path
    )
    assert compiled.path.is_file()
    with pytest.raises(BadInputError, match=r"'cortex-m85': has no emulated machine; use a core"):
        run_qemu(tmp_path / "m", random_samples(1), target)


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(BadInputError, match=r"cortex-m4.*host") as caught:
        load_target("cortex-m5")
    assert "'cortex-m5'" in str(caught.value)


def test_board_file(tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    path.write_text(VALID, "utf-8")
    target = load_target(path)
    assert (target.sram_bytes, target.flash_bytes) == (65536, 262144)
    assert load_target(str(path)) == target


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('core = "cortex-m4"', 'core = "cortex-m4"\ncolour = "red"', "colour"),
        ("sram_bytes = 65536", 'sram_bytes = "65536"', "sram_bytes"),
        ("sram_bytes = 65536", "sram_bytes = 0", "sram_bytes=0"),
        ('isa = ["dsp", "ref"]', 'isa = ["dsp"]', "'ref'"),
        ('kind = "ram"', 'kind = "code"', "kind 'ram'"),
        ("origin = 0x20000000", "origin = 0x800", "overlap"),
        ("origin = 0x20000000", "origin = 0xFFFFFFFF", "32 bits"),
        ('name = "board"', "name = board", "not a valid target"),
        ('prefix = "arm-none-eabi-"', "", "prefix"),
    ],
    ids=lambda value: value if " " not in value else None,
)
def test_bad_file_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert VALID.count(old) == 1
    path = tmp_path / "board.toml"
    path.write_text(VALID.replace(old, new), "utf-8")
    with pytest.raises(BadInputError, match=message):
        load_target(path)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"none\.toml"):
        load_target(tmp_path / "none.toml")


CODE = MemoryRegion(name="code", kind="code", origin=0, bytes=1000)
SMALL = MemoryRegion(name="small", kind="ram", origin=0x20000000, bytes=500)
LARGE = MemoryRegion(name="large", kind="ram", origin=0x60000000, bytes=5000)


def test_constants_lie_beside_the_code_where_they_fit() -> None:
    placement = place_sections(
        (CODE, SMALL, LARGE), code_bytes=400, constant_bytes=600, data_bytes=500
    )
    assert (placement.code, placement.constants, placement.data) == (CODE, CODE, SMALL)


def test_constants_and_data_that_do_not_fit_go_to_larger_regions() -> None:
    placement = place_sections(
        (CODE, SMALL, LARGE), code_bytes=400, constant_bytes=601, data_bytes=501
    )
    assert (placement.code, placement.constants, placement.data) == (CODE, LARGE, LARGE)
    assert ".rodata : { . = ALIGN(16); *(.rodata .rodata.*) } > large" in linker_script(placement)


def test_regions_are_not_filled_twice() -> None:
    with pytest.raises(DoesNotFitError, match="constants of 3000 bytes"):
        place_sections((CODE, SMALL, LARGE), code_bytes=1, constant_bytes=3000, data_bytes=2001)
