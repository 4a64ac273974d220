# SPDX-License-Identifier: Apache-2.0
"""The DSP kernels of depthwise 3x3, 5x5 and 7x7 convolutions on row-planar rows, stride 1 and 2."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from edgekit.ir import Array, Call
from edgekit.kernel import BY_ROW, Binding, CStruct, Kernel
from edgekit.layout import Layout, row_planar
from edgekit.ops._dsp_requantize import (
    Finish,
    folded_sums,
    lane_words,
    layer_finish,
    sums_problem,
    words,
)
from edgekit.ops._weighted import INPUT, WEIGHTS, WeightedArithmetic
from edgekit.window import Window

_GROUP_PIXELS = 4


@dataclass(frozen=True)
class _Costs:
    """Instructions counted under QEMU (Cortex-M4, gcc 12 -O2) where the clamp is at the zero point.

    Per row, per channel of it, and per 1, 2, 3 and 4 pixels of a channel.
    """

    row: float
    channel: float
    pixels: tuple[float, float, float, float]


_FINISH_PIXELS = {Finish.AT_ZERO_POINT: 0, Finish.LINEAR: 1, Finish.CLAMPED: 3}
_FINISH_TILE = {Finish.AT_ZERO_POINT: 0, Finish.LINEAR: 1, Finish.CLAMPED: 2}
"""Instructions that a finish takes more, per pixel and per up to 4 pixels."""
_GENERAL_TAP, _GENERAL_OUTPUT = 24.0, 55.0
"""The same of ek_dsp_depthwise_columns.c."""


def _matrix(call: Call) -> Array:
    """Weights (channels, taps) as int64."""
    weights = call.constant(WEIGHTS)
    return weights.reshape(-1, weights.shape[3]).T.astype(np.int64)


def _accepts(call: Call, *, kernel: int, stride: int) -> str | None:
    window: Window = call.node.attributes.window
    width = window.width
    if (window.height.kernel, width.kernel) != (kernel, kernel):
        return f"only {kernel}x{kernel} kernels"
    if width.stride != stride or width.dilation != 1:
        return f"only stride {stride} without dilation along the width"
    if width.pad_before + width.pad_after >= kernel:
        return f"only padding of {kernel - 1} columns in all"
    if call.inputs[WEIGHTS].shape[3] != call.inputs[INPUT].shape[3]:
        return "only one output channel per input channel"
    if call.inputs[INPUT].dtype != "int8" or call.output.dtype != "int8":
        return "only int8"
    return sums_problem(folded_sums(call, _matrix(call)))


def _input_layouts(call: Call) -> tuple[Layout, ...]:
    window: Window = call.node.attributes.window
    width, axis = call.inputs[INPUT].shape[2], window.width
    return (row_planar(width=width, kernel=axis.kernel, pad_left=axis.pad_before),)


def _row_words(taps: Array, stride: int) -> Array:
    """Words (channels, rows, n) of weights (channels, rows, columns), an odd number of columns."""
    first, second, last = taps[..., :-1:2], taps[..., 1::2], taps[..., 2::2]
    if stride == 2:
        last = last[..., -1:]
        second_words = lane_words(last, np.zeros_like(last))
    else:
        second_words = lane_words(second, last)
    return np.concatenate([lane_words(first, second), second_words], axis=2)


def _pack(call: Call, binding: Binding, *, stride: int) -> CStruct:
    arithmetic: WeightedArithmetic = call.node.arithmetic
    matrix = _matrix(call)
    sums = folded_sums(call, matrix)
    finish = layer_finish(arithmetic, sums)
    unit = 1 if finish.finish is Finish.GENERAL else 2
    bias = unit * np.where(finish.is_constant, 0, sums.bias)
    matrix = unit * np.where(finish.is_constant[:, None], 0, matrix)
    channels, kernel = len(matrix), call.node.attributes.window.width.kernel
    weights = _row_words(matrix.reshape(channels, -1, kernel), stride).reshape(channels, -1)
    clamp = words(np.tile(np.array(finish.clamp, np.int64), (channels, 1)))
    columns = [words(finish.parameters), weights, words(bias)[:, None], clamp]
    return CStruct(
        "ek_depthwise_conv2d_s8_row_planar",
        {
            "packed": np.concatenate(columns, axis=1).ravel(),
            "channels": channels,
            "channel_stride": binding.inputs[0].channel_stride,
            "finish": int(finish.finish),
            "output_zero_point": arithmetic.output_zero_point,
            "minimum": arithmetic.minimum,
            "maximum": arithmetic.maximum,
        },
    )


def _instructions(call: Call, *, costs: _Costs) -> float:
    _, height, width, channels = call.output.shape
    arithmetic: WeightedArithmetic = call.node.arithmetic
    matrix = _matrix(call)
    finish = layer_finish(arithmetic, folded_sums(call, matrix)).finish
    if finish is Finish.GENERAL:
        taps = matrix.shape[1]
        return height * width * channels * (_GENERAL_TAP * taps + _GENERAL_OUTPUT)
    groups, rest = divmod(width, _GROUP_PIXELS)
    tiles = [_GROUP_PIXELS] * groups + [rest] * (rest > 0)
    channel = costs.channel
    for pixels in tiles:
        channel += costs.pixels[pixels - 1] + _FINISH_PIXELS[finish] * pixels + _FINISH_TILE[finish]
    return height * (costs.row + channels * channel)


def _kernel(kernel: int, stride: int, *, costs: _Costs, stack_bytes: int = 384) -> Kernel:
    return Kernel(
        symbol=f"ek_depthwise_conv2d_s8_row_planar__dsp_{kernel}x{kernel}s{stride}",
        isa="dsp",
        kind="rows",
        pack=functools.partial(_pack, stride=stride),
        accepts=functools.partial(_accepts, kernel=kernel, stride=stride),
        instructions=functools.partial(_instructions, costs=costs),
        input_layouts=_input_layouts,
        needs_padding_row=True,
        write_behind=BY_ROW,
        channel_blocks=lambda call: 1,
        stack_bytes=stack_bytes,
    )


DSP_3X3S1 = _kernel(3, 1, costs=_Costs(120, 16, (23, 34, 50, 64)), stack_bytes=288)
DSP_3X3S2 = _kernel(3, 2, costs=_Costs(120, 16, (23, 40, 53, 73)), stack_bytes=288)
DSP_5X5S1 = _kernel(5, 1, costs=_Costs(205, 23, (58, 77, 101, 127)))
DSP_5X5S2 = _kernel(5, 2, costs=_Costs(205, 20, (57, 81, 110, 140)))
DSP_7X7S1 = _kernel(7, 1, costs=_Costs(215, 29, (94, 126, 172, 215)))
DSP_7X7S2 = _kernel(7, 2, costs=_Costs(215, 27, (92, 138, 177, 232)))
ROW_PLANAR = (DSP_3X3S1, DSP_3X3S2, DSP_5X5S1, DSP_5X5S2, DSP_7X7S1, DSP_7X7S2)
