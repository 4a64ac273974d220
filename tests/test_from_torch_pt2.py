# SPDX-License-Identifier: Apache-2.0
"""torch.export files: they give the module's graph, and nothing in a hostile one is executed."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing; run: pip install 'edgekit[torch]'")

from support import torch_models  # noqa: E402
from support.torch_checks import TOLERANCE, float_outputs  # noqa: E402
from torch import nn  # noqa: E402

from edgekit.converters.from_torch import import_pt2, import_torch_module  # noqa: E402
from edgekit.converters.legalize import legalize  # noqa: E402
from edgekit.errors import BadInputError, UnsupportedError  # noqa: E402


def write_pt2(path: Path, module: nn.Module, inputs: tuple[Any, ...], **options: Any) -> Path:
    torch.export.save(torch.export.export(module, inputs, **options), path)
    return path


def test_pt2_file_gives_the_graph_of_the_module(tmp_path: Path) -> None:
    module, inputs = torch_models.ds_cnn()
    from_file = legalize(import_pt2(write_pt2(tmp_path / "net.pt2", module, inputs)))
    from_module = legalize(import_torch_module(module, inputs))
    assert [n.op for n in from_file.nodes] == [n.op for n in from_module.nodes]
    np.testing.assert_array_equal(
        float_outputs(from_file, inputs)[0], float_outputs(from_module, inputs)[0]
    )


def test_pt2_file_of_core_aten_operators(tmp_path: Path) -> None:
    module, inputs = torch_models.resnet8()
    program = torch.export.export(module, inputs).run_decompositions()
    torch.export.save(program, tmp_path / "core.pt2")
    graph = legalize(import_pt2(tmp_path / "core.pt2"))
    expected = module(*inputs).detach().numpy()
    np.testing.assert_allclose(float_outputs(graph, inputs)[0], expected, rtol=0, atol=TOLERANCE)


def test_pt2_in_training_mode_is_refused(tmp_path: Path) -> None:
    module, _ = torch_models.ds_cnn()
    path = write_pt2(tmp_path / "train.pt2", module.train(), (torch_models.noise(1, 1, 25, 10),))
    with pytest.raises(UnsupportedError, match=r"call module\.eval\(\)"):
        import_pt2(path)


def test_pt2_with_another_batch_or_dynamic_shapes_is_refused(tmp_path: Path) -> None:
    module, _ = torch_models.ds_cnn()
    inputs = (torch_models.noise(4, 1, 25, 10),)
    with pytest.raises(BadInputError, match="fixed batch of 1"):
        import_pt2(write_pt2(tmp_path / "four.pt2", module, inputs))
    dynamic = ({0: torch.export.Dim("batch", max=64)},)
    path = write_pt2(tmp_path / "dynamic.pt2", module, inputs, dynamic_shapes=dynamic)
    with pytest.raises(UnsupportedError, match="dynamic shapes"):
        import_pt2(path)


def rewritten(path: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """A copy of an archive whose entries went through ``change``; None drops an entry."""
    copy = path.with_name("hostile.pt2")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(copy, "w") as target:
        for name in source.namelist():
            if (data := change(name, source.read(name))) is not None:
                target.writestr(name, data)
    return copy


class Payload:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def _use_pickle(name: str, data: bytes) -> bytes:
    return data.replace(b'"use_pickle": false', b'"use_pickle": true')


def _call_foreign(name: str, data: bytes) -> bytes:
    return data.replace(b"torch.ops.aten.relu.default", b"torch.hub.load")


def _symbolic(name: str, data: bytes) -> bytes:
    hostile = b'{"as_expr": {"expr_str": "__import__(1)", "hint": null}}'
    return data.replace(b'{"as_int": 10}', hostile)


def _wrong_size(name: str, data: bytes) -> bytes:
    return data.replace(b'{"as_int": 10}', b'{"as_int": 1000000}')


HOSTILE: dict[str, Callable[[str, bytes], bytes | None]] = {
    "pickled_weights": _use_pickle,
    "foreign_function": _call_foreign,
    "symbolic_expression": _symbolic,
    "wrong_sizes": _wrong_size,
    "compiled_code": lambda name, data: data,
    "no_model": lambda name, data: None if name.endswith("model.json") else data,
    "no_weights": lambda name, data: None if "/weight_" in name else data,
    "short_weights": lambda name, data: data[:4] if "/weight_" in name else data,
    "broken_json": lambda name, data: data[:-9] if name.endswith("model.json") else data,
    "empty_json": lambda name, data: b"{}" if name.endswith("model.json") else data,
    "json_list": lambda name, data: b"[1]" if name.endswith("model.json") else data,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pt2_files_are_refused_in_one_line(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = rewritten(write_pt2(tmp_path / "net.pt2", *torch_models.ds_cnn()), HOSTILE[name])
    if name == "compiled_code":
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("net/data/aotinductor/model/model.so", b"\x7fELF")
    with pytest.raises((BadInputError, UnsupportedError)) as caught:
        import_pt2(path)
    assert all("\n" not in line for line in caught.value.lines)
    assert "Traceback" not in capfd.readouterr().err


def test_pickled_sample_inputs_execute_nothing(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    buffer = io.BytesIO()
    torch.save(((Payload(touched),), {}), buffer)

    def change(name: str, data: bytes) -> bytes:
        return buffer.getvalue() if "sample_inputs" in name else data

    path = rewritten(write_pt2(tmp_path / "net.pt2", *torch_models.ds_cnn()), change)
    with pytest.raises(BadInputError):
        import_pt2(path)
    assert not touched.exists()


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive at all", b"{}" * 5000])
def test_files_that_are_no_archives(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "net.pt2"
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=r"not a torch\.export file"):
        import_pt2(path)


def test_truncated_pt2_files(tmp_path: Path) -> None:
    data = write_pt2(tmp_path / "net.pt2", *torch_models.ds_cnn()).read_bytes()
    for length in (100, len(data) // 2, len(data) - 30):
        (tmp_path / "cut.pt2").write_bytes(data[:length])
        with pytest.raises(BadInputError):
            import_pt2(tmp_path / "cut.pt2")


def test_weights_config_is_what_the_screen_expects(tmp_path: Path) -> None:
    """If PyTorch renames its fields, the screen must be looked at again."""
    with zipfile.ZipFile(write_pt2(tmp_path / "net.pt2", *torch_models.ds_cnn())) as archive:
        (config,) = (n for n in archive.namelist() if n.endswith("weights_config.json"))
        payloads = json.loads(archive.read(config))["config"]
    assert payloads and all(p["use_pickle"] is False for p in payloads.values())
