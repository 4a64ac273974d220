# SPDX-License-Identifier: Apache-2.0
"""Which part of a tensor STRIDED_SLICE, SLICE, REVERSE_V2 and SPLIT take, for activations and constants."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.converters.tflite.operation import Operation
from edgekit.ir import Shape

_MASKS = ("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask")


@dataclass(frozen=True)
class Part:
    """(begin, size, stride) of every axis, and the shape under which the result is declared."""

    axes: tuple[tuple[int, int, int], ...]
    shape: Shape


def part_along(shape: Shape, axis: int, begin: int, size: int) -> Part:
    """``size`` indices from ``begin`` along one axis, all along the others."""
    axes = [(0, extent, 1) for extent in shape]
    axes[axis] = (begin, size, 1)
    return Part(tuple(axes), tuple(count for _, count, _ in axes))


def normal_axis(operation: Operation, axis: int, rank: int) -> int:
    """An axis counted from the front."""
    if not -rank <= axis < rank:
        raise operation.fail(f"axis {axis} is outside rank {rank}")
    return axis % rank


def strided_part(operation: Operation) -> Part:
    """STRIDED_SLICE with all of its masks, as numpy indexes with slices, integers, ... and None."""
    begins, ends, strides = (operation.integers(i).reshape(-1).tolist() for i in (1, 2, 3))
    begin_mask, end_mask, ellipsis, new_axis, shrink = (operation.option(m) for m in _MASKS)
    source = operation.input(0).shape
    if not len(begins) == len(ends) == len(strides) <= 8:
        raise operation.fail("begin, end and strides differ in length, or are too long")
    consumed = sum(1 for i in range(len(begins)) if not (ellipsis | new_axis) >> i & 1)
    if consumed > len(source):
        raise operation.fail(f"it indexes {consumed} axes of a tensor of rank {len(source)}")
    axes: list[tuple[int, int, int]] = []
    shape: list[int] = []
    for i, (begin, end, stride) in enumerate(zip(begins, ends, strides, strict=True)):
        bit = 1 << i
        if ellipsis & bit:
            whole = source[len(axes) : len(axes) + len(source) - consumed]
            axes += [(0, extent, 1) for extent in whole]
            shape += whole
        elif new_axis & bit:
            shape.append(1)
        elif shrink & bit:
            axes.append((_index(operation, begin, source[len(axes)]), 1, 1))
        else:
            first = None if begin_mask & bit else begin
            last = None if end_mask & bit else begin + end if operation.option("Offset") else end
            axes.append(_range(operation, first, last, stride, source[len(axes)]))
            shape.append(axes[-1][1])
    rest = source[len(axes) :]
    return Part((*axes, *((0, extent, 1) for extent in rest)), (*shape, *rest))


def _index(operation: Operation, index: int, extent: int) -> int:
    if not -extent <= index < extent:
        raise operation.fail(f"index {index} is outside an axis of {extent}")
    return index % extent


def _range(
    operation: Operation, begin: int | None, end: int | None, stride: int, extent: int
) -> tuple[int, int, int]:
    if stride == 0:
        raise operation.fail("a stride is 0")
    indices = range(*slice(begin, end, stride).indices(extent))
    return indices.start, len(indices), stride


def plain_part(operation: Operation) -> Part:
    """SLICE; a size of -1 reaches to the end."""
    source = operation.input(0).shape
    begins, sizes = (operation.integers(i).reshape(-1).tolist() for i in (1, 2))
    if not len(begins) == len(sizes) == len(source):
        raise operation.fail(f"begin and size must have {len(source)} entries")
    axes = []
    for begin, size, extent in zip(begins, sizes, source, strict=True):
        count = extent - begin if size == -1 else size
        if not (0 <= begin <= extent and 0 <= count <= extent - begin):
            raise operation.fail(f"{size} elements from {begin} are outside an axis of {extent}")
        axes.append((begin, count, 1))
    return Part(tuple(axes), tuple(count for _, count, _ in axes))


def reversed_part(operation: Operation) -> Part:
    """REVERSE_V2 along one axis; TFLite's kernel takes more, and reverses only one of them."""
    shape = operation.input(0).shape
    values = operation.integers(1).reshape(-1).tolist()
    if len(values) != 1:
        raise operation.unsupported(f"axes {values}; use one operator for each")
    axis = normal_axis(operation, values[0], len(shape))
    axes = [(0, extent, 1) for extent in shape]
    if shape[axis] > 1:
        axes[axis] = (shape[axis] - 1, shape[axis], -1)
    return Part(tuple(axes), shape)


def split_parts(operation: Operation) -> tuple[Part, ...]:
    """SPLIT(axis, value): equal parts, one per output."""
    shape = operation.input(1).shape
    axis = normal_axis(operation, _only(operation, 0), len(shape))
    count = len(operation.outputs)
    if count < 1 or shape[axis] % count:
        raise operation.fail(f"an axis of {shape[axis]} does not split into {count} equal parts")
    size = shape[axis] // count
    return tuple(part_along(shape, axis, i * size, size) for i in range(count))


def split_v_parts(operation: Operation) -> tuple[Part, ...]:
    """SPLIT_V(value, sizes, axis); one size may be -1, the rest."""
    shape = operation.input(0).shape
    axis = normal_axis(operation, _only(operation, 2), len(shape))
    sizes = operation.integers(1).reshape(-1).tolist()
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = shape[axis] - sum(size for size in sizes if size != -1)
    if any(size < 0 for size in sizes) or sum(sizes) != shape[axis]:
        raise operation.fail(f"parts of {sizes} do not make up an axis of {shape[axis]}")
    if len(sizes) != len(operation.outputs):
        raise operation.fail(f"it has {len(operation.outputs)} outputs for {len(sizes)} parts")
    begins = [sum(sizes[:i]) for i in range(len(sizes))]
    return tuple(part_along(shape, axis, *part) for part in zip(begins, sizes, strict=True))


def _only(operation: Operation, position: int) -> int:
    values = operation.integers(position).reshape(-1)
    if values.size != 1:
        raise operation.fail(f"input {position} has {values.size} values; it must have one")
    return int(values[0])
