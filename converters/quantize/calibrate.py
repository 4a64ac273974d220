# SPDX-License-Identifier: Apache-2.0
"""One run of the float model over calibration samples: statistics of activations, first outputs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edgekit.converters.quantize.histogram import Histogram
from edgekit.errors import BadInputError
from edgekit.interpret import interpret_float
from edgekit.ir import Array, Graph

FloatSample = tuple[Array, ...]
"""One float32 array for every input, NHWC with the batch dimension 1."""
Range = tuple[float, float]
MOMENTUM = 0.9
"""What a moving average keeps of itself when a sample comes."""


@dataclass(frozen=True, eq=False)
class Statistics:
    """What was seen of one activation, over all samples.

    ``average`` is the moving average of the minima and of the maxima of the samples; ``centers``
    and ``masses`` are the bins of a histogram that hold anything, None where none was asked for.
    """

    extremes: Range
    average: Range
    centers: Array | None = None
    masses: Array | None = None


@dataclass(frozen=True, eq=False)
class Calibration:
    """What a float model did on its samples.

    ``statistics`` has an entry for every activation by tensor name, over all samples;
    ``samples`` are the first ones, and ``outputs[sample][output]`` what the model computed for them.
    """

    statistics: Mapping[str, Statistics]
    samples: tuple[FloatSample, ...]
    outputs: tuple[tuple[Array, ...], ...]

    @property
    def ranges(self) -> Mapping[str, Range]:
        """(minimum, maximum) of every activation by tensor name."""
        return {name: statistics.extremes for name, statistics in self.statistics.items()}


def calibrate(
    graph: Graph, samples: Iterable[FloatSample], *, kept: int = 0, histograms: bool = False
) -> Calibration:
    """Run a float graph over all samples; the first ``kept`` stay with their outputs.

    Memory does not grow with the number of samples, but for those that are kept.

    Raises:
        BadInputError: there is no sample, or a value of the model is NaN or infinite.
    """
    observers: dict[str, _Observer] = {}
    first: list[FloatSample] = []
    outputs: list[tuple[Array, ...]] = []
    for sample in samples:
        values = interpret_float(graph, sample)
        for name, array in values.items():
            if name not in observers:
                observers[name] = _Observer(name, Histogram() if histograms else None)
            observers[name].observe(array)
        if len(first) < kept:
            first.append(sample)
            outputs.append(tuple(values[port.tensor] for port in graph.outputs))
    if not observers:
        raise BadInputError("calibration: there is no sample; give at least one")
    statistics = {name: observer.statistics() for name, observer in observers.items()}
    return Calibration(statistics, tuple(first), tuple(outputs))


class _Observer:
    """The statistics of one activation as they grow."""

    def __init__(self, name: str, histogram: Histogram | None) -> None:
        self._name = name
        self._histogram = histogram
        self._extremes: Range | None = None
        self._average: Range = (0.0, 0.0)

    def observe(self, array: Array) -> None:
        low, high = float(array.min()), float(array.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise BadInputError(
                f"tensor '{self._name}': the float model computes NaN or Inf on a sample; "
                "check the weights and the calibration data"
            )
        if self._extremes is None:
            self._extremes = self._average = (low, high)
        else:
            self._extremes = (min(self._extremes[0], low), max(self._extremes[1], high))
            self._average = (_moved(self._average[0], low), _moved(self._average[1], high))
        if self._histogram is not None:
            self._histogram.add(array, peak=max(-low, high))

    def statistics(self) -> Statistics:
        assert self._extremes is not None
        if self._histogram is None:
            return Statistics(self._extremes, self._average)
        masses = self._histogram.masses()
        filled = masses > 0
        return Statistics(
            self._extremes, self._average, self._histogram.centers[filled], masses[filled]
        )


def _moved(average: float, value: float) -> float:
    return MOMENTUM * average + (1.0 - MOMENTUM) * value
