# SPDX-License-Identifier: Apache-2.0
"""The proof of the fast finishes: where Python accepts one, 32-bit registers give the reference."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from edgekit.arith import requantize, wrap_int32
from edgekit.ir import Array
from edgekit.ops._dsp_requantize import Finish, LayerFinish, Sums, layer_finish
from edgekit.ops._weighted import WeightedArithmetic

CLAMPS = (
    (-128, -128, 127),
    (0, -128, 127),
    (127, -128, 127),
    (-7, -7, 127),
    (-128, -128, 0),
    (100, -120, 110),
)
"""(output zero point, minimum, maximum)"""
MULTIPLIERS = (0, 1, 2**30, 2**30 + 1, 0x5A827999, 2**31 - 1)
RANGES = (
    (-(2**8), 2**8),
    (-(2**20), 2**21),
    (-(2**30), 2**30 - 1),
    (-(2**30) - 1, 0),
    (0, 2**30),
    (2**30 - 7, 2**30 - 1),
    (-(2**31), 2**31 - 1),
    (-5, -5),
    (2**31 - 1, 2**31 - 1),
)


def sums_to_try(least: int, greatest: int, multiplier: int, shift: int) -> Array:
    """The ends, noise, and neighbours of the ties of both roundings."""
    random = np.random.default_rng(3)
    near_ends = [least, least + 1, greatest - 1, greatest, -1, 0, 1]
    halves = np.arange(-300, 300) * 2.0 ** (30 - min(shift, 0)) / max(multiplier, 1)
    ties = np.round(halves[np.abs(halves) < 2**31]).astype(np.int64)
    noise = random.integers(least, greatest + 1, 200)
    values = np.concatenate([near_ends, noise, *(ties + step for step in (-1, 0, 1))])
    return np.unique(values[(values >= least) & (values <= greatest)])


def in_registers(sums: Array, finish: LayerFinish) -> Array:
    """What the instructions of a fast finish compute, every register wrapped to 32 bits."""
    multiplier, offset, exponent = finish.parameters[0].tolist()
    kept = np.zeros_like(sums) if finish.is_constant[0] else sums
    doubled = wrap_int32(kept << 1)
    nudge = np.where(doubled < 0, -1, 0) if finish.finish is not Finish.AT_ZERO_POINT else 0
    high = (doubled * multiplier + 2**31) >> 32
    value = wrap_int32(high + wrap_int32(offset + nudge + np.zeros_like(sums))) >> exponent
    saturated = np.clip(value, -128, 127)
    if finish.finish is not Finish.CLAMPED:
        return saturated
    raised, lower = finish.clamp
    return np.clip(saturated + raised, -128, 127) - lower


@pytest.mark.parametrize("shift", range(-31, 4))
@pytest.mark.parametrize("clamp", CLAMPS, ids=str)
def test_fast_finish_equals_reference(clamp: tuple[int, int, int], shift: int) -> None:
    zero_point, minimum, maximum = clamp
    for multiplier, (least, greatest) in itertools.product(MULTIPLIERS, RANGES):
        arithmetic = WeightedArithmetic(0, zero_point, (multiplier,), (shift,), minimum, maximum)
        ends = np.array([least], np.int64), np.array([greatest], np.int64)
        finish = layer_finish(arithmetic, Sums(ends[0], *ends))
        if finish.finish is Finish.GENERAL:
            continue
        sums = sums_to_try(least, greatest, multiplier, shift)
        expected = requantize(
            sums, multiplier, shift, zero_point=zero_point, minimum=minimum, maximum=maximum
        )
        assert np.array_equal(in_registers(sums, finish), expected), (multiplier, least, greatest)


@pytest.mark.parametrize("clamp", CLAMPS, ids=str)
@pytest.mark.parametrize("shift", range(-21, 0))
def test_usual_layers_have_a_fast_finish(clamp: tuple[int, int, int], shift: int) -> None:
    zero_point, minimum, maximum = clamp
    arithmetic = WeightedArithmetic(0, zero_point, (2**30 + 9,), (shift,), minimum, maximum)
    ends = np.array([-(2**28)], np.int64), np.array([2**28], np.int64)
    assert layer_finish(arithmetic, Sums(ends[0], *ends)).finish is not Finish.GENERAL
