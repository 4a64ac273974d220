# SPDX-License-Identifier: Apache-2.0
"""The layer table measures what the generated project executes, and says where it is wrong."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from edgekit.ops import operators
from edgekit.target import load_target

REPOSITORY = Path(__file__).resolve().parents[1]


def _kernels() -> ModuleType:
    path = REPOSITORY / "benchmarks" / "kernels.py"
    spec = importlib.util.spec_from_file_location("benchmark_kernels", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


KERNELS = _kernels()
SMALL = tuple(
    dataclasses.replace(layer, shape=(5, 4, 6)[: len(layer.shape)])
    for layer in KERNELS.LAYERS
    if layer.name.startswith(("depthwise 3x3 s1 W=5", "add"))
)


def test_names_differ_and_every_layer_has_its_goals() -> None:
    names = [layer.name for layer in KERNELS.LAYERS]
    assert len(set(names)) == len(names)
    for layer in KERNELS.LAYERS:
        assert {core for core in layer.figures if layer.figures[core].goal} == {
            "cortex-m4",
            "cortex-m55",
        }


def test_units_are_macs_or_elements_of_the_measured_layer_alone(
    require_program: Callable[[str], str],
) -> None:
    require_program("qemu-system-arm")
    require_program("arm-none-eabi-gcc")
    layers = tuple(dataclasses.replace(layer, outputs=6) for layer in SMALL)
    measured = KERNELS.measure(layers, load_target("cortex-m4"))
    assert [m.units for m in measured] == [5 * 4 * 6, 5 * 4 * 6 * 9]
    assert all(m.is_exact and m.units < m.instructions < 200 * m.units for m in measured)
    assert all(m.cycles_model > m.instructions for m in measured)


def test_a_wrong_result_is_noticed(
    monkeypatch: pytest.MonkeyPatch, require_program: Callable[[str], str]
) -> None:
    require_program("qemu-system-arm")
    require_program("arm-none-eabi-gcc")
    (layer,) = (dataclasses.replace(s, outputs=6) for s in SMALL if s.op == "depthwise_conv2d")
    evaluate = type(operators()[layer.op]).evaluate

    def off_by_one(self: Any, call: Any, inputs: Any) -> Any:
        result = evaluate(self, call, inputs)
        result[0, -1, -1, -1] ^= np.int8(1)
        return result

    monkeypatch.setattr(type(operators()[layer.op]), "evaluate", off_by_one)
    (measured,) = KERNELS.measure([layer], load_target("cortex-m4"))
    assert not measured.is_exact


def test_table_marks_what_misses_its_goal_or_is_wrong() -> None:
    (layer, *_) = KERNELS.LAYERS
    good = KERNELS.Measurement("ek_some_kernel", 100, 100, 95.0, None, True)
    over = dataclasses.replace(good, instructions=200, cycles_model=250)
    wrong = dataclasses.replace(good, is_exact=False)
    table = KERNELS.core_table("cortex-m4", [layer] * 3, [good, over, wrong])
    lines = table.splitlines()
    assert lines[1].split()[3:] == ["2.70", "1.15", "1.00", "-5%", "-", "ek_some_kernel"]
    assert lines[2].endswith("2.00           -52%           2.50   ek_some_kernel, OVER ITS GOAL")
    assert lines[3].endswith("ek_some_kernel, WRONG RESULT")


FAMILIES = ("pointwise", "conv", "fully")
"""Words in the names of the layers whose kernels reach their goals on a Cortex-M4."""


def test_layers_reach_their_goals_on_cortex_m4(require_program: Callable[[str], str]) -> None:
    """Bit-exact, at or under the goal, and within 15% of what the cost model predicts."""
    require_program("qemu-system-arm")
    require_program("arm-none-eabi-gcc")
    layers = [x for x in KERNELS.LAYERS if any(word in x.name for word in FAMILIES)]
    for layer, m in zip(layers, KERNELS.measure(layers, load_target("cortex-m4")), strict=True):
        assert m.is_exact, layer.name
        assert m.instructions <= layer.figures["cortex-m4"].goal * m.units, layer.name
        assert abs(m.estimated / m.instructions - 1) < 0.15, layer.name


def test_modelled_cycles_of_pointwise_layers_on_cortex_m7(
    require_program: Callable[[str], str],
) -> None:
    """At most 0.8 per MAC for 64 input channels or more, by the in-order model of cycle_table.py."""
    require_program("qemu-system-arm")
    require_program("arm-none-eabi-gcc")
    deep = [x for x in KERNELS.LAYERS if x.op == "conv2d" and x.name.startswith("pointwise")]
    deep = [x for x in deep if x.shape[-1] >= 64]
    assert deep
    for layer, m in zip(deep, KERNELS.measure(deep, load_target("cortex-m7")), strict=True):
        assert m.is_exact, layer.name
        assert m.cycles_model <= 0.8 * m.units, layer.name
