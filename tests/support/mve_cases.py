# SPDX-License-Identifier: Apache-2.0
"""Crafted calls of the Helium kernels: tails, every shift, extreme sums, clamps, padding."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgekit.ir import Array, Call
from edgekit.kernel import Kernel
from edgekit.ops._mve_convolution import CONV2D, POINTWISE
from edgekit.ops._mve_depthwise import MVE
from edgekit.window import Axis, Window
from support.dsp_cases import CLAMPS, noise, pointwise, weighted_call
from support.kernel_trials import whole_map
from support.kernels import uneven_blocks
from support.trial_memory import Trial

POINT = Window(Axis(1), Axis(1))
MULTIPLIERS = [2**30, 2**31 - 1, 2**30 + 1, 0x5A827999]


def trials(name: str, kernel: Kernel, call: Call, x: Array, *, seed: int = 0) -> Iterator[Trial]:
    """The whole map, two column ranges that leave columns out, and one block of channels."""
    yield whole_map(name, kernel, call, x, flat=kernel.flat)
    width, channels = call.output.shape[2:]
    random = np.random.default_rng(seed)
    begin, middle, end = sorted(int(v) for v in random.integers(0, width + 1, 3))
    ranges = ((middle, end), (begin, middle))
    blocks = uneven_blocks(channels, kernel.channel_blocks(call))
    block = blocks[seed % len(blocks)]
    yield whole_map(f"{name}_{block}_{ranges}", kernel, call, x, ranges=ranges, block=block)


def convolution(
    shape: tuple[int, int, int],
    outputs: int,
    window: Window,
    *,
    groups: int = 1,
    clamp: str = "linear",
    shift: int = -9,
    seed: int = 0,
) -> Call:
    """A convolution with random weights and shifts around ``shift``."""
    random = np.random.default_rng(seed)
    taps = (outputs, window.height.kernel, window.width.kernel, shape[2] // groups)
    return weighted_call(
        "conv2d",
        shape,
        random.integers(-128, 128, taps),
        window=window,
        bias=random.integers(-3000, 3000, outputs),
        shifts=[shift - int(s) for s in random.integers(0, 2, outputs)],
        clamp=clamp,
        input_zero_point=int(random.integers(-128, 128)),
    )


def crafted_convolutions() -> Iterator[Trial]:
    """Every depth around a vector, every number of pixels and channels around a tile, every shift."""
    for inputs in (*range(1, 36), 48, 63, 64, 65):
        call = pointwise(1 + inputs % 7, inputs, 1 + inputs % 9, seed=inputs)
        yield from _both(f"inputs_{inputs}", call, noise(call, inputs), seed=inputs)
    for number, clamp in enumerate(CLAMPS):
        call = pointwise(5, 9, 6, clamp=clamp, seed=number)
        yield from _both(f"{clamp}", call, noise(call, 1), seed=number)
    for shift in range(-31, 5):
        yield from _both(f"shift_{-shift}", *shifted(shift), seed=shift + 31)
    for clamp in CLAMPS:
        yield from _both(f"ties_{clamp}", *tied(clamp))
    for number, (call, x) in enumerate(extreme()):
        yield from _both(f"extreme_{number}", call, x)


def _both(name: str, call: Call, x: Array, *, seed: int = 0) -> Iterator[Trial]:
    for kernel in (POINTWISE, CONV2D):
        yield from trials(f"{name}_{kernel.symbol[3:7]}", kernel, call, x, seed=seed)


def depthwise(
    shape: tuple[int, int, int],
    window: Window,
    *,
    clamp: str = "linear",
    shift: int = -7,
    seed: int = 0,
) -> Call:
    """A depthwise convolution with random weights and shifts around ``shift``."""
    random = np.random.default_rng(seed)
    channels = shape[2]
    taps = (1, window.height.kernel, window.width.kernel, channels)
    return weighted_call(
        "depthwise_conv2d",
        shape,
        random.integers(-127, 128, taps),
        window=window,
        bias=random.integers(-3000, 3000, channels),
        shifts=[shift - int(s) for s in random.integers(0, 2, channels)],
        clamp=clamp,
        input_zero_point=int(random.integers(-128, 128)),
    )


def crafted_depthwise() -> Iterator[Trial]:
    """Every number of channels around a vector, of taps around a quad; shifts, ties, extremes."""
    same = Window(Axis(3, 1, 1, 1, 1), Axis(3, 1, 1, 1, 1))
    for channels in (*range(1, 35), 47, 48, 49):
        call = depthwise((4, 5 + channels % 3, channels), same, seed=channels)
        yield from trials(f"dw_{channels}", MVE, call, noise(call, channels), seed=channels)
    for kernel in range(1, 9):
        for channels in (7, 16, 21):
            axis = Axis(kernel, 1 + kernel % 2, 1, kernel // 2, (kernel - 1) // 2)
            window = Window(Axis(3, 1, 1, 1, 1) if channels == 21 else axis, axis)
            call = depthwise((kernel + 1, 9, channels), window, seed=kernel)
            yield from trials(
                f"dw_k{kernel}_{channels}", MVE, call, noise(call, kernel), seed=kernel
            )
    for number, clamp in enumerate(CLAMPS):
        call = depthwise((3, 6, 18), same, clamp=clamp, seed=number)
        yield from trials(f"dw_{clamp}", MVE, call, noise(call, 1), seed=number)
    for shift in range(-31, 0):
        yield from trials(
            f"dw_shift_{-shift}", MVE, *_depthwise_of(*shifted(shift)), seed=shift + 31
        )
    for clamp in CLAMPS:
        yield from trials(f"dw_ties_{clamp}", MVE, *_tied_depthwise(clamp))
    yield from _extreme_depthwise()


def _depthwise_of(call: Call, x: Array) -> tuple[Call, Array]:
    """A depthwise convolution of one tap with the arithmetic of a pointwise one."""
    arithmetic = call.node.arithmetic
    outputs = call.output.shape[3]
    values = np.resize(x, (1, *x.shape[1:3], outputs)).astype(np.int8)
    weights = np.resize(call.constant(1), (1, 1, 1, outputs))
    shifts = [min(shift, -1) for shift in arithmetic.shifts]
    single = weighted_call(
        "depthwise_conv2d",
        values.shape[1:],
        weights,
        window=POINT,
        bias=call.constant(2),
        shifts=shifts,
        multipliers=arithmetic.multipliers,
    )
    return single, values


def _tied_depthwise(clamp: str) -> tuple[Call, Array]:
    """The middle tap alone, so that every input value meets the ties of both roundings."""
    axis = Axis(3, 1, 1, 1, 1)
    weights = np.zeros((1, 3, 3, 18), np.int64)
    weights[0, 1, 1] = [1, -3, 5, 1, -1, 7] * 3
    call = weighted_call(
        "depthwise_conv2d",
        (1, 256, 18),
        weights,
        window=Window(axis, axis),
        bias=[0, 1, -1, 2, 3, 0] * 3,
        shifts=[-1, -2, -3, -1, -4, -2] * 3,
        multipliers=[2**30] * 18,
        clamp=clamp,
        input_zero_point=0,
    )
    return call, np.repeat(np.arange(-128, 128), 18).astype(np.int8).reshape(1, 1, 256, 18)


def _extreme_depthwise() -> Iterator[Trial]:
    """Pairs of taps at the ends of 16 bits, sums at those of 32."""
    axis = Axis(3, 1, 1, 1, 1)
    for value in (-128, 127):
        rows = []
        for first, second in ((127, 127), (-127, -128), (-128, -127), (127, -127), (0, 1), (-1, 0)):
            rows.append([first] + [second, first] * 4)
        weights = np.array(rows * 3).T.reshape(1, 3, 3, 18)
        call = weighted_call(
            "depthwise_conv2d",
            (3, 6, 18),
            weights,
            window=Window(axis, axis),
            bias=[5, -5, 2**31 - 1 - 300000, -(2**31) + 300000, 2**30, -(2**30)] * 3,
            shifts=[-12, -11, -31, -24, -22, -1] * 3,
            input_zero_point=0,
        )
        x = np.full(call.activations[0].shape, value, np.int8)
        yield from trials(f"dw_extreme_{value}", MVE, call, x)


def shifted(shift: int) -> tuple[Call, Array]:
    """One shift for all channels but the last, and sums that it leaves between the ends of int8."""
    limit = min(2 ** max(-shift, 0), 127)
    weights = np.random.default_rng(shift + 31).integers(-limit, limit + 1, (5, 1, 1, 4))
    call = weighted_call(
        "conv2d",
        (1, 7, 4),
        weights,
        window=POINT,
        bias=np.array([1, -1, 3, -3, 0], np.int64) * 2 ** min(max(-shift + 4, 0), 27),
        shifts=[shift, shift, shift, shift, min(shift, -1)],
        multipliers=[*MULTIPLIERS, 2**30],
    )
    return call, noise(call, 5) >> 2


def tied(clamp: str) -> tuple[Call, Array]:
    """Every int8 value times small weights: ties of both roundings, with and without a shift."""
    call = weighted_call(
        "conv2d",
        (1, 256, 1),
        np.array([1, 3, 1, -1, 5, -7, 1]).reshape(7, 1, 1, 1),
        window=POINT,
        bias=[0, 0, 1, 1, -1, 2, 0],
        shifts=[-1, -1, -2, -2, -3, -4, -1 if clamp == "linear" else 0],
        multipliers=[2**30] * 7,
        clamp=clamp,
        input_zero_point=0,
    )
    return call, np.arange(-128, 128).astype(np.int8).reshape(1, 1, 256, 1)


def extreme() -> Iterator[tuple[Call, Array]]:
    """Sums at both ends of 32 bits, every kind of shift and multiplier."""
    weights = np.stack([np.full((1, 1, 16), weight) for weight in (127, -128, 1, -1, 0)])
    for shift in (-31, -24, -1, 0, 2):
        for multiplier in (0, 1, 2**30, 2**31 - 1):
            call = weighted_call(
                "conv2d",
                (1, 4, 16),
                weights,
                window=POINT,
                bias=[2**31 - 1 - 270000, -(2**31) + 270000, 2**31 - 2100, -(2**31) + 2100, 5],
                shifts=[shift] * 4 + [-3],
                multipliers=[multiplier] * 5,
                input_zero_point=0,
            )
            x = noise(call, shift + 31)
            x[0, 0, :2] = np.array([127, -128])[:, None]
            yield call, x
