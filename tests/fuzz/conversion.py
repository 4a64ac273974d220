# SPDX-License-Identifier: Apache-2.0
"""One file through the whole conversion: a result, a refusal of printable lines, or a finding."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import re
import resource
import shutil
import signal
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.cli import main
from edgekit.converters.load import load_model
from edgekit.converters.samples import noise_samples
from edgekit.errors import EdgekitError
from edgekit.ir import QGraph
from edgekit.pipeline import ConvertOptions, convert_model, to_integers
from edgekit.target import Target, load_target

CPU_SECONDS = 5.0
MEMORY_BYTES = 2**30
LONGEST_LINE = 4000
REFUSALS = (2, 3, 4)
TARGETS = ("cortex-m4", "cortex-m0plus")
_PATHS = re.compile(
    rb"^(model\.[ch]|manifest\.json|CMakeLists\.txt|example/main\.c|\w+\.[ch]|reference/.+)$"
)


class Hang(BaseException):
    """The CPU time is used up; not an Exception, so that no handler swallows it."""


@dataclass(frozen=True)
class Outcome:
    """``kind`` is converted, exit 2, exit 3, exit 4, or finding; ``detail`` is for findings."""

    kind: str
    detail: str = ""

    @property
    def is_finding(self) -> bool:
        return self.kind == "finding"


class Converter:
    """Converts files one after the other in this process, each within the limits."""

    def __init__(
        self, folder: Path, *, cli_every: int = 100, limit_address_space: bool = True
    ) -> None:
        self._folder = folder
        self._targets: list[Target] = [load_target(name) for name in TARGETS]
        self._cli_every = cli_every
        self._limit = limit_address_space

    def check(self, data: bytes, suffix: str, *, number: int = 0) -> Outcome:
        """Convert ``data``; every ``cli_every``-th number goes through the command line."""
        path = self._folder / f"mutant{suffix}"
        path.write_bytes(data)
        through_cli = number % self._cli_every == 0
        forget_peak_memory()
        try:
            with _limits(address_space=self._limit):
                kind = self._command_line(path) if through_cli else self._stages(path, number)
        except Hang:
            return Outcome("finding", f"more than {CPU_SECONDS:g} s of CPU time\n{_where()}")
        except AssertionError as error:
            return Outcome("finding", f"{error}\n{traceback.format_exc()}")
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            return Outcome("finding", traceback.format_exc())
        peak = peak_memory()
        if peak > MEMORY_BYTES:
            return Outcome("finding", f"{kind}, but it took {peak} bytes of memory")
        return Outcome(kind)

    def _stages(self, path: Path, number: int) -> str:
        target = self._targets[number % len(self._targets)]
        try:
            imported = load_model(str(path))
            few = None if isinstance(imported.graph, QGraph) else noise_samples
            integers = to_integers(imported, few and few(imported.graph, 2, 0))
            sources = convert_model(integers, ConvertOptions(target))
        except EdgekitError as error:
            _check_lines(error.lines, error.exit_code)
            return f"exit {error.exit_code}"
        check_files(sources.files)
        return "converted"

    def _command_line(self, path: Path) -> str:
        """The same through the CLI: exit code, lines on stderr, and what is in the folder."""
        output = self._folder / "out" / "model"
        shutil.rmtree(output.parent, ignore_errors=True)
        output.parent.mkdir()
        streams = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
            code = main(["convert", str(path), "-t", "cortex-m4", "-o", str(output)])
        lines = streams[1].getvalue().splitlines()
        assert code == 0 or code in REFUSALS, "\n".join([f"exit code {code}", *lines])
        assert all(line.startswith(("error: ", "warning: ")) for line in lines), "\n".join(lines)
        left = sorted(entry.name for entry in output.parent.iterdir())
        if code == 0:
            assert left == ["model"], f"left beside the folder: {left}"
            files = (p for p in sorted(output.rglob("*")) if p.is_file())
            check_files({p.relative_to(output).as_posix(): p.read_bytes() for p in files})
            return "converted"
        assert left == [], f"exit code {code}, but it wrote {left}"
        _check_lines([line.removeprefix("error: ") for line in lines], code)
        return f"exit {code}"


def check_files(files: Any) -> None:
    """The manifest is JSON, all C is ASCII without trigraphs, and no file has a strange name."""
    manifest = json.loads(files["manifest.json"])
    assert manifest["name"] == "model"
    for name, content in files.items():
        assert _PATHS.match(name.encode()), f"a file of the name {name!r}"
        if name.endswith((".c", ".h")):
            assert content.isascii(), f"{name} is not ASCII"
            assert b"??" not in content, f"{name} has a trigraph"


def _check_lines(lines: Any, exit_code: int) -> None:
    assert exit_code in REFUSALS, f"exit code {exit_code}: {lines}"
    assert lines, "a refusal without a reason"
    for line in lines:
        assert line.strip(), "an empty line"
        assert line.isprintable(), f"not one printable line: {line!r}"
        assert len(line) <= LONGEST_LINE, f"a line of {len(line)} characters: {line[:200]}"


@contextlib.contextmanager
def _limits(*, address_space: bool) -> Iterator[None]:
    """CPU time and address space; numpy's warnings raise."""

    def on_time(*_: Any) -> None:
        raise Hang

    before = signal.signal(signal.SIGPROF, on_time)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if address_space:
        resource.setrlimit(resource.RLIMIT_AS, (_status_bytes("VmSize") + MEMORY_BYTES, hard))
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            warnings.filterwarnings("ignore", category=FutureWarning)
            yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _where() -> str:
    return "".join(itertools.islice(traceback.format_exc().splitlines(keepends=True), 60))


def _status_bytes(key: str) -> int:
    text = Path("/proc/self/status").read_text("ascii")
    line = next(line for line in text.splitlines() if line.startswith(f"{key}:"))
    return 1024 * int(line.split()[1])


def forget_peak_memory() -> None:
    """Start the high-water mark of this process's memory anew."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", "ascii")


def peak_memory() -> int:
    """The most memory that this process has had since :func:`forget_peak_memory`, in bytes."""
    return _status_bytes("VmHWM")
