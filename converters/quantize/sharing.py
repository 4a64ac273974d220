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
    fixed: set[str] = set()

    def leader(name: str) -> str:
        while leaders[name] != name:
            name = leaders[name]
        return name

    for call in graph.calls():
        result = call.output.name
        if shares_input(call):
            members = [call.inputs[0].name] if not call.inputs[0].is_constant else []
            if call.inputs[0].name in fixed:
                fixed.add(result)
        elif has_fixed_output(call):
            fixed.add(result)
            continue
        elif operator_of(call.node).wants_equal_scales:
            members = [t.name for t in call.activations if t.name not in fixed]
        else:
            continue
        for name in members:
            leaders[leader(name)] = leader(result)
    groups: dict[str, list[Range]] = {}
    for name, bounds in ranges.items():
        groups.setdefault(leader(name), []).append(bounds)
    return {name: _union(groups[leader(name)]) for name in ranges}


def shares_input(call: Call) -> bool:
    """Whether the output has the scale and zero point of the first input, whatever they are."""
    return _output_quantization(call) is _MARK


def has_fixed_output(call: Call) -> bool:
    """Whether the operator itself says what scale and zero point its output has."""
    return _output_quantization(call) not in (None, _MARK)


def _output_quantization(call: Call) -> Quantization | None:
    """What the operator says where its inputs are marked."""
    inputs = tuple(_marked(tensor) for tensor in call.inputs)
    marked = dataclasses.replace(call, inputs=inputs)
    return operator_of(call.node).output_quantization(marked)


def _marked(tensor: Tensor) -> Tensor:
    return tensor if tensor.is_constant else dataclasses.replace(tensor, quantization=_MARK)


def _union(ranges: list[Range]) -> Range:
    return min(low for low, _ in ranges), max(high for _, high in ranges)
