# SPDX-License-Identifier: Apache-2.0
"""edgekit.convert and the Artifact: run, validate and save from Python."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.torch_models import DsCnn, noise, randomize
from torch import nn

import edgekit
from edgekit.artifact import Artifact
from edgekit.errors import BadInputError, DoesNotFitError, EdgekitError, ValidationError
from edgekit.manifest import load_manifest
from edgekit.reference import Reference


def calibration(count: int = 16) -> list[torch.Tensor]:
    return [noise(1, 1, 25, 10, seed=seed) for seed in range(count)]


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return randomize(DsCnn())


@pytest.fixture(scope="module")
def artifact(network: nn.Module) -> Artifact:
    return edgekit.convert(
        network, noise(1, 1, 25, 10), calibration=calibration(), target="cortex-m4", max_ram="64K"
    )


def test_module_runs_close_to_its_float_self(network: nn.Module, artifact: Artifact) -> None:
    """Real values in, real values out, in the layout of the module."""
    for seed in range(100, 104):
        x = noise(1, 1, 25, 10, seed=seed)
        expected = network(x).detach().numpy()
        actual = artifact.run(x)
        assert (actual.shape, actual.dtype) == (expected.shape, np.float32)
        error = np.linalg.norm(actual - expected) / np.linalg.norm(expected)
        assert error < 0.1  # 8-bit activations; 20 dB


def test_sample_may_lack_the_batch_and_be_nhwc_or_integers(artifact: Artifact) -> None:
    x = noise(1, 1, 25, 10, seed=9).numpy()
    entry = artifact.manifest.inputs[0]
    expected = artifact.run(x)
    assert np.array_equal(artifact.run(x[0]), expected)
    assert np.array_equal(artifact.run(x.transpose(0, 2, 3, 1)), expected)
    integers = np.clip(np.rint(x / entry.scale) + entry.zero_point, -128, 127).astype(np.int8)
    output = artifact.manifest.outputs[0]
    result = artifact.run(integers)
    assert result.dtype == np.int8
    real = (result.astype(np.float64) - output.zero_point) * output.scale
    assert np.abs(real - expected).max() <= 2 * output.scale  # rint and halves away may differ


def test_validate_on_seeded_and_on_given_inputs(
    artifact: Artifact, require_program: Callable[[str], str]
) -> None:
    require_program("qemu-system-arm")
    report = artifact.validate(on=("host", "qemu"), samples=2).assert_ok()
    assert [(r.name, r.samples) for r in report.rungs] == [
        ("reference", 2),
        ("host", 2),
        ("qemu", 2),
    ]
    given = artifact.validate(torch.cat(calibration(3))).assert_ok()
    assert [(r.name, r.samples) for r in given.rungs] == [("reference", 3), ("host", 3)]
    assert report.float is not None
    assert report.float.sqnr_db is not None
    assert report.float.sqnr_db > 20


def test_wrong_c_does_not_pass(artifact: Artifact) -> None:
    class Damaged(Artifact):
        """Saves itself with the first bias of every layer changed."""

        def save(self, directory: str | Path) -> Path:
            folder = super().save(directory)
            text = (folder / "model.c").read_text()
            table = re.compile(r"(_packed\[\d+\][^{]*\{\s*)(-?\d+)")
            changed, count = table.subn(lambda m: f"{m[1]}{int(m[2]) ^ 1 << 20}", text)
            assert count
            (folder / "model.c").write_text(changed)
            return folder

    report = Damaged(artifact._sources).validate()
    with pytest.raises(ValidationError, match="rung 'host'"):
        report.assert_ok()


def test_save_writes_the_files_that_the_artifact_holds(artifact: Artifact, tmp_path: Path) -> None:
    folder = artifact.save(tmp_path / "out")
    assert folder == tmp_path / "out"
    written = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert written == artifact.files
    assert load_manifest(folder) == artifact.manifest
    assert artifact.save(folder) == folder  # an older project is replaced


def test_reference_keeps_the_calibration_samples_and_float_outputs(
    network: nn.Module, artifact: Artifact, tmp_path: Path
) -> None:
    reference = Reference(artifact.save(tmp_path / "out"))
    assert reference.float_outputs is not None
    assert len(reference.samples) == len(reference.float_outputs) == 16
    expected = network(calibration()[5]).detach().numpy()
    np.testing.assert_allclose(reference.float_outputs[5][0], expected, rtol=1e-4, atol=1e-5)


def test_without_calibration_there_is_a_warning(network: nn.Module) -> None:
    with pytest.warns(UserWarning, match="calibration") as caught:
        edgekit.convert(network, noise(1, 1, 25, 10))
    assert caught[0].filename == __file__


def test_tflite_path_runs_like_its_reference(
    shared_model: Callable[[str], Path], tmp_path: Path
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        artifact = edgekit.convert(shared_model("kws_int8"), target="cortex-m4", name="kws")
    assert "kws.h" in artifact.files
    artifact.validate(samples=2).assert_ok()
    entry = artifact.manifest.inputs[0]
    assert artifact.run(np.zeros(entry.shape, np.int8)).dtype == np.int8


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"target": "cortex-m99"}, BadInputError, "cortex-m99"),
        ({"max_ram": "much"}, BadInputError, "64K"),
        ({"max_ram": 100}, DoesNotFitError, "100"),
        ({"name": "2nd"}, BadInputError, "--name"),
        ({"calibration": [torch.zeros(1, 1, 9, 9)]}, BadInputError, "shape"),
        ({"calibration": []}, BadInputError, "sample"),
        ({"calibration": [torch.full((1, 1, 25, 10), torch.nan)]}, BadInputError, "NaN"),
        ({"calibration": "nowhere.npz"}, BadInputError, "nowhere.npz"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else None,
)
def test_wrong_arguments_are_named(
    arguments: dict[str, Any], error: type[EdgekitError], words: str, network: nn.Module
) -> None:
    options = {"calibration": calibration(2), **arguments}
    with pytest.raises(error, match=words) as caught:
        edgekit.convert(network, noise(1, 1, 25, 10), **options)
    assert len(caught.value.lines) == 1


def test_module_needs_example_inputs_and_a_path_must_not_have_them(network: nn.Module) -> None:
    with pytest.raises(BadInputError, match="example_inputs"):
        edgekit.convert(network)
    with pytest.raises(BadInputError, match="example_inputs"):
        edgekit.convert("model.tflite", noise(1, 1, 25, 10))


def test_wrong_inputs_of_run_and_validate(artifact: Artifact) -> None:
    x = np.zeros((1, 1, 25, 10), np.float32)
    with pytest.raises(BadInputError, match="2 inputs"):
        artifact.run(x, x)
    with pytest.raises(BadInputError, match="shape"):
        artifact.run(x[:, :, :5])
    with pytest.raises(BadInputError, match="int16"):
        artifact.run(x.astype(np.int16))
    with pytest.raises(BadInputError, match="NaN"):
        artifact.run(np.full_like(x, np.nan))
    with pytest.raises(BadInputError, match="no samples"):
        artifact.validate([])
    with pytest.raises(BadInputError, match="moon"):
        artifact.validate(on=("moon",))
