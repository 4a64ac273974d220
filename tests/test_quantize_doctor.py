# SPDX-License-Identifier: Apache-2.0
"""The doctor of quantization: which layer loses what, which remedy gains what, and when it stops."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.cli.app import run
from edgekit.converters.legalize import legalize
from edgekit.converters.quantize.doctor import Diagnosis, Goal, diagnose
from edgekit.converters.quantize.measure import DistanceSums, measure_layers
from edgekit.converters.quantize.options import QuantizeOptions
from edgekit.converters.quantize.recipe import quantize_model
from edgekit.converters.quantize.simulate import distance_with_float_layer
from edgekit.converters.samples import noise_samples
from edgekit.errors import BadInputError
from edgekit.interpret import interpret_float
from edgekit.ir import Graph

torch = pytest.importorskip("torch", reason="PyTorch is missing; run: pip install 'edgekit[torch]'")

from support.unbalanced import unbalanced  # noqa: E402
from torch import nn  # noqa: E402

from edgekit.converters.from_torch import import_torch_module  # noqa: E402


def graph_of(factor: float) -> Graph:
    module = unbalanced(nn.ReLU, factor=factor)
    return legalize(import_torch_module(module, torch.zeros(1, 4, 12, 12)))


def diagnosed(factor: float = 100.0, **arguments: Any) -> Diagnosis:
    graph = graph_of(factor)
    return diagnose(graph, noise_samples(graph, 8, 0), QuantizeOptions(), **arguments)


def test_distance_of_known_vectors() -> None:
    sums = DistanceSums()
    sums.add(np.array([3.0, 4.0]), np.array([3.0, 4.5]))
    distance = sums.distance()
    assert distance.sqnr_db == pytest.approx(10 * np.log10(25 / 0.25))
    assert distance.cosine == pytest.approx((9 + 18) / (5 * np.hypot(3.0, 4.5)))
    equal = DistanceSums()
    equal.add(np.ones(3), np.ones(3))
    assert (equal.distance().sqnr_db, equal.distance().cosine) == (200.0, 1.0)


def test_unequal_channels_are_named_first() -> None:
    diagnosis = diagnosed()
    applied = [trial for trial in diagnosis.trials if trial.applied]
    assert applied[0].remedy.name == "equalization"
    assert applied[0].gain_db > 6
    assert diagnosis.options.equalize
    gained = diagnosis.after.distance.sqnr_db - diagnosis.before.distance.sqnr_db
    assert gained == pytest.approx(sum(trial.gain_db for trial in applied))
    best = [t.gain_db for t in diagnosis.trials if t.round == 1]
    assert best == sorted(best, reverse=True)
    assert diagnosis.target_met is None


def test_equal_channels_need_no_equalization() -> None:
    graph = graph_of(1.0)
    options = QuantizeOptions(equalize=True)
    diagnosis = diagnose(graph, noise_samples(graph, 8, 0), options)
    assert "equalization" not in {trial.remedy.name for trial in diagnosis.trials}


def test_it_stops_at_the_target() -> None:
    before = diagnosed().before.distance.sqnr_db
    met = diagnosed(goal=Goal(sqnr_db=before - 1))
    assert met.target_met
    assert met.trials == ()
    assert met.options == QuantizeOptions()
    next_one = diagnosed(goal=Goal(sqnr_db=before + 3))
    assert next_one.target_met
    assert {trial.round for trial in next_one.trials} == {1}
    never = diagnosed(goal=Goal(sqnr_db=150.0))
    assert never.target_met is False


def test_targets_in_top1_need_labels() -> None:
    with pytest.raises(BadInputError, match="--max-drop needs labels"):
        diagnosed(goal=Goal(max_drop=1.0))
    graph = graph_of(100.0)
    samples = noise_samples(graph, 8, 0)
    output = graph.outputs[0].tensor
    labels = [int(interpret_float(graph, sample)[output].argmax()) for sample in samples]
    diagnosis = diagnose(graph, samples, QuantizeOptions(), labels=labels, goal=Goal(max_drop=0.0))
    assert diagnosis.float_top1 == 1.0
    assert diagnosis.target_met
    assert diagnosis.after.top1 == 1.0


def test_layers_are_measured_against_float() -> None:
    graph = graph_of(100.0)
    samples = noise_samples(graph, 4, 0)
    result = quantize_model(graph, samples, QuantizeOptions())
    distances = measure_layers(graph, result.graph, samples)
    assert set(distances) == {name for name in graph.tensors if not graph.tensors[name].is_constant}
    assert all(0 < d.sqnr_db < 80 and 0.9 < d.cosine <= 1 for d in distances.values())
    first = graph.inputs[0].tensor
    assert distances[first].sqnr_db > max(d.sqnr_db for n, d in distances.items() if n != first)


def test_simulation_agrees_with_the_integer_model() -> None:
    """The same SQNR to a decibel, and no less with a layer in float."""
    graph = graph_of(100.0)
    samples = noise_samples(graph, 8, 0)
    result = quantize_model(graph, samples, QuantizeOptions(), kept=8)
    exact = result.calibration.outputs
    output = graph.outputs[0].tensor
    integer = measure_layers(graph, result.graph, samples)[output].sqnr_db

    def simulated(layer: str | None) -> float:
        return distance_with_float_layer(graph, result.graph, samples, exact, layer=layer).sqnr_db

    # The bias and the average of the pooling are not rounded here: of 40 outputs that moves a few.
    assert simulated(None) == pytest.approx(integer, abs=1.0)
    assert max(simulated(node.name) for node in graph.nodes) > simulated(None)


@pytest.fixture
def model(tmp_path: Path) -> list[str]:
    """MODEL, and data with labels."""
    network = tmp_path / "network.py"
    network.write_text(
        "import torch\nfrom support.unbalanced import unbalanced\n"
        "def network():\n"
        "    return unbalanced(torch.nn.ReLU), torch.zeros(1, 4, 12, 12)\n",
        encoding="utf-8",
    )
    data = np.random.default_rng(0).standard_normal((9, 4, 12, 12)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=data, labels=np.arange(9) % 5)
    return [f"{network}:network", "--calib", str(tmp_path / "data.npz")]


def test_command_explains(model: list[str], tmp_path: Path, capsys: Any) -> None:
    output = ["-o", str(tmp_path / "out.tflite"), "--explain"]
    assert run(["quantize", *model, *output, "--json", "--samples", "6"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["samples"] == 6
    assert report["remedies"][0]["flag"] == "--equalize"
    assert report["remedies"][0]["applied"]
    assert len(report["layers"]) == 8
    plain = (tmp_path / "out.tflite").read_bytes()
    assert run(["quantize", *model, *output[:2]]) == 0
    assert (tmp_path / "out.tflite").read_bytes() == plain
    capsys.readouterr()
    assert (
        run(["quantize", *model, *output, "--target-sqnr", str(report["after"]["sqnr_db"] - 1)])
        == 0
    )
    text = capsys.readouterr().out
    assert "--equalize" in text
    assert "the target is met" in text
    assert (tmp_path / "out.tflite").read_bytes() != plain


def test_command_needs_samples_to_explain(tmp_path: Path, model: list[str], capsys: Any) -> None:
    output = ["-o", str(tmp_path / "out.tflite"), "--explain"]
    assert run(["quantize", model[0], *output]) == 2
    assert "needs a float model and --calib" in capsys.readouterr().err


def test_command_explains_what_the_format_cannot_hold(tmp_path: Path, capsys: Any) -> None:
    """The explanation took long, and .onnx is one way out."""
    network = tmp_path / "network.py"
    network.write_text(
        "from torch import nn, zeros\n"
        "def network():\n"
        "    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.SiLU()), zeros(1, 2, 6, 6)\n",
        encoding="utf-8",
    )
    samples = np.random.default_rng(0).standard_normal((3, 2, 6, 6)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=samples)
    arguments = ["quantize", f"{network}:network", "--calib", str(tmp_path / "data.npz")]
    assert run([*arguments, "-o", str(tmp_path / "out.tflite"), "--explain", "--json"]) == 3
    captured = capsys.readouterr()
    assert len(json.loads(captured.out)["layers"]) == 2
    assert "an .onnx file may have one" in captured.err
    assert run([*arguments, "-o", str(tmp_path / "out.onnx")]) == 0
    capsys.readouterr()
    assert run([*arguments, "-o", str(tmp_path / "out.bin"), "--explain"]) == 2
    assert capsys.readouterr().out == ""
