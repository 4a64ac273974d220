# SPDX-License-Identifier: Apache-2.0
"""Random layers with weights over the whole legal range: shapes, weights, sums, factors, clamps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from edgekit.arith import INT32_MAX, INT32_MIN
from edgekit.ir import Array, QGraph, Quantization, Shape, Tensor, constant
from edgekit.ops import operators
from edgekit.ops._operator import case_graph
from edgekit.ops._weight_channels import OUTPUT_AXIS
from edgekit.ops._weighted import WeightedArithmetic
from edgekit.ops.conv2d import Conv2d
from edgekit.ops.depthwise_conv2d import DepthwiseConv2d
from edgekit.ops.fully_connected import FullyConnected
from edgekit.ops.transposed_conv2d import TransposedConv2d, transposed_axis
from edgekit.window import Axis, Window

Value = TypeVar("Value")
Random = np.random.Generator

MOST_OUTPUTS = 500
MOST_MACS = 30_000
MOST_TAPS = 2_500
WIDTHS = (1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 17)
HEIGHTS = (1, 1, 1, 2, 3, 4)
CHANNELS = (1, 1, 2, 3, 4, 4, 5, 6, 7, 8, 8, 9, 11, 12, 13, 15, 16, 17, 20, 24, 31, 33)
DEPTHS = (*CHANNELS, 48, 63, 64, 65, 129)
LANE_DEPTHS = (258, 511, 515, 516, 517, 520)
"""Around what the sums of two channels that share a lane can take."""
ZERO_POINTS = (-128, 127, 0, -1, 1)
MULTIPLIERS = (2**30, 2**30 + 1, 2**31 - 1, 0x5A827999, 0, 1, 2**29, 3)
SUM_LIMITS = (2**31 - 1, 2**31 - 2, 2**30, 2**30 - 1, 2**29, 2**24, 2**23, 2**23 - 1)
"""Magnitudes at which kernels and finishes end, or change."""


@dataclass(frozen=True)
class Geometry:
    """A layer without its integers; ``weights`` is a shape."""

    attributes: Any
    shape: Shape
    weights: Shape


def pick(random: Random, values: Sequence[Value]) -> Value:
    return values[int(random.integers(len(values)))]


def _axis(random: Random, kernels: Sequence[int] = (1, 2, 3, 3, 4, 5, 6, 7, 10, 11)) -> Axis:
    kernel, stride, dilation = (
        pick(random, kernels),
        pick(random, (1, 1, 1, 2, 2, 3, 4)),
        pick(random, (1, 1, 1, 1, 2, 3)),
    )
    reach = (kernel - 1) * dilation
    before, after = (int(random.integers(0, reach + 1)) for _ in range(2))
    return Axis(kernel, stride, dilation, before, after)


def _size(random: Random, axis: Axis, extra: Sequence[int]) -> int:
    """Inputs that the window fits over, at least one."""
    least = max(axis.extent - axis.pad_before - axis.pad_after, 1)
    return least + pick(random, extra) - 1


def _point_window(random: Random) -> Window:
    stride = pick(random, (1, 1, 1, 1, 1, 2))
    return Window(Axis(1, stride), Axis(1, stride))


def _conv2d(random: Random) -> Geometry:
    window = Window(_axis(random), _axis(random))
    if random.random() < 0.4:
        window = _point_window(random)
    groups = pick(random, (1, 1, 1, 1, 2, 3))
    inputs, outputs = pick(random, DEPTHS), pick(random, CHANNELS)
    if random.random() < 0.15:
        inputs, outputs = pick(random, LANE_DEPTHS), pick(random, (1, 2, 3, 4))
    size = _size(random, window.height, HEIGHTS), _size(random, window.width, WIDTHS)
    weights = (outputs * groups, window.height.kernel, window.width.kernel, inputs)
    return Geometry(Conv2d(window), (1, *size, inputs * groups), weights)


def _same_axis(random: Random) -> Axis:
    """What most networks have: a square window of 3, 5 or 7, padded by up to kernel - 1."""
    kernel, stride = pick(random, (3, 5, 7)), pick(random, (1, 2))
    before = int(random.integers(0, kernel))
    return Axis(kernel, stride, 1, before, int(random.integers(0, kernel - before)))


def _depthwise_conv2d(random: Random) -> Geometry:
    axis = _same_axis(random)
    window, multiplier = Window(axis, axis), 1
    if random.random() < 0.4:
        window = Window(_axis(random), _axis(random))
        multiplier = pick(random, (1, 1, 1, 2, 3, 4, 8))
    inputs = pick(random, CHANNELS)
    size = _size(random, window.height, HEIGHTS), _size(random, window.width, WIDTHS)
    weights = (1, window.height.kernel, window.width.kernel, inputs * multiplier)
    return Geometry(DepthwiseConv2d(window), (1, *size, inputs), weights)


def _fully_connected(random: Random) -> Geometry:
    depth, outputs = pick(random, (*DEPTHS, 2, 3, 130, *LANE_DEPTHS)), pick(random, CHANNELS)
    front = tuple(pick(random, (1, 1, 2, 3, 5)) for _ in range(pick(random, (0, 0, 1, 2))))
    keep_dims = random.random() < 0.5
    row = depth if keep_dims or random.random() < 0.5 else depth * int(np.prod(front))
    return Geometry(FullyConnected(keep_dims), (1, *front, depth), (outputs, row))


def _transposed_conv2d(random: Random) -> Geometry:
    axes, size = [], (pick(random, (1, 2, 3, 4, 5)), pick(random, (1, 2, 3, 4, 5)))
    for inputs in size:
        kernel, stride, dilation = (int(random.integers(1, top)) for top in (5, 5, 4))
        reach = dilation * (kernel - 1)
        crop, cut, more = (int(random.integers(0, n + 1)) for n in (reach, reach, stride))
        result = (inputs - 1) * stride + 1 + reach - crop - cut + more
        axes.append(
            transposed_axis(
                kernel, stride, dilation, crop=crop, input_size=inputs, output_size=result
            )
        )
    groups, inputs, outputs = (
        pick(random, (1, 1, 2, 3)),
        pick(random, CHANNELS),
        pick(random, CHANNELS),
    )
    weights = (outputs * groups, axes[0].kernel, axes[1].kernel, inputs)
    return Geometry(TransposedConv2d(Window(*axes)), (1, *size, inputs * groups), weights)


GEOMETRIES: Mapping[str, Callable[[Random], Geometry]] = {
    "conv2d": _conv2d,
    "depthwise_conv2d": _depthwise_conv2d,
    "fully_connected": _fully_connected,
    "transposed_conv2d": _transposed_conv2d,
}


def weighted_layer(op: str, random: Random) -> QGraph | None:
    """A model of one int8 layer, or None where it would be empty or too large."""
    geometry = GEOMETRIES[op](random)
    if op == "fully_connected":
        output = operators()[op].output_shape(
            geometry.attributes, [geometry.shape, geometry.weights]
        )
    else:
        size = geometry.attributes.window.output_size(*geometry.shape[1:3])
        output = (1, *size, geometry.weights[OUTPUT_AXIS[op]])
    axis = OUTPUT_AXIS[op]
    taps = int(np.prod(geometry.weights)) // geometry.weights[axis]
    outputs = int(np.prod(output))
    if min(output) < 1 or outputs > MOST_OUTPUTS or taps > MOST_TAPS:
        return None
    if outputs * taps > MOST_MACS:
        return None
    weights = np.moveaxis(_weights(random, geometry.weights[axis], taps), 0, -1)
    shape = [n for i, n in enumerate(geometry.weights) if i != axis]
    array = np.moveaxis(weights.reshape(*shape, -1), -1, axis)
    return _model(op, geometry, array, output, random)


def _model(op: str, geometry: Geometry, weights: Array, output: Shape, random: Random) -> QGraph:
    rows = np.moveaxis(weights, OUTPUT_AXIS[op], 0)
    rows = rows.reshape(len(rows), -1)
    zero_points = _zero_point(random), _zero_point(random)
    bias = _bias(random, rows, zero_points[0])
    multipliers, shifts = _factors(random, _reach(rows, zero_points[0], bias))
    minimum, maximum = _clamp(random, zero_points[1])
    constants = [constant("weights", weights.astype(np.int8))]
    if bias.any() or random.random() < 0.5:
        constants.append(constant("bias", bias.astype(np.int32)))
    return case_graph(
        op,
        inputs=[
            Tensor("x", geometry.shape, "int8", Quantization(0.05, zero_points[0])),
            *constants,
        ],
        output=Tensor("y", output, "int8", Quantization(0.1, zero_points[1])),
        attributes=geometry.attributes,
        arithmetic=WeightedArithmetic(*zero_points, multipliers, shifts, minimum, maximum),
        name="random",
    )


def _zero_point(random: Random) -> int:
    return pick(random, ZERO_POINTS) if random.random() < 0.5 else int(random.integers(-128, 128))


def _clamp(random: Random, zero_point: int) -> tuple[int, int]:
    whole, behind_relu = (-128, 127), (max(zero_point, -128), 127)
    ends = sorted(int(v) for v in random.integers(-128, 128, 2))
    return pick(random, (whole, whole, behind_relu, (ends[0], ends[1]), (-128, ends[1])))


def fills_lanes(taps: int) -> bool:
    """Whether sums of so many products can fill the lanes that two channels share."""
    return taps >= LANE_DEPTHS[0]


def _weights(random: Random, channels: int, taps: int) -> Array:
    """Weights (channels, taps)."""
    size = (channels, taps)
    uniform = random.integers(-128, 128, size)
    at_ends = fills_lanes(taps) and random.random() < 0.7
    kinds = (0, 1, 1, 1, 3) if at_ends else range(8)
    match pick(random, kinds):
        case 0:  # at the ends alone
            return random.choice([-128, -127, 127], size)
        case 1:  # one value for each channel
            return np.broadcast_to(random.choice([-128, -127, 127, 1, -1, 0], (channels, 1)), size)
        case 2:  # few weights that are not 0
            return np.where(random.random(size) < 0.2, uniform, 0)
        case 3:  # the ends of a lane that two channels share: 256 * -128 + [0, 127]
            odd = (np.arange(channels) % 2 == 1)[:, None]
            return np.where(
                odd, random.choice([-128, -127], size), random.choice([0, 1, 127], size)
            )
        case 4:  # small ones, for ties
            return random.integers(-3, 4, size)
        case 5:
            return np.clip(uniform, -127, 127)
        case _:
            return uniform


def _ends(rows: Array, zero_point: int) -> tuple[Array, Array]:
    """The least and greatest sum of every channel without its bias."""
    rows = rows.astype(np.int64)
    positive, negative = np.maximum(rows, 0).sum(axis=1), np.minimum(rows, 0).sum(axis=1)
    low, high = -128 - zero_point, 127 - zero_point
    return low * positive + high * negative, high * positive + low * negative


def _bias(random: Random, rows: Array, zero_point: int) -> Array:
    """Biases: none, small, of any size, or so that the sums end at a limit."""
    channels = len(rows)
    least, greatest = _ends(rows, zero_point)
    match int(random.integers(0, 6)):
        case 0:
            return np.zeros(channels, np.int64)
        case 1:
            bits = random.integers(1, 29, channels)
            return random.integers(-(2**bits), 2**bits + 1)
        case 2:
            limits = random.choice(SUM_LIMITS, channels)
            above = random.random(channels) < 0.5
            bias = np.where(above, limits - greatest, -limits - least)
            return np.clip(bias, INT32_MIN, INT32_MAX)
        case _:
            return random.integers(-3000, 3001, channels)


def _reach(rows: Array, zero_point: int, bias: Array) -> Array:
    least, greatest = _ends(rows, zero_point)
    return np.maximum(np.maximum(np.abs(least + bias), np.abs(greatest + bias)), 1)


def _factors(random: Random, reach: Array) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Multipliers and shifts: most leave results inside int8, some are any that are legal."""
    channels = len(reach)
    multipliers = random.integers(2**30, 2**31, channels)
    shifts = np.round(np.log2(200.0 / reach)).astype(np.int64) + random.integers(-3, 3, channels)
    match int(random.integers(0, 8)):
        case 0:
            multipliers = random.choice(MULTIPLIERS, channels)
        case 1:
            multipliers = random.integers(0, 2**31, channels)
            shifts = random.integers(-31, 31, channels)
        case 2:
            shifts = random.choice([-31, -30, -29, -1, 0, 1, 30], channels)
        case 3:  # halves: ties in both roundings
            multipliers = np.full(channels, 2**30)
        case 4:
            shifts = np.full(channels, shifts[0])
        case _:
            pass
    legal = np.clip(shifts, -31, 30)
    return tuple(int(m) for m in multipliers), tuple(int(s) for s in legal)
