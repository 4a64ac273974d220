# SPDX-License-Identifier: Apache-2.0
"""Learned rounding of weights: up or down so that the outputs of a layer change least.

Nagel et al., "Up or Down? Adaptive Rounding for Post-Training Quantization", 2020 (AdaRound): the
squared error of a layer's sums, relaxed to a rectified sigmoid per weight with a penalty that drives
each to 0 or 1. The error is a quadratic form of the inputs' second moments, so the samples are seen
once and the optimization itself needs none. Then single weights are flipped while that helps.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from edgekit.ir import Array

STEPS = 300
WARM_UP = 0.2
"""The share of steps without the penalty."""
RATE, BETA1, BETA2, EPSILON = 0.03, 0.9, 0.999, 1e-8
"""Adam, Kingma and Ba, 2015."""
PENALTY = 0.1
SHARPNESS = (20.0, 2.0)
"""The exponent of the penalty at its start and at the end: at first it only pulls on what is near."""
STRETCH = 1.2
"""The sigmoid spans [-0.1, 1.1] and is cut to [0, 1], so that it reaches both ends."""
MAX_FLIPS = 4
"""Sweeps over all weights of a layer."""


@dataclasses.dataclass(frozen=True, eq=False)
class RoundingProblem:
    """Weights in steps of their scales (groups, K, outputs of a group), and the second moments
    (groups, K, K) of what they are multiplied with.
    """

    weights: Array
    moments: Array

    def normalized(self) -> RoundingProblem:
        """The same problem with moments of about 1."""
        mean = np.einsum("gkk->g", self.moments) / self.moments.shape[1]
        factors = np.where(mean > 0, mean, 1.0)[:, np.newaxis, np.newaxis]
        return RoundingProblem(self.weights, self.moments / factors)

    def errors(self, rounded: Array) -> Array:
        """The squared error of the sums of every output (groups, outputs)."""
        difference = rounded - self.weights
        errors: Array = np.einsum("gko,gko->go", difference, self.moments @ difference)
        return errors


def learn_rounding(problem: RoundingProblem, nearest: Array, *, limit: int = 127) -> Array:
    """Integer weights next to the real ones: ``nearest`` where no better is found.

    Those at +-limit, to which the scale belongs, stay there; no other one gets beyond.
    """
    problem = problem.normalized()
    floor = np.floor(problem.weights)
    free = np.abs(nearest) < limit
    relaxed = np.where(free, _relax(problem, floor), nearest)
    candidates = [_flip(problem, start, floor, free) for start in (relaxed, nearest)]
    candidates.append(nearest)
    errors = np.stack([problem.errors(candidate) for candidate in candidates])
    best = errors.argmin(axis=0)[:, np.newaxis, :]
    chosen = np.choose(np.broadcast_to(best, nearest.shape), candidates)
    return chosen.astype(np.float64)


def _relax(problem: RoundingProblem, floor: Array) -> Array:
    """AdaRound's continuous optimization, then each weight to the end where it stands."""
    fraction = problem.weights - floor
    logits = -np.log(STRETCH / (np.clip(fraction, 1e-3, 1 - 1e-3) + (STRETCH - 1) / 2) - 1.0)
    first, second = np.zeros_like(logits), np.zeros_like(logits)
    start = int(WARM_UP * STEPS)
    for step in range(1, STEPS + 1):
        sigmoid = 1.0 / (1.0 + np.exp(-logits))
        stretched = STRETCH * sigmoid - (STRETCH - 1) / 2
        height = np.clip(stretched, 0.0, 1.0)
        gradient = 2.0 * (problem.moments @ (floor + height - problem.weights))
        if step > start:
            gradient += PENALTY * _penalty_slope(height, (step - start) / (STEPS - start))
        inside = (stretched > 0.0) & (stretched < 1.0)
        gradient *= np.where(inside, STRETCH * sigmoid * (1.0 - sigmoid), 0.0)
        first = BETA1 * first + (1.0 - BETA1) * gradient
        second = BETA2 * second + (1.0 - BETA2) * gradient * gradient
        momentum = first / (1.0 - BETA1**step)
        logits -= RATE * momentum / (np.sqrt(second / (1.0 - BETA2**step)) + EPSILON)
    up = 1.0 / (1.0 + np.exp(-logits)) >= 0.5
    rounded: Array = floor + up
    return rounded


def _penalty_slope(height: Array, progress: float) -> Array:
    """The slope of 1 - |2 h - 1|^beta."""
    sharpness = SHARPNESS[1] + (SHARPNESS[0] - SHARPNESS[1]) * (1.0 + np.cos(np.pi * progress)) / 2
    centered = 2.0 * height - 1.0
    slope: Array = -2.0 * sharpness * np.sign(centered) * np.abs(centered) ** (sharpness - 1.0)
    return slope


def _flip(problem: RoundingProblem, start: Array, floor: Array, free: Array) -> Array:
    """Coordinate descent: each weight to its other neighbour where that lowers its output's error."""
    rounded = start.copy()
    gradient = problem.moments @ (rounded - problem.weights)
    curvature = np.einsum("gkk->gk", problem.moments)
    for _ in range(MAX_FLIPS):
        flipped = False
        for k in range(rounded.shape[1]):
            change = 2.0 * (floor[:, k] - rounded[:, k]) + 1.0
            gain = change * (2.0 * gradient[:, k] + change * curvature[:, k, np.newaxis])
            change = np.where(free[:, k] & (gain < -1e-12), change, 0.0)
            if change.any():
                flipped = True
                rounded[:, k] += change
                gradient += problem.moments[:, :, k, np.newaxis] * change[:, np.newaxis]
        if not flipped:
            break
    return rounded
