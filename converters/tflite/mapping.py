# SPDX-License-Identifier: Apache-2.0
"""What each TFLite operator becomes: one small function per operator, in one table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from edgekit.converters.tflite import multipliers
from edgekit.converters.tflite.elementwise import ELEMENTWISE_MAPPINGS
from edgekit.converters.tflite.float_islands import FLOAT_ISLAND_MAPPINGS
from edgekit.converters.tflite.movement import MOVEMENT_MAPPINGS
from edgekit.converters.tflite.operation import (
    RESCALED_TYPES,
    Mapped,
    Operation,
    integer_range,
)
from edgekit.converters.tflite.reductions import REDUCTION_MAPPINGS
from edgekit.converters.tflite.spatial import SPATIAL_MAPPINGS
from edgekit.converters.tflite.sums import sum_arithmetic
from edgekit.converters.tflite.weighted import conv2d, depthwise_conv2d, fully_connected
from edgekit.ir import MAX_ELEMENTS
from edgekit.ops._pooling import PoolArithmetic
from edgekit.ops._softmax_int16 import difference_factor
from edgekit.ops.add import Add
from edgekit.ops.average_pool2d import AveragePool2d
from edgekit.ops.l2_normalization import OUTPUT_QUANTIZATION as L2_QUANTIZATION
from edgekit.ops.l2_normalization import L2Normalization, L2NormalizationArithmetic
from edgekit.ops.log_softmax import OUTPUT_QUANTIZATION as LOG_SOFTMAX_QUANTIZATION
from edgekit.ops.log_softmax import LogSoftmax, log_softmax_arithmetic
from edgekit.ops.max_pool2d import MaxPool2d
from edgekit.ops.mul import Mul, MulArithmetic
from edgekit.ops.pad import Pad, PadArithmetic
from edgekit.ops.requantize import INT32_PAIRS, Requantize, RequantizeArithmetic
from edgekit.ops.reshape import Reshape, ReshapeArithmetic
from edgekit.ops.softmax import Softmax, SoftmaxArithmetic
from edgekit.ops.transpose import Transpose, TransposeArithmetic
from edgekit.window import Window

SOFTMAX_SCALE, SOFTMAX_ZERO_POINT = 1.0 / 256.0, -128


def _add(operation: Operation) -> Mapped:
    arithmetic = sum_arithmetic(operation)
    return Mapped("add", Add(), arithmetic, (operation.operand(0), operation.operand(1)))


def _mul(operation: Operation) -> Mapped:
    operation.require(inputs=(2,))
    operation.require_one_type()
    a, b = (operation.quantization(operation.input(position)) for position in (0, 1))
    result = operation.output_quantization()
    factor = multipliers.mul_factor(a.scale, b.scale, result.scale)
    multiplier, shift = operation.multiplier(factor)
    minimum, maximum = operation.clamp(result)
    arithmetic = MulArithmetic(
        zero_points=(a.zero_point, b.zero_point),
        multiplier=multiplier,
        shift=shift,
        output_zero_point=result.zero_point,
        minimum=minimum,
        maximum=maximum,
    )
    return Mapped("mul", Mul(), arithmetic, (operation.operand(0), operation.operand(1)))


def _average_pool2d(operation: Operation) -> Mapped:
    window = _pool_window(operation)
    return _pool(operation, "average_pool2d", AveragePool2d(window))


def _max_pool2d(operation: Operation) -> Mapped:
    return _pool(operation, "max_pool2d", MaxPool2d(_pool_window(operation)))


def _pool_window(operation: Operation) -> Window:
    operation.require(inputs=(1,))
    kernel = operation.option("FilterHeight"), operation.option("FilterWidth")
    for size, taps in zip(operation.map_shape(), kernel, strict=False):
        if taps > 2 * size:
            raise operation.fail(f"a window of {taps} over {size} inputs; use at most {2 * size}")
    return operation.window(*kernel, dilated=False)


def _pool(operation: Operation, op: str, attributes: object) -> Mapped:
    quantization = operation.shared_quantization()
    minimum, maximum = operation.clamp(quantization)
    arithmetic = PoolArithmetic(quantization.zero_point, minimum, maximum)
    return Mapped(op, attributes, arithmetic, (operation.activation(0),))


def _pad(operation: Operation) -> Mapped:
    operation.require(inputs=(2,))
    return _padded(operation, operation.shared_quantization().zero_point)


def _pad_with_value(operation: Operation) -> Mapped:
    operation.require(inputs=(3,))
    quantization = operation.shared_quantization()
    value = operation.input(2)
    if value.data is None or value.data.size != 1:
        raise operation.unsupported("the padding value must be one constant")
    if operation.quantization(value) != quantization:
        raise operation.unsupported("the padding value must share the input's scale and zero point")
    return _padded(operation, int(value.data.reshape(())))


def _padded(operation: Operation, value: int) -> Mapped:
    shape = operation.input(0).shape
    paddings = operation.integers(1)
    if paddings.shape != (len(shape), 2):
        raise operation.fail(
            f"paddings of shape {paddings.shape} for an input of rank {len(shape)}"
        )
    if paddings.min() < 0 or paddings.max() > MAX_ELEMENTS:
        raise operation.fail("a padding is negative or overflows 32 bits")
    if len(shape) > 4 or paddings[0].any():
        raise operation.unsupported(f"padding of the batch or of rank {len(shape)}; pad H, W and C")
    before = tuple(int(count) for count in paddings[:, 0])
    after = tuple(int(count) for count in paddings[:, 1])
    return Mapped("pad", Pad(before, after), PadArithmetic(value), (operation.activation(0),))


def _reshape(operation: Operation) -> Mapped:
    """RESHAPE, SQUEEZE, EXPAND_DIMS: the file declares the shape of the result."""
    operation.require(inputs=(1, 2))
    operation.shared_quantization()
    source, target = operation.input(0).shape, operation.output.shape
    if math.prod(source) != math.prod(target):
        raise operation.fail(f"shape {source} cannot become {target}; the sizes differ")
    return Mapped("reshape", Reshape(target), ReshapeArithmetic(), (operation.activation(0),))


def _transpose(operation: Operation) -> Mapped:
    operation.require(inputs=(2,))
    operation.shared_quantization()
    values = operation.integers(1).reshape(-1)
    rank = len(operation.input(0).shape)
    if values.size != rank or sorted(values.tolist()) != list(range(rank)):
        raise operation.fail(f"its permutation does not fit an input of rank {rank}")
    permutation = tuple(int(axis) for axis in values)
    if permutation[0] != 0:
        raise operation.unsupported(f"permutation {permutation} moves the batch; keep it first")
    attributes = Transpose(permutation)
    return Mapped("transpose", attributes, TransposeArithmetic(), (operation.activation(0),))


def _softmax(operation: Operation) -> Mapped:
    operation.require(inputs=(1,))
    operation.require_one_type()
    x, result = operation.activation(0), operation.output_quantization()
    is_int8 = not operation.is_int16
    if is_int8 and (result.scale, result.zero_point) != (SOFTMAX_SCALE, SOFTMAX_ZERO_POINT):
        raise operation.unsupported(
            f"output scale {result.scale:.9g} and zero point {result.zero_point};"
            f" use 1/256 and {SOFTMAX_ZERO_POINT}"
        )
    beta = float(operation.option("Beta"))
    if not (math.isfinite(beta) and beta > 0):
        raise operation.fail(f"beta {beta} is not finite and > 0")
    scale = operation.quantization(x.tensor).scale
    if operation.is_int16:
        arithmetic = SoftmaxArithmetic(*difference_factor(beta, scale), 0)
        return Mapped("softmax", Softmax(beta), arithmetic, (x,))
    if beta * scale * 2.0**26 <= 1.0:
        raise operation.fail(
            f"beta {beta} times scale {scale:.9g} is too small for TFLite's softmax"
        )
    multiplier, shift, diff_min = multipliers.softmax_parameters(beta, scale)
    return Mapped("softmax", Softmax(beta), SoftmaxArithmetic(multiplier, shift, diff_min), (x,))


def _log_softmax(operation: Operation) -> Mapped:
    operation.require(inputs=(1,))
    operation.require_int8()
    x, result = operation.activation(0), operation.output_quantization()
    if result != LOG_SOFTMAX_QUANTIZATION:
        raise operation.unsupported(
            f"output scale {result.scale:.9g} and zero point {result.zero_point}; use 1/16 and 127"
        )
    scale = operation.quantization(x.tensor).scale
    if scale * 2.0**26 < 2.0:
        raise operation.fail(f"input scale {scale:.9g} is too small for TFLite's log softmax")
    return Mapped("log_softmax", LogSoftmax(), log_softmax_arithmetic(scale), (x,))


def _l2_normalization(operation: Operation) -> Mapped:
    operation.require(inputs=(1,))
    operation.require_int8()
    x, result = operation.activation(0), operation.output_quantization()
    if result != L2_QUANTIZATION:
        raise operation.unsupported(
            f"output scale {result.scale:.9g} and zero point {result.zero_point}; use 1/128 and 0"
        )
    if operation.option("FusedActivationFunction") != 0:
        raise operation.unsupported("a fused activation; apply it behind the normalization")
    arithmetic = L2NormalizationArithmetic(operation.quantization(x.tensor).zero_point)
    return Mapped("l2_normalization", L2Normalization(), arithmetic, (x,))


def _relu(minimum: float, maximum: float | None) -> Callable[[Operation], Mapped]:
    """RELU, RELU6 and RELU_N1_TO_1: a rescale whose factor is float32."""

    def mapping(operation: Operation) -> Mapped:
        operation.require_one_type()
        return _requantize(operation, Requantize(minimum, maximum), multipliers.relu_factor)

    return mapping


def _quantize(operation: Operation) -> Mapped:
    """QUANTIZE between integers; those to float and uint8 ports never come here.

    TFLite knows int32 beside int16 only, and to int8.
    """
    operation.require(inputs=(1,))
    types = operation.input(0).type, operation.output.type
    if "INT32" in types and tuple(RESCALED_TYPES.get(t) for t in types) not in INT32_PAIRS:
        raise operation.unsupported(f"it goes from {types[0]} to {types[1]}; go through INT16")
    attributes = Requantize(None, None)
    return _requantize(operation, attributes, multipliers.rescale_factor, with_int32=True)


def _requantize(
    operation: Operation,
    attributes: Requantize,
    factor_of: Callable[[float, float], float],
    *,
    with_int32: bool = False,
) -> Mapped:
    operation.require(inputs=(1,))
    x = operation.activation(0, with_int32=with_int32)
    result = operation.quantization(operation.output, with_int32=with_int32)
    assert x.quantization is not None
    factor = factor_of(x.quantization.scale, result.scale)
    if operation.output.type == "INT32" and factor >= 2.0**30:
        raise operation.fail(f"its input scale is {factor:.3g} times its output's; at most 2^30")
    multiplier, shift = operation.multiplier(factor)
    bounds = (attributes.minimum, attributes.maximum)
    dtype = RESCALED_TYPES.get(operation.output.type, "int8")
    minimum, maximum = integer_range(*bounds, result, dtype=dtype)
    arithmetic = RequantizeArithmetic(
        input_zero_point=x.quantization.zero_point,
        output_zero_point=result.zero_point,
        multiplier=multiplier,
        shift=shift,
        minimum=minimum,
        maximum=maximum,
    )
    return Mapped("requantize", attributes, arithmetic, (x,))


def _dequantize(operation: Operation) -> Mapped:
    raise operation.unsupported(
        "it leaves int8 inside the model; DEQUANTIZE is supported at the outputs only"
    )


MAPPINGS: Mapping[str, Callable[[Operation], Mapped | tuple[Mapped, ...]]] = {
    **ELEMENTWISE_MAPPINGS,
    **FLOAT_ISLAND_MAPPINGS,
    **MOVEMENT_MAPPINGS,
    **REDUCTION_MAPPINGS,
    **SPATIAL_MAPPINGS,
    "ADD": _add,
    "AVERAGE_POOL_2D": _average_pool2d,
    "CONV_2D": conv2d,
    "DEPTHWISE_CONV_2D": depthwise_conv2d,
    "DEQUANTIZE": _dequantize,
    "EXPAND_DIMS": _reshape,
    "FULLY_CONNECTED": fully_connected,
    "L2_NORMALIZATION": _l2_normalization,
    "LOG_SOFTMAX": _log_softmax,
    "MAX_POOL_2D": _max_pool2d,
    "MUL": _mul,
    "PAD": _pad,
    "PADV2": _pad_with_value,
    "QUANTIZE": _quantize,
    "RELU": _relu(0.0, None),
    "RELU6": _relu(0.0, 6.0),
    "RELU_0_TO_1": _relu(0.0, 1.0),
    "RELU_N1_TO_1": _relu(-1.0, 1.0),
    "RESHAPE": _reshape,
    "SOFTMAX": _softmax,
    "SQUEEZE": _reshape,
    "TRANSPOSE": _transpose,
}
