# SPDX-License-Identifier: Apache-2.0
"""Random models under random plans of all primitives, on this machine and on an emulated Cortex-M7."""

from __future__ import annotations

import multiprocessing
import random as standard
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from support.planned import MODES
from support.random_graphs import GraphSpec, graph_specs
from support.random_plans import PlanSpec, plan_specs
from support.schedule_cases import ScheduleCase, check_on_core, check_on_host, planned
from support.seeded_draws import drawn

CORE = "cortex-m7"
TARGETS = ("host", "cortex-m4", CORE, "cortex-m55")
"""Whose kernels take turns on the host; on the emulated core it is that core's own."""
_STEP = 20


@dataclass(frozen=True)
class ScheduleCampaign:
    """Cases 0 to ``count`` - 1 of a seed; each ``emulate_every``-th also runs on CORE (0: none)."""

    seed: int
    count: int
    emulate_every: int = 0

    def is_emulated(self, index: int) -> bool:
        return self.emulate_every > 0 and index % self.emulate_every == 0


@dataclass
class ScheduleReport:
    """How many cases ran where, how many have which primitives, and what was found."""

    places: Counter[str] = field(default_factory=Counter)
    primitives: Counter[tuple[str, str]] = field(default_factory=Counter)
    findings: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, other: ScheduleReport) -> None:
        self.places.update(other.places)
        self.primitives.update(other.primitives)
        self.findings += other.findings

    def text(self) -> str:
        ran = ", ".join(f"{count} on {place}" for place, count in sorted(self.places.items()))
        rate = self.places["host"] / max(self.seconds, 1e-9)
        return (
            f"{ran or 'no cases'} in {self.seconds:.0f} s ({rate:.1f} per second); "
            f"findings: {len(self.findings)}"
        )

    def table(self) -> Iterator[str]:
        for place in sorted(self.places):
            counts = ((p, n) for (where, p), n in sorted(self.primitives.items()) if where == place)
            yield f"plans on {place} with " + ", ".join(f"{p}: {n}" for p, n in counts)


def schedule_case(seed: int, index: int, *, on_core: bool = False) -> ScheduleCase:
    """Case ``index`` of a seed; on the emulated core with that core's kernels."""
    random = standard.Random(f"schedules:{seed}:{index}")
    model: GraphSpec | None = None
    schedule: PlanSpec | None = None
    while model is None or schedule is None:
        model, schedule = drawn(graph_specs(), random), drawn(plan_specs(), random)
    mode, target = random.choice(MODES), random.choice(TARGETS)
    return ScheduleCase(model, schedule, mode, CORE if on_core else target)


def run_case(seed: int, index: int, *, on_core: bool) -> ScheduleReport:
    """One case in one place."""
    report, place = ScheduleReport(), CORE if on_core else "host"
    try:
        subject = planned(schedule_case(seed, index, on_core=on_core))
        with tempfile.TemporaryDirectory(prefix="edgekit-schedules-") as folder:
            (check_on_core if on_core else check_on_host)(subject, Path(folder))
        report.primitives.update((place, p) for p in set(subject.primitives))
    except Exception as error:
        report.findings.append((f"{seed}:{index}", f"on {place}: {type(error).__name__}: {error}"))
    report.places[place] += 1
    return report


def run_part(campaign: ScheduleCampaign, first: int, end: int) -> ScheduleReport:
    """Cases ``first`` to ``end`` - 1."""
    report = ScheduleReport()
    for index in range(first, end):
        report.add(run_case(campaign.seed, index, on_core=False))
        if campaign.is_emulated(index):
            report.add(run_case(campaign.seed, index, on_core=True))
    return report


def _run_part(arguments: tuple[ScheduleCampaign, int, int]) -> ScheduleReport:
    return run_part(*arguments)


def run(campaign: ScheduleCampaign, *, workers: int, seconds: float | None) -> ScheduleReport:
    """All cases, or as many as are done in ``seconds``; its table and findings printed."""
    report, started = ScheduleReport(), time.monotonic()
    starts = range(0, campaign.count, _STEP)
    parts = [(campaign, first, min(first + _STEP, campaign.count)) for first in starts]
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for part in pool.imap_unordered(_run_part, parts):
            report.add(part)
            report.seconds = time.monotonic() - started
            if seconds is not None and report.seconds > seconds:
                break
    for line in report.table():
        print(line)
    for case, detail in report.findings:
        print(f"FOUND {case} {detail}\n  again: python -m fuzz --kind schedules {case}")
    print(f"fuzz schedules: seed {campaign.seed}: {report.text()}")
    return report


def again(text: str) -> bool:
    """Run one case ("seed:index") on the host and on the emulated core; whether it is right."""
    seed, index = (int(word) for word in text.split(":"))
    print(schedule_case(seed, index))
    right = True
    for on_core in (False, True):
        found = run_case(seed, index, on_core=on_core).findings
        print(f"  {CORE if on_core else 'host'}: {found[0][1] if found else 'right'}")
        right &= not found
    return right
