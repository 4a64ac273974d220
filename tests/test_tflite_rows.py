# SPDX-License-Identifier: Apache-2.0
"""LOG_SOFTMAX and L2_NORMALIZATION of TFLite: many scales and lengths, near ties, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.tflite_cases_rows import OUTPUTS, over_rows
from support.tflite_oracle import built, count_mismatches

from edgekit.errors import BadInputError, UnsupportedError
from edgekit.interpret import interpret
from edgekit.ir import Array
from edgekit.ops.log_softmax import NEAR_TIES

EVERY_VALUE = np.arange(-128, 128).astype(np.int8)


def _pairs() -> Array:
    """All differences of two int8 values to the larger one, and their order."""
    first, second = np.meshgrid(EVERY_VALUE, EVERY_VALUE)
    return np.stack([first.reshape(-1), second.reshape(-1)], axis=1).reshape(1, -1, 2)


def _counts(depth: int) -> Array:
    """Rows with 1, 2, ... elements at the maximum and the others far below: sums of every size."""
    rows = np.where(np.arange(depth) <= np.arange(depth)[:, np.newaxis], 127, -128)
    return rows.astype(np.int8).reshape(1, depth, depth)


def test_log_softmax_of_every_pair_at_many_scales(tmp_path: Path) -> None:
    """Powers of two put exact ties among the outputs."""
    random = np.random.default_rng(5)
    x = _pairs()
    for number in range(24):
        scale = 2.0 ** -random.integers(0, 9) if number % 2 else 10 ** random.uniform(-4, 1)
        model = over_rows("LOG_SOFTMAX", x.shape, scale=float(np.float32(scale)))
        data, graph = built(model, tmp_path)
        assert count_mismatches(data, graph, [(x,)]) == (0, x.size), scale


@pytest.mark.parametrize("scale", [0.0005, 0.1, 3.0])
def test_log_softmax_of_sums_of_every_size(scale: float, tmp_path: Path) -> None:
    x = _counts(600)
    data, graph = built(over_rows("LOG_SOFTMAX", x.shape, scale=scale), tmp_path)
    assert count_mismatches(data, graph, [(x,), (x[:, ::-1, ::-1],)]) == (0, 2 * x.size)


def test_log_softmax_at_near_ties(tmp_path: Path) -> None:
    x = np.array([NEAR_TIES], np.int8)
    data, graph = built(over_rows("LOG_SOFTMAX", x.shape, scale=0.046875), tmp_path)
    assert count_mismatches(data, graph, [(x,)]) == (0, x.size)


def test_log_softmax_rounds_unlike_double_precision(tmp_path: Path) -> None:
    """Its fixed point decides some outputs, so the agreement above says something."""
    x = np.random.default_rng(1).integers(-128, 128, (1, 20000, 8)).astype(np.int8)
    _, graph = built(over_rows("LOG_SOFTMAX", x.shape, scale=0.02), tmp_path)
    (ours,) = interpret(graph, [x], outputs_only=True).values()
    real = 0.02 * x.astype(np.float64)
    logarithm = real - np.log(np.exp(real).sum(axis=-1, keepdims=True))
    exact = np.clip(np.rint(16.0 * logarithm) + 127, -128, 127)
    difference = np.abs(ours - exact)
    assert difference.max() == 1
    assert 0 < (difference > 0).mean() < 0.01


@pytest.mark.parametrize("zero_point", [0, -128, 127, 37])
@pytest.mark.parametrize("depth", [1, 2, 3, 64, 3000])
def test_l2_normalization_of_many_lengths(zero_point: int, depth: int, tmp_path: Path) -> None:
    """Noise, rows of a few small elements, zeros, both ends."""
    random = np.random.default_rng(depth)
    shape = (1, max(1, 6000 // depth), depth)
    noise = random.integers(-128, 128, shape)
    small = np.clip(zero_point + random.integers(-2, 3, shape), -128, 127)
    few = np.clip(zero_point + (random.random(shape) < 2 / depth), -128, 127)
    constants = [np.full(shape, value) for value in (zero_point, -128, 127)]
    model = over_rows("L2_NORMALIZATION", shape, zero_point=zero_point)
    data, graph = built(model, tmp_path)
    samples = [(x.astype(np.int8),) for x in (noise, small, few, *constants)]
    assert count_mismatches(data, graph, samples)[0] == 0


def test_l2_normalization_of_every_pair(tmp_path: Path) -> None:
    x = _pairs()
    data, graph = built(over_rows("L2_NORMALIZATION", x.shape, zero_point=-3), tmp_path)
    assert count_mismatches(data, graph, [(x,)]) == (0, x.size)


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("result", [(0.1, 0), (1.0 / 128.0, 1), (1.0 / 16.0, -128)])
def test_another_output_scale_is_refused(
    name: str, result: tuple[float, int], tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedError, match=f"{name} 'y': output scale .*; use 1/1"):
        built(over_rows(name, (1, 4), result=result), tmp_path)


def test_a_fused_activation_is_refused(tmp_path: Path) -> None:
    options: Any = {"FusedActivationFunction": 1}
    with pytest.raises(UnsupportedError, match="apply it behind the normalization"):
        built(over_rows("L2_NORMALIZATION", (1, 4), **options), tmp_path)


def test_rows_whose_sums_overflow_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="its last axis has 4096 elements"):
        built(over_rows("LOG_SOFTMAX", (1, 4096)), tmp_path)
    with pytest.raises(BadInputError, match="its last axis has 32769 elements"):
        built(over_rows("L2_NORMALIZATION", (1, 32769)), tmp_path)


def test_a_scale_too_small_for_log_softmax(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"input scale .* is too small"):
        built(over_rows("LOG_SOFTMAX", (1, 4), scale=1e-9), tmp_path)
