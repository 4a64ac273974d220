# SPDX-License-Identifier: Apache-2.0
"""The walk over an exported ATen graph: boundary, constants, and a mapping for every call."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Sequence
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
    SourceCall,
    check_size,
)
from edgekit.converters.nchw.quantization import Levels
from edgekit.converters.torch.folding import FOLDABLE
from edgekit.converters.torch.mapping import MAPPERS, NEAREST, PERMUTATIONS, SELECTIONS, VIEWS
from edgekit.converters.torch.movement import SEARCHES
from edgekit.converters.torch.quantization import DEQUANTIZE, QuantizedCalls, is_quantization
from edgekit.errors import BadInputError, UnsupportedError
from edgekit.ir import Graph, Port, Shape
from edgekit.limits import MAX_FOLDED_ELEMENTS


class ProgramReader:
    """One walk over an exported graph. Values are tensors (constants), Activations, Levels, tuples."""

    def __init__(self, torch: Any, program: Any, name: str) -> None:
        self.torch, self.program, self.name = torch, program, name
        self.builder = GraphBuilder()
        self.values: dict[Any, Any] = {}
        self.names: dict[int, str] = {}
        self.quantized = QuantizedCalls(torch, self.builder, self.names)
        self.problems: list[str] = []
        self.inputs: list[Port] = []

    def run(self) -> tuple[Graph, GivenScales]:
        """The float graph, and the scales that the program gives for it."""
        self._read_inputs()
        for node in self.program.graph.nodes:
            if node.op == "call_function":
                self._read_call(node)
            elif node.op not in ("placeholder", "output"):
                self.problems.append(f"{node.op} '{node.name}': not supported in an exported graph")
        outputs = self._read_outputs()
        if self.problems:
            raise UnsupportedError(*dict.fromkeys(self.problems))
        builder = self.builder
        graph = Graph(
            builder.tensors, tuple(builder.nodes), tuple(self.inputs), outputs, name=self.name
        )
        graph = graph.with_nodes(graph.nodes, graph.tensors.values()).verify()
        return graph, self.quantized.quantizations.collected()

    def _read_inputs(self) -> None:
        placeholders = [node for node in self.program.graph.nodes if node.op == "placeholder"]
        specs = self.program.graph_signature.input_specs
        state = {**self.program.state_dict, **self.program.constants}
        for node, spec in zip(placeholders, specs, strict=True):
            if spec.kind.name == "USER_INPUT":
                self._read_user_input(node)
            elif spec.target in state:
                self.values[node] = state[spec.target]
                self.names[id(state[spec.target])] = spec.target
            else:
                self.problems.append(f"input '{node.name}': {spec.kind.name} is not supported")

    def _read_user_input(self, node: Any) -> None:
        fake = node.meta.get("val")
        if not isinstance(fake, self.torch.Tensor):
            self.values[node] = fake  # a number or None that was traced as a constant
            return
        if fake.dtype != self.torch.float32:
            dtype = str(fake.dtype).removeprefix("torch.")
            raise BadInputError(f"input '{node.name}': it is {dtype}; export with float32 inputs")
        shape = self._result_shape(fake)
        if shape is None or len(shape) < 2 or shape[0] != 1:
            given = tuple(str(size) for size in fake.shape)
            raise BadInputError(
                f"input '{node.name}': shape ({', '.join(given)}); export with a fixed batch of 1"
            )
        if len(shape) > 4:
            raise UnsupportedError(f"input '{node.name}': rank {len(shape)}; up to 4 is supported")
        value = self.builder.placeholder(node.name, shape)
        layout = "NCHW" if len(shape) == 4 else ""
        self.inputs.append(Port(node.name, value.tensor, shape, layout))
        self.values[node] = value

    def _read_outputs(self) -> tuple[Port, ...]:
        (node,) = (node for node in self.program.graph.nodes if node.op == "output")
        specs = self.program.graph_signature.output_specs
        mutated = [spec.target for spec in specs if spec.kind.name != "USER_OUTPUT"]
        if mutated and not self.problems:
            self.problems.append(
                f"buffer '{mutated[0]}': the module changes its state in forward; "
                "a model has none: return it as an output"
            )
        results = [
            result
            for result, spec in zip(node.args[0], specs, strict=True)
            if spec.kind.name == "USER_OUTPUT"
        ]
        ports = []
        for position, result in enumerate(results):
            value = self.values.get(result) if isinstance(result, self.torch.fx.Node) else result
            name = "output" if len(results) == 1 else f"output_{position}"
            value = value.activation if isinstance(value, Levels) else value
            if isinstance(value, Regrouped):
                rank = len(value.shape)
                self.problems.append(f"output '{name}': it has rank {rank}; up to 4 is supported")
            elif isinstance(value, Activation):
                layout = "NCHW" if len(value.shape) == 4 else ""
                ports.append(Port(name, value.tensor, value.shape, layout))
            elif isinstance(value, self.torch.Tensor) and value.dtype == self.torch.float32:
                ports.append(self._constant_output(name, value))
            elif value is not None:
                self.problems.append(f"output '{name}': it does not depend on the input; remove it")
        return tuple(ports)

    def _constant_output(self, name: str, value: Any) -> Port:
        parameter = self._as_value(value)
        data, layout = parameter.data, ""
        if data.ndim == 4:
            data, layout = data.transpose(TO_STORAGE), "NCHW"
        return Port(name, self.builder.constant(parameter.name, data), parameter.shape, layout)

    def _read_call(self, node: Any) -> None:
        if node.target is operator.getitem:
            self._read_item(node)
            return
        label = node_label(node)
        source = _module_path(node)
        self.builder.begin(name=node.name, source=source)
        try:
            self.values[node] = self._mapped(node, label)
        except RefusalError as refusal:
            self.problems.append(f"{label} '{source or node.name}': {refusal}")
            self.values[node] = self._unknown(node)

    def _read_item(self, node: Any) -> None:
        value, position = self.values.get(node.args[0]), node.args[1]
        if isinstance(value, tuple | list) and -len(value) <= position < len(value):
            self.values[node] = value[position]
            return
        source = _module_path(node) or node.name
        self.problems.append(f"getitem '{source}': only the first result is supported")
        self.values[node] = self._unknown(node)

    def _result_shape(self, fake: Any) -> Shape | None:
        return static_shape(fake)

    def _unknown(self, node: Any) -> Any:
        """A stand-in for the result of a refused call, so that the walk can go on."""
        fake = node.meta.get("val")
        constant = all(
            isinstance(self.values.get(n), self.torch.Tensor) for n in node.all_input_nodes
        )
        if constant and is_quantization(node_label(node)) and isinstance(fake, self.torch.Tensor):
            return self.torch.zeros(()).expand(static_shape(fake) or ())
        if isinstance(fake, self.torch.Tensor) and (
            (shape := self._result_shape(fake)) is not None
        ):
            return self.builder.placeholder(f"{node.name}?", shape)
        if isinstance(fake, tuple | list):
            shapes = [self._result_shape(f) if hasattr(f, "shape") else None for f in fake]
            return tuple(
                self.builder.placeholder(f"{node.name}?{i}", shape if shape is not None else (1,))
                for i, shape in enumerate(shapes)
            )
        return None

    def _mapped(self, node: Any, label: str) -> Any:
        fake = node.meta.get("val")
        if fake is None and not node.users:
            return None  # an assertion about metadata
        arguments = self._arguments(node)
        if is_quantization(label):
            return self.quantized.read(node, label, arguments)
        if any(isinstance(v, Levels) for v in _flatten(arguments.values())):
            raise RefusalError("it works on integers; dequantize in front of it")
        self._note_float_reads(node)
        tensors = [v for v in _flatten(arguments.values()) if isinstance(v, self.torch.Tensor)]
        if not any(isinstance(v, Activation) for v in _flatten(arguments.values())):
            return self._folded(node, label, tensors)
        if label not in MAPPERS:
            nearest = NEAREST.get(label)
            raise RefusalError(
                f"not supported; use {nearest}"
                if nearest
                else "not supported; see `edgekit ops` for what is"
            )
        first = fake[0] if isinstance(fake, tuple | list) else fake
        values = [v for v in _flatten(arguments.values()) if isinstance(v, Activation)]
        self._check_types(label, first, values)
        shape = self._result_shape(first)
        if shape is None:
            raise RefusalError("its shape is dynamic; export at batch 1 without dynamic_shapes")
        check_size(shape)
        if len(shape) == 4 and shape[0] != 1:
            raise RefusalError(
                f"its result has shape {shape}; the first dimension must be 1 (in attention: use "
                "F.scaled_dot_product_attention)"
            )
        arguments = {name: self._as_value(value) for name, value in arguments.items()}
        fakes = [f for f in _flatten([fake]) if hasattr(f, "shape")]
        shapes = tuple(self._result_shape(f) or () for f in fakes)
        value = MAPPERS[label](SourceCall(self.builder, label, arguments, shape, shapes))
        if isinstance(value, tuple):
            return value
        return (value,) if isinstance(fake, tuple | list) else value

    def _note_float_reads(self, node: Any) -> None:
        """Note what is read without dequantize in between."""
        for source in node.all_input_nodes:
            value = self.values.get(source)
            if isinstance(value, Activation) and node_label(source) not in DEQUANTIZE:
                self.quantized.quantizations.given.float_reads.add(value.tensor)

    def _check_types(self, label: str, result: Any, values: Sequence[Activation]) -> None:
        """Raise RefusalError unless all is float32, or indices that only change their shape."""
        tensors = self.builder.tensors
        indices = any(tensors[v.tensor].dtype == "int32" for v in values if v.tensor in tensors)
        floats = result.dtype == self.torch.float32
        moves = label in VIEWS
        if (indices and not moves) or not (floats or indices or label in SEARCHES):
            raise RefusalError(f"its result is {result.dtype}; only float32 is supported")
        regrouped = any(isinstance(value, Regrouped) for value in values)
        of_any_rank = (*VIEWS, *PERMUTATIONS, *SELECTIONS)
        if (regrouped or len(result.shape) > 4) and label not in of_any_rank:
            rank = max(len(result.shape), *(len(value.shape) for value in values))
            raise RefusalError(f"it works on rank {rank}; up to 4 is supported")

    def _arguments(self, node: Any) -> dict[str, Any]:
        """The arguments by the schema's names, defaults filled in, nodes replaced by values."""
        schema = getattr(node.target, "_schema", None)
        if schema is None:
            raise RefusalError("not supported; write the module with torch.nn layers")
        found: dict[str, Any] = {}
        for position, argument in enumerate(schema.arguments):
            if position < len(node.args):
                value = node.args[position]
            elif argument.name in node.kwargs:
                value = node.kwargs[argument.name]
            else:
                value = argument.default_value
            found[argument.name] = self._resolve(value)
        return found

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, self.torch.fx.Node):
            return self.values.get(value)
        if isinstance(value, list | tuple):
            return [self._resolve(item) for item in value]
        return value

    def _as_value(self, value: Any) -> Any:
        if isinstance(value, self.torch.Tensor):
            array = np.array(value.detach().cpu().to(self.torch.float64).numpy(), np.float32)
            if not np.isfinite(array).all():
                raise BadInputError(f"parameter '{self._name_of(value)}': it holds NaN or Inf")
            return Parameter(self._name_of(value), array)
        if isinstance(value, list):
            return [self._as_value(item) for item in value]
        return str(value) if isinstance(value, self.torch.dtype) else value

    def _name_of(self, tensor: Any) -> str:
        return self.names.get(id(tensor), f"{self.builder.name}/folded")

    def _folded(self, node: Any, label: str, tensors: Sequence[Any]) -> Any:
        """The result of a call on constants, computed by PyTorch itself."""
        fake = node.meta.get("val")
        results = [f for f in _flatten([fake]) if isinstance(f, self.torch.Tensor)]
        if label not in FOLDABLE or not results:
            raise RefusalError("it is computed from constants only; precompute it in the module")
        for shape in map(static_shape, results):
            if shape is None or math.prod(shape) > MAX_FOLDED_ELEMENTS:
                raise RefusalError(f"a constant of shape {shape} is too large")
        arguments = [self._resolve(value) for value in node.args]
        keywords = {name: self._resolve(value) for name, value in node.kwargs.items()}
        result = node.target(*arguments, **keywords)
        if len(tensors) == 1 and label in (*VIEWS, *PERMUTATIONS):
            self.names[id(result)] = self._name_of(tensors[0])
        return result


def _flatten(values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from _flatten(value)
        else:
            yield value


def node_label(node: Any) -> str:
    """The operator of a call, without ATen's namespace and without overload."""
    schema = getattr(node.target, "_schema", None)
    return str(node.target) if schema is None else str(schema.name).removeprefix("aten::")


def static_shape(fake: Any) -> Shape | None:
    if not all(isinstance(size, int) for size in fake.shape):
        return None
    return tuple(int(size) for size in fake.shape)


def _module_path(node: Any) -> str:
    """The path of the innermost module, as 'features/0/conv'."""
    stack = node.meta.get("nn_module_stack")
    if not stack:
        return ""
    path = str(list(stack.values())[-1][0])
    return path.replace(".", "/")
