# SPDX-License-Identifier: Apache-2.0
"""A quantized model in a runtime that computes in float between integers, judged layer by layer.

onnxruntime and PyTorch are no exact judges. From the same integers, their results may differ from the
reference's by one output step on a few elements, for reasons that no importer can mend:

- they scale sums by a float32 factor and round once, halves to even; the reference multiplies by a
  31-bit integer and shifts by e bits, rounding both times, halves away from zero, as TensorFlow
  Lite does. One sum in 2^(e + 2) lies where that makes a difference: below 0.4% where a layer sums
  hundreds of products, more in small ones, whose e is 3 to 5;
- averages of an even number of integers are halves as often as one in that number, as are means
  between rows and columns;
- a bias that the file keeps in float is rounded to the scale of the sums;
- the reference's softmax has 8 bits, and its result gets the scale of the file afterwards.

A step in front of a layer changes many results behind it, so the ends of a deep network say little:
every layer is also computed from the runtime's own integers in front of it, and this is judged. No
element may be off by more than a step, and 0.5% of them may be, besides those that the roundings
above explain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgekit.inputs import quantize_array
from edgekit.ir import Array, Call, QGraph
from edgekit.manifest import TensorEntry
from edgekit.ops import operator_of
from edgekit.ops.lookup import LookupArithmetic

LARGEST_DIFFERENCE = 1
LARGEST_SHARE = 0.005
"""Steps, and the share of elements besides explained ones, by which a runtime may differ."""

MOVES = frozenset(
    {
        *("concat", "depth_to_space", "lookup", "max_pool2d", "pad", "reshape", "resize_nearest"),
        *("slice", "space_to_depth", "tile", "transpose"),
    }
)
"""Operators that are exact, whatever they work on."""


@dataclass(frozen=True)
class QuantizedSource:
    """The file, and its names for the integers behind tensors of the reference."""

    model: bytes
    levels: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class SourceRun:
    """What the runtime computed for a sample, as integers of the reference.

    ``levels`` are activations by tensor name, in the layout of the reference.
    """

    outputs: tuple[Array, ...]
    levels: Mapping[str, Array]


@dataclass(frozen=True)
class LayerCount:
    """Elements of layers, those that differ, and about how many may by the ways to round."""

    elements: int = 0
    mismatches: int = 0
    max_abs_diff: int = 0
    explained: float = 0.0
    layers: int = 0

    def with_layer(
        self, graph: QGraph, call: Call, ours: Array, theirs: Array, varied: bool
    ) -> LayerCount:
        """The count with another layer; without its elements unless they are ``varied``."""
        difference = np.abs(ours.astype(np.int64) - theirs)
        largest = max(self.max_abs_diff, int(difference.max(initial=0)))
        if not varied:
            return replace(self, max_abs_diff=largest, layers=self.layers + 1)
        return LayerCount(
            self.elements + difference.size,
            self.mismatches + int(np.count_nonzero(difference)),
            largest,
            self.explained + rounding_share(graph, call) * difference.size,
            self.layers + 1,
        )

    @property
    def tolerated(self) -> bool:
        few = self.mismatches - self.explained <= LARGEST_SHARE * self.elements
        return bool(self.layers) and self.max_abs_diff <= LARGEST_DIFFERENCE and few


def count_layers(
    graph: QGraph, samples: Sequence[Sequence[Array]], runs: Sequence[SourceRun]
) -> LayerCount:
    """Every layer of the reference computed from the runtime's integers in front of it.

    A layer behind something that it computes in float is left out. Maps of one value, as
    the extremes are, say nothing about shares: all their elements may lie next to the same half.
    """
    total = LayerCount()
    for sample, run in zip(samples, runs, strict=True):
        varied = any(array.min() != array.max() for array in sample)
        values = {port.tensor: array for port, array in zip(graph.inputs, sample, strict=True)}
        shared = set(values)
        for call in graph.calls():
            name = call.output.name
            operands = [
                tensor.data if tensor.data is not None else values[tensor.name]
                for tensor in call.inputs
            ]
            values[name] = operator_of(call.node).evaluate(call, operands)
            known = all(tensor.name in shared for tensor in call.activations)
            if name in run.levels:
                if known:
                    total = total.with_layer(graph, call, values[name], run.levels[name], varied)
                values[name] = run.levels[name]
            if name in run.levels or (known and call.node.op in MOVES):
                shared.add(name)
    return total


def rounding_share(graph: QGraph, call: Call) -> float:
    """The share of results of a layer that are next to a half, where the two may round apart."""
    arithmetic = call.node.arithmetic
    if isinstance(arithmetic, LookupArithmetic):
        sources = [node for node in graph.nodes if node.outputs[0] in call.node.inputs]
        return 1.0 if any(node.op == "softmax" for node in sources) else 0.0
    if call.node.op == "concat":
        return 0.0  # quantize/given.py lets it copy
    if call.node.op == "average_pool2d":
        return 0.25  # windows of four taps at a border
    if call.node.op == "resize_bilinear":
        return 0.125  # twice the size: in sixteenths of a step, in quarters at a border
    if (output_shift := getattr(arithmetic, "output_shift", None)) is not None:
        shifts = [output_shift]
    elif (shift := getattr(arithmetic, "shift", None)) is not None:
        shifts = [shift]
    else:
        shifts = list(getattr(arithmetic, "shifts", (-31,)))
    return float(np.mean([2.0 ** min(shift - 2, 0) for shift in shifts]))


def activation_levels(value: Array) -> Array:
    """Levels of a runtime, channels first and perhaps uint8, as those of the reference."""
    value = value.transpose(0, 2, 3, 1) if value.ndim == 4 else value
    if value.dtype == np.uint8:
        value = (value.astype(np.int16) - 128).astype(np.int8)
    return value


def port_levels(value: Array, entry: TensorEntry) -> Array:
    """An output of a runtime as the integers of the manifest."""
    if entry.layout == "NCHW":
        value = value.transpose(0, 2, 3, 1)
    if value.dtype == np.float32:
        value = quantize_array(value, entry)
    elif value.dtype == np.uint8:
        value = (value.astype(np.int16) - 128).astype(np.int8)
    elif value.dtype == np.int64:
        value = value.astype(np.int32)
    return value.reshape(entry.shape)
