# SPDX-License-Identifier: Apache-2.0
"""One range for activations that meet in an operator that would rescale them otherwise.

A concatenation copies integers where its inputs and its output have one scale; TensorFlow Lite takes
nothing else. What an operator gives its output unchanged (pooling, reshape) hands the range on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from edgekit.converters.quantize.calibrate import Range
from edgekit.ir import Call, Graph, Quantization, Tensor
from edgekit.ops import operator_of

_MARK = Quantization(1.0, 1)


def shared_ranges(graph: Graph, ranges: Mapping[str, Range]) -> dict[str, Range]:
    """The ranges with one union for every group of activations that need equal scales."""
    leaders: dict[str, str] = {name: name for name in ranges}

    def leader(name: str) -> str:
        while leaders[name] != name:
            name = leaders[name]
        return name

    for call in graph.calls():
        result = call.output.name
        if operator_of(call.node).wants_equal_scales or shares_input(call):
            for tensor in call.activations:
                leaders[leader(tensor.name)] = leader(result)
    groups: dict[str, list[Range]] = {}
    for name, bounds in ranges.items():
        groups.setdefault(leader(name), []).append(bounds)
    return {name: _union(groups[leader(name)]) for name in ranges}


def shares_input(call: Call) -> bool:
    """Whether the output has the scale and zero point of the first input, whatever they are."""
    inputs = tuple(_marked(tensor) for tensor in call.inputs)
    marked = dataclasses.replace(call, inputs=inputs)
    return operator_of(call.node).output_quantization(marked) is _MARK


def _marked(tensor: Tensor) -> Tensor:
    return tensor if tensor.is_constant else dataclasses.replace(tensor, quantization=_MARK)


def _union(ranges: list[Range]) -> Range:
    return min(low for low, _ in ranges), max(high for _, high in ranges)
