# SPDX-License-Identifier: Apache-2.0
"""The division of average pooling by a reciprocal (runtime_c/ek_pool_window.h), for every sum."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from edgekit.ir import Array
from edgekit.ops.average_pool2d import MOST_TUNED_TAPS

RECIPROCAL_BITS = 23


def by_reciprocal(sums: Array, count: int) -> Array:
    """ek_pool_mean, in registers of 32 bits."""
    even = (count & 1) - 1
    dividends = sums + (128 * count + count // 2) + ((sums >> 31) & even)
    products = dividends * ((1 << RECIPROCAL_BITS) // count + 1)
    assert dividends.min() >= 0
    assert products.max() < 2**32
    quotients: Array = (products >> RECIPROCAL_BITS) - 128
    return quotients


def test_every_sum_of_every_number_of_taps() -> None:
    for count in range(1, MOST_TUNED_TAPS + 1):
        sums = np.arange(-128 * count, 127 * count + 1, dtype=np.int64)
        expected = np.sign(sums) * ((np.abs(sums) + count // 2) // count)
        assert np.array_equal(by_reciprocal(sums, count), expected), count


def test_c_has_the_same_numbers(repository: Path) -> None:
    text = (repository / "runtime_c" / "ek_pool_window.h").read_text("utf-8")
    most, bits = re.findall(r"EK_POOL_MOST_TAPS = (\d+), EK_POOL_RECIPROCAL_BITS = (\d+)", text)[0]
    assert (int(most), int(bits)) == (MOST_TUNED_TAPS, RECIPROCAL_BITS)
