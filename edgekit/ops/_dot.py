# SPDX-License-Identifier: Apache-2.0
"""Portable kernels of convolutions and fully connected layers: 32-bit sums with fast finishes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from edgekit.ir import Array, Call
from edgekit.kernel import BY_ROW, Binding, CStruct, CValue, Features, Kernel, WriteBehind
from edgekit.ops._accumulating import accumulating_twin
from edgekit.ops._dsp_requantize import (
    Finish,
    finish_features,
    folded_sums,
    layer_finish,
    sums_problem,
)
from edgekit.ops._weighted import INPUT, WEIGHTS, WeightedArithmetic
from edgekit.window import Window

_TILE_PIXELS = 2
_BYTES_OF_A_TAP = 12


def _matrix(call: Call) -> Array:
    """Weights (output channels, taps), int64."""
    weights = call.constant(WEIGHTS)
    return weights.reshape(weights.shape[0], -1).astype(np.int64)


def finish_refusal(call: Call, matrix: Array) -> str | None:
    """Why the sums of ``matrix`` (output channels, taps) have no fast finish, or None."""
    sums = folded_sums(call, matrix)
    if (problem := sums_problem(sums)) is not None:
        return problem
    arithmetic: WeightedArithmetic = call.node.arithmetic
    if layer_finish(arithmetic, sums).finish is Finish.GENERAL:
        return "its multipliers, shifts and clamp have no fast finish"
    return None


def finish_members(call: Call, matrix: Array) -> dict[str, CValue]:
    """The matrix as the kernels multiply by it, and parameters, finish, raise and lower."""
    sums = folded_sums(call, matrix)
    finish = layer_finish(call.node.arithmetic, sums)
    bias = np.where(finish.is_constant, 0, sums.bias)[:, np.newaxis]
    kept = np.where(finish.is_constant[:, np.newaxis], 0, matrix)
    raised, lower = finish.clamp or (0, 0)
    return {
        "weights": kept.astype(np.int8),
        "parameters": np.concatenate([bias, finish.parameters], axis=1).astype(np.int32),
        "finish": int(finish.finish),
        "raise": raised,
        "lower": lower,
    }


def _refuse(call: Call) -> str | None:
    return finish_refusal(call, _matrix(call))


def _refuse_window(call: Call) -> str | None:
    """Why a convolution is not a product of matrices, or None."""
    window = call.node.attributes.window
    for axis in (window.height, window.width):
        if axis.kernel != 1 or axis.pad_before or axis.pad_after:
            return "only a 1x1 kernel and no padding"
    if call.inputs[INPUT].shape[3] != call.inputs[WEIGHTS].shape[3]:
        return "only one group"
    return _refuse(call)


def _features(call: Call) -> Features:
    channels, taps = call.inputs[WEIGHTS].shape[0], math.prod(call.inputs[WEIGHTS].shape[1:])
    pixels = call.output.elements // channels
    tiles = _tile_features(pixels, channels, taps=taps)
    return {"layers": 1, "pixels": pixels, **tiles, **_finished(call, _matrix(call))}


def _finished(call: Call, matrix: Array) -> Features:
    finish = layer_finish(call.node.arithmetic, folded_sums(call, matrix)).finish
    return finish_features(finish, call.output.elements)


def _tile_features(pixels: int, channels: int, *, taps: int) -> Features:
    """Of two pixels and two channels at a time, or of the last pixel and four channels."""
    pairs, single = divmod(pixels, _TILE_PIXELS)
    tiles, tails = pairs * -(-channels // 2), single * -(-channels // 4)
    return {
        "outputs": pixels * channels,
        "tiles": tiles,
        "tile_groups": tiles * (taps // 4),
        "tile_taps": tiles * (taps % 4),
        "single_tiles": tails,
        "single_groups": tails * (taps // 4),
        "single_taps": tails * (taps % 4),
    }


def _pack_pointwise(call: Call, binding: Binding) -> CStruct:
    members: dict[str, CValue] = {
        "input_channels": call.inputs[INPUT].shape[3],
        "stride_width": call.node.attributes.window.width.stride,
    }
    return CStruct("ek_dot_pointwise_s8", finish_members(call, _matrix(call)) | members)


def _pack_patch(call: Call, binding: Binding) -> CStruct:
    width = call.node.attributes.window.width
    _, _, input_width, channels = call.inputs[INPUT].shape
    outputs, kernel_height, kernel_width, group_channels = call.inputs[WEIGHTS].shape
    return CStruct(
        "ek_patch_conv2d_s8",
        finish_members(call, _matrix(call))
        | {
            "input_width": input_width,
            "input_channels": channels,
            "input_zero_point": call.node.arithmetic.input_zero_point,
            "output_channels": outputs,
            "groups": channels // group_channels,
            "kernel_height": kernel_height,
            "kernel_width": kernel_width,
            "stride_width": width.stride,
            "dilation_width": width.dilation,
            "pad_left": width.pad_before,
        },
    )


def _patch_features(call: Call) -> Features:
    """Those of the products, and the taps that are gathered."""
    _, height, width, _ = call.output.shape
    outputs, kernel_rows, kernel_width, group_channels = call.inputs[WEIGHTS].shape
    groups = call.inputs[INPUT].shape[3] // group_channels
    taps = kernel_rows * kernel_width * group_channels
    row = _tile_features(width, outputs // groups, taps=taps)
    windows = height * width * groups
    return {
        "rows": height,
        "windows": windows,
        "runs": windows * kernel_rows,
        "pieces": windows * kernel_rows * kernel_width,
        "gathered": windows * taps,
        **{name: height * groups * count for name, count in row.items()},
        **_finished(call, _matrix(call)),
    }


def pointwise_kernel() -> Kernel:
    """1x1 convolutions of any stride."""
    return Kernel(
        symbol="ek_dot_pointwise_s8__c",
        isa="c",
        kind="rows",
        pack=_pack_pointwise,
        accepts=_refuse_window,
        features=_features,
        write_behind=WriteBehind(grain=_TILE_PIXELS),
        flat=True,
        channel_blocks=lambda call: 1,
        stack_bytes=528,
    )


def patch_kernel(channel_blocks: Callable[[Call], int]) -> Kernel:
    """Convolutions of any window and number of groups."""
    return Kernel(
        symbol="ek_patch_conv2d_s8__c",
        isa="c",
        kind="rows",
        pack=_pack_patch,
        accepts=_refuse,
        features=_patch_features,
        shared=frozenset({"rows", "windows", "runs", "pieces", "gathered"}),
        scratch_bytes=lambda call, binding: -(-2 * _matrix(call).shape[1] // 4) * 4,
        write_behind=BY_ROW,
        channel_blocks=channel_blocks,
        stack_bytes=544,
    )


def fully_connected_kernels(
    refuse_rows: Callable[[Call], str | None],
    parts_members: Callable[[Call, Binding], Mapping[str, CValue]],
) -> tuple[Kernel, Kernel]:
    """The kernel of whole inputs, and the one whose only row of inputs arrives in parts."""

    def pack(call: Call, binding: Binding) -> CStruct:
        outputs, inputs = call.inputs[WEIGHTS].shape
        return CStruct(
            "ek_dot_fully_connected_s8",
            finish_members(call, _matrix(call))
            | {
                "rows": call.inputs[INPUT].elements // inputs,
                "input_channels": inputs,
                "output_channels": outputs,
            },
        )

    whole = Kernel(
        symbol="ek_dot_fully_connected_s8__c",
        isa="c",
        kind="map",
        pack=pack,
        accepts=_refuse,
        features=_features,
        stack_bytes=512,
    )
    parts = accumulating_twin(
        whole,
        state_bytes=4,
        accepts=refuse_rows,
        members=parts_members,
        stack_bytes=256,
    )
    return whole, parts


def _tap_matrix(call: Call) -> Array:
    """Depthwise weights as (channels, taps), int64."""
    weights = call.constant(WEIGHTS)
    return weights.reshape(-1, weights.shape[3]).T.astype(np.int64)


def _refuse_multiplier(call: Call) -> str | None:
    if call.inputs[INPUT].shape[3] != call.inputs[WEIGHTS].shape[3]:
        return "only one output channel per input channel"
    return finish_refusal(call, _tap_matrix(call))


def _pack_depthwise(call: Call, binding: Binding) -> CStruct:
    width = call.node.attributes.window.width
    _, kernel_height, kernel_width, channels = call.inputs[WEIGHTS].shape
    members = finish_members(call, _tap_matrix(call))
    return CStruct(
        "ek_tap_depthwise_s8",
        members
        | {
            "weights": np.ascontiguousarray(np.asarray(members["weights"]).T),
            "channels": channels,
            "input_width": call.inputs[INPUT].shape[2],
            "input_zero_point": call.node.arithmetic.input_zero_point,
            "kernel_height": kernel_height,
            "kernel_width": kernel_width,
            "stride_width": width.stride,
            "dilation_width": width.dilation,
            "pad_left": width.pad_before,
        },
    )


def _depthwise_features(call: Call) -> Features:
    """The taps are listed once for each pixel, and taken by 4 channels at a time, or by fewer."""
    window: Window = call.node.attributes.window
    _, input_height, input_width, _ = call.inputs[INPUT].shape
    _, height, width, channels = call.output.shape
    listed = height * width * _tap_matrix(call).shape[1]
    inside = window.height.taps_inside(input_height) * window.width.taps_inside(input_width)
    quads, ones = (-(-channels // 4), 0) if channels >= 4 else (0, channels)
    return {
        "rows": height,
        "pixels": height * width,
        "listed": listed,
        "quads": height * width * quads,
        "quad_taps": inside * quads,
        "padding_taps": (listed - inside) * quads,
        "ones": height * width * ones,
        "one_taps": listed * ones,
        **_finished(call, _tap_matrix(call)),
    }


def depthwise_kernel(channel_blocks: Callable[[Call], int]) -> Kernel:
    """Depthwise convolutions of any window."""
    return Kernel(
        symbol="ek_tap_depthwise_s8__c",
        isa="c",
        kind="rows",
        pack=_pack_depthwise,
        accepts=_refuse_multiplier,
        features=_depthwise_features,
        shared=frozenset({"rows", "pixels", "listed"}),
        scratch_bytes=lambda call, binding: _BYTES_OF_A_TAP * _tap_matrix(call).shape[1],
        write_behind=BY_ROW,
        channel_blocks=channel_blocks,
        stack_bytes=256,
    )
