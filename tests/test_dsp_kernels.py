# SPDX-License-Identifier: Apache-2.0
"""The DSP kernels equal the reference on the host and on emulated cores, in the instructions promised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from support.conformance import check_kernel
from support.dsp_cases import (
    crafted_pointwise,
    noise,
    pointwise,
    weighted_call,
)
from support.dsp_convolution_cases import (
    convolution,
    crafted_convolutions,
)
from support.dsp_depthwise_cases import (
    any_depthwise,
    crafted_depthwise,
    crafted_nhwc,
    depthwise,
    planar_kernel,
)
from support.kernel_library import host_library
from support.kernel_trials import (
    HOST_COMPILERS,
    build_for_core,
    count_on_core,
    run_on_core,
    run_on_host,
    trial_program,
    whole_map,
    write_program,
)
from support.random_trials import random_trials
from support.trial_memory import Trial

from edgekit.build.cross import compile_objects
from edgekit.build.stack import stack_bound
from edgekit.costs import load_costs
from edgekit.ir import Call
from edgekit.kernel import Kernel
from edgekit.layout import row_planar
from edgekit.ops import operators
from edgekit.ops._dsp_convolution import DSP_PACKED
from edgekit.ops._dsp_convolution_parts import DSP_PARTS
from edgekit.ops._dsp_depthwise import DSP_3X3S1, DSP_3X3S2, ROW_PLANAR
from edgekit.ops._dsp_depthwise_nhwc import DSP_NHWC
from edgekit.ops._dsp_pairs import paired_layer
from edgekit.ops._dsp_pointwise import DSP_4X2
from edgekit.ops._dsp_windows import convolution_windows
from edgekit.target import load_target
from edgekit.window import Axis, Window

CORES = ("cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55")
KERNELS = (DSP_4X2, DSP_PACKED, DSP_PARTS, *ROW_PLANAR, DSP_NHWC)
SUITES: dict[str, Callable[[], Sequence[Trial]]] = {
    "pointwise": lambda: tuple(crafted_pointwise()),
    "depthwise": lambda: tuple(crafted_depthwise()),
    "depthwise_nhwc": lambda: tuple(crafted_nhwc()),
    "convolutions": lambda: tuple(crafted_convolutions()),
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


@pytest.mark.parametrize("compiler", HOST_COMPILERS)
@pytest.mark.parametrize("suite", SUITES)
def test_portable_twin_equals_reference(
    suite: str, compiler: str, tmp_path: Path, require_program: RequireProgram
) -> None:
    require_program(compiler)
    sources = _write(tmp_path, SUITES[suite](), "host")
    assert run_on_host(sources, compiler=compiler) == ["done"]


@pytest.mark.parametrize("suite", SUITES)
def test_kernel_equals_reference_on_cortex_m4(
    suite: str, tmp_path: Path, require_program: RequireProgram
) -> None:
    require_program("qemu-system-arm")
    require_program("arm-none-eabi-gcc")
    target = load_target("cortex-m4")
    sources = _write(tmp_path, SUITES[suite](), "emulated")
    assert run_on_core(build_for_core(sources, target), target) == ["done"]


@pytest.mark.parametrize("rows", range(2, 13))
def test_last_taps_of_kernel_rows_share_groups(rows: int) -> None:
    """9 taps in a row, so that the groups of last taps have any number of rows."""
    call = convolution((rows + 1, 5, 3), 3, Window(Axis(rows), Axis(3)), shift=-11, seed=rows)
    assert convolution_windows(call).has_tails
    library, operator = host_library("dsp"), operators()["conv2d"]
    check_kernel(library, operator, DSP_PACKED, call, [(noise(call, rows),)])


@pytest.mark.parametrize("optimization", ["-O0", "-O1", "-O3", "-Os"])
def test_kernel_survives_every_optimization(
    optimization: str, tmp_path: Path, require_program: RequireProgram
) -> None:
    """The assembly writes into its by-value argument and saves registers in its caller's frame."""
    require_program("qemu-system-arm")
    require_program("arm-none-eabi-gcc")
    target = load_target("cortex-m4")
    sources = _write(tmp_path, tuple(random_trials("dsp", seed=1, count=39)), "emulated")
    elf = build_for_core(sources, target, extra_flags=(optimization,))
    assert run_on_core(elf, target) == ["done"]


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.symbol)
def test_stack_stays_within_what_the_kernel_states(
    kernel: Kernel, core: str, tmp_path: Path, require_program: RequireProgram
) -> None:
    require_program("arm-none-eabi-gcc")
    target = load_target(core)
    objects = compile_objects(
        target,
        write_program(tmp_path, [kernel], sources=[], generated={}),
        include_directories=[tmp_path],
        build_directory=tmp_path,
    )
    bound = stack_bound(target, objects, entry=kernel.symbol, build_directory=tmp_path)
    assert bound.bytes <= kernel.stack_bytes, bound.path


POINT = Window(Axis(1), Axis(1))
SAME = Window(Axis(3, 1, 1, 1, 1), Axis(3, 1, 1, 1, 1))
EVERY_SECOND = Window(Axis(1, 2), Axis(1, 2))
DILATED = Window(SAME.height, Axis(3, 1, 2, 2, 2))


def _constant_call(
    op: str,
    shape: tuple[int, int, int],
    weights: list[int],
    taps: tuple[int, ...],
    window: Window,
    *,
    bias: int = 0,
) -> Call:
    """A call whose output channel n has the weight weights[n] everywhere."""
    axis = 0 if op == "conv2d" else 3
    array = np.stack([np.full(taps, weight) for weight in weights], axis=axis)
    biases, shifts = [bias] * len(weights), [-9] * len(weights)
    return weighted_call(op, shape, array, window=window, bias=biases, shifts=shifts)


REFUSALS: dict[str, tuple[Kernel, Callable[[], Call], str]] = {
    "pointwise_stride": (
        DSP_4X2,
        lambda: _constant_call("conv2d", (4, 4, 4), [1], (1, 1, 4), Window(Axis(1, 2), Axis(1, 2))),
        "stride 1",
    ),
    "pointwise_padding_after": (
        DSP_4X2,
        lambda: _constant_call(
            "conv2d", (4, 4, 4), [1], (1, 1, 4), Window(Axis(1), Axis(1, 1, 1, 0, 1))
        ),
        "no padding",
    ),
    "pointwise_groups": (
        DSP_4X2,
        lambda: _constant_call("conv2d", (4, 4, 4), [1, 2], (1, 1, 2), POINT),
        "one group",
    ),
    "pointwise_channels": (
        DSP_4X2,
        lambda: _constant_call("conv2d", (4, 4, 3), [1, 2], (1, 1, 3), POINT),
        "4 input channels",
    ),
    "pointwise_sums": (
        DSP_4X2,
        lambda: _constant_call("conv2d", (4, 4, 4), [127], (1, 1, 4), POINT, bias=2**31 - 1),
        "32 bits",
    ),
    "convolution_taps": (
        DSP_PACKED,
        lambda: _constant_call("conv2d", (4, 4, 57), [1], (3, 3, 57), SAME),
        "more than 512 taps",
    ),
    "convolution_sums": (
        DSP_PACKED,
        lambda: _constant_call("conv2d", (4, 4, 2), [-128], (3, 3, 2), SAME, bias=-(2**31)),
        "32 bits",
    ),
    "depthwise_dilation": (
        DSP_3X3S1,
        lambda: _constant_call("depthwise_conv2d", (9, 9, 2), [1, 2], (1, 3, 3), DILATED),
        "dilation",
    ),
    "depthwise_stride": (
        DSP_3X3S2,
        lambda: _constant_call("depthwise_conv2d", (9, 9, 2), [1, 2], (1, 3, 3), SAME),
        "stride 2",
    ),
    "depthwise_multiplier": (
        DSP_3X3S1,
        lambda: _constant_call("depthwise_conv2d", (9, 9, 1), [1, 2], (1, 3, 3), SAME),
        "per input channel",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusal_names_its_reason(name: str) -> None:
    kernel, make_call, reason = REFUSALS[name]
    refusal = kernel.accepts(make_call())
    assert refusal is not None
    assert reason in refusal


@pytest.mark.parametrize(
    ("weights", "inputs", "pair_channels"),
    [
        ([-128, -127], 4, 2),
        ([1, -128], 4, 2),
        ([-128], 4, 2),
        ([-1, -128], 4, 1),
        ([1, 127], 516, 2),
        ([1, 127], 517, 1),
    ],
)
def test_two_channels_share_lanes_where_they_fit(
    weights: list[int], inputs: int, pair_channels: int
) -> None:
    """256 * w1 + w0 in 16 bits, and sums of w1 below 2^23."""
    call = _constant_call("conv2d", (4, 4, inputs), weights, (1, 1, inputs), POINT)
    assert DSP_4X2.accepts(call) is None
    assert paired_layer(call).pair_channels == pair_channels


def _pointwise_goal(
    inputs: int, outputs: int, size: int, *, clamp: str = "at_zero_point", planar: bool = False
) -> Trial:
    call = pointwise(size, inputs, outputs, clamp=clamp, height=size)
    layout = row_planar(width=size, kernel=3, pad_left=1) if planar else None
    return whole_map("goal", DSP_4X2, call, noise(call, 1), output=layout, flat=not planar)


def _convolution_goal(
    shape: tuple[int, int, int], outputs: int, window: Window, *, groups: int = 1
) -> Trial:
    call = convolution(shape, outputs, window, groups=groups, clamp="at_zero_point")
    return whole_map("goal", DSP_PACKED, call, noise(call, 1))


def _depthwise_goal(
    width: int, channels: int, stride: int, *, kernel: int = 3, clamp: str = "at_zero_point"
) -> Trial:
    half = kernel // 2
    pad = (half, half) if stride == 1 else (half - 1, half)
    call = depthwise((width, width, channels), stride, kernel=kernel, pad=pad, clamp=clamp)
    return whole_map("goal", planar_kernel(call), call, noise(call, 1))


def _nhwc_goal(
    shape: tuple[int, int, int],
    kernel_height: int,
    kernel_width: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    multiplier: int = 1,
    clamp: str = "at_zero_point",
) -> Trial:
    height, width = (
        Axis(kernel, stride, dilation, kernel // 2 * dilation, (kernel - 1) // 2 * dilation)
        for kernel in (kernel_height, kernel_width)
    )
    call = any_depthwise(shape, Window(height, width), multiplier=multiplier, clamp=clamp)
    return whole_map("goal", DSP_NHWC, call, noise(call, 1))


GOALS: dict[str, tuple[float, Callable[[], Trial]]] = {
    "pointwise_64_64_12x12_linear": (1.00, lambda: _pointwise_goal(64, 64, 12, clamp="linear")),
    "pointwise_64_64_12x12_planar": (1.00, lambda: _pointwise_goal(64, 64, 12, planar=True)),
    "strided_point_16_32": (1.45, lambda: _convolution_goal((32, 32, 16), 32, EVERY_SECOND)),
    "conv_3x3_32_in_4_groups": (1.7, lambda: _convolution_goal((16, 16, 32), 32, SAME, groups=4)),
    "conv_3x3_dilated": (1.3, lambda: _convolution_goal((16, 16, 8), 16, DILATED)),
    "depthwise_3x3s1_24x24x32": (1.95, lambda: _depthwise_goal(24, 32, 1)),
    "depthwise_3x3s1_24x24x32_linear": (2.1, lambda: _depthwise_goal(24, 32, 1, clamp="linear")),
    "depthwise_3x3s1_9x9x192": (2.2, lambda: _depthwise_goal(9, 192, 1)),
    "depthwise_3x3s1_5x5x336": (2.4, lambda: _depthwise_goal(5, 336, 1)),
    "depthwise_3x3s2_36x36x32": (2.4, lambda: _depthwise_goal(36, 32, 2)),
    "depthwise_3x3s2_18x18x96": (2.6, lambda: _depthwise_goal(18, 96, 2)),
    "depthwise_3x3s2_9x9x192": (2.8, lambda: _depthwise_goal(9, 192, 2)),
    "depthwise_5x5s1_14x14x32_general": (
        27.0,
        lambda: _depthwise_goal(14, 32, 1, kernel=5, clamp="narrow"),
    ),
    "depthwise_5x5s1_20x20x48": (1.6, lambda: _depthwise_goal(20, 48, 1, kernel=5)),
    "depthwise_5x5s1_10x10x120": (1.6, lambda: _depthwise_goal(10, 120, 1, kernel=5)),
    "depthwise_5x5s1_5x5x240": (1.7, lambda: _depthwise_goal(5, 240, 1, kernel=5)),
    "depthwise_5x5s2_20x20x48": (1.6, lambda: _depthwise_goal(20, 48, 2, kernel=5)),
    "depthwise_5x5s2_10x10x120": (1.8, lambda: _depthwise_goal(10, 120, 2, kernel=5)),
    "depthwise_nhwc_3x3s1_24x24x32": (3.0, lambda: _nhwc_goal((24, 24, 32), 3, 3)),
    "depthwise_nhwc_3x3s2_24x24x8": (3.9, lambda: _nhwc_goal((24, 24, 8), 3, 3, stride=2)),
    "depthwise_nhwc_5x5s1_10x10x96": (2.4, lambda: _nhwc_goal((10, 10, 96), 5, 5)),
    "depthwise_nhwc_1x7_20x20x30": (4.5, lambda: _nhwc_goal((20, 20, 30), 1, 7, clamp="linear")),
    "depthwise_nhwc_3x3_dilated": (3.2, lambda: _nhwc_goal((12, 12, 64), 3, 3, dilation=2)),
    "depthwise_nhwc_10x8_multiplier_8": (1.8, lambda: _nhwc_goal((49, 40, 1), 10, 8, multiplier=8)),
    "depthwise_nhwc_3x3_multiplier_2": (4.6, lambda: _nhwc_goal((16, 16, 16), 3, 3, multiplier=2)),
    "depthwise_nhwc_3x3_3_channels": (10.5, lambda: _nhwc_goal((24, 24, 3), 3, 3)),
    "depthwise_nhwc_3x3_general": (9, lambda: _nhwc_goal((12, 12, 32), 3, 3, clamp="narrow")),
    "depthwise_7x7s1_20x20x48": (1.5, lambda: _depthwise_goal(20, 48, 1, kernel=7)),
    "depthwise_7x7s1_5x5x240": (1.5, lambda: _depthwise_goal(5, 240, 1, kernel=7)),
    "depthwise_7x7s2_20x20x48": (1.5, lambda: _depthwise_goal(20, 48, 2, kernel=7)),
    "depthwise_7x7s2_10x10x144_clamped": (
        1.6,
        lambda: _depthwise_goal(10, 144, 2, kernel=7, clamp="both"),
    ),
    "depthwise_7x7s1_9x9x64_linear": (
        1.5,
        lambda: _depthwise_goal(9, 64, 1, kernel=7, clamp="linear"),
    ),
}
"""Most instructions per MAC that a whole layer may take, gcc 12 -O2."""


def test_instructions_per_mac_on_cortex_m4(tmp_path: Path, require_program: RequireProgram) -> None:
    """Whole layers through the shared signature, requantization and calls included."""
    require_program("qemu-system-arm")
    require_program("arm-none-eabi-gcc")
    target = load_target("cortex-m4")
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
