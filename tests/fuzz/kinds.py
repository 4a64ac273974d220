# SPDX-License-Identifier: Apache-2.0
"""The kinds of model files that are mutated, by name."""

from __future__ import annotations

from pathlib import Path

from fuzz.campaign import Mutants

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED_MODELS = REPOSITORY.parent / "shared" / "models"


def mutants_of(kind: str) -> Mutants:
    """The mutants of ``tflite``, ``onnx`` or ``pt2`` files."""
    if kind == "onnx":
        from fuzz.onnx_mutants import OnnxMutants

        return OnnxMutants()
    if kind == "pt2":
        from fuzz.pt2_mutants import Pt2Mutants

        return Pt2Mutants()
    from fuzz.tflite_mutants import TfliteMutants

    return TfliteMutants(SHARED_MODELS if SHARED_MODELS.is_dir() else None)
