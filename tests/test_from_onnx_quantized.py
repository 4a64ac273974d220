# SPDX-License-Identifier: Apache-2.0
"""Quantized ONNX models: onnxruntime agrees layer by layer, and the integers are the file's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is missing; run: pip install 'edgekit[onnx]'")
pytest.importorskip("onnxruntime", reason="run: pip install 'edgekit[oracle]'")
torch = pytest.importorskip("torch", reason="PyTorch is missing; run: pip install 'edgekit[torch]'")

from onnx import helper, numpy_helper  # noqa: E402
from support import torch_models  # noqa: E402
from support.onnx_checks import (  # noqa: E402
    export,
    model_of,
    noise,
    run_source,
    saved,
    tensor,
)
from support.onnx_quantized import (  # noqa: E402
    Scale,
    levels,
    qoperator_model,
    quantized,
    scale_names,
)
from support.torch_zoo import ZOO  # noqa: E402

import edgekit  # noqa: E402
from edgekit.converters.from_onnx import import_onnx  # noqa: E402
from edgekit.errors import BadInputError, UnsupportedError  # noqa: E402
from edgekit.interpret import interpret  # noqa: E402
from edgekit.ir import QGraph  # noqa: E402
from edgekit.runners.source_layers import rounding_share  # noqa: E402


def averaged_functions() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    """Functions whose results onnxruntime's quantizer leaves in float, as what reads them averages."""
    parts = [
        *(torch.nn.Conv2d(3, 6, 3, padding=1), torch.nn.Tanh(), torch.nn.AvgPool2d(2)),
        *(torch.nn.Conv2d(6, 8, 3, padding=1), torch.nn.Hardswish(), torch.nn.AvgPool2d(2)),
        *(torch.nn.Upsample(scale_factor=2, mode="bilinear"), torch.nn.Conv2d(8, 4, 3)),
    ]
    module = torch_models.randomize(torch.nn.Sequential(*parts))
    return module, (torch_models.noise(1, 3, 16, 16),)


NETWORKS = {
    "averaged_functions": averaged_functions,
    "ds_cnn": torch_models.ds_cnn,
    "resnet8": torch_models.resnet8,
    "mobile_net_v3": ZOO["mobile_net_v3"],
    "dense_net": ZOO["dense_net"],
}
KINDS = [
    ("ds_cnn", "QDQ-Int8-Int8-channel"),
    ("ds_cnn", "QDQ-UInt8-Int8"),
    ("ds_cnn", "QOperator-Int8-Int8-channel"),
    ("ds_cnn", "QOperator-UInt8-Int8"),
    ("resnet8", "QDQ-Int8-Int8-channel"),
    ("mobile_net_v3", "QDQ-Int8-Int8"),
    ("mobile_net_v3", "QOperator-UInt8-Int8"),
    ("dense_net", "QDQ-UInt8-Int8-channel"),
    ("averaged_functions", "QDQ-Int8-Int8-channel"),
]
"""Networks and what onnxruntime's quantizer makes of them; DenseNet keeps batch norms in float."""


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_network_that_onnxruntime_quantized(name: str, kind: str, tmp_path: Path) -> None:
    module, inputs = NETWORKS[name]()
    path = quantized(export(module, inputs, tmp_path / "model.onnx", dynamo=False), kind)
    report = edgekit.convert(path, target="cortex-m4").validate(on=("host",), samples=6)
    rungs = {rung.name: rung for rung in report.assert_ok().rungs}
    assert rungs["host"].equal
    layers = rungs["source"].layers
    assert layers is not None
    assert layers.max_abs_diff <= 1
    assert layers.mismatches - layers.explained <= 0.005 * layers.elements
    assert layers.elements > 0


# Scales whose ratios are far from simple fractions: sums of products are no halves of a step.
X, OTHER, Y = Scale(0.04137, 120), Scale(0.02571, 131), Scale(0.05113, 117)
OPERATORS: dict[str, Any] = {
    "add": ("QLinearAdd", {"x": ((1, 4, 5, 6), X), "z": ((1, 4, 5, 6), OTHER)}, Y, {}),
    "mul": ("QLinearMul", {"x": ((1, 4, 5, 6), X), "z": ((1, 4, 1, 1), OTHER)}, Y, {}),
    "sigmoid": ("QLinearSigmoid", {"x": ((1, 4, 5, 6), X)}, Scale(1 / 255, 0), {}),
    "leaky_relu": ("QLinearLeakyRelu", {"x": ((1, 4, 5, 6), X)}, Y, {"alpha": 0.2}),
    "softmax": ("QLinearSoftmax", {"x": ((1, 10), X)}, Scale(1 / 256, 0), {"opset": 13}),
    "global_average": ("QLinearGlobalAveragePool", {"x": ((1, 4, 5, 7), X)}, Scale(0.004, 125), {}),
    "average": (
        "QLinearAveragePool", {"x": ((1, 4, 5, 7), X)}, Y, {"kernel_shape": [3, 3]},
    ),
    "matmul": (
        "QLinearMatMul", {"x": ((1, 3, 12), X)}, Y,
        {"domain": "",
         "arguments": [*scale_names("x"), *scale_names("w"), *scale_names("y")[1:]],
         "constants": [tensor("w", np.arange(-60, 60).reshape(12, 10), np.int8),
                       tensor("w_scale", np.linspace(0.001, 0.004, 10)),
                       tensor("w_zero_point", np.zeros(10), np.int8)]},
    ),
    "gemm": (
        "QGemm", {"x": ((1, 12), X)}, Y,
        {"arguments": [*scale_names("x"), *scale_names("w"), "bias", *scale_names("y")[1:]],
         "constants": [tensor("w", np.arange(-60, 60).reshape(12, 10), np.int8),
                       tensor("w_scale", 0.002), tensor("w_zero_point", 0, np.int8),
                       tensor("bias", np.arange(-5000, 5000, 1000), np.int32)]},
    ),
    "concat": (
        "QLinearConcat", {"x": ((1, 4, 5, 6), X), "z": ((1, 2, 5, 6), OTHER)}, Y,
        {"arguments": [*scale_names("y")[1:], *scale_names("x"), *scale_names("z")], "axis": 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("name", OPERATORS)
def test_operator_on_integers(name: str, dtype: str, tmp_path: Path) -> None:
    op, inputs, output, options = OPERATORS[name]
    less = 0 if dtype == "uint8" else 128
    given = {n: (s, Scale(q.scale, q.zero_point - less)) for n, (s, q) in inputs.items()}
    model = qoperator_model(
        op, given, Scale(output.scale, output.zero_point - less), dtype=dtype, **options
    )
    path = saved(model, tmp_path)
    graph = import_onnx(path).graph
    assert isinstance(graph, QGraph)
    arrays = [levels(shape, dtype, seed=i) for i, (shape, _) in enumerate(given.values())]
    (expected,) = run_source(path, arrays)
    ours = [(array.astype(np.int16) - (128 - less)).astype(np.int8) for array in arrays]
    ours = [a.transpose(0, 2, 3, 1) if a.ndim == 4 else a for a in ours]
    result = interpret(graph, ours)[graph.outputs[0].tensor]
    result = result.transpose(0, 3, 1, 2) if result.ndim == 4 else result
    difference = np.abs(result.astype(int) - (expected.astype(int) - (128 - less)))
    share = max(rounding_share(graph, call) for call in graph.calls())
    assert difference.max() <= 1
    assert np.count_nonzero(difference) <= np.ceil((2 * share + 0.005) * difference.size)


def qdq_conv(weight_type: Any = np.int8, weight_zero_point: int = 0, *, largest: int = 100) -> Any:
    """x -> Q -> DQ -> Conv(DQ) -> Relu -> Q -> DQ -> y, with one scale per output channel."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "x_scale", "x_zero"], ["x_levels"]),
        helper.make_node("DequantizeLinear", ["x_levels", "x_scale", "x_zero"], ["x_real"]),
        helper.make_node("DequantizeLinear", ["w", "w_scale", "w_zero"], ["w_real"], axis=0),
        helper.make_node("DequantizeLinear", ["b", "b_scale"], ["b_real"], axis=0),
        helper.make_node("Conv", ["x_real", "w_real", "b_real"], ["conv"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("QuantizeLinear", ["relu", "y_scale", "y_zero"], ["y_levels"]),
        helper.make_node("DequantizeLinear", ["y_levels", "y_scale", "y_zero"], ["y"]),
    ]
    scales = np.array([0.01, 0.02], np.float32)
    integers = np.random.default_rng(0).integers(-100, largest, (2, 3, 3, 3)) + weight_zero_point
    constants = [
        tensor("x_scale", 0.05), tensor("x_zero", 3, np.int8),
        tensor("y_scale", 0.1), tensor("y_zero", -128, np.int8),
        tensor("w", integers, weight_type), tensor("w_scale", scales),
        tensor("w_zero", [weight_zero_point] * 2, weight_type),
        tensor("b", [700, -123_456_789], np.int32), tensor("b_scale", np.float32(0.05) * scales),
    ]  # fmt: skip
    return model_of(nodes, {"x": (1, 3, 6, 6)}, constants=constants)


def test_integers_are_those_of_the_file(tmp_path: Path) -> None:
    """Weights and bias digit by digit; the clamp at the zero point is Relu's."""
    model = qdq_conv()
    graph = import_onnx(saved(model, tmp_path)).graph
    (conv, *rest) = graph.nodes
    assert conv.op == "conv2d"
    assert [node.op for node in rest] == ["requantize"]
    arrays = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    call = graph.call(conv)
    np.testing.assert_array_equal(call.constant(1), arrays["w"].transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(call.constant(2), arrays["b"])
    factors = [m * 2.0 ** (s - 31) for m, s in zip(
        conv.arithmetic.multipliers, conv.arithmetic.shifts, strict=True)]  # fmt: skip
    scales = arrays["w_scale"].astype(np.float64) * np.float32(0.05) / float(np.float32(0.1))
    np.testing.assert_allclose(factors, scales, rtol=2.0**-31)
    assert rest[0].arithmetic.minimum == -128


def test_uint8_weights_shift_where_they_are_symmetric(tmp_path: Path) -> None:
    """The same integers, however the file stores them."""
    plain = import_onnx(saved(qdq_conv(), tmp_path, "plain")).graph
    shifted = import_onnx(saved(qdq_conv(np.uint8, 128), tmp_path, "shifted")).graph
    x = levels((1, 6, 6, 3), "int8")
    for port in plain.outputs:
        np.testing.assert_array_equal(
            interpret(plain, [x])[port.tensor], interpret(shifted, [x])[port.tensor]
        )


def test_asymmetric_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="weights less their zero point leave int8"):
        import_onnx(saved(qdq_conv(np.uint8, 100, largest=150), tmp_path))


def test_a_change_of_scale_is_exact(tmp_path: Path) -> None:
    """All 256 levels, halves included: the table is what onnxruntime computes."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s1", "z1"], ["a"]),
        helper.make_node("DequantizeLinear", ["a", "s1", "z1"], ["b"]),
        helper.make_node("QuantizeLinear", ["b", "s2", "z2"], ["c"]),
        helper.make_node("DequantizeLinear", ["c", "s2", "z2"], ["y"]),
    ]
    constants = [
        tensor("s1", 0.05), tensor("z1", 3, np.int8), tensor("s2", 0.1), tensor("z2", -7, np.int8),
    ]  # fmt: skip
    path = saved(model_of(nodes, {"x": (1, 256)}, constants=constants), tmp_path)
    graph = import_onnx(path).graph
    x = np.arange(-128, 128).astype(np.int8)[None]
    real = (x.astype(np.float32) - 3) * np.float32(0.05)
    (expected,) = run_source(path, [real])
    result = interpret(graph, [x])[graph.outputs[0].tensor]
    steps = np.rint(expected / np.float32(0.1)) - 7
    np.testing.assert_array_equal(result, steps.astype(np.int8))


@pytest.mark.parametrize("op", ["LeakyRelu", "Sigmoid", "Elu"])
def test_a_function_of_every_level_is_exact(op: str, tmp_path: Path) -> None:
    """With equal scales a tenth of -5 is a half: onnxruntime rounds it to even."""
    attributes = {"alpha": 0.1} if op == "LeakyRelu" else {}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["a"]),
        helper.make_node("DequantizeLinear", ["a", "s", "z"], ["b"]),
        helper.make_node(op, ["b"], ["c"], **attributes),
        helper.make_node("QuantizeLinear", ["c", "s", "z"], ["d"]),
        helper.make_node("DequantizeLinear", ["d", "s", "z"], ["y"]),
    ]
    constants = [tensor("s", 0.0325), tensor("z", 0, np.int8)]
    path = saved(model_of(nodes, {"x": (1, 256)}, constants=constants), tmp_path)
    graph = import_onnx(path).graph
    x = np.arange(-128, 128).astype(np.int8)[None]
    (expected,) = run_source(path, [x.astype(np.float32) * np.float32(0.0325)])
    result = interpret(graph, [x])[graph.outputs[0].tensor]
    np.testing.assert_array_equal(result, np.rint(expected / np.float32(0.0325)))


def test_padding_of_integers_is_the_level_of_the_file(tmp_path: Path) -> None:
    """Pad works on uint8 levels; its border is a level too."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["a"]),
        helper.make_node("Pad", ["a", "pads", "z"], ["b"]),
        helper.make_node("DequantizeLinear", ["b", "s", "z"], ["y"]),
    ]
    constants = [
        tensor("s", 0.05), tensor("z", 60, np.uint8),
        tensor("pads", [0, 0, 1, 0, 0, 0, 0, 2], np.int64),
    ]  # fmt: skip
    path = saved(model_of(nodes, {"x": (1, 2, 3, 4)}, constants=constants), tmp_path)
    graph = import_onnx(path).graph
    x = levels((1, 3, 4, 2), "int8")
    real = ((x.astype(np.float32) + 128 - 60) * np.float32(0.05)).transpose(0, 3, 1, 2)
    (expected,) = run_source(path, [np.ascontiguousarray(real)])
    result = interpret(graph, [x])[graph.outputs[0].tensor].transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(result, np.rint(expected / 0.05) + 60 - 128)


def test_what_stays_in_float_is_refused_by_name(tmp_path: Path) -> None:
    model = qdq_conv()
    model.graph.node.insert(6, helper.make_node("Exp", ["relu"], ["grown"]))
    model.graph.node.insert(7, helper.make_node("Exp", ["grown"], ["grown_more"]))
    model.graph.node[8].input[0] = "grown_more"
    with pytest.raises(UnsupportedError) as error:
        import_onnx(saved(model, tmp_path))
    assert "its result has no scale" in error.value.lines[0]


def test_activations_of_int16_are_refused(tmp_path: Path) -> None:
    model = qdq_conv()
    for constant in model.graph.initializer:
        if constant.name in ("y_zero", "x_zero"):
            constant.CopyFrom(tensor(constant.name, 0, np.int16))
    with pytest.raises(UnsupportedError, match="int16 is not supported"):
        import_onnx(saved(model, tmp_path))


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
def test_scale_that_is_no_scale_is_refused(scale: float, tmp_path: Path) -> None:
    model = qdq_conv()
    for constant in model.graph.initializer:
        if constant.name == "x_scale":
            constant.CopyFrom(tensor("x_scale", scale))
    with pytest.raises(BadInputError, match=r"a scale is not above 0|it holds NaN"):
        import_onnx(saved(model, tmp_path))


def test_wrong_length_of_scales_is_refused(tmp_path: Path) -> None:
    model = qdq_conv()
    for constant in model.graph.initializer:
        if constant.name in ("w_scale", "w_zero"):
            values = numpy_helper.to_array(constant)
            constant.CopyFrom(tensor(constant.name, [*values, values[0]], values.dtype))
    with pytest.raises(BadInputError, match="3 scales for an axis of 2"):
        import_onnx(saved(model, tmp_path))


def test_noise_differs_between_seeds() -> None:
    """Equal inputs would hide a swap of two."""
    assert not np.array_equal(noise(1, 4), noise(1, 4, seed=6))
