# SPDX-License-Identifier: Apache-2.0
"""ONNX files to records. Whatever a damaged or hostile file says is checked here, before it is used."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from edgekit.converters.onnx.records import (
    MICROSOFT,
    ONNX,
    BranchRecord,
    InputRecord,
    ModelRecord,
    OperatorRecord,
)
from edgekit.errors import BadInputError, UnsupportedError
from edgekit.ir import MAX_ELEMENTS, Array, Shape
from edgekit.limits import MAX_NODES, MAX_ONNX_BYTES, check_shape

OLDEST_OPSET = 11
INPUT_TYPES = ("float32", "int8", "uint8")
POSITIVE = ("blocksize", "dilations", "group", "kernel_shape", "num_outputs", "strides")
"""Attributes whose numbers must be at least 1."""
PER_AXIS = ("dilations", "kernel_shape", "output_padding", "pads", "strides")
"""Attributes with an entry (pads: two) for every axis of a map."""
MAX_AXES = 8
MAX_DEPTH = 8
"""Branches inside branches."""
LARGEST = 2**31 - 1


def read_model(onnx: Any, data: bytes, *, name: str) -> ModelRecord:
    """The records of a file; ``onnx`` is the package.

    Raises:
        BadInputError: the file is damaged or contradicts itself, or its data lies elsewhere.
        UnsupportedError: an opset or a kind of value that edgekit does not support.
    """
    if len(data) > MAX_ONNX_BYTES:
        raise BadInputError(f"{name}: it has {len(data)} bytes; up to {MAX_ONNX_BYTES} are read")
    try:
        model = onnx.ModelProto.FromString(data)
    except Exception:  # protobuf's own DecodeError, whose module depends on its version
        raise BadInputError(f"{name}: it is not an ONNX file, or it is damaged") from None
    return _Reader(onnx, model, name).run()


class _Reader:
    """One pass over the protobuf of a model."""

    def __init__(self, onnx: Any, model: Any, name: str) -> None:
        self.onnx, self.model, self.name = onnx, model, name
        self.depth = self.nodes = 0
        self.problems: list[str] = []
        self.warnings: list[str] = []

    def run(self) -> ModelRecord:
        graph = self.model.graph
        versions = self._versions()
        if not graph.node or not graph.output:
            raise BadInputError(f"{self.name}: it holds no operators or no outputs")
        constants = self._constants(graph)
        operators = tuple(self._operator(node) for node in graph.node)
        inputs = tuple(
            self._input(value) for value in graph.input if text(value.name) not in constants
        )
        outputs = tuple(text(value.name) for value in graph.output)
        check_order(self.name, operators, [*constants, *(i.name for i in inputs)], outputs)
        if self.problems:
            raise UnsupportedError(*dict.fromkeys(self.problems))
        return ModelRecord(
            self.name, versions, inputs, outputs, operators, constants, tuple(self.warnings)
        )

    def _versions(self) -> Mapping[str, int]:
        versions = {}
        for entry in self.model.opset_import:
            versions[_domain(entry.domain)] = entry.version
        newest = self.onnx.defs.onnx_opset_version()
        version = versions.get(ONNX)
        if version is None:
            raise BadInputError(f"{self.name}: it does not say which opset it uses")
        if not OLDEST_OPSET <= version <= newest:
            raise UnsupportedError(
                f"{self.name}: opset {version} is not supported; use {OLDEST_OPSET} to {newest}"
            )
        return versions

    def _constants(self, graph: Any) -> dict[str, Array]:
        self.nodes += len(graph.node)
        if self.nodes > 8 * MAX_NODES:
            raise BadInputError(f"{self.name}: it has {self.nodes} nodes; up to {8 * MAX_NODES}")
        if graph.sparse_initializer:
            self.problems.append(f"{self.name}: sparse constants; store them densely")
        constants = {
            (name := text(tensor.name)): self.tensor(tensor, name) for tensor in graph.initializer
        }
        if len(constants) != len(graph.initializer):
            raise BadInputError(f"{self.name}: two constants have one name")
        return constants

    def _branch(self, graph: Any) -> BranchRecord:
        if self.depth >= MAX_DEPTH:
            raise BadInputError(f"{self.name}: more than {MAX_DEPTH} branches inside each other")
        self.depth += 1
        constants = self._constants(graph)
        operators = tuple(self._operator(node) for node in graph.node)
        self.depth -= 1
        return BranchRecord(operators, tuple(text(v.name) for v in graph.output), constants)

    def _input(self, value: Any) -> InputRecord:
        name = text(value.name)
        where = f"input '{name}'"
        if not value.type.HasField("tensor_type"):
            raise UnsupportedError(f"{where}: it is not a tensor; only tensors are supported")
        tensor = value.type.tensor_type
        dtype = self._dtype(tensor.elem_type, where)
        if dtype not in INPUT_TYPES:
            raise BadInputError(f"{where}: it is {dtype}; export with float32 inputs")
        if not tensor.HasField("shape"):
            raise BadInputError(f"{where}: it has no shape; export with fixed sizes")
        sizes = []
        for axis, dim in enumerate(tensor.shape.dim):
            size = dim.dim_value if dim.HasField("dim_value") else None
            if size is None and axis == 0:
                self.warnings.append(
                    f"{where}: its batch is open; it is converted for a batch of 1"
                )
                size = 1
            if size is None:
                raise BadInputError(
                    f"{where}: axis {axis} is open ('{text(dim.dim_param)}'); export with fixed sizes"
                )
            sizes.append(size)
        return InputRecord(name, _checked_shape(tuple(sizes), where), dtype)

    def _dtype(self, code: int, where: str) -> str:
        try:
            return np.dtype(self.onnx.helper.tensor_dtype_to_np_dtype(code)).name
        except (KeyError, TypeError, ValueError):
            raise BadInputError(f"{where}: its element type {code} does not exist") from None

    def tensor(self, proto: Any, name: str) -> Array:
        """The array of a constant, in the type of the file."""
        where = f"constant '{name}'"
        if proto.data_location == self.onnx.TensorProto.EXTERNAL or proto.external_data:
            raise BadInputError(
                f"{where}: its data lies outside the file; save the model in one file"
            )
        if proto.HasField("segment"):
            raise BadInputError(f"{where}: it is stored in segments; save the model in one file")
        shape = tuple(proto.dims)
        if (
            any(size < 0 for size in shape)
            or math.prod(shape) > MAX_ELEMENTS
            or len(shape) > MAX_AXES
        ):
            raise BadInputError(f"{where}: shape {shape} is negative, or overflows 32 bits")
        if self._dtype(proto.data_type, where) in ("object", "str") or proto.string_data:
            raise UnsupportedError(f"{where}: it holds strings; only numbers are supported")
        try:
            array = np.array(self.onnx.numpy_helper.to_array(proto))
        except Exception:  # what numpy makes of data that is too short, too long or of no type
            raise BadInputError(f"{where}: its data does not fit shape {shape}") from None
        if array.shape != shape:
            raise BadInputError(f"{where}: its data does not fit shape {shape}")
        if array.dtype.kind == "c":
            raise UnsupportedError(f"{where}: it holds complex numbers; use real ones")
        if array.dtype.kind not in "fiub":
            array = array.astype(np.float32)  # the small float types of ml_dtypes
        if array.dtype.kind == "f" and np.isnan(array).any():
            raise BadInputError(f"{where}: it holds NaN")
        return array

    def _operator(self, node: Any) -> OperatorRecord:
        domain = _domain(node.domain)
        inputs, outputs = (tuple(map(text, names)) for names in (node.input, node.output))
        record = OperatorRecord(text(node.op_type), domain, text(node.name), inputs, outputs, {})
        if len(record.inputs) + len(record.outputs) > MAX_NODES:
            raise BadInputError(f"{record}: it has too many inputs and outputs")
        attributes = {text(a.name): self._attribute(a, record) for a in node.attribute}
        for name in POSITIVE:
            values = np.atleast_1d(attributes.get(name, 1))
            if values.dtype.kind != "i" or (values < 1).any() or (values > LARGEST).any():
                raise BadInputError(f"{record}: its {name} must be at least 1, and below 2^31")
        for name in PER_AXIS:
            if len(np.atleast_1d(attributes.get(name, 0))) > MAX_AXES:
                raise BadInputError(f"{record}: its {name} has too many entries")
        if domain not in (ONNX, MICROSOFT):
            self.problems.append(
                f"{record}: it is not a standard operator; export with standard operators only"
            )
        return OperatorRecord(
            record.op, domain, record.name, record.inputs, record.outputs, attributes
        )

    def _attribute(self, attribute: Any, record: OperatorRecord) -> Any:
        kinds = self.onnx.AttributeProto
        simple: Mapping[Any, Callable[[], Any]] = {
            kinds.FLOAT: lambda: float(attribute.f),
            kinds.INT: lambda: int(attribute.i),
            kinds.STRING: lambda: text(attribute.s),
            kinds.FLOATS: lambda: [float(value) for value in attribute.floats],
            kinds.INTS: lambda: [int(value) for value in attribute.ints],
            kinds.STRINGS: lambda: [text(value) for value in attribute.strings],
            kinds.TENSOR: lambda: self.tensor(attribute.t, str(record)),
        }
        if attribute.type == kinds.GRAPH and record.op == "If" and not attribute.g.input:
            return self._branch(attribute.g)
        if attribute.ref_attr_name or attribute.type not in simple:
            self.problems.append(
                f"{record}: its attribute '{text(attribute.name)}' is no number, text or tensor "
                "(a graph of its own); export without control flow"
            )
            return None
        value = simple[attribute.type]()
        numbers = value if isinstance(value, list) else [value]
        if any(isinstance(v, float) and math.isnan(v) for v in numbers):
            raise BadInputError(f"{record}: its attribute '{text(attribute.name)}' is NaN")
        return value


def text(value: str | bytes) -> str:
    """A string of the file; protobuf leaves bytes where they are not UTF-8."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _domain(value: str | bytes) -> str:
    return ONNX if text(value) == "ai.onnx" else text(value)


def check_order(
    where: str,
    operators: Iterable[OperatorRecord],
    known: Sequence[str],
    outputs: Iterable[str],
) -> None:
    """Raise BadInputError unless every name has one definition, in front of its uses."""
    defined = set(known)
    if len(defined) != len(known):
        raise BadInputError(f"{where}: two inputs have one name")
    for record in operators:
        for name in record.inputs:
            if name and name not in defined:
                raise BadInputError(f"{record}: '{name}' is used before it is computed")
        for branch in record.attributes.values():
            if isinstance(branch, BranchRecord):
                names = [*defined, *branch.constants]
                check_order(str(record), branch.operators, names, branch.outputs)
        for name in record.outputs:
            if name and name in defined:
                raise BadInputError(f"{record}: '{name}' is computed twice")
            defined.add(name)
    for name in outputs:
        if name not in defined:
            raise BadInputError(f"output '{name}': no operator computes it")


def _checked_shape(shape: Shape, where: str) -> Shape:
    if any(size < 1 for size in shape) or math.prod(shape) > MAX_ELEMENTS:
        raise BadInputError(f"{where}: shape {shape} is empty, or overflows 32 bits")
    if not 1 <= len(shape) <= 4:
        raise UnsupportedError(f"{where}: rank {len(shape)} is not supported; use 1 to 4")
    check_shape(where, shape)
    if len(shape) == 4 and shape[0] != 1:
        raise UnsupportedError(f"{where}: shape {shape}; export with a batch of 1")
    return shape
