# SPDX-License-Identifier: Apache-2.0
"""Layers of 16x8 audio networks over time, as TensorFlow Lite Micro's SEANet tests have them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.tflite_cases_audio import audio_cases
from support.tflite_oracle import built, count_mismatches, seeded_inputs

CASES = audio_cases()


@pytest.mark.parametrize("name", CASES)
def test_layer_equals_the_reference_kernel(name: str, tmp_path: Path) -> None:
    data, graph = built(CASES[name], tmp_path)
    different, compared = count_mismatches(data, graph, seeded_inputs(graph, samples=5))
    assert compared > 100
    assert different == 0, f"{different} of {compared} elements differ"
