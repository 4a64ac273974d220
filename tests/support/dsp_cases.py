# SPDX-License-Identifier: Apache-2.0
"""Crafted calls of the DSP pointwise kernel: tails, every shift, extreme weights, clamps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from edgekit.ir import Array, Call, Quantization, Tensor, constant
from edgekit.kernel import Kernel
from edgekit.layout import row_planar
from edgekit.ops import operators
from edgekit.ops._dsp_pointwise import DSP_4X2
from edgekit.ops._operator import case_graph
from edgekit.ops._weighted import WeightedArithmetic
from edgekit.ops.conv2d import Conv2d
from edgekit.ops.depthwise_conv2d import DepthwiseConv2d
from edgekit.window import Axis, Window
from support.kernel_trials import whole_map
from support.kernels import Block, uneven_blocks
from support.trial_memory import Trial

CLAMPS = {
    "at_zero_point": (-128, -128, 127),
    "linear": (-7, -128, 127),
    "maximum": (-128, -128, 90),
    "minimum": (3, 3, 127),
    "both": (10, -60, 101),
    "narrow": (-20, -20, 33),
}
"""(output zero point, minimum, maximum); "narrow" is beyond the fast clamp."""


def weighted_call(
    op: str,
    shape: tuple[int, int, int],
    weights: Array,
    *,
    window: Window,
    bias: Sequence[int] | Array,
    shifts: Sequence[int],
    multipliers: Sequence[int] | None = None,
    clamp: str = "linear",
    input_zero_point: int = -11,
) -> Call:
    """A conv2d or depthwise_conv2d over a map (height, width, channels)."""
    random = np.random.default_rng(len(shifts))
    zero_point, minimum, maximum = CLAMPS[clamp]
    attributes = Conv2d(window) if op == "conv2d" else DepthwiseConv2d(window)
    if multipliers is None:
        multipliers = [int(m) for m in random.integers(2**30, 2**31, len(shifts))]
    inputs = [
        Tensor("x", (1, *shape), "int8", Quantization(0.05, input_zero_point)),
        constant("weights", weights.astype(np.int8)),
        constant("bias", np.asarray(bias, np.int32)),
    ]
    output_shape = operators()[op].output_shape(attributes, [t.shape for t in inputs])
    graph = case_graph(
        op,
        inputs=inputs,
        output=Tensor("y", output_shape, "int8", Quantization(0.1, zero_point)),
        attributes=attributes,
        arithmetic=WeightedArithmetic(
            input_zero_point, zero_point, tuple(multipliers), tuple(shifts), minimum, maximum
        ),
        name="case",
    )
    return graph.call(graph.nodes[0])


def pointwise(
    width: int,
    inputs: int,
    outputs: int,
    *,
    height: int = 1,
    clamp: str = "linear",
    shift: int = -8,
    seed: int = 0,
) -> Call:
    """A 1x1 convolution with random weights and shifts around ``shift``."""
    random = np.random.default_rng(seed)
    return weighted_call(
        "conv2d",
        (height, width, inputs),
        random.integers(-127, 128, (outputs, 1, 1, inputs)),
        window=Window(Axis(1), Axis(1)),
        bias=random.integers(-3000, 3000, outputs),
        shifts=[shift - int(s) for s in random.integers(0, 2, outputs)],
        clamp=clamp,
        input_zero_point=int(random.integers(-128, 128)),
    )


def noise(call: Call, seed: int) -> Array:
    """Input values, a third of them at the ends of int8."""
    random = np.random.default_rng(seed)
    shape = call.activations[0].shape
    values = random.integers(-128, 128, shape)
    ends = random.choice([-128, 127], shape)
    return np.where(random.random(shape) < 0.33, ends, values).astype(np.int8)


def blocks_of(kernel: Kernel, call: Call) -> tuple[Block, ...]:
    """Uneven blocks of channels; none where all channels are one block."""
    blocks = uneven_blocks(call.output.shape[3], kernel.channel_blocks(call))
    return blocks if len(blocks) > 1 else ()


def pointwise_trials(name: str, call: Call, x: Array, *, seed: int = 0) -> Iterator[Trial]:
    """NHWC flat, and row-planar in two column ranges that leave columns out; blocks of channels."""
    yield whole_map(f"{name}_flat", DSP_4X2, call, x, flat=True)
    width = call.output.shape[2]
    random = np.random.default_rng(seed)
    begin, middle, end = sorted(int(v) for v in random.integers(0, width + 1, 3))
    planar = row_planar(width=width, kernel=3 + seed % 5, pad_left=seed % 4 % (3 + seed % 5))
    ranges = ((middle, end), (begin, middle))
    yield whole_map(f"{name}_planar_{ranges}", DSP_4X2, call, x, output=planar, ranges=ranges)
    yield whole_map(f"{name}_planar", DSP_4X2, call, x, output=planar)
    for number, block in enumerate(blocks_of(DSP_4X2, call), start=seed):
        block_name = f"{name}_{block}"
        if number % 2:
            yield whole_map(block_name, DSP_4X2, call, x, flat=True, block=block)
        else:
            yield whole_map(block_name, DSP_4X2, call, x, output=planar, ranges=ranges, block=block)


def crafted_pointwise() -> Iterator[Trial]:
    """Every number of input channels around the unrolled loop, every clamp, every shift."""
    for inputs in (*range(4, 38), 63, 64, 65, 129):
        call = pointwise(1 + inputs % 9, inputs, 1 + inputs % 4, seed=inputs)
        yield from pointwise_trials(f"inputs_{inputs}", call, noise(call, inputs), seed=inputs)
    for number, clamp in enumerate(CLAMPS):
        for pixels in range(1, 6):
            call = pointwise(pixels, 9, 5, clamp=clamp, seed=number)
            yield from pointwise_trials(f"{clamp}_{pixels}", call, noise(call, 1), seed=pixels)
    for shift in range(-31, 5):
        yield from pointwise_trials(f"shift_{-shift}", *_shifted(shift))
    yield from _extreme_pointwise()


def bias_for(shift: int) -> Array:
    """Biases that take the sums where a right shift leaves them between the ends of int8."""
    return np.array([1, -1, 3, -3], np.int64) * 2 ** min(max(-shift + 4, 0), 27)


def weights_for(shift: int, shape: tuple[int, ...]) -> Array:
    limit = min(2 ** max(-shift, 0), 127)
    return np.random.default_rng(shift + 31).integers(-limit, limit + 1, shape)


def _shifted(shift: int) -> tuple[Call, Array]:
    call = weighted_call(
        "conv2d",
        (1, 7, 4),
        weights_for(shift, (4, 1, 1, 4)),
        window=Window(Axis(1), Axis(1)),
        bias=bias_for(shift),
        shifts=[shift, shift, shift, min(shift, -1)],
        multipliers=[2**30, 2**31 - 1, 2**30 + 1, 0x5A827999],
    )
    return call, noise(call, 5) >> 2


def _extreme_pointwise() -> Iterator[Trial]:
    """Weights and inputs at the ends of their range; sums at the limit of the split; constants."""
    window = Window(Axis(1), Axis(1))
    for name, first, second in (("high", 127, 127), ("low", -128, -127), ("lane", 127, -128)):
        for value in (-128, 127):
            weights = np.array([[first] * 516, [second] * 516]).reshape(2, 1, 1, 516)
            weights = weights[..., :508] if second == -128 else weights
            inputs = weights.shape[3]
            call = weighted_call(
                "conv2d",
                (1, 5, inputs),
                weights,
                window=window,
                bias=[-5, 5],
                shifts=[-16, -16],
            )
            x = np.full((1, 1, 5, inputs), value, np.int8)
            yield from pointwise_trials(f"extreme_{name}_{value}", call, x)
    weights = np.zeros((5, 1, 1, 6), np.int64)
    weights[1], weights[3] = 100, -3
    for clamp in CLAMPS:
        call = weighted_call(
            "conv2d",
            (1, 6, 6),
            weights,
            window=window,
            bias=[2**30, 77, -(2**30), 5, 2**31 - 1],
            shifts=[0, -9, 3, -31, -2],
            multipliers=[2**31 - 1, 2**30, 0, 2**30, 1],
            clamp=clamp,
        )
        yield from pointwise_trials(f"constant_channels_{clamp}", call, noise(call, 9))
    values = np.repeat(np.arange(-128, 128), 4).astype(np.int8).reshape(1, 1, 256, 4)
    first_alone = np.zeros((6, 1, 1, 4), np.int64)
    first_alone[..., 0] = np.array([1, 3, 1, -1, 5, -7]).reshape(6, 1, 1)
    for clamp in CLAMPS:
        ties = weighted_call(
            "conv2d",
            (1, 256, 4),
            first_alone,
            window=window,
            bias=[0, 0, 1, 1, -1, 2],
            shifts=[-1, -1, -2, -2, -3, -4],
            multipliers=[2**30] * 6,
            clamp=clamp,
            input_zero_point=0,
        )
        yield from pointwise_trials(f"rounding_ties_{clamp}", ties, values)
