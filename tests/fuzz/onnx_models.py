# SPDX-License-Identifier: Apache-2.0
"""The small ONNX models that are mutated: between them most of the mapped operators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Tensors = Mapping[str, Any]


def intact_models() -> list[Any]:
    """Valid models as protobuf messages."""
    floats = [_residual(), _movement(), _shapes(), _resampling(), _branches(), _norms()]
    return [*floats, _qdq(), _qoperator()]


def _model(
    nodes: Sequence[Any],
    inputs: Mapping[str, Sequence[int | str]],
    outputs: Sequence[str],
    constants: Tensors,
) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 8
    return model


def _node(op: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    from onnx import helper

    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(op, names, outputs.split(), name=f"{op}_{outputs}", **attributes)


def _noise(*shape: int) -> Any:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def _residual() -> Any:
    nodes = [
        _node("Conv", "x w b", "c", strides=[2, 2], pads=[1, 1, 1, 1]),
        _node("BatchNormalization", "c scale shift mean var", "n", epsilon=1e-5),
        _node("Relu", "n", "r"),
        _node("Conv", "r d", "e", group=4, auto_pad="SAME_UPPER"),
        _node("Add", "r e", "s"),
        _node("ConvTranspose", "s t", "u", strides=[2, 2], output_padding=[1, 0]),
        _node("GlobalAveragePool", "u", "g"),
        _node("Flatten", "g", "f"),
        _node("Gemm", "f m k", "l", transB=1, alpha=0.5),
        _node("Softmax", "l", "y", axis=1),
    ]
    constants = {
        "w": _noise(4, 3, 3, 3), "b": _noise(4), "d": _noise(4, 1, 3, 3), "t": _noise(4, 2, 2, 2),
        "scale": _noise(4), "shift": _noise(4), "mean": _noise(4), "var": np.ones(4, np.float32),
        "m": _noise(5, 2), "k": _noise(5),
    }  # fmt: skip
    return _model(nodes, {"x": (1, 3, 8, 8)}, ["y"], constants)


def _movement() -> Any:
    nodes = [
        _node("Split", "x sizes", "a z", axis=1),
        _node("Clip", "a low high", "q"),
        _node("HardSwish", "z", "h"),
        _node("Concat", "q h", "j", axis=1),
        _node("Slice", "j starts ends axes steps", "p"),
        _node("Transpose", "p", "o", perm=[0, 2, 3, 1]),
        _node("MatMul", "o matrix", "v"),
        _node("ReduceMean", "v axes", "y", keepdims=0),
        _node("PRelu", "j slope", "i"),
        _node("Gather", "i picks", "k", axis=1),
        _node("ArgMax", "k", "w", axis=1, keepdims=0),
    ]
    constants = {
        "sizes": [4, 2], "low": np.float32(-1), "high": np.float32(2), "starts": [1], "ends": [6],
        "axes": [2], "steps": [2], "matrix": _noise(6, 3), "slope": _noise(6, 1, 1),
        "picks": [0, 3, 5],
    }  # fmt: skip
    return _model(nodes, {"x": (1, 6, 6, 5)}, ["y", "w"], constants)


def _shapes() -> Any:
    nodes = [
        _node("Shape", "x", "s"),
        _node("Gather", "s zero", "batch", axis=0),
        _node("Unsqueeze", "batch first", "b"),
        _node("Constant", "", "rest", value_ints=[-1, 4]),
        _node("Concat", "b rest", "target", axis=0),
        _node("Cast", "target", "cast", to=7),
        _node("Reshape", "x cast", "r"),
        _node("ConstantOfShape", "four", "ones"),
        _node("Add", "ones bias", "total"),
        _node("Mul", "r total", "m"),
        _node("Pow", "m two", "y"),
    ]
    constants = {
        "zero": np.int64(0), "first": [0], "four": [4], "bias": _noise(4), "two": np.float32(2),
    }  # fmt: skip
    return _model(nodes, {"x": ("N", 6, 4)}, ["y"], constants)


def _resampling() -> Any:
    nodes = [
        _node("Pad", "x pads value", "p"),
        _node("MaxPool", "p", "m", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        _node("Resize", "m - scales", "r", mode="linear"),
        _node("AveragePool", "r", "a", kernel_shape=[3, 3], pads=[1, 1, 1, 1],
              count_include_pad=1),
        _node("DepthToSpace", "a", "d", blocksize=2),
        _node("Resize", "d - - size", "n", mode="nearest", nearest_mode="floor"),
        _node("Tile", "n copies", "y"),
        _node("Sigmoid", "y", "z"),
    ]  # fmt: skip
    constants = {
        "pads": [0, 0, 1, 2, 0, 0, 0, 1], "value": np.float32(0.5), "copies": [1, 2, 1, 1],
        "scales": np.array([1, 1, 2, 1.5], np.float32), "size": [1, 1, 5, 7],
    }  # fmt: skip
    return _model(nodes, {"x": (1, 4, 5, 4)}, ["z"], constants)


def _norms() -> Any:
    nodes = [
        _node("InstanceNormalization", "x scale shift", "i", epsilon=0.1),
        _node("Transpose", "i", "t", perm=[0, 2, 3, 1]),
        _node("LayerNormalization", "t gamma beta", "n", axis=-1, epsilon=1e-3),
        _node("LpNormalization", "n", "v", axis=2),
        _node("ReduceMean", "v last", "m"),
        _node("Sub", "v m", "d"),
        _node("Pow", "d two", "s"),
        _node("ReduceMean", "s last", "w"),
        _node("Add", "w tiny", "a"),
        _node("Sqrt", "a", "r"),
        _node("Div", "d r", "y"),
        _node("ReduceL2", "v last", "z", keepdims=0),
    ]
    constants = {
        "scale": _noise(4), "shift": _noise(4), "gamma": _noise(4), "beta": _noise(4),
        "last": [-1], "two": np.float32(2), "tiny": np.float32(0.01),
    }  # fmt: skip
    return _model(nodes, {"x": (1, 4, 5, 3)}, ["y", "z"], constants)


def _branches() -> Any:
    from onnx import helper

    keep, turn = (
        helper.make_graph(
            [_node(op, "x", name)], name, [], [helper.make_empty_tensor_value_info(name)]
        )
        for op, name in (("Identity", "kept"), ("Transpose", "turned"))
    )
    nodes = [
        _node("Size", "x", "n"),
        _node("Equal", "n six", "is_six"),
        _node("If", "is_six", "picked", then_branch=keep, else_branch=turn),
        _node("Tanh", "picked", "y"),
    ]
    return _model(nodes, {"x": (1, 6)}, ["y"], {"six": np.int64(6)})


def _qdq() -> Any:
    nodes = [
        _node("QuantizeLinear", "x xs xz", "xq"),
        _node("DequantizeLinear", "xq xs xz", "xr"),
        _node("DequantizeLinear", "w ws wz", "wr", axis=0),
        _node("DequantizeLinear", "b bs", "br", axis=0),
        _node("Conv", "xr wr br", "c"),
        _node("Relu", "c", "r"),
        _node("QuantizeLinear", "r ys yz", "yq"),
        _node("Transpose", "yq", "tq", perm=[0, 3, 1, 2]),
        _node("DequantizeLinear", "tq ys yz", "y"),
    ]
    scales = np.array([0.01, 0.02], np.float32)
    constants = {
        "xs": np.float32(0.05), "xz": np.int8(3), "ys": np.float32(0.1), "yz": np.int8(-128),
        "w": np.arange(-27, 27, dtype=np.int8).reshape(2, 3, 3, 3), "ws": scales,
        "wz": np.zeros(2, np.int8), "b": np.array([100, -90], np.int32), "bs": scales * 0.05,
    }  # fmt: skip
    return _model(nodes, {"x": (1, 3, 6, 5)}, ["y"], constants)


def _qoperator() -> Any:
    nodes = [
        _node("QuantizeLinear", "x xs xz", "xq"),
        _node("QLinearConv", "xq xs xz w ws wz ys yz b", "cq", group=3),
        _node("QLinearAdd", "cq ys yz xq xs xz zs zz", "aq", domain="com.microsoft"),
        _node("QLinearGlobalAveragePool", "aq zs zz ys yz", "gq", domain="com.microsoft",
              channels_last=0),
        _node("Reshape", "gq flat", "fq"),
        _node("QLinearMatMul", "fq ys yz m ms mz zs zz", "mq"),
        _node("DequantizeLinear", "mq zs zz", "y"),
    ]  # fmt: skip
    constants = {
        "xs": np.float32(0.05), "xz": np.uint8(131), "ys": np.float32(0.1), "yz": np.uint8(120),
        "zs": np.float32(0.08), "zz": np.uint8(100), "w": np.ones((3, 1, 1, 1), np.int8),
        "ws": np.float32(0.02), "wz": np.int8(0), "b": np.array([5, -5, 0], np.int32),
        "flat": [1, 3], "m": np.arange(-6, 6, dtype=np.int8).reshape(3, 4),
        "ms": np.float32(0.03), "mz": np.int8(0),
    }  # fmt: skip
    return _model(nodes, {"x": (1, 3, 4, 4)}, ["y"], constants)
