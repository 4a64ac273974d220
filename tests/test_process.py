# SPDX-License-Identifier: Apache-2.0
"""External programs: their output, their failures, their time limit, and what is missing."""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path

import pytest

from edgekit.errors import EdgekitError, MissingProgramError
from edgekit.process import (
    ProgramFailedError,
    ProgramTimeoutError,
    install_remedy,
    run_program,
)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_output_and_folder_of_a_program(tmp_path: Path) -> None:
    code = "import os, sys; print(os.getcwd()); sys.stderr.write('note')"
    completed = run_program(python(code), timeout_seconds=20, cwd=tmp_path)
    assert completed.returncode == 0
    assert completed.stdout == f"{tmp_path.resolve()}\n"
    assert completed.stderr == "note"


def test_standard_input_is_empty_and_bad_bytes_are_replaced() -> None:
    code = "import sys; assert sys.stdin.read() == ''; sys.stdout.buffer.write(b'a\\xffb')"
    assert run_program(python(code), timeout_seconds=20).stdout == "a\N{REPLACEMENT CHARACTER}b"


def test_no_shell_interprets_the_arguments(tmp_path: Path) -> None:
    argument = "$(touch owned); *"
    completed = run_program(
        [sys.executable, "-c", "import sys; print(sys.argv[1])", argument],
        timeout_seconds=20,
        cwd=tmp_path,
    )
    assert completed.stdout.strip() == argument
    assert not list(tmp_path.iterdir())


def test_failure_shows_the_code_and_the_end_of_stderr() -> None:
    code = "import sys; [print(f'line{i}.', file=sys.stderr) for i in range(99)]; sys.exit(3)"
    with pytest.raises(ProgramFailedError) as caught:
        run_program(python(code), timeout_seconds=20)
    message = str(caught.value)
    assert "failed with code 3" in message
    assert "line98." in message
    assert "line80." not in message
    assert "\n" not in message
    assert caught.value.completed.returncode == 3
    assert caught.value.completed.stderr.startswith("line0.")


def test_death_by_a_signal_is_named() -> None:
    with pytest.raises(ProgramFailedError, match="killed by SIGABRT"):
        run_program(python("import os; os.abort()"), timeout_seconds=20)


def test_time_limit_kills_the_program_and_its_children(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "open('child', 'w').write(str(child.pid)); time.sleep(60)\n"
    )
    started = time.monotonic()
    with pytest.raises(ProgramTimeoutError, match="longer than 2 s"):
        run_program(python(code), timeout_seconds=2, cwd=tmp_path)
    assert time.monotonic() - started < 20
    assert not _is_running(int((tmp_path / "child").read_text("utf-8")))


def _is_running(process_id: int) -> bool:
    """Whether the process exists and is no zombie; it may take a moment to go."""
    for _ in range(100):
        try:
            os.kill(process_id, 0)
            state = Path(f"/proc/{process_id}/stat").read_text("utf-8").rsplit(")", 1)[1].split()[0]
        except (ProcessLookupError, FileNotFoundError):
            return False
        if state == "Z":
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize(
    ("program", "remedy"),
    [
        ("arm-none-eabi-no-such-tool", "apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi"),
        ("no-such-program-of-edgekit", "install no-such-program-of-edgekit and put it on PATH"),
    ],
)
def test_missing_program_says_how_to_get_it(program: str, remedy: str) -> None:
    with pytest.raises(MissingProgramError) as caught:
        run_program([program, "--version"], timeout_seconds=20)
    assert caught.value.exit_code == 6
    assert program in str(caught.value)
    assert remedy in str(caught.value)


def test_remedy_of_the_emulator() -> None:
    assert install_remedy("qemu-system-arm").endswith("apt-get install qemu-system-arm")


def test_missing_folder_is_not_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(EdgekitError, match="no such folder") as caught:
        run_program(python("pass"), timeout_seconds=20, cwd=tmp_path / "none")
    assert not isinstance(caught.value, MissingProgramError)


def test_dry_run_logs_and_starts_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "a b"
    with caplog.at_level(logging.INFO, logger="edgekit.process"):
        completed = run_program(["touch", file], timeout_seconds=20, dry_run=True)
    assert completed.command == ("touch", str(file))
    assert completed.returncode == 0
    assert not file.exists()
    assert f"touch '{file}'" in caplog.text


def test_every_program_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="edgekit.process"):
        run_program([sys.executable, "-c", "pass"], timeout_seconds=20)
    assert f"run: {sys.executable} -c pass" in caplog.text
