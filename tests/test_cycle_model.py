# SPDX-License-Identifier: Apache-2.0
"""Modelled cycles of short sequences, compared with what the timing rules give by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from emulated_model import write_model

from edgekit.runners.profile import profile_qemu
from edgekit.target import load_target

M4_CYCLES = {
    "independent arithmetic": ("movs r0, #1\nmovs r1, #2\nadds r2, r0, r1\n", 3),
    "loads in a row overlap": ("ldr r0, [sp]\nldr r1, [sp]\nldr r2, [sp]\n", 2 + 1 + 1),
    "load of a loaded address": ("str sp, [sp, #-4]\nldr r0, [sp, #-4]\nldr r1, [r0]\n", 1 + 2 + 2),
    "load of four": ("ldmia sp, {r0-r3}\n", 1 + 4),
    "load of four after a load": ("ldr r0, [sp]\nldmia sp, {r0-r3}\n", 2 + 4),
    "load of two": ("ldrd r0, r1, [sp]\n", 1 + 2),
    "push and pop": ("push {r0-r3}\npop {r0-r3}\n", 5 + 5),
    "long multiply": ("smull r0, r1, r2, r3\n", 1),
    "divide": ("movs r1, #1\nudiv r0, r0, r1\n", 1 + 7),
    "branch taken": ("b 1f\nnop\n1:\n", 1 + 1),
    "branch not taken": ("cmp r0, r0\nbne 1f\n1:\n", 1 + 1),
    "loop of 100": ("movs r0, #100\n1: subs r0, #1\nbne 1b\n", 1 + 100 * 2 + 99),
}
M7_CYCLES = {
    "arithmetic pairs": ("nop\n" * 8, 4),
    "one load per cycle": ("ldr r0, [sp]\nldr r1, [sp]\nldr r2, [sp]\nldr r3, [sp]\n", 4),
    "load beside arithmetic": ("ldr r0, [sp]\nnop\n" * 4, 4),
    "one multiply per cycle": ("smlad r0, r1, r1, r0\nsmlad r2, r1, r1, r2\n" * 2, 4),
    "dependent arithmetic": ("adds r0, r0, r0\n" * 4, 4),
    "use of a loaded value": ("ldr r0, [sp]\nadds r0, #1\n" * 3, 3 * 2),
    "64 bits per cycle": ("ldmia sp, {r0-r3}\n" * 2, 2 * 2),
}
NEIGHBOURS = "nop\nnop\n"


@pytest.fixture(autouse=True)
def _programs(require_program: Callable[[str], str]) -> None:
    for program in ("arm-none-eabi-gcc", "qemu-system-arm", "cc"):
        require_program(program)


def modelled_cycles(directory: Path, core: str, body: str) -> int:
    """Cycles of the test model with ``body`` in one of its layers."""
    spin_body = NEIGHBOURS + body + NEIGHBOURS
    profile = profile_qemu(write_model(directory, spin_body=spin_body), load_target(core))
    assert profile.total_cycles_model is not None
    return profile.total_cycles_model


@pytest.mark.parametrize(("body", "cycles"), M4_CYCLES.values(), ids=M4_CYCLES)
def test_sequence_on_cortex_m4(tmp_path: Path, body: str, cycles: int) -> None:
    without = modelled_cycles(tmp_path / "without", "cortex-m4", "")
    assert modelled_cycles(tmp_path / "with", "cortex-m4", body) - without == cycles


@pytest.mark.parametrize(("body", "cycles"), M7_CYCLES.values(), ids=M7_CYCLES)
def test_sequence_on_cortex_m7(tmp_path: Path, body: str, cycles: int) -> None:
    """Twice less once: the ends of a sequence share their cycles with the neighbours."""
    once = modelled_cycles(tmp_path / "once", "cortex-m7", body)
    assert modelled_cycles(tmp_path / "twice", "cortex-m7", body + body) - once == cycles
