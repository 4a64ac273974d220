# SPDX-License-Identifier: Apache-2.0
"""Random layers through every kernel, on this machine and on emulated cores, against the reference.

A case is a layer with its inputs, layouts, columns and channels (support/random_trials.py). What a
program leaves in memory must be what the reference says, guards and bytes outside of the asked-for
columns included; on the host AddressSanitizer watches all reads, and its sibling undefined behaviour.
"""

from __future__ import annotations

import functools
import multiprocessing
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from support.random_trials import ISAS, CaseId, kernels_of, random_trial
from support.trial_batches import TrialBatches
from support.trial_memory import Trial

from edgekit.target import load_target

HOST = "host"
CORES: Mapping[str, tuple[str, ...]] = {
    "ref": (HOST, "cortex-m0plus"),
    "c": (HOST, "cortex-m0plus", "rv32imc", "cortex-m4", "cortex-m55"),
    "dsp": (HOST, "cortex-m4"),
    "mve": (HOST, "cortex-m55"),
}
"""Where a family runs: its portable C on the host, and every core that has code of its own."""
BATCH = 500


@dataclass(frozen=True)
class Batch:
    """Cases ``first`` to ``end`` - 1 of a family and a seed, in one program for a core."""

    isa: str
    core: str
    seed: int
    first: int
    end: int


@dataclass(frozen=True)
class KernelFinding:
    """A case that a kernel got wrong, or that stopped the program."""

    case: str
    core: str
    kernel: str
    detail: str

    @property
    def command(self) -> str:
        return f"python -m fuzz --kind kernels --core {self.core} {self.case}"


@dataclass
class KernelReport:
    """Cases by (isa, kernel symbol, core), and the findings."""

    cases: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    findings: list[KernelFinding] = field(default_factory=list)
    seconds: float = 0.0

    def table(self) -> Iterator[str]:
        """Cases of every kernel, and of every family on every core."""
        by_kernel: Counter[tuple[str, str]] = Counter()
        by_core: Counter[tuple[str, str]] = Counter()
        for (isa, symbol, core), count in self.cases.items():
            by_kernel[isa, symbol] += count
            by_core[isa, core] += count
        for (isa, symbol), count in sorted(by_kernel.items()):
            yield f"{isa:4} {symbol:50} {count:8}"
        for (isa, core), count in sorted(by_core.items()):
            yield f"{isa:4} on {core:47} {count:8}"

    def text(self) -> str:
        total = sum(self.cases.values())
        rate = total / max(self.seconds, 1e-9)
        return (
            f"{total} cases in {self.seconds:.0f} s ({rate:.0f} per second); "
            f"findings: {len(self.findings)}"
        )


def batches(families: Sequence[str], core: str | None, *, seed: int, count: int) -> Iterator[Batch]:
    """``count`` cases of every family, spread over its cores or all on one."""
    for isa in families:
        cores = (core,) if core else CORES[isa]
        cuts = [count * part // len(cores) for part in range(len(cores) + 1)]
        for place, begin, end in zip(cores, cuts, cuts[1:], strict=False):
            for first in range(begin, end, BATCH):
                yield Batch(isa, place, seed, first, min(first + BATCH, end))


def run_batch(batch: Batch) -> KernelReport:
    """Make the trials of a batch and run them; what cannot even be made or packed is a finding."""
    cases = [CaseId(batch.isa, batch.seed, index) for index in range(batch.first, batch.end)]
    symbols = {str(case): case.kernel[1].symbol for case in cases}
    trials: list[Trial] = []
    wrong: dict[str, str] = {}
    for case in cases:
        try:
            trials.append(random_trial(case))
        except Exception as error:
            wrong[str(case)] = f"{type(error).__name__}: {error}"
    wrong |= _programs(batch.isa, batch.core).failing(trials)
    return KernelReport(
        Counter((batch.isa, symbol, batch.core) for symbol in symbols.values()),
        [KernelFinding(n, batch.core, symbols[n], detail) for n, detail in sorted(wrong.items())],
    )


class _Programs:
    """A folder with the kernels of a family, compiled for a core; gone with the process."""

    def __init__(self, isa: str, core: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="edgekit-kernels-")
        target = None if core == HOST else load_target(core)
        kernels = (kernel for _, kernel in kernels_of(isa))
        self.failing = TrialBatches(Path(self._folder.name), kernels, target).failing


@functools.cache
def _programs(isa: str, core: str) -> _Programs:
    return _Programs(isa, core)


def run(
    planned: Sequence[Batch], *, workers: int = 1, seconds: float | None = None
) -> KernelReport:
    """All batches, or as many as are begun in ``seconds``."""
    report, started = KernelReport(), time.monotonic()
    for part in _results(planned, workers):
        report.cases.update(part.cases)
        report.findings += part.findings
        report.seconds = time.monotonic() - started
        if seconds is not None and report.seconds > seconds:
            break
    return report


def _results(planned: Sequence[Batch], workers: int) -> Iterator[KernelReport]:
    if workers == 1:
        yield from map(run_batch, planned)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap_unordered(run_batch, planned)


def campaign(
    families: Sequence[str],
    core: str | None,
    *,
    seed: int,
    count: int,
    workers: int,
    seconds: float | None,
) -> KernelReport:
    """One campaign, its table and findings printed."""
    planned = list(batches(families or ISAS, core, seed=seed, count=count))
    report = run(planned, workers=workers, seconds=seconds)
    for line in report.table():
        print(line)
    for found in report.findings:
        print(f"FOUND {found.case} on {found.core}: {found.kernel}: {found.detail}")
        print(f"  again: {found.command}")
    print(f"fuzz kernels: seed {seed}: {report.text()}")
    return report


def again(text: str, core: str | None) -> bool:
    """Run one case, on its family's cores or on one, and say what it is; whether it is right."""
    case = CaseId.parse(text)
    trial = random_trial(case)
    call = trial.call
    shapes = " and ".join(f"{t.dtype}{list(t.shape)}" for t in call.inputs)
    print(f"{case}: {trial.kernel.symbol} of {call.node.op} {shapes} -> {list(call.output.shape)}")
    print(f"  {call.node.attributes}\n  {call.node.arithmetic}")
    print(f"  {trial.binding}, columns {trial.ranges}, channels {trial.block}")
    right = True
    for place in (core,) if core else CORES[case.isa]:
        wrong = _programs(case.isa, place).failing([trial])
        print(f"  {place}: {'right' if not wrong else wrong[str(case)]}")
        right &= not wrong
    return right
