# SPDX-License-Identifier: Apache-2.0
"""Writes an integer model as an .onnx file: float operators between QuantizeLinear and DequantizeLinear.

onnxruntime computes nearly the same integers. It differs by single steps, for known reasons: it rounds
halves to even, and once, with a float32 factor, where edgekit (as TensorFlow Lite) rounds the product
with a 31-bit multiplier and then its shift; additions and averages are computed in float32 and not in
fixed point; and a difference of one step in a layer may change what lies behind it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgekit.converters.export.onnx_builder import OnnxBuilder, OnnxSpec, ValueSpec
from edgekit.converters.export.onnx_forms import FORMS
from edgekit.errors import MissingProgramError, UnsupportedError
from edgekit.ir import Call, QGraph

OPSET = 17
IR_VERSION = 8
"""What belongs to opset 17."""


def to_onnx(graph: QGraph) -> bytes:
    """The bytes of the file.

    Raises:
        UnsupportedError: the model is not int8, or operators have no form in ONNX; all are listed.
        MissingProgramError: the package onnx is not installed.
    """
    builder = OnnxBuilder(graph)
    problems: list[str] = []
    for call in graph.calls():
        problem = _add(builder, call)
        if problem:
            problems.extend(problem)
            builder.skip(call)
    if problems:
        raise UnsupportedError(*problems)
    return _serialized(builder.model())


def _add(builder: OnnxBuilder, call: Call) -> tuple[str, ...]:
    """Add the nodes of a call; what stands against it, one line each."""
    form = FORMS.get(call.node.op)
    types = {tensor.dtype for tensor in (*call.activations, call.output)}
    if not types <= {"int8", "int32"}:
        return (f"{call.node}: int16 activations have no form in opset {OPSET}",)
    if form is None:
        return (f"{call.node}: ONNX has no such operator",)
    try:
        form(builder, call)
    except UnsupportedError as error:
        return error.lines
    return ()


def _serialized(model: OnnxSpec) -> bytes:
    onnx = _onnx()
    helper = onnx.helper
    nodes = [
        helper.make_node(
            node.op, node.inputs, node.outputs, name=node.outputs[0], **node.attributes
        )
        for node in model.nodes
    ]
    constants = [
        onnx.numpy_helper.from_array(data, name=name) for name, data in model.constants.items()
    ]
    inputs, outputs = (
        [_value(onnx, value) for value in values] for values in (model.inputs, model.outputs)
    )
    graph = helper.make_graph(nodes, model.name, inputs, outputs, initializer=constants)
    opset = helper.make_opsetid("", OPSET)
    whole = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
    whole.producer_name = "edgekit"
    onnx.checker.check_model(whole)
    data: bytes = whole.SerializeToString(deterministic=True)
    return data


def _value(onnx: Any, value: ValueSpec) -> Any:
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(value.dtype))
    return onnx.helper.make_tensor_value_info(value.name, kind, value.shape)


def _onnx() -> Any:
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    except ImportError:
        raise MissingProgramError(
            "onnx is not installed; run: pip install 'edgekit[onnx]'"
        ) from None
    return onnx
