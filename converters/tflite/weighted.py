# SPDX-License-Identifier: Apache-2.0
"""What the TFLite operators with weights become: convolutions and the matrix product."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from edgekit.converters.tflite import multipliers
from edgekit.converters.tflite.operation import Mapped, Operand, Operation
from edgekit.converters.tflite.records import TensorRecord
from edgekit.ops._weighted import WeightedArithmetic
from edgekit.ops.conv2d import Conv2d
from edgekit.ops.depthwise_conv2d import DepthwiseConv2d
from edgekit.ops.fully_connected import FullyConnected

Factor = Callable[[float, float, float], float]

NARROW_WITHOUT_BIAS = ("FULLY_CONNECTED", "TRANSPOSE_CONV")
"""Operators that TFLite computes in 32 bits behind int16 where there is no bias."""


def conv2d(operation: Operation) -> Mapped:
    """CONV_2D; fewer weight channels than input channels make it grouped."""
    operation.require(inputs=(2, 3))
    weights = operation.weights(1, rank=4)
    window = operation.window(weights.shape[1], weights.shape[2], dilated=True)
    channels = operation.map_shape()[2]
    if channels % weights.shape[3] or weights.shape[0] % (channels // weights.shape[3]):
        raise operation.fail(f"{channels} input channels do not fit weights {weights.shape}")
    scales = operation.weight_scales(weights, axis=0)
    return weighted_node(
        operation, "conv2d", Conv2d(window), weights, scales, factor=multipliers.convolution_factor
    )


def depthwise_conv2d(operation: Operation) -> Mapped:
    """DEPTHWISE_CONV_2D with weights (1, KH, KW, channels * multiplier)."""
    operation.require(inputs=(2, 3))
    weights = operation.weights(1, rank=4)
    window = operation.window(weights.shape[1], weights.shape[2], dilated=True)
    channels = operation.map_shape()[2]
    if weights.shape[0] != 1 or weights.shape[3] % channels:
        raise operation.fail(f"{channels} input channels do not fit weights {weights.shape}")
    per_channel = weights.shape[3] // channels
    if operation.option("DepthMultiplier") not in (0, per_channel):
        declared = operation.option("DepthMultiplier")
        raise operation.fail(f"depth multiplier {declared} but the weights have {per_channel}")
    scales = operation.weight_scales(weights, axis=3)
    return weighted_node(
        operation,
        "depthwise_conv2d",
        DepthwiseConv2d(window),
        weights,
        scales,
        factor=multipliers.convolution_factor,
    )


def fully_connected(operation: Operation) -> Mapped:
    """FULLY_CONNECTED; one weight scale and a scale per channel have different factors."""
    operation.require(inputs=(2, 3))
    if operation.option("WeightsFormat") != 0:
        raise operation.unsupported("shuffled weights are not supported; use the default format")
    weights = operation.weights(1, rank=2)
    if math.prod(operation.input(0).shape) % weights.shape[1]:
        shape = operation.input(0).shape
        raise operation.fail(f"an input of shape {shape} does not fit weights {weights.shape}")
    scales = operation.weight_scales(weights, axis=0)
    per_tensor = len(weights.scales) == 1
    return weighted_node(
        operation,
        "fully_connected",
        FullyConnected(keep_dims=bool(operation.option("KeepNumDims"))),
        weights,
        scales,
        factor=(
            multipliers.fully_connected_factor if per_tensor else multipliers.convolution_factor
        ),
    )


def weighted_node(
    operation: Operation,
    op: str,
    attributes: object,
    weights: TensorRecord,
    scales: Sequence[float],
    *,
    factor: Factor,
    positions: tuple[int, int] = (0, 2),
) -> Mapped:
    """A convolution or matrix product: bias, multiplier per channel, clamp.

    ``positions`` are those of the activation and of the bias among the inputs.
    """
    x = operation.activation(positions[0])
    operation.require_one_type()
    result = operation.output_quantization()
    source = operation.quantization(x.tensor)
    operands = [x, Operand(weights, None)]
    if len(operation.inputs) > positions[1] and operation.inputs[positions[1]] is not None:
        operands.append(Operand(_bias(operation, positions[1], len(scales)), None))
    elif operation.is_int16 and operation.record.name in NARROW_WITHOUT_BIAS:
        operands.append(Operand(_no_bias(operation, len(scales)), None))
    distinct = {
        scale: operation.multiplier(factor(source.scale, scale, result.scale))
        for scale in dict.fromkeys(scales)
    }
    pairs = [distinct[scale] for scale in scales]
    minimum, maximum = operation.clamp(result)
    arithmetic = WeightedArithmetic(
        input_zero_point=source.zero_point,
        output_zero_point=result.zero_point,
        multipliers=tuple(multiplier for multiplier, _ in pairs),
        shifts=tuple(shift for _, shift in pairs),
        minimum=minimum,
        maximum=maximum,
    )
    return Mapped(op, attributes, arithmetic, tuple(operands))


def _no_bias(operation: Operation, channels: int) -> TensorRecord:
    """Zeros of int32 under a name and an index that no tensor of the file has."""
    name, index = f"{operation.output.name}/bias", -2 - operation.output.index
    return TensorRecord(index, name, "INT32", (channels,), data=np.zeros(channels, np.int32))


def _bias_types(operation: Operation) -> tuple[str, ...]:
    """What TFLite takes as a bias beside the output's type."""
    if operation.output.type == "FLOAT32":
        return ("FLOAT32",)
    if not operation.is_int16:
        return ("INT32",)
    return ("INT64",) if operation.record.name == "DEPTHWISE_CONV_2D" else ("INT32", "INT64")


def _bias(operation: Operation, position: int, channels: int) -> TensorRecord:
    tensor = operation.input(position)
    if tensor.data is None:
        raise operation.unsupported(f"the bias {tensor} is not constant")
    allowed = _bias_types(operation)
    if tensor.type not in allowed:
        types = " or ".join(allowed)
        raise operation.unsupported(
            f"the bias {tensor} is {tensor.type}; only {types} is supported"
        )
    if tensor.shape != (channels,):
        raise operation.fail(f"the bias has shape {tensor.shape}; it must be ({channels},)")
    if any(tensor.zero_points):
        raise operation.fail(f"the bias {tensor} has a zero point; it must be 0")
    return tensor
