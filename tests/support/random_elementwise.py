# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategies for differences, extrema, PReLU and lookup tables."""

from __future__ import annotations

import dataclasses
from typing import Any

from hypothesis import strategies as st

from edgekit.ir import Call, Quantization
from edgekit.ops.lookup import Lookup
from edgekit.ops.maximum import Maximum
from edgekit.ops.minimum import Minimum
from edgekit.ops.prelu import Prelu
from edgekit.ops.squared_difference import SquaredDifference
from edgekit.ops.sub import Sub
from support.random_calls import BOUNDS, CHANNELS, SIZES, Draw, _activation, _call, _constant

FUNCTIONS = (
    *("abs", "cos", "erf", "exp", "gelu", "gelu_tanh", "hard_sigmoid", "hard_swish", "mish"),
    *("sigmoid", "silu", "sin", "square", "tanh"),
)
"""Functions that are defined everywhere."""


def _operands(draw: Draw) -> list[Any]:
    """A map, and an operand that is full, per channel, per column or a scalar, constant or not."""
    height, width, channels = draw(SIZES), draw(SIZES), draw(CHANNELS)
    shapes = (
        (1, height, width, channels),
        (1, 1, 1, channels),
        (1, height, 1, channels),
        (1, 1, width, 1),
        (channels,),
        (),
    )
    shape = draw(st.sampled_from(shapes))
    make = _constant if len(shape) < 4 or draw(st.booleans()) else _activation
    return [_activation(draw, shapes[0]), make(draw, shape, name="second")]


def _either_order(draw: Draw, operands: list[Any]) -> list[Any]:
    return operands[:: draw(st.sampled_from((1, -1)))]


@st.composite
def difference(draw: Draw) -> Call:
    return _call(draw, "sub", Sub(*draw(BOUNDS)), _either_order(draw, _operands(draw)))


@st.composite
def squared_difference(draw: Draw) -> Call:
    """The output's step is no finer than what 7 bits of headroom leave of the squares."""
    first, second = _operands(draw)
    second = _activation(draw, second.shape, name="second")
    call = _call(
        draw, "squared_difference", SquaredDifference(), _either_order(draw, [first, second])
    )
    scales = [tensor.quantization.scale for tensor in call.inputs if tensor.quantization]
    result = Quantization(
        max(scales) ** 2 * draw(st.floats(2.0, 1000.0)), draw(st.integers(-128, 127))
    )
    return dataclasses.replace(
        call, outputs=(dataclasses.replace(call.output, quantization=result),)
    )


@st.composite
def extremum(draw: Draw) -> Call:
    op, attributes = draw(st.sampled_from((("minimum", Minimum()), ("maximum", Maximum()))))
    return _call(draw, op, attributes, _either_order(draw, _operands(draw)))


@st.composite
def prelu(draw: Draw) -> Call:
    return _call(draw, "prelu", Prelu(), _operands(draw))


@st.composite
def lookup(draw: Draw) -> Call:
    function = draw(st.sampled_from((*FUNCTIONS, "leaky_relu", "elu", "softplus")))
    parameters: tuple[float, ...] = ()
    if function == "leaky_relu":
        parameters = (draw(st.floats(-1.0, 2.0)),)
    elif function == "elu":
        parameters = tuple(draw(st.floats(0.25, 2.0)) for _ in range(3))
    elif function == "softplus":
        parameters = (draw(st.floats(0.5, 2.0)), 20.0)
    x = _activation(draw, (1, draw(SIZES), draw(SIZES), draw(CHANNELS)))
    return _call(draw, "lookup", Lookup(function, parameters), [x])


ELEMENTWISE_CALLS: dict[str, st.SearchStrategy[Call]] = {
    "difference": difference(),
    "squared_difference": squared_difference(),
    "extremum": extremum(),
    "prelu": prelu(),
    "lookup": lookup(),
}
"""A strategy for every family of operators of this file."""
