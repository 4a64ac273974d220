# SPDX-License-Identifier: Apache-2.0
"""Every emulated core runs the C that it is given, with its own kernels, as the reference computes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.command_line import Edgekit
from support.graphs import GRAPHS
from support.models import convert_graph, convert_named

from edgekit.inputs import seeded_samples
from edgekit.interpret import interpret
from edgekit.ir import Port, QGraph
from edgekit.manifest import load_manifest
from edgekit.ops import operators
from edgekit.reference import Reference
from edgekit.runners.qemu import run_qemu
from edgekit.target import list_targets, load_target

CORES = (
    *("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55"),
    "rv32imc",
)
HAND_MADE = ("every_operator", "residual", "two_by_two")
CASES_EACH = 3
"""Edge cases of an operator that run on every core; on the host and a Cortex-M4 all of them do."""
RequireEmulator = Callable[[str], None]


def prefixed(graph: QGraph, prefix: str) -> QGraph:
    """The same model under other names."""

    def named(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(f"{prefix}/{name}" for name in names)

    def port(old: Port) -> Port:
        return replace(old, name=f"{prefix}/{old.name}", tensor=f"{prefix}/{old.tensor}")

    return QGraph(
        {f"{prefix}/{n}": replace(t, name=f"{prefix}/{n}") for n, t in graph.tensors.items()},
        tuple(
            replace(n, name=f"{prefix}/{n.name}", inputs=named(n.inputs), outputs=named(n.outputs))
            for n in graph.nodes
        ),
        tuple(port(old) for old in graph.inputs),
        tuple(port(old) for old in graph.outputs),
    )


def operator_model() -> QGraph:
    """The first edge cases of every operator with kernels, side by side in one model."""
    return side_by_side(
        [
            prefixed(case.graph, f"{name}_{case.name}")
            for name, operator in sorted(operators().items())
            if operator.kernels
            for case in itertools.islice(operator.cases(), CASES_EACH)
        ]
    )


def side_by_side(parts: Sequence[QGraph]) -> QGraph:
    """One model of several whose names differ."""
    tensors = {name: tensor for part in parts for name, tensor in part.tensors.items()}
    nodes, inputs, outputs = (
        tuple(item for part in parts for item in getattr(part, field))
        for field in ("nodes", "inputs", "outputs")
    )
    return QGraph(tensors, nodes, inputs, outputs, name="operators").verify()


def check_on_core(folder: Path, core: str, *, samples: int) -> None:
    """All outputs of seeded samples, extremes included, on two differently painted arenas."""
    graph, manifest = Reference(folder).graph, load_manifest(folder)
    inputs = list(seeded_samples(manifest.inputs, samples, seed=9))
    run = run_qemu(folder, inputs, load_target(core), paint=True)
    assert run.stack_used_bytes <= manifest.stack_bytes
    for sample, outputs in zip(inputs, run.outputs, strict=True):
        values = interpret(graph, sample, outputs_only=True)
        for port, output in zip(graph.outputs, outputs, strict=True):
            assert np.array_equal(output, values[port.tensor]), port.name


def test_every_emulated_target_is_tried() -> None:
    emulated = {target.name for target in list_targets() if target.qemu is not None}
    assert emulated >= set(CORES)
    assert {load_target(name).core for name in emulated} <= set(CORES)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("name", HAND_MADE)
def test_model_on_core(
    name: str, core: str, tmp_path: Path, require_emulator: RequireEmulator
) -> None:
    require_emulator(core)
    folder = convert_graph(GRAPHS[name](), target=core).save(tmp_path / "model")
    assert load_manifest(folder).target == core
    check_on_core(folder, core, samples=4)


@pytest.mark.parametrize("core", CORES)
def test_every_operator_on_core(
    core: str, tmp_path: Path, require_emulator: RequireEmulator
) -> None:
    require_emulator(core)
    folder = convert_graph(operator_model(), target=core).save(tmp_path / "model")
    used = {layer.op for layer in load_manifest(folder).layers}
    assert used >= {name for name, operator in operators().items() if operator.kernels}
    check_on_core(folder, core, samples=3)


@pytest.mark.parametrize("core", CORES)
def test_shared_model_on_core(
    core: str,
    tmp_path: Path,
    shared_model: Callable[[str], Path],
    require_emulator: RequireEmulator,
) -> None:
    require_emulator(core)
    folder = convert_named("kws_int8", shared_model, target=core).save(tmp_path / "model")
    check_on_core(folder, core, samples=1)


@pytest.mark.parametrize("target", [target.name for target in list_targets()])
def test_every_shared_integer_file_converts(
    target: str, edgekit: Edgekit, shared_dir: Path, tmp_path: Path
) -> None:
    """Whatever the target, each becomes a project."""
    files = sorted(
        path for path in (shared_dir / "models").glob("*.tflite") if "float" not in path.stem
    )
    assert files
    for path in files:
        result = edgekit("convert", path, "-t", target, "-o", tmp_path / path.stem)
        assert result.code == 0, result.err
        assert load_manifest(tmp_path / path.stem).target == target
