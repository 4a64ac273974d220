# SPDX-License-Identifier: Apache-2.0
"""Run the imported .tflite in TensorFlow Lite's reference interpreter, compared at the integer boundary.

The interpreter cannot judge every model: it knows no later version of an operator than its own, and
a few of its reference kernels are wrong. Both are said by SourceRefusedError, so that the rung can
be left out with its reason instead of reporting a difference that is not ours.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgekit.errors import MissingProgramError
from edgekit.inputs import dequantize_array, quantize_array
from edgekit.ir import Array
from edgekit.manifest import Manifest, TensorEntry
from edgekit.runners.source import SourceRefusedError, in_source_order


def tflite_runtime_installed() -> bool:
    """Whether the tflite-runtime package can be imported."""
    return importlib.util.find_spec("tflite_runtime") is not None


def run_tflite(
    model: bytes, manifest: Manifest, samples: Sequence[Sequence[Array]]
) -> tuple[tuple[Array, ...], ...]:
    """Outputs of BUILTIN_REF as the integers of the manifest, [sample][output].

    Raises:
        MissingProgramError: tflite-runtime is not installed.
        SourceRefusedError: it cannot judge the model.
    """
    try:
        from tflite_runtime.interpreter import Interpreter, OpResolverType
    except ImportError:
        raise MissingProgramError(
            "tflite-runtime: not installed; install it with: pip install 'edgekit[oracle]'"
        ) from None
    try:
        interpreter: Any = Interpreter(
            model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
        )
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        fact = str(error).splitlines()[0]
        raise SourceRefusedError(f"tflite-runtime refuses the model: {fact}") from None
    if (fault := _known_fault(interpreter)) is not None:
        raise SourceRefusedError(f"tflite-runtime's reference kernel is wrong here: {fault}")
    return tuple(_run(interpreter, manifest, sample) for sample in samples)


def _known_fault(interpreter: Any) -> str | None:
    """An operator of the model whose reference kernel computes something else than its definition.

    FULLY_CONNECTED with a scale per channel takes the second dimension of its output for the
    channels, so most of an output of rank 3 or 4 is never written.
    """
    tensors = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    for operator in interpreter._get_ops_details():
        if operator["op_name"] == "SUM":
            return f"SUM '{tensors[operator['outputs'][0]]['name']}' returns what was in memory"
        if operator["op_name"] != "FULLY_CONNECTED":
            continue
        scales = tensors[operator["inputs"][1]]["quantization_parameters"]["scales"]
        output = tensors[operator["outputs"][0]]
        if len(scales) > 1 and len(output["shape"]) > 2:
            return (
                f"FULLY_CONNECTED '{output['name']}' has a scale per channel and an output of"
                f" rank {len(output['shape'])}"
            )
    return None


def _run(interpreter: Any, manifest: Manifest, sample: Sequence[Array]) -> tuple[Array, ...]:
    details = interpreter.get_input_details()
    for detail, entry, array in zip(details, manifest.inputs, sample, strict=True):
        value = in_source_order(_to_runtime(array, entry, detail), entry)
        interpreter.set_tensor(detail["index"], value.reshape(detail["shape"]))
    interpreter.invoke()
    return tuple(
        _from_runtime(interpreter.get_tensor(detail["index"]), entry)
        for detail, entry in zip(interpreter.get_output_details(), manifest.outputs, strict=True)
    )


def _to_runtime(array: Array, entry: TensorEntry, detail: Mapping[str, Any]) -> Array:
    """The tensor as the source declares it: int8 as it is, uint8 shifted, float dequantized."""
    if detail["dtype"] == np.float32:
        return dequantize_array(array, entry)
    if detail["dtype"] == np.uint8:
        return (array.astype(np.int16) + 128).astype(np.uint8)
    return array


def _from_runtime(value: Array, entry: TensorEntry) -> Array:
    if value.dtype == np.float32:
        value = quantize_array(value, entry)
    elif value.dtype == np.uint8:
        value = (value.astype(np.int16) - 128).astype(np.int8)
    return value.reshape(entry.shape)
