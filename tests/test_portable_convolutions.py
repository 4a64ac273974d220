# SPDX-License-Identifier: Apache-2.0
"""Portable convolutions: crafted weights and sums on the host, Armv6-M's twins, instructions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from support.conformance import check_kernel
from support.dsp_cases import crafted_pointwise
from support.dsp_depthwise_cases import crafted_depthwise
from support.graphs import HALF_3, SAME_3, GraphBuilder, square
from support.kernel_library import host_library
from support.models import convert_graph
from support.trial_memory import Trial
from test_cores import prefixed, side_by_side
from test_tuned_kernels import case_inputs, served_cases

from edgekit.converters import choose as choice_of_kernels
from edgekit.converters.choose import choose
from edgekit.converters.schedule.layerwise import layer_costs
from edgekit.interpret import interpret
from edgekit.kernel import Kernel
from edgekit.manifest import load_manifest
from edgekit.ops import operator_of, operators
from edgekit.runners.profile import profile_qemu
from edgekit.runners.qemu import run_qemu
from edgekit.target import load_target
from edgekit.window import Axis, Window

SAME_5 = Axis(5, 1, 1, 2, 2)
WEIGHTED = ("conv2d", "depthwise_conv2d", "fully_connected", "mul")
CORES = ("cortex-m3", "cortex-m0plus", "rv32imc")


def kernel_named(op: str, symbol: str) -> Kernel:
    return next(kernel for kernel in operators()[op].kernels if kernel.symbol == symbol)


CRAFTED: dict[str, tuple[str, Callable[[], Iterable[Trial]]]] = {
    "ek_dot_pointwise_s8__c": ("conv2d", crafted_pointwise),
    "ek_patch_conv2d_s8__c": ("conv2d", crafted_pointwise),
    "ek_tap_depthwise_s8__c": ("depthwise_conv2d", crafted_depthwise),
}
"""Calls with every shift, clamp and tail, rounding ties, and sums at their limits."""


@pytest.mark.parametrize("symbol", CRAFTED)
def test_crafted_call_equals_reference(symbol: str) -> None:
    op, make_trials = CRAFTED[symbol]
    kernel = kernel_named(op, symbol)
    calls = {id(trial.call): trial for trial in make_trials()}
    served = [trial for trial in calls.values() if kernel.refusal(trial.call) is None]
    assert len(served) > 0.7 * len(calls)
    for trial in served:
        operator = operator_of(trial.call.node)
        check_kernel(host_library("c"), operator, kernel, trial.call, [trial.inputs])


def test_every_case_on_cortex_m0plus(tmp_path: Path, require_program: Callable[[str], str]) -> None:
    """Its inner loops are assembly, and its products have 32 bits."""
    require_program("arm-none-eabi-gcc")
    require_program("qemu-system-arm")
    cases = [(op, case) for op, case in served_cases() if op in WEIGHTED]
    graph = side_by_side(
        [prefixed(case.graph, f"{op}_{number}") for number, (op, case) in enumerate(cases)]
    )
    with mock.patch.object(choice_of_kernels, "RARE_SHARE", 0.0):  # the small layers too
        folder = convert_graph(graph, target="cortex-m0plus").save(tmp_path / "model")
    kernels = {layer.kernel for layer in load_manifest(folder).layers}
    assert kernels >= {*CRAFTED, "ek_dot_fully_connected_s8__c", "ek_product_s8__c"}
    trials = [case_inputs(case) for _, case in cases]
    samples = [
        [array for inputs in trials for array in inputs[min(number, len(inputs) - 1)]]
        for number in range(4)
    ]
    run = run_qemu(folder, samples, load_target("cortex-m0plus"))
    for sample, outputs in zip(samples, run.outputs, strict=True):
        values = interpret(graph, sample, outputs_only=True)
        for port, output in zip(graph.outputs, outputs, strict=True):
            assert np.array_equal(output, values[port.tensor]), port.name


@dataclass(frozen=True)
class Layer:
    """A layer, and the most instructions that one of its MACs may take on each of CORES."""

    add: Callable[[GraphBuilder], str]
    limits: tuple[float, float, float]


def _pointwise(size: int, inputs: int, outputs: int) -> Callable[[GraphBuilder], str]:
    name = f"point_{inputs}"
    return lambda b: b.conv2d(b.input(name, (1, size, size, inputs)), outputs)


def _depthwise(name: str, window: Window) -> Callable[[GraphBuilder], str]:
    return lambda b: b.depthwise(b.input(name, (1, 12, 12, 32)), window)


LAYERS: dict[str, Layer] = {
    "pointwise_32_32_12x12": Layer(_pointwise(12, 32, 32), (3.9, 6.4, 5.0)),
    "pointwise_8_16_12x12": Layer(_pointwise(12, 8, 16), (8.3, 14, 9.9)),
    "pointwise_64_64_6x6": Layer(_pointwise(6, 64, 64), (3.2, 5.1, 4.2)),
    "conv_3x3_16_16_12x12": Layer(
        lambda b: b.conv2d(b.input("d", (1, 12, 12, 16)), 16, square(SAME_3)), (3.0, 4.8, 4.0)
    ),
    "first_conv_3x3s2_3_8_24x24": Layer(
        lambda b: b.conv2d(b.input("e", (1, 24, 24, 3)), 8, square(HALF_3)), (6.2, 9.8, 7.5)
    ),
    "depthwise_3x3_12x12x32": Layer(_depthwise("f", square(SAME_3)), (11.4, 21, 12.6)),
    "depthwise_3x3s2_12x12x32": Layer(_depthwise("g", square(HALF_3)), (11.5, 21.2, 12.7)),
    "depthwise_5x5_12x12x32": Layer(_depthwise("h", square(SAME_5)), (7.9, 14, 8.9)),
    "fully_connected_256_10": Layer(
        lambda b: b.fully_connected(b.input("i", (1, 256, 999)), 10), (3.4, 5.2, 4.9)
    ),
}


@pytest.mark.parametrize("core", CORES)
def test_instructions_per_mac(
    core: str, tmp_path: Path, require_emulator: Callable[[str], None]
) -> None:
    """gcc 12 -O2, whole layers; the estimates are near the counts."""
    require_emulator(core)
    b = GraphBuilder("side_by_side")
    graph = b.graph(*(layer.add(b) for layer in LAYERS.values()))
    folder = convert_graph(graph, target=core).save(tmp_path / "model")
    layers = profile_qemu(folder, load_target(core)).layers
    missed, estimates = [], layer_costs(graph, choose(graph, load_target(core)))
    for (name, layer), call, counted in zip(LAYERS.items(), graph.calls(), layers, strict=False):
        count = counted.instructions / operators()[call.node.op].macs(call)
        estimate = estimates[call.node.name] / counted.instructions
        line = f"{name}: {count:.2f} by {counted.kernel}, estimate {estimate:.2f}"
        print(line)
        if count > layer.limits[CORES.index(core)]:
            missed.append(line)
        if not 0.85 <= estimate <= 1.15:
            missed.append(line)
    assert not missed
