# SPDX-License-Identifier: Apache-2.0
"""From statistics of activations to the ranges that int8 spans: minima and maxima, or clipped ones.

Clipping what is rare makes the steps finer for all the rest. Percentile drops a share of the values;
MSE minimizes the mean squared error of quantization; entropy minimizes the Kullback-Leibler divergence
between the values and their quantized form (Migacz, "8-bit Inference with TensorRT", 2017). The last
two search over fractions of the extremes on a histogram.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import numpy as np

from edgekit.converters.quantize.calibrate import Range, Statistics
from edgekit.converters.quantize.options import Method, QuantizeOptions
from edgekit.converters.quantize.scales import LEVELS, quantization_of
from edgekit.converters.quantize.sharing import shared_ranges
from edgekit.ir import Array, Graph

FRACTIONS = np.linspace(1.0, 0.2, 81)
"""Of an extreme: what the searches try, the widest first, so that it wins where nothing is gained."""
SEARCH_ROUNDS = 2
Loss = Callable[[Statistics, Range], float]


def choose_ranges(
    graph: Graph, statistics: Mapping[str, Statistics], options: QuantizeOptions
) -> dict[str, Range]:
    """The range of every activation, by tensor name; equal where operators need equal scales."""
    layers = {name: options.of(node) for node in graph.nodes for name in node.outputs}
    chosen: dict[str, Range] = {}
    for name, seen in statistics.items():
        layer = layers.get(name)
        if layer is not None and layer.range is not None:
            chosen[name] = layer.range
            continue
        method = options.method if layer is None or layer.method is None else layer.method
        percentile = layer.percentile if layer is not None else None
        chosen[name] = range_of(seen, method, percentile=percentile or options.percentile)
    return shared_ranges(graph, chosen)


def range_of(statistics: Statistics, method: Method, *, percentile: float = 99.99) -> Range:
    """The range that a method finds in the statistics of one activation."""
    if method == "minmax":
        return statistics.extremes
    if method == "moving_average":
        return statistics.average
    if method == "percentile":
        return _percentile_range(statistics, percentile)
    if method == "mse":
        return _searched(statistics, squared_error)
    return _searched_together(statistics, divergence)


def _histogram(statistics: Statistics) -> tuple[Array, Array]:
    assert statistics.centers is not None and statistics.masses is not None
    return statistics.centers, statistics.masses


def _percentile_range(statistics: Statistics, percentile: float) -> Range:
    """Without the values beyond the percentile on either side; never wider than the extremes."""
    centers, masses = _histogram(statistics)
    cumulative = np.cumsum(masses)
    dropped = int(cumulative[-1] * (100.0 - percentile) / 100.0)
    low = centers[np.searchsorted(cumulative, dropped, side="right")]
    high = centers[np.searchsorted(cumulative, cumulative[-1] - dropped, side="left")]
    least, most = statistics.extremes
    kept_all = dropped == 0
    return (
        least if kept_all else max(least, float(low)),
        most if kept_all else min(most, float(high)),
    )


def _searched(statistics: Statistics, loss: Loss) -> Range:
    """The fractions of both extremes with the least loss, one after the other."""
    low, high = _with_zero(statistics.extremes)
    best = [low, high]
    for _ in range(SEARCH_ROUNDS):
        for side, extreme in ((1, high), (0, low)):
            if extreme == 0.0:
                continue
            candidates = [
                (best[0], extreme * f) if side else (extreme * f, best[1]) for f in FRACTIONS
            ]
            best[side] = min(candidates, key=functools.partial(loss, statistics))[side]
    return best[0], best[1]


def _searched_together(statistics: Statistics, loss: Loss) -> Range:
    """One fraction for both extremes, as the published method has a single threshold."""
    low, high = _with_zero(statistics.extremes)
    return min(
        ((low * f, high * f) for f in map(float, FRACTIONS)),
        key=functools.partial(loss, statistics),
    )


def _with_zero(extremes: Range) -> Range:
    return min(extremes[0], 0.0), max(extremes[1], 0.0)


def _levels(centers: Array, bounds: Range) -> tuple[Array, float, int]:
    """The int8 level of each value, counted from 0, and the scale and zero point."""
    quantization = quantization_of(*bounds)
    steps = np.rint(centers / quantization.scale) + (quantization.zero_point + 128)
    levels = np.clip(steps, 0, LEVELS).astype(np.int64)
    return levels, quantization.scale, quantization.zero_point + 128


def squared_error(statistics: Statistics, bounds: Range) -> float:
    """The summed squared error of quantization with a range."""
    centers, masses = _histogram(statistics)
    levels, scale, zero_level = _levels(centers, bounds)
    errors = (levels - zero_level) * scale - centers
    return float((masses * errors * errors).sum())


def divergence(statistics: Statistics, bounds: Range) -> float:
    """KL(values clipped to the range || the same spread evenly within each of its levels).

    Every range represents zeros exactly: those that ReLU makes do not count.
    """
    centers, masses = _histogram(statistics)
    low, high = bounds
    inside = (centers >= low) & (centers <= high)
    if not inside.any():
        return float("inf")
    kept = _without_peak_at_zero(centers, masses)[inside]
    clipped = kept.copy()
    clipped[0] += masses[centers < low].sum()
    clipped[-1] += masses[centers > high].sum()
    levels, _, _ = _levels(centers[inside], bounds)
    per_level = np.bincount(levels, kept) / np.maximum(np.bincount(levels), 1)
    spread = per_level[levels]
    p, q = clipped / clipped.sum(), spread / spread.sum()
    return float((p * np.log(p / q)).sum())


def _without_peak_at_zero(centers: Array, masses: Array) -> Array:
    """The masses with no more in the bin that holds 0 than in the next one."""
    lowered = masses.astype(np.float64)
    first = int(np.searchsorted(centers, 0.0))
    if first + 1 < len(lowered):
        lowered[first] = min(lowered[first], lowered[first + 1])
    return lowered
