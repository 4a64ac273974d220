# SPDX-License-Identifier: Apache-2.0
"""The judge of imported TFLite models: tflite-runtime's reference kernels, at the integer boundary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.arith import round_half_away
from edgekit.converters.from_tflite import import_tflite
from edgekit.interpret import interpret
from edgekit.ir import INTEGER_RANGE, Array, QGraph, Quantization, Tensor
from support.tflite_writer import ModelSpec, write_tflite


def built(model: ModelSpec, folder: Path) -> tuple[bytes, QGraph]:
    """A model as a file's bytes and as it is imported."""
    data = write_tflite(model)
    path = folder / "model.tflite"
    path.write_bytes(data)
    return data, import_tflite(path)


def require_runtime() -> Any:
    """tflite-runtime's interpreter module, or a skip."""
    return pytest.importorskip(
        "tflite_runtime.interpreter",
        reason="tflite-runtime is not installed; run: pip install 'edgekit[oracle]'",
    )


class Oracle:
    """BUILTIN_REF over the bytes of a file; a few operators exist in another resolver only."""

    def __init__(self, data: bytes, *, resolver: str = "BUILTIN_REF") -> None:
        runtime = require_runtime()
        self._interpreter: Any = runtime.Interpreter(
            model_content=data, experimental_op_resolver_type=runtime.OpResolverType[resolver]
        )
        self._interpreter.allocate_tensors()

    def run(self, graph: QGraph, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """The outputs as integers, for integers of the graph's inputs."""
        interpreter = self._interpreter
        details = interpreter.get_input_details()
        for detail, port, array in zip(details, graph.inputs, inputs, strict=True):
            quantization = graph.tensors[port.tensor].quantization
            interpreter.set_tensor(detail["index"], _outer(array, detail["dtype"], quantization))
        interpreter.invoke()
        results = []
        for detail, port in zip(interpreter.get_output_details(), graph.outputs, strict=True):
            result = interpreter.get_tensor(detail["index"])
            results.append(_inner(result, graph.tensors[port.tensor]))
        return tuple(results)


def _outer(array: Array, dtype: Any, quantization: Quantization | None) -> Array:
    assert quantization is not None
    if dtype == np.float32:
        scale = np.float32(quantization.scale)
        return (array.astype(np.float32) - np.float32(quantization.zero_point)) * scale
    if dtype == np.uint8:
        return array.view(np.uint8) ^ np.uint8(0x80)
    assert dtype == array.dtype
    return array


def _inner(array: Array, tensor: Tensor) -> Array:
    if array.dtype == np.float32:
        quantization = tensor.quantization
        assert quantization is not None
        steps = round_half_away(array.astype(np.float64) / quantization.scale)
        return (steps + quantization.zero_point).astype(tensor.dtype)
    if array.dtype == np.uint8:
        return (array ^ np.uint8(0x80)).view(np.int8)
    return array


def seeded_inputs(graph: QGraph, *, samples: int, seed: int = 0) -> list[tuple[Array, ...]]:
    """Uniform integers, and both extremes."""
    random = np.random.default_rng(seed)
    tensors = [graph.tensors[port.tensor] for port in graph.inputs]
    ranges = [INTEGER_RANGE[tensor.dtype] for tensor in tensors]
    noise = [
        tuple(
            random.integers(low, high + 1, tensor.shape).astype(tensor.dtype)
            for tensor, (low, high) in zip(tensors, ranges, strict=True)
        )
        for _ in range(samples - 2)
    ]
    extremes = [
        tuple(
            np.full(tensor.shape, ends[side], tensor.dtype)
            for tensor, ends in zip(tensors, ranges, strict=True)
        )
        for side in (0, 1)
    ]
    return noise + extremes


def count_mismatches(
    data: bytes, graph: QGraph, samples: Sequence[Sequence[Array]]
) -> tuple[int, int]:
    """(elements that differ from BUILTIN_REF, elements compared) over all outputs and samples."""
    oracle = Oracle(data)
    different = compared = 0
    for inputs in samples:
        ours = interpret(graph, inputs, outputs_only=True)
        for port, theirs in zip(graph.outputs, oracle.run(graph, inputs), strict=True):
            mine = ours[port.tensor]
            assert mine.shape == theirs.shape
            different += int((mine != theirs).sum())
            compared += mine.size
    return different, compared
