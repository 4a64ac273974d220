# SPDX-License-Identifier: Apache-2.0
"""The real functions of one variable that a lookup table can hold, by name.

Each takes float64 values and its parameters. Outside its domain a function gives NaN or infinity, as
IEEE 754 says; who makes a table decides what stands there.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from edgekit.ir import Array


@dataclass(frozen=True)
class UnaryFunction:
    """A function, and the number of its parameters."""

    evaluate: Callable[..., Array]
    parameters: int = 0


def sigmoid(x: Array) -> Array:
    decay = np.exp(-np.abs(x))
    values: Array = np.where(x >= 0, 1.0, decay) / (1.0 + decay)
    return values


def hard_sigmoid(x: Array) -> Array:
    """relu6(x + 3) / 6 (Howard et al., "Searching for MobileNetV3", 2019)."""
    return np.clip(x + 3.0, 0.0, 6.0) / 6.0


def hard_swish(x: Array) -> Array:
    return x * hard_sigmoid(x)


def clipped_line(x: Array, slope: float, offset: float) -> Array:
    """A line cut to [0, 1]: the hard sigmoids of other slopes than 1/6."""
    return np.clip(slope * x + offset, 0.0, 1.0)


def silu(x: Array) -> Array:
    return x * sigmoid(x)


def softplus(x: Array, beta: float, threshold: float) -> Array:
    """log(1 + exp(beta x)) / beta, the identity where beta x > threshold, as in PyTorch."""
    scaled = beta * x
    soft = (np.maximum(scaled, 0.0) + np.log1p(np.exp(-np.abs(scaled)))) / beta
    return np.where(scaled > threshold, x, soft)


def mish(x: Array) -> Array:
    gate: Array = np.tanh(softplus(x, 1.0, 20.0))
    return x * gate


def leaky_relu(x: Array, slope: float) -> Array:
    return np.where(x >= 0, x, slope * x)


def elu(x: Array, alpha: float, scale: float, input_scale: float) -> Array:
    """scale * (x or alpha (exp(input_scale x) - 1)): ELU, SELU and CELU."""
    values: Array = np.where(x > 0, x, alpha * np.expm1(input_scale * np.minimum(x, 0.0)))
    scaled: Array = scale * values
    return scaled


def gelu(x: Array) -> Array:
    return 0.5 * x * (1.0 + erf(x / math.sqrt(2.0)))


def gelu_tanh(x: Array) -> Array:
    """The approximation of Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016."""
    gate: Array = 1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3))
    return 0.5 * x * gate


ERF_LIMIT, ERF_STEPS = 6, 128
"""erf is 1 beyond 6 to 17 digits; 128 grid points per unit leave an error below 5e-11."""


@functools.cache
def _erf_grid() -> Array:
    return np.array([math.erf(i / ERF_STEPS) for i in range(ERF_LIMIT * ERF_STEPS + 2)])


def erf(x: Array) -> Array:
    """The error function by cubic Hermite interpolation; numpy has none."""
    magnitude = np.minimum(np.abs(x), float(ERF_LIMIT))
    index = (magnitude * ERF_STEPS).astype(np.int64)
    left, right = index / ERF_STEPS, (index + 1) / ERF_STEPS
    t = magnitude * ERF_STEPS - index
    slope = 2.0 / math.sqrt(math.pi) / ERF_STEPS
    values = _erf_grid()
    rise = values[index + 1] - values[index]
    start, end = slope * np.exp(-left * left), slope * np.exp(-right * right)
    curve = t * (start + t * (3.0 * rise - 2.0 * start - end + t * (start + end - 2.0 * rise)))
    return np.copysign(values[index] + curve, x)


def power(x: Array, exponent: float) -> Array:
    return np.power(x, exponent)


UNARY_FUNCTIONS: Mapping[str, UnaryFunction] = {
    "abs": UnaryFunction(np.abs),
    "clipped_line": UnaryFunction(clipped_line, 2),
    "cos": UnaryFunction(np.cos),
    "elu": UnaryFunction(elu, 3),
    "erf": UnaryFunction(erf),
    "exp": UnaryFunction(np.exp),
    "expm1": UnaryFunction(np.expm1),
    "gelu": UnaryFunction(gelu),
    "gelu_tanh": UnaryFunction(gelu_tanh),
    "hard_sigmoid": UnaryFunction(hard_sigmoid),
    "hard_swish": UnaryFunction(hard_swish),
    "leaky_relu": UnaryFunction(leaky_relu, 1),
    "log": UnaryFunction(np.log),
    "log1p": UnaryFunction(np.log1p),
    "log_sigmoid": UnaryFunction(lambda x: -softplus(-x, 1.0, math.inf)),
    "mish": UnaryFunction(mish),
    "power": UnaryFunction(power, 1),
    "reciprocal": UnaryFunction(np.reciprocal),
    "rsqrt": UnaryFunction(lambda x: 1.0 / np.sqrt(x)),
    "sigmoid": UnaryFunction(sigmoid),
    "silu": UnaryFunction(silu),
    "sin": UnaryFunction(np.sin),
    "softplus": UnaryFunction(softplus, 2),
    "softsign": UnaryFunction(lambda x: x / (1.0 + np.abs(x))),
    "sqrt": UnaryFunction(np.sqrt),
    "square": UnaryFunction(np.square),
    "tanh": UnaryFunction(np.tanh),
}
"""Name of the function -> the function; a node's attributes hold the name and the parameters."""


def evaluate_function(name: str, parameters: tuple[float, ...], x: Array) -> Array:
    """float64 values of a function of the table; NaN and infinity where it has no value."""
    with np.errstate(all="ignore"):
        values: Array = UNARY_FUNCTIONS[name].evaluate(x.astype(np.float64), *parameters)
    return values
