# SPDX-License-Identifier: Apache-2.0
"""The command line: every exit code with its one line, nothing half-written, the shapes of JSON."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.cli import main
from edgekit.manifest import load_manifest
from edgekit.ops import operators
from edgekit.target import list_targets

Converted = Callable[[str], Path]
SharedModel = Callable[[str], Path]


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The only error line, where nothing else is on stderr."""
        (line,) = self.err.splitlines()
        assert line.startswith("error: ")
        return line


Edgekit = Callable[..., Result]


@pytest.fixture
def edgekit(capsys: pytest.CaptureFixture[str]) -> Edgekit:
    def run(*arguments: object) -> Result:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture
def damaged(converted: Converted, tmp_path: Path) -> tuple[Path, str]:
    """A converted model whose C differs in the zero point of one layer, and that layer's name."""
    folder = tmp_path / "damaged"
    shutil.copytree(converted("residual"), folder)
    layer = next(entry for entry in load_manifest(folder).layers if entry.op == "add")
    source = folder / "model.c"
    pattern = rf"(layer_{layer.index} = {{[^}}]*\.output_zero_point = )(-?\d+)"
    changed, count = re.subn(
        pattern, lambda m: f"{m[1]}{int(m[2]) + 9}", source.read_text(), flags=re.DOTALL
    )
    assert count == 1
    source.write_text(changed)
    return folder, layer.name


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_convert_prints_the_memory_and_nothing_on_stderr(
    edgekit: Edgekit, shared_model: SharedModel, tmp_path: Path
) -> None:
    folder = tmp_path / "new" / "out"
    result = edgekit("convert", shared_model("kws_int8"), "-t", "cortex-m4", "-o", folder)
    assert (result.code, result.err) == (0, "")
    assert f"{load_manifest(folder).arena_bytes:,}" in result.out
    assert [path.name for path in folder.parent.iterdir()] == ["out"]


def test_help_and_version_are_no_errors(edgekit: Edgekit) -> None:
    assert edgekit("--help").code == 0
    assert "Exit codes" in edgekit("--help").out
    assert edgekit("--version").out.startswith("edgekit ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["frobnicate"], ["frobnicate"]),
        (["convert", "{model}"], ["--target"]),
        (["convert", "{model}", "-t"], ["-t"]),
        (["convert", "{model}", "-t", "cortex-m4", "-o", "{new}", "--frob"], ["--frob"]),
        (["convert", "{none}", "-t", "cortex-m4", "-o", "{new}"], ["no such file"]),
        (["convert", "{model}", "-t", "cortex-m99", "-o", "{new}"], ["cortex-m99", "cortex-m4"]),
        (["convert", "{model}", "-t", "{none}.toml", "-o", "{new}"], [".toml"]),
        (["convert", "{model}", "-t", "cortex-m4", "-o", "{new}", "--max-ram", "lots"], ["64K"]),
        (["convert", "{model}", "-t", "cortex-m4", "-o", "{new}", "--name", "int"], ["--name"]),
        (["convert", "{model}", "-t", "cortex-m4", "-o", "{new}", "--name", "A b"], ["--name"]),
        (["convert", "{model}", "-t", "cortex-m4", "-o", "{new}", "--name", "string"], ["header"]),
        (["convert", "{model}", "-t", "cortex-m4", "-o", "{new}", "--kernels", "x"], ["auto"]),
        (["convert", "{text}", "-t", "cortex-m4", "-o", "{new}"], ["text.tflite"]),
        (["convert", "{text}:f", "-t", "cortex-m4", "-o", "{new}"], ["text.tflite"]),
        (["convert", "{model}", "-t", "cortex-m4", "-o", "{text}/out"], ["cannot write"]),
        (["analyze", "{none}"], ["no such file"]),
        (["validate", "{none}"], ["manifest.json", "convert"]),
        (["validate", "{folder}", "--on", "moon"], ["moon", "host", "qemu"]),
        (["validate", "{folder}", "--samples", "0"], ["--samples"]),
        (["validate", "{folder}", "--inputs", "{none}.npz"], ["no such file"]),
        (["validate", "{folder}", "--inputs", "{text}"], ["not a .npz or .npy"]),
        (["profile", "{folder}", "--on", "host"], ["qemu"]),
        (["run", "{folder}", "--inputs", "{none}.npz", "-o", "{new}.npz"], ["no such file"]),
        (["run", "{folder}", "--inputs", "{none}.npz", "-o", "{new}.csv"], [".npz"]),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else None,
)
def test_wrong_arguments_are_exit_2_in_one_line(
    arguments: list[str],
    words: list[str],
    edgekit: Edgekit,
    converted: Converted,
    shared_model: SharedModel,
    tmp_path: Path,
) -> None:
    text = tmp_path / "text.tflite"
    text.write_text("no model")
    places = {
        "model": shared_model("kws_int8"),
        "folder": converted("residual"),
        "none": tmp_path / "none",
        "new": tmp_path / "new",
        "text": text,
    }
    result = edgekit(*(argument.format(**places) for argument in arguments))
    assert result.code == 2
    assert all(word in result.error for word in words)
    assert result.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["text.tflite"]


def test_damaged_manifest_is_exit_2(
    edgekit: Edgekit, converted: Converted, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(converted("residual"), folder)
    (folder / "manifest.json").write_text('{"name": 3}')
    result = edgekit("validate", folder)
    assert result.code == 2
    assert "convert the model again" in result.error


def test_float_tflite_is_exit_3_with_the_remedy(
    edgekit: Edgekit, shared_model: SharedModel, tmp_path: Path
) -> None:
    model = shared_model("kws_float")
    result = edgekit("convert", model, "-t", "cortex-m4", "-o", tmp_path / "out")
    assert result.code == 3
    assert "int8" in result.err
    assert not any(tmp_path.iterdir())


UNSUPPORTED = """
import torch


class Net(torch.nn.Module):
    def forward(self, x):
        return torch.sin(torch.cumsum(x, 1))


def make():
    return Net(), torch.zeros(1, 3, 4, 4)
"""


def test_all_unsupported_operators_are_listed_at_once(edgekit: Edgekit, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(UNSUPPORTED)
    result = edgekit("convert", f"{tmp_path}/net.py:make", "-t", "cortex-m4", "-o", tmp_path / "o")
    assert result.code == 3
    lines = result.err.splitlines()
    assert all(line.startswith("error: ") for line in lines)
    assert "sin" in result.err
    assert "cumsum" in result.err
    assert not (tmp_path / "o").exists()


def test_unknown_kind_of_model_is_exit_3(edgekit: Edgekit, tmp_path: Path) -> None:
    path = tmp_path / "net.keras"
    path.write_bytes(b"PK")
    result = edgekit("analyze", path)
    assert result.code == 3
    assert ".keras" in result.error


def test_too_little_ram_is_exit_4_and_the_old_folder_stays(
    edgekit: Edgekit, shared_model: SharedModel, converted: Converted, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    shutil.copytree(converted("residual"), folder)
    before = tree(folder)
    arguments = ("convert", shared_model("kws_int8"), "-t", "cortex-m4", "-o", folder)
    result = edgekit(*arguments, "--max-ram", "4K")
    assert result.code == 4
    assert "4096" in result.error
    assert tree(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("spelling", ["exact", "KiB above"])
def test_budget_counts_arena_input_and_output(
    spelling: str, edgekit: Edgekit, shared_model: SharedModel, converted: Converted, tmp_path: Path
) -> None:
    needed = load_manifest(converted("kws_int8")).ram_bytes
    budget = str(needed) if spelling == "exact" else f"{-(-needed // 1024)}K"
    arguments = ("convert", shared_model("kws_int8"), "-t", "cortex-m4", "-o", tmp_path / "out")
    assert edgekit(*arguments, "--max-ram", budget).code == 0
    assert edgekit(*arguments, "--max-ram", needed - 1).code == 4


def test_board_with_too_little_memory_is_exit_4(
    edgekit: Edgekit, shared_model: SharedModel, repository: Path, tmp_path: Path
) -> None:
    core = (repository / "targets" / "cortex-m4.toml").read_text()
    sizes = {"ram": "sram_bytes = 8192", "flash": "flash_bytes = 8192"}
    for what, line in sizes.items():
        board = tmp_path / f"{what}.toml"
        board.write_text(core.replace('name = "cortex-m4"', f'name = "board"\n{line}'))
        arguments = (shared_model("kws_int8"), "-t", board, "-o", tmp_path / "out")
        result = edgekit("convert", *arguments)
        assert result.code == 4
        assert "8192" in result.error
        assert edgekit("analyze", *arguments[:3], "--json").json["fits"] is False
        assert not (tmp_path / "out").exists()


def test_existing_folder_of_something_else_is_not_replaced(
    edgekit: Edgekit, shared_model: SharedModel, tmp_path: Path
) -> None:
    """Not even one with a manifest.json, which many tools write; an empty folder is taken."""
    for name, files in (("photos", {"cat.txt": "purr"}), ("extension", {"manifest.json": "{}"})):
        folder = tmp_path / name
        folder.mkdir()
        for file, text in files.items():
            (folder / file).write_text(text)
        before = tree(folder)
        result = edgekit("convert", shared_model("kws_int8"), "-t", "cortex-m4", "-o", folder)
        assert result.code == 2
        assert "edgekit wrote" in result.error
        assert tree(folder) == before
    (tmp_path / "empty").mkdir()
    arguments = (shared_model("kws_int8"), "-t", "cortex-m4", "-o", tmp_path / "empty")
    assert edgekit("convert", *arguments).code == 0


def test_existing_project_is_replaced_as_a_whole(
    edgekit: Edgekit, shared_model: SharedModel, converted: Converted, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    shutil.copytree(converted("every_operator"), folder)
    arguments = (shared_model("kws_int8"), "-t", "cortex-m4", "-o", folder)
    assert edgekit("convert", *arguments).code == 0
    assert tree(folder) == tree(converted("kws_int8"))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_wrong_c_is_exit_5_and_the_layer_is_named(
    edgekit: Edgekit, damaged: tuple[Path, str]
) -> None:
    folder, layer = damaged
    result = edgekit("validate", folder, "--on", "host", "--samples", 6, "--per-layer", "--json")
    assert result.code == 5
    assert "rung 'host'" in result.error
    rungs = {rung["name"]: rung for rung in result.json["rungs"]}
    assert rungs["reference"]["equal"]
    assert not rungs["host"]["equal"]
    assert rungs["host"]["mismatches"] > 0
    assert rungs["host"]["max_abs_diff"] > 0
    first = result.json["first_difference"]
    assert (first["rung"], first["layer"]) == ("host", layer)
    assert first["mismatches"] > 0
    text = edgekit("validate", folder, "--on", "host", "--samples", 6, "--per-layer")
    assert text.code == 5
    assert f"layer {layer} " in text.out
    assert "NO" in text.out


def test_emulated_core_notices_wrong_c_too(
    edgekit: Edgekit, damaged: tuple[Path, str], require_program: Callable[[str], str]
) -> None:
    require_program("qemu-system-arm")
    result = edgekit("validate", damaged[0], "--on", "qemu", "--samples", 6, "--json")
    assert result.code == 5
    assert "rung 'qemu'" in result.error


@pytest.mark.parametrize(
    "command", [["validate", "{0}"], ["profile", "{0}"], ["run", "{0}", "--inputs", "{1}", "-o", "{2}"]]
)
def test_missing_compiler_is_exit_6_with_the_remedy(
    command: list[str],
    edgekit: Edgekit,
    converted: Converted,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = converted("residual")
    inputs, output = tmp_path / "x.npy", tmp_path / "y.npz"
    np.save(inputs, np.zeros((1, *load_manifest(folder).inputs[0].shape[1:]), np.int8))
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.delenv("CC", raising=False)
    result = edgekit(*(word.format(folder, inputs, output) for word in command))
    assert result.code == 6
    assert "install" in result.error
    assert not output.exists()


def test_missing_emulator_is_exit_6(
    edgekit: Edgekit,
    converted: Converted,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    require_program: Callable[[str], str],
) -> None:
    require_program("arm-none-eabi-gcc")
    programs = tmp_path / "bin"
    programs.mkdir()
    for tool in ("gcc", "size", "nm", "objdump", "objcopy", "readelf"):
        path = shutil.which(f"arm-none-eabi-{tool}")
        assert path is not None
        (programs / f"arm-none-eabi-{tool}").symlink_to(path)
    monkeypatch.setenv("PATH", str(programs))
    result = edgekit("validate", converted("residual"), "--on", "qemu")
    assert result.code == 6
    assert "qemu-system-arm" in result.error


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
    (layerwise,) = document["schedules"]
    assert layerwise["arena_bytes"] == manifest.arena_bytes
    assert layerwise["ram_bytes"] == manifest.ram_bytes
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
