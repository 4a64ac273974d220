# SPDX-License-Identifier: Apache-2.0
"""One operator of a TFLite file with its tensors: the checked questions that mappings ask."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.arith import quantize_multiplier
from edgekit.converters.tflite import multipliers
from edgekit.converters.tflite.records import OperatorRecord, TensorRecord
from edgekit.errors import BadInputError, UnsupportedError
from edgekit.ir import INTEGER_RANGE, MAX_ELEMENTS, Array, DType, Quantization
from edgekit.window import Axis, Window, same_padding

ACTIVATION_TYPES: Mapping[str, DType] = {"INT8": "int8", "INT16": "int16"}
"""The types of activations: int8, and the symmetric int16 of TFLite's 16x8 models."""
RESCALED_TYPES: Mapping[str, DType] = {**ACTIVATION_TYPES, "INT32": "int32"}
"""The types that QUANTIZE converts between: with the int32 of a port whose scale the file states."""
SAME, VALID = 0, 1
FUSED_ACTIVATIONS: dict[int, tuple[str, float | None, float | None]] = {
    0: ("NONE", None, None),
    1: ("RELU", 0.0, None),
    2: ("RELU_N1_TO_1", -1.0, 1.0),
    3: ("RELU6", 0.0, 6.0),
}


@dataclass(frozen=True)
class Operand:
    """A tensor that a node reads; constants carry a quantization only where the node needs it."""

    tensor: TensorRecord
    quantization: Quantization | None


@dataclass(frozen=True)
class Mapped:
    """A node that an operator becomes, or one of those in front of it.

    An operand may be such a node too; it carries the ``quantization`` of what it computes. That of
    the operator's own results is the file's.
    """

    op: str
    attributes: Any
    arithmetic: Any
    operands: tuple[Operand | Mapped, ...]
    quantization: Quantization | None = None


@dataclass(frozen=True)
class Operation:
    """An operator call with its tensors; an optional input that is not there is None."""

    record: OperatorRecord
    inputs: tuple[TensorRecord | None, ...]
    outputs: tuple[TensorRecord, ...]

    def __str__(self) -> str:
        source = self.outputs[0].name if self.outputs else f"operator {self.record.index}"
        return f"{self.record.name} '{source}'"

    def fail(self, fact: str) -> BadInputError:
        return BadInputError(f"{self}: {fact}")

    def unsupported(self, fact: str) -> UnsupportedError:
        return UnsupportedError(f"{self}: {fact}")

    @property
    def output(self) -> TensorRecord:
        if not self.outputs:
            raise self.fail("it has no output")
        return self.outputs[0]

    def option(self, name: str) -> Any:
        return self.record.options[name]

    def require(self, *, inputs: Sequence[int]) -> None:
        """Check the number of inputs (one of ``inputs``) and that there is one output."""
        if len(self.inputs) not in inputs or len(self.outputs) != 1:
            expected = " or ".join(str(count) for count in inputs)
            raise self.fail(
                f"it has {len(self.inputs)} inputs and {len(self.outputs)} outputs;"
                f" it must have {expected} and 1"
            )

    def input(self, position: int) -> TensorRecord:
        """The tensor of a mandatory input."""
        tensor = self.inputs[position]
        if tensor is None:
            raise self.fail(f"input {position} is missing")
        return tensor

    def operand(self, position: int, *, with_int32: bool = False) -> Operand:
        """An int8 or int16 input, constant or not, with its scale and zero point."""
        tensor = self.input(position)
        return Operand(tensor, self.quantization(tensor, with_int32=with_int32))

    def activation(self, position: int, *, with_int32: bool = False) -> Operand:
        """An int8 or int16 input that must be computed by the model."""
        operand = self.operand(position, with_int32=with_int32)
        if operand.tensor.data is not None:
            raise self.unsupported(f"input {position} is a constant; fold it before the export")
        return operand

    def output_quantization(self) -> Quantization:
        return self.quantization(self.output)

    def shared_quantization(self) -> Quantization:
        """The quantization of the output, which must be that of the first input."""
        self.require_one_type()
        source, result = self.quantization(self.input(0)), self.output_quantization()
        if source != result:
            raise self.unsupported(
                f"its input has scale {source.scale:.9g} and zero point {source.zero_point} but its"
                f" output {result.scale:.9g} and {result.zero_point}; they must be the same"
            )
        return result

    def quantization(self, tensor: TensorRecord, *, with_int32: bool = False) -> Quantization:
        """The per-tensor quantization of an int8 or int16 tensor; also of an int32 one with a scale."""
        allowed = RESCALED_TYPES if with_int32 and tensor.scales else ACTIVATION_TYPES
        if tensor.type not in allowed:
            raise self.unsupported(
                f"{tensor} is {tensor.type}; only INT8 is supported (and INT16 activations), "
                "quantize the whole model to it"
            )
        if len(tensor.scales) != 1:
            raise self.fail(f"{tensor} has {len(tensor.scales)} scales; it must have one")
        quantization = Quantization(*self._checked_scale(tensor, 0))
        if tensor.type != "INT8" and quantization.zero_point:
            raise self.unsupported(
                f"{tensor} is {tensor.type} with zero point {quantization.zero_point}; it must be 0"
            )
        return quantization

    @property
    def is_int16(self) -> bool:
        """Whether the output is int16."""
        return self.output.type == "INT16"

    def require_one_type(self) -> None:
        """Check that the activations have the type of the output."""
        for tensor in self.inputs:
            if tensor is not None and tensor.data is None and tensor.type != self.output.type:
                raise self.unsupported(
                    f"{tensor} is {tensor.type} but its output {self.output.type}; "
                    "QUANTIZE it first"
                )

    def weight_scales(self, tensor: TensorRecord, *, axis: int) -> tuple[float, ...]:
        """The scale of every channel of int8 weights; all zero points must be 0."""
        if tensor.type != "INT8":
            raise self.unsupported(
                f"the weights {tensor} are {tensor.type}; only INT8 is supported"
            )
        channels = tensor.shape[axis]
        count = len(tensor.scales)
        if count not in (1, channels):
            raise self.fail(f"{tensor} has {count} scales; it must have 1 or {channels}")
        if count > 1 and tensor.channel_axis != axis:
            raise self.fail(f"{tensor} has scales along axis {tensor.channel_axis}, not {axis}")
        pairs = [self._checked_scale(tensor, i) for i in range(count)]
        if any(zero_point for _, zero_point in pairs):
            raise self.unsupported(
                f"{tensor} has a zero point that is not 0; weights are symmetric"
            )
        scales = tuple(scale for scale, _ in pairs)
        return scales if count == channels else scales * channels

    def _checked_scale(self, tensor: TensorRecord, position: int) -> tuple[float, int]:
        scale, zero_point = tensor.scales[position], tensor.zero_points[position]
        if not (math.isfinite(scale) and scale > 0):
            raise self.fail(f"{tensor}: scale {scale} is not finite and > 0")
        dtype = RESCALED_TYPES.get(tensor.type, "int8")
        low, high = INTEGER_RANGE[dtype]
        if not low <= zero_point <= high:
            raise self.fail(f"{tensor}: zero point {zero_point} is outside {dtype}")
        return scale, zero_point

    def weights(self, position: int, *, rank: int) -> TensorRecord:
        """Constant weights of a given rank."""
        tensor = self.input(position)
        if tensor.data is None:
            raise self.unsupported(f"the weights {tensor} are not constant")
        if len(tensor.shape) != rank or 0 in tensor.shape:
            raise self.fail(
                f"the weights {tensor} have shape {tensor.shape}; rank {rank} is needed"
            )
        return tensor

    def require_int8(self) -> None:
        """Check that no activation is int16, for operators that have no such form."""
        for tensor in (*self.inputs, *self.outputs):
            if tensor is not None and tensor.type == "INT16":
                raise self.unsupported(
                    f"{tensor} is INT16; this operator is supported on INT8 only"
                )

    def integers(self, position: int) -> Array:
        """A constant input of indices or sizes, as int64."""
        tensor = self.input(position)
        if tensor.data is None:
            raise self.unsupported(f"input {position} ({tensor}) must be a constant")
        if tensor.type not in ("INT32", "INT64"):
            raise self.fail(f"input {position} ({tensor}) is {tensor.type}; it must be INT32")
        return tensor.data.astype(np.int64)

    def map_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the first input, which must be an NHWC map of batch 1."""
        shape = self.input(0).shape
        if len(shape) != 4 or shape[0] != 1:
            raise self.unsupported(f"its input has shape {shape}; it must be (1, H, W, C)")
        return shape[1], shape[2], shape[3]

    def window(self, kernel_height: int, kernel_width: int, *, dilated: bool) -> Window:
        """The window of a convolution or pooling from its strides, dilations and padding."""
        height, width, channels = self.map_shape()
        rows = self._axis("H", height, kernel_height, dilated)
        columns = self._axis("W", width, kernel_width, dilated)
        padded = (height + rows.pad_before + rows.pad_after) * channels
        if padded * (width + columns.pad_before + columns.pad_after) > MAX_ELEMENTS:
            raise self.fail("the padded input overflows 32 bits")
        return Window(rows, columns)

    def _axis(self, letter: str, size: int, kernel: int, dilated: bool) -> Axis:
        stride = self.option(f"Stride{letter}")
        dilation = self.option(f"Dilation{letter}Factor") if dilated else 1
        for label, value in (("kernel", kernel), ("stride", stride), ("dilation", dilation)):
            if not 1 <= value <= MAX_ELEMENTS:
                raise self.fail(f"{label} {value} along {letter} must be at least 1")
        padding = self.option("Padding")
        if padding == SAME:
            axis = same_padding(size, kernel, stride, dilation)
        elif padding == VALID:
            axis = Axis(kernel, stride, dilation)
        else:
            raise self.fail(f"padding {padding} is neither SAME nor VALID")
        if (problem := axis.problem(size)) is not None:
            raise self.fail(f"along {letter}, {problem}")
        return axis

    def clamp(self, quantization: Quantization) -> tuple[int, int]:
        """The integer range of the output behind the fused activation."""
        code = self.option("FusedActivationFunction")
        if code not in FUSED_ACTIVATIONS:
            names = ", ".join(name for name, _, _ in FUSED_ACTIVATIONS.values())
            raise self.unsupported(f"fused activation {code} is not supported; use {names}")
        _, minimum, maximum = FUSED_ACTIVATIONS[code]
        dtype = ACTIVATION_TYPES.get(self.output.type, "int8")
        return integer_range(minimum, maximum, quantization, dtype=dtype)

    def clamp_range(self) -> tuple[int, int]:
        """The integer range of the output's type."""
        return INTEGER_RANGE[ACTIVATION_TYPES.get(self.output.type, "int8")]

    def multiplier(self, factor: float) -> tuple[int, int]:
        """(multiplier, shift) of a factor."""
        if not math.isfinite(factor):
            raise self.fail("its scales are so far apart that their ratio overflows")
        return quantize_multiplier(factor)


def integer_range(
    minimum: float | None,
    maximum: float | None,
    quantization: Quantization,
    *,
    dtype: DType = "int8",
) -> tuple[int, int]:
    """The range of the type cut to a float one; TFLite saturates bounds that lie outside."""
    low, high = INTEGER_RANGE[dtype]
    lowest = low
    if minimum is not None:
        bound = multipliers.quantized_bound(minimum, quantization.scale, quantization.zero_point)
        low = min(max(low, bound), high)
    if maximum is not None:
        bound = multipliers.quantized_bound(maximum, quantization.scale, quantization.zero_point)
        high = max(min(high, bound), lowest)
    return low, max(low, high)
