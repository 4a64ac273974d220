# SPDX-License-Identifier: Apache-2.0
"""Layers with weights as TFLite operators: the scales of their weights come from the multipliers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from edgekit.converters.export.scales import quantization_of, weight_scales_of
from edgekit.converters.export.tflite_builder import (
    SAME,
    VALID,
    TfliteBuilder,
    dilations_of,
    fused_activation,
    no_form,
    padded_input,
    strides_of,
)
from edgekit.converters.tflite import multipliers
from edgekit.ir import Call
from edgekit.ops._weight_channels import OUTPUT_AXIS
from edgekit.ops._weighted import BIAS, INPUT, WEIGHTS, WeightedArithmetic
from edgekit.ops.transposed_conv2d import transposed_axis
from edgekit.window import Axis, same_padding

Factor = Callable[[float, float, float], float]


def _conv2d(builder: TfliteBuilder, call: Call) -> None:
    window = call.node.attributes.window
    source, padding = padded_input(builder, call, window)
    options = {"Padding": padding, **strides_of(window), **dilations_of(window)}
    _weighted(builder, call, "CONV_2D", source, options)


def _depthwise_conv2d(builder: TfliteBuilder, call: Call) -> None:
    window = call.node.attributes.window
    source, padding = padded_input(builder, call, window)
    multiplier = call.inputs[WEIGHTS].shape[3] // call.inputs[INPUT].shape[3]
    options = {"Padding": padding, **strides_of(window), **dilations_of(window)}
    options["DepthMultiplier"] = multiplier
    _weighted(builder, call, "DEPTHWISE_CONV_2D", source, options)


def _fully_connected(builder: TfliteBuilder, call: Call) -> None:
    options = {"KeepNumDims": bool(call.node.attributes.keep_dims)}
    source = builder.activation(call.inputs[INPUT])
    factor = (
        multipliers.fully_connected_factor
        if call.inputs[WEIGHTS].shape[0] == 1
        else multipliers.convolution_factor
    )
    _weighted(builder, call, "FULLY_CONNECTED", source, options, factor=factor)


def _transposed_conv2d(builder: TfliteBuilder, call: Call) -> None:
    window = call.node.attributes.window
    if call.inputs[WEIGHTS].shape[3] != call.inputs[INPUT].shape[3]:
        raise no_form(call, "TRANSPOSE_CONV has no groups")
    sizes = zip(call.inputs[INPUT].shape[1:3], call.output.shape[1:3], strict=True)
    pairs = list(zip((window.height, window.width), sizes, strict=True))
    for padding in (VALID, SAME):
        if all(_spread_axis(axis, *sizes, padding) == axis for axis, sizes in pairs):
            break
    else:
        raise no_form(call, "what it crops is neither SAME nor VALID")
    options = {
        "Padding": padding,
        "StrideH": window.height.upsampling,
        "StrideW": window.width.upsampling,
    }
    shape = builder.integers(call, "shape", call.output.shape)
    source = builder.activation(call.inputs[INPUT])
    weights, bias = _constants(builder, call, multipliers.convolution_factor)
    code = _clamp(call)
    inputs = [shape, weights, source, *bias]
    builder.result("TRANSPOSE_CONV", inputs, call, FusedActivationFunction=code, **options)


def _spread_axis(axis: Axis, size: int, result: int, padding: int) -> Axis:
    stride = axis.upsampling
    crop = same_padding(result, axis.kernel, stride, 1).pad_before if padding == SAME else 0
    return transposed_axis(axis.kernel, stride, 1, crop=crop, input_size=size, output_size=result)


def _weighted(
    builder: TfliteBuilder,
    call: Call,
    name: str,
    source: str,
    options: Mapping[str, int],
    *,
    factor: Factor = multipliers.convolution_factor,
) -> None:
    code = _clamp(call)
    weights, bias = _constants(builder, call, factor)
    inputs = [source, weights, *bias]
    builder.result(name, inputs, call, FusedActivationFunction=code, **options)


def _clamp(call: Call) -> int:
    arithmetic: WeightedArithmetic = call.node.arithmetic
    return fused_activation(call, arithmetic.minimum, arithmetic.maximum)


def _constants(builder: TfliteBuilder, call: Call, factor: Factor) -> tuple[str, list[str]]:
    """The names of the weights and of the bias, if there is one."""
    scales = weight_scales_of(call, factor)
    if isinstance(scales, tuple):
        raise no_form(call, f"no float32 scale has the multiplier {scales[0]} * 2^{scales[1] - 31}")
    axis = OUTPUT_AXIS[call.node.op]
    weights = builder.constant(
        f"{call.node.name}/weights", call.constant(WEIGHTS), scale=scales.tolist(), axis=axis
    )
    if len(call.inputs) <= BIAS:
        return weights, []
    source = quantization_of(call.inputs[INPUT])
    products = (np.float32(source.scale) * scales).tolist()
    bias = builder.constant(f"{call.node.name}/bias", call.constant(BIAS), scale=products)
    return weights, [bias]


WEIGHTED_FORMS: Mapping[str, Callable[[TfliteBuilder, Call], None]] = {
    "conv2d": _conv2d,
    "depthwise_conv2d": _depthwise_conv2d,
    "fully_connected": _fully_connected,
    "transposed_conv2d": _transposed_conv2d,
}
