# SPDX-License-Identifier: Apache-2.0
"""One-operator TFLite models of differences, extrema and functions of one variable, and gates of maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from edgekit.ir import Shape
from support.tflite_writer import ModelSpec, OperatorSpec, TensorSpec, constant_spec

ACTIVATIONS = {"none": 0, "relu": 1, "relu_n1_to_1": 2, "relu6": 3}
FIXED_OUTPUTS = {"LOGISTIC": (1.0 / 256.0, -128), "TANH": (1.0 / 128.0, 0)}
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "LEAKY_RELU": {"Alpha": 0.1},
    "GELU": {"Approximate": False},
}
FUNCTIONS = ("ABS", "EXP", "GELU", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "RSQRT", "TANH")
"""The functions of one variable that BUILTIN_REF has for int8."""


def function_model(
    name: str,
    *,
    scales: tuple[float, float],
    zero_points: tuple[int, int],
    options: Mapping[str, Any] | None = None,
) -> ModelSpec:
    """A function of one variable over a vector that has room for every int8 value."""
    x = TensorSpec("x", (1, 256), scales[0], zero_points[0])
    y = TensorSpec("y", (1, 256), scales[1], zero_points[1])
    operator = OperatorSpec(name, ["x"], ["y"], OPTIONS.get(name, {}) | dict(options or {}))
    return ModelSpec([x, y], [operator], ["x"], ["y"])


def binary_model(
    name: str,
    shape_a: Shape,
    shape_b: Shape,
    *,
    scales: tuple[float, float, float] = (0.05, 0.021, 0.06),
    zero_points: tuple[int, int, int] = (3, -8, 11),
    constant: str = "",
    activation: int = 0,
) -> ModelSpec:
    """An operator of two operands a and b; ``constant`` names the one that is."""
    operands = []
    for position, (label, shape) in enumerate((("a", shape_a), ("b", shape_b))):
        quantization: Any = {"scale": scales[position], "zero_point": zero_points[position]}
        if label == constant:
            values = np.random.default_rng(3).integers(-128, 128, shape).astype(np.int8)
            operands.append(constant_spec(label, values, **quantization))
        else:
            operands.append(TensorSpec(label, shape, **quantization))
    y = TensorSpec("y", np.broadcast_shapes(shape_a, shape_b), scales[2], zero_points[2])
    inputs = [operand.name for operand in operands if operand.data is None]
    options = {"FusedActivationFunction": activation} if name in ("ADD", "MUL", "SUB") else {}
    return ModelSpec(
        [*operands, y], [OperatorSpec(name, ["a", "b"], ["y"], options)], inputs, ["y"]
    )


def elementwise_cases() -> Iterator[tuple[str, ModelSpec]]:
    """Every case by name."""
    yield from _differences()
    yield from _squared_differences()
    yield from _extrema()
    yield from _prelu()
    yield from _functions()
    shape = (1, 4, 5, 6)
    for name in ("ADD", "MUL"):
        low = name.lower()
        yield f"{low}_scalar_first", binary_model(name, (), shape, constant="a")
        yield f"{low}_channels_first", binary_model(name, (6,), shape, constant="a")
        yield f"{low}_gate_first", binary_model(name, (1, 1, 1, 6), shape)


def _differences() -> Iterator[tuple[str, ModelSpec]]:
    shape = (1, 4, 5, 6)
    for label, code in ACTIVATIONS.items():
        yield f"sub_{label}", binary_model("SUB", shape, shape, activation=code)
    yield "sub_constant", binary_model("SUB", shape, shape, constant="b")
    yield "sub_from_constant", binary_model("SUB", shape, shape, constant="a")
    yield "sub_scalar", binary_model("SUB", shape, (), constant="b")
    yield "sub_from_scalar", binary_model("SUB", (), shape, constant="a")
    yield "sub_channels", binary_model("SUB", shape, (1, 1, 1, 6))
    yield "sub_from_channels", binary_model("SUB", (6,), shape, constant="a")
    yield "sub_both_broadcast", binary_model("SUB", (1, 4, 1, 6), (1, 1, 5, 1))
    yield "sub_every_pair", binary_model("SUB", (1, 256, 1, 1), (1, 1, 256, 1))
    yield "sub_saturates", binary_model("SUB", shape, shape, scales=(0.1, 0.1, 0.001))
    ties: Any = {"scales": (0.05, 0.05, 0.1), "zero_points": (0, 0, 0)}
    yield "sub_ties", binary_model("SUB", (1, 256, 1, 1), (1, 1, 256, 1), **ties)


def _squared_differences() -> Iterator[tuple[str, ModelSpec]]:
    name, shape = "SQUARED_DIFFERENCE", (1, 4, 5, 6)
    plain: Any = {"scales": (0.05, 0.021, 0.3)}
    yield "squared_difference_maps", binary_model(name, shape, shape, **plain)
    yield "squared_difference_constant", binary_model(name, shape, shape, constant="b", **plain)
    yield "squared_difference_scalar", binary_model(name, shape, (), constant="b", **plain)
    yield "squared_difference_channels", binary_model(name, shape, (1, 1, 1, 6), **plain)
    yield "squared_difference_from_channels", binary_model(name, (6,), shape, constant="a", **plain)
    yield "squared_difference_both_broadcast", binary_model(name, (1, 4, 1, 6), (1, 1, 5, 1))
    yield "squared_difference_saturates", binary_model(name, shape, shape, scales=(0.5, 0.1, 0.01))
    pairs = (1, 256, 1, 1), (1, 1, 256, 1)
    for label, scales, zero_points in (
        ("every_pair", (0.05, 0.021, 0.3), (3, -8, -128)),
        ("equal_scales", (0.05, 0.05, 0.6), (-128, -128, -128)),
        ("ties", (0.25, 0.25, 0.125), (0, 0, -128)),
        ("ties_of_operands", (0.5, 0.125, 1.0), (0, 0, 0)),
    ):
        model = binary_model(name, *pairs, scales=scales, zero_points=zero_points)
        yield f"squared_difference_{label}", model


def _extrema() -> Iterator[tuple[str, ModelSpec]]:
    shape = (1, 4, 5, 6)
    equal: Any = {"scales": (0.05, 0.05, 0.05), "zero_points": (7, 7, 7)}
    for name in ("MINIMUM", "MAXIMUM"):
        low = name.lower()
        yield f"{low}_maps", binary_model(name, shape, shape, **equal)
        yield f"{low}_scalar", binary_model(name, shape, (), constant="b", **equal)
        yield f"{low}_scalar_first", binary_model(name, (), shape, constant="a", **equal)
        yield f"{low}_channels", binary_model(name, shape, (1, 1, 1, 6), **equal)
        yield f"{low}_every_pair", binary_model(name, (1, 256, 1, 1), (1, 1, 256, 1), **equal)


def _prelu() -> Iterator[tuple[str, ModelSpec]]:
    shape = (1, 4, 5, 6)
    yield "prelu_channels", binary_model("PRELU", shape, (1, 1, 6), constant="b")
    yield "prelu_scalar", binary_model("PRELU", shape, (1, 1, 1), constant="b")
    yield "prelu_map", binary_model("PRELU", shape, (4, 5, 6), constant="b")
    yield "prelu_computed_slopes", binary_model("PRELU", shape, (1, 1, 1, 6))
    every: Any = {"constant": "b", "scales": (0.05, 0.02, 0.03)}
    yield "prelu_many_slopes", binary_model("PRELU", (1, 256, 1, 64), (64,), **every)
    every |= {"scales": (0.0625, 0.125, 0.03125), "zero_points": (0, 0, 0)}
    yield "prelu_ties", binary_model("PRELU", (1, 256, 1, 64), (64,), **every)


def _functions() -> Iterator[tuple[str, ModelSpec]]:
    for name in FUNCTIONS:
        low = name.lower()
        for label, source, result in (
            ("fine", 0.003, 0.005),
            ("coarse", 0.1, 0.09),
            ("equal", 0.05, 0.05),
        ):
            scales, zero_points = (source, result), (-128 if name == "RSQRT" else 9, -20)
            if name in FIXED_OUTPUTS:
                scales, zero_points = (source, FIXED_OUTPUTS[name][0]), (9, FIXED_OUTPUTS[name][1])
            model = function_model(name, scales=scales, zero_points=zero_points)
            yield f"{low}_{label}", model
    common: Any = {"scales": (0.04, 0.03), "zero_points": (-5, 10)}
    for alpha in (0.0, 0.3, 1.5, -0.2):
        name = f"leaky_relu_alpha_{str(alpha).replace('.', '_').replace('-', 'minus_')}"
        yield name, function_model("LEAKY_RELU", **common, options={"Alpha": alpha})
    yield "gelu_approximate", function_model("GELU", **common, options={"Approximate": True})
    unit: Any = {"scales": (0.01, 0.008), "zero_points": (-128, -128)}
    yield "relu_0_to_1", function_model("RELU_0_TO_1", **unit)
