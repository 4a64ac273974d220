# SPDX-License-Identifier: Apache-2.0
"""The DSP kernels of depthwise 3x3, 5x5 and 7x7 convolutions on row-planar rows, stride 1 and 2."""

from __future__ import annotations

import functools

import numpy as np

from edgekit.ir import Array, Call
from edgekit.kernel import BY_ROW, Binding, CStruct, Features, Kernel
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


def _features(call: Call) -> Features:
    """By row, channel of it, and up to 4 pixels of a channel; or by tap in the general form."""
    _, height, width, channels = call.output.shape
    arithmetic: WeightedArithmetic = call.node.arithmetic
    matrix = _matrix(call)
    finish = layer_finish(arithmetic, folded_sums(call, matrix)).finish
    outputs = height * width * channels
    if finish is Finish.GENERAL:
        return {
            "rows": height,
            "general_outputs": outputs,
            "general_taps": outputs * matrix.shape[1],
        }
    groups, rest = divmod(width, _GROUP_PIXELS)
    stripes = height * channels
    features: dict[str, float] = {"rows": height, "stripes": stripes}
    for size, count in ((_GROUP_PIXELS, groups), (rest, int(rest > 0))):
        if count:
            features[f"tiles_{size}"] = stripes * count
    if finish is not Finish.AT_ZERO_POINT:
        kind = finish.name.lower()
        features[f"{kind}_outputs"] = outputs
        features[f"{kind}_tiles"] = stripes * (groups + (rest > 0))
    return features


def _kernel(kernel: int, stride: int, *, stack_bytes: int = 384) -> Kernel:
    return Kernel(
        symbol=f"ek_depthwise_conv2d_s8_row_planar__dsp_{kernel}x{kernel}s{stride}",
        isa="dsp",
        kind="rows",
        pack=functools.partial(_pack, stride=stride),
        accepts=functools.partial(_accepts, kernel=kernel, stride=stride),
        features=_features,
        shared=frozenset({"rows"}),
        input_layouts=_input_layouts,
        needs_padding_row=True,
        write_behind=BY_ROW,
        channel_blocks=lambda call: 1,
        stack_bytes=stack_bytes,
    )


DSP_3X3S1 = _kernel(3, 1, stack_bytes=288)
DSP_3X3S2 = _kernel(3, 2, stack_bytes=288)
DSP_5X5S1 = _kernel(5, 1)
DSP_5X5S2 = _kernel(5, 2)
DSP_7X7S1 = _kernel(7, 1)
DSP_7X7S2 = _kernel(7, 2)
ROW_PLANAR = (DSP_3X3S1, DSP_3X3S2, DSP_5X5S1, DSP_5X5S2, DSP_7X7S1, DSP_7X7S2)
