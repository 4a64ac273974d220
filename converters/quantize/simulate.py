# SPDX-License-Identifier: Apache-2.0
"""An integer model in float arithmetic, with the weights and the outputs of some layers left in float.

It says what a layer costs: everything else is rounded to the grid of its scale, as the integer model
does it (but for the rounding of multipliers, which is far smaller).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from edgekit.converters.quantize.calibrate import FloatSample
from edgekit.converters.quantize.measure import Distance, DistanceSums
from edgekit.converters.quantize.real import dequantized, quantized_values
from edgekit.ir import Array, Call, Graph, QGraph, Tensor
from edgekit.ops import operator_of
from edgekit.ops._weight_channels import OUTPUT_AXIS, per_output_channel
from edgekit.ops._weighted import INPUT, WEIGHTS


def distance_with_float_layer(
    float_graph: Graph,
    graph: QGraph,
    samples: Sequence[FloatSample],
    exact: Sequence[Sequence[Array]],
    *,
    layer: str | None,
) -> Distance:
    """The worst output against the float one, where the layer of that name stays in float."""
    constants = {node.name: _grid_weights(graph.call(node)) for node in graph.nodes}
    results = [port.tensor for port in float_graph.outputs]
    sums = [DistanceSums() for _ in results]
    for sample, expected in zip(samples, exact, strict=True):
        values = _simulated(float_graph, graph, sample, constants, layer)
        for total, name, reference in zip(sums, results, expected, strict=True):
            total.add(reference, values[name])
    return min((total.distance() for total in sums), key=lambda d: d.sqnr_db)


def _simulated(
    float_graph: Graph,
    graph: QGraph,
    sample: FloatSample,
    constants: Mapping[str, Array | None],
    layer: str | None,
) -> dict[str, Array]:
    values: dict[str, Array] = {}
    for port, array in zip(float_graph.inputs, sample, strict=True):
        values[port.tensor] = _on_grid(array, graph.tensors[port.tensor])
    for port in float_graph.outputs:
        if (data := float_graph.tensors[port.tensor].data) is not None:
            values[port.tensor] = data
    for call in float_graph.calls():
        operands = [t.data if t.data is not None else values[t.name] for t in call.inputs]
        weights = constants.get(call.node.name)
        if weights is not None and call.node.name != layer:
            operands[WEIGHTS] = weights
        result = operator_of(call.node).evaluate_float(call, operands)
        name = call.output.name
        exact = call.node.name == layer
        values[name] = result if exact else _on_grid(result, graph.tensors[name])
    return values


def _on_grid(values: Array, tensor: Tensor) -> Array:
    if tensor.quantization is None:
        return values
    return dequantized(quantized_values(values, tensor), tensor)


def _grid_weights(call: Call) -> Array | None:
    """The real weights that the integers of a layer stand for, out of its multipliers."""
    if call.node.op not in OUTPUT_AXIS:
        return None
    source, result = call.inputs[INPUT].quantization, call.output.quantization
    assert source is not None and result is not None
    arithmetic = call.node.arithmetic
    factors = [
        math.ldexp(multiplier, shift - 31)
        for multiplier, shift in zip(arithmetic.multipliers, arithmetic.shifts, strict=True)
    ]
    scales = np.array(factors) * result.scale / source.scale
    weights = call.constant(WEIGHTS)
    real = weights * per_output_channel(call.node.op, weights.shape, scales)
    return real.astype(np.float32)


def isolated_distances(
    float_graph: Graph, graph: QGraph, samples: Sequence[FloatSample]
) -> dict[str, Distance]:
    """What every layer loses by itself, on the float model's activations, by node name."""
    constants = {node.name: _grid_weights(graph.call(node)) for node in graph.nodes}
    sums: dict[str, DistanceSums] = {}
    for sample in samples:
        names = [port.tensor for port in float_graph.inputs]
        values = dict(zip(names, sample, strict=True))
        for call in float_graph.calls():
            operands = [t.data if t.data is not None else values[t.name] for t in call.inputs]
            operator = operator_of(call.node)
            result = operator.evaluate_float(call, operands)
            values[call.output.name] = result
            weights = constants.get(call.node.name)
            if weights is not None:
                operands[WEIGHTS] = weights
            operands[INPUT] = _on_grid(operands[INPUT], graph.tensors[call.inputs[INPUT].name])
            approximate = operator.evaluate_float(call, operands)
            rounded = _on_grid(approximate, graph.tensors[call.output.name])
            sums.setdefault(call.node.name, DistanceSums()).add(result, rounded)
    return {name: total.distance() for name, total in sums.items()}
