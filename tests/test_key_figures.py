# SPDX-License-Identifier: Apache-2.0
"""The tracked key figures are what the tree computes: a change must be committed on purpose."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def _key_figures() -> ModuleType:
    path = REPOSITORY / "benchmarks" / "key_figures.py"
    spec = importlib.util.spec_from_file_location("key_figures", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FIGURES = _key_figures()
LINES = FIGURES.FIGURES.read_text(encoding="utf-8").splitlines()


def test_growth_of_a_figure_is_reported() -> None:
    same = "net/way 1000 2000 3000 40000"
    assert FIGURES.difference(same, same) == (
        "net/way: arena_bytes 1000 -> 1000 (+0.00%), flash_bytes 2000 -> 2000 (+0.00%), "
        "code_bytes 3000 -> 3000 (+0.00%), instructions 40000 -> 40000 (+0.00%)",
        False,
    )
    grown = {
        "net/way 1001 2000 3000 40000": True,
        "net/way 1000 2040 3060 40400": False,
        "net/way 1000 2000 3061 40000": True,
        "net/way 1000 2000 3000 40401": True,
        "net/way 900 1000 2000 30000": False,
    }
    assert {line: FIGURES.difference(same, line)[1] for line in grown} == grown


def test_every_network_has_its_line() -> None:
    assert LINES[0] == FIGURES.HEADER
    assert [line.split()[0] for line in LINES[3:]] == list(FIGURES.NETWORKS)


@pytest.mark.parametrize("network", list(FIGURES.NETWORKS))
def test_figures_of(network: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("require_program")("arm-none-eabi-gcc")
    request.getfixturevalue("require_program")("qemu-system-arm")
    if network.endswith(("_int8", "_vww")):
        request.getfixturevalue("shared_model")(network)
    if FIGURES.compiler_line() != LINES[1]:
        pytest.skip(f"the figures hold for {LINES[1][2:]}, here is {FIGURES.compiler_line()[2:]}")
    recorded = next(line for line in LINES if line.startswith(f"{network} "))
    assert FIGURES.measure(network) == recorded, (
        "figures changed: run `make figures`, and commit a worse one only with its reason"
    )
