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

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
PYTHON_EXAMPLES = dict(re.findall(r"<!-- test: (\w+) -->\n```python\n(.*?)```", README, re.DOTALL))
COMMANDS = re.findall(
    r"^edgekit (?:analyze|convert|validate|profile|quantize) .*?(?=\s+#|$)", README, re.MULTILINE
)
OF_TFLITE = [command for command in COMMANDS if "onnx" not in command]
OF_ONNX = [command for command in COMMANDS if "onnx" in command]


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


def test_pt2e_example(tmp_path: Path) -> None:
    """It goes on where the example of PyTorch ends."""
    pytest.importorskip("torchao", reason="torchao is not installed: pip install 'edgekit[pt2e]'")
    run([sys.executable, "-c", PYTHON_EXAMPLES["torch"] + PYTHON_EXAMPLES["pt2e"]], tmp_path)


def test_examples_are_at_most_ten_lines() -> None:
    assert set(PYTHON_EXAMPLES) == {"tflite", "torch", "pt2e"}
    for text in PYTHON_EXAMPLES.values():
        assert len([line for line in text.splitlines() if line.strip()]) <= 10


def test_commands(folder_with_model: Path) -> None:
    assert len(OF_TFLITE) == 4
    outputs = [run(shlex.split(command), folder_with_model) for command in OF_TFLITE]
    assert "2,656,768" in outputs[0], "analyze prints the MACs"
    assert "NO" not in outputs[2], "validate finds every rung equal"
    assert "instructions" in outputs[3]


def test_onnx_commands(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is missing; run: pip install 'edgekit[onnx]'")
    random = np.random.default_rng(0)
    weights = {
        "w": random.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "v": random.normal(size=(5, 4, 1, 1)).astype(np.float32),
    }
    nodes = [
        onnx.helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
        onnx.helper.make_node("Relu", ["a"], ["b"]),
        onnx.helper.make_node("Conv", ["b", "v"], ["c"]),
        onnx.helper.make_node("GlobalAveragePool", ["c"], ["d"]),
        onnx.helper.make_node("Flatten", ["d"], ["y"]),
    ]
    kind = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes,
        "net",
        [onnx.helper.make_tensor_value_info("x", kind, (1, 3, 8, 8))],
        [onnx.helper.make_tensor_value_info("y", kind, (1, 5))],
        [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opset = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=9)
    onnx.save(model, tmp_path / "net.onnx")
    images = random.normal(size=(8, 3, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "images.npz", x=images, labels=np.arange(8) % 5)
    assert len(OF_ONNX) == 3
    outputs = [run(shlex.split(command), tmp_path) for command in OF_ONNX]
    assert (tmp_path / "net" / "model.c").exists()
    assert "equaliz" in outputs[1]
    for name in ("net.tflite", "net-qdq.onnx"):
        assert (tmp_path / name).stat().st_size > 500
