# SPDX-License-Identifier: Apache-2.0
"""Int8 operators that TFLite's reference kernels do not define, or edgekit leaves out, name a remedy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.tflite_cases_elementwise import binary_model, function_model
from support.tflite_oracle import built, count_mismatches
from support.tflite_writer import ModelSpec, OperatorSpec, TensorSpec

from edgekit.errors import UnsupportedError

ONE_VARIABLE = {
    "CEIL": "compute it outside the model",
    "COS": "compute it outside the model",
    "FLOOR": "use it between DEQUANTIZE and QUANTIZE",
    "LOG": "compute it outside the model",
    "NEG": "use SUB from a constant 0",
    "ROUND": "compute it outside the model",
    "SIN": "compute it outside the model",
    "SQRT": "use it between DEQUANTIZE and QUANTIZE",
    "SQUARE": "use MUL of the map by itself",
}
TWO_VARIABLES = {
    "ADD_N": "use ADD of two at a time",
    "DIV": "use MUL by the reciprocal",
    "FLOOR_DIV": "use MUL by the reciprocal",
    "GREATER": "use SUB: the sign",
    "LESS_EQUAL": "use SUB: the sign",
    "POW": "use MUL of the map by itself",
}


@pytest.mark.parametrize("name", ONE_VARIABLE)
def test_a_function_without_int8_form(name: str, tmp_path: Path) -> None:
    model = function_model(name, scales=(0.1, 0.1), zero_points=(0, 0))
    with pytest.raises(UnsupportedError, match=f"{name} 'y': .*{ONE_VARIABLE[name]}"):
        built(model, tmp_path)


@pytest.mark.parametrize("name", TWO_VARIABLES)
def test_an_operator_of_two_maps_without_int8_form(name: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=f"{name} 'y': .*{TWO_VARIABLES[name]}"):
        built(binary_model(name, (1, 4), (1, 4)), tmp_path)


@pytest.mark.parametrize("scales", [(0.05, 0.05), (0.125, 0.25), (0.3, 1.0), (0.031, 0.007)])
def test_floor_left_in_float_is_a_table(scales: tuple[float, float], tmp_path: Path) -> None:
    tensors = [
        TensorSpec("x", (1, 256), scales[0], 5),
        TensorSpec("real", (1, 256), type="FLOAT32"),
        TensorSpec("floor", (1, 256), type="FLOAT32"),
        TensorSpec("y", (1, 256), scales[1], -9),
    ]
    operators = [
        OperatorSpec("DEQUANTIZE", ["x"], ["real"]),
        OperatorSpec("FLOOR", ["real"], ["floor"]),
        OperatorSpec("QUANTIZE", ["floor"], ["y"]),
    ]
    data, graph = built(ModelSpec(tensors, operators, ["x"], ["y"]), tmp_path)
    assert [node.op for node in graph.nodes] == ["lookup"]
    every = np.arange(-128, 128).astype(np.int8).reshape(1, 256)
    assert count_mismatches(data, graph, [(every,)]) == (0, 256)
