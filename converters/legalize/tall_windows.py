# SPDX-License-Identifier: Apache-2.0
"""Windows taller than the row driver's pointers are laid along a row, exactly, as views.

A kernel as long as a sequence on H, a global pooling of a large map: the rows driver hands out at
most MAX_ROWS row pointers, but the width of a window has no bound. Nothing moves in memory.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from edgekit.converters.legalize.rewrite import Rewrite, Rules, View
from edgekit.ir import INTEGER_RANGE, Array, Node, Shape, Tensor, constant
from edgekit.ops.reshape import Reshape, ReshapeArithmetic
from edgekit.program import MAX_ROWS
from edgekit.window import Axis, Window

WEIGHTS = 1
WEIGHTED = ("conv2d", "depthwise_conv2d")
POOLS = ("average_pool2d", "max_pool2d")
Reweight = Callable[[Array], Array]


def swap_axes(view: View, node: Node) -> Rewrite | None:
    """A map one column wide is also a map one row high."""
    window = _tall_window(node)
    source, result = view.tensor(node.inputs[0]).shape, view.tensor(node.outputs[0]).shape
    if window is None or source[2] != 1 or result[2] != 1 or window.width.kernel > MAX_ROWS:
        return None
    swapped = Window(window.width, window.height)
    return _as_row(view, node, swapped, (1, 1, source[1], source[3]), _swap_weights)


def flatten_whole_map(view: View, node: Node) -> Rewrite | None:
    """A window over exactly the whole map is one over its pixels in a row."""
    window = _tall_window(node)
    _, height, width, channels = view.tensor(node.inputs[0]).shape
    if window is None or (window.height.kernel, window.width.kernel) != (height, width):
        return None
    if any(a.pad_before or a.pad_after or a.dilation > 1 for a in (window.height, window.width)):
        return None
    flat = Window(Axis(1), Axis(height * width))
    return _as_row(view, node, flat, (1, 1, height * width, channels), _flatten_weights)


def columns_as_channels(view: View, node: Node) -> Rewrite | None:
    """A pooling along H alone treats columns as it does channels."""
    window = _tall_window(node)
    if window is None or window.width != Axis(1, 1, window.width.dilation):
        return None
    _, height, width, channels = view.tensor(node.inputs[0]).shape
    row = Window(Axis(1), window.height)
    return _as_row(view, node, row, (1, 1, height, width * channels), None)


def split_maximum(view: View, node: Node) -> Rewrite | None:
    """The maximum over a window is that over the columns of the maxima of its rows."""
    window = _tall_window(node)
    if window is None or window.width == Axis(1):
        return None
    source, result = view.tensor(node.inputs[0]), view.tensor(node.outputs[0])
    low, high = INTEGER_RANGE[source.dtype]
    name = f"{node.name}/columns"
    shape = (1, source.shape[1], result.shape[2], source.shape[3])
    along_row = dataclasses.replace(
        node,
        name=name,
        outputs=(name,),
        attributes=type(node.attributes)(Window(Axis(1), window.width)),
        arithmetic=dataclasses.replace(node.arithmetic, minimum=low, maximum=high),
    )
    rows = dataclasses.replace(node.attributes, window=Window(window.height, Axis(1)))
    down = dataclasses.replace(node, inputs=(name,), attributes=rows)
    return Rewrite(
        (node,), (along_row, down), (dataclasses.replace(source, name=name, shape=shape),)
    )


def _tall_window(node: Node) -> Window | None:
    window: Window = node.attributes.window
    return window if window.height.kernel > MAX_ROWS else None


def _swap_weights(weights: Array) -> Array:
    return weights.transpose(0, 2, 1, 3)


def _flatten_weights(weights: Array) -> Array:
    return weights.reshape(weights.shape[0], 1, -1, weights.shape[3])


def _as_row(
    view: View, node: Node, window: Window, shape: Shape, reweight: Reweight | None
) -> Rewrite:
    """The node between two views, over a map of ``shape`` (one row)."""
    source, result = view.tensor(node.inputs[0]), view.tensor(node.outputs[0])
    before, after = f"{node.name}/row", f"{node.name}/row_result"
    inputs, tensors = [before, *node.inputs[1:]], list[Tensor]()
    if node.op in WEIGHTED:
        assert reweight is not None
        data = np.ascontiguousarray(reweight(view.call(node).constant(WEIGHTS)))
        inputs[WEIGHTS] = f"{node.name}/row_weights"
        tensors.append(constant(inputs[WEIGHTS], data))
    row_width = window.width.output_size(shape[2])
    channels = result.elements // row_width
    tensors.append(dataclasses.replace(source, name=before, shape=shape))
    tensors.append(dataclasses.replace(result, name=after, shape=(1, 1, row_width, channels)))
    attributes: Any = dataclasses.replace(node.attributes, window=window)
    inner = dataclasses.replace(node, inputs=tuple(inputs), outputs=(after,), attributes=attributes)
    return Rewrite(
        (node,),
        (
            _view_node(before, node, node.inputs[0], before, shape),
            inner,
            _view_node(f"{node.name}/map", node, after, node.outputs[0], result.shape),
        ),
        tuple(tensors),
    )


def _view_node(name: str, node: Node, source: str, result: str, shape: Shape) -> Node:
    reshape = Reshape(shape)
    return Node(name, "reshape", (source,), (result,), reshape, ReshapeArithmetic(), node.source)


TALL_WINDOW_RULES: Rules = {
    **dict.fromkeys(WEIGHTED, (swap_axes, flatten_whole_map)),
    "average_pool2d": (swap_axes, columns_as_channels, flatten_whole_map),
    "max_pool2d": (swap_axes, columns_as_channels, flatten_whole_map, split_maximum),
}
"""For integer graphs."""
