# SPDX-License-Identifier: Apache-2.0
"""ONNX's element-wise arithmetic, clamps and activation functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

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
from edgekit.converters.nchw.graph import Activation, Parameter, RefusalError
from edgekit.converters.onnx.call import OnnxCall
from edgekit.converters.onnx.mapper import Mapper

FUNCTIONS: Mapping[str, str] = {
    "Abs": "abs",
    "Cos": "cos",
    "Erf": "erf",
    "Exp": "exp",
    "HardSwish": "hard_swish",
    "Log": "log",
    "Mish": "mish",
    "Reciprocal": "reciprocal",
    "Sigmoid": "sigmoid",
    "Sin": "sin",
    "Softsign": "softsign",
    "Sqrt": "sqrt",
    "Tanh": "tanh",
}
"""ONNX's functions without parameters, and ours."""


def _pair(call: OnnxCall) -> tuple[Operand, Operand]:
    return call.operand("A", "X"), call.operand("B", "Y")


def _binary(op: str) -> Mapper:
    def mapped(call: OnnxCall) -> Activation:
        return element_wise(call, op, _pair(call))

    return mapped


def _variadic(op: str) -> Mapper:
    """Max, Min and Sum of any number of operands."""

    def mapped(call: OnnxCall) -> Activation:
        operands = [value for values in call.arguments.values() if isinstance(values, list)
                    for value in values if isinstance(value, Activation | Parameter)]  # fmt: skip
        operands.sort(key=lambda value: not isinstance(value, Activation))
        first = operands[0]
        if not isinstance(first, Activation):
            raise RefusalError("it is computed from constants only; precompute it")
        if len(operands) == 1:
            return first
        for operand in operands[1:]:
            first = element_wise(call, op, (first, operand))
        return first

    return mapped


def _subtract(call: OnnxCall) -> Activation:
    return difference(call, *_pair(call))


def _divide(call: OnnxCall) -> Activation:
    return quotient(call, *_pair(call))


def _negate(call: OnnxCall) -> Activation:
    return element_wise(call, "mul", (call.activation("X"), -1.0))


def _power(call: OnnxCall) -> Activation:
    x, exponent = call.operand("X"), call.operand("Y")
    if not isinstance(x, Activation) or not isinstance(exponent, Parameter):
        raise RefusalError("only powers of a map with a constant exponent are supported")
    if exponent.data.size != 1:
        raise RefusalError(f"exponents of shape {exponent.shape} are not supported; use one number")
    return power(call, x, float(exponent.data.reshape(())))


def _relu(call: OnnxCall) -> Activation:
    return clamped(call, call.activation("X"), 0.0, None)


def _clip(call: OnnxCall) -> Activation:
    low, high = call.number("min"), call.number("max")
    low = None if low is None or low <= -3.4e38 else low
    high = None if high is None or high >= 3.4e38 else high
    return clamped(call, call.activation("input"), low, high)


def _function(name: str) -> Mapper:
    def mapped(call: OnnxCall) -> Activation:
        return function(call, call.activation("X", "input", "x"), name)

    return mapped


def _parametric(name: str, parameters: Callable[[OnnxCall], tuple[float, ...]]) -> Mapper:
    """A function whose parameters are attributes of the node."""

    def mapped(call: OnnxCall) -> Activation:
        return function(call, call.activation("X", "input"), name, *parameters(call))

    return mapped


def _celu(call: OnnxCall) -> tuple[float, ...]:
    alpha = float(call["alpha"])
    if alpha == 0:
        raise RefusalError("alpha=0 is not supported; use Relu")
    return alpha, 1.0, 1.0 / alpha


def _hard_sigmoid(call: OnnxCall) -> Activation:
    """max(0, min(1, alpha * x + beta)); PyTorch's is the one with 1/6 and 1/2."""
    x, alpha, beta = call.activation("X"), float(call["alpha"]), float(call["beta"])
    if math.isclose(alpha, 1.0 / 6.0, rel_tol=1e-6) and beta == 0.5:
        return function(call, x, "hard_sigmoid")
    return function(call, x, "clipped_line", alpha, beta)


def _gelu(call: OnnxCall) -> Activation:
    approximate = call.arguments.get("approximate") or "none"
    if approximate not in ("none", "tanh"):
        raise RefusalError(f"approximate='{approximate}' is not supported; use none or tanh")
    return function(
        call, call.activation("X", "x"), "gelu" if approximate == "none" else "gelu_tanh"
    )


def _swish(call: OnnxCall) -> Activation:
    """x * sigmoid(alpha * x)."""
    x, alpha = call.activation("X"), float(call["alpha"])
    if alpha == 1.0:
        return function(call, x, "silu")
    inner = scaled(call, x, alpha)
    assert isinstance(inner, Activation)
    return element_wise(call, "mul", (x, function(call, inner, "sigmoid")))


def _prelu(call: OnnxCall) -> Activation:
    return element_wise(call, "prelu", (call.activation("X"), call.parameter("slope")))


ARITHMETIC_MAPPINGS: Mapping[str, Mapper] = {
    **{name: _function(ours) for name, ours in FUNCTIONS.items()},
    "Add": _binary("add"),
    "Celu": _parametric("elu", _celu),
    "Clip": _clip,
    "Div": _divide,
    "Elu": _parametric("elu", lambda call: (float(call["alpha"]), 1.0, 1.0)),
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "LeakyRelu": _parametric("leaky_relu", lambda call: (float(call["alpha"]),)),
    "Max": _variadic("maximum"),
    "Min": _variadic("minimum"),
    "Mul": _binary("mul"),
    "Neg": _negate,
    "PRelu": _prelu,
    "Pow": _power,
    "Relu": _relu,
    "Selu": _parametric("elu", lambda call: (float(call["alpha"]), float(call["gamma"]), 1.0)),
    "Softplus": _parametric("softplus", lambda call: (1.0, 1e9)),
    "Sub": _subtract,
    "Sum": _variadic("add"),
    "Swish": _swish,
}
