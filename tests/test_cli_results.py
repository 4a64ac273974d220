# SPDX-License-Identifier: Apache-2.0
"""What the commands answer: the shapes of their JSON, the files of run, inputs of every kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command_line import Edgekit

from edgekit.manifest import load_manifest
from edgekit.ops import operators
from edgekit.target import list_targets

Converted = Callable[[str], Path]
SharedModel = Callable[[str], Path]


def test_validate_json(edgekit: Edgekit, converted: Converted) -> None:
    result = edgekit("validate", converted("residual"), "--on", "host", "--json", "--seed", 3)
    assert (result.code, result.err) == (0, "")
    assert list(result.json) == ["rungs", "float"]
    rung = {"samples": 20, "mismatches": 0, "max_abs_diff": 0, "equal": True}
    assert result.json["rungs"] == [{"name": name, **rung} for name in ("reference", "host")]
    assert result.json["float"] is None


def test_integer_source_adds_a_rung_where_its_runtime_is_installed(
    edgekit: Edgekit, converted: Converted
) -> None:
    pytest.importorskip("tflite_runtime", reason="pip install 'edgekit[oracle]'")
    result = edgekit("validate", converted("kws_int8"), "--on", "host", "--json", "--samples", 3)
    assert result.code == 0
    assert [rung["name"] for rung in result.json["rungs"]] == ["reference", "source", "host"]
    assert {rung["samples"] for rung in result.json["rungs"]} == {3}


def test_labels_give_the_top_1_of_every_rung(
    edgekit: Edgekit, converted: Converted, tmp_path: Path
) -> None:
    folder = converted("residual")
    entry = load_manifest(folder).inputs[0]
    x = np.random.default_rng(0).integers(-128, 128, (4, *entry.shape[1:])).astype(np.int8)
    np.savez(tmp_path / "x.npz", image=x)
    outputs = ("run", folder, "--inputs", tmp_path / "x.npz", "-o", tmp_path / "y.npz")
    assert edgekit(*outputs).code == 0
    (scores,) = np.load(tmp_path / "y.npz").values()
    labels = scores.argmax(axis=1)
    labels[0] = (labels[0] + 1) % scores.shape[1]
    np.savez(tmp_path / "labelled.npz", image=x, labels=labels)
    arguments = ("validate", folder, "--on", "host", "--inputs", tmp_path / "labelled.npz")
    result = edgekit(*arguments, "--json")
    assert [rung["top1"] for rung in result.json["rungs"]] == [0.75, 0.75]
    assert "75.00%" in edgekit(*arguments).out


def test_profile_json(
    edgekit: Edgekit, converted: Converted, require_program: Callable[[str], str]
) -> None:
    require_program("qemu-system-arm")
    folder = converted("residual")
    result = edgekit("profile", folder, "--json")
    assert (result.code, result.err) == (0, "")
    document = result.json
    totals = ["total_instructions", "total_cycles_model"]
    assert list(document) == ["core", "compiler", "flags", *totals, "layers"]
    keys = ["name", "op", "kernel", "macs", "instructions", "cycles_model"]
    assert all(list(layer) == keys for layer in document["layers"])
    names = [layer.name for layer in load_manifest(folder).layers]
    assert [layer["name"] for layer in document["layers"]] == [*names, "glue"]
    for total, key in zip(totals, ("instructions", "cycles_model"), strict=True):
        assert document[total] == sum(layer[key] for layer in document["layers"])


def test_analyze_json_agrees_with_the_manifest(
    edgekit: Edgekit, shared_model: SharedModel, converted: Converted
) -> None:
    result = edgekit("analyze", shared_model("kws_int8"), "-t", "cortex-m4", "--json")
    assert (result.code, result.err) == (0, "")
    document, manifest = result.json, load_manifest(converted("kws_int8"))
    assert document["target"] == "cortex-m4"
    assert document["fits"] is None
    assert document["operators"]["depthwise_conv2d"] == 4
    assert document["flash_bytes"] == manifest.flash_bytes
    (auto,) = (
        s for s in document["schedules"] if (s["name"], s["input_mode"]) == ("auto", "resident")
    )
    assert auto["arena_bytes"] == manifest.arena_bytes
    assert auto["ram_bytes"] == manifest.ram_bytes
    assert document["macs_network"] == manifest.macs_network
    assert [layer["kernel"] for layer in document["layers"]] == [
        layer.kernel for layer in manifest.layers
    ]
    assert max(layer["live_bytes"] for layer in document["layers"]) <= manifest.arena_bytes


def test_lists_of_targets_operators_and_tools(edgekit: Edgekit) -> None:
    targets = edgekit("targets", "--json").json
    assert [entry["name"] for entry in targets] == [target.name for target in list_targets()]
    listed = edgekit("ops", "--json").json
    assert {entry["name"]: entry["kernels"] for entry in listed} == {
        name: [kernel.symbol for kernel in operator.kernels]
        for name, operator in operators().items()
    }
    assert all(entry["summary"] for entry in listed)
    tools = edgekit("doctor", "--json").json
    assert {"arm-none-eabi-gcc", "qemu-system-arm", "torch"} <= {tool["name"] for tool in tools}
    assert all((tool["version"] is None) != (tool["remedy"] is None) for tool in tools)


@pytest.mark.parametrize("command", ["targets", "ops", "doctor"])
def test_tables_name_what_the_json_names(command: str, edgekit: Edgekit) -> None:
    result = edgekit(command)
    assert result.code == 0
    assert all(entry["name"] in result.out for entry in edgekit(command, "--json").json)


def test_doctor_says_how_to_get_what_is_missing(
    edgekit: Edgekit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = edgekit("doctor", "--json")
    assert result.code == 0
    tools = {tool["name"]: tool for tool in result.json}
    assert tools["qemu-system-arm"]["version"] is None
    assert "install" in tools["qemu-system-arm"]["remedy"]


def test_run_writes_integers_or_real_values(
    edgekit: Edgekit, converted: Converted, tmp_path: Path
) -> None:
    folder = converted("residual")
    manifest = load_manifest(folder)
    x = np.random.default_rng(0).integers(-128, 128, (3, *manifest.inputs[0].shape[1:]))
    np.save(tmp_path / "x.npy", x.astype(np.int8))
    run = ("run", folder, "--inputs", tmp_path / "x.npy", "-o")
    assert edgekit(*run, tmp_path / "integers.npz").code == 0
    assert edgekit(*run, tmp_path / "real.npz", "--float").code == 0
    entry = manifest.outputs[0]
    integers = np.load(tmp_path / "integers.npz")[entry.name]
    real = np.load(tmp_path / "real.npz")[entry.name]
    assert (integers.shape, integers.dtype) == ((3, *entry.shape[1:]), np.int8)
    assert real.dtype == np.float32
    expected = (integers.astype(np.float64) - entry.zero_point) * entry.scale
    assert np.array_equal(real, expected.astype(np.float32))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["integers.npz", "real.npz", "x.npy"]


def test_run_on_the_emulated_core_gives_the_same(
    edgekit: Edgekit, converted: Converted, tmp_path: Path, require_program: Callable[[str], str]
) -> None:
    require_program("qemu-system-arm")
    folder = converted("residual")
    x = np.random.default_rng(0).normal(0, 3, (2, *load_manifest(folder).inputs[0].shape[1:]))
    np.savez(tmp_path / "x.npz", image=x.astype(np.float32))
    for place in ("host", "qemu"):
        output = tmp_path / f"{place}.npz"
        arguments = ("run", folder, "--inputs", tmp_path / "x.npz", "-o", output, "--on", place)
        assert edgekit(*arguments).code == 0
    host, qemu = (np.load(tmp_path / f"{place}.npz") for place in ("host", "qemu"))
    assert all(np.array_equal(host[name], qemu[name]) for name in host.files)


def test_run_takes_the_layout_of_the_source(
    edgekit: Edgekit, converted: Converted, tmp_path: Path
) -> None:
    """A PyTorch model: NCHW arrays, NHWC arrays and the integers of both mean the same."""
    folder = converted("resnet8")
    entry = load_manifest(folder).inputs[0]
    assert (entry.layout, entry.source_shape) == ("NCHW", (1, 3, 32, 32))
    nchw = np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype(np.float32)
    nhwc = np.ascontiguousarray(nchw.transpose(0, 2, 3, 1))
    scaled = nhwc.astype(np.float64) / entry.scale
    halves_away = np.trunc(scaled + np.copysign(0.5, scaled)) + entry.zero_point
    integers = np.clip(halves_away, -128, 127).astype(np.int8)
    results = []
    for number, x in enumerate((nchw, nhwc, integers, nchw[:, None])):
        np.savez(tmp_path / "x.npz", anything=x)
        output = tmp_path / f"{number}.npz"
        arguments = ("run", folder, "--inputs", tmp_path / "x.npz", "-o", output)
        assert edgekit(*arguments).code == 0
        results.append(next(iter(np.load(output).values())))
    assert all(np.array_equal(result, results[0]) for result in results[1:])


WRONG_INPUTS: dict[str, tuple[dict[str, Any], str]] = {
    "shape": ({"image": np.zeros((2, 5, 5, 3), np.int8)}, "shape"),
    "no samples axis": ({"image": np.zeros((13, 10, 3), np.int8)}, "shape"),
    "range": ({"image": np.full((1, 13, 10, 3), 200, np.int32)}, "outside int8"),
    "nan": ({"image": np.full((1, 13, 10, 3), np.nan, np.float32)}, "NaN"),
    "text": ({"image": np.full((1, 13, 10, 3), "a")}, "element type"),
    "names": ({"a": np.zeros(1), "b": np.zeros(1)}, "no array for input 'image'"),
    "labels": ({"image": np.zeros((2, 13, 10, 3), np.int8), "labels": np.zeros(3)}, "labels"),
    "nothing": ({"image": np.zeros((0, 13, 10, 3), np.int8)}, "no samples"),
}


@pytest.mark.parametrize("case", WRONG_INPUTS)
def test_wrong_inputs_are_exit_2(
    case: str, edgekit: Edgekit, converted: Converted, tmp_path: Path
) -> None:
    arrays, words = WRONG_INPUTS[case]
    np.savez(tmp_path / "x.npz", **arrays)
    folder, inputs = converted("residual"), tmp_path / "x.npz"
    output = tmp_path / "y.npz"
    for command in (["run", folder, "-o", output], ["validate", folder, "--on", "host"]):
        result = edgekit(*command, "--inputs", inputs)
        assert result.code == 2
        assert words in result.error
    assert not output.exists()


def test_several_inputs_and_outputs_go_by_name(
    edgekit: Edgekit, converted: Converted, tmp_path: Path
) -> None:
    folder = converted("two_by_two")
    manifest = load_manifest(folder)
    random = np.random.default_rng(0)
    arrays = {
        entry.name: random.integers(-128, 128, (2, *entry.shape[1:])).astype(np.int8)
        for entry in reversed(manifest.inputs)
    }
    np.savez(tmp_path / "x.npz", **arrays)
    arguments = ("run", folder, "--inputs", tmp_path / "x.npz", "-o", tmp_path / "y.npz")
    assert edgekit(*arguments).code == 0
    outputs = np.load(tmp_path / "y.npz")
    assert sorted(outputs.files) == sorted(entry.name for entry in manifest.outputs)
    assert np.array_equal(outputs[manifest.outputs[3].name], arrays["second"])
    del arrays["second"]
    np.savez(tmp_path / "x.npz", **arrays)
    result = edgekit(*arguments)
    assert result.code == 2
    assert "'second'" in result.error
