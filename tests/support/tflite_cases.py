# SPDX-License-Identifier: Apache-2.0
"""One-operator TFLite models by name: every supported operator over its forms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from edgekit.ir import Shape
from support.tflite_cases_elementwise import elementwise_cases
from support.tflite_cases_movement import movement_cases
from support.tflite_cases_reductions import reduction_cases
from support.tflite_cases_rows import row_cases
from support.tflite_cases_spatial import spatial_cases
from support.tflite_writer import ModelSpec, OperatorSpec, TensorSpec, constant_spec

SAME, VALID = 0, 1
ACTIVATIONS = {"none": 0, "relu": 1, "relu_n1_to_1": 2, "relu6": 3}
Options = Mapping[str, Any]


def operator_model(
    name: str, operands: Sequence[TensorSpec], output: TensorSpec, options: Options | None = None
) -> ModelSpec:
    """A model of one operator; operands without data are the inputs."""
    inputs = [operand.name for operand in operands if operand.data is None]
    operator = OperatorSpec(
        name, [operand.name for operand in operands], [output.name], options or {}
    )
    return ModelSpec([*operands, output], [operator], inputs, [output.name])


def int8_tensor(name: str, shape: Shape, scale: float, zero_point: int) -> TensorSpec:
    """An int8 activation."""
    return TensorSpec(name, shape, scale, zero_point)


def convolution(
    name: str,
    *,
    input_shape: tuple[int, int, int],
    kernel: tuple[int, int],
    outputs: int,
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    padding: int = SAME,
    activation: int = 0,
    per_channel: bool = True,
    groups: int = 1,
    with_bias: bool = True,
    zero_points: tuple[int, int] = (-3, 5),
    output_scale: float = 0.11,
    depth_multiplier: int | None = None,
) -> ModelSpec:
    """CONV_2D or DEPTHWISE_CONV_2D with seeded weights; both zero points are not 0 unless given."""
    random = np.random.default_rng([*input_shape, *kernel, outputs])
    height, width, channels = input_shape
    depthwise = name == "DEPTHWISE_CONV_2D"
    shape = (1, *kernel, outputs) if depthwise else (outputs, *kernel, channels // groups)
    axis = 3 if depthwise else 0
    weights = random.integers(-127, 128, shape).astype(np.int8)
    scale = random.uniform(0.001, 0.01, outputs) if per_channel else 0.005
    operands = [
        int8_tensor("x", (1, *input_shape), 0.04, zero_points[0]),
        constant_spec("weights", weights, scale=scale, axis=axis),
    ]
    if with_bias:
        bias = random.integers(-4000, 4000, outputs).astype(np.int32)
        operands.append(constant_spec("bias", bias, scale=0.04 * np.asarray(scale)))
    sizes = [
        _output_size(size, k, s, d, padding)
        for size, k, s, d in zip((height, width), kernel, stride, dilation, strict=True)
    ]
    options = {
        "Padding": padding,
        "StrideH": stride[0],
        "StrideW": stride[1],
        "DilationHFactor": dilation[0],
        "DilationWFactor": dilation[1],
        "FusedActivationFunction": activation,
    }
    if depthwise:
        options["DepthMultiplier"] = depth_multiplier or outputs // channels
    y = int8_tensor("y", (1, *sizes, outputs), output_scale, zero_points[1])
    return operator_model(name, operands, y, options)


def _output_size(size: int, kernel: int, stride: int, dilation: int, padding: int) -> int:
    extent = (kernel - 1) * dilation + 1
    return -(-size // stride) if padding == SAME else (size - extent) // stride + 1


def fully_connected(
    *,
    input_shape: Shape,
    weights_shape: tuple[int, int],
    output_shape: Shape,
    activation: int = 0,
    per_channel: bool = False,
    with_bias: bool = True,
    keep_dims: bool = False,
) -> ModelSpec:
    """FULLY_CONNECTED with seeded weights."""
    random = np.random.default_rng(weights_shape)
    weights = random.integers(-127, 128, weights_shape).astype(np.int8)
    scale = random.uniform(0.001, 0.01, weights_shape[0]) if per_channel else 0.005
    operands = [
        int8_tensor("x", input_shape, 0.04, 9),
        constant_spec("weights", weights, scale=scale),
    ]
    if with_bias:
        bias = random.integers(-4000, 4000, weights_shape[0]).astype(np.int32)
        operands.append(constant_spec("bias", bias, scale=0.04 * np.asarray(scale)))
    options = {"FusedActivationFunction": activation, "KeepNumDims": keep_dims}
    return operator_model(
        "FULLY_CONNECTED", operands, int8_tensor("y", output_shape, 0.07, -6), options
    )


def pooling(
    name: str,
    *,
    input_shape: tuple[int, int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: int = VALID,
    activation: int = 0,
    zero_point: int = -20,
) -> ModelSpec:
    """AVERAGE_POOL_2D or MAX_POOL_2D."""
    sizes = [
        _output_size(size, k, s, 1, padding)
        for size, k, s in zip(input_shape[:2], kernel, stride, strict=True)
    ]
    options = {
        "Padding": padding,
        "FilterHeight": kernel[0],
        "FilterWidth": kernel[1],
        "StrideH": stride[0],
        "StrideW": stride[1],
        "FusedActivationFunction": activation,
    }
    x = int8_tensor("x", (1, *input_shape), 0.05, zero_point)
    y = int8_tensor("y", (1, *sizes, input_shape[2]), 0.05, zero_point)
    return operator_model(name, [x], y, options)


def binary(
    name: str,
    shape_a: Shape,
    shape_b: Shape,
    *,
    activation: int = 0,
    scales: tuple[float, float, float] = (0.05, 0.021, 0.06),
    zero_points: tuple[int, int, int] = (3, -8, 11),
    constant_b: bool = False,
) -> ModelSpec:
    """ADD or MUL of two inputs, or of an input and a constant."""
    a = int8_tensor("a", shape_a, scales[0], zero_points[0])
    b = int8_tensor("b", shape_b, scales[1], zero_points[1])
    if constant_b:
        values = np.random.default_rng(3).integers(-128, 128, shape_b).astype(np.int8)
        b = constant_spec("b", values, scale=scales[1], zero_point=zero_points[1])
    shape = tuple(np.broadcast_shapes(shape_a, shape_b))
    y = int8_tensor("y", shape, scales[2], zero_points[2])
    return operator_model(name, [a, b], y, {"FusedActivationFunction": activation})


def mean(
    input_shape: Shape,
    axes: Sequence[int],
    *,
    keep_dims: bool = False,
    scales: tuple[float, float] = (0.05, 0.05),
    zero_points: tuple[int, int] = (4, 4),
) -> ModelSpec:
    """MEAN over constant axes."""
    x = int8_tensor("x", input_shape, scales[0], zero_points[0])
    reduced = {axis % len(input_shape) for axis in axes}
    shape = tuple(
        1 if axis in reduced else size
        for axis, size in enumerate(input_shape)
        if keep_dims or axis not in reduced
    )
    y = int8_tensor("y", shape, scales[1], zero_points[1])
    indices = constant_spec("axes", np.array(axes, np.int32))
    return operator_model("MEAN", [x, indices], y, {"KeepDims": keep_dims})


def rescale(
    name: str, *, scales: tuple[float, float], zero_points: tuple[int, int], size: int = 256
) -> ModelSpec:
    """RELU, RELU6, RELU_N1_TO_1 or QUANTIZE over a vector."""
    x = int8_tensor("x", (1, size), scales[0], zero_points[0])
    return operator_model(name, [x], int8_tensor("y", (1, size), scales[1], zero_points[1]))


def pad(paddings: Sequence[Sequence[int]], input_shape: Shape, value: int | None) -> ModelSpec:
    """PAD, or PADV2 where there is a value."""
    x = int8_tensor("x", input_shape, 0.05, -9)
    operands = [x, constant_spec("paddings", np.array(paddings, np.int32))]
    if value is not None:
        operands.append(
            constant_spec("value", np.array([value], np.int8), scale=0.05, zero_point=-9)
        )
    sizes = zip(input_shape, paddings, strict=True)
    shape = tuple(size + before + after for size, (before, after) in sizes)
    name = "PAD" if value is None else "PADV2"
    return operator_model(name, operands, int8_tensor("y", shape, 0.05, -9))


def reshape(name: str, input_shape: Shape, output_shape: Shape) -> ModelSpec:
    """RESHAPE, SQUEEZE or EXPAND_DIMS."""
    operands = [int8_tensor("x", input_shape, 0.05, -9)]
    if name == "RESHAPE":
        operands.append(constant_spec("shape", np.array(output_shape, np.int32)))
    if name == "EXPAND_DIMS":
        operands.append(constant_spec("axis", np.array(1, np.int32)))
    return operator_model(name, operands, int8_tensor("y", output_shape, 0.05, -9))


def transpose(input_shape: Shape, permutation: Sequence[int]) -> ModelSpec:
    """TRANSPOSE."""
    x = int8_tensor("x", input_shape, 0.05, -9)
    indices = constant_spec("permutation", np.array(permutation, np.int32))
    shape = tuple(input_shape[axis] for axis in permutation)
    return operator_model("TRANSPOSE", [x, indices], int8_tensor("y", shape, 0.05, -9))


def softmax(shape: Shape, *, scale: float, zero_point: int = 6, beta: float = 1.0) -> ModelSpec:
    """SOFTMAX over the last axis."""
    x = int8_tensor("x", shape, scale, zero_point)
    y = int8_tensor("y", shape, 1.0 / 256.0, -128)
    return operator_model("SOFTMAX", [x], y, {"Beta": beta})


def cases() -> dict[str, ModelSpec]:
    """Every case by name."""
    found: dict[str, ModelSpec] = {}
    for name, model in (
        *_convolved(),
        *_fully_connected(),
        *_pooled(),
        *_elementwise(),
        *_moved(),
        *_reduced(),
        *elementwise_cases(),
        *movement_cases(),
        *reduction_cases(),
        *row_cases(),
        *spatial_cases(),
    ):
        assert name not in found
        found[name] = model
    return found


def _convolved() -> Iterator[tuple[str, ModelSpec]]:
    small: Any = {"input_shape": (7, 6, 3), "kernel": (3, 3), "outputs": 5}
    for label, code in ACTIVATIONS.items():
        yield f"conv_{label}", convolution("CONV_2D", **small, activation=code)
        depthwise = {**small, "outputs": 6}
        yield f"depthwise_{label}", convolution("DEPTHWISE_CONV_2D", **depthwise, activation=code)
    for padding, label in ((SAME, "same"), (VALID, "valid")):
        for stride in ((2, 2), (1, 3)):
            name = f"{label}_stride_{stride[0]}x{stride[1]}"
            options: Any = {"padding": padding, "stride": stride}
            yield f"conv_{name}", convolution("CONV_2D", **small, **options)
            depthwise = {**small, "outputs": 3}
            yield f"depthwise_{name}", convolution("DEPTHWISE_CONV_2D", **depthwise, **options)
    wide: Any = {**small, "dilation": (9, 8)}
    yield "conv_dilation_wider_than_map", convolution("CONV_2D", **wide)
    yield (
        "depthwise_dilation_wider_than_map",
        convolution("DEPTHWISE_CONV_2D", **{**wide, "outputs": 6}),
    )
    yield (
        "conv_sequence_on_h_kernel_as_long",
        convolution("CONV_2D", input_shape=(90, 1, 3), kernel=(90, 1), outputs=4, padding=VALID),
    )
    yield (
        "conv_sequence_on_h_same",
        convolution("CONV_2D", input_shape=(90, 1, 3), kernel=(80, 1), outputs=4, stride=(2, 1)),
    )
    yield "conv_pointwise", convolution("CONV_2D", **{**small, "kernel": (1, 1)})
    yield "conv_per_tensor", convolution("CONV_2D", **small, per_channel=False)
    yield "conv_kernel_wider_than_map", convolution("CONV_2D", **{**small, "kernel": (9, 1)})
    yield "conv_saturates", convolution("CONV_2D", **small, output_scale=0.002)
    yield "conv_left_shift", convolution("CONV_2D", **small, output_scale=0.00002)
    yield "conv_zero_points_at_ends", convolution("CONV_2D", **small, zero_points=(-128, 127))
    grouped = {**small, "input_shape": (5, 5, 8), "outputs": 6}
    yield "conv_two_groups", convolution("CONV_2D", **grouped, groups=2)
    dilated: Any = {**small, "dilation": (2, 3)}
    yield "conv_dilated", convolution("CONV_2D", **dilated)
    yield "depthwise_dilated", convolution("DEPTHWISE_CONV_2D", **{**dilated, "outputs": 3})
    yield (
        "depthwise_per_tensor",
        convolution("DEPTHWISE_CONV_2D", **{**small, "outputs": 3}, per_channel=False),
    )
    yield (
        "depthwise_without_bias",
        convolution("DEPTHWISE_CONV_2D", **{**small, "outputs": 9}, with_bias=False),
    )


def _fully_connected() -> Iterator[tuple[str, ModelSpec]]:
    row: Any = {"input_shape": (1, 13), "weights_shape": (7, 13), "output_shape": (1, 7)}
    for label, code in ACTIVATIONS.items():
        yield f"fully_connected_{label}", fully_connected(**row, activation=code)
    yield "fully_connected_per_channel", fully_connected(**row, per_channel=True)
    yield "fully_connected_without_bias", fully_connected(**row, with_bias=False)
    yield (
        "fully_connected_whole_map",
        fully_connected(input_shape=(1, 3, 2, 5), weights_shape=(4, 30), output_shape=(1, 4)),
    )
    yield (
        "fully_connected_pixels",
        fully_connected(input_shape=(1, 3, 2, 5), weights_shape=(4, 5), output_shape=(6, 4)),
    )
    yield (
        "fully_connected_keep_dims",
        fully_connected(
            input_shape=(1, 3, 2, 5),
            weights_shape=(4, 5),
            output_shape=(1, 3, 2, 4),
            keep_dims=True,
        ),
    )


def _pooled() -> Iterator[tuple[str, ModelSpec]]:
    for name, label in (("AVERAGE_POOL_2D", "average"), ("MAX_POOL_2D", "max")):
        common: Any = {"input_shape": (7, 6, 3), "kernel": (3, 2), "stride": (2, 1)}
        for activation, code in ACTIVATIONS.items():
            yield f"{label}_pool_{activation}", pooling(name, **common, activation=code)
        yield f"{label}_pool_same", pooling(name, **common, padding=SAME)
        yield f"{label}_pool_low_zero_point", pooling(name, **common, zero_point=-128)
        strided: Any = {"input_shape": (7, 6, 3), "kernel": (1, 1), "stride": (2, 3)}
        yield f"{label}_pool_strided_1x1", pooling(name, **strided)
        yield f"{label}_pool_strided_1x1_same", pooling(name, **strided, padding=SAME)
        whole: Any = {"input_shape": (5, 5, 4), "kernel": (5, 5), "stride": (5, 5)}
        yield f"{label}_pool_whole_map", pooling(name, **whole)
        ties: Any = {"input_shape": (8, 16, 5), "kernel": (1, 2), "stride": (1, 1)}
        yield f"{label}_pool_halves", pooling(name, **ties, padding=SAME)


def _elementwise() -> Iterator[tuple[str, ModelSpec]]:
    shape = (1, 4, 5, 6)
    for name in ("ADD", "MUL"):
        low = name.lower()
        for label, code in ACTIVATIONS.items():
            yield f"{low}_{label}", binary(name, shape, shape, activation=code)
        yield f"{low}_constant", binary(name, shape, shape, constant_b=True)
        yield f"{low}_constant_scalar", binary(name, shape, (), constant_b=True)
        yield f"{low}_constant_channels", binary(name, shape, (6,), constant_b=True)
        yield f"{low}_channels", binary(name, shape, (1, 1, 1, 6))
        yield f"{low}_column_vector", binary(name, shape, (1, 4, 1, 1))
        yield f"{low}_both_broadcast", binary(name, (1, 4, 1, 6), (1, 1, 5, 1))
        yield f"{low}_rank_2", binary(name, (1, 9), (1, 9))
        yield f"{low}_saturates", binary(name, shape, shape, scales=(0.1, 0.1, 0.001))
        yield f"{low}_equal_scales", binary(name, shape, shape, scales=(0.05, 0.05, 0.05))
        yield f"{low}_scales_far_apart", binary(name, shape, shape, scales=(3.0, 1e-6, 2.0))
    for name in ("RELU", "RELU6", "RELU_N1_TO_1", "QUANTIZE"):
        low = name.lower()
        yield f"{low}_same_scale", rescale(name, scales=(0.05, 0.05), zero_points=(7, 7))
        yield f"{low}_narrower", rescale(name, scales=(0.05, 0.083), zero_points=(-10, -128))
        yield f"{low}_wider", rescale(name, scales=(0.05, 0.013), zero_points=(-10, 40))
        yield f"{low}_tie", rescale(name, scales=(0.025, 0.05), zero_points=(1, 0))
        yield f"{low}_left_shift", rescale(name, scales=(0.5, 0.01), zero_points=(1, -1))


def _moved() -> Iterator[tuple[str, ModelSpec]]:
    for value, label in ((None, "pad"), (100, "padv2")):
        yield f"{label}_map", pad([(0, 0), (1, 2), (3, 0), (0, 0)], (1, 3, 4, 2), value)
        yield f"{label}_channels", pad([(0, 0), (0, 0), (0, 0), (1, 4)], (1, 3, 4, 2), value)
        yield f"{label}_rank_2", pad([(0, 0), (2, 1)], (1, 5), value)
    yield "reshape_flatten", reshape("RESHAPE", (1, 3, 4, 2), (1, 24))
    yield "reshape_to_map", reshape("RESHAPE", (1, 24), (1, 2, 4, 3))
    yield "squeeze", reshape("SQUEEZE", (1, 1, 1, 8), (8,))
    yield "expand_dims", reshape("EXPAND_DIMS", (1, 8), (1, 1, 8))
    yield "transpose_to_nchw", transpose((1, 3, 4, 2), (0, 3, 1, 2))
    yield "transpose_to_nhwc", transpose((1, 3, 4, 2), (0, 2, 3, 1))
    yield "transpose_rank_3", transpose((1, 3, 4), (0, 2, 1))


def _reduced() -> Iterator[tuple[str, ModelSpec]]:
    shape = (1, 5, 4, 7)
    for axes in ((1, 2), (1,), (2,), (-3, -2), (3,), (2, 3)):
        label = "_".join(str(axis % 4) for axis in axes) + ("_negative" if axes[0] < 0 else "")
        yield f"mean_{label}", mean(shape, axes)
    yield "mean_left_shift", mean(shape, (1, 2), scales=(0.05, 0.004), zero_points=(-9, 3))
    yield "mean_rank_3", mean((1, 6, 5), (2,))
    yield "softmax_2_classes", softmax((1, 2), scale=0.0146)
    yield "softmax_12_classes", softmax((1, 12), scale=0.14)
    yield "softmax_flat", softmax((1, 40), scale=0.0005)
    yield "softmax_steep", softmax((1, 10), scale=0.9)
    yield "softmax_beta", softmax((1, 10), scale=0.1, beta=0.3)
    yield "softmax_rows", softmax((1, 6, 5), scale=0.1)
    yield "softmax_map", softmax((1, 2, 3, 5), scale=0.1)
