# SPDX-License-Identifier: Apache-2.0
"""Names from a file that would be code, paths or terminal commands: none reaches C unescaped."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz.values import NAMES as ALL_NAMES
from support.c_project import WARNINGS, compile_each, run
from support.command_line import Edgekit
from support.tflite_writer import ModelSpec, OperatorSpec, TensorSpec, write_tflite

from edgekit.converters.from_tflite import import_tflite
from edgekit.errors import MAX_LINE_LENGTH, BadInputError, UnsupportedError
from edgekit.manifest import load_manifest
from edgekit.runners.host import run_host

NAMES = ALL_NAMES[1:]  # the first is empty, which the writer of the tests takes for no tensor
NAME_BYTES_OF_A_FILE_SYSTEM = 200
OWN_WORDS = ("memory", "arena", "operands", "input", "output", "model_run", "layer_0", "in", "out")
COLLIDING = ("a.b", "a-b", "a b", "A_B", "a__b", "a_b_1", "é_b")


def sums(ports: Sequence[tuple[str, str]], result: str = "y") -> ModelSpec:
    """ADD over all inputs, under names (tensor, signature); every intermediate sum is an output."""
    tensors = [TensorSpec(tensor, (1, 2, 3, 2), 0.1, 3) for tensor, _ in ports]
    operators, outputs = [], []
    last = ports[0][0]
    for i, (tensor, _) in enumerate(ports):
        outputs.append(f"{result}{i}" if i else result)
        tensors.append(TensorSpec(outputs[-1], (1, 2, 3, 2), 0.1, 3))
        operators.append(OperatorSpec("ADD", [last, tensor], [outputs[-1]], {}))
        last = outputs[-1]
    signature = {label: tensor for tensor, label in ports if label}
    return ModelSpec(tensors, operators, [t for t, _ in ports], outputs, signature or None)


def converted(edgekit: Edgekit, folder: Path, model: ModelSpec, file: str = "net") -> Path:
    path = folder / f"{file}.tflite"
    path.write_bytes(write_tflite(model))
    result = edgekit("convert", path, "-t", "cortex-m4", "-o", folder / "out")
    assert result.code == 0, result.err
    return folder / "out"


def check_project(folder: Path, objects: Path) -> None:
    """It compiles without a warning, its text is plain, its manifest is JSON, and it runs."""
    for path in folder.rglob("*"):
        if path.suffix in (".c", ".h", ".txt"):
            text = path.read_bytes()
            assert text.isascii() and b"??" not in text, path
            assert all(len(line) < 4000 for line in text.splitlines()), path
    manifest = load_manifest(folder)
    assert json.loads((folder / "manifest.json").read_text("utf-8"))["name"] == manifest.name
    names = [entry.name for entry in (*manifest.inputs, *manifest.outputs)]
    assert len(set(names)) == len(names)
    compile_each("gcc", [*WARNINGS, "-Wtrigraphs", "-Wcomment"], folder, objects)
    run(["gcc", *WARNINGS, "-c", f"-I{folder}", folder / "example/main.c", "-o", objects / "ex.o"])
    zeros = tuple(np.full(entry.shape, 3, np.int8) for entry in manifest.inputs)
    assert all((output == 3).all() for output in run_host(folder, [zeros]).outputs[0])


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_tensor_and_signature_names(
    name: str, edgekit: Edgekit, tmp_path: Path, require_program: Callable[[str], str]
) -> None:
    require_program("gcc")
    ports = [(name, f"{name}!"), (f"{name}?", ""), ("z", name)]
    folder = converted(edgekit, tmp_path, sums(ports, result=f"{name}*"))
    check_project(folder, tmp_path / "objects")


@pytest.mark.parametrize("names", [OWN_WORDS, COLLIDING], ids=["own_words", "colliding"])
def test_many_names_in_one_model(
    names: Sequence[str], edgekit: Edgekit, tmp_path: Path, require_program: Callable[[str], str]
) -> None:
    require_program("gcc")
    folder = converted(edgekit, tmp_path, sums([(name, "") for name in names], result="model"))
    assert len(load_manifest(folder).inputs) == len(names)
    check_project(folder, tmp_path / "objects")


@pytest.mark.parametrize("name", OWN_WORDS)
def test_one_input_with_the_name_of_a_variable_of_ours(
    name: str, edgekit: Edgekit, tmp_path: Path, require_program: Callable[[str], str]
) -> None:
    require_program("gcc")
    x, y = TensorSpec(name, (1, 4), 0.1, 3), TensorSpec(f"{name}.", (1, 4), 0.1, 3)
    relu = OperatorSpec("QUANTIZE", [name], [f"{name}."])
    model = ModelSpec([x, y], [relu], [name], [f"{name}."])
    check_project(converted(edgekit, tmp_path, model), tmp_path / "objects")


FILE_NAMES = [n for n in NAMES if n and "/" not in n and "\0" not in n and n not in (".", "..")]


@pytest.mark.parametrize("name", [n for n in FILE_NAMES if len(n) < NAME_BYTES_OF_A_FILE_SYSTEM])
def test_file_names(
    name: str, edgekit: Edgekit, tmp_path: Path, require_program: Callable[[str], str]
) -> None:
    require_program("gcc")
    folder = converted(edgekit, tmp_path, sums([("x", "")]), file=name)
    check_project(folder, tmp_path / "objects")


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_messages_with_names_are_one_printable_line(name: str, tmp_path: Path) -> None:
    unsupported = ModelSpec(
        [TensorSpec("x", (1, 4), 0.1, 0), TensorSpec(name, (1, 4), 0.1, 0)],
        [OperatorSpec(f"CUSTOM:{name or 'none'}", ["x"], [name])],
        ["x"],
        [name],
    )
    wrong = ModelSpec([TensorSpec(name, (1, 4), -0.1, 0)], [], [name], [name])
    for model, kind in ((unsupported, UnsupportedError), (wrong, BadInputError)):
        path = tmp_path / "net.tflite"
        path.write_bytes(write_tflite(model))
        with pytest.raises(kind) as caught:
            import_tflite(path)
        for line in caught.value.lines:
            assert line.isprintable() and 0 < len(line) <= MAX_LINE_LENGTH


def test_every_message_becomes_one_line() -> None:
    error = UnsupportedError("first\nline\x1b[31m \u202e", "y" * 10_000)
    assert error.lines[0] == "first line?[31m ?"
    assert len(error.lines[1]) == MAX_LINE_LENGTH
    assert str(error) == "\n".join(error.lines)


def test_module_names(tmp_path: Path, require_program: Callable[[str], str]) -> None:
    """PyTorch takes any text without a dot; keywords and quotes fail in its own decompositions."""
    require_program("gcc")
    torch = pytest.importorskip("torch", reason="install edgekit[torch]")
    import edgekit as package

    net: Any = torch.nn.Sequential()
    for name in ("*/ int x; /*", "??/", "a\tb", "%s%n", "memory", "日本", "n" * 10_000):
        net.add_module(name, torch.nn.Conv2d(2, 2, 1))
        net.add_module(f"{name}'", torch.nn.ReLU())
    x = torch.zeros(1, 2, 3, 3)
    calibration = [torch.randn(1, 2, 3, 3, generator=torch.Generator().manual_seed(0))]
    artifact = package.convert(net, x, calibration=calibration, target="cortex-m4")
    folder = artifact.save(tmp_path / "out")
    compile_each("gcc", [*WARNINGS, "-Wtrigraphs", "-Wcomment"], folder, tmp_path / "objects")
    assert json.loads((folder / "manifest.json").read_text("utf-8"))["layers"]
    artifact.validate(samples=2).assert_ok()
