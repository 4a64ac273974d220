# SPDX-License-Identifier: Apache-2.0
"""Run the imported .tflite in TensorFlow Lite's reference interpreter, compared at the int8 boundary."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgekit.errors import BadInputError, MissingProgramError
from edgekit.inputs import dequantize_array, quantize_array
from edgekit.ir import Array
from edgekit.manifest import Manifest, TensorEntry


def tflite_runtime_installed() -> bool:
    """Whether the tflite-runtime package can be imported."""
    return importlib.util.find_spec("tflite_runtime") is not None


def run_tflite(
    model: bytes, manifest: Manifest, samples: Sequence[Sequence[Array]]
) -> tuple[tuple[Array, ...], ...]:
    """Outputs of BUILTIN_REF as the integers of the manifest, [sample][output].

    Raises:
        MissingProgramError: tflite-runtime is not installed.
        BadInputError: it refuses the model.
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
        raise BadInputError(f"tflite-runtime refuses the source model: {error}") from None
    return tuple(_run(interpreter, manifest, sample) for sample in samples)


def _run(interpreter: Any, manifest: Manifest, sample: Sequence[Array]) -> tuple[Array, ...]:
    details = interpreter.get_input_details()
    for detail, entry, array in zip(details, manifest.inputs, sample, strict=True):
        value = _to_runtime(array, entry, detail)
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
