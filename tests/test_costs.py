# SPDX-License-Identifier: Apache-2.0
"""The cost model: tables that are valid and whole, a fit that finds what was planted, real counts."""

from __future__ import annotations

import dataclasses
import importlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import pytest
from support.conformance import only_call

from edgekit.costs import (
    ANY_CORE,
    UNFITTED,
    UNFITTED_FAST,
    Costs,
    CostTable,
    load_costs,
    load_table,
)
from edgekit.errors import BadInputError
from edgekit.ir import Call
from edgekit.kernel import Kernel
from edgekit.ops import operators
from edgekit.ops.conv2d import Conv2d
from edgekit.ops.depthwise_conv2d import DepthwiseConv2d
from edgekit.target import Target, list_targets, load_target

REPOSITORY = Path(__file__).resolve().parents[1]
REMEDY = "run `make costs` (or `python benchmarks/fit_costs.py --core CORE WORD`)"
FAMILIES = (
    "ek_pointwise_s8__dsp_4x2",
    "ek_conv2d_s8_packed__dsp_4x2",
    "ek_depthwise_conv2d_s8_nhwc__dsp_1x4",
    "ek_depthwise_conv2d_s8_row_planar__dsp_3x3s1",
    "ek_fully_connected_s8_packed__dsp_4x2",
)


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Modules of benchmarks/, which find each other as they do in a script."""
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    return importlib.import_module


def _kernels(target: Target) -> Iterator[Kernel]:
    for operator in operators().values():
        yield from (kernel for kernel in operator.kernels if kernel.isa in target.isa)


@pytest.mark.parametrize("target", list_targets(), ids=lambda target: target.name)
def test_every_kernel_of_a_target_has_coefficients(target: Target) -> None:
    table = load_table(target.costs or target.core)
    assert table is not None, f"{target.name}: no table of costs; {REMEDY}"
    symbols = {kernel.costs_as or kernel.symbol for kernel in _kernels(target)}
    missing = sorted(symbols - set(table.kernels))
    assert not missing, f"{target.name}: no costs of {missing}; {REMEDY}"


def test_tables_hold_only_kernels_and_features_that_there_are() -> None:
    features: dict[str, set[str]] = {}
    for kernel, call in _served_cases():
        features.setdefault(kernel.symbol, set()).update(kernel.features(call))
    for target in list_targets():
        table = load_table(target.core)
        if table is not None:
            assert table.core == target.core
            assert not set(table.kernels) - set(features), REMEDY
            for symbol, coefficients in table.kernels.items():
                assert set(coefficients) & features[symbol], f"{symbol}: {REMEDY}"


def _served_cases() -> Iterator[tuple[Kernel, Call]]:
    for operator in operators().values():
        for case in operator.cases():
            call = only_call(case.graph)
            for kernel in operator.kernels:
                if kernel.refusal(call) is None:
                    yield kernel, call


def test_features_are_counts() -> None:
    kernels = {kernel.symbol: kernel for op in operators().values() for kernel in op.kernels}
    for kernel, call in _served_cases():
        like = kernels[kernel.costs_as or kernel.symbol]
        assert kernel.features(call) == like.features(call), f"{kernel.symbol} costs as another"
        counts = kernel.features(call).values()
        assert min(counts) >= 0 and max(counts) > 0, (kernel.symbol, call.node)


def test_blocks_of_channels_share_what_does_not_grow_with_them(
    benchmarks: Callable[[str], ModuleType],
) -> None:
    """What a kernel has again in each block are those of its counts that do not double."""
    seen = set()
    for name, few, many in _doubled_channels(benchmarks("cost_layers")):
        for kernel in operators()[name].kernels:
            is_served = kernel.refusal(few) is None and kernel.refusal(many) is None
            if is_served and kernel.channel_blocks(few):
                before, after = kernel.features(few), kernel.features(many)
                shared = {n for n, count in before.items() if count and after[n] == count}
                assert shared == {n for n in kernel.shared if before.get(n)}, kernel.symbol
                assert all(after[n] == 2 * before[n] for n in before.keys() - shared), kernel.symbol
                seen.add(kernel.symbol)
    assert len(seen) >= 18


def _doubled_channels(cost_layers: ModuleType) -> Iterator[tuple[str, Call, Call]]:
    """Layers of 16 and of 32 output channels."""
    layers = itertools.product(((1, 1), (3, 3), (5, 5), (7, 7)), (1, 2), (False, True))
    for kernel, stride, padded in layers:
        window = cost_layers._window(kernel, stride, 1, padded=padded)
        shape, clamp = (1, 9, 11), cost_layers.CLAMPS[1]
        sizes = (16, 32)
        make = cost_layers.weighted_call
        attributes: Any = Conv2d(window)
        convolutions = [
            make("conv2d", (*shape, 5), size, attributes=attributes, clamp=clamp) for size in sizes
        ]
        yield "conv2d", convolutions[0], convolutions[1]
        attributes = DepthwiseConv2d(window)
        depthwise = [
            make("depthwise_conv2d", (*shape, size), size, attributes=attributes, clamp=clamp)
            for size in sizes
        ]
        yield "depthwise_conv2d", depthwise[0], depthwise[1]
    for name in ("average_pool2d", "max_pool2d"):
        first = only_call(next(iter(operators()[name].cases())).graph)
        pools = [next(cost_layers._over(operators()[name], first, [(1, 6, 8, n)])) for n in sizes]
        yield name, pools[0], pools[1]


def test_a_kernel_without_coefficients_costs_a_fixed_sum_of_its_counts() -> None:
    (case, *_) = operators()["add"].cases()
    call = only_call(case.graph)
    for kernel in operators()["add"].kernels:
        count = sum(kernel.features(call).values())
        each = UNFITTED.get(kernel.isa, UNFITTED_FAST)
        assert Costs({}).instructions(kernel, call) == each * count
        other = dataclasses.replace(kernel, symbol="ek_other__c", costs_as=kernel.symbol)
        planted = Costs({kernel.symbol: dict.fromkeys(kernel.features(call), 3.0)})
        assert planted.instructions(other, call) == 3.0 * count


def test_estimates_are_kept_by_layer_and_shape() -> None:
    """The same node with another shape, or other weights, is counted by itself."""
    counted: list[Call] = []

    def features(call: Call) -> dict[str, float]:
        counted.append(call)
        return {"outputs": call.output.elements}

    (case, *_) = operators()["conv2d"].cases()
    call, kernel = only_call(case.graph), operators()["conv2d"].kernels[0]
    kernel = dataclasses.replace(kernel, symbol="ek_counted__c", features=features)
    costs = Costs({kernel.symbol: {"outputs": 1.0}})
    half = dataclasses.replace(call.output, shape=(1, 1, *call.output.shape[2:]))
    weights = dataclasses.replace(call.inputs[1])
    calls = (
        call,
        dataclasses.replace(call, outputs=(half,)),
        dataclasses.replace(call, inputs=(call.inputs[0], weights, *call.inputs[2:])),
    )
    for _ in range(2):
        found = [costs.instructions(kernel, one) for one in calls]
        assert found == [one.output.elements for one in calls]
    assert len(counted) == len(calls)


def test_a_core_takes_the_kernels_that_its_table_lacks_from_the_table_that_it_names() -> None:
    own, other = load_table("cortex-m3"), load_table("cortex-m4")
    assert own is not None and other is not None and own.otherwise == other.core
    kernels = load_costs(load_target("cortex-m3")).kernels
    assert kernels == {**other.kernels, **own.kernels}


def test_a_core_without_a_table_takes_that_of_another_one() -> None:
    target = msgspec.structs.replace(load_target("cortex-m4"), core="of-tomorrow")
    assert load_costs(target).kernels == load_costs(load_target(ANY_CORE)).kernels
    borrowed = msgspec.structs.replace(target, costs="cortex-m3")
    assert load_costs(borrowed).kernels == load_costs(load_target("cortex-m3")).kernels


@pytest.mark.parametrize(
    "text", ["{", '{"core": "x"}', '{"core":"x","compiler":"","flags":"","kernels":{"k":{"n":-1}}}']
)
def test_a_damaged_table_is_one_line(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "costs").mkdir()
    (tmp_path / "costs" / "x.json").write_text(text, "utf-8")
    monkeypatch.setattr("importlib.resources.files", lambda package: tmp_path)
    with pytest.raises(BadInputError, match=r"x\.json: .*make costs"):
        load_table("x")


def test_a_fit_finds_planted_coefficients(benchmarks: Callable[[str], ModuleType]) -> None:
    fit_costs = benchmarks("fit_costs")
    planted = {"rows": 40.0, "outputs": 7.5, "macs": 0.25}
    random = np.random.default_rng(0)
    samples = []
    for _ in range(12):
        counts = {name: float(random.integers(1, 500)) for name in (*planted, "unused")}
        total = sum(cost * counts[name] for name, cost in planted.items())
        samples.append(fit_costs.Sample(counts, total))
    found = fit_costs.fit(samples)
    assert found == pytest.approx(planted | dict.fromkeys(found.keys() - planted, 0.0), abs=1e-3)
    assert max(sample.error(found) for sample in samples) < 1e-3
    fitted, held_out = fit_costs.split(samples)
    assert len(fitted) == 9 and len(held_out) == 3


def test_a_table_keeps_the_kernels_that_were_not_fitted_again(
    benchmarks: Callable[[str], ModuleType], require_program: Callable[[str], str]
) -> None:
    require_program("arm-none-eabi-gcc")
    fit_costs = benchmarks("fit_costs")
    before = CostTable(
        core="cortex-m4",
        compiler="",
        flags="",
        kernels={"ek_add_s8__ref": {"outputs": 1.0}, "ek_gone__ref": {"outputs": 1.0}},
    )
    kernels = {"ek_mul_s8__ref": {"outputs": 2.0}}
    table = fit_costs.table_of(load_target("cortex-m4"), kernels, before)
    assert table.kernels == kernels | {"ek_add_s8__ref": {"outputs": 1.0}}
    assert msgspec.json.decode(fit_costs.table_text(table), type=CostTable) == table


def test_estimates_are_near_the_counts_of_an_emulated_core(
    benchmarks: Callable[[str], ModuleType], require_program: Callable[[str], str]
) -> None:
    """A few layers of the kernels that most instructions go to; cost_layers.py has them all."""
    require_program("qemu-system-arm")
    require_program("arm-none-eabi-gcc")
    counts = benchmarks("cost_counts")
    target = load_target("cortex-m4")
    costs = load_costs(target)
    found = [trial for word in FAMILIES for trial in counts.trials(target.isa, words=[word])[3::12]]
    assert {trial.kernel.symbol for trial in found} == set(FAMILIES)
    errors = []
    for one in counts.count(found, target):
        estimate = costs.instructions(one.trial.kernel, one.trial.call) + one.driver
        errors.append(abs(estimate / one.instructions - 1))
        print(one.trial.kernel.symbol, one.instructions, f"{estimate / one.instructions:.3f}")
    # The worst are groups of a single channel over a single row.
    assert np.median(errors) < 0.03
    assert np.quantile(errors, 0.95) < 0.12
    assert max(errors) < 0.25
