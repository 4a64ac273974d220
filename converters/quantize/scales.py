# SPDX-License-Identifier: Apache-2.0
"""Scale and zero point of int8 for a range."""

from __future__ import annotations

from edgekit.arith import rounded_up
from edgekit.ir import Quantization

LEVELS = 255
SCALE_BITS = 16
LEAST_SCALE = 2.0**-40


def quantization_of(minimum: float, maximum: float) -> Quantization:
    """Scale and zero point of int8 for a range, which is widened to hold 0 exactly.

    The scale is rounded up to 16 significant bits: it survives every file format, and the last bits
    of the calibrated range, which differ between machines, do not reach it. A range of one point
    gives a scale of 1/255.
    """
    low, high = min(minimum, 0.0), max(maximum, 0.0)
    if high == low:
        high = 1.0
    scale = max(rounded_up((high - low) / LEVELS, bits=SCALE_BITS), LEAST_SCALE)
    zero_point = round(-128 - low / scale)
    return Quantization(scale, max(-128, min(127, zero_point)))
