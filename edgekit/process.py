# SPDX-License-Identifier: Apache-2.0
"""The one function through which external programs go: logged, limited in time, with a remedy."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.errors import EdgekitError, MissingProgramError

_STDERR_TAIL_LINES = 8
_LOGGER = logging.getLogger(__name__)

_DEBIAN_PACKAGES: Mapping[str, str] = {
    "cc": "gcc",
    "gcc": "gcc",
    "clang": "clang",
    "clang-format": "clang-format",
    "make": "make",
    "qemu-system-arm": "qemu-system-arm",
    "qemu-system-riscv32": "qemu-system-misc",
}
_CROSS_PACKAGES: Mapping[str, str] = {
    "arm-none-eabi-": "gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "riscv64-unknown-elf-": "gcc-riscv64-unknown-elf",
}
"""By what the names of a cross compiler and its tools begin with."""


@dataclass(frozen=True)
class CompletedProgram:
    """An external program that ended; text is decoded as UTF-8, bad bytes replaced."""

    command: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str


class ProgramFailedError(EdgekitError):
    """An external program ended with another code than 0; ``completed`` has what it said."""

    def __init__(self, completed: CompletedProgram) -> None:
        self.completed = completed
        super().__init__(
            f"{_program_name(completed.command)}: {_describe_returncode(completed.returncode)}: "
            f"{stderr_tail(completed)}; the command was: {shlex.join(completed.command)}"
        )


class ProgramTimeoutError(EdgekitError):
    """An external program did not end within its time limit and was killed."""

    def __init__(self, command: tuple[str, ...], timeout_seconds: float) -> None:
        super().__init__(
            f"{_program_name(command)}: killed, it ran longer than {timeout_seconds:g} s; "
            f"the command was: {shlex.join(command)}"
        )


def run_program(
    command: Sequence[str | Path],
    *,
    timeout_seconds: float,
    cwd: Path | None = None,
    dry_run: bool = False,
) -> CompletedProgram:
    """Run ``command`` without a shell and wait for it; standard input is empty.

    With ``dry_run`` the command is logged at INFO and not started; the result is that of a program
    that succeeded and said nothing.

    Raises:
        MissingProgramError: the program is not installed; the message says what installs it.
        ProgramFailedError: it ended with another code than 0.
        ProgramTimeoutError: it did not end within ``timeout_seconds``; its process group is killed.
    """
    words = tuple(str(word) for word in command)
    if dry_run:
        _LOGGER.info("would run: %s", shlex.join(words))
        return CompletedProgram(command=words, returncode=0, stdout="", stderr="")
    _LOGGER.debug("run: %s", shlex.join(words))
    started = time.monotonic()
    completed = _run_to_the_end(words, timeout_seconds=timeout_seconds, cwd=cwd)
    _LOGGER.debug(
        "%s: code %d after %.2f s", words[0], completed.returncode, time.monotonic() - started
    )
    if completed.returncode != 0:
        raise ProgramFailedError(completed)
    return completed


def stderr_tail(completed: CompletedProgram) -> str:
    """The last lines of what the program wrote to stderr (else to stdout), on one line."""
    text = completed.stderr.strip() or completed.stdout.strip() or "no message"
    return " | ".join(line.strip() for line in text.splitlines()[-_STDERR_TAIL_LINES:])


def install_remedy(program: str) -> str:
    """What to do when ``program`` is missing, for the end of an error message."""
    name = Path(program).name
    package = _DEBIAN_PACKAGES.get(name)
    if package is None:
        package = next((p for start, p in _CROSS_PACKAGES.items() if name.startswith(start)), None)
    if package is None:
        return f"install {name} and put it on PATH"
    return f"install it with: apt-get install {package}"


def _run_to_the_end(
    words: tuple[str, ...], *, timeout_seconds: float, cwd: Path | None
) -> CompletedProgram:
    if cwd is not None and not cwd.is_dir():
        raise EdgekitError(f"{words[0]}: cannot run in {cwd}: no such folder; create it first")
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            start_new_session=True,
        )
    except (FileNotFoundError, PermissionError):
        raise MissingProgramError(
            f"{words[0]}: not installed or not executable; {install_remedy(words[0])}"
        ) from None
    with process:
        try:
            stdout, stderr = process.communicate(timeout=timeout_seconds)
        except subprocess.TimeoutExpired:
            _kill_group(process)
            raise ProgramTimeoutError(words, timeout_seconds) from None
        except BaseException:
            _kill_group(process)
            raise
    return CompletedProgram(
        command=words,
        returncode=process.returncode,
        stdout=stdout.decode("utf-8", errors="replace"),
        stderr=stderr.decode("utf-8", errors="replace"),
    )


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _program_name(command: tuple[str, ...]) -> str:
    return Path(command[0]).name


def _describe_returncode(returncode: int) -> str:
    if returncode >= 0:
        return f"failed with code {returncode}"
    try:
        return f"killed by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"killed by signal {-returncode}"
