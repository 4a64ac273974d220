# SPDX-License-Identifier: Apache-2.0
"""Hostile .onnx files: each check by name, with exit code 2 or 3 and one line that names the node."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is missing; run: pip install 'edgekit[onnx]'")

from onnx import TensorProto, helper  # noqa: E402
from support.onnx_checks import model_of, noise, one_node, saved, tensor  # noqa: E402

from edgekit.converters.from_onnx import import_onnx  # noqa: E402
from edgekit.errors import BadInputError, MissingProgramError, UnsupportedError  # noqa: E402

MAP = (1, 4, 7, 6)


def conv(**attributes: Any) -> Any:
    return one_node("Conv", MAP, constants={"W": noise(4, 4, 3, 3)}, **attributes)


def group_norm(shape: tuple[int, ...] = MAP, **attributes: Any) -> Any:
    constants = {"scale": noise(4), "bias": noise(4)}
    return one_node("GroupNormalization", shape, constants=constants, opset=21, **attributes)


def pool(**attributes: Any) -> Any:
    return one_node("MaxPool", MAP, **{"kernel_shape": [2, 2], **attributes})


def changed(model: Any, change: Callable[[Any], Any]) -> Any:
    change(model.graph)
    return model


def weights_of(values: Any) -> Any:
    return one_node("Conv", MAP, constants={"W": np.full((4, 4, 3, 3), values, np.float32)})


def with_tensor(**fields: Any) -> Any:
    """A convolution whose weights have other fields."""
    model = conv()
    for name, value in fields.items():
        target = getattr(model.graph.initializer[0], name)
        if isinstance(value, list):
            del target[:]
            target.extend(value)
        else:
            setattr(model.graph.initializer[0], name, value)
    return model


def with_external_data() -> Any:
    model = conv()
    weights = model.graph.initializer[0]
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="../../etc/passwd")
    return model


def with_input(*dims: int | str | None) -> Any:
    return model_of([helper.make_node("Relu", ["x"], ["y"])], {"x": dims})


def chain(*nodes: Any) -> Any:
    return model_of(list(nodes), {"x": MAP})


def relu(source: str, result: str) -> Any:
    return helper.make_node("Relu", [source], [result])


def nested(depth: int) -> Any:
    """If inside If."""
    output = [helper.make_empty_tensor_value_info("t")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["t"])], "g", [], output)
    for i in range(depth):
        name = f"t{i}"
        node = helper.make_node("If", ["c"], [name], then_branch=graph, else_branch=graph)
        graph = helper.make_graph([node], "g", [], [helper.make_empty_tensor_value_info(name)])
    node = helper.make_node("If", ["c"], ["y"], then_branch=graph, else_branch=graph)
    return model_of([node], {"x": MAP}, constants=[tensor("c", True, np.bool_)])


def dequantized(shape: tuple[int, ...], **attributes: Any) -> Any:
    """x plus a constant of two scales."""
    nodes = [
        helper.make_node("DequantizeLinear", ["c", "scale"], ["d"], **attributes),
        helper.make_node("Add", ["x", "d"], ["y"]),
    ]
    constants = [tensor("c", np.ones(shape), np.int8), tensor("scale", [0.5, 0.25])]
    return model_of(nodes, {"x": (1, 2)}, constants=constants)


def cast_to_text() -> Any:
    nodes = [
        helper.make_node("Cast", ["c"], ["t"], to=TensorProto.STRING),
        helper.make_node("Add", ["x", "t"], ["y"]),
    ]
    return model_of(nodes, {"x": MAP}, constants=[tensor("c", [1.0])])


def gemm(c: tuple[int, ...]) -> Any:
    return one_node("Gemm", (2, 3), constants={"B": noise(3, 4), "C": noise(*c)})


def huge_fold() -> Any:
    """A constant of 1 GiB out of a few bytes."""
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["ones"]),
        helper.make_node("Add", ["x", "ones"], ["y"]),
    ]
    return model_of(nodes, {"x": (1, 4)}, constants=[tensor("size", [2**14, 2**14], np.int64)])


def many_folds() -> Any:
    """Constants of 64 MiB each, one after the other."""
    nodes = [helper.make_node("ConstantOfShape", ["size"], ["v0"])]
    nodes += [helper.make_node("Neg", [f"v{i}"], [f"v{i + 1}"]) for i in range(8)]
    nodes += [helper.make_node("Add", ["x", "v8"], ["y"])]
    return model_of(nodes, {"x": (1, 4)}, constants=[tensor("size", [2**12, 2**12], np.int64)])


BAD: Mapping[str, tuple[Callable[[], Any], str]] = {
    "stride_zero": (lambda: conv(strides=[0, 1]), "its strides must be at least 1"),
    "stride_negative": (lambda: pool(strides=[1, -1]), "its strides must be at least 1"),
    "dilation_zero": (lambda: conv(dilations=[1, 0]), "its dilations must be at least 1"),
    "kernel_zero": (lambda: pool(kernel_shape=[0, 2]), "its kernel_shape must be at least 1"),
    "kernel_above_31_bits": (lambda: pool(kernel_shape=[2**31, 2]), "below 2\\^31"),
    "group_zero": (lambda: conv(group=0), "its group must be at least 1"),
    "group_negative": (lambda: conv(group=-1), "its group must be at least 1"),
    "block_zero": (
        lambda: one_node("DepthToSpace", MAP, blocksize=0), "its blocksize must be at least 1",
    ),
    "strides_as_text": (lambda: conv(strides="ab"), "its strides must be at least 1"),
    "too_many_strides": (lambda: conv(strides=[1] * 9), "its strides has too many entries"),
    "dim_zero": (lambda: with_input(1, 0, 3), "is empty, or overflows 32 bits"),
    "dim_negative": (lambda: with_input(1, -3, 3), "is empty, or overflows 32 bits"),
    "dim_open": (lambda: with_input(1, 3, "H", 4), "axis 2 is open \\('H'\\)"),
    "dim_missing": (lambda: with_input(1, None, 4), "axis 1 is open"),
    "input_overflows": (lambda: with_input(1, 2**16, 2**16), "overflows 32 bits"),
    "input_too_large": (lambda: with_input(1, 2**13, 2**13), "is too large"),
    "buffer_too_short": (
        lambda: with_tensor(raw_data=b"\0" * 8), "constant 'W': its data does not fit",
    ),
    "buffer_too_long": (
        lambda: with_tensor(raw_data=b"\0" * 4096), "constant 'W': its data does not fit",
    ),
    "buffer_missing": (lambda: with_tensor(raw_data=b""), "constant 'W': its data does not fit"),
    "constant_dim_negative": (lambda: with_tensor(dims=[4, -4, 3, 3]), "is negative, or overflows"),
    "constant_overflows": (lambda: with_tensor(dims=[2**20, 2**20]), "is negative, or overflows"),
    "element_type_unknown": (lambda: with_tensor(data_type=99), "element type 99 does not exist"),
    "external_data": (with_external_data, "constant 'W': its data lies outside the file"),
    "nan_weights": (lambda: weights_of(np.nan), "constant 'W': it holds NaN"),
    "inf_weights": (lambda: weights_of(np.inf), "tensor 'W': it holds NaN or Inf"),
    "nan_attribute": (lambda: one_node("Elu", MAP, alpha=np.nan), "its attribute 'alpha' is NaN"),
    "index_outside": (
        lambda: one_node("Gather", MAP, constants={"indices": [7]}, axis=1), "is outside an axis of 4",
    ),
    "filter_larger_than_the_map": (
        lambda: one_node("Conv", (1, 4, 2, 2), constants={"W": noise(4, 4, 3, 3)}),
        "Conv 'y': its result of shape \\(1, 4, 0, 0\\) is empty",
    ),
    "bias_of_other_shape": (
        lambda: gemm((3, 4)), r"Gemm 'y': its C of shape \(3, 4\) does not broadcast to \(2, 4\)",
    ),
    "bias_of_more_axes": (lambda: gemm((5, 2, 4)), r"its C of shape \(5, 2, 4\) does not broadcast"),
    "axis_as_text": (
        lambda: dequantized((1, 2), axis="one"),
        "DequantizeLinear 'd': its attribute 'axis' is STRING, not INT",
    ),
    "number_as_list": (lambda: one_node("Elu", MAP, alpha=[1.0]), "'alpha' is FLOATS, not FLOAT"),
    "number_as_empty_list": (
        lambda: changed(
            dequantized((1, 2)),
            lambda graph: graph.node[0].attribute.append(
                helper.make_attribute("axis", [], attr_type=onnx.AttributeProto.INTS)
            ),
        ),
        "'axis' is an empty list, not INT",
    ),
    "two_scales_for_a_number": (lambda: dequantized(()), "'d': 2 scales for an axis of 1"),
    "axis_outside": (lambda: one_node("Softmax", MAP, axis=9), "inputs do not fit"),
    "cycle": (
        lambda: chain(relu("b", "a"), relu("a", "b"), relu("x", "y")),
        "Relu 'a': 'b' is used before it is computed",
    ),
    "use_before_definition": (
        lambda: chain(relu("a", "y"), relu("x", "a")), "Relu 'y': 'a' is used before it is computed",
    ),
    "computed_twice": (
        lambda: chain(relu("x", "y"), relu("x", "y")), "Relu 'y': 'y' is computed twice",
    ),
    "output_never_computed": (
        lambda: model_of([relu("x", "a")], {"x": MAP}), "output 'y': no operator computes it",
    ),
    "constants_of_one_name": (
        lambda: changed(conv(), lambda graph: graph.initializer.append(tensor("W", [1.0]))),
        "two constants have one name",
    ),
    "shapes_do_not_fit": (
        lambda: one_node("Add", MAP, constants={"B": noise(5, 1, 1)}), "inputs do not fit",
    ),
    "layer_norm_of_negative_epsilon": (
        lambda: one_node(
            "LayerNormalization", (1, 4), constants={"Scale": noise(4)}, epsilon=-1.0
        ),
        "layer_normalization 'y': epsilon -1.0 must be a number, 0 or more",
    ),
    "group_norm_without_groups": (group_norm, "GroupNormalization 'y': .*num_groups"),
    "no_operators": (lambda: model_of([], {"x": MAP}, ["x"]), "holds no operators"),
    "branches_too_deep": (lambda: nested(12), "branches inside each other"),
    "constants_too_large": (many_folds, "the constants computed so far are too large"),
}  # fmt: skip
"""Name -> model, and what its line says; exit code 2."""
UNSUPPORTED: Mapping[str, tuple[Callable[[], Any], str]] = {
    "batch_of_two": (lambda: with_input(2, 3, 4, 4), "export with a batch of 1"),
    "rank_5": (lambda: with_input(1, 2, 3, 4, 5), "rank 5 is not supported"),
    "opset_too_old": (lambda: one_node("Relu", MAP, opset=9), "opset 9 is not supported; use 11"),
    "opset_too_new": (lambda: one_node("Relu", MAP, opset=999), "opset 999 is not supported"),
    "foreign_domain": (
        lambda: chain(helper.make_node("Magic", ["x"], ["y"], domain="org.evil")),
        "org.evil.Magic 'y': it is not a standard operator",
    ),
    "loop": (
        lambda: chain(
            helper.make_node(
                "Loop", ["", ""], ["y"],
                body=helper.make_graph([relu("x", "z")], "g", [], []),
            )
        ),
        "export without control flow",
    ),
    "if_without_a_condition": (
        lambda: chain(helper.make_node("If", [""], ["y"])), "If 'y': its condition is computed",
    ),
    "constant_cast_to_text": (cast_to_text, "Cast 't': its result is <U32; only numbers"),
    "computed_weights": (
        lambda: chain(relu("x", "w"), helper.make_node("Conv", ["x", "w"], ["y"])),
        "Conv 'y': ",
    ),
    "local_response_norm": (
        lambda: one_node("LRN", MAP, size=3), "LRN 'y': not supported; use BatchNormalization",
    ),
    "layer_norm_with_its_mean": (
        lambda: chain(
            helper.make_node("LayerNormalization", ["x", "x"], ["a", "mean"]), relu("a", "y")
        ),
        "LayerNormalization 'a': its mean and inverse deviation",
    ),
    "layer_norm_of_computed_scale": (
        lambda: chain(
            relu("x", "scale"), helper.make_node("LayerNormalization", ["x", "scale"], ["y"])
        ),
        "LayerNormalization 'y': 'Scale' must be a constant",
    ),
    "layer_norm_over_too_many": (
        lambda: one_node(
            "LayerNormalization", (1, 2, 256, 257), axis=2,
            constants={"Scale": np.ones((256, 257), np.float32)},
        ),
        "it normalizes over 65792 elements; up to 65536",
    ),
    "layer_norm_of_other_size": (
        lambda: one_node("LayerNormalization", (1, 3, 4), constants={"Scale": noise(5)}),
        r"'Scale' has shape \(5,\); it must be \(4,\)",
    ),
    "group_norm_of_unequal_groups": (
        lambda: group_norm(num_groups=3), "4 channels are not 3 equal groups",
    ),
    "group_norm_of_no_groups": (
        lambda: group_norm(num_groups=0), "4 channels are not 0 equal groups",
    ),
    "group_norm_of_a_vector": (
        lambda: group_norm((4,), num_groups=2), r"the input has shape \(4,\)",
    ),
    "instance_norm_of_other_channels": (
        lambda: one_node(
            "InstanceNormalization", MAP, constants={"scale": noise(4), "B": noise(3)}
        ),
        "its parameters must have 4 values each",
    ),
    "vector_norm_of_order_1": (lambda: one_node("LpNormalization", MAP, p=1), "p=1 is not supported"),
    "huge_constant": (huge_fold, "is too large"),
}  # fmt: skip
"""As BAD, with exit code 3."""


@pytest.mark.parametrize("name", BAD)
def test_bad_file_is_refused(name: str, tmp_path: Path) -> None:
    make, message = BAD[name]
    with pytest.raises(BadInputError, match=message) as caught:
        import_onnx(saved(make(), tmp_path))
    assert len(caught.value.lines) == 1


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_unsupported_form_is_refused(name: str, tmp_path: Path) -> None:
    make, message = UNSUPPORTED[name]
    with pytest.raises((UnsupportedError, BadInputError), match=message):
        import_onnx(saved(make(), tmp_path))


def test_all_unsupported_operators_are_listed_at_once(tmp_path: Path) -> None:
    """Also behind one that is not known, where no shapes are."""
    nodes = [
        helper.make_node("CumSum", ["x", "axis"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Hardmax", ["b"], ["c"]),
        helper.make_node("LRN", ["x"], ["d"], size=3),
        helper.make_node("Add", ["c", "d"], ["y"]),
    ]
    model = model_of(nodes, {"x": MAP}, constants=[tensor("axis", 1, np.int64)])
    with pytest.raises(UnsupportedError) as caught:
        import_onnx(saved(model, tmp_path))
    lines = caught.value.lines
    assert [line.split()[0] for line in lines] == ["CumSum", "Hardmax", "LRN"]
    assert "BatchNormalization" in lines[2]


@pytest.mark.parametrize("data", [b"", b"\x08", b"not a model", b"\0" * 1000, b"\xff" * 1000])
def test_file_that_is_no_model_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    with pytest.raises(BadInputError):
        import_onnx(path)


def test_names_from_the_file_stay_one_line(tmp_path: Path) -> None:
    model = one_node("Hardmax", MAP)
    model.graph.node[0].name = "a\nb\x1b[31m"
    with pytest.raises(UnsupportedError) as caught:
        import_onnx(saved(model, tmp_path))
    assert all(line.isprintable() for line in caught.value.lines)


@pytest.mark.parametrize("name", [b"Relu", b"relu_name"])
def test_names_that_are_no_utf8_are_refused_or_shown(name: bytes, tmp_path: Path) -> None:
    """An unknown operator is refused; the name of a node may be anything."""
    model = chain(helper.make_node("Relu", ["x"], ["y"], name="relu_name"))
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString().replace(name, b"\xff" * len(name)))
    if name == b"Relu":
        with pytest.raises(UnsupportedError, match="not supported"):
            import_onnx(path)
    else:
        assert [node.op for node in import_onnx(path).graph.nodes] == ["requantize"]


def test_without_the_package_the_message_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = saved(conv(), tmp_path)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingProgramError, match=r"pip install 'edgekit\[onnx\]'"):
        import_onnx(path)


def test_nothing_is_written_where_a_file_is_refused(
    edgekit: Callable[..., Any], tmp_path: Path
) -> None:
    path = saved(with_external_data(), tmp_path)
    result = edgekit("convert", path, "-t", "cortex-m4", "-o", tmp_path / "out")
    assert result.code == 2
    assert result.err.count("\n") == 1
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["model.onnx"]


def test_file_converts_analyzes_and_validates_from_the_command_line(
    edgekit: Callable[..., Any], tmp_path: Path
) -> None:
    path = saved(conv(pads=[1, 1, 1, 1]), tmp_path)
    out = tmp_path / "out"
    assert edgekit("analyze", path, "-t", "cortex-m4").code == 0
    assert edgekit("convert", path, "-t", "cortex-m4", "-o", out).code == 0
    assert edgekit("validate", out, "--on", "host", "--samples", "3").code == 0
