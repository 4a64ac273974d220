# SPDX-License-Identifier: Apache-2.0
"""How far an integer model is from its float model: SQNR and cosine of every activation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.converters.quantize.calibrate import FloatSample
from edgekit.converters.quantize.real import dequantized, quantized_sample
from edgekit.interpret import interpret, interpret_float
from edgekit.ir import Array, Graph, QGraph

LARGEST_DB = 200.0
"""What stands for no difference at all, and the negative of it for nothing but difference."""


@dataclass(frozen=True)
class Distance:
    """The signal-to-quantization-noise ratio in decibels and the cosine, over all samples."""

    sqnr_db: float
    cosine: float


class DistanceSums:
    """The sums behind a Distance as samples come."""

    def __init__(self) -> None:
        self._exact = self._approximate = self._product = self._error = 0.0

    def add(self, exact: Array, approximate: Array) -> None:
        x, y = (array.astype(np.float64).reshape(-1) for array in (exact, approximate))
        self._exact += float((x * x).sum())
        self._approximate += float((y * y).sum())
        self._product += float((x * y).sum())
        self._error += float(((x - y) ** 2).sum())

    def distance(self) -> Distance:
        lengths = math.sqrt(self._exact * self._approximate)
        cosine = self._product / lengths if lengths else float(self._exact == self._approximate)
        return Distance(_decibels(self._exact, self._error), min(cosine, 1.0))


def _decibels(signal: float, noise: float) -> float:
    if noise == 0.0:
        return LARGEST_DB
    if signal == 0.0:
        return -LARGEST_DB
    return max(-LARGEST_DB, min(LARGEST_DB, 10.0 * math.log10(signal / noise)))


@dataclass(frozen=True)
class Measured:
    """The outputs of a model against the float one: the worst distance, and the share of samples
    whose largest output is their label (None without labels).
    """

    distance: Distance
    top1: float | None


def measure_outputs(
    graph: QGraph,
    samples: Sequence[FloatSample],
    exact: Sequence[Sequence[Array]],
    labels: Sequence[int] | None,
) -> Measured:
    """The integer model against the float outputs ``exact[sample][output]``."""
    ports = [graph.tensors[port.tensor] for port in graph.inputs]
    results = [graph.tensors[port.tensor] for port in graph.outputs]
    sums = [DistanceSums() for _ in results]
    hits = 0
    for number, (sample, expected) in enumerate(zip(samples, exact, strict=True)):
        found = interpret(graph, quantized_sample(sample, ports), outputs_only=True)
        for total, tensor, values in zip(sums, results, expected, strict=True):
            total.add(values, dequantized(found[tensor.name], tensor))
        if labels is not None:
            hits += int(found[results[0].name].argmax()) == labels[number]
    worst = min((total.distance() for total in sums), key=lambda d: d.sqnr_db)
    return Measured(worst, None if labels is None else hits / len(samples))


def float_top1(exact: Sequence[Sequence[Array]], labels: Sequence[int] | None) -> float | None:
    """The share of samples whose largest float output is their label."""
    if labels is None:
        return None
    return sum(int(e[0].argmax()) == label for e, label in zip(exact, labels, strict=True)) / len(
        exact
    )


def measure_layers(
    float_graph: Graph, graph: QGraph, samples: Iterable[FloatSample]
) -> Mapping[str, Distance]:
    """The distance of every activation that both graphs have, by tensor name."""
    ports = [graph.tensors[port.tensor] for port in graph.inputs]
    sums: dict[str, DistanceSums] = {}
    for sample in samples:
        exact = interpret_float(float_graph, sample)
        found = interpret(graph, quantized_sample(sample, ports))
        for name, values in found.items():
            tensor = graph.tensors[name]
            if name in exact and tensor.quantization is not None:
                total = sums.setdefault(name, DistanceSums())
                total.add(exact[name], dequantized(values, tensor))
    return {name: total.distance() for name, total in sums.items()}
