# SPDX-License-Identifier: Apache-2.0
"""Random one-node integer models that a given kernel accepts, and inputs for them, from a seed.

They come from the strategies of the hypothesis tests, from ``weighted_layers``, and from the named
edge cases of the operators; the integer parameters are then replaced by any that are legal.
"""

from __future__ import annotations

import dataclasses
import functools
import random as standard
from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st

from edgekit.errors import EdgekitError
from edgekit.ir import INTEGER_RANGE, Array, Call, QGraph, Tensor
from edgekit.kernel import Kernel
from edgekit.ops import operators
from edgekit.ops._accumulators import ACCUMULATOR_LIMIT
from edgekit.ops._int16_cases import int16_graph
from edgekit.ops._operator import Operator
from edgekit.ops._weight_channels import OUTPUT_AXIS
from edgekit.ops._weighted import WEIGHTS
from edgekit.ops.add import with_int16_shifts
from support.conformance import model_inputs, noise, only_call
from support.kernels import zero_point
from support.random_calls import CALLS, quantized
from support.random_elementwise import ELEMENTWISE_CALLS
from support.random_movement import MOVEMENT_CALLS
from support.random_reductions import REDUCTIONS, WIDTH_REDUCTIONS
from support.random_spatial import SPATIAL_CALLS
from support.seeded_draws import drawn
from support.weighted_layers import (
    GEOMETRIES,
    MULTIPLIERS,
    Random,
    fills_lanes,
    pick,
    weighted_layer,
)

ATTEMPTS = 400
"""Layers that may be drawn until a kernel accepts one."""

MOST_ELEMENTS = 4000
"""Of a map of a case."""

_E = {**ELEMENTWISE_CALLS, **MOVEMENT_CALLS, **SPATIAL_CALLS, **REDUCTIONS, **CALLS}
STRATEGIES: Mapping[str, tuple[st.SearchStrategy[Call], ...]] = {
    "add": (_E["elementwise"],),
    "argmax": (_E["argmax"],),
    "average_pool2d": (_E["average_pool2d"], _E["pooling"]),
    "batch_matmul": (_E["batch_matmul"],),
    "concat": (_E["concat"], _E["concat_constant"]),
    "depth_to_space": (_E["blocks"],),
    "fully_connected": (_E["fully_connected"], _E["classifier"]),
    "l2_normalization": (_E["rows"],),
    "layer_normalization": (_E["layer_normalization"],),
    "log_softmax": (_E["rows"],),
    "lookup": (_E["lookup"],),
    "max_pool2d": (_E["max_pool2d"], _E["pooling"]),
    "maximum": (_E["extremum"],),
    "mean": (_E["mean"], _E["reduction"], WIDTH_REDUCTIONS),
    "minimum": (_E["extremum"],),
    "mul": (_E["elementwise"],),
    "pad": (_E["pad"], _E["mirror_pad"], _E["pad_value"]),
    "prelu": (_E["prelu"],),
    "reduce_min": (_E["reduce_min"],),
    "requantize": (_E["requantize"],),
    "resize_bilinear": (_E["resize_bilinear"],),
    "resize_nearest": (_E["resize_nearest"],),
    "slice": (_E["slice"],),
    "softmax": (_E["softmax"],),
    "space_to_depth": (_E["blocks"],),
    "squared_difference": (_E["squared_difference"],),
    "sub": (_E["difference"],),
    "sum": (_E["sum"], _E["reduction"], WIDTH_REDUCTIONS),
    "tile": (_E["tile"],),
    "transpose": (_E["transpose"],),
    "transposed_conv2d": (_E["transposed_conv2d"],),
}
"""Strategies that draw calls of an operator, some of them of others too."""
_SCALED = ("multiplier", "output_multiplier", "identity_multiplier", "slope_multiplier")


def random_layer(operator: Operator, kernel: Kernel, random: Random) -> Call:
    """A call that the kernel accepts and whose 32-bit sums cannot overflow."""
    for _ in range(ATTEMPTS):
        graph = _drawn_graph(operator, kernel, random)
        if graph is None or not _serves(operator, kernel, graph):
            continue
        other = graph if random.random() < 0.4 else stressed(graph, random)
        return only_call(other if _serves(operator, kernel, other) else graph)
    raise AssertionError(f"{kernel.symbol} accepts none of {ATTEMPTS} random {operator.name}")


def _serves(operator: Operator, kernel: Kernel, graph: QGraph) -> bool:
    call = only_call(graph)
    return call.node.op == operator.name and kernel.refusal(call) is None and _sums_fit(call)


def _sums_fit(call: Call) -> bool:
    bound = operators()[call.node.op].accumulator_bound(call)
    return call.activations[0].dtype != "int8" or bound is None or bound < ACCUMULATOR_LIMIT


def _drawn_graph(operator: Operator, kernel: Kernel, random: Random) -> QGraph | None:
    graph = _base(operator, kernel, random)
    if graph is None or only_call(graph).node.op != operator.name:
        return None
    is_int8 = only_call(graph).activations[0].dtype == "int8"
    return _as_int16(graph, random) if is_int8 and "int8" not in kernel.element_types else graph


def _base(operator: Operator, kernel: Kernel, random: Random) -> QGraph | None:
    """A layer of a generator, a strategy, or (always where there is neither) a named case."""
    strategies = STRATEGIES.get(operator.name, ())
    choice = random.random()
    if operator.name in GEOMETRIES and choice < 0.9:
        return weighted_layer(operator.name, random)
    if strategies and len(set(kernel.element_types)) == 1 and choice < 0.95:
        call = drawn(pick(random, strategies), standard.Random(int(random.integers(2**62))))
        if call is None:
            return None
        return quantized(_with_one_scale(call) if random.random() < 0.3 else call)
    return _small(pick(random, _served(operator, kernel)), random)


@functools.cache
def _served(operator: Operator, kernel: Kernel) -> tuple[QGraph, ...]:
    """The named cases that the kernel accepts."""
    graphs = (case.graph for case in operator.cases())
    return tuple(graph for graph in graphs if kernel.refusal(only_call(graph)) is None)


def _small(graph: QGraph, random: Random) -> QGraph | None:
    """A case of many pixels with few of them, where all of its maps have one shape."""
    if all(tensor.elements <= MOST_ELEMENTS for tensor in graph.tensors.values()):
        return graph
    shapes = {tensor.shape for tensor in graph.tensors.values()}
    if len(shapes) > 1 or any(tensor.is_constant for tensor in graph.tensors.values()):
        return None
    shape = (1, *(pick(random, (1, 2, 3, 5, 8, 13)) for _ in range(len(shapes.pop()) - 1)))
    tensors = {n: dataclasses.replace(t, shape=shape) for n, t in graph.tensors.items()}
    inputs, outputs = (
        tuple(dataclasses.replace(port, source_shape=shape) for port in ports)
        for ports in (graph.inputs, graph.outputs)
    )
    small = dataclasses.replace(graph, tensors=tensors, inputs=inputs, outputs=outputs)
    try:
        return small.verify()
    except EdgekitError:
        return None


def _with_one_scale(call: Call) -> Call:
    """The same call with one scale and zero point for all activations, where it may have one."""
    shared = call.activations[0].quantization

    def tensor(old: Tensor) -> Tensor:
        has_scale = old.data is None and old.quantization is not None
        return dataclasses.replace(old, quantization=shared) if has_scale else old

    changed = dataclasses.replace(
        call, inputs=tuple(map(tensor, call.inputs)), outputs=tuple(map(tensor, call.outputs))
    )
    try:
        operators()[call.node.op].verify(changed)
        operators()[call.node.op].quantize(changed)
    except (EdgekitError, ValueError):
        return call
    return changed if call.node.op not in ("softmax", "log_softmax", "l2_normalization") else call


def _unchanged(arithmetic: Any) -> Any:
    return arithmetic


def _as_int16(graph: QGraph, random: Random) -> QGraph | None:
    adjust = with_int16_shifts if graph.nodes[0].op in ("add", "sub") else _unchanged
    try:
        return int16_graph(graph, adjust=adjust, bias=pick(random, ("int64", "int32")))
    except EdgekitError:
        return None


def stressed(graph: QGraph, random: Random) -> QGraph:
    """The same model with other factors and clamps; as it was where they are not legal."""
    (node,) = graph.nodes
    if node.op in (*GEOMETRIES, "softmax", "log_softmax", "fixed_point_sigmoid"):
        return graph
    fields = {field.name for field in dataclasses.fields(node.arithmetic)}
    changes: dict[str, Any] = {}
    for name in (*_SCALED, "multipliers"):
        if name in fields and random.random() < 0.7:
            changes |= _factor(name, getattr(node.arithmetic, name), random)
    if {"minimum", "maximum"} <= fields and random.random() < 0.5:
        low, high = INTEGER_RANGE[graph.tensors[node.outputs[0]].dtype]
        ends = sorted(int(v) for v in random.integers(low, high + 1, 2))
        changes |= {"minimum": pick(random, (low, ends[0])), "maximum": ends[1]}
    changed = dataclasses.replace(node, arithmetic=dataclasses.replace(node.arithmetic, **changes))
    try:
        return dataclasses.replace(graph, nodes=(changed,)).verify()
    except EdgekitError:
        return graph


def _factor(name: str, old: Any, random: Random) -> dict[str, Any]:
    """A multiplier and its shift, or one of each for every operand."""
    count = len(old) if isinstance(old, tuple) else 1
    large = [int(v) for v in random.integers(2**30, 2**31, count)]
    multipliers = [pick(random, MULTIPLIERS) if random.random() < 0.3 else v for v in large]
    usual = random.random() < 0.7
    shifts = [int(v) for v in random.integers(*((-9, 1) if usual else (-31, 31)), count)]
    shift = name.replace("multiplier", "shift")
    if isinstance(old, tuple):
        return {name: tuple(multipliers), shift: tuple(shifts)}
    return {name: multipliers[0], shift: shifts[0]}


def random_inputs(call: Call, random: Random) -> tuple[Array, ...]:
    """An array for every activation: noise, ends, or what drives the sums of a channel furthest."""
    if call.node.op in OUTPUT_AXIS:
        weights = call.constant(WEIGHTS)
        taps = weights.size // weights.shape[OUTPUT_AXIS[call.node.op]]
        if random.random() < (0.7 if fills_lanes(taps) else 0.3):
            return (_towards_an_end(call, random),)
    return tuple(_values(tensor, random) for tensor in model_inputs(call))


def _values(tensor: Tensor, random: Random) -> Array:
    values, ends = noise(tensor, random), INTEGER_RANGE[tensor.dtype]
    match int(random.integers(0, 8)):
        case 0:
            return np.full_like(values, pick(random, (*ends, zero_point(tensor))))
        case 1 | 2:
            at_ends = random.random(values.shape) < 0.4
            return np.where(at_ends, random.choice(ends, values.shape), values).astype(values.dtype)
        case 3:
            near = zero_point(tensor) + random.integers(-3, 4, values.shape)
            return np.clip(near, *ends).astype(values.dtype)
        case _:
            return values


def _towards_an_end(call: Call, random: Random) -> Array:
    """Inputs at the ends of their type, by the signs of the weights that they meet."""
    x, weights = call.inputs[0], call.constant(WEIGHTS)
    low, high = INTEGER_RANGE[x.dtype]
    last = weights.shape[OUTPUT_AXIS[call.node.op]] - 1  # of a pair the one with fewer bits
    channel = pick(random, (last, int(random.integers(last + 1))))
    if call.node.op == "depthwise_conv2d":
        signs = weights[0][..., :: weights.shape[3] // x.shape[3]]
    else:
        signs = weights[channel]
    signs = signs * pick(random, (1, -1))
    repeats = [-(-size // n) for size, n in zip(x.shape[-signs.ndim :], signs.shape, strict=False)]
    if signs.ndim == 1:
        tiled = np.resize(signs, x.shape)
    else:
        height, width = x.shape[1:3]
        tiled = np.tile(signs, repeats)[:height, :width, : x.shape[3]][None]
    return np.where(tiled > 0, high, low).astype(x.dtype)
