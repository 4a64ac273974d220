# SPDX-License-Identifier: Apache-2.0
"""Dead channels go and nothing else changes: every output stays what it was, bit for bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.graphs import HALF_3, SAME_3, square
from support.models import convert_graph
from support.planter import Planter, assert_same_outputs, macs, without_dead

from edgekit.converters.channels.bounds import ELEMENTWISE, channel_bounds
from edgekit.converters.channels.dead import BINARY, dead_channels, remove_dead_channels
from edgekit.converters.channels.flow import LINKS, MIXING, TRANSFERS
from edgekit.converters.legalize import legalize_integer
from edgekit.converters.load import load_model
from edgekit.interpret import interpret
from edgekit.ir import QGraph, constant
from edgekit.ops import operators
from edgekit.ops.add import Add
from edgekit.ops.average_pool2d import AveragePool2d
from edgekit.ops.concat import Concat
from edgekit.ops.conv2d import Conv2d
from edgekit.ops.depthwise_conv2d import DepthwiseConv2d
from edgekit.ops.max_pool2d import MaxPool2d
from edgekit.ops.mean import Mean
from edgekit.ops.mul import Mul
from edgekit.ops.requantize import Requantize
from edgekit.ops.resize_bilinear import ResizeAxis, ResizeBilinear
from edgekit.ops.slice import axis_slice
from edgekit.ops.tile import Tile
from edgekit.ops.transposed_conv2d import TransposedConv2d, transposed_axis
from edgekit.window import Axis, Window

POINTWISE = square(Axis(1))


def channels(graph: QGraph, op: str) -> list[int]:
    """Output channels of all nodes of an operator."""
    return [call.output.shape[-1] for call in graph.calls() if call.node.op == op]


def planted(
    window: Window, *, op: str = "conv2d", bias: float = 0.7, activation: float | None = 0.0
) -> QGraph:
    """A pointwise layer with 3 of 8 channels constant, and a layer that reads them."""
    b = Planter("planted", seed=5)
    x = b.layer(
        "conv2d",
        Conv2d(POINTWISE, activation, None),
        b.input("x", (1, 6, 7, 4)),
        8,
        zero_rows=(1, 4, 6),
        bias={1: bias, 4: bias, 6: bias},
    )
    if op == "conv2d":
        return b.graph(b.layer("conv2d", Conv2d(window), x, 5))
    return b.graph(b.layer("conv2d", Conv2d(POINTWISE), b.depthwise(x, window), 5))


def test_constants_go_into_the_bias_of_a_valid_convolution() -> None:
    assert channels(without_dead(planted(POINTWISE)), "conv2d") == [5, 5]
    assert channels(without_dead(planted(square(Axis(3)))), "conv2d") == [5, 5]
    assert channels(without_dead(planted(Window(Axis(2, 3), Axis(3)))), "conv2d") == [5, 5]


def test_constants_beside_padding_stay_unless_they_are_the_zero_point() -> None:
    assert channels(without_dead(planted(square(SAME_3))), "conv2d") == [8, 5]
    # Clamped at 0 from below: the constant is the zero point, which is what padding stands for.
    assert channels(without_dead(planted(square(SAME_3), bias=-0.7)), "conv2d") == [5, 5]


def test_a_padded_window_that_never_leaves_the_map_is_like_a_valid_one() -> None:
    unused = Axis(3, 2, 1, 0, 1)  # 7 columns, stride 2: the padding behind is never read
    live = without_dead(planted(Window(Axis(1), unused)))
    assert channels(live, "conv2d") == [5, 5]


def test_constant_through_depthwise_counts_the_border() -> None:
    same = square(SAME_3)
    assert channels(without_dead(planted(square(Axis(3)), op="dw")), "conv2d") == [5, 5]
    assert channels(without_dead(planted(same, op="dw", bias=-0.7)), "conv2d") == [5, 5]
    # Constant inside, another one at the border: those channels stay.
    assert channels(without_dead(planted(same, op="dw")), "depthwise_conv2d") == [8]


def test_border_variants_that_clamp_to_one_value_are_constant() -> None:
    b = Planter("clamped", seed=3)
    x = b.layer(
        "conv2d", Conv2d(POINTWISE, 0.0, None), b.input("x", (1, 6, 6, 4)), 6, zero_rows=(2,),
        bias={2: 1.0},
    )  # fmt: skip
    x = b.layer(
        "depthwise_conv2d", DepthwiseConv2d(square(SAME_3), 0.0, None), x, 6, bias={2: -50.0}
    )
    live = without_dead(b.graph(b.layer("conv2d", Conv2d(POINTWISE), x, 4)))
    assert channels(live, "depthwise_conv2d") == [5]
    assert channels(live, "conv2d") == [5, 4]


def test_a_clamp_that_no_sum_leaves_makes_a_channel_constant() -> None:
    b = Planter("saturated", seed=4)
    x = b.layer(
        "conv2d", Conv2d(POINTWISE, 0.0, 1.0), b.input("x", (1, 4, 4, 4)), 6,
        bias={0: -90.0, 3: 90.0},
    )  # fmt: skip
    graph = b.graph(b.layer("conv2d", Conv2d(POINTWISE), x, 4))
    assert channels(without_dead(graph), "conv2d") == [4, 4]


def test_unread_channels_go_backward_through_many_layers() -> None:
    b = Planter("unread", seed=6)
    x = b.conv2d(b.input("x", (1, 8, 8, 3)), 8)
    x = b.depthwise(x, square(SAME_3))
    x = b.node("max_pool2d", MaxPool2d(square(Axis(2, 2))), x)
    x = b.node("requantize", Requantize(0.0, None), x)
    y = b.layer("conv2d", Conv2d(square(SAME_3)), x, 5, zero_columns=(0, 3, 7))
    live = without_dead(b.graph(y))
    assert channels(live, "conv2d") == [5, 5]
    assert channels(live, "depthwise_conv2d") == [5]
    # A second reader that wants them keeps them.
    z = b.layer("conv2d", Conv2d(POINTWISE), x, 2, zero_columns=(3,))
    assert channels(without_dead(b.graph(y, z)), "depthwise_conv2d") == [7]


def test_outputs_of_the_model_keep_all_channels() -> None:
    b = Planter("outputs", seed=7)
    x = b.layer("conv2d", Conv2d(POINTWISE), b.input("x", (1, 4, 4, 3)), 6, zero_rows=(1, 2))
    y = b.layer("conv2d", Conv2d(POINTWISE), x, 4)
    assert channels(without_dead(b.graph(x, y)), "conv2d") == [6, 4]
    assert channels(without_dead(b.graph(y)), "conv2d") == [4, 4]


def test_residual_sums_lose_a_channel_only_on_both_sides() -> None:
    def residual(left: tuple[int, ...], right: tuple[int, ...]) -> QGraph:
        b = Planter("residual", seed=8)
        first = b.layer("conv2d", Conv2d(POINTWISE), b.input("x", (1, 5, 5, 3)), 6, zero_rows=left)
        second = b.layer("conv2d", Conv2d(square(Axis(3, 1, 1, 1, 1))), first, 6, zero_rows=right)
        total = b.node("add", Add(0.0, None), first, second)
        return b.graph(b.layer("conv2d", Conv2d(POINTWISE), total, 4))

    # The first layer's constants are not its zero point, and the second one pads.
    assert channels(without_dead(residual((1, 2, 5), (0, 2, 5))), "add") == [6]
    b = Planter("residual", seed=8)
    x = b.layer(
        "conv2d", Conv2d(POINTWISE, 0.0, None), b.input("x", (1, 5, 5, 3)), 6, zero_rows=(1, 2, 5),
        bias={1: -1.0, 2: -1.0, 5: -1.0},
    )  # fmt: skip
    y = b.layer("conv2d", Conv2d(square(SAME_3)), x, 6, zero_rows=(0, 2, 5))
    z = b.layer("conv2d", Conv2d(POINTWISE), b.node("add", Add(), x, y), 4)
    live = without_dead(b.graph(z))
    assert channels(live, "add") == [4]
    assert channels(live, "conv2d") == [4, 4, 4]


def test_flattened_channels_take_their_columns_along() -> None:
    b = Planter("flattened", seed=9)
    x = b.layer("conv2d", Conv2d(POINTWISE), b.input("x", (1, 3, 4, 5)), 6, zero_rows=(0, 5))
    flat = b.reshape(b.node("average_pool2d", AveragePool2d(square(Axis(2))), x), (1, 36))
    live = without_dead(b.graph(b.fully_connected(flat, 7)))
    assert channels(live, "conv2d") == [4]
    assert channels(live, "reshape") == [24]
    straight = without_dead(b.graph(b.fully_connected(x, 7)))
    assert channels(straight, "conv2d") == [4]


def test_depth_multiplier_keeps_the_copies_of_a_channel_together() -> None:
    b = Planter("multiplier", seed=10)
    x = b.layer("conv2d", Conv2d(POINTWISE), b.input("x", (1, 5, 5, 4)), 4, zero_rows=(0, 2))
    y = b.layer("depthwise_conv2d", DepthwiseConv2d(square(Axis(3))), x, 8, zero_rows=(2, 7))
    live = without_dead(b.graph(b.layer("conv2d", Conv2d(POINTWISE), y, 3)))
    assert channels(live, "conv2d") == [2, 3]
    assert channels(live, "depthwise_conv2d") == [4]


def test_concatenated_channels_are_told_apart() -> None:
    b = Planter("concat", seed=17)
    x = b.input("x", (1, 5, 5, 4))
    left = b.layer("conv2d", Conv2d(POINTWISE), x, 5, zero_rows=(0, 4))
    right = b.layer("conv2d", Conv2d(POINTWISE), x, 6, zero_rows=(2,))
    whole = b.node("concat", Concat(3), left, right, left)
    live = without_dead(b.graph(b.layer("conv2d", Conv2d(POINTWISE), whole, 3)))
    assert channels(live, "concat") == [3 + 5 + 3]
    assert channels(live, "conv2d") == [3, 5, 3]
    tall = b.node("concat", Concat(1), left, b.layer("conv2d", Conv2d(POINTWISE), x, 5))
    live = without_dead(b.graph(b.layer("conv2d", Conv2d(POINTWISE), tall, 3, zero_columns=(1,))))
    assert channels(live, "concat") == [4]


def test_channels_that_no_slice_takes_go() -> None:
    b = Planter("slice", seed=18)
    x = b.layer("conv2d", Conv2d(POINTWISE), b.input("x", (1, 5, 5, 4)), 9, zero_rows=(3, 6))
    first = b.node("slice", axis_slice((1, 5, 5, 9), 3, 2, 3), x)
    second = b.node("slice", axis_slice((1, 5, 5, 9), 3, 6, 2), x)
    y = b.layer("conv2d", Conv2d(POINTWISE), first, 2)
    live = without_dead(b.graph(y, b.layer("conv2d", Conv2d(POINTWISE), second, 2)))
    assert channels(live, "conv2d") == [3, 2, 2]
    assert channels(live, "slice") == [2, 1]
    strided = b.node("slice", axis_slice((1, 5, 5, 9), 3, 0, 3, 3), x)
    live = without_dead(b.graph(b.layer("conv2d", Conv2d(POINTWISE), strided, 2)))
    assert channels(live, "slice") == [3]


def test_resized_and_tiled_channels_pass() -> None:
    b = Planter("resize", seed=19)
    x = b.layer("conv2d", Conv2d(POINTWISE), b.input("x", (1, 3, 4, 4)), 6, zero_rows=(1, 5))
    bilinear = ResizeBilinear(ResizeAxis(6, 0.5), ResizeAxis(7, 0.5))
    x = b.node("tile", Tile((1, 1, 2, 1)), b.node("resize_bilinear", bilinear, x))
    live = without_dead(b.graph(b.layer("conv2d", Conv2d(POINTWISE), x, 3)))
    assert channels(live, "resize_bilinear") == channels(live, "tile") == [4]


def test_transposed_convolution_keeps_constants_but_not_the_unread() -> None:
    b = Planter("transposed", seed=20)
    x = b.layer("conv2d", Conv2d(POINTWISE), b.input("x", (1, 3, 4, 4)), 6, zero_rows=(1,))
    axis = transposed_axis(3, 2, 1, crop=0, input_size=3, output_size=7)
    width = transposed_axis(3, 2, 1, crop=0, input_size=4, output_size=9)
    weights = np.array(b.constant((5, 3, 3, 6)).data)
    weights[..., 4] = 0
    weights[2] = 0
    attributes = TransposedConv2d(Window(axis, width))
    y = b.node("transposed_conv2d", attributes, x, constant("up", weights), b.constant((5,)))
    live = without_dead(b.graph(b.layer("conv2d", Conv2d(POINTWISE), y, 3)))
    assert channels(live, "conv2d") == [5, 3]
    assert channels(live, "transposed_conv2d") == [4]


def test_one_channel_stays_where_all_are_dead() -> None:
    b = Planter("all", seed=11)
    x = b.layer("conv2d", Conv2d(POINTWISE), b.input("x", (1, 4, 4, 4)), 6, zero_rows=range(6))
    y = b.layer("conv2d", Conv2d(POINTWISE), b.depthwise(x, square(Axis(3))), 3)
    live = without_dead(b.graph(y))
    assert channels(live, "conv2d") == [1, 3]
    assert channels(live, "depthwise_conv2d") == [1]


def test_a_constant_gate_becomes_a_constant_operand() -> None:
    b = Planter("gate", seed=12)
    x = b.conv2d(b.input("x", (1, 4, 4, 4)), 6)
    pooled = b.node("mean", Mean((1, 2), keep_dims=True), x)
    gate = b.layer("conv2d", Conv2d(POINTWISE), pooled, 6, zero_rows=range(6))
    graph = b.graph(b.layer("conv2d", Conv2d(POINTWISE), b.node("mul", Mul(), x, gate), 5))
    live = without_dead(graph)
    assert [node.op for node in live.nodes] == ["conv2d", "mul", "conv2d"]
    gone = {entry.layer: entry for entry in dead_channels(graph, live)}
    assert gone["conv2d_2"].channels_after == 0 and gone["conv2d_2"].macs_after == 0


def test_element_wise_constants_lose_their_channels() -> None:
    b = Planter("vectors", seed=13)
    x = b.layer("conv2d", Conv2d(POINTWISE), b.input("x", (1, 4, 4, 4)), 6, zero_rows=(1, 3))
    x = b.node("mul", Mul(), x, b.constant((6,)))
    x = b.node("add", Add(), x, b.constant((1, 4, 4, 6)))
    x = b.node("mul", Mul(), x, b.constant((1, 1, 1, 6)))
    live = without_dead(b.graph(b.layer("conv2d", Conv2d(POINTWISE), x, 5)))
    # The map is added pixel by pixel, so nothing behind it is constant.
    assert channels(live, "add") == [6]
    y = b.node("mul", Mul(), "conv2d_0_y", b.constant((6,)))
    y = b.node("add", Add(), y, b.constant((1,)))
    live = without_dead(b.graph(b.layer("conv2d", Conv2d(POINTWISE), y, 5)))
    assert channels(live, "mul") == channels(live, "add") == [4]


def test_a_bias_that_would_overflow_stays() -> None:
    graph = planted(POINTWISE)
    last = graph.nodes[-1]
    name = last.inputs[2]
    full = constant(name, np.full(5, 2**31 - 1, np.int32))
    wide = dataclasses.replace(graph, tensors={**graph.tensors, name: full})
    weights = np.array(wide.tensors[last.inputs[1]].data)
    weights[:, :, :, (1, 4, 6)] = 100
    named = constant(last.inputs[1], weights)
    wide = dataclasses.replace(wide, tensors={**wide.tensors, last.inputs[1]: named})
    assert channels(without_dead(wide.verify()), "conv2d") == [8, 5]


def test_grouped_convolutions_stay_whole() -> None:
    b = Planter("groups", seed=14)
    x = b.layer("conv2d", Conv2d(POINTWISE), b.input("x", (1, 4, 4, 4)), 6, zero_rows=(1, 3))
    weights = b.constant((4, 3, 3, 3))
    x = b.node("conv2d", Conv2d(square(SAME_3)), x, weights)
    assert channels(without_dead(b.graph(x)), "conv2d") == [6, 4]


@pytest.mark.parametrize("axis", [SAME_3, HALF_3, Axis(5, 1, 1, 2, 2), Axis(3, 1, 2, 2, 2)])
def test_bounds_hold_every_value(axis: Axis) -> None:
    """Interval arithmetic against real values, with the overlaps at the border counted exactly."""
    b = Planter("bounds", seed=15)
    x = b.layer("conv2d", Conv2d(POINTWISE), b.input("x", (1, 9, 7, 3)), 6, zero_rows=(0, 1, 2))
    y = b.depthwise(x, square(axis))
    graph = b.graph(b.layer("conv2d", Conv2d(square(axis)), y, 5))
    bounds = channel_bounds(graph, TRANSFERS)
    sample = np.random.default_rng(0).integers(-128, 128, (1, 9, 7, 3)).astype(np.int8)
    for name, values in interpret(graph, [sample]).items():
        flat = values.reshape(-1, values.shape[-1])
        assert (bounds[name].low <= flat.min(axis=0)).all()
        assert (bounds[name].high >= flat.max(axis=0)).all()
    constant_inputs = interpret(graph, [sample])[y].reshape(-1, 6)[:, :3]
    assert (bounds[y].low[:3] == constant_inputs.min(axis=0)).all()
    assert (bounds[y].high[:3] == constant_inputs.max(axis=0)).all()


@pytest.mark.parametrize("op", sorted(operators()))
def test_bounds_hold_in_every_edge_case(op: str) -> None:
    random = np.random.default_rng(0)
    for case in operators()[op].cases():
        tensors = [case.graph.tensors[port.tensor] for port in case.graph.inputs]
        if any(tensor.dtype != "int8" for tensor in tensors):
            continue
        noise = tuple(random.integers(-128, 128, t.shape).astype(np.int8) for t in tensors)
        bounds = channel_bounds(case.graph, TRANSFERS)
        for inputs in (noise, *case.inputs):
            for name, values in interpret(case.graph, inputs).items():
                flat = values.reshape(-1, values.shape[-1] if values.shape else 1)
                assert (bounds[name].low <= flat.min(axis=0)).all(), case.name
                assert (bounds[name].high >= flat.max(axis=0)).all(), case.name


def test_operators_that_are_named_exist() -> None:
    names = {*ELEMENTWISE, *LINKS, *TRANSFERS, *MIXING, *BINARY}
    assert names <= set(operators())


def test_converted_c_computes_the_same() -> None:
    artifact = convert_graph(planted(square(SAME_3), bias=-0.7))
    artifact.validate().assert_ok()
    assert artifact.manifest.macs_legalized < artifact.manifest.macs_network
    assert [entry.channels_after for entry in artifact.manifest.dead_channels] == [5, 5]


def test_shared_network_halves(shared_model: Callable[[str], Path]) -> None:
    graph = legalize_integer(load_model(str(shared_model("vww_96_int8"))).graph)
    assert isinstance(graph, QGraph)
    live = remove_dead_channels(graph)
    assert macs(graph) == 7_489_664
    assert macs(live) <= 3_900_000
    assert_same_outputs(graph, live, samples=100)
