# SPDX-License-Identifier: Apache-2.0
"""Random networks with dead channels: without them every output stays what it was."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
from hypothesis import given, settings
from support.graphs import HALF_3, SAME_3, square
from support.planter import Planter, macs, without_dead

from edgekit.converters.channels.dead import remove_dead_channels
from edgekit.ir import QGraph, constant
from edgekit.ops.add import Add
from edgekit.ops.average_pool2d import AveragePool2d
from edgekit.ops.concat import Concat
from edgekit.ops.conv2d import Conv2d
from edgekit.ops.depthwise_conv2d import DepthwiseConv2d
from edgekit.ops.fully_connected import FullyConnected
from edgekit.ops.lookup import Lookup
from edgekit.ops.max_pool2d import MaxPool2d
from edgekit.ops.mul import Mul
from edgekit.ops.pad import Pad
from edgekit.ops.slice import axis_slice
from edgekit.window import Axis

POINTWISE = square(Axis(1))
KINDS = ["dw", "residual", "pool", "mul", "pad", "concat", "slice", "lookup", "grouped"]


@st.composite
def networks(draw: st.DrawFn) -> QGraph:
    """Chains with residual sums whose weights have planted zeros and saturating biases."""
    b = Planter("random", seed=draw(st.integers(0, 2**16)))
    size = draw(st.integers(3, 7)), draw(st.integers(3, 7))
    x = b.input("x", (1, *size, draw(st.integers(1, 4))))
    for _ in range(draw(st.integers(1, 6))):
        x = _layer(draw, b, x)
    outputs = [x]
    if draw(st.booleans()):
        flat = b.reshape(x, (1, int(np.prod(b.shape(x)))))
        outputs = [b.layer("fully_connected", FullyConnected(), flat, 3)]
        if draw(st.booleans()):
            outputs.append(b.layer("conv2d", Conv2d(POINTWISE), x, 2))
    return b.graph(*outputs)


def _layer(draw: st.DrawFn, b: Planter, x: str) -> str:
    kind = draw(st.sampled_from(["conv"] * 4 + KINDS))
    inputs = b.shape(x)[-1]
    axis = draw(
        st.sampled_from([Axis(1), SAME_3, HALF_3, Axis(2, 1, 1, 0, 1), Axis(3, 1, 2, 2, 2)])
    )
    if min(b.shape(x)[1:3]) < 2:
        axis = Axis(1)
    low = draw(st.sampled_from([None, 0.0]))
    if kind in ("concat", "slice", "lookup", "grouped"):
        return _moved(draw, b, x, kind)
    if kind == "mul":
        return b.node("mul", Mul(), x, b.constant((inputs,)))
    if kind == "pad":
        return b.node("pad", Pad((0, 1, 0, 0), (0, 0, 1, 0)), x)
    if kind == "pool":
        pool = draw(st.sampled_from(["average_pool2d", "max_pool2d"]))
        same = square(SAME_3)
        attributes: Any = MaxPool2d(same)
        if pool == "average_pool2d":
            attributes = AveragePool2d(same, count_padding=draw(st.booleans()))
        return b.node(pool, attributes, x)
    if kind == "residual":
        y = _weighted(draw, b, x, "conv2d", Conv2d(square(SAME_3), low, None), inputs)
        return b.node("add", Add(low, None), x, y)
    if kind == "dw":
        outputs = inputs * draw(st.integers(1, 2))
        attributes = DepthwiseConv2d(square(axis), low, None)
        return _weighted(draw, b, x, "depthwise_conv2d", attributes, outputs)
    outputs = draw(st.integers(1, 6))
    return _weighted(draw, b, x, "conv2d", Conv2d(square(axis), low, 2.0), outputs)


def _moved(draw: st.DrawFn, b: Planter, x: str, kind: str) -> str:
    shape = b.shape(x)
    if kind == "grouped":
        groups = 2 if shape[3] % 2 == 0 else 1
        weights = np.array(b.constant((4, 3, 3, shape[3] // groups), scale=0.4).data)
        weights[draw(st.integers(0, 3))] = 0
        named = constant(f"grouped_{x}", weights)
        return b.node("conv2d", Conv2d(square(SAME_3)), x, named, b.constant((4,)))
    if kind == "lookup":
        return b.node("lookup", Lookup("hard_swish"), x)
    if kind == "slice":
        begin = draw(st.integers(0, shape[3] - 1))
        size = draw(st.integers(1, shape[3] - begin))
        return b.node("slice", axis_slice(shape, 3, begin, size), x)
    other = _weighted(draw, b, x, "conv2d", Conv2d(POINTWISE), draw(st.integers(1, 4)))
    return b.node("concat", Concat(3), *draw(st.permutations([x, other])))


def _weighted(draw: st.DrawFn, b: Planter, x: str, op: str, attributes: Any, outputs: int) -> str:
    inputs = b.shape(x)[-1]
    some_outputs = st.sets(st.integers(0, outputs - 1)).map(lambda s: tuple(sorted(s)))
    some_inputs = st.sets(st.integers(0, inputs - 1)).map(lambda s: tuple(sorted(s)))
    bias = draw(st.dictionaries(st.integers(0, outputs - 1), st.sampled_from([-60.0, 0.0, 0.8])))
    columns = draw(some_inputs) if op == "conv2d" else ()
    return b.layer(
        op, attributes, x, outputs, zero_rows=draw(some_outputs), zero_columns=columns, bias=bias
    )


@given(networks())
@settings(max_examples=150, deadline=None)
def test_random_networks_compute_the_same(graph: QGraph) -> None:
    live = without_dead(graph)
    again = remove_dead_channels(live)
    assert macs(again) == macs(live)
