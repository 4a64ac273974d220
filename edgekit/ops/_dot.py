# SPDX-License-Identifier: Apache-2.0
"""Portable kernels of convolutions and fully connected layers: 32-bit sums with fast finishes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from edgekit.ir import Array, Call
from edgekit.kernel import BY_ROW, Binding, CStruct, CValue, Kernel, WriteBehind
from edgekit.ops._accumulating import accumulating_twin
from edgekit.ops._dsp_requantize import Finish, folded_sums, layer_finish, sums_problem
from edgekit.ops._weighted import INPUT, WEIGHTS, WeightedArithmetic

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


def _instructions(call: Call) -> float:
    """Counted under QEMU for Cortex-M3, gcc 12 -O2: products, outputs, and taps that are gathered."""
    macs = call.output.elements * _matrix(call).shape[1]
    return 2.4 * macs + 45.0 * call.output.elements


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


def _patch_instructions(call: Call) -> float:
    _, height, width, _ = call.output.shape
    groups = call.inputs[INPUT].shape[3] // call.inputs[WEIGHTS].shape[3]
    kernel_rows = call.inputs[WEIGHTS].shape[1]
    gathered = groups * (0.5 * _matrix(call).shape[1] + 60.0 * kernel_rows)
    return _instructions(call) + height * width * gathered


def pointwise_kernel() -> Kernel:
    """1x1 convolutions of any stride."""
    return Kernel(
        symbol="ek_dot_pointwise_s8__c",
        isa="c",
        kind="rows",
        pack=_pack_pointwise,
        accepts=_refuse_window,
        instructions=_instructions,
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
        instructions=_patch_instructions,
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
        instructions=lambda call: 0.15 * call.inputs[WEIGHTS].elements + _instructions(call),
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


def _depthwise_instructions(call: Call) -> float:
    """Counted as ``_instructions``; the taps are listed once for each pixel."""
    taps = _tap_matrix(call).shape[1]
    pixels = call.output.shape[1] * call.output.shape[2]
    return call.output.elements * (4.8 * taps + 43.0) + 14.0 * taps * pixels


def depthwise_kernel(channel_blocks: Callable[[Call], int]) -> Kernel:
    """Depthwise convolutions of any window."""
    return Kernel(
        symbol="ek_tap_depthwise_s8__c",
        isa="c",
        kind="rows",
        pack=_pack_depthwise,
        accepts=_refuse_multiplier,
        instructions=_depthwise_instructions,
        scratch_bytes=lambda call, binding: _BYTES_OF_A_TAP * _tap_matrix(call).shape[1],
        write_behind=BY_ROW,
        channel_blocks=channel_blocks,
        stack_bytes=256,
    )
