# SPDX-License-Identifier: Apache-2.0
"""The walk over the nodes of an ONNX graph: boundary, constants, and a mapping for every node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.converters.given_scales import GivenScales
from edgekit.converters.nchw.graph import (
    TO_STORAGE,
    Activation,
    GraphBuilder,
    Parameter,
    RefusalError,
    Regrouped,
    check_size,
)
from edgekit.converters.nchw.quantization import UINT8_SHIFT, Levels
from edgekit.converters.onnx.call import OnnxCall
from edgekit.converters.onnx.inference import FOLDABLE, MOVES, NodeInference, Result
from edgekit.converters.onnx.mapping import MAPPINGS, NEAREST_FORMS
from edgekit.converters.onnx.movement import VIEWS
from edgekit.converters.onnx.port_layouts import channels_last_inputs, channels_last_outputs
from edgekit.converters.onnx.quantization import OnnxQuantizations, moved
from edgekit.converters.onnx.records import (
    MICROSOFT,
    ONNX,
    BranchRecord,
    ModelRecord,
    OperatorRecord,
)
from edgekit.converters.onnx.reductions import SEARCHES
from edgekit.errors import BadInputError, UnsupportedError
from edgekit.ir import Graph, Port, Shape
from edgekit.limits import MAX_FOLDED_BYTES

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
HIGH_RANK = (*VIEWS, "Transpose", "Identity")
"""What may work on more than four axes."""


@dataclass(frozen=True)
class Unknown:
    """The result of a node that was refused."""


Value = Activation | Parameter | Levels | Unknown


class GraphWalk:
    """One walk over the records of a model; ``values`` has what every name stands for."""

    def __init__(self, onnx: Any, model: ModelRecord) -> None:
        self.model = model
        self.inference = NodeInference(onnx, model.versions)
        self.channels_last = channels_last_inputs(model) | channels_last_outputs(model)
        self.builder = GraphBuilder()
        self.quantizations = OnnxQuantizations(self.builder)
        self.values: dict[str, Value] = {}
        self.problems: list[str] = []
        self.dequantized: set[str] = set()
        self.folded_bytes = 0

    def run(self) -> tuple[Graph, GivenScales]:
        """The float graph, and the scales that the file gives for it.

        Raises:
            BadInputError: the file contradicts itself.
            UnsupportedError: operators that cannot be mapped, all of them.
        """
        inputs = tuple(self._input(record) for record in self.model.inputs)
        for name, data in self.model.constants.items():
            self.values[name] = Parameter(name, data)
        for record in self.model.operators:
            self._read(record)
        outputs = tuple(self._output(name) for name in self.model.outputs)
        if self.problems:
            raise UnsupportedError(*dict.fromkeys(self.problems))
        builder = self.builder
        graph = Graph(builder.tensors, tuple(builder.nodes), inputs, outputs, name=self.model.name)
        graph = graph.with_nodes(graph.nodes, graph.tensors.values()).verify()
        return graph, self.quantizations.collected()

    def _input(self, record: Any) -> Port:
        if record.name in self.channels_last:
            tensor, value = self.builder.channels_last_placeholder(record.name, record.shape)
            layout = "NHWC"
        else:
            value = self.builder.placeholder(record.name, record.shape)
            tensor, layout = value.tensor, _layout(record.shape)
        levels = record.dtype != "float32"
        self.values[record.name] = Levels(value, record.dtype) if levels else value
        return Port(record.name, tensor, record.shape, layout)

    def _output(self, name: str) -> Port:
        value = self.values[name]
        value = value.activation if isinstance(value, Levels) else value
        if isinstance(value, Regrouped):
            self.problems.append(f"output '{name}': rank {len(value.shape)}; up to 4 is supported")
        elif isinstance(value, Activation) and name in self.channels_last:
            self.builder.begin(name=f"{name}/source", source="")
            return Port(name, self.builder.in_source_order(value), value.shape, "NHWC")
        elif isinstance(value, Activation):
            return Port(name, value.tensor, value.shape, _layout(value.shape))
        elif isinstance(value, Parameter):
            if value.data.dtype.kind == "f":
                data = value.data.transpose(TO_STORAGE) if value.data.ndim == 4 else value.data
                tensor = self.builder.constant(value.name, data)
                return Port(name, tensor, value.shape, _layout(value.shape))
            self.problems.append(f"output '{name}': it does not depend on the input; remove it")
        return Port(name, "", ())

    def _read(self, record: OperatorRecord) -> None:
        results: Sequence[Value] = [Unknown()] * len(record.outputs)
        self.builder.begin(
            name=next((name for name in record.outputs if name), record.name),
            source=record.name,
        )
        try:
            results = self._results(record)
        except RefusalError as refusal:
            self.problems.append(f"{record}: {refusal}")
        for name, value in zip(record.outputs, results, strict=False):
            self.values[name] = value

    def _results(self, record: OperatorRecord) -> Sequence[Value]:
        """What the outputs of a node stand for."""
        given = [self.values[name] if name else None for name in record.inputs]
        if record.op == "If" and record.domain == ONNX:
            return self._chosen(record)
        known = record.op in MAPPINGS or record.op in (QUANTIZE, DEQUANTIZE)
        constant = all(isinstance(value, Parameter | None) for value in given)
        measures = record.op in ("Shape", "Size")
        if not (known or constant or measures) or record.domain == MICROSOFT:
            raise RefusalError(_remedy(record))
        if any(isinstance(value, Unknown) for value in given):
            return [Unknown()] * len(record.outputs)
        if self.inference.schema(record) is None:
            raise RefusalError(_remedy(record))
        self.inference.check_attributes(record)
        if record.op in (QUANTIZE, DEQUANTIZE):
            return [self._scaled(record)]
        inferred = self._inferred(record)
        if measures and isinstance(given[0], Activation | Levels):
            return [self._measured(record)]
        if constant:
            return self._folded(record, inferred)
        return self._mapped(record, inferred)

    def _chosen(self, record: OperatorRecord) -> Sequence[Value]:
        """What the branch computes that a constant condition selects."""
        condition = self.values[record.inputs[0]] if any(record.inputs[:1]) else None
        if isinstance(condition, Unknown):
            return [condition] * len(record.outputs)
        if not isinstance(condition, Parameter) or condition.data.size != 1:
            raise RefusalError("its condition is computed; export without control flow")
        branch = record.attributes.get("then_branch" if condition.data.any() else "else_branch")
        if not isinstance(branch, BranchRecord) or len(branch.outputs) != len(record.outputs):
            raise BadInputError(f"{record}: its branches do not have {len(record.outputs)} outputs")
        self.values |= {name: Parameter(name, data) for name, data in branch.constants.items()}
        for inner in branch.operators:
            self._read(inner)
        return [self.values[name] for name in branch.outputs]

    def _inferred(self, record: OperatorRecord) -> list[Result]:
        inputs = []
        constants = {}
        for name in dict.fromkeys(record.inputs):
            value = self.values.get(name)
            if isinstance(value, Levels):
                inputs.append((name, value.activation.shape, value.dtype))
            elif isinstance(value, Activation):
                indices = self._is_index(value)
                inputs.append((name, value.shape, "int64" if indices else "float32"))
            elif isinstance(value, Parameter):
                inputs.append((name, value.shape, value.data.dtype.name))
                constants[name] = value.data
        return self.inference.results(record, inputs, constants)

    def _is_index(self, value: Activation) -> bool:
        tensor = self.builder.tensors.get(value.tensor)
        return tensor is not None and tensor.dtype == "int32"

    def _measured(self, record: OperatorRecord) -> Parameter:
        value = self.values[record.inputs[0]]
        shape = value.activation.shape if isinstance(value, Levels) else value.shape  # type: ignore[union-attr]
        if record.op == "Size":
            return Parameter(record.outputs[0], np.array(np.prod(shape), np.int64))
        first, last = record.attributes.get("start", 0), record.attributes.get("end")
        return Parameter(record.outputs[0], np.array(shape[first:last], np.int64))

    def _folded(self, record: OperatorRecord, inferred: Sequence[Result]) -> list[Value]:
        constants = {
            name: value.data
            for name in record.inputs
            if isinstance(value := self.values.get(name), Parameter)
        }
        arrays = self.inference.fold(record, constants, inferred)
        self.folded_bytes += sum(array.nbytes for array in arrays)
        if self.folded_bytes > MAX_FOLDED_BYTES:
            raise BadInputError(f"{record}: the constants computed so far are too large")
        for name, array in zip(record.outputs, arrays, strict=False):
            if record.op in MOVES and len(arrays) == 1:
                moved(self.quantizations.given, self._origin(record), name, array)
        return [Parameter(n, a) for n, a in zip(record.outputs, arrays, strict=False)]

    def _origin(self, record: OperatorRecord) -> str:
        value = self.values.get(record.inputs[0]) if record.inputs else None
        return value.name if isinstance(value, Parameter) else ""

    def _scaled(self, record: OperatorRecord) -> Value:
        arguments = self._arguments(record)
        x = arguments.get("x")
        if not isinstance(x, Activation | Parameter) or len(record.outputs) != 1:
            raise BadInputError(f"{record}: it needs an input and an output")
        call = self._call(record, [Result(x.shape, "float32")], arguments)
        if record.op == QUANTIZE:
            return self.quantizations.quantize_linear(call, record.outputs[0])
        value = self.values[record.inputs[0]]
        if not isinstance(value, Levels | Parameter):
            raise RefusalError("its input is not quantized")
        self.dequantized.add(record.outputs[0])
        return self.quantizations.dequantize_linear(call, value, record.outputs[0])

    def _mapped(self, record: OperatorRecord, inferred: Sequence[Result]) -> Sequence[Value]:
        arguments = self._arguments(record)
        self._note_float_reads(record)
        values = list(_activations(self.values.get(name) for name in record.inputs))
        levels = {v.dtype for v in map(self.values.get, record.inputs) if isinstance(v, Levels)}
        if len(levels) > 1 or (levels and record.op not in MOVES):
            raise RefusalError(
                f"it works on {' and '.join(sorted(levels))} integers; dequantize in front of it"
            )
        self._check_types(record, inferred[0], values, integers=bool(levels))
        if levels:
            arguments = self._for_levels(record, arguments, *levels)
        call = self._call(record, inferred, arguments)
        if 0 in call.shape:
            raise BadInputError(f"{record}: its result of shape {call.shape} is empty")
        check_size(call.shape)
        if len(call.shape) == 4 and call.shape[0] != 1:
            raise RefusalError(f"its result has shape {call.shape}; the first dimension must be 1")
        mapped = MAPPINGS[record.op](call)
        results = mapped if isinstance(mapped, tuple) else (mapped,)
        if not levels:
            return results
        (dtype,) = levels
        return [Levels(self._same_levels(values, result), dtype) for result in results]

    def _note_float_reads(self, record: OperatorRecord) -> None:
        """Note what is read without DequantizeLinear in between."""
        for name in record.inputs:
            value = self.values.get(name)
            if isinstance(value, Activation) and name not in self.dequantized:
                self.quantizations.given.float_reads.add(value.tensor)

    def _for_levels(
        self, record: OperatorRecord, arguments: dict[str, Any], dtype: str
    ) -> dict[str, Any]:
        """The arguments of a move of integers as those of the float values behind them."""
        if record.op == "Resize" and record.attributes.get("mode", "nearest") != "nearest":
            raise RefusalError("it interpolates integers; dequantize in front of it")
        border = arguments.get("constant_value")
        if record.op != "Pad" or record.attributes.get("mode", "constant") != "constant":
            return arguments
        scale = self.quantizations.given.activations.get(arguments["data"].tensor)
        if scale is None or not isinstance(border, Parameter | None):
            raise RefusalError("it pads integers of no known scale; dequantize in front of it")
        level = float(border.data.reshape(-1)[0]) if border is not None else 0.0
        value = (level - UINT8_SHIFT[dtype] - scale.zero_point) * scale.scale
        return {**arguments, "constant_value": Parameter("border", np.array(value, np.float32))}

    def _same_levels(self, sources: Sequence[Activation], result: Activation) -> Activation:
        """The result of a move, with the scale of what it moves."""
        activations = self.quantizations.given.activations
        scales = {activations.get(source.tensor) for source in sources}
        if len(scales) > 1:
            raise RefusalError("it joins integers of different scales; dequantize in front of it")
        (scale,) = scales
        if scale is not None:
            activations.setdefault(result.tensor, scale)
        return result

    def _call(
        self, record: OperatorRecord, inferred: Sequence[Result], arguments: dict[str, Any]
    ) -> OnnxCall:
        shape = inferred[0].shape
        if shape is None:
            raise RefusalError("its shape is not known; export with fixed sizes")
        shapes = tuple(result.shape or () for result in inferred)
        used = tuple(bool(name) for name in record.outputs)
        version = self.inference.schema(record).since_version
        return OnnxCall(self.builder, record.op, arguments, shape, shapes, version, used)

    def _arguments(self, record: OperatorRecord) -> dict[str, Any]:
        """Attributes with their defaults, then inputs, by the names of the schema."""
        schema = self.inference.schema(record)
        found: dict[str, Any] = dict(self.inference.defaults(schema))
        found.update(record.attributes)
        names = [parameter.name for parameter in schema.inputs]
        values = [self._operand(name) for name in record.inputs]
        variadic = bool(names) and schema.max_input > len(names)
        if len(values) > len(names) and not variadic:
            raise BadInputError(f"{record}: it has {len(values)} inputs; up to {len(names)}")
        fixed = len(names) - 1 if variadic else len(names)
        found.update({n: v for n, v in zip(names[:fixed], values, strict=False) if v is not None})
        if variadic:
            found[names[-1]] = values[fixed:]
        return found

    def _operand(self, name: str) -> Activation | Parameter | None:
        value = self.values[name] if name else None
        if isinstance(value, Levels):
            return value.activation
        if isinstance(value, Parameter) and value.data.dtype in (np.float64, np.float16):
            with np.errstate(over="ignore"):
                return Parameter(value.name, value.data.astype(np.float32))
        assert not isinstance(value, Unknown)
        return value

    def _check_types(
        self,
        record: OperatorRecord,
        result: Result,
        values: Sequence[Activation],
        *,
        integers: bool,
    ) -> None:
        """Raise RefusalError unless all is float32, or integers that only move."""
        indices = any(self._is_index(value) for value in values)
        views = record.op in HIGH_RANK
        cast = record.op == "Cast" and indices and result.dtype in ("int32", "int64")
        if indices and not (views or cast):
            raise RefusalError("it works on indices; return them as an output")
        if not (integers or indices or result.dtype == "float32" or record.op in SEARCHES):
            raise RefusalError(f"its result is {result.dtype}; only float32 is supported")
        rank = max([len(result.shape or ()), *(len(value.shape) for value in values)])
        regrouped = any(isinstance(value, Regrouped) for value in values)
        if (regrouped or rank > 4) and not views:
            raise RefusalError(f"it works on rank {rank}; up to 4 is supported")


def _activations(values: Iterator[Value | None]) -> Iterator[Activation]:
    for value in values:
        if isinstance(value, Levels):
            yield value.activation
        elif isinstance(value, Activation):
            yield value


def _layout(shape: Shape) -> str:
    return "NCHW" if len(shape) == 4 else ""


def _remedy(record: OperatorRecord) -> str:
    nearest = NEAREST_FORMS.get(record.op) if record.domain == ONNX else None
    if nearest is None and record.op in FOLDABLE:
        return "it is supported on constants only; compute it outside the model"
    return f"not supported; use {nearest or 'the operators that `edgekit ops` lists'}"
