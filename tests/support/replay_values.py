# SPDX-License-Identifier: Apache-2.0
"""Values of layers, from maps of which only some rows are known, and their bytes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgekit.ir import Array, Call, Tensor
from edgekit.layout import map_size
from edgekit.ops import operator_of
from edgekit.program import Step


def noise(tensor: Tensor) -> Array:
    random = np.random.default_rng(len(tensor.name))
    found: Array = random.integers(-128, 128, map_size(tensor.shape)).astype(tensor.dtype)
    return found


def row_of(values: Array, y: int) -> Array:
    return values[y : y + 1]


def evaluate(call: Call, maps: Mapping[str, Array]) -> Array:
    operator = operator_of(call.node)
    inputs = [
        tensor.data if tensor.data is not None else maps[tensor.name].reshape(tensor.shape)
        for tensor in call.inputs
    ]
    return operator.evaluate(call, inputs).reshape(map_size(call.output.shape))


def to_bytes(values: Array, step: Step) -> Array:
    """The bytes of rows (H, W, C) in the layout of the step's output."""
    if step.output.layout.kind == "nhwc":
        return np.ascontiguousarray(values).view(np.uint8).ravel()
    assert step.fill is not None
    return step.output.layout.to_memory(values, zero_point=step.fill).view(np.uint8).ravel()
