# SPDX-License-Identifier: Apache-2.0
"""Reads the bytes of a TFLite file into plain records; every index, length and buffer is checked.

The file is hostile until shown otherwise: lengths are compared with the file before anything is
read, and the vectors read add up to no more than a few times the file, so that tables that point
at the same bytes cannot make a small file expensive.
"""

from __future__ import annotations

import functools
import math
import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edgekit.converters.tflite.records import (
    ABSENT,
    ModelRecord,
    OperatorRecord,
    PortRecord,
    TensorRecord,
)
from edgekit.errors import BadInputError, UnsupportedError
from edgekit.ir import MAX_ELEMENTS, Array, Shape

FILE_IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3
READS_PER_BYTE = 4
TABLE_BYTES = 128
"""What reading a tensor or operator counts as: no less than a fourth of it is in an honest file."""
MAX_RANK = 8
MAX_NAME_LENGTH = 256

OPTION_TABLES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "ADD": ("AddOptions", ("FusedActivationFunction", "PotScaleInt16")),
    "ARG_MAX": ("ArgMaxOptions", ()),
    "ARG_MIN": ("ArgMinOptions", ()),
    "BATCH_MATMUL": ("BatchMatMulOptions", ("AdjX", "AdjY")),
    "CONCATENATION": ("ConcatenationOptions", ("Axis", "FusedActivationFunction")),
    "GATHER": ("GatherOptions", ("Axis", "BatchDims")),
    "L2_NORMALIZATION": ("L2NormOptions", ("FusedActivationFunction",)),
    "PACK": ("PackOptions", ("Axis",)),
    "REDUCE_MAX": ("ReducerOptions", ("KeepDims",)),
    "REDUCE_MIN": ("ReducerOptions", ("KeepDims",)),
    "SPLIT": ("SplitOptions", ("NumSplits",)),
    "SPLIT_V": ("SplitVOptions", ("NumSplits",)),
    "STRIDED_SLICE": (
        "StridedSliceOptions",
        ("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask", "Offset"),
    ),
    "SUB": ("SubOptions", ("FusedActivationFunction", "PotScaleInt16")),
    "LEAKY_RELU": ("LeakyReluOptions", ("Alpha",)),
    "GELU": ("GeluOptions", ("Approximate",)),
    "SUM": ("ReducerOptions", ("KeepDims",)),
    "UNPACK": ("UnpackOptions", ("Axis", "Num")),
    "AVERAGE_POOL_2D": (
        "Pool2DOptions",
        ("Padding", "StrideW", "StrideH", "FilterWidth", "FilterHeight", "FusedActivationFunction"),
    ),
    "CONV_2D": (
        "Conv2DOptions",
        ("Padding", "StrideW", "StrideH", "DilationWFactor", "DilationHFactor")
        + ("FusedActivationFunction",),
    ),
    "DEPTHWISE_CONV_2D": (
        "DepthwiseConv2DOptions",
        ("Padding", "StrideW", "StrideH", "DilationWFactor", "DilationHFactor")
        + ("FusedActivationFunction", "DepthMultiplier"),
    ),
    "FULLY_CONNECTED": (
        "FullyConnectedOptions",
        ("FusedActivationFunction", "WeightsFormat", "KeepNumDims"),
    ),
    "MAX_POOL_2D": (
        "Pool2DOptions",
        ("Padding", "StrideW", "StrideH", "FilterWidth", "FilterHeight", "FusedActivationFunction"),
    ),
    "MEAN": ("ReducerOptions", ("KeepDims",)),
    "MUL": ("MulOptions", ("FusedActivationFunction",)),
    "SOFTMAX": ("SoftmaxOptions", ("Beta",)),
    "DEPTH_TO_SPACE": ("DepthToSpaceOptions", ("BlockSize",)),
    "MIRROR_PAD": ("MirrorPadOptions", ("Mode",)),
    "RESIZE_BILINEAR": ("ResizeBilinearOptions", ("AlignCorners", "HalfPixelCenters")),
    "RESIZE_NEAREST_NEIGHBOR": (
        "ResizeNearestNeighborOptions",
        ("AlignCorners", "HalfPixelCenters"),
    ),
    "SPACE_TO_DEPTH": ("SpaceToDepthOptions", ("BlockSize",)),
    "TRANSPOSE_CONV": (
        "TransposeConvOptions",
        ("Padding", "StrideW", "StrideH", "FusedActivationFunction"),
    ),
}
"""Operator -> its options table of the schema and the fields that matter; others have none."""

_ELEMENT_TYPES: Mapping[str, np.dtype[Any]] = {
    "FLOAT32": np.dtype("<f4"),
    "INT8": np.dtype("i1"),
    "UINT8": np.dtype("u1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
}


def read_model(data: bytes, *, name: str) -> ModelRecord:
    """The records of a TFLite file.

    Raises:
        BadInputError: it is not a TFLite file, or it is truncated or inconsistent.
        UnsupportedError: it is of a kind that edgekit does not read.
    """
    if len(data) < 8 or data[4:8] != FILE_IDENTIFIER:
        raise BadInputError(f"{name}: it is not a TFLite file (no {FILE_IDENTIFIER.decode()} mark)")
    try:
        return _Reader(data, name).model()
    except (struct.error, IndexError, ValueError, TypeError, OverflowError) as error:
        raise BadInputError(f"{name}: the file is damaged or truncated ({_line(error)})") from error


def printable(text: str) -> str:
    """A name from a file as one line of bounded length."""
    clean = "".join(c if c.isprintable() else "?" for c in text[:MAX_NAME_LENGTH])
    return clean + "..." if len(text) > MAX_NAME_LENGTH else clean


def _line(error: Exception) -> str:
    return printable(str(error)) or type(error).__name__


@functools.cache
def _schema() -> Any:
    import tflite

    return tflite


@functools.cache
def _names_of(enum: str) -> Mapping[int, str]:
    values = vars(getattr(_schema(), enum)).items()
    return {value: name for name, value in values if isinstance(value, int)}


class _Reader:
    """The walk over one file: table readers of the ``tflite`` package behind checks."""

    def __init__(self, data: bytes, name: str) -> None:
        self._data = data
        self._name = name
        self._budget_bytes = READS_PER_BYTE * len(data) + 4096
        self._model = _schema().Model.GetRootAs(data, 0)

    def model(self) -> ModelRecord:
        version = self._model.Version()
        if version != SCHEMA_VERSION:
            raise UnsupportedError(
                f"{self._name}: schema version {version} is not supported; use {SCHEMA_VERSION}"
            )
        if self._model.SubgraphsLength() < 1:
            raise self._bad("it has no subgraph")
        graph = self._model.Subgraphs(0)
        tensors = tuple(
            self._tensor(graph.Tensors(i), i) for i in range(self._length(graph.TensorsLength()))
        )
        codes = [
            self._operator_code(self._model.OperatorCodes(i))
            for i in range(self._length(self._model.OperatorCodesLength()))
        ]
        operators = tuple(
            self._operator(graph.Operators(i), i, codes=codes, tensor_count=len(tensors))
            for i in range(self._length(graph.OperatorsLength()))
        )
        inputs = self._indices(graph.InputsLength(), graph.InputsAsNumpy)
        outputs = self._indices(graph.OutputsLength(), graph.OutputsAsNumpy)
        for index in (*inputs, *outputs):
            self._check_index(index, len(tensors), "a port of the model")
        names = self._signature_names()
        return ModelRecord(
            self._name,
            tensors,
            operators,
            tuple(PortRecord(names.get(i) or tensors[i].name, i) for i in inputs),
            tuple(PortRecord(names.get(i) or tensors[i].name, i) for i in outputs),
        )

    def _tensor(self, table: Any, index: int) -> TensorRecord:
        name = self._string(table.Name()) or f"tensor_{index}"
        where = f"tensor '{name}'"
        type_ = _names_of("TensorType").get(table.Type(), f"element type {table.Type()}")
        shape, fixed_shape, open_batch = self._shape(table, where)
        scales, zero_points, axis, peculiarity = self._quantization(table.Quantization(), where)
        if table.Sparsity() is not None:
            peculiarity = "sparse tensors are not supported; store it dense"
        if table.IsVariable():
            peculiarity = "variable tensors (state) are not supported"
        data = self._buffer(table.Buffer(), type_, fixed_shape, where)
        kind = (scales, zero_points, axis, data, peculiarity, open_batch)
        return TensorRecord(index, name, type_, shape, *kind)

    def _shape(self, table: Any, where: str) -> tuple[Shape, Shape, bool]:
        """The shape with dynamic dimensions as -1, but 1 for the batch; the stored shape; if it had one."""
        if max(table.ShapeLength(), table.ShapeSignatureLength()) > MAX_RANK:
            raise BadInputError(f"{where}: it has more than {MAX_RANK} dimensions")
        stored = self._indices(table.ShapeLength(), table.ShapeAsNumpy)
        signature = self._indices(table.ShapeSignatureLength(), table.ShapeSignatureAsNumpy)
        if signature and len(signature) != len(stored):
            raise BadInputError(f"{where}: its shape and shape signature differ in rank")
        if any(size < 0 for size in stored):
            raise BadInputError(f"{where}: shape {stored} has a negative dimension")
        if math.prod(size for size in stored if size) > MAX_ELEMENTS:
            raise BadInputError(f"{where}: shape {stored} overflows 32 bits")
        shape = list(stored)
        for axis, size in enumerate(signature):
            if size < 0:
                shape[axis] = 1 if axis == 0 else -1
        return tuple(shape), stored, signature[:1] == (-1,)

    def _quantization(
        self, table: Any, where: str
    ) -> tuple[tuple[float, ...], tuple[int, ...], int, str]:
        if table is None:
            return (), (), 0, ""
        scales = self._vector(table.ScaleLength(), table.ScaleAsNumpy, 4)
        zero_points = self._vector(table.ZeroPointLength(), table.ZeroPointAsNumpy, 8)
        if len(scales) != len(zero_points):
            raise BadInputError(f"{where}: {len(scales)} scales but {len(zero_points)} zero points")
        peculiarity = ""
        if table.DetailsType():
            peculiarity = "custom quantization details are not supported"
        return (
            tuple(float(scale) for scale in scales),
            tuple(int(zero_point) for zero_point in zero_points),
            int(table.QuantizedDimension()),
            peculiarity,
        )

    def _buffer(self, index: int, type_: str, shape: Shape, where: str) -> Array | None:
        self._check_index(index, self._model.BuffersLength(), where, "buffer")
        buffer = self._model.Buffers(index)
        if buffer.Offset() > 1:
            raise UnsupportedError(f"{where}: data outside the flatbuffer is not supported")
        size_bytes = buffer.DataLength()
        if size_bytes == 0:
            return None
        element = _ELEMENT_TYPES.get(type_)
        if element is None:
            return None
        expected_bytes = math.prod(shape) * element.itemsize
        if size_bytes != expected_bytes:
            raise BadInputError(
                f"{where}: its buffer has {size_bytes} bytes; shape {shape} needs {expected_bytes}"
            )
        raw = self._vector(size_bytes, buffer.DataAsNumpy, 1)
        data: Array = raw.view(element).reshape(shape)
        data.setflags(write=False)
        return data

    def _operator_code(self, table: Any) -> str:
        code = max(table.BuiltinCode(), table.DeprecatedBuiltinCode())
        name = _names_of("BuiltinOperator").get(code, f"operator code {code}")
        if name != "CUSTOM":
            return name
        return f"CUSTOM operator {self._string(table.CustomCode()) or '(no name)'}"

    def _operator(
        self, table: Any, index: int, *, codes: list[str], tensor_count: int
    ) -> OperatorRecord:
        where = f"operator {index}"
        self._check_index(table.OpcodeIndex(), len(codes), where, "operator code")
        name = codes[table.OpcodeIndex()]
        where = f"{name} (operator {index})"
        inputs = self._indices(table.InputsLength(), table.InputsAsNumpy)
        outputs = self._indices(table.OutputsLength(), table.OutputsAsNumpy)
        for tensor in (*inputs, *outputs):
            if tensor != ABSENT:
                self._check_index(tensor, tensor_count, where)
        if ABSENT in outputs:
            raise BadInputError(f"{where}: an output is missing")
        return OperatorRecord(index, name, inputs, outputs, self._options(table, name, where))

    def _options(self, table: Any, name: str, where: str) -> Mapping[str, int | float | bool]:
        """The fields of the operator's options; all 0 where it has none, as TFLite reads it."""
        if name not in OPTION_TABLES:
            return {}
        kind, fields = OPTION_TABLES[name]
        union = table.BuiltinOptions()
        if union is None:
            return dict.fromkeys(fields, 0)
        stored = _names_of("BuiltinOptions").get(table.BuiltinOptionsType(), "unknown options")
        if stored != kind:
            raise BadInputError(f"{where}: it has {stored} instead of {kind}")
        options = getattr(_schema(), kind)()
        options.Init(union.Bytes, union.Pos)
        return {field_name: getattr(options, field_name)() for field_name in fields}

    def _signature_names(self) -> dict[int, str]:
        """Names that the first signature of the main subgraph gives to tensors."""
        names: dict[int, str] = {}
        for i in range(self._length(self._model.SignatureDefsLength())):
            signature = self._model.SignatureDefs(i)
            if signature.SubgraphIndex() != 0:
                continue
            for length, entry in (
                (signature.InputsLength(), signature.Inputs),
                (signature.OutputsLength(), signature.Outputs),
            ):
                for j in range(self._length(length)):
                    tensor_map = entry(j)
                    names[tensor_map.TensorIndex()] = self._string(tensor_map.Name())
            break
        return names

    def _string(self, raw: bytes | None) -> str:
        self._spend(len(raw or b""))
        return printable((raw or b"").decode("utf-8", errors="replace"))

    def _length(self, count: int) -> int:
        """The length of a vector of tables, once it is known to lie inside the file."""
        self._spend(4 * count, cost_bytes=TABLE_BYTES * count)
        return count

    def _vector(self, count: int, read: Callable[[], Array], element_bytes: int) -> Array:
        if count == 0:
            return np.zeros(0, np.uint8)
        self._spend(count * element_bytes)
        return read()

    def _indices(self, count: int, read: Callable[[], Array]) -> tuple[int, ...]:
        return tuple(int(value) for value in self._vector(count, read, 4))

    def _spend(self, size_bytes: int, *, cost_bytes: int = 0) -> None:
        """Count what is about to be read; it must lie in the file, and not be read too often."""
        if size_bytes > len(self._data):
            raise self._bad(f"the file is damaged or truncated ({size_bytes} bytes in one list)")
        self._budget_bytes -= max(size_bytes, cost_bytes)
        if self._budget_bytes < 0:
            raise self._bad("its tables share so much data that no converter can have written it")

    def _check_index(self, index: int, count: int, where: str, kind: str = "tensor") -> None:
        if not 0 <= index < count:
            raise BadInputError(f"{where}: {kind} {index} does not exist; there are {count}")

    def _bad(self, fact: str) -> BadInputError:
        return BadInputError(f"{self._name}: {fact}")
