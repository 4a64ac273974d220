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
    "use of a loaded value": ("ldr r0, [sp]\nadds r0, #1\n" * 3, 3 * 3),
    "64 bits per cycle": ("ldmia sp, {r0-r3}\n" * 2, 2 * 2),
}
CASES = [
    pytest.param(core, body, cycles, id=f"{core}-{name}")
    for core, table in (("cortex-m4", M4_CYCLES), ("cortex-m7", M7_CYCLES))
    for name, (body, cycles) in table.items()
]


def modelled_cycles(directory: Path, core: str, body: str) -> int:
    profile = profile_qemu(write_model(directory, spin_body=body), load_target(core))
    assert profile.total_cycles_model is not None
    return profile.total_cycles_model


@pytest.mark.parametrize(("core", "body", "cycles"), CASES)
def test_sequence(
    core: str,
    body: str,
    cycles: int,
    tmp_path: Path,
    require_program: Callable[[str], str],
) -> None:
    """Between two nops on either side, so that the neighbours stay the same."""
    for program in ("arm-none-eabi-gcc", "qemu-system-arm", "cc"):
        require_program(program)
    around = "nop\nnop\n"
    plain = modelled_cycles(tmp_path / "plain", core, around + around)
    longer = modelled_cycles(tmp_path / "longer", core, around + body + around)
    assert longer - plain == cycles
