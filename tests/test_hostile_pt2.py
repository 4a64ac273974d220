# SPDX-License-Identifier: Apache-2.0
"""DESIGN's list of bad input, for .pt2 files: each contradiction is one line, and nothing is written."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command_line import Edgekit

torch: Any = pytest.importorskip("torch", reason="install edgekit[torch]")

Change = Callable[[dict[str, Any]], None]
MODEL = "archive/models/model.json"
WEIGHTS = "archive/data/weights/"


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grouped convolution of stride 2, a pooling and a linear layer."""
    nn = torch.nn
    torch.manual_seed(0)
    convolution = nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=2)
    module = nn.Sequential(convolution, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 3)).eval()
    path = tmp_path_factory.mktemp("intact") / "net.pt2"
    program = torch.export.export(module, (torch.zeros(1, 4, 5, 5),))
    with path.open("wb") as file:
        torch.export.save(program, file)
    return path


def rewritten(path: Path, folder: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """A copy of an archive whose entries went through ``change``; None drops an entry."""
    copy = folder / "hostile.pt2"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(copy, "w") as target:
        for name in source.namelist():
            if (data := change(name, source.read(name))) is not None:
                target.writestr(name, data)
    return copy


def in_json(change: Change) -> Callable[[str, bytes], bytes]:
    def changed(name: str, data: bytes) -> bytes:
        if name != MODEL:
            return data
        tree = json.loads(data)
        change(tree)
        return json.dumps(tree).encode()

    return changed


def argument(node: int, name: str, value: Any) -> Callable[[str, bytes], bytes]:
    """Another number or numbers as an argument of a call."""

    def change(tree: dict[str, Any]) -> None:
        inputs = nodes(tree)[node]["inputs"]
        (entry,) = (entry for entry in inputs if entry["name"] == name)
        (kind,) = entry["arg"]
        entry["arg"] = {kind: value}

    return in_json(change)


def nodes(tree: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tree["graph_module"]["graph"]["nodes"]
    return found


def shape(tensor: str, *sizes: int) -> Callable[[str, bytes], bytes]:
    """Another declared shape of a tensor."""

    def change(tree: dict[str, Any]) -> None:
        meta = tree["graph_module"]["graph"]["tensor_values"][tensor]
        meta["sizes"] = [{"as_int": size} for size in sizes]
        meta["strides"] = [{"as_int": 1} for _ in sizes]

    return in_json(change)


def _cycle(tree: dict[str, Any]) -> None:
    nodes(tree)[0]["inputs"][0]["arg"] = {"as_tensor": {"name": "linear"}}


def _use_before_definition(tree: dict[str, Any]) -> None:
    nodes(tree).reverse()


def _unknown_tensor(tree: dict[str, Any]) -> None:
    nodes(tree)[1]["inputs"][0]["arg"] = {"as_tensor": {"name": "nothing"}}


def _defined_twice(tree: dict[str, Any]) -> None:
    nodes(tree).append(nodes(tree)[0])


def _short_weights(name: str, data: bytes) -> bytes:
    return data[: len(data) // 2] if name == f"{WEIGHTS}weight_0" else data


def _other_weight_shape(name: str, data: bytes) -> bytes:
    if name != f"{WEIGHTS}model_weights_config.json":
        return data
    tree = json.loads(data)
    tree["config"]["0.weight"]["tensor_meta"]["sizes"][3] = {"as_int": 4}
    return json.dumps(tree).encode()


def _special(value: float) -> Callable[[str, bytes], bytes]:
    def change(name: str, data: bytes) -> bytes:
        if name != f"{WEIGHTS}weight_0":
            return data
        array = np.frombuffer(data, np.float32).copy()
        array[3] = value
        return array.tobytes()

    return change


WRONG: Mapping[str, Callable[[str, bytes], bytes | None]] = {
    "stride_zero": argument(0, "stride", [0, 1]),
    "stride_negative": argument(0, "stride", [-1, 2]),
    "dilation_zero": argument(0, "dilation", [1, 0]),
    "dilation_negative": argument(0, "dilation", [-3, 1]),
    "padding_negative": argument(0, "padding", [-1, -1]),
    "padding_overflows": argument(0, "padding", [2**40, 2**40]),
    "group_zero": argument(0, "groups", 0),
    "group_negative": argument(0, "groups", -2),
    "group_does_not_fit": argument(0, "groups", 3),
    "kernel_zero": argument(1, "kernel_size", [0, 2]),
    "kernel_negative": argument(1, "kernel_size", [-2, 2]),
    "kernel_larger_than_the_map": argument(1, "kernel_size", [9, 9]),
    "filter_larger_than_the_padded_input": shape("input", 1, 4, 0, 5),
    "flatten_from_an_axis_that_is_not_there": argument(2, "start_dim", 7),
    "zero_dimension": shape("input", 1, 0, 5, 5),
    "negative_dimension": shape("input", 1, -4, 5, 5),
    "shape_overflows": shape("input", 1, 4, 2**40, 2**40),
    "shape_of_weights": _other_weight_shape,
    "cycle": in_json(_cycle),
    "use_before_definition": in_json(_use_before_definition),
    "index_out_of_range": in_json(_unknown_tensor),
    "defined_twice": in_json(_defined_twice),
    "buffer_shorter_than_its_tensor": _short_weights,
    "weights_nan": _special(float("nan")),
    "weights_inf": _special(float("-inf")),
}


def test_the_intact_file_converts(intact: Path, edgekit: Edgekit, tmp_path: Path) -> None:
    same = rewritten(intact, tmp_path, lambda name, data: data)
    result = edgekit("convert", same, "-t", "cortex-m4", "-o", tmp_path / "out")
    assert result.code == 0, result.err


@pytest.mark.parametrize("name", WRONG)
def test_wrong_file_is_one_line(name: str, intact: Path, edgekit: Edgekit, tmp_path: Path) -> None:
    path = rewritten(intact, tmp_path, WRONG[name])
    result = edgekit("convert", path, "-t", "cortex-m4", "-o", tmp_path / "out")
    assert result.code in (2, 3), result.err
    lines = [line for line in result.err.splitlines() if not line.startswith("warning: ")]
    assert len(lines) == 1, result.err
    assert lines[0].startswith("error: ") and lines[0].isprintable()
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
