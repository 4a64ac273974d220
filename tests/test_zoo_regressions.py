# SPDX-License-Identifier: Apache-2.0
"""What networks from the real TFLite converter contain that one-operator models do not: each by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.tflite_batched import BATCHED, batched
from support.tflite_oracle import Oracle, built, count_mismatches, seeded_inputs
from support.tflite_writer import (
    ModelSpec,
    OperatorSpec,
    TensorSpec,
    Writer,
    constant_spec,
    write_tflite,
)

import edgekit
from edgekit.converters.from_tflite import import_tflite
from edgekit.errors import UnsupportedError
from edgekit.interpret import interpret
from edgekit.ir import Array, QGraph

Shapes = Sequence[Sequence[int]]
EVERY_VALUE = np.arange(-128, 128).astype(np.int8).reshape(1, 256)


def int8(name: str, shape: Sequence[int], **fields: Any) -> TensorSpec:
    return TensorSpec(name, shape, 0.05, -7, **fields)


def integers(name: str, values: Any) -> TensorSpec:
    return constant_spec(name, np.array(values, np.int32))


def chain(shapes: Shapes, steps: Sequence[tuple[str, Any]], *, type_: str = "INT8") -> ModelSpec:
    """Operators one behind the other, each with its output's shape and a constant of integers."""
    zero_point = -7 if type_ == "INT8" else 0
    tensors = [
        TensorSpec(f"t{i}", shape, 0.05, zero_point, type=type_) for i, shape in enumerate(shapes)
    ]
    operators = []
    for i, (name, values) in enumerate(steps):
        tensors.append(integers(f"c{i}", values))
        operators.append(OperatorSpec(name, [f"t{i}", f"c{i}"], [f"t{i + 1}"]))
    return ModelSpec(tensors, operators, ["t0"], [f"t{len(steps)}"])


def reshapes(shapes: Shapes, *, at: int, name: str, values: Any, type_: str = "INT8") -> ModelSpec:
    """RESHAPEs between the shapes, but for one step."""
    steps = [("RESHAPE", shape) for shape in shapes[1:]]
    steps[at] = (name, values)
    return chain(shapes, steps, type_=type_)


def outputs_of(graph: QGraph, inputs: Sequence[Array]) -> Array:
    return interpret(graph, inputs, outputs_only=True)[graph.outputs[0].tensor]


def ramp(shape: Sequence[int], dtype: str = "int8") -> Array:
    """Different integers as far as the type reaches."""
    return (np.arange(np.prod(shape)) * 7 % 251 - 125).astype(dtype).reshape(shape)


def test_channel_shuffle_of_rank_5_runs_as_one_transpose_of_rank_4(tmp_path: Path) -> None:
    model = reshapes(
        [(1, 4, 5, 6), (1, 4, 5, 2, 3), (1, 4, 5, 3, 2), (1, 4, 5, 6)],
        at=1,
        name="TRANSPOSE",
        values=[0, 1, 2, 4, 3],
    )
    data, graph = built(model, tmp_path)
    assert [node.op for node in graph.nodes].count("transpose") == 1
    assert count_mismatches(data, graph, seeded_inputs(graph, samples=3))[0] == 0


@pytest.mark.parametrize(
    ("shape", "order"),
    [
        ((1, 4, 3, 2, 2, 5), (0, 1, 3, 2, 4, 5)),
        ((1, 2, 3, 4, 2, 3), (0, 5, 4, 3, 2, 1)),
        ((1, 2, 3, 2, 3, 2, 2), (0, 4, 1, 6, 3, 5, 2)),
        ((1, 1, 4, 1, 3, 1), (0, 4, 3, 2, 1, 5)),
        ((1, 2, 3, 1, 2, 5), (0, 1, 2, 3, 4, 5)),
    ],
)
@pytest.mark.parametrize("type_", ["INT8", "INT16"])
def test_any_transpose_of_high_rank_is_swaps_of_rank_4(
    shape: tuple[int, ...], order: tuple[int, ...], type_: str, tmp_path: Path
) -> None:
    size = int(np.prod(shape))
    moved = [shape[axis] for axis in order]
    shapes = [(1, size), shape, moved, (1, size)]
    graph = built(reshapes(shapes, at=1, name="TRANSPOSE", values=order, type_=type_), tmp_path)[1]
    x = ramp((1, size), type_.lower())
    expected = x.reshape(shape).transpose(order).reshape(1, size)
    assert np.array_equal(outputs_of(graph, [x]), expected)


def test_keras_nearest_upsampling_by_tiles_of_rank_5_is_a_resize(tmp_path: Path) -> None:
    shapes = [
        *((1, 3, 4, 5), (1, 3, 1, 4, 5), (1, 3, 2, 4, 5), (1, 6, 4, 1, 5), (1, 6, 4, 3, 5)),
        (1, 6, 12, 5),
    ]
    steps = [("RESHAPE", shape) for shape in shapes[1:]]
    steps[1], steps[3] = ("TILE", [1, 1, 2, 1, 1]), ("TILE", [1, 1, 1, 3, 1])
    graph = built(chain(shapes, steps), tmp_path)[1]
    x = ramp((1, 3, 4, 5))
    expected = x.repeat(2, axis=1).repeat(3, axis=2)
    assert np.array_equal(outputs_of(graph, [x]), expected)
    assert "tile" not in {node.op for node in graph.nodes}


@pytest.mark.parametrize("multiples", [(1, 1, 3, 1, 2), (1, 2, 1, 1, 1), (1, 1, 1, 49, 1)])
def test_tiles_of_rank_5_repeat_blocks(multiples: tuple[int, ...], tmp_path: Path) -> None:
    shape = (1, 2, 3, 1, 2)
    tiled = [size * count for size, count in zip(shape, multiples, strict=True)]
    size, total = int(np.prod(shape)), int(np.prod(tiled))
    shapes = [(1, size), shape, tiled, (1, total)]
    graph = built(reshapes(shapes, at=1, name="TILE", values=multiples), tmp_path)[1]
    x = ramp((1, size))
    expected = np.tile(x.reshape(shape), multiples).reshape(1, total)
    assert np.array_equal(outputs_of(graph, [x]), expected)


def test_a_result_of_rank_5_is_still_refused_by_name(tmp_path: Path) -> None:
    model = reshapes(
        [(1, 4, 6), (1, 4, 6), (1, 2, 2, 3, 2)], at=0, name="RESHAPE", values=[1, 4, 6]
    )
    with pytest.raises(UnsupportedError, match=r"'t2' has 5 dimensions; use at most 4"):
        built(model, tmp_path)


def test_a_dense_layer_on_rows_of_a_dynamic_batch_has_more_than_one_row(tmp_path: Path) -> None:
    """The matrix (-1, 6) behind a RESHAPE has 7 rows where the batch is 1."""
    weights = np.random.default_rng(0).integers(-127, 128, (5, 6)).astype(np.int8)
    model = ModelSpec(
        [
            int8("x", (1, 7, 6), signature=(-1, 7, 6)),
            integers("rows", [-1, 6]),
            int8("matrix", (1, 6), signature=(-1, 6)),
            constant_spec("weights", weights, scale=0.01),
            TensorSpec("product", (1, 5), 0.2, 3, signature=(-1, 5)),
            integers("back", [-1, 7, 5]),
            TensorSpec("y", (1, 7, 5), 0.2, 3, signature=(-1, 7, 5)),
        ],
        [
            OperatorSpec("RESHAPE", ["x", "rows"], ["matrix"]),
            OperatorSpec("FULLY_CONNECTED", ["matrix", "weights", ""], ["product"]),
            OperatorSpec("RESHAPE", ["product", "back"], ["y"]),
        ],
        ["x"],
        ["y"],
    )
    data, graph = built(model, tmp_path)
    assert graph.tensors[graph.outputs[0].tensor].shape == (1, 7, 5)
    assert count_mismatches(data, graph, seeded_inputs(graph, samples=3)) == (0, 3 * 35)


def test_int16_constants_that_are_quantized_again_are_folded(tmp_path: Path) -> None:
    one = constant_spec("one", np.array([32767, -20000, 5], np.int16), scale=1.0 / 32767)
    model = ModelSpec(
        [
            TensorSpec("x", (1, 4, 3), 0.001, type="INT16"),
            one,
            TensorSpec("rescaled", (3,), 0.001, type="INT16"),
            TensorSpec("y", (1, 4, 3), 0.001, type="INT16"),
        ],
        [
            OperatorSpec("QUANTIZE", ["one"], ["rescaled"]),
            OperatorSpec("MINIMUM", ["x", "rescaled"], ["y"]),
        ],
        ["x"],
        ["y"],
    )
    data, graph = built(model, tmp_path)
    assert [node.op for node in graph.nodes] == ["minimum"]
    assert count_mismatches(data, graph, seeded_inputs(graph, samples=3))[0] == 0


@pytest.mark.parametrize("case", BATCHED)
def test_space_to_batch_around_a_convolution_is_a_dilated_one(case: str, tmp_path: Path) -> None:
    model = batched(outputs=4, **BATCHED[case])
    data, graph = built(model, tmp_path)
    assert {"conv2d", "depthwise_conv2d"} & {node.op for node in graph.nodes}
    different, compared = count_mismatches(data, graph, seeded_inputs(graph, samples=4))
    assert (different, compared > 0) == (0, True)


def test_space_to_batch_around_something_else_names_the_remedy(tmp_path: Path) -> None:
    model = ModelSpec(
        [
            int8("x", (1, 4, 4, 2)),
            integers("block", [2, 2]),
            integers("none", [[0, 0], [0, 0]]),
            int8("parts", (4, 2, 2, 2)),
            int8("y", (1, 4, 4, 2)),
        ],
        [
            OperatorSpec("SPACE_TO_BATCH_ND", ["x", "block", "none"], ["parts"]),
            OperatorSpec("BATCH_TO_SPACE_ND", ["parts", "block", "none"], ["y"]),
        ],
        ["x"],
        ["y"],
    )
    with pytest.raises(UnsupportedError) as caught:
        built(model, tmp_path)
    assert [line.split(":")[1].strip() for line in caught.value.lines] == [
        "this operator is not supported; use it around a convolution of stride 1 without padding,"
        " as a dilated one"
    ] * 2


FREE_OF_TIES = [(0.05, 0.05), (0.031, 0.007), (0.1, 0.083)]
WITH_TIES = [(0.1, 0.2), (0.3, 0.6)]
"""Input and output scales of functions that the converter leaves in float."""


@pytest.mark.parametrize("name", ["ABS", "EXP", "NEG", "SQRT", "SQUARE"])
@pytest.mark.parametrize("scales", [*FREE_OF_TIES, *WITH_TIES])
def test_a_function_left_in_float_is_a_table(
    name: str, scales: tuple[float, float], tmp_path: Path
) -> None:
    data, graph = built(left_in_float(name, scales), tmp_path)
    assert [node.op for node in graph.nodes] == ["lookup"]
    assert count_mismatches(data, graph, [(EVERY_VALUE,)]) == (0, 256)


@pytest.mark.parametrize("scales", FREE_OF_TIES)
def test_elu_left_in_float_is_a_table(scales: tuple[float, float], tmp_path: Path) -> None:
    """BUILTIN_REF has no ELU, and the QUANTIZE of the resolver that has it rounds ties otherwise."""
    data, graph = built(left_in_float("ELU", scales), tmp_path)
    oracle = Oracle(data, resolver="BUILTIN_WITHOUT_DEFAULT_DELEGATES")
    (expected,) = oracle.run(graph, [EVERY_VALUE])
    assert np.array_equal(outputs_of(graph, [EVERY_VALUE]), expected)


def left_in_float(name: str, scales: tuple[float, float]) -> ModelSpec:
    """The converter writes DEQUANTIZE, ELU, QUANTIZE where it knows no int8 kernel."""
    zero_point = -128 if name == "SQRT" else 5
    return ModelSpec(
        [
            TensorSpec("x", (1, 256), scales[0], zero_point),
            TensorSpec("real", (1, 256), type="FLOAT32"),
            TensorSpec("result", (1, 256), type="FLOAT32"),
            TensorSpec("y", (1, 256), scales[1], -9),
        ],
        [
            OperatorSpec("DEQUANTIZE", ["x"], ["real"]),
            OperatorSpec(name, ["real"], ["result"]),
            OperatorSpec("QUANTIZE", ["result"], ["y"]),
        ],
        ["x"],
        ["y"],
    )


def dense_of_rank_3() -> ModelSpec:
    weights = np.random.default_rng(0).integers(-127, 128, (5, 6)).astype(np.int8)
    return ModelSpec(
        [
            int8("x", (1, 7, 6)),
            constant_spec("weights", weights, scale=[0.01, 0.02, 0.01, 0.03, 0.01]),
            TensorSpec("y", (1, 7, 5), 0.2, 3),
        ],
        [OperatorSpec("FULLY_CONNECTED", ["x", "weights", ""], ["y"], {"KeepNumDims": True})],
        ["x"],
        ["y"],
    )


class FutureWriter(Writer):
    """Writes operators of a version that no runtime knows."""

    def _code(self, name: str) -> int:
        return self._table("OperatorCode", BuiltinCode=0, DeprecatedBuiltinCode=0, Version=99)


def future_add() -> bytes:
    operator = OperatorSpec("ADD", ["a", "b"], ["y"])
    tensors = [int8(name, (1, 8)) for name in "aby"]
    return FutureWriter(ModelSpec(tensors, [operator], ["a", "b"], ["y"])).file()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (lambda: write_tflite(dense_of_rank_3()), "an output of rank 3"),
        (future_add, "version '99'"),
    ],
    ids=["faulty_reference_kernel", "later_version"],
)
def test_a_source_that_cannot_be_judged_is_a_note_and_no_failure(
    data: Callable[[], bytes], reason: str, tmp_path: Path
) -> None:
    pytest.importorskip("tflite_runtime", reason="pip install 'edgekit[oracle]'")
    path = tmp_path / "net.tflite"
    path.write_bytes(data())
    report = edgekit.convert(path, target="cortex-m4").validate(samples=3).assert_ok()
    assert [rung.name for rung in report.rungs] == ["reference", "host"]
    (note,) = report.notes
    assert "'source' is left out" in note and reason in note


def test_a_float_model_names_all_its_unknown_operators(tmp_path: Path) -> None:
    tensors = [TensorSpec(name, (1, 8), type="FLOAT32") for name in "xyz"]
    operators = [
        OperatorSpec("UNIDIRECTIONAL_SEQUENCE_LSTM", ["x"], ["y"]),
        OperatorSpec("SVDF", ["y"], ["z"]),
    ]
    path = tmp_path / "net.tflite"
    path.write_bytes(write_tflite(ModelSpec(tensors, operators, ["x"], ["z"])))
    with pytest.raises(UnsupportedError) as caught:
        import_tflite(path)
    names = [line.split()[0] for line in caught.value.lines]
    assert names == ["UNIDIRECTIONAL_SEQUENCE_LSTM", "SVDF"]
