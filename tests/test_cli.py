# SPDX-License-Identifier: Apache-2.0
"""The exit codes of the command line, each with one line per problem, and nothing half-written."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.command_line import Edgekit

from edgekit.manifest import load_manifest

Converted = Callable[[str], Path]
SharedModel = Callable[[str], Path]


NINE_STEPS = 9 << 20
"""Of an output, in the units of ek_linear_sum_s8.h."""


@pytest.fixture
def damaged(converted: Converted, tmp_path: Path) -> tuple[Path, str]:
    """A converted model whose C differs in the offset of one layer, and that layer's name."""
    folder = tmp_path / "damaged"
    shutil.copytree(converted("residual"), folder)
    layer = next(entry for entry in load_manifest(folder).layers if entry.op == "add")
    source = folder / "model.c"
    pattern = rf"(layer_{layer.index} = {{[^}}]*EK_MEMBER\(offset\) )(-?\d+)"
    changed, count = re.subn(
        pattern, lambda m: f"{m[1]}{int(m[2]) + NINE_STEPS}", source.read_text(), flags=re.DOTALL
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


def test_damaged_manifest_is_exit_2(edgekit: Edgekit, converted: Converted, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(converted("residual"), folder)
    (folder / "manifest.json").write_text('{"name": 3}')
    result = edgekit("validate", folder)
    assert result.code == 2
    assert "convert the model again" in result.error


def test_float_tflite_is_quantized_over_its_samples(
    edgekit: Edgekit, shared_model: SharedModel, tmp_path: Path
) -> None:
    samples = tmp_path / "samples.npy"
    np.save(samples, np.random.default_rng(1).standard_normal((3, 49, 10, 1), np.float32))
    out = tmp_path / "out"
    result = edgekit(
        "convert", shared_model("kws_float"), "-t", "cortex-m4", "-o", out, "--calib", samples
    )
    assert result.code == 0, result.err
    assert load_manifest(out).inputs[0].dtype == "int8"


UNSUPPORTED = """
import torch


class Net(torch.nn.Module):
    def forward(self, x):
        return torch.cumprod(torch.cumsum(x, 1), 2)


def make():
    return Net(), torch.zeros(1, 3, 4, 4)
"""


def test_all_unsupported_operators_are_listed_at_once(edgekit: Edgekit, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(UNSUPPORTED)
    result = edgekit("convert", f"{tmp_path}/net.py:make", "-t", "cortex-m4", "-o", tmp_path / "o")
    assert result.code == 3
    lines = result.err.splitlines()
    assert all(line.startswith("error: ") for line in lines)
    assert "cumprod" in result.err
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
    result = edgekit(*arguments, "--max-ram", "3K")
    assert result.code == 4
    assert "3072" in result.error
    assert tree(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("spelling", ["exact", "KiB above"])
def test_budget_counts_arena_input_and_output(
    spelling: str, edgekit: Edgekit, shared_model: SharedModel, tmp_path: Path
) -> None:
    arguments = ("convert", shared_model("kws_int8"), "-t", "cortex-m4", "-o", tmp_path / "out")
    arguments = (*arguments, "--schedule", "layerwise")
    assert edgekit(*arguments).code == 0
    needed = load_manifest(tmp_path / "out").ram_bytes
    budget = str(needed) if spelling == "exact" else f"{-(-needed // 1024)}K"
    assert edgekit(*arguments, "--max-ram", budget).code == 0
    assert edgekit(*arguments, "--max-ram", needed - 1).code == 4


def test_a_budget_is_met_by_another_schedule_and_the_least_one_is_named(
    edgekit: Edgekit, shared_model: SharedModel, tmp_path: Path
) -> None:
    arguments = ("convert", shared_model("kws_int8"), "-t", "cortex-m4", "-o", tmp_path / "out")
    assert edgekit(*arguments, "--input", "stream", "--max-ram", "6K").code == 0
    manifest = load_manifest(tmp_path / "out")
    assert manifest.ram_bytes <= 6 * 1024
    assert manifest.input_mode == "stream"
    result = edgekit(*arguments, "--input", "stream", "--max-ram", "2K")
    assert result.code == 4
    least = int(result.error.split("needs at least ")[1].split()[0])
    assert edgekit(*arguments, "--input", "stream", "--max-ram", least).code == 0
    assert load_manifest(tmp_path / "out").ram_bytes == least
    assert edgekit(*arguments, "--input", "stream", "--max-ram", least - 1).code == 4


def test_board_with_too_little_memory_is_exit_4(
    edgekit: Edgekit, shared_model: SharedModel, repository: Path, tmp_path: Path
) -> None:
    core = (repository / "targets" / "cortex-m4.toml").read_text()
    sizes = {"ram": "sram_bytes = 3072", "flash": "flash_bytes = 8192"}
    for what, line in sizes.items():
        board = tmp_path / f"{what}.toml"
        board.write_text(core.replace('name = "cortex-m4"', f'name = "board"\n{line}'))
        arguments = (shared_model("kws_int8"), "-t", board, "-o", tmp_path / "out")
        result = edgekit("convert", *arguments)
        assert result.code == 4
        assert line.split(" = ")[1] in result.error
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
    "command",
    [["validate", "{0}"], ["profile", "{0}"], ["run", "{0}", "--inputs", "{1}", "-o", "{2}"]],
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
