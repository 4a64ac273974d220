# SPDX-License-Identifier: Apache-2.0
"""The count of hypothesis's cases, and the command that runs one failing case alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.hypothesis_cases import LEAST_CASES

PASSING = """
from hypothesis import assume, given, settings, strategies as st

@settings(max_examples={count}, database=None)
@given(number=st.integers())
def test_even(number):
    assume(number % 2 == 0)
"""
FAILING = """
from pathlib import Path
import pytest
from hypothesis import given, settings, strategies as st

@pytest.mark.parametrize("limit", [1000, 77], ids=["far away", "near"])
@settings(database=None, print_blob=True)
@given(number=st.integers(), text=st.text())
def test_stays_below(number, text, limit):
    with Path("tried").open("a") as log:
        log.write(f"{limit} {number} {text!a}\\n")
    assert number < limit
"""


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "pytest.ini").write_text("[pytest]\ntestpaths = .\naddopts = -p no:cacheprovider\n")
    return run([sys.executable, "-m", "pytest", *arguments], folder)


def run(command: Sequence[str] | str, folder: Path) -> subprocess.CompletedProcess[str]:
    tests = Path(__file__).parent
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tests), os.environ.get("PYTHONPATH", "")]),
        "PYTEST_PLUGINS": "support.hypothesis_cases",
    }
    shell = isinstance(command, str)
    return subprocess.run(
        command, shell=shell, cwd=folder, env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize("jobs", ["0", "2"])
def test_full_run_with_few_cases_fails(jobs: str, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"test_{name}.py").write_text(PASSING.format(count=20))
    completed = run_pytest(tmp_path, "-n", jobs)
    assert completed.returncode == pytest.ExitCode.TESTS_FAILED, completed.stdout
    line = f"hypothesis: 40 cases; a full run must try {LEAST_CASES}, so it fails\n"
    assert line in completed.stdout
    assert "2 passed" in completed.stdout.splitlines()[-1]


@pytest.mark.parametrize("jobs", ["0", "2"])
def test_full_run_with_enough_cases_passes(jobs: str, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"test_{name}.py").write_text(PASSING.format(count=LEAST_CASES // 2))
    completed = run_pytest(tmp_path, "-n", jobs)
    assert completed.returncode == 0, completed.stdout
    assert f"hypothesis: {LEAST_CASES} cases\n" in completed.stdout


@pytest.mark.parametrize("selection", [["test_one.py"], ["-k", "even"], ["--collect-only"]])
def test_a_part_of_the_tests_may_have_few_cases(selection: list[str], tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text(PASSING.format(count=20))
    completed = run_pytest(tmp_path, *selection)
    assert completed.returncode == 0, completed.stdout
    assert ("hypothesis: 20 cases\n" in completed.stdout) == ("--collect-only" not in selection)


def test_printed_command_runs_the_failing_case_alone(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(FAILING)
    completed = run_pytest(tmp_path)
    assert completed.returncode == pytest.ExitCode.TESTS_FAILED, completed.stdout
    commands = [line for line in completed.stdout.splitlines() if " --reproduce " in line]
    assert len(commands) == 2, completed.stdout
    for limit, command in zip(("1000", "77"), commands, strict=True):
        (tmp_path / "tried").unlink()
        again = run(command, tmp_path)
        assert again.returncode == pytest.ExitCode.TESTS_FAILED, again.stdout
        assert "1 failed" in again.stdout
        assert (tmp_path / "tried").read_text() == f"{limit} {limit} ''\n"


def test_reproduction_of_a_mended_case_says_so(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(FAILING)
    completed = run_pytest(tmp_path, "test_it.py::test_stays_below[near]")
    (command,) = (line for line in completed.stdout.splitlines() if " --reproduce " in line)
    (tmp_path / "test_it.py").write_text(FAILING.replace("number < limit", "number <= limit"))
    assert "DidNotReproduce" in run(command, tmp_path).stdout


def test_reproduction_needs_one_test(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(FAILING)
    completed = run_pytest(tmp_path, "--reproduce", "AAA=")
    assert completed.returncode == pytest.ExitCode.USAGE_ERROR
    assert "needs the id of one hypothesis test" in completed.stderr + completed.stdout
