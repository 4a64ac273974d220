# SPDX-License-Identifier: Apache-2.0
"""The README's examples and commands work as printed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
PYTHON_EXAMPLES = dict(re.findall(r"<!-- test: (\w+) -->\n```python\n(.*?)```", README, re.DOTALL))
COMMANDS = re.findall(
    r"^edgekit (?:analyze|convert|validate|profile) .*?(?=\s+#|$)", README, re.MULTILINE
)


@pytest.fixture
def folder_with_model(tmp_path: Path, shared_model: Callable[[str], Path]) -> Path:
    (tmp_path / "kws_int8.tflite").symlink_to(shared_model("kws_int8"))
    return tmp_path


def run(command: list[str], folder: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    completed = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout


def test_tflite_example(folder_with_model: Path) -> None:
    printed = run([sys.executable, "-c", PYTHON_EXAMPLES["tflite"]], folder_with_model)
    assert "source equal\nhost equal\nqemu equal" in printed
    assert (folder_with_model / "kws" / "model.c").exists()


def test_torch_example(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'edgekit[torch]'")
    run([sys.executable, "-c", PYTHON_EXAMPLES["torch"]], tmp_path)
    assert (tmp_path / "net" / "model.c").exists()


def test_examples_are_at_most_ten_lines() -> None:
    assert set(PYTHON_EXAMPLES) == {"tflite", "torch"}
    for text in PYTHON_EXAMPLES.values():
        assert len([line for line in text.splitlines() if line.strip()]) <= 10


def test_commands(folder_with_model: Path) -> None:
    assert len(COMMANDS) == 4
    outputs = [run(shlex.split(command), folder_with_model) for command in COMMANDS]
    assert "2,656,768" in outputs[0], "analyze prints the MACs"
    assert "NO" not in outputs[2], "validate finds every rung equal"
    assert "instructions" in outputs[3]
