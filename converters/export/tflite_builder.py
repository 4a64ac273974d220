# SPDX-License-Identifier: Apache-2.0
"""A TFLite model as it grows: the tensors and operators of one QGraph, and its scales found again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgekit.converters.export.scales import quantization_of
from edgekit.converters.export.tflite_file import (
    DTYPE_TYPES,
    ModelSpec,
    OperatorSpec,
    TensorSpec,
    constant_spec,
)
from edgekit.converters.tflite.operation import FUSED_ACTIVATIONS, integer_range
from edgekit.errors import UnsupportedError
from edgekit.ir import Array, Call, QGraph, Quantization, Shape, Tensor
from edgekit.ops._pooling import PoolArithmetic
from edgekit.window import Axis, Window, same_padding

SAME, VALID = 0, 1


class TfliteBuilder:
    """Tensors and operators by name; constants are shared where several operators read them."""

    def __init__(self, graph: QGraph) -> None:
        self._graph = graph
        self._tensors: dict[str, TensorSpec] = {}
        self._operators: list[OperatorSpec] = []
        for port in graph.inputs:
            self.activation(graph.tensors[port.tensor])

    def model(self) -> ModelSpec:
        return ModelSpec(
            tuple(self._tensors.values()),
            tuple(self._operators),
            [port.tensor for port in self._graph.inputs],
            [port.tensor for port in self._graph.outputs],
            signature=self._signature(),
        )

    def _signature(self) -> Mapping[str, str]:
        return {port.name: port.tensor for port in (*self._graph.inputs, *self._graph.outputs)}

    def activation(self, tensor: Tensor) -> str:
        """The name of an activation, or of a constant with a scale, which is added at first use."""
        if tensor.name not in self._tensors:
            quantization = tensor.quantization
            self._tensors[tensor.name] = TensorSpec(
                tensor.name,
                tensor.shape,
                scale=None if quantization is None else quantization.scale,
                zero_point=0 if quantization is None else quantization.zero_point,
                type=DTYPE_TYPES[tensor.dtype],
                data=tensor.data,
            )
        return tensor.name

    def constant(self, name: str, data: Array, **quantization: Any) -> str:
        """Add a constant under a name of its own."""
        name = self.fresh(name)
        self._tensors[name] = constant_spec(name, data, **quantization)
        return name

    def integers(self, call: Call, label: str, values: Any) -> str:
        """Add an int32 constant such as a shape or axes."""
        return self.constant(f"{call.node.name}/{label}", np.asarray(values, np.int32))

    def fresh(self, name: str) -> str:
        while name in self._tensors or name in self._graph.tensors:
            name += "_"
        return name

    def between(self, call: Call, label: str, shape: Shape, quantization: Quantization) -> str:
        """Add an activation that only the file has."""
        name = self.fresh(f"{call.node.name}/{label}")
        tensor = Tensor(name, shape, call.output.dtype, quantization)
        return self.activation(tensor)

    def operator(
        self, name: str, inputs: Sequence[str], outputs: Sequence[str], **options: Any
    ) -> None:
        self._operators.append(OperatorSpec(name, inputs, outputs, options))

    def result(self, name: str, inputs: Sequence[str], call: Call, **options: Any) -> None:
        """Add the operator that computes the output of a call."""
        self.operator(name, inputs, [self.activation(call.output)], **options)


def no_form(call: Call, fact: str) -> UnsupportedError:
    """An operator that the format cannot express exactly."""
    return UnsupportedError(
        f"{call.node}: TFLite has no exact form of it: {fact}; an .onnx file may have one"
    )


def fused_activation(call: Call, minimum: int, maximum: int) -> int:
    """The code of the activation whose integer bounds are these."""
    result = quantization_of(call.output)
    for code, (_, low, high) in FUSED_ACTIVATIONS.items():
        if integer_range(low, high, result, dtype=call.output.dtype) == (minimum, maximum):
            return code
    raise no_form(
        call, f"its clamp [{minimum}, {maximum}] is none of RELU, RELU6 and RELU_N1_TO_1 here"
    )


def padding_of(call: Call, window: Window) -> int | None:
    """SAME or VALID; None: the padding is another one."""
    _, height, width, _ = call.inputs[0].shape
    axes = ((window.height, height), (window.width, width))
    if all(axis == Axis(axis.kernel, axis.stride, axis.dilation) for axis, _ in axes):
        return VALID
    if all(axis == same_padding(s, axis.kernel, axis.stride, axis.dilation) for axis, s in axes):
        return SAME
    return None


def padded_input(
    builder: TfliteBuilder, call: Call, window: Window, *, value: int | None = None
) -> tuple[str, int]:
    """The name of the input with its padding in front, where the operator cannot pad so itself.

    ``value`` None pads with the zero point, which stands for 0.
    """
    source = call.inputs[0]
    padding = padding_of(call, window)
    if padding is not None:
        return builder.activation(source), padding
    rows, columns = window.height, window.width
    if min(rows.pad_before, rows.pad_after, columns.pad_before, columns.pad_after) < 0:
        raise no_form(call, "its padding is negative")
    pads = [(0, 0), (rows.pad_before, rows.pad_after), (columns.pad_before, columns.pad_after)]
    shape = tuple(size + sum(pad) for size, pad in zip(source.shape, [*pads, (0, 0)], strict=True))
    quantization = quantization_of(source)
    name = builder.between(call, "padded", shape, quantization)
    inputs = [builder.activation(source), builder.integers(call, "paddings", [*pads, (0, 0)])]
    if value is None or value == quantization.zero_point:
        builder.operator("PAD", inputs, [name])
    else:
        inputs.append(pad_value(builder, call, value, quantization))
        builder.operator("PADV2", inputs, [name])
    return name, VALID


def pad_value(builder: TfliteBuilder, call: Call, value: int, quantization: Quantization) -> str:
    """A constant of one element that PADV2 writes."""
    return builder.constant(
        f"{call.node.name}/value",
        np.array([value], np.dtype(call.output.dtype)),
        scale=quantization.scale,
        zero_point=quantization.zero_point,
    )


def strides_of(window: Window) -> dict[str, int]:
    return {"StrideH": window.height.stride, "StrideW": window.width.stride}


def dilations_of(window: Window) -> dict[str, int]:
    return {
        "DilationHFactor": window.height.dilation,
        "DilationWFactor": window.width.dilation,
    }


def pool_clamp(call: Call) -> int:
    arithmetic: PoolArithmetic = call.node.arithmetic
    return fused_activation(call, arithmetic.minimum, arithmetic.maximum)
