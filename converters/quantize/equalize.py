# SPDX-License-Identifier: Apache-2.0
"""Cross-layer equalization: channels between two layers get alike ranges; the function stays the same.

Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019. With
r1 and r2 the largest weights of channel i in the layer in front and behind, s = sqrt(r1 / r2) divides
the one and multiplies the other. What lies between must be positively homogeneous: no activation, ReLU,
leaky ReLU, pooling. ReLU6 is not: its bound would differ from channel to channel, which no operator
here computes; such channels stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgekit.converters.quantize.options import QuantizeOptions
from edgekit.converters.quantize.reweight import (
    Parameters,
    bias_or_zeros,
    has_weights,
    with_parameters,
)
from edgekit.ir import Array, Call, Graph, Node
from edgekit.ops._weight_channels import (
    OUTPUT_AXIS,
    by_input_channel,
    per_input_channel,
    per_output_channel,
)
from edgekit.ops._weighted import BIAS, INPUT, WEIGHTS, fused_clamp

MAX_SWEEPS = 20
SETTLED = 1.01
"""A sweep that changes no channel by a larger factor is the last one."""
HOMOGENEOUS = ("max_pool2d", "average_pool2d", "mean")
"""Operators that scale with their input, channel by channel, where their clamp does too."""


@dataclass(frozen=True)
class EqualizedPair:
    """Two layers with equalized channels between them, and the largest factor that it took."""

    front: Node
    behind: Node
    largest_factor: float


def equalize(graph: Graph, options: QuantizeOptions) -> tuple[Graph, tuple[EqualizedPair, ...]]:
    """The same float function (but for rounding) with equalized channels, and where."""
    pairs = [
        (front, behind) for front, behind in equalizable_pairs(graph) if options.of(front).equalize
    ]
    totals = {(f.name, b.name): np.ones(_channels(graph, f)) for f, b in pairs}
    for _ in range(MAX_SWEEPS):
        largest = 1.0
        for front, behind in pairs:
            factors = _factors(graph.call(_now(graph, front)), graph.call(_now(graph, behind)))
            graph = _scaled(graph, _now(graph, front), _now(graph, behind), factors)
            totals[front.name, behind.name] *= factors
            largest = max(largest, float(np.maximum(factors, 1.0 / factors).max()))
        if largest <= SETTLED:
            break
    changed = tuple(
        EqualizedPair(front, behind, _span(totals[front.name, behind.name]))
        for front, behind in pairs
    )
    return graph.verify(), changed


def equalizable_pairs(graph: Graph) -> list[tuple[Node, Node]]:
    """Layers with weights whose channels may be scaled between them, in order."""
    readers, producers = graph.consumers(), graph.producer()
    results = {port.tensor for port in graph.outputs}
    pairs = []
    for behind in graph.nodes:
        call = graph.call(behind)
        if not has_weights(call):
            continue
        name = behind.inputs[INPUT]
        while (front := producers.get(name)) is not None:
            if len(readers[name]) != 1 or name in results:
                front = None
                break
            between = graph.call(front)
            if has_weights(between) or not _is_homogeneous(between):
                break
            name = front.inputs[0]
        if front is not None and _fits(graph.call(front), call):
            pairs.append((front, behind))
    return pairs


def _is_homogeneous(call: Call) -> bool:
    """Whether scaling a channel of the input scales the same channel of the output."""
    op, attributes = call.node.op, call.node.attributes
    if op == "reshape":
        shapes = call.inputs[0].shape, call.output.shape
        return all(shape[-1] == call.output.elements for shape in shapes)
    if op == "lookup":
        return bool(attributes.function == "leaky_relu")
    if op == "pad":
        return bool(attributes.value == 0.0 and attributes.before[-1] == attributes.after[-1] == 0)
    if op == "requantize":
        return _scales(attributes.minimum, attributes.maximum)
    if op == "mean" and len(call.inputs[0].shape) - 1 in attributes.axes:
        return False
    return op in HOMOGENEOUS and _scales(*_clamp(call))


def _clamp(call: Call) -> tuple[float | None, float | None]:
    return fused_clamp(call) if hasattr(call.node.attributes, "activation_min") else (None, None)


def _scales(minimum: float | None, maximum: float | None) -> bool:
    return minimum in (None, 0.0) and maximum in (None, 0.0)


def _fits(front: Call, behind: Call) -> bool:
    """Whether the layers see the same channels, and the clamp between them scales."""
    if not has_weights(front) or not _scales(*fused_clamp(front)):
        return False
    channels = front.output.shape[-1]
    if behind.node.op == "fully_connected":
        return behind.inputs[WEIGHTS].shape[1] == channels
    return behind.inputs[INPUT].shape[-1] == channels


def _now(graph: Graph, node: Node) -> Node:
    """The node of that name in the graph as it is by now."""
    return next(other for other in graph.nodes if other.name == node.name)


def _channels(graph: Graph, front: Node) -> int:
    return graph.call(front).output.shape[-1]


def _factors(front: Call, behind: Call) -> Array:
    """s for every channel between the layers; 1 where a side is dead."""
    weights = np.abs(front.constant(WEIGHTS).astype(np.float64))
    axes = tuple(axis for axis in range(weights.ndim) if axis != OUTPUT_AXIS[front.node.op])
    before = weights.max(axis=axes)
    after = np.abs(by_input_channel(behind.node.op, behind.constant(WEIGHTS), len(before)))
    after = after.astype(np.float64).max(axis=1)
    alive = (before > 0) & (after > 0)
    safe = np.where(alive, before, 1.0) / np.where(alive, after, 1.0)
    return np.where(alive, np.sqrt(safe), 1.0)


def _scaled(graph: Graph, front: Node, behind: Node, factors: Array) -> Graph:
    """The channels between the layers divided by their factors."""
    before, after = graph.call(front), graph.call(behind)
    weights, readers = (call.constant(WEIGHTS).astype(np.float64) for call in (before, after))
    divisors = per_output_channel(front.op, weights.shape, factors)
    bias = bias_or_zeros(before) / factors if len(before.inputs) > BIAS else None
    multipliers = per_input_channel(behind.op, readers.shape, factors)
    changes = {
        front.name: Parameters(weights / divisors, bias),
        behind.name: Parameters(readers * multipliers),
    }
    return with_parameters(graph, changes)


def _span(factors: Array) -> float:
    """How far apart the factors of a pair's channels are."""
    return float(factors.max() / factors.min())
