# SPDX-License-Identifier: Apache-2.0
"""Every ONNX operator that is mapped, in the forms that differ, compared with onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="onnx is missing; run: pip install 'edgekit[onnx]'")
pytest.importorskip("onnxruntime", reason="run: pip install 'edgekit[oracle]'")

from onnx import helper
from support.onnx_checks import (
    assert_same_function,
    model_of,
    noise,
    one_node,
    saved,
    tensor,
)

import edgekit
from edgekit.converters.from_onnx import import_onnx
from edgekit.converters.legalize import legalize, legalize_integer

MAP = (1, 4, 7, 6)
SEQUENCE = (1, 4, 11)


def weights(*shape: int) -> Any:
    return noise(*shape, seed=1) * 0.3


CASES: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    "conv_asymmetric_pads": (
        "Conv",
        MAP,
        {"constants": {"W": weights(5, 4, 3, 2), "B": weights(5)}, "pads": [1, 0, 2, 1],
         "strides": [2, 1]},
    ),
    "conv_same_upper": (
        "Conv", MAP, {"constants": {"W": weights(5, 4, 3, 3)}, "auto_pad": "SAME_UPPER",
                      "strides": [2, 2]},
    ),
    "conv_same_lower": (
        "Conv", MAP, {"constants": {"W": weights(5, 4, 2, 2)}, "auto_pad": "SAME_LOWER"},
    ),
    "conv_valid": ("Conv", MAP, {"constants": {"W": weights(2, 4, 3, 3)}, "auto_pad": "VALID"}),
    "conv_depthwise": (
        "Conv", MAP, {"constants": {"W": weights(8, 1, 3, 3)}, "group": 4, "dilations": [2, 1]},
    ),
    "conv_grouped": ("Conv", MAP, {"constants": {"W": weights(6, 2, 1, 3)}, "group": 2}),
    "conv_sequence": (
        "Conv", SEQUENCE, {"constants": {"W": weights(3, 4, 3)}, "strides": [2], "pads": [1, 2]},
    ),
    "conv_transpose": (
        "ConvTranspose", MAP, {"constants": {"W": weights(4, 3, 3, 3), "B": weights(3)},
                               "strides": [2, 3], "pads": [1, 0, 0, 1]},
    ),
    "conv_transpose_output_padding": (
        "ConvTranspose", MAP, {"constants": {"W": weights(4, 3, 3, 3)}, "strides": [2, 2],
                               "pads": [1, 1, 1, 1], "output_padding": [1, 1]},
    ),
    "conv_transpose_grouped": (
        "ConvTranspose", MAP, {"constants": {"W": weights(4, 3, 2, 2)}, "group": 2},
    ),
    "conv_transpose_output_shape": (
        "ConvTranspose", MAP, {"constants": {"W": weights(4, 3, 3, 3)}, "strides": [2, 2],
                               "output_shape": [14, 12]},
    ),
    "conv_transpose_same_upper": (
        "ConvTranspose", MAP, {"constants": {"W": weights(4, 3, 3, 3)}, "strides": [2, 2],
                               "auto_pad": "SAME_UPPER"},
    ),
    "average_pool": ("AveragePool", MAP, {"kernel_shape": [3, 2], "strides": [2, 2]}),
    "average_pool_padded": ("AveragePool", MAP, {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
    "average_pool_counted": (
        "AveragePool", MAP, {"kernel_shape": [3, 3], "pads": [1, 0, 1, 2], "count_include_pad": 1},
    ),
    "average_pool_ceil": (
        "AveragePool", MAP, {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
    ),
    "average_pool_same_lower": (
        "AveragePool", MAP, {"kernel_shape": [2, 2], "auto_pad": "SAME_LOWER"},
    ),
    "average_pool_whole_map": ("AveragePool", MAP, {"kernel_shape": [7, 6]}),
    "average_pool_sequence": ("AveragePool", SEQUENCE, {"kernel_shape": [4], "strides": [3]}),
    "max_pool_ceil": (
        "MaxPool", MAP, {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1,
                         "pads": [1, 0, 0, 1]},
    ),
    "max_pool_dilated": ("MaxPool", MAP, {"kernel_shape": [2, 3], "dilations": [3, 2]}),
    "global_average_pool": ("GlobalAveragePool", MAP, {}),
    "global_max_pool": ("GlobalMaxPool", MAP, {}),
    "gemm": (
        "Gemm", (1, 6), {"constants": {"B": weights(5, 6), "C": weights(5)}, "transB": 1,
                         "alpha": 0.5, "beta": 2.0},
    ),
    "gemm_plain": ("Gemm", (3, 6), {"constants": {"B": weights(6, 5), "C": weights(3, 1)}}),
    "gemm_transposed": ("Gemm", (6, 3), {"constants": {"B": weights(6, 5)}, "transA": 1}),
    "matmul_matrix": ("MatMul", (1, 3, 6), {"constants": {"B": weights(6, 5)}}),
    "matmul_batch": ("MatMul", (1, 2, 3, 6), {"constants": {"B": weights(1, 2, 6, 4)}}),
    "add_per_channel": ("Add", MAP, {"constants": {"B": weights(4, 1, 1)}}),
    "sub_scalar": ("Sub", MAP, {"constants": {"B": np.float32(0.7)}}),
    "mul_row": ("Mul", MAP, {"constants": {"B": weights(6)}}),
    "div_constant": ("Div", MAP, {"constants": {"B": np.float32(2.5)}}),
    "max_scalar": ("Max", MAP, {"constants": {"B": np.float32(0.25)}}),
    "min_of_three": (
        "Min", MAP, {"constants": {"B": np.float32(0.25), "C": weights(4, 1, 1)}},
    ),
    "pow_square": ("Pow", MAP, {"constants": {"Y": np.float32(2.0)}}),
    "relu": ("Relu", MAP, {}),
    "clip": ("Clip", MAP, {"constants": {"min": np.float32(-0.5), "max": np.float32(0.8)}}),
    "clip_above": ("Clip", MAP, {"constants": {"min": np.array([]), "max": np.float32(0.8)}}),
    "leaky_relu": ("LeakyRelu", MAP, {"alpha": 0.2}),
    "prelu": ("PRelu", MAP, {"constants": {"slope": weights(4, 1, 1)}}),
    "elu": ("Elu", MAP, {"alpha": 1.5}),
    "celu": ("Celu", MAP, {"alpha": 1.5}),
    "selu": ("Selu", MAP, {}),
    "gelu": ("Gelu", MAP, {"opset": 20}),
    "gelu_tanh": ("Gelu", MAP, {"opset": 20, "approximate": "tanh"}),
    "sigmoid": ("Sigmoid", MAP, {}),
    "tanh": ("Tanh", MAP, {}),
    "erf": ("Erf", MAP, {}),
    "softplus": ("Softplus", MAP, {}),
    "softsign": ("Softsign", MAP, {}),
    "mish": ("Mish", MAP, {}),
    "hard_sigmoid": ("HardSigmoid", MAP, {}),
    "hard_sigmoid_of_torch": ("HardSigmoid", MAP, {"alpha": 1.0 / 6.0}),
    "hard_swish": ("HardSwish", MAP, {}),
    "softmax": ("Softmax", (1, 10), {}),
    "softmax_channels": ("Softmax", MAP, {"axis": 1}),
    "softmax_of_opset_11": ("Softmax", MAP, {"axis": 2, "opset": 11}),
    "log_softmax": ("LogSoftmax", (1, 10), {}),
    "reduce_mean_map": ("ReduceMean", MAP, {"constants": {"axes": [2, 3]}, "keepdims": 0}),
    "reduce_mean_of_opset_13": ("ReduceMean", MAP, {"axes": [-1, -2], "opset": 13}),
    "reduce_sum_channels": ("ReduceSum", MAP, {"constants": {"axes": [1]}}),
    "reduce_max": ("ReduceMax", MAP, {"constants": {"axes": [2, 3]}}),
    "reduce_min": ("ReduceMin", MAP, {"constants": {"axes": [1]}}),
    "batch_norm": (
        "BatchNormalization",
        MAP,
        {"constants": {"scale": weights(4), "B": weights(4), "mean": weights(4),
                       "var": np.abs(weights(4)) + 0.5}},
    ),
    "layer_norm": (
        "LayerNormalization", (1, 3, 8), {"constants": {"Scale": weights(8), "B": weights(8)}},
    ),
    "layer_norm_of_opset_17": (
        "LayerNormalization", (1, 8), {"constants": {"Scale": weights(8)}, "opset": 17},
    ),
    "layer_norm_rows": (
        "LayerNormalization", MAP, {"constants": {"Scale": weights(6)}, "epsilon": 0.1},
    ),
    "layer_norm_three_axes": (
        "LayerNormalization", MAP, {"constants": {"Scale": weights(4, 7, 6)}, "axis": 1},
    ),
    "layer_norm_every_axis": (
        "LayerNormalization", (1, 3, 8), {"constants": {"Scale": weights(1, 3, 8)}, "axis": 0},
    ),
    "group_norm": (
        "GroupNormalization", MAP,
        {"constants": {"scale": weights(4), "bias": weights(4)}, "num_groups": 2, "opset": 21},
    ),
    "instance_norm": (
        "InstanceNormalization", MAP, {"constants": {"scale": weights(4), "B": weights(4)}},
    ),
    "instance_norm_sequence": (
        "InstanceNormalization", SEQUENCE,
        {"constants": {"scale": weights(SEQUENCE[1]), "B": weights(SEQUENCE[1])}},
    ),
    "vector_norm": ("LpNormalization", MAP, {"axis": 1}),
    "vector_norm_rows": ("LpNormalization", MAP, {}),
    "reduce_length": ("ReduceL2", MAP, {"constants": {"axes": [1]}}),
    "slice_steps": (
        "Slice", MAP, {"constants": {"starts": [-1, 1], "ends": [-100, 6], "axes": [2, -1],
                                     "steps": [-2, 3]}},
    ),
    "transpose": ("Transpose", MAP, {"perm": [0, 2, 3, 1]}),
    "transpose_default": ("Transpose", (1, 5, 1), {}),
    "reshape": ("Reshape", MAP, {"constants": {"shape": [0, 2, -1]}}),
    "flatten": ("Flatten", MAP, {}),
    "squeeze": ("Squeeze", (1, 4, 1, 1), {"constants": {"axes": [2, 3]}}),
    "unsqueeze": ("Unsqueeze", (1, 4), {"constants": {"axes": [2, -1]}}),
    "gather_number": ("Gather", MAP, {"constants": {"indices": 2}, "axis": 1}),
    "gather_vector": ("Gather", MAP, {"constants": {"indices": [3, 1, -1]}, "axis": 3}),
    "expand": ("Expand", (1, 4, 1, 1), {"constants": {"shape": [1, 4, 3, 2]}}),
    "tile": ("Tile", MAP, {"constants": {"repeats": [1, 2, 1, 3]}}),
    "depth_to_space": ("DepthToSpace", (1, 8, 3, 2), {"blocksize": 2}),
    "depth_to_space_crd": ("DepthToSpace", (1, 8, 3, 2), {"blocksize": 2, "mode": "CRD"}),
    "space_to_depth": ("SpaceToDepth", (1, 3, 4, 6), {"blocksize": 2}),
    "pad_value": (
        "Pad", MAP, {"constants": {"pads": [0, 1, 2, 0, 0, 0, 1, 3], "value": np.float32(1.5)}},
    ),
    "pad_reflect": ("Pad", MAP, {"constants": {"pads": [0, 0, 2, 1, 0, 0, 1, 3]}, "mode": "reflect"}),
    "pad_edge_sequence": ("Pad", SEQUENCE, {"constants": {"pads": [0, 0, 2, 0, 0, 1]}, "mode": "edge"}),
    "pad_wrap": ("Pad", MAP, {"constants": {"pads": [0, 0, 2, 1, 0, 0, 1, 3]}, "mode": "wrap",
                              "opset": 19}),
}  # fmt: skip
"""Name -> operator, shape of x, and the rest of its node."""


@pytest.mark.parametrize("name", CASES)
def test_operator(name: str, tmp_path: Path) -> None:
    op, shape, options = CASES[name]
    assert_same_function(saved(one_node(op, shape, **options), tmp_path), [noise(*shape)])


RESIZES = [
    *(("nearest", kind, rounding) for kind in ("half_pixel", "asymmetric", "align_corners")
      for rounding in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")),
    *(("linear", kind, "floor") for kind in ("half_pixel", "pytorch_half_pixel", "asymmetric",
                                             "align_corners", "half_pixel_symmetric")),
]  # fmt: skip


@pytest.mark.parametrize("scales", [(2.0, 2.0), (1.7, 0.6)])
@pytest.mark.parametrize(("mode", "kind", "rounding"), RESIZES)
def test_resize(
    mode: str, kind: str, rounding: str, scales: tuple[float, float], tmp_path: Path
) -> None:
    factors = np.array([1.0, 1.0, *scales], np.float32)
    constants = {"roi": np.zeros(0, np.float32), "scales": factors}
    if kind == "align_corners":
        constants["scales"] = np.zeros(0)
        constants["sizes"] = np.floor(factors * MAP).astype(np.int64)
    model = one_node(
        "Resize",
        MAP,
        constants=constants,
        mode=mode,
        coordinate_transformation_mode=kind,
        nearest_mode=rounding,
        opset=19,
    )
    assert_same_function(saved(model, tmp_path), [noise(*MAP)])


def test_concat_split_and_arithmetic_of_two_inputs(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Concat", ["a", "b", "c"], ["joined"], axis=1),
        helper.make_node("Split", ["joined", "sizes"], ["first", "second"], axis=1),
        helper.make_node("Mul", ["first", "second"], ["product"]),
        helper.make_node("Div", ["product", "shifted"], ["y"]),
        helper.make_node("Exp", ["a"], ["positive"]),
        helper.make_node("Add", ["positive", "one"], ["shifted"]),
    ]
    nodes = [*nodes[:3], *nodes[4:], nodes[3]]
    model = model_of(
        nodes,
        {"a": (1, 3, 4, 5), "b": (1, 2, 4, 5)},
        constants=[
            tensor("c", noise(1, 1, 4, 5)),
            tensor("sizes", [3, 3], np.int64),
            tensor("one", 1.0),
        ],
    )
    inputs = [noise(1, 3, 4, 5), noise(1, 2, 4, 5, seed=9)]
    assert_same_function(saved(model, tmp_path), inputs)


def test_shape_arithmetic_folds(tmp_path: Path) -> None:
    """x.view(x.size(0), -1, 2) as the TorchScript exporter writes it."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["batch"], axis=0),
        helper.make_node("Unsqueeze", ["batch", "axes"], ["batch_1d"]),
        helper.make_node("Constant", [], ["rest"], value_ints=[-1, 2]),
        helper.make_node("Concat", ["batch_1d", "rest"], ["target"], axis=0),
        helper.make_node("Cast", ["target"], ["as_int"], to=7),
        helper.make_node("Reshape", ["x", "as_int"], ["y"]),
    ]
    constants = [tensor("zero", 0, np.int64), tensor("axes", [0], np.int64)]
    model = model_of(nodes, {"x": MAP}, constants=constants)
    graph = assert_same_function(saved(model, tmp_path), [noise(*MAP)])
    assert graph.outputs[0].source_shape == (1, 84, 2)


def test_weights_computed_from_constants_are_folded(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["ones"], value=tensor("v", [1.0])),
        helper.make_node("Mul", ["raw", "ones"], ["W"]),
        helper.make_node("Conv", ["x", "W"], ["y"]),
    ]
    constants = [tensor("size", [1], np.int64), tensor("raw", weights(3, 4, 1, 1))]
    model = model_of(nodes, {"x": MAP}, constants=constants)
    graph = assert_same_function(saved(model, tmp_path), [noise(*MAP)])
    assert [node.op for node in graph.nodes] == ["conv2d"]


def test_arg_max_gives_indices(tmp_path: Path) -> None:
    model = one_node("ArgMax", MAP, axis=1, keepdims=0)
    graph = assert_same_function(saved(model, tmp_path), [noise(*MAP)])
    assert graph.tensors[graph.outputs[0].tensor].dtype == "int32"


def test_if_of_a_constant_condition_takes_its_branch(tmp_path: Path) -> None:
    """The TorchScript exporter writes squeeze of one axis in this way."""
    squeeze = helper.make_graph(
        [helper.make_node("Flatten", ["x"], ["flat"], axis=2)],
        "then", [], [helper.make_empty_tensor_value_info("flat")],
    )  # fmt: skip
    keep = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["kept"])],
        "else", [], [helper.make_empty_tensor_value_info("kept")],
    )  # fmt: skip
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "two"], ["size"]),
        helper.make_node("Equal", ["size", "one"], ["is_one"]),
        helper.make_node("If", ["is_one"], ["picked"], then_branch=squeeze, else_branch=keep),
        helper.make_node("Relu", ["picked"], ["y"]),
    ]
    constants = [tensor(n, v, np.int64) for n, v in (("two", 2), ("one", 1))]
    for size, rank in ((1, 2), (2, 4)):
        model = model_of(nodes, {"x": (1, 3, size, 4)}, constants=constants)
        graph = assert_same_function(saved(model, tmp_path), [noise(1, 3, size, 4)])
        assert len(graph.outputs[0].source_shape) == rank


def channels_last(*, scaled: bool) -> Any:
    """A network as TensorFlow's converters write it: (1, H, W, C) at both ends."""
    scaling = helper.make_node("Mul", ["x", "scale"], ["scaled"])
    nodes = [
        *([scaling] if scaled else []),
        helper.make_node("Transpose", ["scaled" if scaled else "x"], ["first"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["first", "W"], ["c"], strides=[2, 2], auto_pad="SAME_UPPER"),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Transpose", ["r"], ["y"], perm=[0, 2, 3, 1]),
    ]
    constants = [tensor("scale", [0.5, 1.0, 2.0]), tensor("W", weights(8, 3, 3, 3))]
    return model_of(nodes, {"x": ("N", 9, 6, 3)}, constants=constants)


def test_channels_last_ports_cost_no_transpose(tmp_path: Path) -> None:
    graph = assert_same_function(saved(channels_last(scaled=True), tmp_path), [noise(1, 9, 6, 3)])
    for port, shape in ((graph.inputs[0], (1, 9, 6, 3)), (graph.outputs[0], (1, 5, 3, 8))):
        assert (port.layout, graph.tensors[port.tensor].shape) == ("NHWC", shape)
    assert [node.op for node in legalize(graph).nodes] == ["conv2d"]


@pytest.mark.parametrize("scaled", [False, True])
def test_quantized_channels_last_ports_cost_no_transpose(scaled: bool, tmp_path: Path) -> None:
    """onnxruntime puts scales at the ports and around the transposes."""
    onnx_quantized = pytest.importorskip("support.onnx_quantized")
    model = channels_last(scaled=scaled)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    path = onnx_quantized.quantized(saved(model, tmp_path), "QDQ-Int8-Int8-channel")
    graph = legalize_integer(import_onnx(path).graph)
    assert graph.tensors[graph.inputs[0].tensor].shape == (1, 9, 6, 3)
    assert [node.op for node in graph.nodes] == ["mul", "conv2d"][not scaled :]
    artifact = edgekit.convert(path, target="cortex-m4")
    report = artifact.validate(on=("host",), samples=6).assert_ok()
    # The product has other axes than that of the file, so nothing behind it can be compared.
    assert ("source" in {rung.name for rung in report.rungs}) != bool(report.notes)
    assert bool(report.notes) == scaled
