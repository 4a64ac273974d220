# SPDX-License-Identifier: Apache-2.0
"""A histogram that widens as it sees larger values, in bounded memory and in any order of samples.

Its width is a power of two and its bins split it evenly, so that the bins of a wider histogram are
unions of those of a narrower one: widening loses nothing but resolution, and the counts at the end do
not depend on which sample came first.
"""

from __future__ import annotations

import math

import numpy as np

from edgekit.ir import Array

BINS = 8192
"""Bins over [-width, width); at the worst a quarter of them spans the values of one sign."""
LEAST_EXPONENT = -100
"""Smaller values are all alike: the factor that scales them must be a float32."""
CHUNK = 2**20
"""Values that are counted at a time: their bin numbers need memory of their own."""


class Histogram:
    """Counts of values in BINS equal bins over [-width, width)."""

    def __init__(self) -> None:
        self.counts: Array = np.zeros(BINS, np.int64)
        self.exponent: int | None = None
        """The binary logarithm of the width; None: nothing but zeros has been seen."""
        self._zeros = 0

    @property
    def bin_width(self) -> float:
        return math.ldexp(2.0 / BINS, self.exponent or 0)

    @property
    def centers(self) -> Array:
        """The middle of every bin, float64."""
        return (np.arange(BINS) + 0.5 - BINS / 2) * self.bin_width

    def masses(self) -> Array:
        """The counts, with exact zeros in the bin that begins at 0."""
        masses = self.counts.copy()
        masses[BINS // 2] += self._zeros
        return masses

    def add(self, values: Array, *, peak: float) -> None:
        """Count finite values, none of which is larger in magnitude than ``peak``."""
        if peak == 0.0:
            self._zeros += values.size
            return
        self._widen(max(math.frexp(peak)[1], LEAST_EXPONENT))
        assert self.exponent is not None
        factor = np.float32(math.ldexp(BINS / 2, -self.exponent))
        flat = values.reshape(-1)
        for start in range(0, flat.size, CHUNK):
            # A power of two scales exactly and floor is exact, so that bins nest to the last bit.
            numbers = np.floor(flat[start : start + CHUNK] * factor).astype(np.int32)
            self.counts += np.bincount(numbers + BINS // 2, minlength=BINS)

    def _widen(self, exponent: int) -> None:
        """Merge bins until the width is at least 2^exponent."""
        if self.exponent is None:
            self.exponent = exponent
        while self.exponent < exponent:
            merged = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts[:] = 0
            self.counts[BINS // 4 : 3 * BINS // 4] = merged
            self.exponent += 1
