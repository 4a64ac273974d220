# SPDX-License-Identifier: Apache-2.0
"""PyTorch's element-wise arithmetic, clamps and activation functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edgekit.converters.torch.builder import (
    TO_STORAGE,
    Activation,
    Parameter,
    RefusalError,
    TorchCall,
)
from edgekit.ops.add import Add
from edgekit.ops.lookup import Lookup
from edgekit.ops.maximum import Maximum
from edgekit.ops.minimum import Minimum
from edgekit.ops.mul import Mul
from edgekit.ops.prelu import Prelu
from edgekit.ops.requantize import Requantize
from edgekit.ops.sub import Sub

Operand = Activation | Parameter | float
Mapper = Callable[[TorchCall], Activation]

ATTRIBUTES: Mapping[str, Any] = {
    "add": Add(),
    "maximum": Maximum(),
    "minimum": Minimum(),
    "mul": Mul(),
    "prelu": Prelu(),
    "sub": Sub(),
}
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


def _operands(call: TorchCall) -> tuple[Operand, Operand]:
    return call["self"], call["other"]


def _element_wise(call: TorchCall, op: str, operands: tuple[Operand, Operand]) -> Activation:
    rank = len(call.shape)
    return call.node(op, [_operand(call, value, rank) for value in operands], ATTRIBUTES[op])


def _operand(call: TorchCall, value: Operand, rank: int) -> str:
    """The tensor of an operand, with leading dimensions of 1 up to ``rank``."""
    if isinstance(value, Activation):
        return call.builder.reshape(value, (1,) * (rank - len(value.shape)) + value.shape).tensor
    if isinstance(value, Parameter):
        data, name = value.data, value.name
    else:
        data, name = np.array(value, np.float32), f"{call.builder.name}/constant"
    data = data.reshape((1,) * (rank - data.ndim) + data.shape)
    return call.builder.constant(name, data.transpose(TO_STORAGE) if rank == 4 else data)


def _scaled(call: TorchCall, value: Operand, factor: float) -> Operand:
    if factor == 1:
        return value
    if isinstance(value, Activation):
        inputs = [value.tensor, _operand(call, factor, len(value.shape))]
        return Activation(call.builder.node("mul", inputs, Mul()), value.shape)
    if isinstance(value, Parameter):
        return Parameter(f"{value.name}/scaled", value.data * np.float32(factor))
    return value * factor


def _add(call: TorchCall) -> Activation:
    left, right = _operands(call)
    return _element_wise(call, "add", (left, _scaled(call, right, call.arguments.get("alpha", 1))))


def _subtract(call: TorchCall) -> Activation:
    left, right = _operands(call)
    return _difference(call, left, _scaled(call, right, call.arguments.get("alpha", 1)))


def _reverse_subtract(call: TorchCall) -> Activation:
    left, right = _operands(call)
    return _difference(call, right, _scaled(call, left, call.arguments.get("alpha", 1)))


def _difference(call: TorchCall, left: Operand, right: Operand) -> Activation:
    """A constant is added with the other sign: that folds into a layer in front."""
    if isinstance(right, Activation):
        return _element_wise(call, "sub", (left, right))
    return _element_wise(call, "add", (left, _scaled(call, right, -1)))


def _multiply(call: TorchCall) -> Activation:
    return _element_wise(call, "mul", _operands(call))


def _negate(call: TorchCall) -> Activation:
    return _element_wise(call, "mul", (call.activation("self"), -1.0))


def _divide(call: TorchCall) -> Activation:
    """Division is multiplication by the reciprocal, of a map too."""
    left, right = _operands(call)
    if call.arguments.get("rounding_mode") is not None:
        raise RefusalError("rounding_mode is not supported; leave it out")
    if isinstance(right, Activation):
        reciprocal = call.builder.node("lookup", [right.tensor], Lookup("reciprocal"))
        return _element_wise(call, "mul", (left, Activation(reciprocal, right.shape)))
    values = right.data if isinstance(right, Parameter) else np.float32(right)
    if not np.all(values):
        raise RefusalError("the divisor holds a zero")
    name = right.name if isinstance(right, Parameter) else call.builder.name
    inverse = np.asarray(1.0 / np.asarray(values, np.float64), np.float32)
    return _element_wise(call, "mul", (left, Parameter(f"{name}/reciprocal", inverse)))


def _clamp(minimum: float | None, maximum: float | None) -> Callable[[TorchCall], Activation]:
    def mapped(call: TorchCall) -> Activation:
        return call.node(
            "requantize", [call.activation("self").tensor], Requantize(minimum, maximum)
        )

    return mapped


def _clamp_arguments(call: TorchCall) -> Activation:
    names = (("min", "min_val"), ("max", "max_val"))
    bounds = [next((call[n] for n in either if n in call.arguments), None) for either in names]
    if any(isinstance(bound, Activation | Parameter) for bound in bounds):
        return _clamp_between(call, bounds)
    low, high = (None if bound is None else float(bound) for bound in bounds)
    low, high = (None if low == -math.inf else low), (None if high == math.inf else high)
    if low is not None and high is not None and low > high:
        low = high  # torch.clamp gives max everywhere
    return _clamp(low, high)(call)


def _clamp_between(call: TorchCall, bounds: list[Operand | None]) -> Activation:
    """A clamp to tensors; the upper bound is applied last, as in PyTorch."""
    value = call.activation("self")
    for op, bound in zip(("maximum", "minimum"), bounds, strict=True):
        if bound is not None:
            value = _element_wise(call, op, (value, bound))
    return value


def _extremum(op: str) -> Mapper:
    def mapped(call: TorchCall) -> Activation:
        return _element_wise(call, op, _operands(call))

    return mapped


def _prelu(call: TorchCall) -> Activation:
    """prelu has slopes along axis 1, _prelu_kernel slopes that broadcast."""
    x, slopes = call.activation("self"), call["weight"]
    if call.op == "prelu":
        slopes = call.parameter("weight")
        rank = len(x.shape)
        shape = (1, slopes.data.size) + (1,) * (rank - 2) if rank > 1 else (slopes.data.size,)
        slopes = Parameter(slopes.name, slopes.data.reshape(shape))
    return _element_wise(call, "prelu", (x, slopes))


def _function(name: str) -> Mapper:
    def mapped(call: TorchCall) -> Activation:
        return call.node("lookup", [call.activation("self").tensor], Lookup(name))

    return mapped


def _parametric(name: str, *arguments: str) -> Mapper:
    """A function whose parameters are numbers of the call."""

    def mapped(call: TorchCall) -> Activation:
        parameters = tuple(float(call[argument]) for argument in arguments)
        return call.node("lookup", [call.activation("self").tensor], Lookup(name, parameters))

    return mapped


def _celu(call: TorchCall) -> Activation:
    alpha = float(call["alpha"])
    if alpha == 0:
        raise RefusalError("alpha=0 is not supported; use relu")
    return call.node(
        "lookup", [call.activation("self").tensor], Lookup("elu", (alpha, 1.0, 1.0 / alpha))
    )


def _selu(call: TorchCall) -> Activation:
    return call.node("lookup", [call.activation("self").tensor], Lookup("elu", SELU))


def _gelu(call: TorchCall) -> Activation:
    approximate = call.arguments.get("approximate", "none")
    return _function("gelu" if approximate == "none" else "gelu_tanh")(call)


def _power(call: TorchCall) -> Activation:
    x, exponent = call["self"], call["exponent"]
    if not isinstance(x, Activation) or not isinstance(exponent, int | float):
        raise RefusalError("only powers of a map with a number as exponent are supported")
    if exponent == 1:
        return x
    named = {2: "square", 0.5: "sqrt", -0.5: "rsqrt", -1: "reciprocal"}.get(exponent)
    attributes = Lookup("power", (float(exponent),)) if named is None else Lookup(named)
    return call.node("lookup", [x.tensor], attributes)


ELEMENTWISE_MAPPERS: Mapping[str, Mapper] = {
    **{name: _function(ours) for name, ours in FUNCTIONS.items()},
    "add": _add,
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
