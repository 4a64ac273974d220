# SPDX-License-Identifier: Apache-2.0
"""The Helium kernels equal the reference on the host and on an emulated Cortex-M55, as fast as promised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from support.dsp_cases import noise, pointwise
from support.graphs import GRAPHS
from support.kernel_trials import (
    build_for_core,
    count_on_core,
    run_on_core,
    run_on_host,
    trial_program,
    whole_map,
    write_program,
)
from support.mve_cases import (
    convolution,
    crafted_convolutions,
    crafted_depthwise,
    depthwise,
)
from support.random_trials import random_trials
from support.trial_memory import Trial

from edgekit.build.cross import compile_objects
from edgekit.build.stack import stack_bound
from edgekit.converters.choose import choose
from edgekit.converters.schedule.gather import gather_facts
from edgekit.costs import load_costs
from edgekit.kernel import Kernel
from edgekit.ops import operators
from edgekit.ops._mve_convolution import CONV2D, POINTWISE
from edgekit.ops._mve_depthwise import MVE as DEPTHWISE
from edgekit.ops.fully_connected import MVE as FULLY_CONNECTED
from edgekit.target import load_target
from edgekit.window import Axis, Window

KERNELS = (POINTWISE, CONV2D, DEPTHWISE, FULLY_CONNECTED)
SUITES: dict[str, Callable[[], Sequence[Trial]]] = {
    "convolution": lambda: tuple(crafted_convolutions()),
    "depthwise": lambda: tuple(crafted_depthwise()),
}
RequireProgram = Callable[[str], str]


def _write(folder: Path, trials: Sequence[Trial], platform: str) -> list[Path]:
    kernels = list({trial.kernel.symbol: trial.kernel for trial in trials}.values())
    return write_program(
        folder,
        kernels,
        sources=["kernel_trials.c", f"platform_{platform}.c"],
        generated={"kernel_trials_data.c": trial_program(trials)},
    )


@pytest.mark.parametrize("suite", SUITES)
def test_portable_twin_equals_reference(
    suite: str, tmp_path: Path, require_program: RequireProgram
) -> None:
    require_program("gcc")
    sources = _write(tmp_path, SUITES[suite](), "host")
    assert run_on_host(sources, compiler="gcc") == ["done"]


@pytest.mark.parametrize("suite", SUITES)
def test_kernel_equals_reference_on_cortex_m55(
    suite: str, tmp_path: Path, require_program: RequireProgram
) -> None:
    require_program("qemu-system-arm")
    require_program("arm-none-eabi-gcc")
    target = load_target("cortex-m55")
    sources = _write(tmp_path, SUITES[suite](), "emulated")
    assert run_on_core(build_for_core(sources, target), target) == ["done"]


@pytest.mark.parametrize("optimization", ["-O0", "-O1", "-O3", "-Os"])
def test_kernel_survives_every_optimization(
    optimization: str, tmp_path: Path, require_program: RequireProgram
) -> None:
    require_program("qemu-system-arm")
    require_program("arm-none-eabi-gcc")
    target = load_target("cortex-m55")
    sources = _write(tmp_path, tuple(random_trials("mve", seed=1, count=16)), "emulated")
    elf = build_for_core(sources, target, extra_flags=(optimization,))
    assert run_on_core(elf, target) == ["done"]


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.symbol)
def test_stack_stays_within_what_the_kernel_states(
    kernel: Kernel, tmp_path: Path, require_program: RequireProgram
) -> None:
    require_program("arm-none-eabi-gcc")
    target = load_target("cortex-m55")
    objects = compile_objects(
        target,
        write_program(tmp_path, [kernel], sources=[], generated={}),
        include_directories=[tmp_path],
        build_directory=tmp_path,
    )
    bound = stack_bound(target, objects, entry=kernel.symbol, build_directory=tmp_path)
    assert bound.bytes <= kernel.stack_bytes, bound.path


def test_blocks_of_a_pair_suit_both_kernels() -> None:
    """Pointwise blocks begin at multiples of 4, depthwise ones at multiples of 16."""
    graph = GRAPHS["residual"]()
    choices = choose(graph, load_target("cortex-m55"))
    pairs = gather_facts(graph, choices, "resident").pairs
    planned = [option.planned for found in pairs.values() for option in found]
    options = [pair for pair in planned if pair.primitive != "D"]
    assert {choices[option.consumer].kernel for option in options} == {DEPTHWISE}
    channels = {
        call.node.name: call.output.shape[3]
        for call in graph.calls()
        if len(call.output.shape) == 4
    }
    for option in options:
        whole = channels[option.producer]
        assert option.block % 16 == 0 or option.block == whole


SAME = Window(Axis(3, 1, 1, 1, 1), Axis(3, 1, 1, 1, 1))
TWICE = Window(Axis(3, 2, 1, 0, 1), Axis(3, 2, 1, 0, 1))
SPEECH = Window(Axis(10, 2, 1, 4, 5), Axis(4, 2, 1, 1, 1))


def _pointwise_goal(inputs: int, outputs: int, size: int) -> Trial:
    call = pointwise(size, inputs, outputs, height=size)
    return whole_map("goal", POINTWISE, call, noise(call, 1), flat=True)


def _convolution_goal(shape: tuple[int, int, int], outputs: int, window: Window) -> Trial:
    call = convolution(shape, outputs, window)
    return whole_map("goal", CONV2D, call, noise(call, 1))


def _depthwise_goal(
    size: int, channels: int, kernel: int, *, stride: int = 1, clamp: str = "at_zero_point"
) -> Trial:
    total = kernel - stride if size % stride == 0 else kernel - 1
    axis = Axis(kernel, stride, 1, total // 2, total - total // 2)
    call = depthwise((size, size, channels), Window(axis, axis), clamp=clamp)
    return whole_map("goal", DEPTHWISE, call, noise(call, 1))


GOALS: dict[str, tuple[float, Callable[[], Trial]]] = {
    "pointwise_32_32_24x24": (0.42, lambda: _pointwise_goal(32, 32, 24)),
    "pointwise_64_64_12x12": (0.28, lambda: _pointwise_goal(64, 64, 12)),
    "pointwise_128_128_6x6": (0.20, lambda: _pointwise_goal(128, 128, 6)),
    "pointwise_8_16_48x48": (1.5, lambda: _pointwise_goal(8, 16, 48)),
    "conv_3x3_16_32x32": (0.28, lambda: _convolution_goal((32, 32, 16), 16, SAME)),
    "conv_3x3_32_16x16": (0.21, lambda: _convolution_goal((16, 16, 32), 32, SAME)),
    "conv_3x3_64_8x8": (0.17, lambda: _convolution_goal((8, 8, 64), 64, SAME)),
    "conv_3x3s2_3_8_96x96": (1.0, lambda: _convolution_goal((96, 96, 3), 8, TWICE)),
    "conv_10x4s2_1_64_49x10": (0.6, lambda: _convolution_goal((49, 10, 1), 64, SPEECH)),
    "depthwise_3x3s1_18x18x32": (1.0, lambda: _depthwise_goal(18, 32, 3)),
    "depthwise_3x3s1_18x18x32_linear": (1.07, lambda: _depthwise_goal(18, 32, 3, clamp="linear")),
    "depthwise_3x3s1_9x9x64": (1.0, lambda: _depthwise_goal(9, 64, 3)),
    "depthwise_3x3s1_5x5x64": (1.05, lambda: _depthwise_goal(5, 64, 3)),
    "depthwise_3x3s2_36x36x32": (1.2, lambda: _depthwise_goal(36, 32, 3, stride=2)),
    "depthwise_3x3s2_9x9x64": (1.2, lambda: _depthwise_goal(9, 64, 3, stride=2)),
    "depthwise_5x5_18x18x32": (0.9, lambda: _depthwise_goal(18, 32, 5)),
    "depthwise_7x7_18x18x32": (0.9, lambda: _depthwise_goal(18, 32, 7)),
    "depthwise_7x7s2_20x20x48": (0.9, lambda: _depthwise_goal(20, 48, 7, stride=2)),
}
"""Most instructions per MAC that a whole layer may take, gcc 12 -O2."""


def test_instructions_per_mac_on_cortex_m55(
    tmp_path: Path, require_program: RequireProgram
) -> None:
    """Whole layers through the shared signature, requantization and calls included."""
    require_program("qemu-system-arm")
    require_program("arm-none-eabi-gcc")
    target = load_target("cortex-m55")
    trials = [make_trial() for _, make_trial in GOALS.values()]
    elf = build_for_core(_write(tmp_path, trials, "emulated"), target)
    assert run_on_core(elf, target) == ["done"]
    counts = count_on_core(elf, target)
    missed, costs = [], load_costs(target)
    for number, (name, (limit, _)) in enumerate(GOALS.items()):
        call, kernel = trials[number].call, trials[number].kernel
        instructions = counts.layers[number].instructions
        per_mac = instructions / operators()[call.node.op].macs(call)
        estimate = costs.instructions(kernel, call) / instructions
        line = f"{name}: {per_mac:.3f} instructions per MAC (limit {limit})"
        print(line, f"estimate {estimate:.2f}")
        if per_mac > limit or not 0.9 <= estimate <= 1.1:
            missed.append(f"{line}, estimate {estimate:.2f} of the count")
    assert not missed
