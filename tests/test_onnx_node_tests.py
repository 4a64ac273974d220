# SPDX-License-Identifier: Apache-2.0
"""The node tests of the onnx package: each imports, computes the floats, and is within two int8 steps.

Inputs behind the first become constants, as weights are in a model; the data of a test calibrates it.
"""

from __future__ import annotations

import functools
import importlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is missing; run: pip install 'edgekit[onnx]'")

from onnx import numpy_helper  # noqa: E402
from onnx.backend.test.case import node as node_cases  # noqa: E402

from edgekit.converters.from_onnx import import_onnx  # noqa: E402
from edgekit.converters.legalize import legalize  # noqa: E402
from edgekit.converters.load import Imported  # noqa: E402
from edgekit.errors import UnsupportedError  # noqa: E402
from edgekit.interpret import interpret, interpret_float  # noqa: E402
from edgekit.ir import Array  # noqa: E402
from edgekit.pipeline import to_integers  # noqa: E402

MOST_STEPS = 2
COMPUTED_INPUTS: Mapping[str, int] = {"Add": 2, "Concat": 9, "Mul": 2}
"""Operators whose inputs stay inputs; of all others it is the first."""
OPERATORS = frozenset(
    {
        *("Add", "AveragePool", "Clip", "Concat", "Conv", "ConvTranspose", "Gemm"),
        *("GlobalAveragePool", "GlobalMaxPool", "MaxPool", "Mul", "Pad", "Resize", "Softmax"),
    }
)
REFUSED: Mapping[str, str] = {
    "averagepool_3d": "rank 5 is not supported",
    "convtranspose_3d": "rank 5 is not supported",
    "maxpool_3d": "rank 5 is not supported",
    "with_argmax": "its output 'Indices' is not supported",
    "group_2_image_3": "export with a batch of 1",
    "cubic": "mode 'cubic'",
    "antialias": "with antialias is not supported",
    "tf_crop_and_resize": "'tf_crop_and_resize' is not supported",
    "downsample_scales_linear_align_corners": "has two definitions; give sizes",
}
"""Part of the name of a test -> why it is refused, with exit code 3."""
TOO_COARSE = ("test_softmax_large_number",)
"""Tests with values so far apart that int8 cannot tell its inputs apart (a step is 39): what the
operator makes of the levels is compared instead."""


@functools.cache
def node_tests() -> Mapping[str, Any]:
    """Name -> test, of one operator on float32."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for op in OPERATORS:  # a file each; to import all of them takes half a minute
            importlib.import_module(f"{node_cases.__name__}.{op.lower()}")
        tests = list(node_cases._NodeTestCases)
    return {
        test.name: test
        for test in tests
        if [node.op_type for node in test.model.graph.node][1:] == []
        and test.model.graph.node[0].op_type in OPERATORS
        and _arrays(test)[1][0].dtype == np.float32
    }


def _arrays(test: Any) -> tuple[list[Array], list[Array]]:
    """Inputs and outputs."""
    inputs, outputs = test.data_sets[0]
    return [_array(value) for value in inputs], [_array(value) for value in outputs]


def _array(value: Any) -> Array:
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return np.asarray(value)


def _saved(test: Any, folder: Path) -> tuple[Path, list[Array]]:
    """The model with constants, and the arrays of what is left of its inputs."""
    model = onnx.ModelProto()
    model.CopyFrom(test.model)
    inputs, _ = _arrays(test)
    names = [value.name for value in model.graph.input]
    count = COMPUTED_INPUTS.get(model.graph.node[0].op_type, 1)
    del model.graph.input[count:]
    for name, array in list(zip(names, inputs, strict=True))[count:]:
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    path = folder / "node.onnx"
    path.write_bytes(model.SerializeToString())
    return path, inputs[:count]


def _nhwc(array: Array, layout: str) -> Array:
    return array.transpose(0, 2, 3, 1) if layout == "NCHW" else array


def _reason(name: str) -> str | None:
    return next((reason for part, reason in REFUSED.items() if part in name), None)


def test_all_node_tests_are_found() -> None:
    """So that a change in the package does not leave this file without tests."""
    assert len(node_tests()) >= 140


@pytest.mark.parametrize("op", sorted(OPERATORS))
def test_node_tests_of(op: str, tmp_path: Path) -> None:
    found = [t for t in node_tests().values() if t.model.graph.node[0].op_type == op]
    assert found
    for test in found:
        path, arrays = _saved(test, tmp_path)
        reason = _reason(test.name)
        if reason is not None:
            with pytest.raises(UnsupportedError) as error:
                import_onnx(path)
            assert reason in str(error.value), test.name
        else:
            _check(test, path, arrays)


def _check(test: Any, path: Path, arrays: list[Array]) -> None:
    """The float graph gives the floats of the test, the integers are at most two steps away."""
    graph = import_onnx(path).graph
    sample = tuple(
        _nhwc(array, port.layout) for array, port in zip(arrays, graph.inputs, strict=True)
    )
    (port,) = graph.outputs
    expected = _nhwc(_arrays(test)[1][0], port.layout)
    floats = interpret_float(legalize(graph), sample)[port.tensor]
    # Some of the expected values are written with four digits.
    assert np.abs(floats - expected).max() <= 1e-4 * max(1.0, np.abs(expected).max()), test.name
    model = to_integers(Imported(graph), [sample])
    if test.name in TOO_COARSE:
        expected = _at_levels(model, legalize(graph))
    (port,) = model.graph.outputs
    tensor = model.graph.tensors[port.tensor]
    assert tensor.quantization is not None
    result = interpret(model.graph, model.samples[0])[port.tensor]
    steps = np.rint(expected / tensor.quantization.scale) + tensor.quantization.zero_point
    difference = np.abs(np.clip(steps, -128, 127) - result)
    assert difference.max() <= MOST_STEPS, test.name


def _at_levels(model: Any, graph: Any) -> Array:
    """The float function of the inputs that int8 can express."""
    tensor = model.graph.tensors[model.graph.inputs[0].tensor]
    scale = tensor.quantization
    real = ((model.samples[0][0].astype(np.float64) - scale.zero_point) * scale.scale).astype(
        np.float32
    )
    values: Array = interpret_float(graph, [real])[graph.outputs[0].tensor]
    return values
