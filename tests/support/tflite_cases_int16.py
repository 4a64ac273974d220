# SPDX-License-Identifier: Apache-2.0
"""One-operator TFLite files with int16 activations: the twins of the int8 ones, and some of their own."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from edgekit.ir import Array
from support.tflite_cases import cases, operator_model
from support.tflite_writer import ModelSpec, OperatorSpec, TensorSpec, constant_spec

WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
FINER = 256.0
"""How many steps of an int16 activation make one of its int8 twin."""
UNSUPPORTED = (
    "DEPTH_TO_SPACE",
    "RELU_0_TO_1",
    "RELU_N1_TO_1",
    "SPACE_TO_DEPTH",
    "TILE",
)
"""Operators that edgekit has for int16 and BUILTIN_REF has not."""
INT8_ONLY = (
    "ARG_MAX",
    "ARG_MIN",
    "ELU",
    "EXP",
    "GELU",
    "HARD_SWISH",
    "L2_NORMALIZATION",
    "LOG_SOFTMAX",
    "PRELU",
    "RSQRT",
    "SQUARED_DIFFERENCE",
    "SUM",
)
"""Operators that edgekit refuses for int16."""
OUTPUT_SCALES = {"SOFTMAX": 1.0 / 32768.0, "LOGISTIC": 1.0 / 32768.0, "TANH": 1.0 / 32768.0}


def int16_twin(model: ModelSpec, *, bias: Any = np.int64) -> ModelSpec:
    """The same model with symmetric int16 activations, 256 times finer, and ``bias`` biases."""
    weights, biases = set[str](), set[str]()
    for operator in model.operators:
        if operator.name in WEIGHTED:
            weights.add(operator.inputs[1])
            biases.update(operator.inputs[3 if operator.name == "TRANSPOSE_CONV" else 2 :])
    scales = {
        name: OUTPUT_SCALES[operator.name]
        for operator in model.operators
        for name in operator.outputs
        if operator.name in OUTPUT_SCALES
    }

    def twin(tensor: TensorSpec) -> TensorSpec:
        if tensor.name in biases:
            scale = np.asarray(tensor.scale) / FINER
            return _retyped(tensor, _data(tensor) * 256, scale, bias)
        if tensor.type != "INT8" or tensor.name in weights:
            return tensor
        scale = scales.get(tensor.name, np.asarray(tensor.scale) / FINER)
        data = None if tensor.data is None else _data(tensor) * 256 + 55
        return _retyped(tensor, data, scale, np.int16)

    return dataclasses.replace(model, tensors=[twin(tensor) for tensor in model.tensors])


def _data(tensor: TensorSpec) -> Array:
    assert tensor.data is not None
    return tensor.data.astype(np.int64)


def _retyped(tensor: TensorSpec, data: Array | None, scale: Any, dtype: Any) -> TensorSpec:
    return dataclasses.replace(
        tensor,
        type=np.dtype(dtype).name.upper(),
        data=None if data is None else data.astype(dtype),
        scale=scale,
        zero_point=0,
    )


def int16_cases() -> dict[str, ModelSpec]:
    """Every case by name."""
    found = {}
    for name, model in cases().items():
        operator = model.operators[0].name
        if operator in (*UNSUPPORTED, *INT8_ONLY):
            continue
        has_bias = len(model.operators[0].inputs) > 2
        if operator == "CONV_2D" and not has_bias:
            continue  # BUILTIN_REF insists on a bias
        found[name] = int16_twin(model)
        if has_bias and operator in ("CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"):
            found[f"{name}_narrow"] = int16_twin(model, bias=np.int32)
    return found


def int8_only_cases() -> dict[str, ModelSpec]:
    """One model of every operator that edgekit has for int8 only."""
    firsts = {model.operators[0].name: model for model in reversed(cases().values())}
    return {name: int16_twin(firsts[name]) for name in sorted(firsts) if name in INT8_ONLY}


def power_of_two_sum(
    name: str, exponents: tuple[int, int], nearly: float, **options: Any
) -> ModelSpec:
    """ADD or SUB of scales 2^exponent into a scale of 2^-13, ``nearly`` a factor on the first."""
    a, b = (
        TensorSpec(label, (1, 9, 9, 5), 2.0**exponent * factor, 0, "INT16")
        for label, exponent, factor in zip("ab", exponents, (nearly, 1.0), strict=True)
    )
    y = TensorSpec("y", (1, 9, 9, 5), 2.0**-13, 0, "INT16")
    return operator_model(name, [a, b], y, options)


def biased_ties(name: str, scale: float) -> ModelSpec:
    """One input of 0; the int64 biases of the channels lie around rounding ties of the output."""
    ties = np.rint((np.arange(-20000, 20000, 61) + 0.5) / scale)[:, np.newaxis] + np.arange(-3, 4)
    bias = ties.reshape(-1).astype(np.int64)
    channels = bias.size
    rank_2 = name == "FULLY_CONNECTED"
    shape: tuple[int, ...] = (channels, 1) if rank_2 else (channels, 1, 1, 1)
    axis = 0
    options: dict[str, Any] = {}
    if not rank_2:
        options = {"Padding": 1, "StrideH": 1, "StrideW": 1}
        options |= {"DilationHFactor": 1, "DilationWFactor": 1}
    if name == "DEPTHWISE_CONV_2D":
        shape, axis = (1, 1, 1, channels), 3
        options["DepthMultiplier"] = channels
    operands = [
        TensorSpec("x", (1, 1) if rank_2 else (1, 1, 1, 1), 1.0, 0, "INT16"),
        constant_spec(
            "weights", np.ones(shape, np.int8), scale=np.full(channels, scale), axis=axis
        ),
        constant_spec("bias", bias, scale=np.full(channels, scale)),
    ]
    y_shape = (1, channels) if rank_2 else (1, 1, 1, channels)
    return operator_model(name, operands, TensorSpec("y", y_shape, 1.0, 0, "INT16"), options)


def chain(*, outer: str = "INT16") -> ModelSpec:
    """convolution, RELU, depthwise convolution, sum of two branches, matrix product; 16x8.

    ``outer`` is the type of the ports: FLOAT32 ones stand behind QUANTIZE and DEQUANTIZE.
    """
    random = np.random.default_rng(8)
    shape = (1, 6, 5, 4)

    def activation(name: str, shape: Any, scale: float) -> TensorSpec:
        return TensorSpec(name, shape, scale, 0, "INT16")

    def weights(name: str, shape: Any, scale: Any, axis: int) -> list[TensorSpec]:
        channels = shape[axis]
        data = random.integers(-127, 128, shape).astype(np.int8)
        bias = random.integers(-(2**20), 2**20, channels).astype(np.int64)
        return [
            constant_spec(f"{name}_weights", data, scale=scale, axis=axis),
            constant_spec(f"{name}_bias", bias, scale=np.asarray(scale) * 2e-4),
        ]

    inner = [
        activation("x", (1, 6, 5, 3), 2e-4),
        *weights("conv", (4, 3, 3, 3), np.linspace(0.001, 0.004, 4), 0),
        activation("c", shape, 2.5e-4),
        activation("r", shape, 2.2e-4),
        *weights("depthwise", (1, 3, 3, 4), np.linspace(0.002, 0.006, 4), 3),
        activation("d", shape, 3e-4),
        activation("s", shape, 4e-4),
        *weights("fc", (7, 120), 0.003, 0),
        activation("y", (1, 7), 1e-3),
    ]
    window = {"Padding": 0, "StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
    operators = [
        OperatorSpec("CONV_2D", ("x", "conv_weights", "conv_bias"), ("c",), window),
        OperatorSpec("RELU", ("c",), ("r",)),
        OperatorSpec(
            "DEPTHWISE_CONV_2D",
            ("r", "depthwise_weights", "depthwise_bias"),
            ("d",),
            {**window, "DepthMultiplier": 1},
        ),
        OperatorSpec("ADD", ("r", "d"), ("s",)),
        OperatorSpec("FULLY_CONNECTED", ("s", "fc_weights", "fc_bias"), ("y",)),
    ]
    if outer == "INT16":
        return ModelSpec(inner, operators, ["x"], ["y"])
    ports = [
        TensorSpec("x_real", (1, 6, 5, 3), type=outer),
        TensorSpec("y_real", (1, 7), type=outer),
    ]
    operators.insert(0, OperatorSpec("QUANTIZE", ("x_real",), ("x",)))
    operators.append(OperatorSpec("DEQUANTIZE", ("y",), ("y_real",)))
    return ModelSpec([*inner, *ports], operators, ["x_real"], ["y_real"])
