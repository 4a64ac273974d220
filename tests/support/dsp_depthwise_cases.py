# SPDX-License-Identifier: Apache-2.0
"""Crafted calls of the DSP depthwise kernels: every tail, padding, shift and clamp."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from edgekit.ir import Array, Call
from edgekit.kernel import Kernel
from edgekit.ops._dsp_depthwise import ROW_PLANAR
from edgekit.ops._dsp_depthwise_nhwc import DSP_NHWC
from edgekit.window import Axis, Window
from support.dsp_cases import CLAMPS, bias_for, blocks_of, noise, weighted_call, weights_for
from support.kernel_trials import whole_map
from support.trial_memory import Trial


def depthwise(
    shape: tuple[int, int, int],
    stride: int,
    *,
    kernel: int = 3,
    pad: tuple[int, int] = (1, 1),
    clamp: str = "linear",
    shift: int = -7,
    seed: int = 0,
) -> Call:
    """A square depthwise convolution, padded by ``pad`` on all sides' befores and afters."""
    random = np.random.default_rng(seed)
    channels = shape[2]
    axis = Axis(kernel, stride, 1, *pad)
    return weighted_call(
        "depthwise_conv2d",
        shape,
        random.integers(-128, 128, (1, kernel, kernel, channels)),
        window=Window(axis, axis),
        bias=random.integers(-3000, 3000, channels),
        shifts=[shift - int(s) for s in random.integers(0, 2, channels)],
        clamp=clamp,
        input_zero_point=int(random.integers(-128, 128)),
    )


def planar_kernel(call: Call) -> Kernel:
    """The row-planar kernel of a depthwise convolution."""
    (kernel,) = (kernel for kernel in ROW_PLANAR if kernel.refusal(call) is None)
    return kernel


def depthwise_trials(name: str, call: Call, x: Array, *, seed: int = 0) -> Iterator[Trial]:
    """All columns, and two column ranges that leave columns out; blocks of channels."""
    kernel = planar_kernel(call)
    width = call.output.shape[2]
    random = np.random.default_rng(seed)
    begin, middle, end = sorted(int(v) for v in random.integers(0, width + 1, 3))
    yield whole_map(name, kernel, call, x)
    ranges = ((middle, end), (begin, middle))
    yield whole_map(f"{name}_{ranges}", kernel, call, x, ranges=ranges)
    for number, block in enumerate(blocks_of(kernel, call), start=seed):
        columns = ranges if number % 2 else None
        yield whole_map(f"{name}_{block}_{columns}", kernel, call, x, ranges=columns, block=block)


def crafted_depthwise() -> Iterator[Trial]:
    """Every tail and padding of all kernels, every clamp, every shift, extreme weights."""
    for kernel, stride in itertools.product((3, 5, 7), (1, 2)):
        yield from _depthwise_edges(kernel, stride)
        name = f"dw_{kernel}s{stride}"
        for clamp in CLAMPS:
            for width in (6, 8, 11, 14):
                pad = (kernel // 2, kernel // 2)
                call = depthwise(
                    (4, width, 3), stride, kernel=kernel, pad=pad, clamp=clamp, seed=width
                )
                yield from depthwise_trials(
                    f"{name}_{clamp}_{width}", call, noise(call, 1), seed=width
                )
        for shift in range(-31, 5, 1 if kernel == 3 else 5):
            call = _shifted_depthwise(shift, kernel, stride)
            yield from depthwise_trials(f"{name}_shift_{-shift}", call, noise(call, 2))
        for clamp in CLAMPS:
            call = _tied_depthwise(kernel, stride, clamp)
            values = np.arange(-128, 128).astype(np.int8)
            x = np.repeat(values, 3).reshape(call.activations[0].shape)
            yield from depthwise_trials(f"{name}_ties_{clamp}", call, x)
        for value in (-128, 127):
            call = _extreme_depthwise(kernel, stride)
            x = np.full(call.activations[0].shape, value, np.int8)
            yield from depthwise_trials(f"{name}_extreme_{value}", call, x)


def _depthwise_edges(kernel: int, stride: int) -> Iterator[Trial]:
    """Every width around two groups of pixels, padded in every way or in some."""
    most = kernel - 1
    half = most // 2
    pads = [(half, half), (0, 1), (1, 0), (0, 0), (0, most), (most, 0)]
    for width in range(1, 18):
        for pad in pads if kernel == 3 else (pads[width % 6], pads[(width + 1) % 6]):
            if width + sum(pad) < kernel:
                continue
            height = 1 + width % 4 + (most if sum(pad) < most else 0)
            shape = (height, width, 1 + width % 5)
            call = depthwise(shape, stride, kernel=kernel, pad=pad, seed=width)
            name = f"dw_{kernel}s{stride}_{width}_{pad[0]}{pad[1]}"
            yield from depthwise_trials(name, call, noise(call, width), seed=width)


def _same(kernel: int, stride: int) -> Window:
    axis = Axis(kernel, stride, 1, kernel // 2, kernel // 2)
    return Window(axis, axis)


def _shifted_depthwise(shift: int, kernel: int, stride: int) -> Call:
    return weighted_call(
        "depthwise_conv2d",
        (3, 7, 4),
        weights_for(shift, (1, kernel, kernel, 4)),
        window=_same(kernel, stride),
        bias=bias_for(shift),
        shifts=[shift, shift, shift, min(shift, -1)],
        multipliers=[2**30, 2**31 - 1, 2**30 + 1, 0x5A827999],
    )


def _tied_depthwise(kernel: int, stride: int, clamp: str) -> Call:
    """The middle tap alone, so that every input value meets the ties."""
    weights = np.zeros((1, kernel, kernel, 3), np.int64)
    weights[0, kernel // 2, kernel // 2] = 1, -3, 5
    return weighted_call(
        "depthwise_conv2d",
        (1, 256, 3),
        weights,
        window=_same(kernel, stride),
        bias=[0, 1, -1],
        shifts=[-1, -2, -3],
        multipliers=[2**30] * 3,
        clamp=clamp,
        input_zero_point=0,
    )


def _extreme_depthwise(kernel: int, stride: int) -> Call:
    weights = np.stack([np.full((kernel, kernel), w) for w in (-128, 127, 0, 1)], axis=2)[None]
    return weighted_call(
        "depthwise_conv2d",
        (3, 9, 4),
        weights,
        window=_same(kernel, stride),
        bias=[5, -5, 2**30, 2**29],
        shifts=[-12, -11, 2, -22],
        input_zero_point=127,
    )


def any_depthwise(
    shape: tuple[int, int, int],
    window: Window,
    *,
    multiplier: int = 1,
    clamp: str = "linear",
    shift: int = -7,
    seed: int = 0,
) -> Call:
    """A depthwise convolution of any window with random weights, -128 among them."""
    random = np.random.default_rng(seed)
    outputs = shape[2] * multiplier
    return weighted_call(
        "depthwise_conv2d",
        shape,
        random.integers(-128, 128, (1, window.height.kernel, window.width.kernel, outputs)),
        window=window,
        bias=random.integers(-3000, 3000, outputs),
        shifts=[shift - int(s) for s in random.integers(0, 2, outputs)],
        clamp=clamp,
        input_zero_point=int(random.integers(-128, 128)),
    )


def nhwc_trials(name: str, call: Call, x: Array, *, seed: int = 0) -> Iterator[Trial]:
    """All columns, and two column ranges that leave columns out; blocks of channels."""
    width = call.output.shape[2]
    random = np.random.default_rng(seed)
    begin, middle, end = sorted(int(v) for v in random.integers(0, width + 1, 3))
    yield whole_map(name, DSP_NHWC, call, x)
    ranges = ((middle, end), (begin, middle))
    yield whole_map(f"{name}_{ranges}", DSP_NHWC, call, x, ranges=ranges)
    for number, block in enumerate(blocks_of(DSP_NHWC, call), start=seed):
        columns = ranges if number % 2 else None
        yield whole_map(f"{name}_{block}", DSP_NHWC, call, x, ranges=columns, block=block)


def crafted_nhwc() -> Iterator[Trial]:
    """Every number of taps around the unrolled loop, channel tail, multiplier, clamp and shift."""
    for taps in range(1, 20):
        for channels in (4, 7):
            window = Window(Axis(1), Axis(taps, 1, 1, taps // 2, taps - 1 - taps // 2))
            call = any_depthwise((1, 3, channels), window, seed=taps)
            yield from nhwc_trials(f"nhwc_taps_{taps}_{channels}", call, noise(call, taps))
    for channels in range(1, 18):
        axis = Axis(3, 1 + channels % 3, 1 + channels % 2, channels % 3, channels % 4)
        call = any_depthwise((5, 9, channels), Window(axis, axis), seed=channels)
        yield from nhwc_trials(f"nhwc_{channels}", call, noise(call, 3), seed=channels)
    for clamp, multiplier in itertools.product(CLAMPS, (1, 2, 3, 4, 5, 8)):
        window = Window(Axis(3, 2, 1, 1, 1), Axis(2, 1, 1, 0, 1))
        shape = (4, 5, 5 if multiplier == 1 else 2)
        call = any_depthwise(shape, window, multiplier=multiplier, clamp=clamp)
        yield from nhwc_trials(f"nhwc_{clamp}_{multiplier}", call, noise(call, 4))
    for kernel in (1, 3):
        for shift in range(-31, 5):
            call = _shifted_depthwise(shift, kernel, 1)
            yield from nhwc_trials(f"nhwc_{kernel}_shift_{-shift}", call, noise(call, 2))
        for clamp in CLAMPS:
            call = _tied_depthwise(kernel, 1, clamp)
            values = np.repeat(np.arange(-128, 128).astype(np.int8), 3)
            x = values.reshape(call.activations[0].shape)
            yield from nhwc_trials(f"nhwc_{kernel}_ties_{clamp}", call, x)
    for value in (-128, 127):
        call = _extreme_depthwise(3, 1)
        x = np.full(call.activations[0].shape, value, np.int8)
        yield from nhwc_trials(f"nhwc_extreme_{value}", call, x)
