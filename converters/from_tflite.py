# SPDX-License-Identifier: Apache-2.0
"""Imports TFLite models: int8 and 16x8 ones become a QGraph of the same integers, float32 ones a Graph.

QUANTIZE at the inputs and DEQUANTIZE (or QUANTIZE to uint8) at the outputs fall away: the ports of
the graph are the integer tensors behind them, under the names of the file. A uint8 port becomes int8
in that way; where only its zero point differs, by 128, its bytes are those of the port ``^ 0x80``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from edgekit.converters.tflite.boundary import Boundary, boundary_of
from edgekit.converters.tflite.constants import fold_constants, folded_shape
from edgekit.converters.tflite.dilated import with_dilated_convolutions
from edgekit.converters.tflite.float_islands import without_float_islands
from edgekit.converters.tflite.float_weights import with_float_weights
from edgekit.converters.tflite.high_rank import without_high_ranks
from edgekit.converters.tflite.nearest_forms import NEAREST_FORMS
from edgekit.converters.tflite.number_forms import FloatForm, IntegerForm, NumberForm
from edgekit.converters.tflite.open_shapes import (
    agrees,
    declared_shape,
    with_declared_shape,
    without_open_sizes,
)
from edgekit.converters.tflite.operation import (
    ACTIVATION_TYPES,
    Mapped,
    Operand,
    Operation,
)
from edgekit.converters.tflite.reader import read_model
from edgekit.converters.tflite.records import (
    ABSENT,
    ModelRecord,
    OperatorRecord,
    PortRecord,
    TensorRecord,
)
from edgekit.errors import BadInputError, UnsupportedError
from edgekit.ir import (
    INTEGER_RANGE,
    Call,
    DType,
    Graph,
    Node,
    Port,
    Quantization,
    Shape,
    Tensor,
    constant,
)
from edgekit.ops import operator_of, operators

MAX_RANK = 4


def import_tflite(path: Path) -> Graph:
    """The model of a ``.tflite`` file: its main subgraph, batch size 1; a QGraph of an integer one.

    Raises:
        BadInputError: the file cannot be read, is damaged or contradicts itself.
        UnsupportedError: it has operators or forms that edgekit does not support; all of them are
            listed.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInputError(f"{path}: it cannot be read ({error.strerror})") from error
    model = fold_constants(read_model(data, name=path.name))
    model = without_high_ranks(with_dilated_convolutions(without_float_islands(model)))
    boundary = boundary_of(model)
    if _is_float_model(model, boundary):
        return _Builder(with_float_weights(model), boundary, FloatForm()).graph(path.stem).verify()
    return _Builder(model, boundary, IntegerForm()).graph(path.stem).verify()


def _is_float_model(model: ModelRecord, boundary: Boundary) -> bool:
    """Whether activations are float32, and none behind the boundary is int8 or int16."""
    indices = [i for operator in boundary.operators for i in (*operator.outputs, *operator.inputs)]
    indices += [port.tensor for port in boundary.inputs]
    types = {model.tensors[i].type for i in indices if i >= 0 and model.tensors[i].data is None}
    return bool(types & {"FLOAT16", "FLOAT32"}) and types.isdisjoint(ACTIVATION_TYPES)


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

    def __init__(self, model: ModelRecord, boundary: Boundary, form: NumberForm) -> None:
        self._model = model
        self._form = form
        self._boundary = boundary
        self._names = _UniqueNames()
        self._tensors: dict[str, Tensor] = {}
        self._inputs = {port.tensor for port in boundary.inputs}
        self._defined: set[int] = set()
        self._known: dict[int, TensorRecord] = {}
        self._activations: dict[int, str] = {}
        self._constants: dict[tuple[int, bool], str] = {}
        self._nodes: list[Node] = []
        self._problems: list[str] = []

    def graph(self, name: str) -> Graph:
        """The graph behind the boundary, not verified yet."""
        inputs = tuple(self._input_port(port) for port in self._boundary.inputs)
        for record in self._boundary.operators:
            self._add_operator(self._operation(record))
        if self._problems:
            raise UnsupportedError(*dict.fromkeys(self._problems))
        outputs = tuple(self._output_port(port) for port in self._boundary.outputs)
        nodes = _live_nodes(self._nodes, [port.tensor for port in outputs])
        graph = self._form.graph({}, (), _unique_ports(inputs), _unique_ports(outputs), name=name)
        return graph.with_nodes(nodes, self._tensors.values())

    def _input_port(self, port: PortRecord) -> Port:
        record = self._model.tensors[port.tensor]
        if record.index in self._defined or record.data is not None:
            raise BadInputError(f"input '{port.name}': it is a constant, or an input twice")
        source = OperatorRecord(-1, "input", (), (record.index,))
        operation = self._form.operation(source, (), (record,))
        try:
            if record.shape[:1] != (1,):
                raise operation.unsupported(f"shape {record.shape}; export with batch size 1")
            _check_activation(operation, record)
            type_ = self._form.type_of(operation, record, "requantize")
            tensor = self._activation(record, *type_)
        except UnsupportedError as error:
            self._problems.extend(error.lines)
            self._defined.add(record.index)
            return Port(port.name, "", record.shape)
        return _port(port.name or "input", tensor)

    def _output_port(self, port: PortRecord) -> Port:
        name = self._activations.get(port.tensor)
        record = self._record(port.tensor)
        if record.data is not None:
            name = self._constant_output(port, record)
        elif name is None or port.tensor in self._inputs:
            raise BadInputError(f"output '{port.name}': no operator computes it")
        return _port(port.name or "output", self._tensors[name])

    def _constant_output(self, port: PortRecord, record: TensorRecord) -> str:
        """The constant that a model returns as it is: integers with a scale, or plain indices."""
        operation = self._form.operation(OperatorRecord(-1, "output", (), ()), (), (record,))
        if record.type in ("INT32", "INT64") and record.data is not None:
            low, high = INTEGER_RANGE["int32"]
            values = np.clip(record.data, low, high).astype(np.int32)
            return self._operand(Operand(dataclasses.replace(record, data=values), None)).name
        _, quantization = self._form.type_of(operation, record, "reshape")
        return self._operand(Operand(record, quantization)).name

    def _operation(self, record: OperatorRecord) -> Operation:
        replaced = self._boundary.replaced
        inputs = [i if i == ABSENT else replaced.get(i, i) for i in record.inputs]
        return self._form.operation(
            record,
            tuple(None if i == ABSENT else self._record(i) for i in inputs),
            tuple(self._record(i) for i in record.outputs),
        )

    def _record(self, index: int) -> TensorRecord:
        """A tensor with what is known of it by now: a value, or a shape that the file left open."""
        return self._known.get(index, self._model.tensors[index])

    def _add_operator(self, operation: Operation) -> None:
        """Map one operator; what is not supported is noted, and the others are still tried."""
        self._check_order(operation)
        operation = with_declared_shape(operation)
        try:
            value = folded_shape(operation)
            if value is None:
                mapped = _mapping_of(operation, self._form)
                types = [self._form.type_of(operation, tensor, m.op) for m, tensor in mapped]
        except UnsupportedError as error:
            self._problems.extend(error.lines)
        self._defined.update(tensor.index for tensor in operation.outputs)
        if self._problems:
            return
        if value is not None:
            record = dataclasses.replace(operation.output, shape=value.shape, data=value)
            self._known[record.index] = record
            return
        for number, ((part, record), type_) in enumerate(zip(mapped, types, strict=True)):
            label = f"{operation.record.index}_{number}" if number else str(operation.record.index)
            self._add_result(operation, part, record, type_, label)

    def _check_order(self, operation: Operation) -> None:
        for tensor in operation.inputs:
            if tensor is not None and tensor.data is None and tensor.index not in self._defined:
                raise operation.fail(f"{tensor} is used before it is computed, or has no data")
        for tensor in operation.outputs:
            if tensor.data is not None or tensor.index in self._defined:
                raise operation.fail(f"{tensor} is computed twice, or is a constant")

    def _add_result(
        self,
        operation: Operation,
        mapped: Mapped,
        record: TensorRecord,
        type_: tuple[DType, Quantization | None],
        label: str,
    ) -> None:
        """Add the node of one result, whose shape must be the one that its operator computes."""
        inputs = self._operands(operation, mapped, label)
        provisional = Tensor(record.name, without_open_sizes(record).shape, *type_)
        shape = self._shape(operation, mapped, inputs, provisional, label)
        if not agrees(declared_shape(record), shape):
            raise operation.fail(f"its output has shape {record.shape}; it computes {shape}")
        record = dataclasses.replace(record, shape=shape)
        self._known[record.index] = record
        result = self._activation(record, *type_)
        self._nodes.append(_verified_node(operation, mapped, inputs, result, label))

    def _operands(self, operation: Operation, mapped: Mapped, label: str) -> list[Tensor]:
        """The tensors that a node reads, with the nodes in front that compute them added."""
        return [
            self._operand(operand)
            if isinstance(operand, Operand)
            else self._inner(operation, operand, f"{label}_{position}")
            for position, operand in enumerate(mapped.operands)
        ]

    def _inner(self, operation: Operation, mapped: Mapped, label: str) -> Tensor:
        """The result of a node in front of the operator's own."""
        inputs = self._operands(operation, mapped, label)
        name = self._names.unique(f"{operation.output.name}/{mapped.op}")
        result = Tensor(name, (1,), inputs[0].dtype, mapped.quantization)
        shape = self._shape(operation, mapped, inputs, result, label)
        result = dataclasses.replace(result, shape=shape)
        self._nodes.append(_verified_node(operation, mapped, inputs, result, label))
        self._tensors[name] = result
        return result

    def _shape(
        self,
        operation: Operation,
        mapped: Mapped,
        inputs: Sequence[Tensor],
        result: Tensor,
        label: str,
    ) -> Shape:
        """What the operator computes, once its own rules have been checked."""
        _verified_node(operation, mapped, inputs, result, label)
        return operators()[mapped.op].output_shape(mapped.attributes, [t.shape for t in inputs])

    def _activation(
        self, record: TensorRecord, dtype: DType, quantization: Quantization | None
    ) -> Tensor:
        name = self._names.unique(record.name)
        self._defined.add(record.index)
        self._activations[record.index] = name
        self._tensors[name] = Tensor(name, record.shape, dtype, quantization)
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


Result = tuple[Mapped, TensorRecord]


def _verified_node(
    operation: Operation, mapped: Mapped, inputs: Sequence[Tensor], result: Tensor, label: str
) -> Node:
    """The node, once its operator's own rules have been checked."""
    node = Node(
        name=f"{mapped.op}_{label}",
        op=mapped.op,
        inputs=tuple(tensor.name for tensor in inputs),
        outputs=(result.name,),
        attributes=mapped.attributes,
        arithmetic=mapped.arithmetic,
        source=operation.output.title,
    )
    operator_of(node).verify(Call(node, tuple(inputs), (result,)))
    return node


def _mapping_of(operation: Operation, form: NumberForm) -> list[Result]:
    """The node of every result of one operator.

    Raises:
        UnsupportedError: there is no mapping, or not for this form of the operator.
        BadInputError: the operator contradicts itself.
    """
    mapping = form.mapping(operation)
    if mapping is None:
        remedy = NEAREST_FORMS.get(operation.record.name)
        hint = f"use {remedy}" if remedy else "`edgekit ops` lists what is"
        raise operation.unsupported(f"this operator is not supported; {hint}")
    for tensor in (*operation.inputs, *operation.outputs):
        if tensor is not None and tensor.peculiarity:
            raise operation.unsupported(f"{tensor}: {tensor.peculiarity}")
        if tensor is not None and tensor.data is None:
            computed = tensor in operation.outputs
            _check_activation(operation, without_open_sizes(tensor) if computed else tensor)
    mapped = mapping(operation)
    results = mapped if isinstance(mapped, tuple) else (mapped,)
    results = tuple(form.finished(operation, result) for result in results)
    return list(zip(results, operation.outputs, strict=True))


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
