# SPDX-License-Identifier: Apache-2.0
"""Crafted calls of the DSP kernel of convolutions: every geometry, tail and padding."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgekit.ir import Array, Call
from edgekit.kernel import Kernel
from edgekit.layout import row_planar
from edgekit.ops._dsp_convolution import DSP_PACKED
from edgekit.ops._dsp_convolution_parts import DSP_PARTS
from edgekit.window import Axis, Window
from support.dsp_cases import CLAMPS, noise, weighted_call
from support.kernel_trials import whole_map
from support.kernels import uneven_blocks
from support.trial_memory import Trial


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
    """A convolution with random weights over a map (height, width, channels)."""
    random = np.random.default_rng(seed)
    taps = (window.height.kernel, window.width.kernel, shape[2] // groups)
    return weighted_call(
        "conv2d",
        shape,
        random.integers(-127, 128, (outputs, *taps)),
        window=window,
        bias=random.integers(-3000, 3000, outputs),
        shifts=[shift - int(s) for s in random.integers(0, 2, outputs)],
        clamp=clamp,
        input_zero_point=int(random.integers(-128, 128)),
    )


def _kernel_trials(
    name: str, kernel: Kernel, call: Call, x: Array, *, seed: int
) -> Iterator[Trial]:
    """All columns; row-planar in two column ranges that leave columns out; blocks of channels."""
    _, _, width, channels = call.output.shape
    random = np.random.default_rng(seed)
    begin, middle, end = sorted(int(v) for v in random.integers(0, width + 1, 3))
    ranges = ((middle, end), (begin, middle))
    planar = row_planar(width=width, kernel=3 + seed % 5, pad_left=seed % 3)
    yield whole_map(name, kernel, call, x)
    yield whole_map(f"{name}_{ranges}", kernel, call, x, ranges=ranges)
    if "row_planar" in kernel.writes:
        yield whole_map(f"{name}_planar", kernel, call, x, output=planar, ranges=ranges)
    blocks = uneven_blocks(channels, kernel.channel_blocks(call))
    for block in blocks if len(blocks) > 1 else ():
        yield whole_map(f"{name}_{block}", kernel, call, x, block=block)


def convolution_trials(name: str, call: Call, x: Array, *, seed: int = 0) -> Iterator[Trial]:
    """Every kernel that accepts the call."""
    for kernel, suffix in ((DSP_PACKED, ""), (DSP_PARTS, "_parts")):
        if kernel.refusal(call) is None:
            yield from _kernel_trials(f"{name}{suffix}", kernel, call, x, seed=seed)


GEOMETRIES: dict[str, tuple[Window, int]] = {
    "same_3x3": (Window(Axis(3, 1, 1, 1, 1), Axis(3, 1, 1, 1, 1)), 1),
    "stride_2": (Window(Axis(3, 2, 1, 0, 1), Axis(3, 2, 1, 0, 1)), 1),
    "stride_2_point": (Window(Axis(1, 2), Axis(1, 2)), 1),
    "column": (Window(Axis(3, 1, 1, 2, 0), Axis(1)), 1),
    "row_of_5": (Window(Axis(1), Axis(5, 3, 1, 4, 2)), 1),
    "valid_2x2": (Window(Axis(2), Axis(2)), 1),
    "dilated": (Window(Axis(3, 1, 2, 2, 2), Axis(3, 1, 3, 3, 3)), 1),
    "dilated_row_of_17": (Window(Axis(2, 1, 1, 0, 1), Axis(17, 1, 2, 20, 20)), 1),
    "grouped": (Window(Axis(3, 1, 1, 1, 1), Axis(3, 1, 1, 1, 1)), 2),
    "grouped_point": (Window(Axis(1), Axis(1)), 2),
    "grouped_stride_2": (Window(Axis(2, 2, 1, 1, 0), Axis(3, 2, 1, 2, 1)), 3),
    "tall_18": (Window(Axis(18, 2, 1, 9, 9), Axis(2, 1, 1, 1, 0)), 1),
}
"""Name -> (window, groups of channels)."""


def crafted_convolutions() -> Iterator[Trial]:
    """Every geometry with every length of a segment's tail; clamps and shifts; what fits no lane."""
    for number, (name, (window, groups)) in enumerate(GEOMETRIES.items()):
        for inputs in (1, 2, 3, 4, 5, 9):
            for width in (3, 4, 9 + inputs):
                shape = (3, width, inputs * groups)
                outputs = groups * (1 + inputs % 4)
                call = convolution(shape, outputs, window, groups=groups, seed=inputs)
                title = f"{name}_{inputs}_{width}"
                yield from convolution_trials(title, call, noise(call, inputs), seed=number + width)
    same = GEOMETRIES["same_3x3"][0]
    for clamp in CLAMPS:
        for shift in (-13, -6, 1):
            call = convolution((3, 6, 2), 5, same, clamp=clamp, shift=shift)
            yield from convolution_trials(f"{clamp}_{shift}", call, noise(call, 3))
    yield from _plain_convolutions()


def _plain_convolutions() -> Iterator[Trial]:
    """Pairs of -128, and sums of one channel beyond 2^23: one channel per pair."""
    for name, groups, value, taps in (
        ("lane", 1, -128, 3),
        ("sums", 1, 127, 60),
        ("both", 2, -128, 60),
    ):
        window = GEOMETRIES["same_3x3"][0]
        weights = np.full((6, 3, 3, taps), value)
        weights[1, 1, 1, :] = 5
        for end in (-128, 127):
            call = weighted_call(
                "conv2d",
                (3, 5, taps * groups),
                weights,
                window=window,
                bias=[0, 1, 2, 3, -(2**20), 2**20],
                shifts=[-17, -16, -15, -14, -18, -19],
            )
            x = np.full(call.activations[0].shape, end, np.int8)
            yield from convolution_trials(f"plain_{name}_{end}", call, x)
        yield from convolution_trials(f"plain_{name}_noise", call, noise(call, taps))
