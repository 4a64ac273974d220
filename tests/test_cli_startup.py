# SPDX-License-Identifier: Apache-2.0
"""``import edgekit`` is light: no framework is loaded by it, and it is quick."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY_MODULES = (
    "torch",
    "torchao",
    "tflite_runtime",
    "tflite",
    "typer",
    "rich",
    "sklearn",
    "scipy",
    "onnx",
)

IMPORT_LIMIT_SECONDS = 0.3
HELP_LIMIT_SECONDS = 0.5
REPETITIONS = (
    5  # the best one counts; processor time, which other work on the machine does not add to
)

TIMED_IMPORT = """
import time
start = time.process_time()
import edgekit
print(time.process_time() - start)
"""


def run_python(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.parametrize("module", HEAVY_MODULES)
def test_import_edgekit_does_not_load(module: str) -> None:
    loaded = run_python("import sys, edgekit; print(*sys.modules)").split()
    assert "edgekit" in loaded
    assert module not in loaded


def test_import_edgekit_is_quick() -> None:
    seconds = min(float(run_python(TIMED_IMPORT)) for _ in range(REPETITIONS))
    assert seconds < IMPORT_LIMIT_SECONDS


def test_help_is_quick() -> None:
    edgekit = Path(sys.executable).with_name("edgekit")
    durations = []
    for _ in range(REPETITIONS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        result = subprocess.run([edgekit, "--help"], capture_output=True, check=False, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        durations.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert result.returncode == 0, result.stderr
        assert "convert" in result.stdout
    assert min(durations) < HELP_LIMIT_SECONDS
