# SPDX-License-Identifier: Apache-2.0
"""Run the imported quantized .onnx in onnxruntime, compared at the int8 boundary.

onnxruntime is no exact judge. Its results may differ from the integer reference by one output step
on a few elements, for reasons that no importer can mend:

- it scales int32 sums by a float32 factor and rounds halves to even; the reference multiplies by a
  31-bit integer and rounds halves away from zero, as TensorFlow Lite's kernels do;
- without a fused kernel it computes between scales in float32, where long sums round;
- where the file gives the output of a pooling, a softmax or a resize a scale that the integer
  operator cannot have, the reference rescales its result, which rounds twice;
- what is one step apart in front of a layer may end up one step apart behind it.

Graph optimizations are off: onnxruntime's fused 8-bit kernels saturate sums of two products at 16
bits on processors without VNNI, which is further off than all of the above.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgekit.errors import MissingProgramError
from edgekit.inputs import dequantize_array, quantize_array
from edgekit.ir import Array
from edgekit.manifest import Manifest, TensorEntry
from edgekit.runners.source import SourceRefusedError, in_source_order

LARGEST_DIFFERENCE = 1
LARGEST_SHARE = 0.005
"""Steps, and the share of elements, by which onnxruntime may differ."""


def onnxruntime_installed() -> bool:
    """Whether the onnxruntime package can be imported."""
    return importlib.util.find_spec("onnxruntime") is not None


def run_onnx(
    model: bytes, manifest: Manifest, samples: Sequence[Sequence[Array]]
) -> tuple[tuple[Array, ...], ...]:
    """Outputs of onnxruntime as the integers of the manifest, [sample][output].

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
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return tuple(_run(session, manifest, sample) for sample in samples)
    except Exception as error:  # its exceptions have no common base
        fact = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SourceRefusedError(f"onnxruntime refuses the model: {fact}") from None


def _run(session: Any, manifest: Manifest, sample: Sequence[Array]) -> tuple[Array, ...]:
    feeds = {
        value.name: _to_runtime(array, entry, value.type)
        for value, entry, array in zip(session.get_inputs(), manifest.inputs, sample, strict=True)
    }
    results = session.run(None, feeds)
    pairs = zip(results, manifest.outputs, strict=True)
    return tuple(_from_runtime(value, entry) for value, entry in pairs)


def _to_runtime(array: Array, entry: TensorEntry, kind: str) -> Array:
    """The tensor as the file declares it: float, or its own integers."""
    if kind == "tensor(float)":
        value = dequantize_array(array, entry)
    elif kind == "tensor(uint8)":
        value = (array.astype(np.int16) + 128).astype(np.uint8)
    else:
        value = array
    return np.ascontiguousarray(in_source_order(value, entry)).reshape(entry.source_shape)


def _from_runtime(value: Array, entry: TensorEntry) -> Array:
    if entry.layout == "NCHW":
        value = value.transpose(0, 2, 3, 1)
    if value.dtype == np.float32:
        value = quantize_array(value, entry)
    elif value.dtype == np.uint8:
        value = (value.astype(np.int16) - 128).astype(np.int8)
    elif value.dtype == np.int64:
        value = value.astype(np.int32)
    return value.reshape(entry.shape)
