# SPDX-License-Identifier: Apache-2.0
"""A pytest plugin: counts the cases that hypothesis tries, and runs a failing one of them alone."""

from __future__ import annotations

import functools
import re
import shlex
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

LEAST_CASES = 3000
"""Cases of a full run of the tests: fewer mean that a strategy rejects most of what it draws."""

_PROPERTY = "hypothesis_cases"
_REPRODUCE = re.compile(r"@reproduce_failure\('[^']*', b'([\w+/=]*)'\)")
_SELECTIONS = ("keyword", "markexpr", "lf", "collectonly", "deselect", "ignore", "ignore_glob")
"""Options of pytest that leave tests out."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("hypothesis").addoption(
        "--reproduce", metavar="CASE", help="run one case, as the failure of its test prints it"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_CaseCounter(config), "hypothesis-case-counter")


def _is_hypothesis_test(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and bool(hypothesis.is_hypothesis_test(item.obj))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Under --reproduce the only test runs the only case."""
    case = config.getoption("--reproduce")
    if case is None:
        return
    if len(items) != 1 or not _is_hypothesis_test(items[0]):
        raise pytest.UsageError("--reproduce CASE needs the id of one hypothesis test")
    (item,) = items
    assert isinstance(item, pytest.Function)
    decorate = hypothesis.reproduce_failure(hypothesis.__version__, case.encode("ascii"))
    item.obj = decorate(item.obj)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Count the cases that a test completes; those that it rejects (assume) do not count."""
    if not _is_hypothesis_test(item):
        return (yield)
    assert isinstance(item, pytest.Function)
    handle: Any = item.obj.hypothesis
    test, cases = handle.inner_test, 0

    @functools.wraps(test)
    def counted(*arguments: object, **named: object) -> None:
        __tracebackhide__ = True
        nonlocal cases
        test(*arguments, **named)
        cases += 1

    handle.inner_test = counted
    try:
        return (yield)
    finally:
        handle.inner_test = test
        item.user_properties.append((_PROPERTY, cases))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure says how to run its case alone."""
    report = yield
    if report.when == "call" and report.failed and _is_hypothesis_test(item):
        text = "\n".join([report.longreprtext, *(content for _, content in report.sections)])
        cases = dict.fromkeys(_REPRODUCE.findall(text))
        commands = "\n".join(_command(item, case) for case in cases)
        if commands:
            report.sections.append(("This case alone", commands))
    return report


def _command(item: pytest.Item, case: str) -> str:
    """The shell command, to be typed in the root folder."""
    root, python = item.config.rootpath, Path(sys.executable)
    program = python.relative_to(root) if python.is_relative_to(root) else python
    return shlex.join([str(program), "-m", "pytest", item.nodeid, "--reproduce", case])


class _CaseCounter:
    """The sum over all tests, in this process or in xdist's."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._cases = 0
        self._too_few = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            counts = (count for name, count in report.user_properties if name == _PROPERTY)
            self._cases += sum(int(str(count)) for count in counts)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if hasattr(self._config, "workerinput"):  # one of xdist's processes
            return
        passed = exitstatus == pytest.ExitCode.OK
        self._too_few = passed and self._is_full_run() and self._cases < LEAST_CASES
        if self._too_few:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _is_full_run(self) -> bool:
        no_paths = self._config.args_source == pytest.Config.ArgsSource.TESTPATHS
        return no_paths and not any(self._config.getoption(name, None) for name in _SELECTIONS)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        line = f"hypothesis: {self._cases} cases"
        if self._too_few:
            line += f"; a full run must try {LEAST_CASES}, so it fails"
        if self._cases or self._too_few:
            terminalreporter.write_line(line, red=self._too_few)
