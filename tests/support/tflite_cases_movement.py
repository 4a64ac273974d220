# SPDX-License-Identifier: Apache-2.0
"""One-operator TFLite models that take tensors apart, join them, multiply or search them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from edgekit.ir import Shape
from support.tflite_writer import ModelSpec, OperatorSpec, TensorSpec, constant_spec

Options = Mapping[str, Any]
SCALE, ZERO_POINT = 0.05, -9


def _plain(name: str, shape: Sequence[int]) -> TensorSpec:
    return TensorSpec(name, shape, SCALE, ZERO_POINT)


def _integers(name: str, values: Any) -> TensorSpec:
    return constant_spec(name, np.array(values, np.int32))


def model_of(
    name: str,
    operands: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    options: Options | None = None,
) -> ModelSpec:
    """A model of one operator; operands without data are the inputs, each once."""
    distinct = list({operand.name: operand for operand in operands}.values())
    inputs = [operand.name for operand in distinct if operand.data is None]
    operator = OperatorSpec(
        name, [operand.name for operand in operands], [y.name for y in outputs], options or {}
    )
    return ModelSpec([*distinct, *outputs], [operator], inputs, [y.name for y in outputs])


def concatenation(
    shapes: Sequence[Shape], axis: int, *, constant_at: int | None = None
) -> ModelSpec:
    """CONCATENATION of inputs with one scale, one of them perhaps a constant."""
    operands = [_plain(f"x{i}", shape) for i, shape in enumerate(shapes)]
    if constant_at is not None:
        shape = shapes[constant_at]
        values = np.random.default_rng(3).integers(-128, 128, shape).astype(np.int8)
        operands[constant_at] = constant_spec("c", values, scale=SCALE, zero_point=ZERO_POINT)
    size = sum(shape[axis] for shape in shapes)
    at = axis % len(shapes[0])
    result = (*shapes[0][:at], size, *shapes[0][at + 1 :])
    return model_of("CONCATENATION", operands, [_plain("y", result)], {"Axis": axis})


def strided_slice(
    shape: Shape,
    begin: Sequence[int],
    end: Sequence[int],
    strides: Sequence[int],
    result: Shape,
    **masks: int,
) -> ModelSpec:
    """STRIDED_SLICE; ``masks`` are BeginMask and so on."""
    vectors = {"begin": begin, "end": end, "strides": strides}
    operands = [_plain("x", shape), *(_integers(n, v) for n, v in vectors.items())]
    return model_of("STRIDED_SLICE", operands, [_plain("y", result)], masks)


def slice_of(shape: Shape, begin: Sequence[int], size: Sequence[int], result: Shape) -> ModelSpec:
    """SLICE."""
    operands = [_plain("x", shape), _integers("begin", begin), _integers("size", size)]
    return model_of("SLICE", operands, [_plain("y", result)])


def split(shape: Shape, axis: int, sizes: Sequence[int], *, variable: bool = False) -> ModelSpec:
    """SPLIT into equal sizes, or SPLIT_V."""
    at = axis % len(shape)
    wanted = [size if size >= 0 else shape[at] - sum(s for s in sizes if s >= 0) for size in sizes]
    outputs = [
        _plain(f"y{i}", (*shape[:at], size, *shape[at + 1 :])) for i, size in enumerate(wanted)
    ]
    options = {"NumSplits": len(sizes)}
    if variable:
        operands = [_plain("x", shape), _integers("sizes", sizes), _integers("axis", axis)]
        return model_of("SPLIT_V", operands, outputs, options)
    return model_of("SPLIT", [_integers("axis", axis), _plain("x", shape)], outputs, options)


def pack(shape: Shape, count: int, axis: int) -> ModelSpec:
    """PACK of ``count`` inputs."""
    at = axis % (len(shape) + 1)
    operands = [_plain(f"x{i}", shape) for i in range(count)]
    result = (*shape[:at], count, *shape[at:])
    options = {"Axis": axis, "ValuesCount": count}
    return model_of("PACK", operands, [_plain("y", result)], options)


def unpack(shape: Shape, axis: int) -> ModelSpec:
    """UNPACK."""
    at = axis % len(shape)
    rest = (*shape[:at], *shape[at + 1 :])
    outputs = [_plain(f"y{i}", rest) for i in range(shape[at])]
    return model_of("UNPACK", [_plain("x", shape)], outputs, {"Axis": axis, "Num": shape[at]})


def batch_matmul(
    x_shape: Shape,
    y_shape: Shape,
    result: Shape,
    *,
    adjoint: tuple[bool, bool] = (False, False),
    scales: tuple[float, float, float] = (0.05, 0.021, 0.3),
    zero_points: tuple[int, int, int] = (3, -8, 11),
    constant_y: bool = False,
) -> ModelSpec:
    """BATCH_MATMUL of two inputs, or of an input and a constant."""
    tensors = [
        TensorSpec(name, shape, scale, zero_point)
        for name, shape, scale, zero_point in zip(
            "xyz", (x_shape, y_shape, result), scales, zero_points, strict=True
        )
    ]
    if constant_y:
        values = np.random.default_rng(4).integers(-128, 128, y_shape).astype(np.int8)
        tensors[1] = constant_spec("y", values, scale=scales[1], zero_point=zero_points[1])
    options = {"AdjX": adjoint[0], "AdjY": adjoint[1]}
    return model_of("BATCH_MATMUL", tensors[:2], tensors[2:], options)


def search(name: str, shape: Shape, axis: int, *, wide: bool = False) -> ModelSpec:
    """ARG_MAX or ARG_MIN with an INT32 or INT64 result."""
    at = axis % len(shape)
    result = TensorSpec("y", (*shape[:at], *shape[at + 1 :]), type="INT64" if wide else "INT32")
    options = {"OutputType": 4 if wide else 2}  # TensorType.INT64, INT32
    return model_of(name, [_plain("x", shape), _integers("axis", axis)], [result], options)


def gather(shape: Shape, indices: Any, axis: int) -> ModelSpec:
    """GATHER with constant indices."""
    chosen = np.array(indices, np.int32)
    result = (*shape[:axis], *chosen.shape, *shape[axis + 1 :])
    operands = [_plain("x", shape), _integers("indices", indices)]
    return model_of("GATHER", operands, [_plain("y", result)], {"Axis": axis})


def reverse(shape: Shape, axis: int) -> ModelSpec:
    """REVERSE_V2."""
    return model_of(
        "REVERSE_V2", [_plain("x", shape), _integers("axis", [axis])], [_plain("y", shape)]
    )


def repeated(name: str, shape: Shape, amounts: Sequence[int], result: Shape) -> ModelSpec:
    """TILE or BROADCAST_TO."""
    operands = [_plain("x", shape), _integers("amounts", amounts)]
    return model_of(name, operands, [_plain("y", result)])


def movement_cases() -> Iterator[tuple[str, ModelSpec]]:
    """Every case by name."""
    yield from _joined()
    yield from _sliced()
    yield from _split()
    yield from _computed()


def _joined() -> Iterator[tuple[str, ModelSpec]]:
    yield "concatenation_channels", concatenation([(1, 3, 4, 2), (1, 3, 4, 5)], 3)
    yield "concatenation_last_axis", concatenation([(1, 3, 4, 2), (1, 3, 4, 5)], -1)
    yield "concatenation_rows", concatenation([(1, 3, 4, 2), (1, 1, 4, 2), (1, 2, 4, 2)], 1)
    yield "concatenation_columns", concatenation([(1, 3, 4, 2)] * 2, 2)
    yield "concatenation_vectors", concatenation([(1, 9), (1, 4)], 1)
    yield "concatenation_constant", concatenation([(1, 3, 4, 2), (1, 3, 4, 5)], 3, constant_at=1)
    twice = concatenation([(1, 3, 4, 2)] * 2, 3)
    operator = OperatorSpec("CONCATENATION", ["x0", "x0"], ["y"], {"Axis": 3})
    tensors = [twice.tensors[0], twice.tensors[2]]
    yield "concatenation_same_input", ModelSpec(tensors, [operator], ["x0"], ["y"])
    yield "pack_channels", pack((1, 3, 4), 3, 3)
    yield "pack_last_axis", pack((1, 3, 4), 2, -1)
    yield "pack_rows", pack((1, 3, 4), 2, 1)
    yield "pack_rank_2", pack((1, 5), 4, 1)


def _sliced() -> Iterator[tuple[str, ModelSpec]]:
    shape = (1, 5, 6, 7)
    ones = (1, 1, 1, 1)
    yield "strided_slice_channels", strided_slice(shape, (0, 0, 0, 2), shape, ones, (1, 5, 6, 5))
    yield (
        "strided_slice_strides",
        strided_slice(shape, (0, 0, 1, 0), shape, (1, 2, 2, 3), (1, 3, 3, 3)),
    )
    yield (
        "strided_slice_masked",
        strided_slice(
            shape, (7, 1, 9, 2), (7, 4, 9, 9), ones, (1, 3, 6, 5), BeginMask=5, EndMask=13
        ),
    )
    yield (
        "strided_slice_negative_indices",
        strided_slice(shape, (0, -4, -99, 0), (1, -1, 99, 7), ones, (1, 3, 6, 7)),
    )
    yield (
        "strided_slice_backwards",
        strided_slice(
            shape,
            (0, 0, 0, 0),
            (1, 0, 0, 0),
            (1, -1, -2, 1),
            (1, 5, 3, 7),
            BeginMask=15,
            EndMask=15,
        ),
    )
    yield (
        "strided_slice_shrinks",
        strided_slice(
            shape, (0, 0, -1, 0), (1, 5, 0, 7), ones, (1, 5, 7), EndMask=11, ShrinkAxisMask=4
        ),
    )
    yield (
        "strided_slice_new_axis",
        strided_slice((1, 6, 7), (0, 0, 0, 0), (1, 0, 4, 7), ones, (1, 1, 4, 7), NewAxisMask=2),
    )
    yield (
        "strided_slice_ellipsis",
        strided_slice(shape, (0, 3), (0, 6), (1, 1), (1, 5, 6, 3), EllipsisMask=1),
    )
    yield "strided_slice_short", strided_slice(shape, (0, 1), (1, 3), (1, 1), (1, 2, 6, 7))
    yield "slice_crop", slice_of(shape, (0, 1, 2, 0), (1, 3, 2, 7), (1, 3, 2, 7))
    yield "slice_to_the_end", slice_of(shape, (0, 1, 0, 4), (-1, -1, 6, -1), (1, 4, 6, 3))
    yield "slice_vector", slice_of((1, 9), (0, 3), (1, 4), (1, 4))
    for axis, label in ((1, "rows"), (2, "columns"), (-1, "channels"), (0, "batch")):
        yield f"reverse_{label}", reverse(shape, axis)
    yield "reverse_vector", reverse((1, 9), 1)
    yield "gather_run", gather(shape, [1, 2, 3], 1)
    yield "gather_mixed", gather(shape, [5, 3, 1, 0, 0, 6], 3)
    yield "gather_one", gather(shape, 2, 2)


def _split() -> Iterator[tuple[str, ModelSpec]]:
    yield "split_channels", split((1, 3, 4, 6), 3, [2, 2, 2])
    yield "split_last_axis", split((1, 3, 4, 6), -1, [3, 3])
    yield "split_rows", split((1, 4, 3, 2), 1, [2, 2])
    yield "split_v_channels", split((1, 3, 4, 6), 3, [1, 3, 2], variable=True)
    yield "split_v_rest", split((1, 3, 4, 6), 3, [1, -1, 2], variable=True)
    yield "unpack_rows", unpack((1, 3, 4, 2), 1)
    yield "unpack_channels", unpack((1, 3, 4, 2), -1)
    yield "unpack_rank_2", unpack((1, 4), 1)


def _computed() -> Iterator[tuple[str, ModelSpec]]:
    yield "batch_matmul_rank_2", batch_matmul((1, 5), (5, 6), (1, 6), constant_y=True)
    yield "batch_matmul_rank_3", batch_matmul((1, 4, 5), (1, 5, 6), (1, 4, 6))
    yield "batch_matmul_heads", batch_matmul((1, 3, 4, 5), (1, 3, 5, 6), (1, 3, 4, 6))
    yield "batch_matmul_broadcast", batch_matmul((1, 3, 4, 5), (1, 1, 5, 6), (1, 3, 4, 6))
    yield (
        "batch_matmul_adjoint_x",
        batch_matmul((1, 5, 4), (1, 5, 6), (1, 4, 6), adjoint=(True, False)),
    )
    yield (
        "batch_matmul_adjoint_y",
        batch_matmul((1, 4, 5), (1, 6, 5), (1, 4, 6), adjoint=(False, True)),
    )
    yield (
        "batch_matmul_both_adjoint",
        batch_matmul((1, 5, 4), (1, 6, 5), (1, 4, 6), adjoint=(True, True)),
    )
    yield (
        "batch_matmul_saturates",
        batch_matmul((1, 4, 9), (1, 9, 6), (1, 4, 6), scales=(0.05, 0.05, 0.004)),
    )
    yield (
        "batch_matmul_tie",
        batch_matmul(
            (1, 16, 1), (1, 1, 16), (1, 16, 16), scales=(0.5, 0.5, 0.5), zero_points=(0, 0, 0)
        ),
    )
    for name in ("ARG_MAX", "ARG_MIN"):
        low = name.lower()
        yield f"{low}_classes", search(name, (1, 10), 1)
        yield f"{low}_channels", search(name, (1, 3, 4, 5), -1)
        yield f"{low}_rows", search(name, (1, 3, 4, 5), 1)
        yield f"{low}_wide", search(name, (1, 3, 4, 5), 3, wide=True)
    yield "tile_map", repeated("TILE", (1, 2, 3, 4), (1, 2, 1, 3), (1, 4, 3, 12))
    yield "tile_vector", repeated("TILE", (1, 5), (1, 3), (1, 15))
    yield "broadcast_channels", repeated("BROADCAST_TO", (1, 1, 1, 4), (1, 3, 2, 4), (1, 3, 2, 4))
    yield "broadcast_rank", repeated("BROADCAST_TO", (1, 4), (1, 2, 3, 4), (1, 2, 3, 4))
