# SPDX-License-Identifier: Apache-2.0
"""Writes an integer model as a .tflite file whose reading gives the same integers back.

TensorFlow Lite's reference kernels then compute what edgekit's reference computes, bit for bit. An
operator that the format expresses only with other rounding is refused: the file is read back and
compared, so no second list of what is exact is needed.
"""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.converters.export.tflite_builder import TfliteBuilder, no_form
from edgekit.converters.export.tflite_file import write_tflite
from edgekit.converters.export.tflite_forms import FORMS
from edgekit.converters.from_tflite import import_tflite
from edgekit.converters.legalize import legalize_integer
from edgekit.errors import UnsupportedError
from edgekit.ir import Call, Node, QGraph, Tensor

_DEFINED_BY_ARITHMETIC = ("lookup", "requantize", "resize_bilinear")
"""Operators whose attributes only say what was meant; their integers are the definition."""


def to_tflite(graph: QGraph) -> bytes:
    """The bytes of the file.

    Raises:
        UnsupportedError: operators have no exact form in TFLite; all of them are listed.
    """
    builder = TfliteBuilder(graph)
    problems: list[str] = []
    for call in graph.calls():
        form = FORMS.get(call.node.op)
        if form is None:
            problems.append(f"{call.node}: TFLite has no such operator")
            continue
        try:
            form(builder, call)
        except UnsupportedError as error:
            problems.extend(error.lines)
    if problems:
        raise UnsupportedError(*problems)
    data = write_tflite(builder.model())
    problems = _differences(graph, data)
    if problems:
        raise UnsupportedError(*problems)
    return data


def _differences(graph: QGraph, data: bytes) -> list[str]:
    """One line for every layer that comes back from the file as another one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(data)
        read = import_tflite(path)
    assert isinstance(read, QGraph), "an integer model was written"
    return compare(legalize_integer(graph), legalize_integer(read))


def compare(expected: QGraph, found: QGraph) -> list[str]:
    """Where two integer models differ: one line for every layer, none where they are the same.

    Names may differ; the layers must stand in the same order.
    """
    if len(expected.nodes) != len(found.nodes):
        return [f"model '{expected.name}': {len(found.nodes)} layers for {len(expected.nodes)}"]
    same: dict[str, str] = {
        e.tensor: f.tensor for e, f in zip(expected.inputs, found.inputs, strict=True)
    }
    problems = []
    for one, other in zip(expected.calls(), found.calls(), strict=True):
        if not _same_call(one, other, same):
            (line,) = no_form(one, f"its {other.node.op} rounds otherwise").lines
            problems.append(line)
        same.update(zip(one.node.outputs, other.node.outputs, strict=True))
    outputs = zip(expected.outputs, found.outputs, strict=True)
    if any(same.get(e.tensor) != f.tensor for e, f in outputs if e.tensor in same):
        problems.append(f"model '{expected.name}': its outputs are in another order")
    return problems


def _same_call(one: Call, other: Call, same: dict[str, str]) -> bool:
    return (
        one.node.op == other.node.op
        and one.node.arithmetic == other.node.arithmetic
        and _geometry(one.node) == _geometry(other.node)
        and len(one.inputs) == len(other.inputs)
        and all(_same_tensor(a, b, same) for a, b in zip(one.inputs, other.inputs, strict=True))
        and one.output.quantization == other.output.quantization
        and one.output.shape == other.output.shape
    )


def _geometry(node: Node) -> Any:
    """The attributes without the float bounds that the arithmetic states as integers."""
    if node.op in _DEFINED_BY_ARITHMETIC:
        return None
    attributes = node.attributes
    if hasattr(attributes, "activation_min"):
        return dataclasses.replace(attributes, activation_min=None, activation_max=None)
    if node.op == "pad" and attributes.mode == "constant":
        return dataclasses.replace(attributes, value=0.0)
    return attributes


def _same_tensor(one: Tensor, other: Tensor, same: dict[str, str]) -> bool:
    if one.data is None or other.data is None:
        return same.get(one.name) == other.name
    return (
        one.dtype == other.dtype
        and one.quantization == other.quantization
        and np.array_equal(one.data, other.data)
    )
