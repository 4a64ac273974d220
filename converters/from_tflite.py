# SPDX-License-Identifier: Apache-2.0
"""Imports int8 TFLite models: records of the file become a QGraph of the same integers.

QUANTIZE at the inputs and DEQUANTIZE (or QUANTIZE to uint8) at the outputs fall away: the ports of
the graph are the int8 tensors behind them, under the names of the file. A uint8 port becomes int8
in that way; where only its zero point differs, by 128, its bytes are those of the port ``^ 0x80``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from edgekit.converters.tflite.boundary import Boundary, boundary_of
from edgekit.converters.tflite.mapping import MAPPINGS
from edgekit.converters.tflite.operation import Mapped, Operand, Operation
from edgekit.converters.tflite.reader import (
    ABSENT,
    ModelRecord,
    OperatorRecord,
    PortRecord,
    TensorRecord,
    read_model,
)
from edgekit.errors import BadInputError, UnsupportedError
from edgekit.ir import Call, Node, Port, QGraph, Quantization, Tensor, constant
from edgekit.ops import operator_of

FLOAT_REMEDY = (
    "quantize it first with the TFLite converter's full-integer int8 post-training quantization"
    " (representative_dataset, TFLITE_BUILTINS_INT8)"
)
MAX_RANK = 4

NEAREST_FORMS: Mapping[str, str] = {
    "CONCATENATION": "ADD of branches with equal channels",
    "ELU": "RELU or RELU6",
    "GATHER": "RESHAPE or TRANSPOSE",
    "HARD_SWISH": "RELU6",
    "LEAKY_RELU": "RELU",
    "LOGISTIC": "SOFTMAX over two classes, or apply it outside the model",
    "MAXIMUM": "RELU",
    "MINIMUM": "RELU6",
    "MIRROR_PAD": "PAD",
    "PACK": "RESHAPE to a fixed shape (export with batch size 1)",
    "PRELU": "RELU",
    "REDUCE_MAX": "MAX_POOL_2D over the whole map",
    "RESIZE_NEAREST_NEIGHBOR": "CONV_2D with stride in place of resampling",
    "SHAPE": "RESHAPE to a fixed shape (export with batch size 1)",
    "STRIDED_SLICE": "RESHAPE to a fixed shape (export with batch size 1)",
    "SUB": "ADD with negated weights in front",
    "SUM": "MEAN over H and W",
    "TANH": "RELU_N1_TO_1",
    "TRANSPOSE_CONV": "CONV_2D",
}
"""Operators that are not supported yet: what a user can try instead."""


def import_tflite(path: Path) -> QGraph:
    """The integer model of a ``.tflite`` file: its main subgraph, batch size 1.

    Raises:
        BadInputError: the file cannot be read, is damaged or contradicts itself.
        UnsupportedError: it is a float model, or has operators or forms that edgekit does not
            support; all of them are listed.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInputError(f"{path}: it cannot be read ({error.strerror})") from error
    model = read_model(data, name=path.name)
    boundary = boundary_of(model)
    _refuse_float_model(model, boundary)
    return _Builder(model, boundary).graph(path.stem).verify()


def _refuse_float_model(model: ModelRecord, boundary: Boundary) -> None:
    """Raise UnsupportedError where nothing behind the boundary is int8."""
    results = [model.tensors[i] for operator in boundary.operators for i in operator.outputs]
    floats = [tensor for tensor in results if tensor.type in ("FLOAT16", "FLOAT32")]
    if floats and not any(tensor.type == "INT8" for tensor in results):
        raise UnsupportedError(
            f"{model.name} is a float model ({floats[0]} is {floats[0].type}); {FLOAT_REMEDY}"
        )


class _UniqueNames:
    """Gives every name once; repeated ones get a number."""

    def __init__(self) -> None:
        self._next: dict[str, int] = {}

    def unique(self, name: str) -> str:
        candidate = name
        while candidate in self._next:
            self._next[name] += 1
            candidate = f"{name}_{self._next[name]}"
        self._next[candidate] = 0
        return candidate


class _Builder:
    """The graph as it grows, operator by operator in the order of the file."""

    def __init__(self, model: ModelRecord, boundary: Boundary) -> None:
        self._model = model
        self._boundary = boundary
        self._names = _UniqueNames()
        self._tensors: dict[str, Tensor] = {}
        self._inputs = {port.tensor for port in boundary.inputs}
        self._defined: set[int] = set()
        self._activations: dict[int, str] = {}
        self._constants: dict[tuple[int, bool], str] = {}
        self._nodes: list[Node] = []
        self._problems: list[str] = []

    def graph(self, name: str) -> QGraph:
        """The graph behind the boundary, not verified yet."""
        inputs = tuple(self._input_port(port) for port in self._boundary.inputs)
        for record in self._boundary.operators:
            self._add_operator(self._operation(record))
        if self._problems:
            raise UnsupportedError(*dict.fromkeys(self._problems))
        outputs = tuple(self._output_port(port) for port in self._boundary.outputs)
        nodes = _live_nodes(self._nodes, [port.tensor for port in outputs])
        graph = QGraph({}, (), _unique_ports(inputs), _unique_ports(outputs), name=name)
        return graph.with_nodes(nodes, self._tensors.values())

    def _input_port(self, port: PortRecord) -> Port:
        record = self._model.tensors[port.tensor]
        if record.index in self._defined or record.data is not None:
            raise BadInputError(f"input '{port.name}': it is a constant, or an input twice")
        operation = Operation(OperatorRecord(-1, "input", (), (record.index,)), (), (record,))
        try:
            if record.shape[:1] != (1,):
                raise operation.unsupported(f"shape {record.shape}; export with batch size 1")
            _check_activation(operation, record)
            tensor = self._activation(record, operation.output_quantization())
        except UnsupportedError as error:
            self._problems.extend(error.lines)
            self._defined.add(record.index)
            return Port(port.name, "", record.shape)
        return _port(port.name or "input", tensor)

    def _output_port(self, port: PortRecord) -> Port:
        name = self._activations.get(port.tensor)
        if name is None or port.tensor in self._inputs:
            raise BadInputError(f"output '{port.name}': no operator computes it")
        return _port(port.name or "output", self._tensors[name])

    def _operation(self, record: OperatorRecord) -> Operation:
        tensors = self._model.tensors
        replaced = self._boundary.replaced
        inputs = [i if i == ABSENT else replaced.get(i, i) for i in record.inputs]
        return Operation(
            record,
            tuple(None if i == ABSENT else tensors[i] for i in inputs),
            tuple(tensors[i] for i in record.outputs),
        )

    def _add_operator(self, operation: Operation) -> None:
        """Map one operator; what is not supported is noted, and the others are still tried."""
        self._check_order(operation)
        try:
            mapped = _mapping_of(operation)
            quantization = operation.output_quantization()
        except UnsupportedError as error:
            self._problems.extend(error.lines)
        self._defined.update(tensor.index for tensor in operation.outputs)
        if not self._problems:
            self._add_mapped(operation, mapped, quantization)

    def _check_order(self, operation: Operation) -> None:
        for tensor in operation.inputs:
            if tensor is not None and tensor.data is None and tensor.index not in self._defined:
                raise operation.fail(f"{tensor} is used before it is computed, or has no data")
        for tensor in operation.outputs:
            if tensor.data is not None or tensor.index in self._defined:
                raise operation.fail(f"{tensor} is computed twice, or is a constant")

    def _add_mapped(self, operation: Operation, mapped: Mapped, quantization: Quantization) -> None:
        """Add a node whose output must have the shape that its operator computes."""
        inputs = tuple(self._operand(operand) for operand in mapped.operands)
        result = self._activation(operation.output, quantization)
        node = Node(
            name=f"{mapped.op}_{operation.record.index}",
            op=mapped.op,
            inputs=tuple(tensor.name for tensor in inputs),
            outputs=(result.name,),
            attributes=mapped.attributes,
            arithmetic=mapped.arithmetic,
            source=operation.output.name,
        )
        operator = operator_of(node)
        operator.verify(Call(node, inputs, (result,)))
        computed = operator.output_shape(node.attributes, [tensor.shape for tensor in inputs])
        if computed != result.shape:
            raise operation.fail(f"its output has shape {result.shape}; it computes {computed}")
        self._nodes.append(node)

    def _activation(self, record: TensorRecord, quantization: Quantization) -> Tensor:
        name = self._names.unique(record.name)
        self._defined.add(record.index)
        self._activations[record.index] = name
        self._tensors[name] = Tensor(name, record.shape, "int8", quantization)
        return self._tensors[name]

    def _operand(self, operand: Operand) -> Tensor:
        record = operand.tensor
        if record.data is None:
            return self._tensors[self._activations[record.index]]
        key = (record.index, operand.quantization is not None)
        if key not in self._constants:
            name = self._names.unique(record.name)
            self._tensors[name] = constant(name, record.data, quantization=operand.quantization)
            self._constants[key] = name
        return self._tensors[self._constants[key]]


def _mapping_of(operation: Operation) -> Mapped:
    """The node of one operator.

    Raises:
        UnsupportedError: there is no mapping, or not for this form of the operator.
        BadInputError: the operator contradicts itself.
    """
    mapping = MAPPINGS.get(operation.record.name)
    if mapping is None:
        remedy = NEAREST_FORMS.get(operation.record.name)
        hint = f"use {remedy}" if remedy else "`edgekit ops` lists what is"
        raise operation.unsupported(f"this operator is not supported; {hint}")
    for tensor in (*operation.inputs, *operation.outputs):
        if tensor is not None and tensor.peculiarity:
            raise operation.unsupported(f"{tensor}: {tensor.peculiarity}")
        if tensor is not None and tensor.data is None:
            _check_activation(operation, tensor)
    return mapping(operation)


def _check_activation(operation: Operation, tensor: TensorRecord) -> None:
    """Raise where an activation has no fixed shape with batch 1."""
    shape = tensor.shape
    if -1 in shape:
        raise operation.unsupported(f"{tensor} has the dynamic shape {shape}; export a fixed one")
    if 0 in shape:
        raise operation.fail(f"{tensor} has shape {shape}; a dimension is empty")
    if len(shape) > MAX_RANK:
        raise operation.unsupported(f"{tensor} has {len(shape)} dimensions; use at most {MAX_RANK}")
    if len(shape) > 2 and shape[0] != 1:
        raise operation.unsupported(f"{tensor} has shape {shape}; export with batch size 1")


def _port(name: str, tensor: Tensor) -> Port:
    return Port(name, tensor.name, tensor.shape, "NHWC" if len(tensor.shape) == 4 else "")


def _unique_ports(ports: Iterable[Port]) -> tuple[Port, ...]:
    names = _UniqueNames()
    return tuple(dataclasses.replace(port, name=names.unique(port.name)) for port in ports)


def _live_nodes(nodes: Sequence[Node], results: Iterable[str]) -> list[Node]:
    """The nodes that the results depend on, in order."""
    needed = set(results)
    live = []
    for node in reversed(nodes):
        if needed.intersection(node.outputs):
            needed.update(node.inputs)
            live.append(node)
    return live[::-1]
