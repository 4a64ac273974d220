# SPDX-License-Identifier: Apache-2.0
"""Writes TFLite files: tensors with quantization, operators with options, in a few lines.

Nothing is checked: who gives the operators answers for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
import tflite

from edgekit.ir import Array

OPTION_KINDS: Mapping[str, str] = {
    "ADD": "AddOptions",
    "ARG_MAX": "ArgMaxOptions",
    "ARG_MIN": "ArgMinOptions",
    "BATCH_MATMUL": "BatchMatMulOptions",
    "CONCATENATION": "ConcatenationOptions",
    "GATHER": "GatherOptions",
    "L2_NORMALIZATION": "L2NormOptions",
    "PACK": "PackOptions",
    "REDUCE_MAX": "ReducerOptions",
    "REDUCE_MIN": "ReducerOptions",
    "SHAPE": "ShapeOptions",
    "SPLIT": "SplitOptions",
    "SPLIT_V": "SplitVOptions",
    "STRIDED_SLICE": "StridedSliceOptions",
    "SUB": "SubOptions",
    "LEAKY_RELU": "LeakyReluOptions",
    "GELU": "GeluOptions",
    "SUM": "ReducerOptions",
    "UNPACK": "UnpackOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "MUL": "MulOptions",
    "SOFTMAX": "SoftmaxOptions",
    "DEPTH_TO_SPACE": "DepthToSpaceOptions",
    "MIRROR_PAD": "MirrorPadOptions",
    "RESIZE_BILINEAR": "ResizeBilinearOptions",
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "SPACE_TO_DEPTH": "SpaceToDepthOptions",
    "TRANSPOSE_CONV": "TransposeConvOptions",
}
DTYPE_TYPES: Mapping[str, str] = {
    "float32": "FLOAT32",
    "int8": "INT8",
    "uint8": "UINT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
}
VERSIONS: Mapping[str, int] = {
    "BROADCAST_TO": 2,
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "FULLY_CONNECTED": 4,
    "RESIZE_BILINEAR": 3,
    "RESIZE_NEAREST_NEIGHBOR": 3,
    "TRANSPOSE_CONV": 3,
}


@dataclass(frozen=True, eq=False)
class TensorSpec:
    """A tensor; ``scale`` and ``zero_point`` may be sequences along ``axis``."""

    name: str
    shape: Sequence[int]
    scale: float | Sequence[float] | None = None
    zero_point: int | Sequence[int] = 0
    type: str = "INT8"
    data: Array | None = None
    axis: int = 0
    signature: Sequence[int] | None = None
    is_variable: bool = False


@dataclass(frozen=True)
class OperatorSpec:
    """An operator by the names of its tensors ("": an optional input that is not there).

    ``name`` is the schema's, or "CUSTOM:" and the name of a custom operator. ``options`` are the
    fields of its options table; an empty mapping writes a table of defaults, None writes no table.
    """

    name: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    options: Mapping[str, Any] | None = field(default_factory=dict)


@dataclass(frozen=True)
class ModelSpec:
    """A model by the names of its tensors; ``signature`` maps a port's name to its tensor."""

    tensors: Sequence[TensorSpec]
    operators: Sequence[OperatorSpec]
    inputs: Sequence[str]
    outputs: Sequence[str]
    signature: Mapping[str, str] | None = None
    version: int = 3


def constant_spec(name: str, data: Array, **quantization: Any) -> TensorSpec:
    """A tensor with data, of the array's type."""
    return TensorSpec(
        name, data.shape, type=DTYPE_TYPES[data.dtype.name], data=data, **quantization
    )


def write_tflite(model: ModelSpec) -> bytes:
    """The bytes of a file with this model."""
    return Writer(model).file()


class Writer:
    """The builder of one file; a subclass may break what it builds."""

    def __init__(self, model: ModelSpec) -> None:
        self._model = model
        self._builder = flatbuffers.Builder(1024)
        self._index = {tensor.name: i for i, tensor in enumerate(model.tensors)} | {"": -1}
        self._codes = list(dict.fromkeys(operator.name for operator in model.operators))

    def file(self) -> bytes:
        model = self._model
        datas = [tensor.data for tensor in model.tensors]
        buffers = [self._table("Buffer")] + [self._buffer(data) for data in datas]
        tensors = [self._tensor(tensor, i + 1) for i, tensor in enumerate(model.tensors)]
        operators = [self._operator(operator) for operator in model.operators]
        graph = self._table(
            "SubGraph",
            Tensors=self._tables(tensors),
            Inputs=self._indices(model.inputs),
            Outputs=self._indices(model.outputs),
            Operators=self._tables(operators),
        )
        fields = {
            "OperatorCodes": self._tables([self._code(name) for name in self._codes]),
            "Subgraphs": self._tables([graph]),
            "Buffers": self._tables(buffers),
        }
        if model.signature is not None:
            fields["SignatureDefs"] = self._tables([self._signature(model.signature)])
        root = self._table("Model", Version=model.version, **fields)
        self._builder.Finish(root, b"TFL3")
        return bytes(self._builder.Output())

    def _table(self, kind: str, **fields: Any) -> int:
        getattr(tflite, f"{kind}Start")(self._builder)
        for name, value in fields.items():
            getattr(tflite, f"{kind}Add{name}")(self._builder, value)
        return int(getattr(tflite, f"{kind}End")(self._builder))

    def _tables(self, offsets: Sequence[int]) -> int:
        self._builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self._builder.PrependUOffsetTRelative(offset)
        return int(self._builder.EndVector())

    def _vector(self, values: Any, dtype: str) -> int:
        array = np.atleast_1d(np.asarray(values, dtype))
        if array.size:
            return int(self._builder.CreateNumpyVector(array))
        self._builder.StartVector(array.itemsize, 0, array.itemsize)
        return int(self._builder.EndVector())

    def _indices(self, names: Sequence[str]) -> int:
        return self._vector([self._index[name] for name in names], "int32")

    def _buffer(self, data: Array | None) -> int:
        if data is None:
            return self._table("Buffer")
        raw = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
        return self._table("Buffer", Data=self._vector(raw, "uint8"))

    def _tensor(self, spec: TensorSpec, buffer: int) -> int:
        fields: dict[str, Any] = {"Name": self._builder.CreateString(spec.name)}
        fields["Shape"] = self._vector(spec.shape, "int32")
        if spec.signature is not None:
            fields["ShapeSignature"] = self._vector(spec.signature, "int32")
        if spec.scale is not None:
            scales = np.atleast_1d(np.asarray(spec.scale, np.float32))
            zero_points = spec.zero_point
            if isinstance(zero_points, int):
                zero_points = [zero_points] * scales.size
            fields["Quantization"] = self._table(
                "QuantizationParameters",
                Scale=self._vector(scales, "float32"),
                ZeroPoint=self._vector(zero_points, "int64"),
                QuantizedDimension=spec.axis,
            )
        type_ = getattr(tflite.TensorType, spec.type)
        return self._table(
            "Tensor", Type=type_, Buffer=buffer, IsVariable=spec.is_variable, **fields
        )

    def _code(self, name: str) -> int:
        name, _, custom = name.partition(":")
        fields: dict[str, Any] = {}
        if custom:
            fields["CustomCode"] = self._builder.CreateString(custom)
        code = getattr(tflite.BuiltinOperator, name)
        return self._table(
            "OperatorCode",
            BuiltinCode=code,
            DeprecatedBuiltinCode=min(code, 127),
            Version=VERSIONS.get(name, 1),
            **fields,
        )

    def _operator(self, spec: OperatorSpec) -> int:
        fields: dict[str, Any] = {
            "OpcodeIndex": self._codes.index(spec.name),
            "Inputs": self._indices(spec.inputs),
            "Outputs": self._indices(spec.outputs),
        }
        kind = OPTION_KINDS.get(spec.name)
        if kind is not None and spec.options is not None:
            fields["BuiltinOptions"] = self._table(kind, **spec.options)
            fields["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, kind)
        return self._table("Operator", **fields)

    def _signature(self, names: Mapping[str, str]) -> int:
        maps: dict[str, list[int]] = {"Inputs": [], "Outputs": []}
        for name, tensor in names.items():
            entry = self._table(
                "TensorMap",
                Name=self._builder.CreateString(name),
                TensorIndex=self._index[tensor],
            )
            maps["Inputs" if tensor in self._model.inputs else "Outputs"].append(entry)
        key = self._builder.CreateString("serving_default")
        vectors = {side: self._tables(entries) for side, entries in maps.items()}
        return self._table("SignatureDef", SignatureKey=key, SubgraphIndex=0, **vectors)
