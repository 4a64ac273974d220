# SPDX-License-Identifier: Apache-2.0
"""The DSP kernel of depthwise convolutions of NHWC rows: any kernel, stride, dilation, multiplier."""

from __future__ import annotations

import numpy as np

from edgekit.ir import Array, Call
from edgekit.kernel import BY_ROW, Binding, CStruct, Features, Kernel
from edgekit.ops._dsp_requantize import (
    Finish,
    LayerFinish,
    folded_sums,
    lane_words,
    layer_finish,
    sums_problem,
    words,
)
from edgekit.ops._weighted import INPUT, WEIGHTS, WeightedArithmetic
from edgekit.window import Window

_GROUP = 4
_POINTER_BYTES = 8
"""On the host; the pointers of the taps begin at a multiple of it."""
_SUMS_BYTES = 16


def _matrix(call: Call) -> Array:
    """Weights (output channels, taps) as int64."""
    weights = call.constant(WEIGHTS)
    return weights.reshape(-1, weights.shape[3]).T.astype(np.int64)


def _multiplier(call: Call) -> int:
    return call.inputs[WEIGHTS].shape[3] // call.inputs[INPUT].shape[3]


def _finish(call: Call) -> LayerFinish:
    arithmetic: WeightedArithmetic = call.node.arithmetic
    return layer_finish(arithmetic, folded_sums(call, _matrix(call)))


def _groups(call: Call) -> list[list[int]]:
    """The output channels of every group of ek_depthwise_conv2d_s8_nhwc.h, in its order."""
    channels, multiplier = call.inputs[INPUT].shape[3], _multiplier(call)
    if multiplier == 1:
        whole = channels // _GROUP * _GROUP
        singles = [[channel] for channel in range(whole, channels)]
        return [list(range(c, c + _GROUP)) for c in range(0, whole, _GROUP)] + singles
    return [
        [c * multiplier + m for m in range(first, min(first + _GROUP, multiplier))]
        for first in range(0, multiplier, _GROUP)
        for c in range(channels)
    ]


def _accepts(call: Call) -> str | None:
    if call.inputs[INPUT].dtype != "int8" or call.output.dtype != "int8":
        return "only int8"
    return sums_problem(folded_sums(call, _matrix(call)))


def _weight_words(weights: Array) -> Array:
    """Words (groups, n) of weights (groups, 4, taps)."""
    groups, _, taps = weights.shape
    even = taps // 2 * 2
    first, second = weights[..., 0:even:2], weights[..., 1:even:2]
    pairs = lane_words(first, second).transpose(0, 2, 1).reshape(groups, even * 2)
    if even == taps:
        return pairs
    last = weights[..., even]
    return np.concatenate([pairs, lane_words(last[:, :2], last[:, 2:])], axis=1)


def _packed(call: Call, finish: LayerFinish) -> Array:
    """The parameters of ek_dsp_depthwise_taps.h, group after group."""
    matrix = _matrix(call)
    unit = 1 if finish.finish is Finish.GENERAL else 2
    bias = unit * np.where(finish.is_constant, 0, folded_sums(call, matrix).bias)
    matrix = unit * np.where(finish.is_constant[:, None], 0, matrix)
    groups = _groups(call)
    chosen = np.array([group + [-1] * (_GROUP - len(group)) for group in groups])

    def of_groups(values: Array) -> Array:
        """Values per channel as (groups, 4, ...), zero where a group has no channel."""
        found: Array = np.concatenate([values, np.zeros_like(values[:1])])[chosen]
        return found

    columns = [
        words(of_groups(bias)),
        _weight_words(of_groups(matrix)),
        words(of_groups(finish.parameters).reshape(len(groups), -1)),
    ]
    return np.concatenate(columns, axis=1).ravel()


def _pack(call: Call, binding: Binding) -> CStruct:
    arithmetic: WeightedArithmetic = call.node.arithmetic
    window: Window = call.node.attributes.window
    finish = _finish(call)
    raised, lowered = finish.clamp or (0, 0)
    _, _, input_width, input_channels = call.inputs[INPUT].shape
    return CStruct(
        "ek_depthwise_conv2d_s8_nhwc",
        {
            "packed": _packed(call, finish),
            "zero_points": np.full(input_channels, arithmetic.input_zero_point, np.int8),
            "input_width": input_width,
            "input_channels": input_channels,
            "channel_multiplier": _multiplier(call),
            "kernel_height": window.height.kernel,
            "kernel_width": window.width.kernel,
            "stride_width": window.width.stride,
            "dilation_width": window.width.dilation,
            "pad_left": window.width.pad_before,
            "finish": int(finish.finish),
            "raise": raised,
            "lower": lowered,
            "output_zero_point": arithmetic.output_zero_point,
            "minimum": arithmetic.minimum,
            "maximum": arithmetic.maximum,
        },
    )


def _scratch_bytes(call: Call, binding: Binding) -> int:
    """Pointers to the taps; the sums of a pixel where the requantization is the general one."""
    table_bytes = _matrix(call).shape[1] * _POINTER_BYTES + _POINTER_BYTES // 2
    if _finish(call).finish is not Finish.GENERAL:
        return table_bytes
    channels = call.inputs[INPUT].shape[3]
    singles = channels % _GROUP if _multiplier(call) == 1 else channels
    return table_bytes + max(channels // _GROUP, singles) * _SUMS_BYTES


def _channel_blocks(call: Call) -> int:
    return _GROUP if _multiplier(call) == 1 else 0


def _features(call: Call) -> Features:
    """Columns whose taps all lie inside the map are one stretch, each of the others is one by itself.

    A pixel has groups of 4 channels, and groups of 1: outputs of one channel, or rests.
    """
    window: Window = call.node.attributes.window
    _, height, width, outputs = call.output.shape
    _, _, input_width, channels = call.inputs[INPUT].shape
    multiplier, finish = _multiplier(call), _finish(call).finish
    if multiplier == 1:
        fours, ones = channels // _GROUP, channels % _GROUP
        runs = (fours > 0) + (ones > 0)
    else:
        runs = -(-multiplier // _GROUP)
        fours, ones = 0, runs * channels
    taps = window.height.kernel * window.width.kernel
    pairs, odd = divmod(taps, 2)
    at_border = sum(None in window.width.inputs_of(x, input_width) for x in range(width))
    stretches = height * (at_border + (at_border < width))
    pixels = height * width
    features: dict[str, float] = {
        "rows": height,
        "stretches": stretches,
        "stretch_rows": stretches * window.height.kernel,
        "stretch_taps": stretches * taps,
        "stretch_runs": stretches * runs,
        "runs": pixels * runs,
        "batches": pixels * (fours + ones) * -(-pairs // 4),
    }
    for name, groups in (("fours", pixels * fours), ("ones", pixels * ones)):
        if groups:
            features |= {
                name: groups,
                f"{name}_pairs": groups * pairs,
                f"{name}_odd": groups * odd,
            }
    if finish is Finish.GENERAL:
        general = {"general_runs": pixels * runs, "general_outputs": pixels * outputs}
        features |= general
    elif finish is not Finish.AT_ZERO_POINT:
        features[f"{finish.name.lower()}_groups"] = pixels * (fours + ones)
    return features


DSP_NHWC = Kernel(
    symbol="ek_depthwise_conv2d_s8_nhwc__dsp_1x4",
    isa="dsp",
    kind="rows",
    pack=_pack,
    accepts=_accepts,
    features=_features,
    shared=frozenset({"rows", "stretches", "stretch_rows", "stretch_taps", "stretch_runs", "runs"}),
    scratch_bytes=_scratch_bytes,
    needs_padding_row=True,
    write_behind=BY_ROW,
    channel_blocks=_channel_blocks,
    stack_bytes=544,
)
