# SPDX-License-Identifier: Apache-2.0
"""The schedule campaign of `make fuzz`: the same cases for a seed, and mistakes are found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
from fuzz import schedules
from support.schedule_cases import check_on_core, planned

from edgekit.window import Axis

SEED = 20


def test_a_seed_gives_the_same_cases() -> None:
    cases = [schedules.schedule_case(SEED, index) for index in range(20)]
    assert cases == [schedules.schedule_case(SEED, index) for index in range(20)]
    assert len({repr(case) for case in cases}) == 20
    assert {case.target for case in cases} == set(schedules.TARGETS)


def test_a_few_cases_are_right() -> None:
    report = schedules.run_part(schedules.ScheduleCampaign(SEED, 10), 0, 10)
    assert not report.findings
    assert report.places == {"host": 10}
    assert {primitive for _, primitive in report.primitives} >= {"L", "C", "H", "B"}


@pytest.mark.parametrize("primitive", ["H", "B"])
def test_tiles_on_an_emulated_core(
    primitive: str, tmp_path: Path, require_emulator: Callable[[str], None]
) -> None:
    """The first case of the seed that has one."""
    require_emulator(schedules.CORE)
    cases = (schedules.schedule_case(SEED, index, on_core=True) for index in range(100))
    subject = next(p for p in map(planned, cases) if primitive in p.primitives)
    check_on_core(subject, tmp_path)


def test_a_mistake_is_found() -> None:
    """Strips that are padded at the wrong end."""
    right = Axis.part

    def wrong(axis: Axis, begin: int, end: int, size: int) -> tuple[Axis, int, int] | None:
        found = right(axis, begin, end, size)
        if found is None:
            return None
        part = found[0]
        turned = replace(part, pad_before=part.pad_after, pad_after=part.pad_before)
        return turned, *found[1:]

    with mock.patch.object(Axis, "part", wrong):
        report = schedules.run_part(schedules.ScheduleCampaign(SEED, 10), 0, 10)
    assert report.findings
