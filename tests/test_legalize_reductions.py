# SPDX-License-Identifier: Apache-2.0
"""Reductions that drop an axis become views of those that keep it, and then stream."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.conformance import noise
from support.graphs import SAME_3, GraphBuilder, square
from support.planned import convert_planned

from edgekit.converters.legalize import legalize_integer
from edgekit.interpret import interpret
from edgekit.ir import QGraph, Shape
from edgekit.ops.mean import Mean
from edgekit.ops.sum import Sum
from edgekit.ops.transpose import Transpose


def assert_same_outputs(graph: QGraph, legal: QGraph) -> None:
    random = np.random.default_rng(5)
    for _ in range(5):
        sample = tuple(noise(graph.tensors[port.tensor], random) for port in graph.inputs)
        wanted, found = interpret(graph, sample), interpret(legal, sample)
        for before, after in zip(graph.outputs, legal.outputs, strict=True):
            assert np.array_equal(wanted[before.tensor], found[after.tensor])


def reductions_of(graph: QGraph) -> list[tuple[tuple[int, ...], bool, Shape]]:
    """(axes, keep_dims, shape of the input) of the means and sums of a model."""
    return [
        (node.attributes.axes, node.attributes.keep_dims, graph.tensors[node.inputs[0]].shape)
        for node in graph.nodes
        if node.op in ("mean", "sum")
    ]


def width_then_height(*, keep: bool = False, op: str = "mean") -> QGraph:
    """The two successive means of the MCUNet files, behind a convolution, in front of a classifier."""
    b = GraphBuilder("width_then_height", seed=3)
    attributes = {"mean": Mean, "sum": Sum}[op]
    x = b.conv2d(b.input("image", (1, 9, 7, 3)), 6, square(SAME_3))
    x = b.node(op, attributes((2,), keep), x)
    x = b.node(op, attributes((1,), False), x)
    return b.graph(b.fully_connected(b.reshape(x, (1, 6)), 4))


@pytest.mark.parametrize("op", ["mean", "sum"])
def test_both_reductions_keep_their_axes(op: str) -> None:
    graph = width_then_height(op=op)
    legal = legalize_integer(graph)
    assert reductions_of(legal) == [((2,), True, (1, 9, 7, 6)), ((1,), True, (1, 9, 1, 6))]
    assert_same_outputs(graph, legal)


@pytest.mark.parametrize("mode", ["stream", "pull"])
def test_both_reductions_stream(mode: str, tmp_path: Path) -> None:
    artifact = convert_planned(width_then_height(), mode)  # type: ignore[arg-type]
    kernels = [layer.kernel for layer in artifact.manifest.layers if layer.op == "mean"]
    assert [kernel.rpartition("_")[2] for kernel in kernels] == ["rows", "accumulating"]
    artifact.validate(samples=5).assert_ok()


@pytest.mark.parametrize(
    ("axes", "wanted"),
    [
        ((2,), [((2,), True, (1, 5, 4, 6))]),
        ((3,), [((3,), True, (1, 5, 4, 6))]),
        ((2, 3), [((2, 3), True, (1, 5, 4, 6))]),
        ((1,), [((1,), False, (1, 5, 4, 6))]),
        ((1, 2), [((1, 2), False, (1, 5, 4, 6))]),
    ],
)
def test_only_axes_behind_the_rows_are_kept(
    axes: tuple[int, ...], wanted: list[tuple[tuple[int, ...], bool, Shape]]
) -> None:
    b = GraphBuilder("reduced", seed=3)
    graph = b.graph(b.node("mean", Mean(axes, False), b.input("image", (1, 5, 4, 6))))
    legal = legalize_integer(graph)
    assert reductions_of(legal) == wanted
    assert_same_outputs(graph, legal)


def test_a_view_that_moves_elements_to_other_axes_stays() -> None:
    b = GraphBuilder("reshaped", seed=3)
    x = b.reshape(b.input("image", (1, 6, 4, 2)), (1, 4, 12))
    graph = b.graph(b.node("mean", Mean((1,), False), x))
    legal = legalize_integer(graph)
    assert reductions_of(legal) == [((1,), False, (1, 4, 12))]
    assert_same_outputs(graph, legal)


def test_means_behind_a_transpose_keep_their_values() -> None:
    b = GraphBuilder("transposed", seed=3)
    x = b.node("transpose", Transpose((0, 3, 1, 2)), b.input("image", (1, 5, 4, 6)))
    x = b.node("mean", Mean((3,), False), b.node("mean", Mean((3,), True), x))
    graph = b.graph(b.node("mean", Mean((2,), False), x))
    assert_same_outputs(graph, legalize_integer(graph))
