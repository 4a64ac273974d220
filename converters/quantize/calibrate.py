# SPDX-License-Identifier: Apache-2.0
"""Ranges of activations: the least and greatest value of every tensor over calibration samples."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from edgekit.errors import BadInputError
from edgekit.interpret import interpret_float
from edgekit.ir import Array, Graph


def calibrate(
    graph: Graph, samples: Iterable[tuple[Array, ...]]
) -> Mapping[str, tuple[float, float]]:
    """(minimum, maximum) of every activation of a float graph, by tensor name.

    Each sample has one float32 array for every input, NHWC with the batch dimension 1.

    Raises:
        BadInputError: there is no sample, or a value of the model is NaN or infinite.
    """
    ranges: dict[str, tuple[float, float]] = {}
    for sample in samples:
        for name, array in interpret_float(graph, sample).items():
            low, high = float(array.min()), float(array.max())
            if not (math.isfinite(low) and math.isfinite(high)):
                raise BadInputError(
                    f"tensor '{name}': the float model computes NaN or Inf on a sample; "
                    "check the weights and the calibration data"
                )
            known = ranges.get(name, (low, high))
            ranges[name] = (min(known[0], low), max(known[1], high))
    if not ranges:
        raise BadInputError("calibration: there is no sample; give at least one")
    return ranges
