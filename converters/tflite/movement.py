# SPDX-License-Identifier: Apache-2.0
"""What the TFLite operators become that take tensors apart, join them, or search them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from edgekit.converters.index_runs import equal_steps
from edgekit.converters.tflite import multipliers
from edgekit.converters.tflite.operation import Mapped, Operand, Operation
from edgekit.converters.tflite.parts import (
    Part,
    normal_axis,
    part_along,
    plain_part,
    reversed_part,
    split_parts,
    split_v_parts,
    strided_part,
)
from edgekit.ir import MAX_ELEMENTS, Shape
from edgekit.ops._moving import MovingArithmetic
from edgekit.ops.argmax import Argmax, ArgmaxArithmetic
from edgekit.ops.batch_matmul import BatchMatmul, BatchMatmulArithmetic
from edgekit.ops.concat import Concat, concat_arithmetic
from edgekit.ops.reshape import Reshape, ReshapeArithmetic
from edgekit.ops.slice import Slice
from edgekit.ops.tile import Tile

Mapper = Callable[[Operation], Mapped | tuple[Mapped, ...]]
MAX_RUNS = 16
"""Slices that a GATHER with constant indices may become."""


def _concatenation(operation: Operation) -> Mapped:
    """CONCATENATION; TFLite's kernel refuses unequal scales of int8, ours rescales."""
    _require_plain(operation, inputs=len(operation.inputs))
    if operation.option("FusedActivationFunction") != 0:
        raise operation.unsupported("a fused activation; apply it in front of the concatenation")
    rank = len(operation.output.shape)
    axis = normal_axis(operation, operation.option("Axis"), rank)
    if any(len(tensor.shape) != rank for tensor in operation.inputs if tensor is not None):
        raise operation.fail("its inputs differ in rank")
    operands = tuple(operation.operand(position) for position in range(len(operation.inputs)))
    return _concat(operation, axis, operands)


def _concat(operation: Operation, axis: int, operands: Sequence[Operand]) -> Mapped:
    sources = [operation.quantization(operand.tensor) for operand in operands]
    result = operation.output_quantization()
    if operation.is_int16 and any(source != result for source in sources):
        raise operation.unsupported("its INT16 inputs differ in scale, which TFLite ignores")
    factors = [
        operation.multiplier(multipliers.rescale_factor(source.scale, result.scale))
        for source in sources
    ]
    arithmetic = concat_arithmetic(sources, result, factors)
    return Mapped("concat", Concat(axis), arithmetic, tuple(operands))


def _pack(operation: Operation) -> Mapped:
    """PACK: every input gains an axis of 1, along which they are joined."""
    _require_plain(operation, inputs=len(operation.inputs))
    shape = operation.input(0).shape
    axis = normal_axis(operation, operation.option("Axis"), len(shape) + 1)
    if any(tensor is None or tensor.shape != shape for tensor in operation.inputs):
        raise operation.fail("its inputs differ in shape")
    if len(shape) > 3 or (len(shape) == 3 and axis == 0):
        raise operation.unsupported(
            f"packing of shape {shape} along axis {axis}; use rank 3 at most"
        )
    operands = [operation.activation(position) for position in range(len(operation.inputs))]
    packed = _concat(operation, axis, operands)
    longer = (*shape[:axis], 1, *shape[axis:])
    return Mapped(
        packed.op,
        packed.attributes,
        packed.arithmetic,
        tuple(_reshaped(operation, operand, longer) for operand in operands),
    )


def _reshaped(operation: Operation, operand: Operand | Mapped, shape: Shape) -> Mapped:
    quantization = operand.quantization
    return Mapped("reshape", Reshape(shape), ReshapeArithmetic(), (operand,), quantization)


def _unpack(operation: Operation) -> tuple[Mapped, ...]:
    """UNPACK: one slice of size 1 per output, without that axis."""
    _require_plain(operation, inputs=1, outputs=len(operation.outputs))
    shape = operation.input(0).shape
    axis = normal_axis(operation, operation.option("Axis"), len(shape))
    if shape[axis] != len(operation.outputs):
        raise operation.fail(f"it has {len(operation.outputs)} outputs for {shape[axis]} parts")
    rest = (*shape[:axis], *shape[axis + 1 :])
    parts = [Part(part_along(shape, axis, i, 1).axes, rest) for i in range(shape[axis])]
    return tuple(_part(operation, 0, part) for part in parts)


def _part(operation: Operation, position: int, part: Part) -> Mapped:
    """A slice of an input, under the shape that the file gives it."""
    x, result = operation.activation(position), operation.output_quantization()
    if x.quantization != result:
        raise operation.unsupported("its input and output differ in scale or zero point")
    sizes = tuple(size for _, size, _ in part.axes)
    if 0 in sizes:
        raise operation.fail(f"it takes an empty part of shape {sizes}")
    begins, strides = (tuple(axis[i] for axis in part.axes) for i in (0, 2))
    whole = sizes == operation.input(position).shape and not any(begins) and set(strides) <= {1}
    if whole:
        return _reshaped(operation, x, part.shape)
    taken = Mapped("slice", Slice(begins, sizes, strides), MovingArithmetic(), (x,), result)
    return taken if sizes == part.shape else _reshaped(operation, taken, part.shape)


def _strided_slice(operation: Operation) -> Mapped:
    _require_plain(operation, inputs=4)
    return _part(operation, 0, strided_part(operation))


def _slice(operation: Operation) -> Mapped:
    _require_plain(operation, inputs=3)
    return _part(operation, 0, plain_part(operation))


def _reverse(operation: Operation) -> Mapped:
    _require_plain(operation, inputs=2)
    return _part(operation, 0, reversed_part(operation))


def _split(operation: Operation) -> tuple[Mapped, ...]:
    _require_plain(operation, inputs=2, outputs=len(operation.outputs))
    return tuple(_part(operation, 1, part) for part in split_parts(operation))


def _split_v(operation: Operation) -> tuple[Mapped, ...]:
    _require_plain(operation, inputs=3, outputs=len(operation.outputs))
    return tuple(_part(operation, 0, part) for part in split_v_parts(operation))


def _gather(operation: Operation) -> Mapped:
    """GATHER with constant indices: a slice for every run of equal steps, joined."""
    _require_plain(operation, inputs=2)
    shape = operation.input(0).shape
    axis = normal_axis(operation, operation.option("Axis"), len(shape))
    indices = operation.integers(1)
    if operation.option("BatchDims") or indices.ndim > 1 or indices.size == 0:
        raise operation.unsupported("only a vector of indices without batch dimensions")
    if indices.min() < 0 or indices.max() >= shape[axis]:
        raise operation.fail(f"an index is outside an axis of {shape[axis]}")
    runs = equal_steps(indices.reshape(-1).tolist())
    if len(runs) > MAX_RUNS:
        raise operation.unsupported(f"its indices form {len(runs)} slices; at most {MAX_RUNS}")
    slices = [_run(operation, axis, run) for run in runs]
    joined = slices[0]
    if len(slices) > 1:
        result = operation.output_quantization()
        arithmetic = concat_arithmetic([result] * len(slices), result, [(0, 0)] * len(slices))
        joined = Mapped("concat", Concat(axis), arithmetic, tuple(slices), result)
    if indices.ndim == 1:
        return joined
    return _reshaped(operation, joined, (*shape[:axis], *shape[axis + 1 :]))


def _run(operation: Operation, axis: int, run: tuple[int, int, int]) -> Mapped:
    axes = [(0, extent, 1) for extent in operation.input(0).shape]
    axes[axis] = run
    return _part(operation, 0, Part(tuple(axes), tuple(size for _, size, _ in axes)))


def _batch_matmul(operation: Operation) -> Mapped:
    _require_plain(operation, inputs=2)
    x, y = operation.operand(0), operation.operand(1)
    result = operation.output_quantization()
    first, second = (operation.quantization(operand.tensor) for operand in (x, y))
    factor = multipliers.fully_connected_factor(first.scale, second.scale, result.scale)
    multiplier, shift = operation.multiplier(factor)
    arithmetic = BatchMatmulArithmetic(
        zero_points=(first.zero_point, second.zero_point),
        multiplier=multiplier,
        shift=shift,
        output_zero_point=result.zero_point,
    )
    attributes = BatchMatmul(bool(operation.option("AdjX")), bool(operation.option("AdjY")))
    return Mapped("batch_matmul", attributes, arithmetic, (x, y))


def _search(*, of_least: bool) -> Mapper:
    """ARG_MAX and ARG_MIN; an INT64 result becomes int32."""

    def mapping(operation: Operation) -> Mapped:
        operation.require(inputs=(2,))
        axes = operation.integers(1).reshape(-1)
        if axes.size != 1:
            raise operation.fail(f"it has {axes.size} axes; it must have one")
        axis = normal_axis(operation, int(axes[0]), len(operation.input(0).shape))
        if operation.output.type not in ("INT32", "INT64"):
            raise operation.fail(
                f"its output is {operation.output.type}; it must be INT32 or INT64"
            )
        if operation.input(0).type not in ("INT8", "FLOAT32"):
            raise operation.unsupported(f"its input is {operation.input(0).type}; use INT8")
        x = operation.activation(0)
        return Mapped("argmax", Argmax(axis, of_least), ArgmaxArithmetic(), (x,))

    return mapping


def _tile(operation: Operation) -> Mapped:
    """TILE, and BROADCAST_TO where only axes of size 1 grow."""
    _require_plain(operation, inputs=2)
    operation.shared_quantization()
    source, values = operation.input(0).shape, operation.integers(1).reshape(-1).tolist()
    if operation.record.name == "TILE":
        shape, multiples = source, tuple(int(value) for value in values)
    else:
        shape = (1,) * (len(values) - len(source)) + source
        if len(shape) != len(values) or any(
            have not in (1, want) for have, want in zip(shape, values, strict=True)
        ):
            raise operation.fail(f"shape {source} does not broadcast to {tuple(values)}")
        multiples = tuple(want // have for have, want in zip(shape, values, strict=True))
    if len(multiples) != len(shape) or any(not 1 <= count <= MAX_ELEMENTS for count in multiples):
        raise operation.fail(f"multiples {multiples} do not fit shape {shape}")
    x: Operand | Mapped = operation.activation(0)
    if shape != source:
        x = _reshaped(operation, x, shape)
    return Mapped("tile", Tile(multiples), MovingArithmetic(), (x,))


def _require_plain(operation: Operation, *, inputs: int, outputs: int = 1) -> None:
    """Check the numbers of tensors, and that activations are of one type."""
    operation.require_one_type()
    if inputs < 1 or len(operation.inputs) != inputs or len(operation.outputs) != outputs:
        raise operation.fail(
            f"it has {len(operation.inputs)} inputs and {len(operation.outputs)} outputs;"
            f" it must have {max(inputs, 1)} and {outputs}"
        )


MOVEMENT_MAPPINGS: Mapping[str, Mapper] = {
    "ARG_MAX": _search(of_least=False),
    "ARG_MIN": _search(of_least=True),
    "BATCH_MATMUL": _batch_matmul,
    "BROADCAST_TO": _tile,
    "CONCATENATION": _concatenation,
    "GATHER": _gather,
    "PACK": _pack,
    "REVERSE_V2": _reverse,
    "SLICE": _slice,
    "SPLIT": _split,
    "SPLIT_V": _split_v,
    "STRIDED_SLICE": _strided_slice,
    "TILE": _tile,
    "UNPACK": _unpack,
}
