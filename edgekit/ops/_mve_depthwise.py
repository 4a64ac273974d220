# SPDX-License-Identifier: Apache-2.0
"""The Helium kernel of depthwise convolutions: 16 channels of an NHWC row at a time, any window."""

from __future__ import annotations

import numpy as np

from edgekit.ir import Array, Call
from edgekit.kernel import BY_ROW, PLACES, Binding, CStruct, Features, Kernel
from edgekit.ops._dsp_requantize import folded_sums, sums_problem, words
from edgekit.ops._mve_matrix import columns_inside
from edgekit.ops._weighted import INPUT, WEIGHTS, WeightedArithmetic
from edgekit.window import Window

_LANES = 16
_MOST_TAPS = 65
_INT16_MIN, _INT16_MAX = -(2**15), 2**15 - 1


def _matrix(call: Call) -> Array:
    """Weights (channels, taps) as int64."""
    weights = call.constant(WEIGHTS)
    return weights.reshape(-1, weights.shape[3]).T.astype(np.int64)


def _quads(taps: int) -> int:
    """Groups of 4 taps behind the first one; the kernel has at least one."""
    return max(-(-(taps - 1) // 4), 1)


def _padded_taps(matrix: Array) -> Array:
    """Taps of weight 0 fill up the last quad."""
    taps = matrix.shape[1]
    return np.pad(matrix, ((0, 0), (0, 1 + 4 * _quads(taps) - taps)))


def _accepts(call: Call) -> str | None:
    arithmetic: WeightedArithmetic = call.node.arithmetic
    if call.inputs[WEIGHTS].shape[3] != call.inputs[INPUT].shape[3]:
        return "only one output channel per input channel"
    matrix = _matrix(call)
    if 1 + 4 * _quads(matrix.shape[1]) > _MOST_TAPS:
        return f"only kernels of up to {_MOST_TAPS} taps"
    if max(arithmetic.shifts) >= 0:
        return "only shifts to the right"
    pairs = _padded_taps(matrix)[:, 1:].reshape(len(matrix), -1, 2)
    highest = np.maximum(127 * pairs, -128 * pairs).sum(axis=2).max()
    lowest = np.minimum(127 * pairs, -128 * pairs).sum(axis=2).min()
    if highest > _INT16_MAX or lowest < _INT16_MIN:
        return "two taps side by side need more than 16 bits"
    return sums_problem(folded_sums(call, matrix))


def _by_group(rows: Array) -> Array:
    """Rows of all channels as (groups, 16, n), zero behind the last channel."""
    padded = np.pad(rows, ((0, -len(rows) % _LANES), (0, 0)))
    return padded.reshape(-1, _LANES, rows.shape[1])


def _parameters(call: Call, matrix: Array) -> Array:
    """Words [group][channels modulo 4: 0, 2, 1, 3][bias, multiplier, shift][4 channels]."""
    arithmetic: WeightedArithmetic = call.node.arithmetic
    columns = [folded_sums(call, matrix).bias, arithmetic.multipliers, arithmetic.shifts]
    groups = _by_group(np.stack([np.asarray(c, np.int64) for c in columns], axis=1))
    by_remainder = groups.reshape(len(groups), 4, 4, 3).transpose(0, 2, 3, 1)
    return words(by_remainder[:, [0, 2, 1, 3]].ravel())


def _pack(call: Call, binding: Binding) -> CStruct:
    arithmetic: WeightedArithmetic = call.node.arithmetic
    width = call.node.attributes.window.width
    _, kernel_height, kernel_width, channels = call.inputs[WEIGHTS].shape
    matrix, inside = _matrix(call), columns_inside(call)
    by_tap = _by_group(_padded_taps(matrix)).transpose(0, 2, 1)
    return CStruct(
        "ek_depthwise_conv2d_s8_interleaved",
        {
            "weights": np.ascontiguousarray(by_tap).astype(np.int8).ravel(),
            "parameters": _parameters(call, matrix),
            "quads": _quads(matrix.shape[1]),
            "minimum": arithmetic.minimum,
            "maximum": arithmetic.maximum,
            "output_zero_point": arithmetic.output_zero_point,
            "input_zero_point": arithmetic.input_zero_point,
            "input_width": call.inputs[INPUT].shape[2],
            "channels": channels,
            "kernel_height": kernel_height,
            "kernel_width": kernel_width,
            "stride_width": width.stride,
            "dilation_width": width.dilation,
            "pad_left": width.pad_before,
            "inside_begin": inside.start,
            "inside_end": inside.stop,
        },
    )


def _features(call: Call) -> Features:
    """By row, stretch of columns, pixel, and group of 16 channels of a pixel; 3x3 has its own loop."""
    arithmetic: WeightedArithmetic = call.node.arithmetic
    window: Window = call.node.attributes.window
    _, height, width, channels = call.output.shape
    taps = window.height.kernel * window.width.kernel
    is_3x3 = window.height.kernel == window.width.kernel == 3
    clamp = (arithmetic.output_zero_point, arithmetic.minimum, arithmetic.maximum)
    whole, rest = divmod(channels, _LANES)
    pixels = height * width
    groups = pixels * (whole + (rest > 0))
    stretches = height * (width - len(columns_inside(call)) + 1)
    moved = pixels * bool(rest or window.width.stride > 1)
    lasts = pixels * bool(rest)
    common = {
        "rows": height,
        "pixels": pixels,
        "clamped_groups": groups * (clamp != (-128, -128, 127)),
        "stretches": stretches,
    }
    if is_3x3:
        return common | {"groups_3x3": groups, "lasts_3x3": lasts, "moved_3x3": moved}
    quads = _quads(taps)
    return common | {
        "groups": groups,
        "group_quads": groups * quads,
        "lasts": lasts,
        "last_quads": lasts * quads,
        "moved": moved,
        "moved_taps": moved * taps,
        "stretch_taps": stretches * taps,
    }


MVE = Kernel(
    symbol="ek_depthwise_conv2d_s8_interleaved__mve",
    isa="mve",
    kind="rows",
    pack=_pack,
    accepts=_accepts,
    features=_features,
    shared=PLACES | {"stretches", "stretch_taps", "moved", "moved_taps", "moved_3x3"},
    scratch_bytes=lambda call, binding: call.output.shape[3],
    write_behind=BY_ROW,
    channel_blocks=lambda call: _LANES,
    stack_bytes=640,
)
