# SPDX-License-Identifier: Apache-2.0
"""The DSP kernels of depthwise 3x3 convolutions on row-planar rows, stride 1 and 2."""

from __future__ import annotations

import functools

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

_KERNEL = 3
_GROUP_PIXELS = 4


def _matrix(call: Call) -> Array:
    """Weights (channels, 9) as int64."""
    weights = call.constant(WEIGHTS)
    return weights.reshape(-1, weights.shape[3]).T.astype(np.int64)


def _accepts(call: Call, *, stride: int) -> str | None:
    window: Window = call.node.attributes.window
    width = window.width
    if (window.height.kernel, width.kernel) != (_KERNEL, _KERNEL):
        return "only 3x3 kernels"
    if width.stride != stride or width.dilation != 1:
        return f"only stride {stride} without dilation along the width"
    if width.pad_before + width.pad_after >= _KERNEL:
        return "only padding of 2 columns in all"
    if call.inputs[WEIGHTS].shape[3] != call.inputs[INPUT].shape[3]:
        return "only one output channel per input channel"
    if call.inputs[INPUT].dtype != "int8" or call.output.dtype != "int8":
        return "only int8"
    return sums_problem(folded_sums(call, _matrix(call)))


def _input_layouts(call: Call) -> tuple[Layout, ...]:
    window: Window = call.node.attributes.window
    width = call.inputs[INPUT].shape[2]
    return (row_planar(width=width, kernel=_KERNEL, pad_left=window.width.pad_before),)


def _pack(call: Call, binding: Binding, *, stride: int) -> CStruct:
    arithmetic: WeightedArithmetic = call.node.arithmetic
    matrix = _matrix(call)
    sums = folded_sums(call, matrix)
    finish = layer_finish(arithmetic, sums)
    unit = 1 if finish.finish is Finish.GENERAL else 2
    bias = unit * np.where(finish.is_constant, 0, sums.bias)
    matrix = unit * np.where(finish.is_constant[:, None], 0, matrix)
    taps = matrix.reshape(-1, _KERNEL, _KERNEL)
    w0, w1, w2 = taps[..., 0], taps[..., 1], taps[..., 2]
    last = lane_words(w1, w2) if stride == 1 else lane_words(w2, np.zeros_like(w2))
    weights = np.stack([lane_words(w0, w1), last], axis=2).reshape(len(matrix), 2 * _KERNEL)
    clamp = words(np.tile(np.array(finish.clamp, np.int64), (len(matrix), 1)))
    parameters = words(np.concatenate([finish.parameters, bias[:, None]], axis=1))
    return CStruct(
        "ek_depthwise_conv2d_s8_row_planar",
        {
            "packed": np.concatenate([parameters, weights, clamp], axis=1).ravel(),
            "channels": len(matrix),
            "channel_stride": binding.inputs[0].channel_stride,
            "finish": int(finish.finish),
            "output_zero_point": arithmetic.output_zero_point,
            "minimum": arithmetic.minimum,
            "maximum": arithmetic.maximum,
        },
    )


def _instructions(call: Call, *, group_instructions: float) -> float:
    """Counted under QEMU, gcc 12 -O2: per group of 4 pixels of a channel, per channel and row."""
    _, height, width, channels = call.output.shape
    groups, tail = divmod(width, _GROUP_PIXELS)
    channel = 17.0 + group_instructions * (groups + (0.3 + 0.2 * tail if tail else 0.0))
    return height * (110.0 + channels * channel)


def _kernel(stride: int, *, group_instructions: float) -> Kernel:
    return Kernel(
        symbol=f"ek_depthwise_conv2d_s8_row_planar__dsp_3x3s{stride}",
        isa="dsp",
        kind="rows",
        pack=functools.partial(_pack, stride=stride),
        accepts=functools.partial(_accepts, stride=stride),
        instructions=functools.partial(_instructions, group_instructions=group_instructions),
        input_layouts=_input_layouts,
        needs_padding_row=True,
        write_behind=BY_ROW,
        channel_blocks=lambda call: 1,
        stack_bytes=272,
    )


DSP_3X3S1 = _kernel(1, group_instructions=65)
DSP_3X3S2 = _kernel(2, group_instructions=74)
