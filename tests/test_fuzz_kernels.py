# SPDX-License-Identifier: Apache-2.0
"""A fixed share of `make fuzz`: every kernel equals its reference on random layers, on every core."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from fuzz import kernels as campaign
from support import kernel_trials
from support.random_trials import ISAS, CaseId, kernels_of, random_trial
from support.trial_batches import TrialBatches
from support.trial_memory import trial_memory

from edgekit.emit.runtime_files import runtime_files
from edgekit.kernel import Kernel
from edgekit.ops import Operator, _dsp_pairs
from edgekit.target import load_target

SEED = 20
COUNTS = {
    ("ref", "host"): 435,
    ("c", "host"): 310,
    ("dsp", "host"): 260,
    ("mve", "host"): 200,
    **{("c", core): 155 for core in ("rv32imc", "cortex-m0plus", "cortex-m4", "cortex-m55")},
    **{("dsp", core): 39 for core in ("cortex-m7", "cortex-m33", "cortex-m55")},
    ("dsp", "cortex-m4"): 260,
    ("mve", "cortex-m55"): 200,
}
"""Cases of each family on each core."""
RequireEmulator = Callable[[str], None]


def test_every_core_of_the_campaign_is_tried() -> None:
    planned = {(isa, core) for isa, cores in campaign.CORES.items() for core in cores}
    assert set(COUNTS) >= planned - {("ref", "cortex-m0plus")}  # it has no code of its own


@pytest.mark.parametrize(("isa", "core"), COUNTS)
def test_kernels_equal_the_reference(
    isa: str, core: str, require_emulator: RequireEmulator
) -> None:
    if core != campaign.HOST:
        require_emulator(core)
    count = COUNTS[isa, core]
    report = campaign.run(list(campaign.batches([isa], core, seed=SEED, count=count)))
    assert not report.findings, report.findings
    assert sum(report.cases.values()) == count
    assert {symbol for _, symbol, _ in report.cases} == {k.symbol for _, k in kernels_of(isa)}


def test_the_cores_of_a_family_share_its_cases() -> None:
    planned = list(campaign.batches(["c", "mve"], None, seed=1, count=3001))
    for isa in ("c", "mve"):
        parts = [batch for batch in planned if batch.isa == isa]
        indices = [i for batch in parts for i in range(batch.first, batch.end)]
        assert indices == list(range(3001))
        assert {batch.core for batch in parts} == set(campaign.CORES[isa])


@pytest.mark.parametrize("isa", ISAS)
def test_a_name_gives_the_same_case(isa: str) -> None:
    """And other numbers other cases."""

    def content(case: CaseId) -> bytes:
        memory = trial_memory(random_trial(case))
        return b"".join(np.ascontiguousarray(a).tobytes() for a in (memory.operands, memory.after))

    cases = [CaseId(isa, seed, index) for seed in (0, 1) for index in range(8)]
    found = [content(case) for case in cases]
    assert found == [content(CaseId.parse(str(case))) for case in cases]
    assert len(set(found)) == len(cases)


def test_a_case_runs_again_by_its_name(repository: Path) -> None:
    command = [sys.executable, "-m", "fuzz", "--kind", "kernels", "--core", "host", "mve:0:1"]
    environment = {**os.environ, "PYTHONPATH": str(repository / "tests")}
    completed = subprocess.run(
        command, cwd=repository, env=environment, capture_output=True, text=True, timeout=300
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    assert "mve:0:1: ek_conv2d_s8_interleaved__mve_3x2 of conv2d" in completed.stdout
    assert "host: right" in completed.stdout


@dataclass(frozen=True)
class Mistake:
    """A change of a runtime file, and a kernel that it breaks."""

    symbol: str
    core: str
    file: str
    right: str
    wrong: str
    cases: int = 12


READ_TOO_FAR = """  (void)scratch;
  for (int32_t ky = 0; ky < layer->kernel_height; ky++) {
    if (rows[ky] != NULL) {
      ((volatile const int8_t *)rows[ky])[layer->input_width * row_channels];
    }
  }
"""
MISTAKES: dict[str, Mistake] = {
    **{
        f"a read behind an input on {core}": Mistake(
            "ek_max_pool2d_s8__ref",
            core,
            "ek_max_pool2d_s8__ref.c",
            "  (void)scratch;\n",
            READ_TOO_FAR,
            cases=3,
        )
        for core in ("host", "cortex-m0plus", "rv32imc", "cortex-m4", "cortex-m33", "cortex-m55")
    },
    "a channel beyond the last": Mistake(
        "ek_max_pool2d_s8__ref",
        "host",
        "ek_max_pool2d_s8__ref.c",
        "c < row_channels; c++",
        "c <= row_channels; c++",
        cases=4,
    ),
    "the tail of a Helium loop": Mistake(
        "ek_pointwise_s8_interleaved__mve_3x2",
        "cortex-m55",
        "ek_mve_dot__arm.c",
        "vctp.32 r0",
        "vctp.16 r0",
    ),
    "a tie rounded the other way on Helium": Mistake(
        "ek_pointwise_s8_interleaved__mve_3x2",
        "cortex-m55",
        "ek_mve_dot__arm.c",
        '"vadd.i32 " q ", " q ", q2\\n"',
        '""',
        cases=100,
    ),
    "a product of Armv6-M": Mistake(
        "ek_dot_pointwise_s8__c",
        "cortex-m0plus",
        "ek_dot_tile__thumb1.c",
        '"muls r7, r6\\n"',
        '"muls r7, r5\\n"',
    ),
    "the odd bytes of a word on Cortex-M4": Mistake(
        "ek_pointwise_s8__dsp_4x2",
        "cortex-m4",
        "ek_dsp_pointwise_tile__arm.c",
        "sxtb16 r7, r7, ror #8",
        "sxtb16 r7, r6, ror #8",
    ),
}


@contextmanager
def made(mistake: Mistake) -> Iterator[None]:
    def files(kernels: list[str], headers: list[str]) -> dict[str, str]:
        found = runtime_files(kernels, headers)
        assert mistake.right in found[mistake.file]
        found[mistake.file] = found[mistake.file].replace(mistake.right, mistake.wrong)
        return found

    with mock.patch.object(kernel_trials, "runtime_files", files):
        yield


def found_wrong(
    kernel: Kernel, operator: Operator, core: str, count: int, folder: Path
) -> dict[str, str]:
    """Wrong ones among the first cases of a kernel."""
    kernels = kernels_of(kernel.isa)
    first = kernels.index((operator, kernel))
    indices = range(first, first + count * len(kernels), len(kernels))
    target = None if core == campaign.HOST else load_target(core)
    trials = [random_trial(CaseId(kernel.isa, SEED, index)) for index in indices]
    return TrialBatches(folder, [kernel], target).failing(trials)


def kernel_of(symbol: str) -> tuple[Operator, Kernel]:
    pairs = (pair for isa in ISAS for pair in kernels_of(isa))
    return next(pair for pair in pairs if pair[1].symbol == symbol)


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_found(name: str, tmp_path: Path, require_emulator: RequireEmulator) -> None:
    mistake = MISTAKES[name]
    if mistake.core != campaign.HOST:
        require_emulator(mistake.core)
    operator, kernel = kernel_of(mistake.symbol)
    with made(mistake):
        assert found_wrong(kernel, operator, mistake.core, mistake.cases, tmp_path)


def test_a_wrong_precondition_is_found(tmp_path: Path, require_emulator: RequireEmulator) -> None:
    """Sums of two channels that meet in their lane: layers lie around the limit. The portable twin
    has lanes of 64 bits.
    """
    require_emulator("cortex-m4")
    operator, kernel = kernel_of("ek_pointwise_s8__dsp_4x2")
    with mock.patch.object(_dsp_pairs, "_SPLIT_LIMIT", 2**24):
        assert found_wrong(kernel, operator, "cortex-m4", 1000, tmp_path)


def test_a_layer_that_cannot_be_packed_is_found() -> None:
    """The other cases of the batch run."""

    def fails(*_: object) -> None:
        raise KeyError("weights")

    batch = campaign.Batch("mve", "host", SEED, 0, 8)
    _, kernel = CaseId("mve", SEED, 3).kernel
    broken = replace(kernel, pack=fails)
    kernels = tuple((op, broken if k is kernel else k) for op, k in kernels_of("mve"))
    with mock.patch("support.random_trials.kernels_of", return_value=kernels):
        report = campaign.run_batch(batch)
    assert {found.case for found in report.findings} == {f"mve:{SEED}:3", f"mve:{SEED}:7"}
    assert all("KeyError" in found.detail for found in report.findings)
