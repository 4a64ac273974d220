# SPDX-License-Identifier: Apache-2.0
"""What onnx itself knows of one node: the shapes of its results, and the value of a constant one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.converters.nchw.graph import RefusalError
from edgekit.converters.onnx.records import MICROSOFT, ONNX, BranchRecord, OperatorRecord
from edgekit.errors import BadInputError
from edgekit.ir import MAX_ELEMENTS, Array, Shape
from edgekit.limits import MAX_FOLDED_ELEMENTS

MAX_VALUES = 4096
"""Elements of a constant that decides about a shape: sizes, axes, indices."""

FOLDABLE = frozenset(
    {
        *("Abs", "Add", "And", "Cast", "CastLike", "Ceil", "Clip", "Concat", "Constant"),
        *("ConstantOfShape", "Cos", "CumSum", "Div", "Equal", "Erf", "Exp", "Expand", "EyeLike"),
        *("Flatten", "Floor", "Gather", "GatherElements", "GatherND", "Gemm", "Greater"),
        *("GreaterOrEqual", "HardSigmoid", "Identity", "LeakyRelu", "Less", "LessOrEqual", "Log"),
        *("MatMul", "Max", "Mean", "Min", "Mod", "Mul", "Neg", "NonZero", "Not", "OneHot", "Or"),
        *("Pad", "Pow", "Range", "Reciprocal", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin"),
        *("ReduceProd", "ReduceSum", "Relu", "Reshape", "Round", "ScatterElements", "ScatterND"),
        *("Shape", "Sigmoid", "Sign", "Sin", "Size", "Slice", "Softmax", "Softplus", "Split"),
        *("Sqrt", "Squeeze", "Sub", "Sum", "Tan", "Tanh", "Tile", "Transpose", "Trilu"),
        *("Unsqueeze", "Where", "Xor"),
    }
)
"""Pure operators whose value is computed at import where all inputs are constants."""
MOVES = frozenset(
    {
        *("Concat", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze"),
        *("Tile", "Transpose", "Unsqueeze", "Expand", "DepthToSpace", "SpaceToDepth", "MaxPool"),
        *("Pad", "Resize"),
    }
)
"""Operators whose results are elements of their input as they are: they work on integers too."""
SHAPE_OF_FIRST_INPUT = frozenset({"GroupNormalization"})
"""Operators with one result, whose shape onnx does not infer because it knows them as functions."""


@dataclass(frozen=True)
class Result:
    """Shape and numpy type of a result; None where onnx cannot tell the shape."""

    shape: Shape | None
    dtype: str


class NodeInference:
    """The schemas, shapes and values of onnx for nodes of one model."""

    def __init__(self, onnx: Any, versions: Mapping[str, int]) -> None:
        self.onnx = onnx
        self.versions = {ONNX: versions[ONNX], MICROSOFT: 1}
        self._opsets = [onnx.helper.make_opsetid(d, v) for d, v in self.versions.items()]

    def schema(self, record: OperatorRecord) -> Any:
        """The schema of an operator at the version of the file; None where there is none."""
        try:
            schema = self.onnx.defs.get_schema(
                record.op, self.versions[record.domain], record.domain
            )
        except (KeyError, self.onnx.defs.SchemaError):
            return None
        return None if schema.deprecated else schema

    def defaults(self, schema: Any) -> Mapping[str, Any]:
        """The values of attributes that a node leaves out, where there are such."""
        found = {
            name: self.onnx.helper.get_attribute_value(attribute.default_value)
            for name, attribute in schema.attributes.items()
            if attribute.default_value.name
        }
        return {n: v.decode() if isinstance(v, bytes) else v for n, v in found.items()}

    def check_attributes(self, record: OperatorRecord) -> None:
        """Raise BadInputError where an attribute has another type than the operator's schema says."""
        known = self.schema(record).attributes
        for name, value in record.attributes.items():
            wanted = known[name].type.name if name in known else _kind(value)
            empty_list = isinstance(value, list) and not value and wanted.endswith("S")
            if _kind(value) != wanted and not empty_list:
                raise BadInputError(
                    f"{record}: its attribute '{name}' is {_kind(value)}, not {wanted}"
                )

    def node(self, record: OperatorRecord) -> Any:
        """The record as a NodeProto."""
        helper = self.onnx.helper
        node = helper.make_node(record.op, record.inputs, record.outputs, domain=record.domain)
        for name, value in record.attributes.items():
            if isinstance(value, np.ndarray):
                value = self.onnx.numpy_helper.from_array(value)
            kind = self.onnx.AttributeProto.INTS if value == [] else None
            node.attribute.append(helper.make_attribute(name, value, attr_type=kind))
        return node

    def results(
        self,
        record: OperatorRecord,
        inputs: Sequence[tuple[str, Shape, str]],
        constants: Mapping[str, Array],
    ) -> list[Result]:
        """One result per output of the record; ``inputs`` are (name, shape, numpy type).

        Raises:
            BadInputError: the inputs do not fit the operator.
        """
        helper = self.onnx.helper
        types = {
            name: helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(np.dtype(t)), shape)
            for name, shape, t in inputs
        }
        values = {
            name: self.onnx.numpy_helper.from_array(data, name)
            for name, data in constants.items()
            if data.size <= MAX_VALUES
        }
        try:
            inferred = self.onnx.shape_inference.infer_node_outputs(
                self.schema(record), self.node(record), types, values, opset_imports=self._opsets
            )
        except Exception as error:  # C++ exceptions of many kinds
            fact = " ".join(str(error).split())[:300]
            raise BadInputError(f"{record}: its inputs do not fit: {fact}") from None
        if record.op in SHAPE_OF_FIRST_INPUT:
            return [Result(shape, dtype) for _, shape, dtype in inputs[:1]]
        return [self._result(record, inferred.get(name)) for name in record.outputs]

    def _result(self, record: OperatorRecord, proto: Any) -> Result:
        if proto is None or not proto.HasField("tensor_type"):
            return Result(None, "float32")
        tensor = proto.tensor_type
        dtype = "float32"
        if tensor.elem_type:
            dtype = np.dtype(self.onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)).name
        dims = tensor.shape.dim if tensor.HasField("shape") else None
        if dims is None or not all(dim.HasField("dim_value") for dim in dims):
            return Result(None, dtype)
        shape = tuple(dim.dim_value for dim in dims)
        if any(size < 0 for size in shape) or math.prod(shape) > MAX_ELEMENTS:
            raise BadInputError(f"{record}: its result {shape} is negative, or overflows 32 bits")
        return Result(shape, dtype)

    def fold(
        self, record: OperatorRecord, constants: Mapping[str, Array], results: Sequence[Result]
    ) -> list[Array]:
        """The values of a node whose inputs are all constants."""
        if record.op not in FOLDABLE or record.domain != ONNX:
            raise RefusalError("it is computed from constants only; precompute it")
        for result in results:
            if math.prod(result.shape or ()) > MAX_FOLDED_ELEMENTS:
                raise RefusalError(f"a constant of shape {result.shape} is too large")
            if result.shape is None and record.op != "NonZero":
                raise RefusalError("the size of its result depends on values; precompute it")
        if record.op == "Constant":
            return [_constant_value(record)]
        with np.errstate(all="ignore"):
            try:
                values = self._evaluate(record, constants)
            except Exception as error:  # numpy's, for values that no shape rule looks at
                fact = " ".join(str(error).split())[:200]
                raise BadInputError(f"{record}: it cannot be computed ({fact})") from None
        for value in values:
            if value.dtype.kind not in "fiub":
                raise RefusalError(f"its result is {value.dtype}; only numbers are supported")
        return values

    def _evaluate(self, record: OperatorRecord, constants: Mapping[str, Array]) -> list[Array]:
        from onnx.reference import ReferenceEvaluator

        helper = self.onnx.helper
        names = [name for name in dict.fromkeys(record.inputs) if name]
        infos = [
            helper.make_tensor_value_info(
                name,
                helper.np_dtype_to_tensor_dtype(constants[name].dtype),
                constants[name].shape,
            )
            for name in names
        ]
        outputs = [helper.make_empty_tensor_value_info(name) for name in record.outputs]
        graph = helper.make_graph([self.node(record)], "constant", infos, outputs)
        model = helper.make_model(graph, opset_imports=self._opsets[:1])
        results = ReferenceEvaluator(model).run(None, {name: constants[name] for name in names})
        return [np.asarray(value) for value in results]


def _kind(value: Any) -> str:
    """The type of an attribute in onnx's words."""
    if isinstance(value, np.ndarray):
        return "TENSOR"
    if isinstance(value, BranchRecord):
        return "GRAPH"
    if isinstance(value, list):
        return f"{_kind(value[0])}S" if value else "an empty list"
    return {int: "INT", float: "FLOAT", str: "STRING"}[type(value)]


def _constant_value(record: OperatorRecord) -> Array:
    """The one attribute of Constant, whatever its form."""
    for name, dtype in (
        ("value_float", np.float32),
        ("value_floats", np.float32),
        ("value_int", np.int64),
        ("value_ints", np.int64),
    ):
        if name in record.attributes:
            return np.array(record.attributes[name], dtype)
    value = record.attributes.get("value")
    if not isinstance(value, np.ndarray):
        raise RefusalError("it holds no dense numbers; use a tensor")
    return value
