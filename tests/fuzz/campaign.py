# SPDX-License-Identifier: Apache-2.0
"""Worker processes that convert mutants one after the other; what they find is kept with its seed."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any, Protocol

from fuzz.conversion import Converter

DEATHS_IN_A_ROW = 10
"""A worker that dies so often without having converted anything cannot even start."""
WALL_SECONDS = 60.0
"""After that a worker that is not Python any more (an endless loop in a library) is killed."""


class Mutants(Protocol):
    """A source of mutated files."""

    suffix: str

    def intact(self) -> list[bytes]: ...

    def mutant(self, random: Random) -> bytes: ...


@dataclass(frozen=True)
class Plan:
    """``make`` builds the mutants inside each worker; mutant i of a seed is always the same."""

    make: Callable[[], Mutants]
    seed: int
    count: int
    seconds: float | None = None
    workers: int = 2
    cli_every: int = 100
    limit_address_space: bool = True


@dataclass(frozen=True)
class Finding:
    name: str
    data: bytes
    suffix: str
    detail: str


@dataclass
class Report:
    """Outcomes by kind, and the findings."""

    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def total(self) -> int:
        return sum(self.outcomes.values())

    def text(self) -> str:
        kinds = ", ".join(f"{kind}: {n}" for kind, n in sorted(self.outcomes.items()))
        rate = self.total / max(self.seconds, 1e-9)
        return f"{self.total} files in {self.seconds:.0f} s ({rate:.0f} per second); {kinds}"


def mutant(mutants: Mutants, seed: int, index: int) -> bytes:
    """Mutant ``index`` of a seed."""
    return mutants.mutant(Random(f"{seed}:{index}"))


def run(plan: Plan) -> Report:
    """Convert all mutants of a plan; a worker that dies or stops is replaced."""
    context = multiprocessing.get_context("spawn")
    report = Report()
    started = time.monotonic()
    workers = [_Worker(context, plan, number) for number in range(plan.workers)]
    while any(worker.is_busy for worker in workers):
        for worker in workers:
            worker.collect(report, started)
    report.seconds = time.monotonic() - started
    return report


class _Worker:
    """One process, the pipe it reports through, and the number of the mutant it is at."""

    def __init__(self, context: Any, plan: Plan, first: int) -> None:
        self._context, self._plan = context, plan
        self._place = context.Value("q", first)
        self._deaths = 0
        self._start(first)

    def _start(self, first: int) -> None:
        self._place.value = first
        self._pipe, theirs = self._context.Pipe(duplex=False)
        self._process = self._context.Process(
            target=_work, args=(self._plan, first, self._place, theirs)
        )
        self._process.start()
        theirs.close()
        self._seen, self._since = -1, time.monotonic()
        self.is_busy = True

    def collect(self, report: Report, started: float) -> None:
        """Take what the worker says; kill it where it does not move."""
        if not self.is_busy:
            return
        try:
            while self._pipe.poll(0.1):
                message = self._pipe.recv()
                if message is None:
                    self._process.join()
                    self.is_busy = False
                    return
                self._deaths = 0
                outcomes, findings = message
                report.outcomes.update(outcomes)
                report.findings += findings
        except EOFError:
            self._replace(report, f"the process died with code {self._exit_code()}")
            return
        place = self._place.value
        if place != self._seen:
            self._seen, self._since = place, time.monotonic()
        elif time.monotonic() - self._since > WALL_SECONDS:
            self._process.kill()
            self._replace(report, f"no answer after {WALL_SECONDS:g} s")

    def _exit_code(self) -> int | None:
        self._process.join()
        code: int | None = self._process.exitcode
        return code

    def _replace(self, report: Report, fact: str) -> None:
        index = int(self._place.value)
        self._process.join()
        self._deaths += 1
        if self._deaths > DEATHS_IN_A_ROW:
            raise RuntimeError(f"the workers cannot work: {fact}")
        mutants = self._plan.make()
        data = mutant(mutants, self._plan.seed, index)
        report.outcomes["finding"] += 1
        report.findings.append(Finding(f"{self._plan.seed}-{index}", data, mutants.suffix, fact))
        self._start(index + self._plan.workers)


def _work(plan: Plan, first: int, place: Any, pipe: Connection) -> None:
    """Every ``workers``-th mutant from ``first``, until the count or the time is used up."""
    mutants = plan.make()
    end = time.monotonic() + plan.seconds if plan.seconds else None
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="edgekit-fuzz-") as folder:
        converter = Converter(
            Path(folder), cli_every=plan.cli_every, limit_address_space=plan.limit_address_space
        )
        for index in range(first, plan.count, plan.workers):
            if end is not None and time.monotonic() > end:
                break
            place.value = index
            data = mutant(mutants, plan.seed, index)
            outcome = converter.check(data, mutants.suffix, number=index)
            outcomes[outcome.kind] += 1
            findings = []
            if outcome.is_finding:
                name = f"{plan.seed}-{index}"
                findings.append(Finding(name, data, mutants.suffix, outcome.detail))
            if findings or sum(outcomes.values()) >= 50:
                pipe.send((outcomes, findings))
                outcomes = Counter()
    pipe.send((outcomes, []))
    pipe.send(None)
    pipe.close()
