# SPDX-License-Identifier: Apache-2.0
"""The scales of weights found again: a QGraph has multipliers, files have scales."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from edgekit.arith import quantize_multiplier
from edgekit.ir import Array, Call, Quantization, Tensor
from edgekit.ops._weighted import INPUT, WeightedArithmetic

NEIGHBOURS = 2
"""How many float32 numbers on either side of a quotient are tried as a scale."""
LEAST_SCALE = 2.0**-100


def quantization_of(tensor: Tensor) -> Quantization:
    assert tensor.quantization is not None
    return tensor.quantization


def scale_behind(factor_of: Callable[[float], float], multiplier: int, shift: int) -> float | None:
    """The float32 scale whose factor has this multiplier and shift; ``factor_of`` is nearly linear.

    None: there is none.
    """
    if multiplier == 0:
        return LEAST_SCALE if quantize_multiplier(factor_of(LEAST_SCALE)) == (0, 0) else None
    near = np.float32(math.ldexp(multiplier, shift - 31) / factor_of(1.0))
    candidates = [near]
    below, above = near, near
    for _ in range(NEIGHBOURS):
        below = np.nextafter(below, np.float32(0.0))
        above = np.nextafter(above, np.float32(np.inf))
        candidates += [below, above]
    for candidate in candidates:
        if quantize_multiplier(factor_of(float(candidate))) == (multiplier, shift):
            return float(candidate)
    return None


def weight_scales_of(
    call: Call, factor: Callable[[float, float, float], float]
) -> Array | tuple[int, int]:
    """The float32 scale of every output channel of an integer layer.

    ``factor`` makes the factor of (input scale, weight scale, output scale). A (multiplier, shift)
    that no scale has is returned instead.
    """
    source, result = quantization_of(call.inputs[INPUT]), quantization_of(call.output)
    arithmetic: WeightedArithmetic = call.node.arithmetic
    pairs = list(zip(arithmetic.multipliers, arithmetic.shifts, strict=True))
    found: dict[tuple[int, int], float] = {}
    for pair in dict.fromkeys(pairs):
        scale = scale_behind(lambda s: factor(source.scale, s, result.scale), *pair)
        if scale is None:
            return pair
        found[pair] = scale
    return np.array([found[pair] for pair in pairs], np.float32)
