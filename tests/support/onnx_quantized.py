# SPDX-License-Identifier: Apache-2.0
"""Quantized ONNX models: onnxruntime's own quantizer, and QOperator models of one operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quant_pre_process,
    quantize_static,
)

from edgekit.ir import Array
from support.onnx_checks import noise, tensor

MICROSOFT = "com.microsoft"
TYPES = {"int8": (np.int8, TensorProto.INT8), "uint8": (np.uint8, TensorProto.UINT8)}


class Noise(CalibrationDataReader):
    """Standard normal samples."""

    def __init__(self, shapes: Mapping[str, Sequence[int]], count: int = 4) -> None:
        self._samples = iter(
            [
                {n: noise(*shape, seed=10 * i + j) for j, (n, shape) in enumerate(shapes.items())}
                for i in range(count)
            ]
        )

    def get_next(self) -> dict[str, Array] | None:
        return next(self._samples, None)


def quantized(source: Path, kind: str) -> Path:
    """A float model as onnxruntime quantizes it: "QDQ-Int8-Int8-channel", "QOperator-UInt8-Int8"."""
    form, activations, weights, *per_channel = kind.split("-")
    prepared = source.with_suffix(".prepared.onnx")
    quant_pre_process(str(source), str(prepared))
    graph = onnx.load(str(prepared)).graph
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in graph.input}
    target = source.with_suffix(f".{kind}.onnx")
    quantize_static(
        str(prepared),
        str(target),
        Noise(shapes),
        quant_format=QuantFormat[form],
        activation_type=QuantType[f"Q{activations}"],
        weight_type=QuantType[f"Q{weights}"],
        per_channel=bool(per_channel),
    )
    return target


@dataclass(frozen=True)
class Scale:
    """Scale and zero point of a quantized input or output."""

    scale: float
    zero_point: int


def scale_names(name: str) -> list[str]:
    return [name, f"{name}_scale", f"{name}_zero_point"]


def qoperator_model(
    op: str,
    inputs: Mapping[str, tuple[Sequence[int], Scale]],
    output: Scale,
    *,
    dtype: str = "uint8",
    constants: Sequence[onnx.TensorProto] = (),
    arguments: Sequence[str] | None = None,
    domain: str = MICROSOFT,
    **attributes: Any,
) -> onnx.ModelProto:
    """A model of one QLinear operator whose ports are integers.

    ``arguments`` are its inputs where they are not (value, scale, zero point) of every input, then
    scale and zero point of the output.
    """
    array_type, element_type = TYPES[dtype]
    scales = [*((name, scale) for name, (_, scale) in inputs.items()), ("y", output)]
    parameters = []
    for name, given in scales:
        parameters.append(tensor(f"{name}_scale", given.scale))
        parameters.append(tensor(f"{name}_zero_point", given.zero_point, array_type))
    names = [part for name in inputs for part in scale_names(name)] + scale_names("y")[1:]
    node = helper.make_node(op, arguments or names, ["y"], domain=domain, **attributes)
    graph = helper.make_graph(
        [node],
        "graph",
        [helper.make_tensor_value_info(n, element_type, s) for n, (s, _) in inputs.items()],
        [helper.make_tensor_value_info("y", element_type, None)],
        [*parameters, *constants],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(MICROSOFT, 1)]
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 8
    return model


def levels(shape: Sequence[int], dtype: str, *, seed: int = 3) -> Array:
    """Integers of the whole range."""
    array_type, _ = TYPES[dtype]
    low, high = np.iinfo(array_type).min, np.iinfo(array_type).max
    return np.random.default_rng(seed).integers(low, high + 1, shape).astype(array_type)
