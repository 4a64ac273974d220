# SPDX-License-Identifier: Apache-2.0
"""One-operator TFLite files of 16x8 audio networks as SEANet: time lies along W, or along H."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np

from edgekit.ir import Shape
from support.tflite_cases import operator_model
from support.tflite_writer import ModelSpec, TensorSpec, constant_spec

SAME, VALID = 0, 1
Along = Literal["h", "w"]
BIASES: tuple[Any, ...] = (np.int64, np.int32)


def audio(along: Along, length: int, channels: int) -> Shape:
    """(1, 1, T, C) or (1, T, 1, C)."""
    return (1, 1, length, channels) if along == "w" else (1, length, 1, channels)


def _pair(along: Along, value: int) -> tuple[int, int]:
    return (1, value) if along == "w" else (value, 1)


def _int16(name: str, shape: Shape, scale: float = 2.1e-4) -> TensorSpec:
    return TensorSpec(name, shape, scale, 0, "INT16")


def convolution(
    along: Along,
    length: int,
    channels: tuple[int, int],
    kernel: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    padding: int = VALID,
    bias: Any = np.int64,
    activation: int = 0,
) -> ModelSpec:
    """CONV_2D over time."""
    random = np.random.default_rng([length, *channels, kernel])
    inputs, outputs = channels
    weights = random.integers(-127, 128, (outputs, *_pair(along, kernel), inputs)).astype(np.int8)
    scales = random.uniform(0.001, 0.01, outputs)
    biases = random.integers(-(2**17), 2**17, outputs).astype(bias)
    operands = [
        _int16("x", audio(along, length, inputs)),
        constant_spec("weights", weights, scale=scales),
        constant_spec("bias", biases, scale=2.1e-4 * scales),
    ]
    result = -(-length // stride)
    if padding == VALID:
        result = (length - (kernel - 1) * dilation - 1) // stride + 1
    options = {
        "Padding": padding,
        "FusedActivationFunction": activation,
        **dict(zip(("StrideH", "StrideW"), _pair(along, stride), strict=True)),
        **dict(
            zip(("DilationHFactor", "DilationWFactor"), _pair(along, dilation), strict=True),
        ),
    }
    y = _int16("y", audio(along, result, outputs), 1.3e-3)
    return operator_model("CONV_2D", operands, y, options)


def transposed(
    along: Along,
    length: int,
    channels: tuple[int, int],
    kernel: int,
    stride: int,
    *,
    padding: int = VALID,
    bias: Any = np.int64,
) -> ModelSpec:
    """TRANSPOSE_CONV over time; without a bias where that is None."""
    random = np.random.default_rng([length, *channels, kernel, stride])
    inputs, outputs = channels
    size = length * stride if padding == SAME else (length - 1) * stride + kernel
    shape = audio(along, size, outputs)
    weights = random.integers(-127, 128, (outputs, *_pair(along, kernel), inputs)).astype(np.int8)
    scales = random.uniform(0.001, 0.01, outputs)
    operands = [
        constant_spec("shape", np.array(shape, np.int32)),
        constant_spec("weights", weights, scale=scales),
        _int16("x", audio(along, length, inputs)),
    ]
    if bias is not None:
        values = random.integers(-(2**17), 2**17, outputs).astype(bias)
        operands.append(constant_spec("bias", values, scale=2.1e-4 * scales))
    strides = dict(zip(("StrideH", "StrideW"), _pair(along, stride), strict=True))
    y = _int16("y", shape, 9e-4)
    return operator_model("TRANSPOSE_CONV", operands, y, {"Padding": padding, **strides})


def sum_or_difference(
    name: str, along: Along, scales: tuple[float, float, float], *, constant: Shape | None = None
) -> ModelSpec:
    """ADD or SUB of two maps, or of a map and a constant."""
    shape = audio(along, 67, 12)
    second = _int16("b", shape, scales[1])
    if constant is not None:
        values = np.random.default_rng(2).integers(-32768, 32768, constant).astype(np.int16)
        second = constant_spec("b", values, scale=scales[1])
    y = _int16("y", shape, scales[2])
    return operator_model(name, [_int16("a", shape, scales[0]), second], y, {})


def leaky_relu(along: Along, alpha: float, scales: tuple[float, float]) -> ModelSpec:
    """LEAKY_RELU."""
    shape = audio(along, 321, 16)
    x, y = (_int16(name, shape, scale) for name, scale in zip("xy", scales, strict=True))
    return operator_model("LEAKY_RELU", [x], y, {"Alpha": alpha})


def padded(along: Along, before: int, after: int, *, value: int | None = None) -> ModelSpec:
    """PAD over time, or PADV2 with a value."""
    paddings = np.zeros((4, 2), np.int32)
    paddings[2 if along == "w" else 1] = before, after
    operands = [_int16("x", audio(along, 40, 6)), constant_spec("paddings", paddings)]
    if value is not None:
        operands.append(constant_spec("value", np.array([value], np.int16), scale=2.1e-4))
    y = _int16("y", audio(along, 40 + before + after, 6))
    return operator_model("PAD" if value is None else "PADV2", operands, y)


def strided_slice(
    along: Along, begin: int, end: int, stride: int = 1, *, masks: Sequence[int] = (0, 0)
) -> ModelSpec:
    """STRIDED_SLICE over time; ``masks`` are those of begin and end."""
    length, axis = 50, 2 if along == "w" else 1
    shape = audio(along, length, 9)
    bounds = np.zeros((3, 4), np.int32)
    bounds[1], bounds[2] = shape, 1
    bounds[:, axis] = begin, end, stride
    open_ends = [bool(mask >> axis & 1) for mask in masks]
    first, last = (None if opened else v for opened, v in zip(open_ends, (begin, end), strict=True))
    count = len(range(*slice(first, last, stride).indices(length)))
    names = ("begin", "end", "strides")
    operands = [_int16("x", shape)]
    operands += [constant_spec(name, row) for name, row in zip(names, bounds, strict=True)]
    options = {"BeginMask": masks[0], "EndMask": masks[1]}
    return operator_model("STRIDED_SLICE", operands, _int16("y", audio(along, count, 9)), options)


def audio_cases() -> dict[str, ModelSpec]:
    """Every case by name."""
    axes: tuple[Along, ...] = ("w", "h")
    found = {}
    for along in axes:
        for name, model in (*_weighted(along), *_elementwise(along), *_moved(along)):
            found[f"{name}_along_{along}"] = model
    return found


def _weighted(along: Along) -> Iterator[tuple[str, ModelSpec]]:
    for bias in BIASES:
        label = f"bias_{np.dtype(bias).name}"
        yield f"conv_first_{label}", convolution(along, 320, (1, 16), 7, bias=bias)
        yield f"conv_dilated_{label}", convolution(along, 64, (16, 16), 3, dilation=9, bias=bias)
        yield f"conv_down_{label}", convolution(along, 80, (16, 32), 16, stride=8, bias=bias)
        yield f"upsample_{label}", transposed(along, 20, (32, 16), 16, 8, bias=bias)
    yield "conv_same", convolution(along, 81, (8, 6), 4, stride=2, padding=SAME)
    yield "conv_pointwise_relu", convolution(along, 50, (16, 7), 1, activation=1)
    yield "conv_kernel_as_long_as_input", convolution(along, 7, (3, 32), 7)
    for stride in range(2, 9):
        for kernel, label in ((2 * stride, "overlap"), (stride, "tile"), (stride - 1, "gaps")):
            name = f"transposed_stride_{stride}_{label}"
            yield name, transposed(along, 9, (6, 5), kernel, stride, bias=None)
        yield (
            f"transposed_stride_{stride}_same",
            transposed(along, 9, (6, 5), 2 * stride, stride, padding=SAME),
        )


def _elementwise(along: Along) -> Iterator[tuple[str, ModelSpec]]:
    for name in ("ADD", "SUB"):
        low = name.lower()
        yield f"{low}_residual", sum_or_difference(name, along, (2.1e-4, 3.7e-4, 4.5e-4))
        yield f"{low}_equal_scales", sum_or_difference(name, along, (2e-4, 2e-4, 2e-4))
        yield f"{low}_saturates", sum_or_difference(name, along, (2e-3, 1e-3, 1e-4))
        constant = sum_or_difference(name, along, (2e-4, 1e-4, 3e-4), constant=(12,))
        yield f"{low}_constant_channels", constant
    for alpha in (0.3, 0.0, 1.7, -0.1, -1.0):
        label = str(alpha).replace(".", "_").replace("-", "minus_")
        yield f"leaky_relu_{label}", leaky_relu(along, alpha, (2.1e-4, 1.9e-4))
    yield "leaky_relu_same_scale", leaky_relu(along, 0.3, (1.5e-4, 1.5e-4))


def _moved(along: Along) -> Iterator[tuple[str, ModelSpec]]:
    yield "pad_in_front", padded(along, 6, 0)
    yield "pad_behind", padded(along, 0, 15)
    yield "pad_uneven", padded(along, 18, 1)
    yield "pad_value", padded(along, 2, 3, value=-12345)
    yield "slice_from_start", strided_slice(along, 0, 44)
    yield "slice_to_end", strided_slice(along, 6, 50)
    yield "slice_negative", strided_slice(along, -9, -2)
    yield "slice_masked", strided_slice(along, 3, 5, masks=(0, 6))
    yield "slice_every_third", strided_slice(along, 1, 49, 3, masks=(13 if along == "h" else 11, 0))
