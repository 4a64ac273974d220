# SPDX-License-Identifier: Apache-2.0
"""What the TFLite operators with weights become: convolutions and the matrix product."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from edgekit.converters.tflite import multipliers
from edgekit.converters.tflite.operation import Mapped, Operand, Operation
from edgekit.converters.tflite.reader import TensorRecord
from edgekit.ops._weighted import WeightedArithmetic
from edgekit.ops.conv2d import Conv2d
from edgekit.ops.depthwise_conv2d import DepthwiseConv2d
from edgekit.ops.fully_connected import FullyConnected

Factor = Callable[[float, float, float], float]


def conv2d(operation: Operation) -> Mapped:
    """CONV_2D; fewer weight channels than input channels make it grouped."""
    operation.require(inputs=(2, 3))
    weights = operation.weights(1, rank=4)
    window = operation.window(weights.shape[1], weights.shape[2], dilated=True)
    channels = operation.map_shape()[2]
    if channels % weights.shape[3] or weights.shape[0] % (channels // weights.shape[3]):
        raise operation.fail(f"{channels} input channels do not fit weights {weights.shape}")
    scales = operation.weight_scales(weights, axis=0)
    return _weighted(
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
    return _weighted(
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
    return _weighted(
        operation,
        "fully_connected",
        FullyConnected(keep_dims=bool(operation.option("KeepNumDims"))),
        weights,
        scales,
        factor=(
            multipliers.fully_connected_factor if per_tensor else multipliers.convolution_factor
        ),
    )


def _weighted(
    operation: Operation,
    op: str,
    attributes: object,
    weights: TensorRecord,
    scales: Sequence[float],
    *,
    factor: Factor,
) -> Mapped:
    """A convolution or matrix product: bias, multiplier per channel, clamp."""
    x = operation.activation(0)
    result = operation.output_quantization()
    source = operation.quantization(x.tensor)
    operands = [x, Operand(weights, None)]
    if len(operation.inputs) > 2 and operation.inputs[2] is not None:
        operands.append(Operand(_bias(operation, len(scales)), None))
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


def _bias(operation: Operation, channels: int) -> TensorRecord:
    tensor = operation.input(2)
    if tensor.data is None:
        raise operation.unsupported(f"the bias {tensor} is not constant")
    if tensor.type != "INT32":
        raise operation.unsupported(f"the bias {tensor} is {tensor.type}; only INT32 is supported")
    if tensor.shape != (channels,):
        raise operation.fail(f"the bias has shape {tensor.shape}; it must be ({channels},)")
    if any(tensor.zero_points):
        raise operation.fail(f"the bias {tensor} has a zero point; it must be 0")
    return tensor
