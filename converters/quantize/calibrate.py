# SPDX-License-Identifier: Apache-2.0
"""One run of the float model over calibration samples: ranges of activations, and first outputs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edgekit.errors import BadInputError
from edgekit.interpret import interpret_float
from edgekit.ir import Array, Graph

FloatSample = tuple[Array, ...]
"""One float32 array for every input, NHWC with the batch dimension 1."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """What a float model did on its samples.

    ``ranges`` has (minimum, maximum) of every activation by tensor name, over all samples;
    ``samples`` are the first ones, and ``outputs[sample][output]`` what the model computed for them.
    """

    ranges: Mapping[str, tuple[float, float]]
    samples: tuple[FloatSample, ...]
    outputs: tuple[tuple[Array, ...], ...]


def calibrate(graph: Graph, samples: Iterable[FloatSample], *, kept: int = 0) -> Calibration:
    """Run a float graph over all samples; the first ``kept`` stay with their outputs.

    Raises:
        BadInputError: there is no sample, or a value of the model is NaN or infinite.
    """
    ranges: dict[str, tuple[float, float]] = {}
    first: list[FloatSample] = []
    outputs: list[tuple[Array, ...]] = []
    for sample in samples:
        results = _observe(graph, sample, ranges)
        if len(first) < kept:
            first.append(sample)
            outputs.append(results)
    if not ranges:
        raise BadInputError("calibration: there is no sample; give at least one")
    return Calibration(ranges, tuple(first), tuple(outputs))


def _observe(
    graph: Graph, sample: FloatSample, ranges: dict[str, tuple[float, float]]
) -> tuple[Array, ...]:
    """The outputs for a sample; ``ranges`` are widened by its activations."""
    values = interpret_float(graph, sample)
    for name, array in values.items():
        low, high = float(array.min()), float(array.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise BadInputError(
                f"tensor '{name}': the float model computes NaN or Inf on a sample; "
                "check the weights and the calibration data"
            )
        known = ranges.get(name, (low, high))
        ranges[name] = (min(known[0], low), max(known[1], high))
    return tuple(values[port.tensor] for port in graph.outputs)
