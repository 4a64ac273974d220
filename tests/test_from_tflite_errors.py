# SPDX-License-Identifier: Apache-2.0
"""TFLite models that are refused: whose fault it is, and what the message says."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.tflite_cases import cases, operator_model, rescale
from support.tflite_writer import (
    ModelSpec,
    OperatorSpec,
    TensorSpec,
    constant_spec,
    write_tflite,
)

from edgekit.converters.from_tflite import import_tflite
from edgekit.errors import BadInputError, EdgekitError, UnsupportedError

CASES = cases()


def error_of(model: ModelSpec | bytes, folder: Path) -> EdgekitError:
    path = folder / "model.tflite"
    path.write_bytes(model if isinstance(model, bytes) else write_tflite(model))
    with pytest.raises(EdgekitError) as caught:
        import_tflite(path)
    for line in caught.value.lines:
        assert line
        assert line.isprintable()
    return caught.value


def with_tensor(case: str, name: str, **changes: Any) -> ModelSpec:
    """A case with one tensor changed."""
    model = CASES[case]
    assert any(tensor.name == name for tensor in model.tensors)
    tensors = [
        dataclasses.replace(tensor, **changes) if tensor.name == name else tensor
        for tensor in model.tensors
    ]
    return dataclasses.replace(model, tensors=tensors)


def with_operator(case: str, **changes: Any) -> ModelSpec:
    """A case with its operator changed; ``options`` are merged."""
    model = CASES[case]
    (operator,) = model.operators
    if "options" in changes and changes["options"] is not None:
        changes["options"] = {**(operator.options or {}), **changes["options"]}
    return dataclasses.replace(model, operators=[dataclasses.replace(operator, **changes)])


def _half_float() -> ModelSpec:
    tensors = [
        TensorSpec("x", (1, 4), 0.1),
        TensorSpec("y", (1, 4), type="FLOAT32"),
        TensorSpec("z", (1, 4), 0.1),
    ]
    operators = [OperatorSpec("RELU", ["x"], ["y"]), OperatorSpec("RELU6", ["y"], ["z"])]
    return ModelSpec(tensors, operators, ["x"], ["z"])


BAD: Mapping[str, tuple[Callable[[], ModelSpec], str]] = {
    "scale_zero": (lambda: with_tensor("relu_tie", "x", scale=0.0), "scale 0.0 is not"),
    "scale_negative": (lambda: with_tensor("relu_tie", "y", scale=-0.5), "scale -0.5 is not"),
    "scale_nan": (lambda: with_tensor("add_none", "a", scale=np.nan), "tensor 'a': scale nan"),
    "scale_inf": (lambda: with_tensor("add_none", "b", scale=np.inf), "scale inf"),
    "scale_missing": (lambda: with_tensor("relu_tie", "x", scale=None), "has 0 scales"),
    "two_scales": (lambda: with_tensor("relu_tie", "x", scale=[0.1, 0.2]), "has 2 scales"),
    "zero_point_outside": (
        lambda: with_tensor("relu_tie", "x", zero_point=200),
        "zero point 200 is outside int8",
    ),
    "zero_points_missing": (
        lambda: with_tensor("relu_tie", "x", zero_point=[]),
        "1 scales but 0 zero points",
    ),
    "per_axis_length": (
        lambda: with_tensor("conv_relu", "weights", scale=[0.1] * 4),
        "CONV_2D 'y': .*4 scales; it must have 1 or 5",
    ),
    "per_axis_dimension": (
        lambda: with_tensor("conv_relu", "weights", axis=3),
        "scales along axis 3, not 0",
    ),
    "weight_scale_nan": (
        lambda: with_tensor("conv_relu", "weights", scale=[0.1, np.nan, 0.1, 0.1, 0.1]),
        "scale nan",
    ),
    "bias_length": (
        lambda: with_tensor("conv_relu", "bias", data=np.zeros(4, np.int32), shape=(4,)),
        r"the bias has shape \(4,\); it must be \(5,\)",
    ),
    "buffer_short": (
        lambda: with_tensor("conv_relu", "weights", data=np.zeros(10, np.int8)),
        "10 bytes; shape .* needs 135",
    ),
    "buffer_long": (lambda: with_tensor("conv_relu", "bias", shape=(4,)), "20 bytes"),
    "shape_zero": (lambda: with_tensor("relu_tie", "x", shape=(1, 0)), "a dimension is empty"),
    "shape_negative": (lambda: with_tensor("relu_tie", "x", shape=(1, -3)), "negative dimension"),
    "shape_overflow": (
        lambda: with_tensor("relu_tie", "x", shape=(1, 65536, 65536)),
        "overflows 32 bits",
    ),
    "rank_9": (lambda: with_tensor("relu_tie", "x", shape=(1,) * 9), "more than 8 dimensions"),
    "output_shape": (
        lambda: with_tensor("conv_relu", "y", shape=(1, 7, 6, 4)),
        r"its output has shape .*; it computes \(1, 7, 6, 5\)",
    ),
    "stride_zero": (lambda: with_operator("conv_relu", options={"StrideH": 0}), "stride 0 along H"),
    "stride_negative": (
        lambda: with_operator("depthwise_relu", options={"StrideW": -1}),
        "stride -1 along W",
    ),
    "dilation_zero": (
        lambda: with_operator("conv_relu", options={"DilationWFactor": 0}),
        "dilation 0 along W",
    ),
    "dilation_huge": (
        lambda: with_operator("conv_relu", options={"DilationHFactor": 2**31 - 1}),
        "padded input overflows",
    ),
    "options_missing": (lambda: with_operator("conv_relu", options=None), "stride 0 along H"),
    "padding_unknown": (
        lambda: with_operator("conv_relu", options={"Padding": 7}),
        "padding 7 is neither",
    ),
    "filter_larger_than_map": (
        lambda: dataclasses.replace(
            with_tensor("conv_relu", "x", shape=(1, 2, 6, 3)),
            operators=with_operator("conv_relu", options={"Padding": 1}).operators,
        ),
        "spans 3 but the padded input only 2",
    ),
    "filter_zero": (
        lambda: with_operator("max_pool_none", options={"FilterHeight": 0}),
        "kernel 0 along H",
    ),
    "filter_huge": (
        lambda: with_operator("average_pool_same", options={"FilterWidth": 2**30}),
        "use at most 12",
    ),
    "channels_do_not_fit": (
        lambda: with_tensor("conv_relu", "x", shape=(1, 7, 6, 4)),
        "4 input channels do not fit",
    ),
    "depth_multiplier": (
        lambda: with_operator("depthwise_relu", options={"DepthMultiplier": 5}),
        "depth multiplier 5 but the weights have 2",
    ),
    "inputs_missing": (lambda: with_operator("conv_relu", inputs=["x"]), "it has 1 inputs"),
    "input_absent": (
        lambda: with_operator("conv_relu", inputs=["", "weights", "bias"]),
        "input 0 is missing",
    ),
    "outputs_twice": (
        lambda: dataclasses.replace(
            CASES["relu_tie"], operators=[*CASES["relu_tie"].operators] * 2
        ),
        "computed twice",
    ),
    "cycle": (lambda: with_operator("relu_tie", inputs=["y"]), "used before it is computed"),
    "output_not_computed": (
        lambda: dataclasses.replace(CASES["relu_tie"], operators=[]),
        "output 'y': no operator computes it",
    ),
    "output_is_input": (
        lambda: dataclasses.replace(CASES["relu_tie"], outputs=["x"]),
        "output 'x': no operator computes it",
    ),
    "input_is_constant": (
        lambda: with_tensor("relu_tie", "x", data=np.zeros((1, 256), np.int8)),
        "input 'x': it is a constant",
    ),
    "input_twice": (
        lambda: dataclasses.replace(CASES["relu_tie"], inputs=["x", "x"]),
        "an input twice",
    ),
    "pad_negative": (
        lambda: with_tensor("pad_rank_2", "paddings", data=np.array([[0, 0], [-1, 1]], np.int32)),
        "negative or overflows",
    ),
    "pad_shape": (
        lambda: with_tensor("pad_map", "paddings", data=np.zeros((2, 4), np.int32), shape=(2, 4)),
        "paddings of shape",
    ),
    "pad_overflow": (
        lambda: with_tensor(
            "pad_map", "paddings", data=np.array([[0, 0]] + [[2**30] * 2] * 3, np.int32)
        ),
        "PAD 'y'",
    ),
    "mean_axis": (
        lambda: with_tensor("mean_rank_3", "axes", data=np.array([3], np.int32)),
        "axes do not fit",
    ),
    "permutation": (
        lambda: with_tensor("transpose_rank_3", "permutation", data=np.array([0, 1, 1], np.int32)),
        "permutation does not fit",
    ),
    "reshape_size": (lambda: with_tensor("squeeze", "y", shape=(9,)), "the sizes differ"),
    "beta": (
        lambda: with_operator("softmax_beta", options={"Beta": float("nan")}),
        "beta nan is not finite",
    ),
    "scales_overflow": (
        lambda: rescale("RELU", scales=(3e38, 1e-30), zero_points=(0, 0)),
        "their ratio overflows",
    ),
}
UNSUPPORTED: Mapping[str, tuple[Callable[[], ModelSpec], str]] = {
    "half_of_the_model_in_float": (_half_float, "tensor 'x' is INT8 but its output FLOAT32"),
    "uint8": (lambda: with_tensor("relu_tie", "x", type="UINT8"), "tensor 'x' is UINT8"),
    "int16_zero_point": (
        lambda: operator_model(
            "RELU",
            [TensorSpec("x", (1, 4), 0.1, 7, "INT16")],
            TensorSpec("y", (1, 4), 0.1, 0, "INT16"),
        ),
        "is INT16 with zero point 7; it must be 0",
    ),
    "batch": (lambda: with_tensor("conv_relu", "x", shape=(2, 7, 6, 3)), "batch size 1"),
    "dynamic": (
        lambda: with_tensor("relu_tie", "x", signature=(1, -1)),
        "dynamic shape",
    ),
    "weights_zero_point": (
        lambda: with_tensor("fully_connected_none", "weights", zero_point=3),
        "zero point that is not 0",
    ),
    "weights_not_constant": (
        lambda: dataclasses.replace(
            with_tensor("fully_connected_none", "weights", data=None), inputs=["x", "weights"]
        ),
        "weights .* are not constant",
    ),
    "bias_int64": (
        lambda: with_tensor("conv_relu", "bias", data=np.zeros(5, np.int64), type="INT64"),
        "only INT32",
    ),
    "fused_tanh": (
        lambda: with_operator("conv_relu", options={"FusedActivationFunction": 4}),
        "fused activation 4 is not supported; use NONE, RELU",
    ),
    "shuffled": (
        lambda: with_operator("fully_connected_none", options={"WeightsFormat": 1}),
        "shuffled",
    ),
    "custom": (
        lambda: with_operator("relu_tie", name="CUSTOM:Detect"),
        "CUSTOM operator Detect 'y': this operator is not supported",
    ),
    "axes_not_constant": (
        lambda: dataclasses.replace(
            with_tensor("mean_rank_3", "axes", data=None, scale=0.1, type="INT8"),
            inputs=["x", "axes"],
        ),
        "must be a constant",
    ),
    "pool_rescales": (
        lambda: with_tensor("max_pool_none", "y", scale=0.06),
        "they must be the same",
    ),
    "softmax_scale": (lambda: with_tensor("softmax_beta", "y", scale=0.01), "use 1/256"),
    "dequantize_inside": (
        lambda: ModelSpec(
            [
                TensorSpec("x", (1, 4), 0.1, 0),
                TensorSpec("f", (1, 4), type="FLOAT32"),
                TensorSpec("g", (1, 4), type="FLOAT32"),
                TensorSpec("y", (1, 4), 0.1, 0),
            ],
            [
                OperatorSpec("DEQUANTIZE", ["x"], ["f"]),
                OperatorSpec("RELU", ["f"], ["g"]),
                OperatorSpec("QUANTIZE", ["g"], ["y"]),
            ],
            ["x"],
            ["y"],
        ),
        "leaves int8 inside the model",
    ),
    "variable": (
        lambda: with_tensor("relu_tie", "y", is_variable=True),
        "variable tensors",
    ),
    "version": (lambda: dataclasses.replace(CASES["relu_tie"], version=2), "schema version 2"),
}


@pytest.mark.parametrize("name", BAD)
def test_contradictory_model_is_bad_input(name: str, tmp_path: Path) -> None:
    make, message = BAD[name]
    error = error_of(make(), tmp_path)
    assert isinstance(error, BadInputError), error
    assert len(error.lines) == 1
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(str(error))


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_unsupported_model_says_what_to_do(name: str, tmp_path: Path) -> None:
    make, message = UNSUPPORTED[name]
    error = error_of(make(), tmp_path)
    assert isinstance(error, UnsupportedError), error
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(str(error))


def test_every_unsupported_operator_is_listed(tmp_path: Path) -> None:
    tensors = [TensorSpec(f"t{i}", (1, 4), 0.1, 0) for i in range(5)]
    operators = [
        OperatorSpec("NEG", ["t0"], ["t1"]),
        OperatorSpec("RELU", ["t1"], ["t2"]),
        OperatorSpec("CUSTOM:Warp", ["t2"], ["t3"]),
        OperatorSpec("ADD", ["t3", "t0"], ["t4"], {"FusedActivationFunction": 4}),
    ]
    error = error_of(ModelSpec(tensors, operators, ["t0"], ["t4"]), tmp_path)
    assert isinstance(error, UnsupportedError)
    assert [line.split(":")[0] for line in error.lines] == [
        "NEG 't1'",
        "CUSTOM operator Warp 't3'",
        "ADD 't4'",
    ]
    assert "use SUB from a constant 0" in error.lines[0]


def test_missing_file_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="cannot be read"):
        import_tflite(tmp_path / "none.tflite")
    with pytest.raises(BadInputError, match="cannot be read"):
        import_tflite(tmp_path)


@pytest.mark.parametrize("data", [b"", b"TFL3", b"PK\3\4" * 9, b"\xff\xff\0\0TFL3"])
def test_other_files_are_bad_input(data: bytes, tmp_path: Path) -> None:
    assert isinstance(error_of(data, tmp_path), BadInputError)


def test_nan_in_a_float_constant_is_no_crash(tmp_path: Path) -> None:
    operands = [TensorSpec("x", (1, 2), 0.1, 0), constant_spec("c", np.full(2, np.nan, np.float32))]
    error = error_of(operator_model("ADD", operands, TensorSpec("y", (1, 2), 0.1, 0)), tmp_path)
    assert "tensor 'c' is FLOAT32" in str(error)
