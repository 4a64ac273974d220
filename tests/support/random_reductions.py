# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategies for layers that reduce a map over its whole height."""

from __future__ import annotations

from hypothesis import strategies as st

from edgekit.ir import Call
from edgekit.ops.average_pool2d import AveragePool2d
from edgekit.ops.fully_connected import FullyConnected
from edgekit.ops.max_pool2d import MaxPool2d
from edgekit.ops.mean import Mean
from edgekit.ops.sum import Sum
from edgekit.window import Axis, Window
from support.random_calls import BOUNDS, CHANNELS, SIZES, Draw, _activation, _call, _weights


@st.composite
def reduction(draw: Draw) -> Call:
    """mean or sum over the height and what follows it, of a map or of a vector of pixels."""
    shape = (1, *(draw(SIZES) for _ in range(draw(st.integers(1, 2)))), draw(CHANNELS))
    axes = tuple(range(1, draw(st.integers(2, len(shape)))))
    op, attributes = draw(st.sampled_from((("mean", Mean), ("sum", Sum))))
    return _call(draw, op, attributes(axes, draw(st.booleans())), [_activation(draw, shape)])


@st.composite
def width_reduction(draw: Draw) -> Call:
    """mean or sum over columns, or over the channels of each pixel: rows stay rows."""
    x = _activation(draw, (1, draw(SIZES), draw(SIZES), draw(CHANNELS)))
    axes = draw(st.sampled_from(((2,), (3,), (2, 3))))
    op, attributes = draw(st.sampled_from((("mean", Mean), ("sum", Sum))))
    return _call(draw, op, attributes(axes, True), [x])


@st.composite
def pooling(draw: Draw) -> Call:
    """A pooling whose window spans the height; in width it slides."""
    height, kernel, stride, dilation = (draw(st.integers(1, top)) for top in (9, 4, 3, 2))
    rows = Axis(height, draw(st.integers(1, 4)))
    columns = Axis(kernel, stride, dilation)
    width = columns.extent + draw(st.integers(0, 6))
    x = _activation(draw, (1, height, width, draw(CHANNELS)))
    window = Window(rows, columns)
    if draw(st.booleans()):
        return _call(draw, "max_pool2d", MaxPool2d(window, *draw(BOUNDS)), [x])
    attributes = AveragePool2d(window, draw(st.booleans()), *draw(BOUNDS))
    return _call(draw, "average_pool2d", attributes, [x])


@st.composite
def classifier(draw: Draw) -> Call:
    """fully_connected over a whole map, flattened by itself or before."""
    height, width, channels = draw(SIZES), draw(SIZES), draw(CHANNELS)
    elements, outputs = height * width * channels, draw(CHANNELS)
    shape = draw(st.sampled_from(((1, elements), (1, height, width, channels))))
    weights = _weights(draw, (outputs, elements), outputs)
    attributes = FullyConnected(False, *draw(BOUNDS))
    return _call(draw, "fully_connected", attributes, [_activation(draw, shape), *weights])


REDUCTIONS: dict[str, st.SearchStrategy[Call]] = {
    "classifier": classifier(),
    "pooling": pooling(),
    "reduction": reduction(),
}
"""A strategy for every family of operators whose kernels accumulate."""

WIDTH_REDUCTIONS = width_reduction()
