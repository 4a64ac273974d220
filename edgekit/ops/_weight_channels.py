# SPDX-License-Identifier: Apache-2.0
"""Which weights of a layer belong to which input and output channels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgekit.ir import Array, Shape

OUTPUT_AXIS: Mapping[str, int] = {
    "conv2d": 0,
    "depthwise_conv2d": 3,
    "fully_connected": 0,
    "transposed_conv2d": 0,
}
"""Operators with weights, and the axis of the weights that counts output channels."""


def per_output_channel(op: str, shape: Shape, vector: Array) -> Array:
    """The entry of ``vector`` of the output channel of every weight (broadcasting over ``shape``)."""
    axis = OUTPUT_AXIS[op]
    return vector.reshape([-1 if i == axis else 1 for i in range(len(shape))])


def per_input_channel(op: str, shape: Shape, vector: Array) -> Array:
    """The entry of ``vector`` of the input channel of every weight (broadcasting over ``shape``)."""
    if op == "depthwise_conv2d":
        return np.repeat(vector, shape[3] // vector.size)
    if op == "fully_connected":
        return vector
    by_group = vector.reshape(-1, shape[3])
    per_output = np.repeat(by_group, shape[0] // by_group.shape[0], axis=0)
    return per_output[:, np.newaxis, np.newaxis]


def by_input_channel(op: str, weights: Array, channels: int) -> Array:
    """The weights that read each input channel: (input channels, all of its weights)."""
    if op == "depthwise_conv2d":
        return np.moveaxis(weights[0], -1, 0).reshape(channels, -1)
    if op == "fully_connected":
        return weights.T
    grouped = weights.reshape(channels // weights.shape[3], -1, *weights.shape[1:])
    return np.moveaxis(grouped, -1, 1).reshape(channels, -1)
