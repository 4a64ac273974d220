# SPDX-License-Identifier: Apache-2.0
"""Run the imported quantized .onnx in onnxruntime, compared at the int8 boundary and layer by layer.

onnxruntime is no exact judge; source_layers.py says where and why it differs.

Graph optimizations are off: onnxruntime's fused 8-bit kernels saturate sums of two products at 16
bits on processors without VNNI, which is further off than all of the above.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgekit.errors import MissingProgramError
from edgekit.inputs import dequantize_array
from edgekit.ir import Array, QGraph
from edgekit.manifest import Manifest, TensorEntry
from edgekit.runners.source import SourceRefusedError, in_source_order
from edgekit.runners.source_layers import (
    QuantizedSource,
    SourceRun,
    activation_levels,
    port_levels,
)


def onnxruntime_installed() -> bool:
    """Whether the packages onnxruntime and onnx can be imported."""
    return all(importlib.util.find_spec(name) is not None for name in ("onnx", "onnxruntime"))


def run_onnx(
    source: QuantizedSource, manifest: Manifest, graph: QGraph, samples: Sequence[Sequence[Array]]
) -> tuple[SourceRun, ...]:
    """Outputs of onnxruntime as the integers of the manifest, and its activations.

    Raises:
        MissingProgramError: onnxruntime is not installed.
        SourceRefusedError: it cannot run the model.
    """
    try:
        import onnxruntime
    except ImportError:
        raise MissingProgramError(
            "onnxruntime: not installed; install it with: pip install 'edgekit[oracle]'"
        ) from None
    levels = {name: level for name, level in source.levels.items() if name in graph.tensors}
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            _with_outputs(source.model, levels.values()),
            options,
            providers=["CPUExecutionProvider"],
        )
        return tuple(_run(session, manifest, graph, levels, sample) for sample in samples)
    except Exception as error:  # its exceptions have no common base
        fact = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SourceRefusedError(f"onnxruntime refuses the model: {fact}") from None


def _with_outputs(model: bytes, names: Any) -> bytes:
    """The model with more outputs."""
    import onnx

    proto = onnx.ModelProto.FromString(model)
    known = {value.name for value in proto.graph.output}
    for name in sorted(set(names) - known):
        proto.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    extended: bytes = proto.SerializeToString()
    return extended


def _run(
    session: Any,
    manifest: Manifest,
    graph: QGraph,
    levels: Mapping[str, str],
    sample: Sequence[Array],
) -> SourceRun:
    feeds = {
        value.name: _to_runtime(array, entry, value.type)
        for value, entry, array in zip(session.get_inputs(), manifest.inputs, sample, strict=True)
    }
    names = [value.name for value in session.get_outputs()]
    results = dict(zip(names, session.run(None, feeds), strict=True))
    outputs = (
        port_levels(results[name], entry)
        for name, entry in zip(names, manifest.outputs, strict=False)
    )
    found = {
        name: array
        for name, level in levels.items()
        if (array := activation_levels(results[level])).shape == graph.tensors[name].shape
    }
    return SourceRun(tuple(outputs), found)


def _to_runtime(array: Array, entry: TensorEntry, kind: str) -> Array:
    """The tensor as the file declares it: float, or its own integers."""
    if kind == "tensor(float)":
        value = dequantize_array(array, entry)
    elif kind == "tensor(uint8)":
        value = (array.astype(np.int16) + 128).astype(np.uint8)
    else:
        value = array
    return np.ascontiguousarray(in_source_order(value, entry)).reshape(entry.source_shape)
