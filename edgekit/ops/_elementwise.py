# SPDX-License-Identifier: Apache-2.0
"""What element-wise operators share: broadcasting, constant operands, checks of their integers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.arith import INT32_MAX, round_half_away, rounded_up
from edgekit.ir import INTEGER_RANGE, Array, Call, Quantization, Shape, Tensor, constant
from edgekit.kernel import Binding
from edgekit.layout import map_size
from edgekit.ops._int16 import verify_zero_point
from edgekit.window import Axis, Window

MAX_RANK = 4


@dataclass(frozen=True)
class OperandStrides:
    """Elements from one column, and one channel, of an operand to the next; 0 repeats it."""

    column: int
    channel: int


def operand_strides(call: Call, position: int, binding: Binding) -> OperandStrides:
    """How a kernel walks the row of the operand at ``position`` under the output's columns."""
    height, width, channels = map_size(call.inputs[position].shape)
    output_height, output_width, _ = map_size(call.output.shape)
    if binding.flat:
        moves = (height, width) == (output_height, output_width)
    else:
        moves = width == output_width
    return OperandStrides(channels if moves else 0, 1 if channels > 1 else 0)


def can_flatten(call: Call) -> bool:
    """Whether every operand has all pixels of the output or a single one."""
    output_pixels = map_size(call.output.shape)[:2]
    return all(map_size(t.shape)[:2] in (output_pixels, (1, 1)) for t in call.inputs)


def row_window(call: Call) -> Window | None:
    """The pointwise window, or None where an activation is repeated over the rows of the output."""
    height = map_size(call.output.shape)[0]
    if any(map_size(t.shape)[0] != height for t in call.activations):
        return None
    return Window(Axis(1), Axis(1))


def verify_operands(call: Call, *, count: int) -> None:
    """Raise BadInputError unless there are ``count`` operands of one type that broadcast."""
    if len(call.inputs) != count:
        raise call.fail(f"it has {len(call.inputs)} inputs; it needs {count}")
    if not call.activations:
        raise call.fail("all of its inputs are constants; replace the node by its result")
    verify_one_type(call)
    for tensor in (*call.inputs, call.output):
        verify_rank(call, tensor)
    shapes = [tensor.shape for tensor in call.inputs]
    if broadcast_shape(shapes) is None:
        raise call.fail(f"the input shapes {' and '.join(map(str, shapes))} do not broadcast")


def verify_one_type(call: Call) -> None:
    """Raise BadInputError unless all tensors are float32, int8 or int16, as their output."""
    verify_types(call, *(call.output.dtype for _ in call.inputs))


def verify_types(call: Call, *expected: str) -> None:
    """Raise BadInputError unless the inputs have the expected types, and the output one that can be."""
    allowed = ("float32",) if call.node.arithmetic is None else ("int8", "int16")
    output = call.output
    if output.dtype not in allowed:
        types = " or ".join(allowed)
        raise call.fail(f"tensor '{output.name}' is {output.dtype}; it must be {types}")
    for tensor, dtype in zip(call.inputs, expected, strict=True):
        if tensor.dtype != dtype:
            raise call.fail(f"tensor '{tensor.name}' is {tensor.dtype}; it must be {dtype}")
    for tensor in (*call.inputs, output):
        if tensor.quantization is not None:
            verify_zero_point(call, tensor.dtype, tensor.quantization.zero_point)


def verify_int8(call: Call) -> None:
    """Raise BadInputError where an integer call is not int8, for operators without another form."""
    if call.output.dtype == "int16":
        raise call.fail(f"tensor '{call.output.name}' is int16; {call.node.op} is int8 only")


def verify_rank(call: Call, tensor: Tensor) -> None:
    """Raise BadInputError unless the tensor has up to 4 dimensions, the first of 4 being 1."""
    if len(tensor.shape) > MAX_RANK or (len(tensor.shape) == MAX_RANK and tensor.shape[0] != 1):
        fact = f"tensor '{tensor.name}' has shape {tensor.shape}"
        raise call.fail(f"{fact}; it must have batch 1 and at most {MAX_RANK} dimensions")


def broadcast_shape(shapes: Sequence[Shape]) -> Shape | None:
    """numpy's broadcast of the shapes, or None."""
    try:
        return tuple(np.broadcast_shapes(*shapes))
    except ValueError:
        return None


def verify_scale(call: Call, multiplier: int, shift: int, *, max_shift: int = 30) -> None:
    """Raise BadInputError where a fixed-point factor is outside what the kernels compute."""
    if not 0 <= multiplier <= INT32_MAX:
        raise call.fail(f"multiplier {multiplier} is outside [0, 2^31)")
    if not -31 <= shift <= max_shift:
        raise call.fail(f"shift {shift} is outside [-31, {max_shift}]")


def verify_output_range(call: Call, zero_points: Sequence[int], minimum: int, maximum: int) -> None:
    """Raise BadInputError where zero points or the clamp are outside the output's type."""
    dtype = call.output.dtype
    low, high = INTEGER_RANGE[dtype]
    verify_zero_point(call, dtype, *zero_points)
    for zero_point in zero_points:
        if not low <= zero_point <= high:
            raise call.fail(f"zero point {zero_point} is outside {dtype}")
    if not low <= minimum <= maximum <= high:
        raise call.fail(f"the clamp [{minimum}, {maximum}] is not a range inside {dtype}")


def quantize_operand(tensor: Tensor) -> Tensor:
    """A float constant as int8 over the range of its values and 0; what has a scale as it is.

    The scale has 16 significant bits, so that it survives every file format.
    """
    if tensor.data is None or tensor.quantization is not None:
        return tensor
    values = tensor.data.astype(np.float64)
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    scale = rounded_up((high - low) / 255.0, bits=16) if high > low else 1.0
    zero_point = int(np.clip(round_half_away(-128.0 - low / scale), -128, 127))
    integers = np.clip(round_half_away(values / scale) + zero_point, -128, 127).astype(np.int8)
    return constant(tensor.name, integers, quantization=Quantization(scale, zero_point))


def quantized_operands(call: Call) -> tuple[dict[int, Tensor], list[Quantization]]:
    """The integer constants by input position, and the quantization of every operand."""
    operands = [quantize_operand(tensor) for tensor in call.inputs]
    constants = {i: t for i, t in enumerate(operands) if t.is_constant}
    quantizations = []
    for tensor in operands:
        assert tensor.quantization is not None
        quantizations.append(tensor.quantization)
    return constants, quantizations


def clip_float(values: Array, minimum: float | None, maximum: float | None) -> Array:
    """float32 values inside [minimum, maximum]; None is no bound."""
    low = -math.inf if minimum is None else minimum
    high = math.inf if maximum is None else maximum
    return np.clip(values, low, high).astype(np.float32, copy=False)
