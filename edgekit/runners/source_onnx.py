# SPDX-License-Identifier: Apache-2.0
"""Run the imported quantized .onnx in onnxruntime, compared at the int8 boundary and layer by layer.

onnxruntime is no exact judge. From the same integers, its results may differ from the reference's
by one output step on a few elements, for reasons that no importer can mend:

- it scales sums by a float32 factor and rounds once, halves to even; the reference multiplies by a
  31-bit integer and shifts by e bits, rounding both times, halves away from zero, as TensorFlow
  Lite does. One sum in 2^(e + 2) lies where that makes a difference: below 0.4% where a layer sums
  hundreds of products, more in small ones, whose e is 3 to 5;
- averages of an even number of integers are halves as often as one in that number;
- a bias that the file keeps in float is rounded to the scale of the sums;
- the reference's softmax has 8 bits, and its result gets the scale of the file afterwards.

A step in front of a layer changes many results behind it, so the ends of a deep network say little:
every layer is also computed from onnxruntime's own integers in front of it, and this is judged. No
element may be off by more than a step, and 0.5% of them may be, besides those that the roundings
above explain.

Graph optimizations are off: onnxruntime's fused 8-bit kernels saturate sums of two products at 16
bits on processors without VNNI, which is further off than all of the above.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgekit.errors import MissingProgramError
from edgekit.inputs import dequantize_array, quantize_array
from edgekit.ir import Array, Call, QGraph
from edgekit.manifest import Manifest, TensorEntry
from edgekit.ops import operator_of
from edgekit.ops.lookup import LookupArithmetic
from edgekit.runners.source import SourceRefusedError, in_source_order

LARGEST_DIFFERENCE = 1
LARGEST_SHARE = 0.005
"""Steps, and the share of elements besides explained ones, by which onnxruntime may differ."""

MOVES = frozenset(
    {
        *("concat", "depth_to_space", "lookup", "max_pool2d", "pad", "reshape", "resize_nearest"),
        *("slice", "space_to_depth", "tile", "transpose"),
    }
)
"""Operators that are exact, whatever they work on."""


@dataclass(frozen=True)
class OnnxSource:
    """The file, and the names of the integers in it for tensors of the reference."""

    model: bytes
    levels: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class OnnxRun:
    """What onnxruntime computed for a sample, as integers of the reference.

    ``levels`` are activations by tensor name, in the layout of the reference.
    """

    outputs: tuple[Array, ...]
    levels: Mapping[str, Array]


@dataclass(frozen=True)
class LayerCount:
    """Elements of layers, those that differ, and about how many may by the ways to round."""

    elements: int = 0
    mismatches: int = 0
    max_abs_diff: int = 0
    explained: float = 0.0
    layers: int = 0

    def with_layer(
        self, graph: QGraph, call: Call, ours: Array, theirs: Array, varied: bool
    ) -> LayerCount:
        """The count with another layer; without its elements unless they are ``varied``."""
        difference = np.abs(ours.astype(np.int64) - theirs)
        largest = max(self.max_abs_diff, int(difference.max(initial=0)))
        if not varied:
            return replace(self, max_abs_diff=largest, layers=self.layers + 1)
        return LayerCount(
            self.elements + difference.size,
            self.mismatches + int(np.count_nonzero(difference)),
            largest,
            self.explained + rounding_share(graph, call) * difference.size,
            self.layers + 1,
        )

    @property
    def tolerated(self) -> bool:
        few = self.mismatches - self.explained <= LARGEST_SHARE * self.elements
        return bool(self.layers) and self.max_abs_diff <= LARGEST_DIFFERENCE and few


def onnxruntime_installed() -> bool:
    """Whether the packages onnxruntime and onnx can be imported."""
    return all(importlib.util.find_spec(name) is not None for name in ("onnx", "onnxruntime"))


def run_onnx(
    source: OnnxSource, manifest: Manifest, graph: QGraph, samples: Sequence[Sequence[Array]]
) -> tuple[OnnxRun, ...]:
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


def count_layers(
    graph: QGraph, samples: Sequence[Sequence[Array]], runs: Sequence[OnnxRun]
) -> LayerCount:
    """Every layer of the reference computed from onnxruntime's integers in front of it.

    A layer behind something that onnxruntime computes in float is left out. Maps of one value, as
    the extremes are, say nothing about shares: all their elements may lie next to the same half.
    """
    total = LayerCount()
    for sample, run in zip(samples, runs, strict=True):
        varied = any(array.min() != array.max() for array in sample)
        values = {port.tensor: array for port, array in zip(graph.inputs, sample, strict=True)}
        shared = set(values)
        for call in graph.calls():
            name = call.output.name
            operands = [
                tensor.data if tensor.data is not None else values[tensor.name]
                for tensor in call.inputs
            ]
            values[name] = operator_of(call.node).evaluate(call, operands)
            known = all(tensor.name in shared for tensor in call.activations)
            if name in run.levels:
                if known:
                    total = total.with_layer(graph, call, values[name], run.levels[name], varied)
                values[name] = run.levels[name]
            if name in run.levels or (known and call.node.op in MOVES):
                shared.add(name)
    return total


def rounding_share(graph: QGraph, call: Call) -> float:
    """The share of results of a layer that are next to a half, where the two may round apart."""
    arithmetic = call.node.arithmetic
    if isinstance(arithmetic, LookupArithmetic):
        sources = [node for node in graph.nodes if node.outputs[0] in call.node.inputs]
        return 1.0 if any(node.op == "softmax" for node in sources) else 0.0
    if call.node.op == "concat":
        return 0.0  # quantize/given.py lets it copy
    if call.node.op == "average_pool2d":
        return 0.25  # windows of four taps at a border
    if (output_shift := getattr(arithmetic, "output_shift", None)) is not None:
        shifts = [output_shift]
    elif (shift := getattr(arithmetic, "shift", None)) is not None:
        shifts = [shift]
    else:
        shifts = list(getattr(arithmetic, "shifts", (-31,)))
    return float(np.mean([2.0 ** min(shift - 2, 0) for shift in shifts]))


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
) -> OnnxRun:
    feeds = {
        value.name: _to_runtime(array, entry, value.type)
        for value, entry, array in zip(session.get_inputs(), manifest.inputs, sample, strict=True)
    }
    names = [value.name for value in session.get_outputs()]
    results = dict(zip(names, session.run(None, feeds), strict=True))
    outputs = (
        _from_runtime(results[name], entry)
        for name, entry in zip(names, manifest.outputs, strict=False)
    )
    found = {
        name: array
        for name, level in levels.items()
        if (array := _activation(results[level])).shape == graph.tensors[name].shape
    }
    return OnnxRun(tuple(outputs), found)


def _activation(value: Array) -> Array:
    """Levels of the file as those of the reference."""
    value = value.transpose(0, 2, 3, 1) if value.ndim == 4 else value
    if value.dtype == np.uint8:
        value = (value.astype(np.int16) - 128).astype(np.int8)
    return value


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
