# SPDX-License-Identifier: Apache-2.0
"""Constants that a TFLite file computes from others are folded as BUILTIN_REF computes them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.tflite_oracle import built, count_mismatches, seeded_inputs
from support.tflite_writer import ModelSpec, OperatorSpec, TensorSpec, constant_spec, write_tflite

from edgekit.converters.tflite import constants
from edgekit.converters.tflite.constants import fold_constants
from edgekit.converters.tflite.reader import read_model
from edgekit.errors import BadInputError, UnsupportedError

RANDOM = np.random.default_rng(0)
WEIGHTS = RANDOM.integers(-127, 128, (6, 4, 3, 3)).astype(np.int8)
SCALES = tuple(float(s) for s in RANDOM.uniform(0.001, 0.01, 6).astype(np.float32))
X = TensorSpec("x", (1, 5, 6, 4), 0.05, -11)
CONVOLUTION = {"Padding": 0, "StrideW": 1, "StrideH": 1, "DilationWFactor": 1, "DilationHFactor": 1}


def integers(*values: int) -> np.ndarray[Any, Any]:
    return np.array(values, np.int32)


def assert_folded(model: ModelSpec, folder: Path, ops: list[str]) -> None:
    data, graph = built(model, folder)
    assert [node.op for node in graph.nodes] == ops
    mismatches, elements = count_mismatches(data, graph, seeded_inputs(graph, samples=6))
    assert elements > 0 and mismatches == 0


def test_transposed_and_reshaped_weights(tmp_path: Path) -> None:
    """(outputs, inputs, kh, kw), as other frameworks store them, to TFLite's order."""
    model = ModelSpec(
        [
            X,
            constant_spec("flat", WEIGHTS.reshape(6, 36), scale=SCALES, axis=0),
            constant_spec("shape", integers(6, 4, 3, 3)),
            TensorSpec("whole", (6, 4, 3, 3), SCALES, axis=0),
            constant_spec("order", integers(0, 2, 3, 1)),
            TensorSpec("weights", (6, 3, 3, 4), SCALES, axis=0),
            constant_spec("bias", integers(*range(-300, 300, 100))),
            TensorSpec("y", (1, 5, 6, 6), 0.1, 3),
        ],
        [
            OperatorSpec("RESHAPE", ["flat", "shape"], ["whole"]),
            OperatorSpec("TRANSPOSE", ["whole", "order"], ["weights"]),
            OperatorSpec("CONV_2D", ["x", "weights", "bias"], ["y"], CONVOLUTION),
        ],
        ["x"],
        ["y"],
    )
    assert_folded(model, tmp_path, ["conv2d"])


def requantized(*, stored_scale: Any, axis: int, scale: Any) -> ModelSpec:
    """A sum with a map that was dequantized, transposed and quantized again."""
    raw = RANDOM.integers(-128, 128, (1, 4, 5, 6)).astype(np.int8)
    return ModelSpec(
        [
            X,
            constant_spec("raw", raw, scale=stored_scale, zero_point=0, axis=axis),
            TensorSpec("real", (1, 4, 5, 6), type="FLOAT32"),
            constant_spec("order", integers(0, 2, 3, 1)),
            TensorSpec("turned", (1, 5, 6, 4), type="FLOAT32"),
            TensorSpec("map", (1, 5, 6, 4), scale, -3),
            TensorSpec("y", (1, 5, 6, 4), 0.08, 3),
        ],
        [
            OperatorSpec("DEQUANTIZE", ["raw"], ["real"]),
            OperatorSpec("TRANSPOSE", ["real", "order"], ["turned"]),
            OperatorSpec("QUANTIZE", ["turned"], ["map"]),
            OperatorSpec("ADD", ["x", "map"], ["y"]),
        ],
        ["x"],
        ["y"],
    )


def test_dequantized_and_quantized_constants(tmp_path: Path) -> None:
    assert_folded(requantized(stored_scale=0.03, axis=0, scale=0.0171), tmp_path, ["add"])
    # Halves: every odd integer lies between two steps of the coarser scale.
    assert_folded(requantized(stored_scale=0.5, axis=0, scale=1.0), tmp_path, ["add"])


def test_constants_with_a_scale_per_channel(tmp_path: Path) -> None:
    scales = (0.01, 0.02, 0.05, 0.03)
    assert_folded(requantized(stored_scale=scales, axis=1, scale=0.0171), tmp_path, ["add"])


def test_constants_rescaled_from_int8_to_int8(tmp_path: Path) -> None:
    values = np.arange(-128, 128).astype(np.int8).reshape(1, 8, 8, 4)
    for scale in (0.021, 0.04, 0.013):
        model = ModelSpec(
            [
                dataclasses.replace(X, shape=(1, 8, 8, 4)),
                constant_spec("raw", values, scale=0.02, zero_point=7),
                TensorSpec("map", (1, 8, 8, 4), scale, -3),
                TensorSpec("y", (1, 8, 8, 4), 0.08, 3),
            ],
            [OperatorSpec("QUANTIZE", ["raw"], ["map"]), OperatorSpec("ADD", ["x", "map"], ["y"])],
            ["x"],
            ["y"],
        )
        assert_folded(model, tmp_path, ["add"])


def test_a_wrong_shape_is_named(tmp_path: Path) -> None:
    model = requantized(stored_scale=0.03, axis=0, scale=0.02)
    tensors = [
        dataclasses.replace(t, shape=(1, 6, 5, 4)) if t.name == "turned" else t
        for t in model.tensors
    ]
    with pytest.raises(BadInputError, match=r"TRANSPOSE 'turned': it computes shape"):
        built(dataclasses.replace(model, tensors=tensors), tmp_path)


def test_results_of_a_hostile_file_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not fit into the budget stays and is refused by its mapping."""
    monkeypatch.setattr(constants, "MAX_FOLDED_BYTES", 1000)
    with pytest.raises(UnsupportedError):
        built(requantized(stored_scale=0.03, axis=0, scale=0.02), tmp_path)


def test_constants_that_are_outputs_stay_refused(tmp_path: Path) -> None:
    model = requantized(stored_scale=0.03, axis=0, scale=0.02)
    both = dataclasses.replace(model, outputs=["y", "map"])
    records = read_model(write_tflite(both), name="m")
    assert [o.name for o in fold_constants(records).operators] == ["QUANTIZE", "ADD"]


def test_paddings_computed_from_a_shape(tmp_path: Path) -> None:
    """Up to 8 x 8: the rank that EXPAND_DIMS gives and the axis of CONCATENATION both count."""
    kind = {"scale": X.scale, "zero_point": X.zero_point}
    model = ModelSpec(
        [
            X,
            TensorSpec("shape", (4,), type="INT32"),
            constant_spec("wanted", integers(1, 8, 8, 4)),
            TensorSpec("missing", (4,), type="INT32"),
            constant_spec("axis", integers(1)),
            TensorSpec("after", (4, 1), type="INT32"),
            constant_spec("before", integers(0, 1, 2, 0).reshape(4, 1)),
            TensorSpec("paddings", (4, 2), type="INT32"),
            TensorSpec("y", (1, 9, 10, 4), **kind),
        ],
        [
            OperatorSpec("SHAPE", ["x"], ["shape"], {"OutType": 2}),
            OperatorSpec("SUB", ["wanted", "shape"], ["missing"], {"FusedActivationFunction": 0}),
            OperatorSpec("EXPAND_DIMS", ["missing", "axis"], ["after"]),
            OperatorSpec("CONCATENATION", ["before", "after"], ["paddings"], {"Axis": 1}),
            OperatorSpec("PAD", ["x", "paddings"], ["y"]),
        ],
        ["x"],
        ["y"],
    )
    assert_folded(model, tmp_path, ["pad"])
