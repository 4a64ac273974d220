# SPDX-License-Identifier: Apache-2.0
"""PyTorch's element-wise arithmetic, clamps and activation functions."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping

import numpy as np

from edgekit.converters.nchw.arithmetic import (
    Operand,
    clamped,
    difference,
    element_wise,
    function,
    power,
    quotient,
    scaled,
)
from edgekit.converters.nchw.graph import Activation, Parameter, RefusalError, SourceCall

Mapper = Callable[[SourceCall], Activation]

FUNCTIONS: Mapping[str, str] = {
    **{name: name for name in ("abs", "cos", "erf", "exp", "expm1", "log", "log1p", "mish")},
    **{name: name for name in ("reciprocal", "rsqrt", "sigmoid", "silu", "sin", "sqrt")},
    **{name: name for name in ("square", "tanh")},
    "hardsigmoid": "hard_sigmoid",
    "hardswish": "hard_swish",
    "log_sigmoid": "log_sigmoid",
    "log_sigmoid_forward": "log_sigmoid",
}
"""ATen's functions without parameters, and ours."""
SELU = (1.6732632423543772, 1.0507009873554805, 1.0)
"""alpha, scale and input scale of Klambauer et al., "Self-Normalizing Neural Networks", 2017."""


def _operands(call: SourceCall) -> tuple[Operand, Operand]:
    return call["self"], call["other"]


def _add(call: SourceCall) -> Activation:
    left, right = _operands(call)
    return element_wise(call, "add", (left, scaled(call, right, call.arguments.get("alpha", 1))))


def _subtract(call: SourceCall) -> Activation:
    left, right = _operands(call)
    return difference(call, left, scaled(call, right, call.arguments.get("alpha", 1)))


def _reverse_subtract(call: SourceCall) -> Activation:
    left, right = _operands(call)
    return difference(call, right, scaled(call, left, call.arguments.get("alpha", 1)))


def _multiply(call: SourceCall) -> Activation:
    return element_wise(call, "mul", _operands(call))


def _add_product(call: SourceCall) -> Activation:
    """self + value * tensor1 * tensor2."""
    factors = (call["tensor1"], call["tensor2"])
    product: Operand
    if any(isinstance(factor, Activation) for factor in factors):
        shape = tuple(np.broadcast_shapes(*(factor.shape for factor in factors)))
        product = element_wise(dataclasses.replace(call, shape=shape), "mul", factors)
    else:
        first, second = factors
        product = Parameter(f"{first.name}/product", first.data * second.data)
    scaled_product = scaled(call, product, call.arguments.get("value", 1))
    return element_wise(call, "add", (call["self"], scaled_product))


def _negate(call: SourceCall) -> Activation:
    return element_wise(call, "mul", (call.activation("self"), -1.0))


def _divide(call: SourceCall) -> Activation:
    if call.arguments.get("rounding_mode") is not None:
        raise RefusalError("rounding_mode is not supported; leave it out")
    return quotient(call, *_operands(call))


def _clamp(minimum: float | None, maximum: float | None) -> Mapper:
    def mapped(call: SourceCall) -> Activation:
        return clamped(call, call.activation("self"), minimum, maximum)

    return mapped


def _clamp_arguments(call: SourceCall) -> Activation:
    names = (("min", "min_val"), ("max", "max_val"))
    bounds = [next((call[n] for n in either if n in call.arguments), None) for either in names]
    if any(isinstance(bound, Activation | Parameter) for bound in bounds):
        return _clamp_between(call, bounds)
    low, high = (None if bound is None else float(bound) for bound in bounds)
    low, high = (None if low == -math.inf else low), (None if high == math.inf else high)
    return clamped(call, call.activation("self"), low, high)


def _clamp_between(call: SourceCall, bounds: list[Operand | None]) -> Activation:
    """A clamp to tensors; the upper bound is applied last, as in PyTorch."""
    value = call.activation("self")
    for op, bound in zip(("maximum", "minimum"), bounds, strict=True):
        if bound is not None:
            value = element_wise(call, op, (value, bound))
    return value


def _extremum(op: str) -> Mapper:
    def mapped(call: SourceCall) -> Activation:
        return element_wise(call, op, _operands(call))

    return mapped


def _prelu(call: SourceCall) -> Activation:
    """prelu has slopes along axis 1, _prelu_kernel slopes that broadcast."""
    x, slopes = call.activation("self"), call["weight"]
    if call.op == "prelu":
        slopes = call.parameter("weight")
        rank = len(x.shape)
        shape = (1, slopes.data.size) + (1,) * (rank - 2) if rank > 1 else (slopes.data.size,)
        slopes = Parameter(slopes.name, slopes.data.reshape(shape))
    return element_wise(call, "prelu", (x, slopes))


def _function(name: str) -> Mapper:
    def mapped(call: SourceCall) -> Activation:
        return function(call, call.activation("self"), name)

    return mapped


def _parametric(name: str, *arguments: str) -> Mapper:
    """A function whose parameters are numbers of the call."""

    def mapped(call: SourceCall) -> Activation:
        parameters = tuple(float(call[argument]) for argument in arguments)
        return function(call, call.activation("self"), name, *parameters)

    return mapped


def _celu(call: SourceCall) -> Activation:
    alpha = float(call["alpha"])
    if alpha == 0:
        raise RefusalError("alpha=0 is not supported; use relu")
    return function(call, call.activation("self"), "elu", alpha, 1.0, 1.0 / alpha)


def _selu(call: SourceCall) -> Activation:
    return function(call, call.activation("self"), "elu", *SELU)


def _gelu(call: SourceCall) -> Activation:
    approximate = call.arguments.get("approximate", "none")
    return _function("gelu" if approximate == "none" else "gelu_tanh")(call)


def _power(call: SourceCall) -> Activation:
    x, exponent = call["self"], call["exponent"]
    if not isinstance(x, Activation) or not isinstance(exponent, int | float):
        raise RefusalError("only powers of a map with a number as exponent are supported")
    return power(call, x, exponent)


ELEMENTWISE_MAPPERS: Mapping[str, Mapper] = {
    **{name: _function(ours) for name, ours in FUNCTIONS.items()},
    "add": _add,
    "addcmul": _add_product,
    "sub": _subtract,
    "rsub": _reverse_subtract,
    "mul": _multiply,
    "div": _divide,
    "neg": _negate,
    "maximum": _extremum("maximum"),
    "minimum": _extremum("minimum"),
    "relu": _clamp(0.0, None),
    "relu6": _clamp(0.0, 6.0),
    **dict.fromkeys(("hardtanh", "clamp", "clamp_min", "clamp_max"), _clamp_arguments),
    "celu": _celu,
    "elu": _parametric("elu", "alpha", "scale", "input_scale"),
    "gelu": _gelu,
    "leaky_relu": _parametric("leaky_relu", "negative_slope"),
    "pow": _power,
    **dict.fromkeys(("prelu", "_prelu_kernel"), _prelu),
    "selu": _selu,
    "softplus": _parametric("softplus", "beta", "threshold"),
}
"""The ATen operators of this file."""
