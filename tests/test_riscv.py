# SPDX-License-Identifier: Apache-2.0
"""32-bit RISC-V: converted models run, are profiled and faults are named on the emulated machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.command_line import Edgekit
from support.graphs import residual
from support.models import convert_graph

from edgekit.errors import MissingProgramError
from edgekit.inputs import seeded_samples
from edgekit.manifest import load_manifest
from edgekit.runners.qemu import EmulationError, run_qemu
from edgekit.target import load_target


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory, require_emulator: Callable[[str], None]
) -> Path:
    """A residual network converted for rv32imc."""
    require_emulator("rv32imc")
    folder = tmp_path_factory.mktemp("riscv") / "model"
    return Path(convert_graph(residual(), target="rv32imc").save(folder))


def test_validate(project: Path, edgekit: Edgekit) -> None:
    result = edgekit("validate", project, "--on", "host,qemu", "--json")
    assert result.code == 0, result.err
    rungs = {rung["name"]: rung for rung in json.loads(result.out)["rungs"]}
    assert rungs["qemu"]["samples"] >= 2
    assert rungs["qemu"]["equal"]


def test_profile_counts_every_layer(project: Path, edgekit: Edgekit) -> None:
    result = edgekit("profile", project, "--json")
    assert result.code == 0, result.err
    profile = json.loads(result.out)
    assert profile["core"] == "rv32imc"
    assert profile["compiler"].startswith("riscv64-unknown-elf-gcc ")
    counts = {layer["name"]: layer["instructions"] for layer in profile["layers"]}
    assert sum(counts.values()) == profile["total_instructions"]
    layers = [layer.name for layer in load_manifest(project).layers]
    assert [*layers, "glue"] == list(counts)
    assert min(counts.values()) > 0
    assert {layer["kernel"] for layer in profile["layers"]} >= {
        "ek_patch_conv2d_s8__c",
        "ek_tap_depthwise_s8__c",
        "ek_linear_sum_s8__c",
    }


def test_fault_names_its_function(tmp_path: Path, require_emulator: Callable[[str], None]) -> None:
    require_emulator("rv32imc")
    folder = Path(convert_graph(residual(), target="rv32imc").save(tmp_path / "model"))
    source = folder / "model.c"
    text = source.read_text("utf-8")
    entry = text.index("{", text.index("ek_status model_run("))
    source.write_text(f"{text[: entry + 1]}\n  *(volatile int *)8 = 1;{text[entry + 1 :]}", "utf-8")
    samples = list(seeded_samples(load_manifest(folder).inputs, 1, seed=0))
    with pytest.raises(EmulationError, match="in model_run: fault: exception 0x00000007"):
        run_qemu(folder, samples, load_target("rv32imc"))


def test_missing_emulator_says_how_to_get_it(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from edgekit.runners import qemu

    monkeypatch.setattr(qemu, "EMULATORS", {"riscv": "qemu-system-riscv32-missing"})
    samples = list(seeded_samples(load_manifest(project).inputs, 1, seed=0))
    with pytest.raises(MissingProgramError, match="qemu-system-riscv32-missing"):
        run_qemu(project, samples, load_target("rv32imc"))
