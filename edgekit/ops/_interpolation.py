# SPDX-License-Identifier: Apache-2.0
"""Tables of 513 entries over all int16 values, read with linear interpolation, as TensorFlow Lite's.

An entry is the function at every 128th input, corrected by half of the interpolation's error in the
middle of the interval behind it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgekit.arith import round_half_away
from edgekit.ir import Array

INTERVALS = 512
_LOWEST, _HIGHEST = -32768, 32767


def interpolated_table(
    function: Callable[[Array], Array], low: float, high: float, *, scale: float
) -> Array:
    """int16 (513,): ``function`` over [low, high] in steps of 1 / scale."""
    step = (high - low) / INTERVALS
    places = low + np.arange(INTERVALS) * step
    values = round_half_away(function(places) * scale)
    next_values = function(low + np.arange(1, INTERVALS + 1) * step) * scale
    middle = round_half_away(function(places + step / 2) * scale)
    error = round_half_away((next_values + values) / 2) - middle
    entries = values - round_half_away(error / 2)
    last = round_half_away(function(np.array([high])) * scale)
    table: Array = np.clip(np.concatenate([entries, last]), _LOWEST, _HIGHEST).astype(np.int16)
    return table


def interpolate(table: Array, x: Array) -> Array:
    """The table's value for int16 inputs (int64 arrays in and out)."""
    entries = table.astype(np.int64)
    index = 256 + (x >> 7)
    base = entries[index]
    # The slope has 16 bits.
    slope = entries[index + 1] - base
    value: Array = base + ((slope * (x & 0x7F) + 64) >> 7)
    return value
