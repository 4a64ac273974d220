# SPDX-License-Identifier: Apache-2.0
"""An ONNX model as it grows: float operators between QuantizeLinear and DequantizeLinear.

Maps are NCHW there. Tensors of other ranks keep their order; where elements of a map are taken in the
order of NHWC (a reshape), transposes stand around it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from edgekit.converters.export.scales import quantization_of
from edgekit.errors import UnsupportedError
from edgekit.ir import Array, Call, Port, QGraph, Quantization, Shape, Tensor

TO_NCHW, TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)
Attribute = int | float | str | Sequence[int]


@dataclass(frozen=True)
class NodeSpec:
    """One ONNX node by the names of its tensors ("": an optional input that is not there)."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True)
class ValueSpec:
    """An input or output of the model: float32, or int32 indices."""

    name: str
    shape: Shape
    dtype: str


@dataclass(frozen=True, eq=False)
class OnnxSpec:
    """A model in plain values."""

    name: str
    nodes: tuple[NodeSpec, ...]
    constants: Mapping[str, Array]
    inputs: tuple[ValueSpec, ...]
    outputs: tuple[ValueSpec, ...]


class OnnxBuilder:
    """Nodes and constants; ``real`` gives the name under which a tensor is read as float32."""

    def __init__(self, graph: QGraph) -> None:
        self._graph = graph
        self._nodes: list[NodeSpec] = []
        self._constants: dict[str, Array] = {}
        self._names = set(graph.tensors) | {p.name for p in (*graph.inputs, *graph.outputs)}
        self._real: dict[str, str] = {}
        self._inputs = [self._input(port) for port in graph.inputs]

    def model(self) -> OnnxSpec:
        outputs = [self._output(port) for port in self._graph.outputs]
        return OnnxSpec(
            self._graph.name,
            tuple(self._nodes),
            self._constants,
            tuple(self._inputs),
            tuple(outputs),
        )

    def fresh(self, name: str) -> str:
        while name in self._names:
            name += "_"
        self._names.add(name)
        return name

    def constant(self, name: str, data: Array | np.generic) -> str:
        name = self.fresh(name)
        self._constants[name] = np.array(data, order="C")
        return name

    def node(self, op: str, inputs: Sequence[str], name: str, **attributes: Attribute) -> str:
        """Add a node; the name of its output."""
        result = self.fresh(name)
        self._nodes.append(NodeSpec(op, tuple(inputs), (result,), attributes))
        return result

    def transposed(self, value: str, order: Sequence[int], name: str) -> str:
        return self.node("Transpose", [value], name, perm=list(order))

    def skip(self, call: Call) -> None:
        """Go on behind a call that has no form, so that all of those are found."""
        self._real[call.output.name] = call.output.name

    def real(self, tensor: Tensor) -> str:
        """A map as float32 NCHW, or another tensor as float32."""
        if tensor.name not in self._real:
            assert tensor.data is not None
            data = tensor.data.transpose(TO_NCHW) if tensor.data.ndim == 4 else tensor.data
            integers = self.constant(f"{tensor.name}/integers", data)
            quantization = quantization_of(tensor)
            self._real[tensor.name] = self._dequantized(tensor.name, integers, quantization)
        return self._real[tensor.name]

    def real_nhwc(self, tensor: Tensor) -> str:
        """A tensor as float32 with its elements in the order of NHWC."""
        value = self.real(tensor)
        if len(tensor.shape) != 4 or tensor.shape[1] == tensor.shape[2] == 1:
            return self._reshaped_if_map(value, tensor)
        return self.transposed(value, TO_NHWC, f"{tensor.name}/nhwc")

    def _reshaped_if_map(self, value: str, tensor: Tensor) -> str:
        if len(tensor.shape) != 4:
            return value
        return self.reshaped(value, tensor.shape, f"{tensor.name}/nhwc")

    def reshaped(self, value: str, shape: Shape, name: str) -> str:
        sizes = self.constant(f"{name}/shape", np.array(shape, np.int64))
        return self.node("Reshape", [value, sizes], name)

    def weights(self, name: str, integers: Array, scales: Array, axis: int) -> str:
        """Integers with a scale for every index along an axis, as float32."""
        values = self.constant(f"{name}/integers", integers)
        scale = self.constant(f"{name}/scale", scales.astype(np.float32))
        zero = self.constant(f"{name}/zero_point", np.zeros(scales.shape, integers.dtype))
        return self.node("DequantizeLinear", [values, scale, zero], name, axis=axis)

    def result(self, call: Call, value: str, *, nhwc: bool = False) -> None:
        """Quantize a float32 value: the output of the call; ``nhwc`` says in which order it is."""
        tensor = call.output
        if nhwc and len(tensor.shape) == 4:
            value = self.transposed(value, TO_NCHW, f"{tensor.name}/nchw")
        if tensor.quantization is None:
            self._real[tensor.name] = value
            return
        value = self._clamped(call, value)
        self._real[tensor.name] = self._quantized_and_back(value, tensor)

    def _clamped(self, call: Call, value: str) -> str:
        """A clamp that the type of the output does not make anyway."""
        arithmetic = call.node.arithmetic
        bounds = getattr(arithmetic, "minimum", None), getattr(arithmetic, "maximum", None)
        if None in bounds or bounds == (-128, 127):
            return value
        quantization = quantization_of(call.output)
        names = [
            self.constant(
                f"{call.node.name}/{label}",
                np.float32((bound - quantization.zero_point) * quantization.scale),
            )
            for label, bound in zip(("minimum", "maximum"), bounds, strict=True)
            if bound is not None
        ]
        return self.node("Clip", [value, *names], f"{call.node.name}/clamped")

    def _quantized_and_back(self, value: str, tensor: Tensor) -> str:
        quantization = quantization_of(tensor)
        scale, zero = self._parameters(tensor.name, quantization)
        integers = self.node("QuantizeLinear", [value, scale, zero], f"{tensor.name}/quantized")
        return self.node("DequantizeLinear", [integers, scale, zero], f"{tensor.name}/real")

    def _dequantized(self, name: str, integers: str, quantization: Quantization) -> str:
        scale, zero = self._parameters(name, quantization)
        return self.node("DequantizeLinear", [integers, scale, zero], f"{name}/real")

    def _parameters(self, name: str, quantization: Quantization) -> tuple[str, str]:
        return (
            self.constant(f"{name}/scale", np.float32(quantization.scale)),
            self.constant(f"{name}/zero_point", np.int8(quantization.zero_point)),
        )

    def _input(self, port: Port) -> ValueSpec:
        tensor = self._graph.tensors[port.tensor]
        value = nchw = port.name
        is_map = len(tensor.shape) == 4
        shape = tensor.shape
        if is_map and port.layout == "NCHW":
            shape = tuple(tensor.shape[axis] for axis in TO_NCHW)
        elif is_map:
            nchw = self.transposed(value, TO_NCHW, f"{tensor.name}/nchw")
        self._real[tensor.name] = self._quantized_and_back(nchw, tensor)
        return ValueSpec(value, shape, "float32")

    def _output(self, port: Port) -> ValueSpec:
        tensor = self._graph.tensors[port.tensor]
        value, shape = self.real(tensor), tensor.shape
        if len(shape) == 4 and port.layout == "NCHW":
            shape = tuple(shape[axis] for axis in TO_NCHW)
        elif len(shape) == 4:
            value = self.transposed(value, TO_NHWC, f"{tensor.name}/nhwc")
        self._nodes.append(NodeSpec("Identity", (value,), (port.name,)))
        return ValueSpec(port.name, shape, "int32" if tensor.quantization is None else "float32")


def no_form(call: Call, fact: str) -> UnsupportedError:
    """An operator that ONNX cannot express as it is."""
    return UnsupportedError(f"{call.node}: ONNX has no form of it: {fact}")
