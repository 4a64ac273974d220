# SPDX-License-Identifier: Apache-2.0
"""Element-wise arithmetic of activations, constants and numbers, broadcast as in numpy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgekit.converters.nchw.graph import (
    TO_STORAGE,
    Activation,
    Parameter,
    RefusalError,
    SourceCall,
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

ATTRIBUTES: Mapping[str, Any] = {
    "add": Add(),
    "maximum": Maximum(),
    "minimum": Minimum(),
    "mul": Mul(),
    "prelu": Prelu(),
    "sub": Sub(),
}


def element_wise(call: SourceCall, op: str, operands: tuple[Operand, Operand]) -> Activation:
    """A node of two operands, at least one of which is an activation."""
    rank = len(call.shape)
    return call.node(op, [_operand(call, value, rank) for value in operands], ATTRIBUTES[op])


def _operand(call: SourceCall, value: Operand, rank: int) -> str:
    """The tensor of an operand, with leading dimensions of 1 up to ``rank``."""
    if isinstance(value, Activation):
        return call.builder.reshape(value, (1,) * (rank - len(value.shape)) + value.shape).tensor
    if isinstance(value, Parameter):
        data, name = value.data, value.name
    else:
        data, name = np.array(value, np.float32), f"{call.builder.name}/constant"
    data = data.reshape((1,) * (rank - data.ndim) + data.shape)
    return call.builder.constant(name, data.transpose(TO_STORAGE) if rank == 4 else data)


def scaled(call: SourceCall, value: Operand, factor: float) -> Operand:
    """An operand times a number."""
    if factor == 1:
        return value
    if isinstance(value, Activation):
        inputs = [value.tensor, _operand(call, factor, len(value.shape))]
        return Activation(call.builder.node("mul", inputs, Mul()), value.shape)
    if isinstance(value, Parameter):
        return Parameter(f"{value.name}/scaled", value.data * np.float32(factor))
    return value * factor


def difference(call: SourceCall, left: Operand, right: Operand) -> Activation:
    """A constant is added with the other sign: that folds into a layer in front."""
    if isinstance(right, Activation):
        return element_wise(call, "sub", (left, right))
    return element_wise(call, "add", (left, scaled(call, right, -1)))


def quotient(call: SourceCall, left: Operand, right: Operand) -> Activation:
    """Division is multiplication by the reciprocal, of a map too."""
    if isinstance(right, Activation):
        reciprocal = call.builder.node("lookup", [right.tensor], Lookup("reciprocal"))
        return element_wise(call, "mul", (left, Activation(reciprocal, right.shape)))
    values = right.data if isinstance(right, Parameter) else np.float32(right)
    if not np.all(values):
        raise RefusalError("the divisor holds a zero")
    name = right.name if isinstance(right, Parameter) else call.builder.name
    inverse = np.asarray(1.0 / np.asarray(values, np.float64), np.float32)
    return element_wise(call, "mul", (left, Parameter(f"{name}/reciprocal", inverse)))


def power(call: SourceCall, x: Activation, exponent: float) -> Activation:
    """A power with a number as exponent."""
    if exponent == 1:
        return x
    named = {2: "square", 0.5: "sqrt", -0.5: "rsqrt", -1: "reciprocal"}.get(exponent)
    attributes = Lookup("power", (float(exponent),)) if named is None else Lookup(named)
    return call.node("lookup", [x.tensor], attributes)


def clamped(
    call: SourceCall, x: Activation, minimum: float | None, maximum: float | None
) -> Activation:
    """A clamp to numbers; where they cross, the upper one is everywhere."""
    if minimum is not None and maximum is not None and minimum > maximum:
        minimum = maximum
    return call.node("requantize", [x.tensor], Requantize(minimum, maximum))


def function(call: SourceCall, x: Activation, name: str, *parameters: float) -> Activation:
    """A function of one variable, of ``edgekit.ops._unary_functions``."""
    return call.node("lookup", [x.tensor], Lookup(name, parameters))
