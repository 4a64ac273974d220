# SPDX-License-Identifier: Apache-2.0
"""CONTRIBUTING's steps, followed literally: an operator, a kernel and a board join a copy of the tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from source_tree import REPOSITORY

EXAMPLE = REPOSITORY / "examples" / "extend"
MOVED = ("converters", "runtime_c", "targets")
RequireProgram = Callable[[str], object]

TFLITE_MODEL = """
import numpy as np
from pathlib import Path
from support.tflite_writer import ModelSpec, OperatorSpec, TensorSpec, constant_spec, write_tflite

x = TensorSpec("x", (1, HEIGHT, 5, 3), 0.1, -4)
y = TensorSpec("y", (1, HEIGHT, 5, 3), 0.1, -4)
axis = constant_spec("axis", np.array([3], np.int32))
operator = OperatorSpec("REVERSE_V2", ["x", "axis"], ["y"])
Path("reverse.tflite").write_bytes(write_tflite(ModelSpec([x, y, axis], [operator], ["x"], ["y"])))
"""
TORCH_MODEL = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return self.conv(torch.flip(x, dims=[1]))

def net():
    torch.manual_seed(0)
    return Net().eval(), torch.rand(1, 3, 8, 8)
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with the worked example in its places."""
    root = tmp_path_factory.mktemp("extended")
    package = root / "edgekit"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "edgekit", package, ignore=ignored)
    for folder in MOVED:
        shutil.copytree(REPOSITORY / folder, package / folder, ignore=ignored)
    for path in sorted(EXAMPLE.rglob("*.*")):
        relative = path.relative_to(EXAMPLE)
        if relative.parts[0] == "edgekit":
            shutil.copy(path, root / relative)
        elif relative.parts[0] in MOVED:
            shutil.copy(path, package / relative)
    for importer, entry in (("tflite", '"REVERSE_V2": reverse'), ("torch", '"flip": flip')):
        function = entry.split()[-1]
        _insert(
            package / "converters" / importer / "mapping.py",
            f"from edgekit.converters.{importer}.reverse import {function}",
            f"    {entry},",
        )
    operator = package / "ops" / "reverse_channels.py"
    text = operator.read_text("utf-8")
    text = text.replace("= (REF,)", "= (DSP_RGB, REF)").replace(
        "from edgekit.window",
        "from edgekit.ops._reverse_channels_rgb import DSP_RGB\nfrom edgekit.window",
    )
    operator.write_text(text, "utf-8")
    return root


def _insert(path: Path, import_line: str, table_line: str) -> None:
    """The one line in the importer's table, and the import that it needs."""
    text = path.read_text("utf-8")
    table = "MAPPINGS: " if "MAPPINGS: " in text else "MAPPERS: "
    start = text.index("\n}\n", text.index(f"\n{table}")) + 1
    text = f"{text[:start]}{table_line}\n{text[start:]}"
    first = text.index("\nfrom edgekit") + 1
    path.write_text(f"{text[:first]}{import_line}\n{text[first:]}", "utf-8")


def run(tree: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    search_path = f"{tree}{os.pathsep}{REPOSITORY / 'tests'}"
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": search_path, "PYTHONDONTWRITEBYTECODE": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def edgekit(tree: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    call = "import sys; from edgekit.cli import main; sys.exit(main(sys.argv[1:]))"
    return run(tree, folder, "-c", call, *arguments)


def write_model(tree: Path, folder: Path, *, height: int) -> None:
    assert run(tree, folder, "-c", f"HEIGHT = {height}\n{TFLITE_MODEL}").returncode == 0


def test_the_copy_is_what_runs(tree: Path, tmp_path: Path) -> None:
    completed = run(tree, tmp_path, "-c", "import edgekit; print(edgekit.__file__)")
    assert Path(completed.stdout.strip()).is_relative_to(tree)


def test_conformance_finds_the_operator_and_both_kernels(tree: Path, tmp_path: Path) -> None:
    completed = run(
        tree,
        tmp_path,
        *("-m", "pytest", "-vv", "-rN", "-o", f"cache_dir={tmp_path}"),
        *("--rootdir", str(REPOSITORY), "-k", "reverse_channels"),
        str(REPOSITORY / "tests" / "test_kernels_conformance.py"),
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    for kernel in ("ek_reverse_channels_s8__ref", "ek_reverse_channels_s8__dsp_rgb"):
        assert f"reverse_channels-{kernel}-bgr" in completed.stdout


def test_a_tflite_model_uses_the_new_kernel(
    tree: Path, tmp_path: Path, require_program: RequireProgram
) -> None:
    require_program("qemu-system-arm")
    write_model(tree, tmp_path, height=6)
    converted = edgekit(tree, tmp_path, "convert", "reverse.tflite", "-t", "cortex-m4", "-o", "out")
    assert converted.returncode == 0, converted.stderr
    assert (tmp_path / "out" / "ek_reverse_channels_s8__dsp_rgb.c").exists()
    validated = edgekit(tree, tmp_path, "validate", "out", "--on", "host,qemu")
    assert validated.returncode == 0, validated.stdout + validated.stderr


def test_a_torch_model_uses_the_new_operator(tree: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'edgekit[torch]'")
    (tmp_path / "net.py").write_text(TORCH_MODEL, "utf-8")
    converted = edgekit(tree, tmp_path, "convert", "net.py:net", "-t", "host", "-o", "out")
    assert converted.returncode == 0, converted.stderr
    assert (tmp_path / "out" / "ek_reverse_channels_s8__ref.c").exists()
    assert edgekit(tree, tmp_path, "validate", "out", "--on", "host").returncode == 0


def test_the_new_board_is_listed_and_refuses_what_does_not_fit(tree: Path, tmp_path: Path) -> None:
    assert "example-board" in edgekit(tree, tmp_path, "targets").stdout
    write_model(tree, tmp_path, height=16384 // 15)
    arguments = ("convert", "reverse.tflite", "-t", "example-board", "-o", "out")
    refused = edgekit(tree, tmp_path, *arguments)
    assert (refused.returncode, "16384 are allowed" in refused.stderr) == (4, True)
    assert not (tmp_path / "out").exists()
    write_model(tree, tmp_path, height=16384 // 15 // 2)
    assert edgekit(tree, tmp_path, *arguments).returncode == 0
