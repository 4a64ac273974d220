# SPDX-License-Identifier: Apache-2.0
"""Models that mix what is not supported: exit 3, all of it at once, a line each, nothing written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.command_line import Edgekit
from support.tflite_writer import ModelSpec, OperatorSpec, TensorSpec, write_tflite

Lines = Sequence[tuple[str, ...]]
"""For every expected line the words that it must have."""


def chain(*operators: str, types: Mapping[int, str] | None = None) -> ModelSpec:
    """Operators in a row over t0, t1, ...; ``types`` are those of the tensors that are not INT8."""
    types = types or {}
    tensors = [
        TensorSpec(f"t{i}", (1, 8), 0.1, 0, types.get(i, "INT8")) for i in range(len(operators) + 1)
    ]
    calls = [OperatorSpec(op, [f"t{i}"], [f"t{i + 1}"], {}) for i, op in enumerate(operators)]
    return ModelSpec(tensors, calls, ["t0"], [f"t{len(operators)}"])


def _dynamic() -> ModelSpec:
    tensors = [
        TensorSpec("x", (1, 4, 4, 2), 0.1, 0, signature=(1, -1, -1, 2)),
        TensorSpec("y", (1, 4, 4, 2), 0.1, 0, signature=(1, -1, -1, 2)),
        TensorSpec("z", (1, 4, 4, 2), 0.1, 0, signature=(1, -1, -1, 2)),
    ]
    calls = [OperatorSpec("RELU", ["x"], ["y"]), OperatorSpec("LSTM", ["y"], ["z"])]
    return ModelSpec(tensors, calls, ["x"], ["z"])


TFLITE: Mapping[str, tuple[Callable[[], ModelSpec], Lines]] = {
    "lstm": (
        lambda: chain("RELU", "UNIDIRECTIONAL_SEQUENCE_LSTM", "RELU", "LSTM", "BIDIRECTIONAL_SEQUENCE_LSTM"),
        (
            ("UNIDIRECTIONAL_SEQUENCE_LSTM 't2'", "not supported", "CONV_2D"),
            ("LSTM 't4'", "not supported", "CONV_2D"),
            ("BIDIRECTIONAL_SEQUENCE_LSTM 't5'", "not supported", "CONV_2D"),
        ),
    ),
    "svdf": (
        lambda: chain("SVDF", "RELU", "SVDF"),
        (("SVDF 't1'", "CONV_2D"), ("SVDF 't3'", "CONV_2D")),
    ),
    "transformer": (
        lambda: chain(
            *("EMBEDDING_LOOKUP", "LOCAL_RESPONSE_NORMALIZATION", "CUSTOM:FlexEinsum", "RELU"),
            "CUMSUM",
        ),
        (
            ("EMBEDDING_LOOKUP 't1'", "outside the model"),
            ("LOCAL_RESPONSE_NORMALIZATION 't2'", "batch normalization"),
            ("CUSTOM operator FlexEinsum 't3'", "not supported"),
            ("CUMSUM 't5'", "edgekit ops"),
        ),
    ),
    "detection": (
        lambda: chain("RELU", "CUSTOM:TFLite_Detection_PostProcess", "TOPK_V2", "NON_MAX_SUPPRESSION_V4"),
        (
            ("CUSTOM operator TFLite_Detection_PostProcess 't2'", "not supported"),
            ("TOPK_V2 't3'", "outside the model"),
            ("NON_MAX_SUPPRESSION_V4 't4'", "outside the model"),
        ),
    ),
    "types": (
        lambda: chain("RELU", "RELU", "RELU", "SVDF", types={1: "FLOAT16", 3: "INT4"}),
        (("'t1'", "FLOAT16"), ("'t1'", "FLOAT16"), ("'t3'", "INT4"), ("SVDF 't4'",)),
    ),
    "control_flow": (
        lambda: chain("WHILE", "IF", "CALL_ONCE", "HASHTABLE"),
        (("WHILE 't1'",), ("IF 't2'",), ("CALL_ONCE 't3'",), ("HASHTABLE 't4'",)),
    ),
    "dynamic_shapes": (_dynamic, (("'x'", "dynamic"), ("LSTM 'z'", "not supported"))),
}  # fmt: skip


def check_refusal(edgekit: Edgekit, model: Path | str, folder: Path, expected: Lines) -> None:
    """Exit 3, one line for each expectation and no other line, and no folder."""
    result = edgekit("convert", model, "-t", "cortex-m4", "-o", folder)
    assert result.code == 3, result.err
    assert result.out == ""
    lines = result.err.splitlines()
    assert len(set(lines)) == len(lines)
    assert all(line.startswith("error: ") and line.isprintable() for line in lines)
    missing = [words for words in expected if not any(all(w in x for w in words) for x in lines)]
    assert not missing, "\n".join([f"no line has {missing}", *lines])
    known = [x for x in lines if any(all(w in x for w in words) for words in expected)]
    assert known == lines, f"unexpected: {[x for x in lines if x not in known]}"
    assert not folder.exists()
    assert [p.name for p in folder.parent.iterdir()] in ([], [Path(model).name])


@pytest.mark.parametrize("name", TFLITE)
def test_tflite_model(name: str, edgekit: Edgekit, tmp_path: Path) -> None:
    make, expected = TFLITE[name]
    path = tmp_path / "net.tflite"
    path.write_bytes(write_tflite(make()))
    check_refusal(edgekit, path, tmp_path / "out", expected)


NETWORKS = """
import torch
from torch import nn

class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.front = nn.Conv1d(4, 8, 3, padding=1)
        self.lstm = nn.LSTM(8, 16, batch_first=True)
        self.gru = nn.GRU(16, 4, batch_first=True)
    def forward(self, x):
        y = self.front(x).transpose(1, 2)
        return self.gru(self.lstm(y)[0])[0].cumsum(1)

class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.embedding = nn.Embedding(10, 8)
    def forward(self, x):
        y = self.layer(x)
        return torch.fft.rfft(y).abs(), y.sort(dim=1)[0]

class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3)
        self.body = nn.ModuleDict({"sorted": Sorted(), "counted": Counted()})
    def forward(self, x):
        y = self.stem(x)
        return self.body["sorted"](y), self.body["counted"](y), (y.double() * 2).float()

class Sorted(nn.Module):
    def forward(self, x):
        return torch.sort(x, dim=2)[0]

class Counted(nn.Module):
    def forward(self, x):
        return torch.linalg.vector_norm(x, 1, dim=1), torch.cumsum(x, 1)

def recurrent():
    return Recurrent(), torch.zeros(1, 4, 6)

def attention():
    return Attention(), torch.zeros(1, 5, 8)

def mixed():
    return Mixed(), torch.zeros(1, 2, 6, 6)
"""
TORCH: Mapping[str, Lines] = {
    "recurrent": (
        (
            "lstm 'lstm'",
            "use convolutions",
        ),
        (
            "gru 'gru'",
            "use convolutions",
        ),
        ("cumsum",),
    ),
    "mixed": (
        ("sort 'body/sorted'",),
        ("linalg_vector_norm 'body/counted'",),
        ("cumsum 'body/counted'",),
        ("float64",),
    ),
}


@pytest.mark.parametrize("name", TORCH)
def test_pytorch_module(name: str, edgekit: Edgekit, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="install edgekit[torch]")
    (tmp_path / "user").mkdir()
    (tmp_path / "results").mkdir()
    path = tmp_path / "user" / "nets.py"
    path.write_text(NETWORKS, "utf-8")
    check_refusal(edgekit, f"{path}:{name}", tmp_path / "results" / "out", TORCH[name])


def test_pytorch_transformer_names_every_kind_of_operator(edgekit: Edgekit, tmp_path: Path) -> None:
    """Its decomposition may change with PyTorch; the module paths may not."""
    pytest.importorskip("torch", reason="install edgekit[torch]")
    (tmp_path / "nets.py").write_text(NETWORKS, "utf-8")
    result = edgekit(
        "convert", f"{tmp_path / 'nets.py'}:attention", "-t", "cortex-m4", "-o", tmp_path / "out"
    )
    assert result.code == 3, result.err
    lines = result.err.splitlines()
    for words in (("layer/self_attn",), ("fft",), ("sort",)):
        assert any(all(word in line for word in words) for line in lines), (words, lines)
    assert all(line.startswith("error: ") for line in lines)
    assert not (tmp_path / "out").exists()


def test_half_precision_module(edgekit: Edgekit, tmp_path: Path) -> None:
    torch: Any = pytest.importorskip("torch", reason="install edgekit[torch]")
    module = torch.nn.Conv2d(1, 1, 1).half()
    program = torch.export.export(module, (torch.zeros(1, 1, 4, 4, dtype=torch.float16),))
    torch.export.save(program, tmp_path / "half.pt2")
    result = edgekit("convert", tmp_path / "half.pt2", "-t", "cortex-m4", "-o", tmp_path / "out")
    assert result.code in (2, 3)
    assert "float16; export with float32 inputs" in result.error
    assert not (tmp_path / "out").exists()
