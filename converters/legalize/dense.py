# SPDX-License-Identifier: Apache-2.0
"""Dense layers over the pixels of a map become pointwise convolutions, which run row by row."""

from __future__ import annotations

import dataclasses

from edgekit.converters.legalize.rewrite import Rewrite, Rules, View
from edgekit.ir import Node, constant
from edgekit.ops.conv2d import Conv2d
from edgekit.window import Axis, Window

WEIGHTS = 1


def dense_to_pointwise(view: View, node: Node) -> Rewrite | None:
    """fully_connected of every pixel of a map, (outputs, inputs), with a window of one pixel."""
    call = view.call(node)
    shape, attributes = call.inputs[0].shape, node.attributes
    if not attributes.keep_dims or len(shape) != 4 or shape[1:3] == (1, 1):
        return None
    weights = call.constant(WEIGHTS)
    outputs, inputs = weights.shape
    pointwise = constant(f"{node.name}/pointwise", weights.reshape(outputs, 1, 1, inputs))
    clamp = (attributes.activation_min, attributes.activation_max)
    convolution = dataclasses.replace(
        node,
        op="conv2d",
        inputs=(node.inputs[0], pointwise.name, *node.inputs[WEIGHTS + 1 :]),
        attributes=Conv2d(Window(Axis(1), Axis(1)), *clamp),
    )
    return Rewrite((node,), (convolution,), (pointwise,))


DENSE_RULES: Rules = {"fully_connected": (dense_to_pointwise,)}
"""For float graphs."""
