# SPDX-License-Identifier: Apache-2.0
"""Least and greatest integer of every channel over all pixels and all inputs (interval arithmetic).

A channel is an index of the last dimension. Bounds are never too narrow, so a channel whose two
bounds meet is constant; what an operator is not known to keep apart gets the range of its type.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.ir import INTEGER_RANGE, Array, Call, QGraph, Tensor
from edgekit.ops import operator_of

ELEMENTWISE = frozenset(
    {
        *("add", "leaky_relu", "lookup", "maximum", "minimum", "mul", "prelu", "requantize"),
        "sub",
    }
)
"""Operators whose result at an element depends on that element of each operand only."""


@dataclass(frozen=True, eq=False)
class Bounds:
    """``low`` and ``high`` of every channel, int64 (channels,)."""

    low: Array
    high: Array

    @property
    def is_constant(self) -> Array:
        return np.asarray(self.low == self.high)

    def clipped(self, minimum: int, maximum: int) -> Bounds:
        return Bounds(np.clip(self.low, minimum, maximum), np.clip(self.high, minimum, maximum))

    def joined(self, other: Bounds) -> Bounds:
        """Bounds of channels that come from either side."""
        return Bounds(np.minimum(self.low, other.low), np.maximum(self.high, other.high))

    def at(self, channels: Array) -> Bounds:
        return Bounds(self.low[channels], self.high[channels])


Transfer = Callable[[Call, Sequence[Bounds]], Bounds | None]
"""Bounds of the output of a call from those of its inputs; None where nothing is known."""


def channel_count(tensor: Tensor) -> int:
    return tensor.shape[-1] if tensor.shape else 1


def full_range(tensor: Tensor) -> Bounds:
    """What the type of a tensor can hold."""
    low, high = INTEGER_RANGE.get(tensor.dtype, (-(2**63), 2**63 - 1))
    count = channel_count(tensor)
    return Bounds(np.full(count, low, np.int64), np.full(count, high, np.int64))


def channel_bounds(graph: QGraph, transfers: Mapping[str, Transfer]) -> dict[str, Bounds]:
    """The bounds of every activation, by tensor name."""
    found = {port.tensor: full_range(graph.tensors[port.tensor]) for port in graph.inputs}
    for call in graph.calls():
        known = [found[t.name] if t.data is None else _of_constant(t) for t in call.inputs]
        transfer = elementwise if call.node.op in ELEMENTWISE else transfers.get(call.node.op)
        bounds = None if transfer is None else transfer(call, known)
        found[call.output.name] = full_range(call.output) if bounds is None else bounds
    return found


def _of_constant(tensor: Tensor) -> Bounds:
    assert tensor.data is not None
    if tensor.dtype == "float32":
        return full_range(tensor)
    values = tensor.data.reshape(-1, channel_count(tensor)).astype(np.int64)
    return Bounds(values.min(axis=0), values.max(axis=0))


def elementwise(call: Call, inputs: Sequence[Bounds]) -> Bounds | None:
    """From the operator's own results for all integers: nothing needs to be monotone."""
    if not 1 <= len(inputs) <= 2 or any(tensor.dtype != "int8" for tensor in call.inputs):
        return None
    channels = channel_count(call.output)
    boxes = np.stack(
        [
            np.broadcast_to(bound, (channels,))
            for source in inputs
            for bound in (source.low, source.high)
        ],
        axis=1,
    )
    table = _results(call)
    unique, inverse = np.unique(boxes, axis=0, return_inverse=True)
    parts = [table[tuple(slice(a + 128, b + 129) for a, b in box.reshape(-1, 2))] for box in unique]
    low = np.array([part.min() for part in parts], np.int64)[inverse.reshape(-1)]
    high = np.array([part.max() for part in parts], np.int64)[inverse.reshape(-1)]
    return Bounds(low, high)


def _results(call: Call) -> Array:
    """The results for every int8 (256,), or for every pair of them (256, 256)."""
    every, count = np.arange(-128, 128).astype(np.int8), len(call.inputs)
    axes = [every.reshape([-1 if i == j else 1 for j in range(count)]) for i in range(count)]
    return operator_of(call.node).evaluate(call, axes).reshape((256,) * count)
