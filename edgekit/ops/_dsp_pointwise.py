# SPDX-License-Identifier: Apache-2.0
"""The DSP kernel of 1x1 convolutions: packed-lane weights, 4 pixels x 2 output channels."""

from __future__ import annotations

import numpy as np

from edgekit.ir import Array, Call
from edgekit.kernel import Binding, CStruct, Kernel, WriteBehind
from edgekit.ops._dsp_requantize import (
    Finish,
    LayerFinish,
    Sums,
    folded_sums,
    lane_words,
    layer_finish,
    sums_problem,
    words,
)
from edgekit.ops._weighted import INPUT, WEIGHTS, WeightedArithmetic
from edgekit.window import Axis

_TILE_PIXELS = 4
_SPLIT_LIMIT = 2**23
_GENERAL_SCRATCH_BYTES = 32


def _matrix(call: Call) -> Array:
    """Weights (output channels, input channels) as int64."""
    weights = call.constant(WEIGHTS)
    return weights.reshape(weights.shape[0], -1).astype(np.int64)


def _finish(call: Call, sums: Sums) -> LayerFinish:
    arithmetic: WeightedArithmetic = call.node.arithmetic
    return layer_finish(arithmetic, sums)


def _accepts(call: Call) -> str | None:
    window = call.node.attributes.window
    for axis in (window.height, window.width):
        if axis != Axis(1, dilation=axis.dilation):
            return "only a 1x1 kernel with stride 1 and no padding"
    if call.inputs[INPUT].shape[3] != call.inputs[WEIGHTS].shape[3]:
        return "only one group"
    if call.inputs[INPUT].dtype != "int8" or call.output.dtype != "int8":
        return "only int8"
    matrix = _matrix(call)
    sums = folded_sums(call, matrix)
    if (problem := sums_problem(sums)) is not None:
        return problem
    first, second = _pairs(_without_constants(matrix, _finish(call, sums)))
    if (second * 256 + first).min() < -(2**15):
        return "a weight of -128 beside a negative one does not fit its lane"
    if _lane_bound(call) >= _SPLIT_LIMIT:
        return "the sums of an output channel reach 2^23 and would not split"
    return None


def _lane_bound(call: Call) -> int:
    """The largest magnitude of the sums of second channels, which lie above those of the first."""
    matrix = _matrix(call)
    _, second = _pairs(_without_constants(matrix, _finish(call, folded_sums(call, matrix))))
    return int(128 * np.abs(second).sum(axis=1).max())


def _without_constants(matrix: Array, finish: LayerFinish) -> Array:
    """The weights, zero for channels whose output is constant."""
    return np.where(finish.is_constant[:, None], 0, matrix)


def _pairs(rows: Array) -> tuple[Array, Array]:
    """First and second channels of all pairs; an odd last channel is second, beside a dummy."""
    even = len(rows) // 2 * 2
    first, second = rows[0:even:2], rows[1:even:2]
    if even == len(rows):
        return first, second
    return np.concatenate([first, np.zeros_like(rows[:1])]), np.concatenate([second, rows[even:]])


def _packed_weights(matrix: Array) -> Array:
    """Words (pairs, input channels / 2): groups of 4 channels k as lanes (k, k+2), (k+1, k+3)."""
    groups = -(-matrix.shape[1] // 4)
    padded = np.pad(matrix, ((0, 0), (0, groups * 4 - matrix.shape[1])))
    first, second = _pairs(padded)
    lanes = (second * 256 + first).reshape(len(first), groups, 2, 2)
    return lane_words(lanes[:, :, 0, :], lanes[:, :, 1, :]).reshape(len(first), groups * 2)


def _finish_words(finish: LayerFinish, bias: Array) -> Array:
    """Words (pairs, n) behind the weights of each pair."""
    first, second = _pairs(finish.parameters)
    second_bias = _pairs(bias)[1][:, None]
    if finish.finish is Finish.GENERAL:
        return words(np.concatenate([second_bias, first[:, :2], second[:, :2]], axis=1))
    clamp = np.tile(np.array(finish.clamp, np.int64), (len(first), 1))
    return words(np.concatenate([first, clamp, second, 2 * second_bias, clamp], axis=1))


def _pack(call: Call, binding: Binding) -> CStruct:
    arithmetic: WeightedArithmetic = call.node.arithmetic
    matrix = _matrix(call)
    sums = folded_sums(call, matrix)
    finish = _finish(call, sums)
    bias = np.where(finish.is_constant, 0, sums.bias)
    weights = _packed_weights(_without_constants(matrix, finish))
    columns = [words(_pairs(bias)[0])[:, None], weights, _finish_words(finish, bias)]
    planar = binding.output.kind == "row_planar"
    return CStruct(
        "ek_pointwise_s8",
        {
            "packed": np.concatenate(columns, axis=1).ravel(),
            "input_channels": matrix.shape[1],
            "output_channels": matrix.shape[0],
            "is_planar": int(planar),
            "channel_step": binding.output.channel_stride if planar else 1,
            "pad_left": binding.output.pad_left,
            "finish": int(finish.finish),
            "output_zero_point": arithmetic.output_zero_point,
            "minimum": arithmetic.minimum,
            "maximum": arithmetic.maximum,
        },
    )


def _scratch_bytes(call: Call, binding: Binding) -> int:
    """The tile's pixels as int16; sums of one pair where the requantization is the general one."""
    lanes_bytes = -(-call.inputs[INPUT].shape[3] // 4) * 4 * _TILE_PIXELS * 2
    general = _finish(call, folded_sums(call, _matrix(call))).finish is Finish.GENERAL
    return lanes_bytes + _GENERAL_SCRATCH_BYTES * general


def _instructions(call: Call) -> float:
    """Counted under QEMU, gcc 12 -O2: per tile of 4 pixels, and per pair of channels in it."""
    pixels = call.output.shape[1] * call.output.shape[2]
    outputs, inputs = call.inputs[WEIGHTS].shape[0], call.inputs[INPUT].shape[3]
    groups, pairs = -(-inputs // 4), -(-outputs // 2)
    return -(-pixels // _TILE_PIXELS) * (90.0 + 19 * groups + pairs * (77.0 + 24.4 * groups))


DSP_4X2 = Kernel(
    symbol="ek_pointwise_s8__dsp_4x2",
    isa="dsp",
    kind="rows",
    pack=_pack,
    accepts=_accepts,
    lane_bound=_lane_bound,
    instructions=_instructions,
    scratch_bytes=_scratch_bytes,
    writes=("nhwc", "row_planar"),
    write_behind=WriteBehind(grain=_TILE_PIXELS, buffered=True),
    flat=True,
    channel_blocks=lambda call: 2,
    stack_bytes=288,
)
