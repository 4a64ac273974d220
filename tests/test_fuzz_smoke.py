# SPDX-License-Identifier: Apache-2.0
"""A small share of `make fuzz`: no traceback, no hang, no memory, no half-written folder."""

from __future__ import annotations

import functools
import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from fuzz.campaign import Plan, Report, mutant, run
from fuzz.conversion import Converter, check_files
from fuzz.fields import fields_of
from fuzz.kinds import mutants_of
from fuzz.tflite_mutants import TfliteMutants

SEED = 20
TFLITE_COUNT = 1500
ONNX_COUNT = 300
PT2_COUNT = 30
WITHOUT_TORCH = importlib.util.find_spec("torch") is None
WITHOUT_ONNX = importlib.util.find_spec("onnx") is None
needs_onnx = pytest.mark.skipif(WITHOUT_ONNX, reason="onnx is missing: install edgekit[onnx]")
needs_torch = pytest.mark.skipif(WITHOUT_TORCH, reason="torch is missing: install edgekit[torch]")


def findings(report: Report) -> str:
    return "\n".join(f"seed-index {f.name}: {f.detail}" for f in report.findings)


def test_mutants_of_tflite_files() -> None:
    report = run(Plan(make=TfliteMutants, seed=SEED, count=TFLITE_COUNT, workers=1))
    assert not report.findings, findings(report)
    assert report.total == TFLITE_COUNT
    assert report.outcomes["converted"] > TFLITE_COUNT // 20
    assert report.outcomes["exit 2"] > TFLITE_COUNT // 4
    assert report.outcomes["exit 3"] > TFLITE_COUNT // 40


@needs_onnx
def test_mutants_of_onnx_files() -> None:
    make = functools.partial(mutants_of, "onnx")
    report = run(Plan(make=make, seed=SEED, count=ONNX_COUNT, workers=1))
    assert not report.findings, findings(report)
    assert report.total == ONNX_COUNT
    assert report.outcomes["converted"] > ONNX_COUNT // 20
    assert report.outcomes["exit 2"] > ONNX_COUNT // 4
    assert report.outcomes["exit 3"] > ONNX_COUNT // 40


@needs_torch
def test_mutants_of_pt2_files() -> None:
    make = functools.partial(mutants_of, "pt2")
    plan = Plan(
        make=make, seed=SEED, count=PT2_COUNT, workers=1, cli_every=10, limit_address_space=False
    )
    report = run(plan)
    assert not report.findings, findings(report)
    assert report.total == PT2_COUNT
    assert report.outcomes["exit 2"] > 0


def test_intact_tflite_models_convert(tmp_path: Path) -> None:
    converter = Converter(tmp_path, cli_every=20)
    for number, data in enumerate(TfliteMutants().intact()):
        outcome = converter.check(data, ".tflite", number=number)
        assert outcome.kind == "converted", (number, outcome)


@needs_onnx
def test_intact_onnx_models_convert(tmp_path: Path) -> None:
    converter = Converter(tmp_path)
    for number, data in enumerate(mutants_of("onnx").intact()):
        assert converter.check(data, ".onnx", number=number).kind == "converted"


@needs_onnx
def test_a_seed_gives_the_same_onnx_mutants() -> None:
    first, second = mutants_of("onnx"), mutants_of("onnx")
    made = [mutant(first, 7, i) for i in range(60)]
    assert made == [mutant(second, 7, i) for i in range(60)]
    assert len(set(made)) > 50


@needs_torch
def test_intact_pt2_models_convert(tmp_path: Path) -> None:
    converter = Converter(tmp_path, limit_address_space=False)
    for number, data in enumerate(mutants_of("pt2").intact()):
        assert converter.check(data, ".pt2", number=number).kind == "converted"


def test_the_program_saves_nothing_where_nothing_is_found(repository: Path) -> None:
    """`make fuzz` in small, as a process of its own."""
    command = [sys.executable, "-m", "fuzz", "--count", "40", "--seed", "1"]
    environment = {**os.environ, "PYTHONPATH": str(repository / "tests")}
    completed = subprocess.run(
        command, cwd=repository, env=environment, capture_output=True, text=True, timeout=300
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    assert "fuzz tflite: seed 1: 40 files" in completed.stdout


def test_a_seed_gives_the_same_mutants() -> None:
    first, second = TfliteMutants(), TfliteMutants()
    assert [mutant(first, 7, i) for i in range(60)] == [mutant(second, 7, i) for i in range(60)]


def test_fields_are_found_where_they_lie() -> None:
    """Every path once, inside the file; a few are those that the format documents."""
    data = TfliteMutants().intact()[0]
    paths = [field.path for field in fields_of(data)]
    assert len(paths) == len(set(paths))
    assert {"version", "subgraphs.0.tensors.0.shape.0", "subgraphs.0.operators.0.inputs.0"} <= {
        *paths
    }
    assert all(field.offset + field.size <= len(data) for field in fields_of(data))


class _Broken(Converter):
    """Does what no conversion may do, in place of a conversion."""

    def __init__(self, folder: Path, act: Callable[[], None]) -> None:
        super().__init__(folder, cli_every=2)
        self._act = act

    def _stages(self, path: Path, number: int) -> str:
        self._act()
        return "converted"


def _spin() -> None:
    while True:
        pass


def _trace() -> None:
    raise KeyError("x")


def _fill_memory() -> None:
    assert len(bytearray(2**31)) > 0


@pytest.mark.parametrize("act", [_spin, _trace, _fill_memory])
def test_the_harness_notices(act: Callable[[], None], tmp_path: Path) -> None:
    outcome = _Broken(tmp_path, act).check(b"", ".tflite", number=1)
    assert outcome.is_finding
    assert signal.getsignal(signal.SIGPROF) == signal.SIG_DFL


def test_the_harness_notices_a_folder_that_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half_written(arguments: list[str]) -> int:
        Path(arguments[-1]).mkdir()
        return 2

    monkeypatch.setattr("fuzz.conversion.main", half_written)
    outcome = Converter(tmp_path, cli_every=1).check(b"", ".tflite")
    assert outcome.is_finding and "it wrote ['model']" in outcome.detail


def test_the_harness_notices_trigraphs_and_strange_files() -> None:
    good = {"manifest.json": b'{"name": "model"}', "model.c": b"int x;"}
    check_files(good)
    for name, content in (("model.c", b"/* ??/ */"), ("model.h", b"\xc3"), ("../x", b"")):
        with pytest.raises(AssertionError):
            check_files(good | {name: content})


def test_mutants_differ_from_what_they_are_made_of() -> None:
    mutants = TfliteMutants()
    found = {mutants.mutant(Random(f"1:{i}")) for i in range(300)}
    assert len(found) > 290
    assert len(found & set(mutants.intact())) < 30
