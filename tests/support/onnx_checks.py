# SPDX-License-Identifier: Apache-2.0
"""Small ONNX models, and comparisons of what is imported from them with onnxruntime."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from edgekit.converters.from_onnx import import_onnx
from edgekit.converters.legalize import legalize
from edgekit.interpret import interpret_float
from edgekit.ir import Array, Graph

# As for PyTorch (support/torch_checks.py): float32 sums in another order.
TOLERANCE = 1e-4
OPSET = 18


def tensor(name: str, values: Any, dtype: Any = np.float32) -> onnx.TensorProto:
    """An initializer."""
    return numpy_helper.from_array(np.asarray(values, dtype), name)


def noise(*shape: int, seed: int = 5) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def model_of(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int | str | None]],
    outputs: Sequence[str] = ("y",),
    *,
    constants: Sequence[onnx.TensorProto] = (),
    opset: int = OPSET,
    element_type: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """A model; the outputs have no declared type."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info(n, element_type, shape) for n, shape in inputs.items()],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        list(constants),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    return model


def one_node(
    op: str,
    shape: Sequence[int],
    *,
    constants: Mapping[str, Any] | None = None,
    opset: int = OPSET,
    **attributes: Any,
) -> onnx.ModelProto:
    """A model of one operator on ``x``; ``constants`` are its other inputs, in order."""
    given = {name: np.asarray(values) for name, values in (constants or {}).items()}
    tensors = [
        tensor(name, v, np.int64 if v.dtype.kind in "iu" and v.dtype != np.int8 else v.dtype)
        for name, v in given.items()
        if v.size or name == "roi"
    ]
    names = [name if values.size or name == "roi" else "" for name, values in given.items()]
    node = helper.make_node(op, ["x", *names], ["y"], **attributes)
    return model_of([node], {"x": shape}, constants=tensors, opset=opset)


def saved(model: onnx.ModelProto, folder: Path, name: str = "model") -> Path:
    path = folder / f"{name}.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def export(module: Any, inputs: Any, path: Path, *, dynamo: bool, **options: Any) -> Path:
    """torch.onnx.export without its talk."""
    import torch

    was_disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    if dynamo:
        options.setdefault("external_data", False)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            torch.onnx.export(module, inputs, str(path), dynamo=dynamo, **options)
    finally:
        logging.disable(was_disabled)
    return path


def run_source(path: Path, inputs: Sequence[Array]) -> list[Array]:
    """What onnxruntime computes."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options)
    names = [value.name for value in session.get_inputs()]
    results: list[Array] = session.run(None, dict(zip(names, inputs, strict=True)))
    return results


def float_outputs(graph: Graph, inputs: Sequence[Array]) -> list[Array]:
    """The outputs of a float graph in the source's order of axes."""
    arrays = [
        array.transpose(0, 2, 3, 1) if port.layout == "NCHW" else array
        for port, array in zip(graph.inputs, inputs, strict=True)
    ]
    results = interpret_float(graph, arrays)
    outputs = []
    for port in graph.outputs:
        result = results[port.tensor]
        outputs.append(result.transpose(0, 3, 1, 2) if port.layout == "NCHW" else result)
        assert outputs[-1].shape == port.source_shape
    return outputs


def assert_same_function(path: Path, inputs: Sequence[Array]) -> Graph:
    """Import, legalize, and compare both graphs with onnxruntime; the imported graph."""
    graph = import_onnx(path).graph
    expected = run_source(path, inputs)
    for candidate in (graph, legalize(graph)):
        results = float_outputs(candidate, inputs)
        for result, wanted in zip(results, expected, strict=True):
            bound = TOLERANCE * max(1.0, float(np.abs(wanted).max()))
            np.testing.assert_allclose(result, wanted, rtol=0, atol=bound)
    return graph
