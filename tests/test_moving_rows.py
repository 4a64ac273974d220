# SPDX-License-Identifier: Apache-2.0
"""What moves, joins and searches maps does so row by row: U-Nets and heads stream, maps overlap."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.graphs import HALF_3, SAME_3, GraphBuilder, square
from support.planned import convert_planned

from edgekit.artifact import Artifact
from edgekit.inputs import seeded_samples
from edgekit.interpret import interpret
from edgekit.ir import Node, Port, QGraph, Tensor
from edgekit.manifest import load_manifest
from edgekit.ops import operators
from edgekit.ops._blocks import Blocks
from edgekit.ops._moving import MovingArithmetic
from edgekit.ops.argmax import Argmax, ArgmaxArithmetic
from edgekit.ops.concat import Concat
from edgekit.ops.max_pool2d import MaxPool2d
from edgekit.ops.pad import Pad
from edgekit.ops.resize_bilinear import ResizeBilinear, resize_axis
from edgekit.ops.resize_nearest import ResizeNearest
from edgekit.ops.slice import Slice, axis_slice
from edgekit.ops.softmax import Softmax
from edgekit.ops.tile import Tile
from edgekit.reference import Reference
from edgekit.runners.host import run_host
from edgekit.validate import ValidateOptions, validate
from edgekit.window import Axis, Window

HALVED = Window(Axis(2, 2), Axis(2, 2))
MOVING = (
    *("concat", "resize_nearest", "resize_bilinear", "pad", "slice"),
    *("depth_to_space", "space_to_depth", "tile", "softmax", "argmax"),
)
NARROW_ONLY = ("argmax", "int16")


def check_on_host(artifact: Artifact, folder: Path) -> None:
    """All outputs and every layer of seeded samples, and exactly the claimed arena."""
    artifact.save(folder)
    manifest = load_manifest(folder)
    samples = list(seeded_samples(manifest.inputs, 4, seed=3))
    run = run_host(folder, samples, paint=True)
    graph = Reference(folder).graph
    for outputs, sample in zip(run.outputs, samples, strict=True):
        values = interpret(graph, sample)
        for actual, port in zip(outputs, graph.outputs, strict=True):
            assert np.array_equal(actual, values[port.tensor]), port.name
    assert run.arena_touched_bytes == manifest.arena_bytes
    report = validate(folder, ValidateOptions(on=("host",), samples=2, per_layer=True))
    assert report.assert_ok().first_difference is None


def with_argmax(graph: QGraph, attributes: Argmax) -> QGraph:
    """The index along an axis of the first output, in its place."""
    source = graph.tensors[graph.outputs[0].tensor]
    shape = operators()["argmax"].output_shape(attributes, [source.shape])
    node = Node("argmax", "argmax", (source.name,), ("index",), attributes, ArgmaxArithmetic())
    ports = (Port("index", "index", shape), *graph.outputs[1:])
    graph = dataclasses.replace(
        graph,
        nodes=(*graph.nodes, node),
        tensors={**graph.tensors, "index": Tensor("index", shape, "int32")},
        outputs=ports,
    )
    return graph.verify()


def unet() -> QGraph:
    """Two levels down and up again, by nearest and by linear neighbours; a class for every pixel."""
    b = GraphBuilder("unet", seed=8)
    top = b.conv2d(b.input("image", (1, 32, 12, 3)), 6, square(SAME_3))
    middle = b.conv2d(b.node("max_pool2d", MaxPool2d(HALVED), top), 8, square(SAME_3))
    x = b.conv2d(b.node("max_pool2d", MaxPool2d(HALVED), middle), 10, square(SAME_3))
    rows, columns = (tuple(i // 2 for i in range(size)) for size in (16, 6))
    x = b.node("resize_nearest", ResizeNearest(rows, columns), x)
    x = b.conv2d(b.node("concat", Concat(3), x, middle), 8, square(SAME_3))
    axes = (resize_axis(2 * n, n, align_corners=False, half_pixel=True) for n in (16, 6))
    x = b.node("resize_bilinear", ResizeBilinear(*axes), x)
    x = b.conv2d(b.node("concat", Concat(3), top, x), 5, square(SAME_3))
    return b.graph(b.node("softmax", Softmax(), x))


def segmentation() -> QGraph:
    return with_argmax(unet(), Argmax(3))


def detection() -> QGraph:
    """Heads side by side, over a map that was mirrored, unfolded, cropped and repeated."""
    b = GraphBuilder("detection", seed=9)
    x = b.conv2d(b.input("image", (1, 96, 14, 3)), 8, square(HALF_3))
    x = b.node("pad", Pad((0, 2, 1, 0), (0, 1, 2, 1), "reflect"), x)
    x = b.conv2d(x, 12, square(SAME_3))
    x = b.node("depth_to_space", Blocks(2, "block_major"), x)
    x = b.node("slice", Slice((0, 3, 2, 0), (1, 46, 8, 3), (1, 2, 2, 1)), x)
    boxes = b.conv2d(x, 4, square(SAME_3))
    scores = b.node("tile", Tile((1, 1, 2, 2)), b.conv2d(x, 2))
    scores = b.node("softmax", Softmax(), scores)
    return b.graph(b.node("concat", Concat(2), boxes, scores, b.conv2d(boxes, 4)))


NETWORKS: dict[str, Callable[[], QGraph]] = {
    "unet": unet,
    "segmentation": segmentation,
    "detection": detection,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_network_streams(name: str, tmp_path: Path) -> None:
    pulled = convert_planned(NETWORKS[name](), "pull")
    layered = convert_planned(NETWORKS[name](), "pull", primitive="L")
    # Not a half: the scratch of the kernels is a part of both, and the same.
    assert 9 * pulled.manifest.arena_bytes < 5 * layered.manifest.arena_bytes
    check_on_host(pulled, tmp_path / "pulled")
    check_on_host(convert_planned(NETWORKS[name](), "stream"), tmp_path / "streamed")


def every_case(op: str, dtype: str) -> QGraph:
    """All cases of an operator in one model, between layers that turn the channels around."""
    tensors: dict[str, Tensor] = {}
    nodes: list[Node] = []
    inputs: list[Port] = []
    outputs: list[Port] = []

    def turned(name: str, source: Tensor, target: str) -> None:
        size = source.shape[-1]
        part = axis_slice(source.shape, len(source.shape) - 1, size - 1, size, -1)
        nodes.append(Node(name, "slice", (source.name,), (target,), part, MovingArithmetic()))
        tensors[target] = dataclasses.replace(source, name=target)

    for number, case in enumerate(operators()[op].cases()):
        (node,) = case.graph.nodes
        names = {name: f"c{number}_{name}" for name in case.graph.tensors}
        wanted = case.graph.tensors[node.inputs[0]].dtype == dtype
        if not wanted or not case.graph.tensors[node.outputs[0]].shape:
            continue
        for tensor in case.graph.tensors.values():
            renamed = dataclasses.replace(tensor, name=names[tensor.name])
            tensors[renamed.name] = renamed
        for port in case.graph.inputs:
            outer = dataclasses.replace(
                tensors[names[port.tensor]], name=f"in_{names[port.tensor]}"
            )
            tensors[outer.name] = outer
            inputs.append(Port(outer.name, outer.name, outer.shape))
            turned(f"front_{outer.name}", outer, names[port.tensor])
        result = names[node.outputs[0]]
        sources = tuple(names[name] for name in node.inputs)
        nodes.append(
            dataclasses.replace(node, name=f"case_{number}", inputs=sources, outputs=(result,))
        )
        if tensors[result].dtype == dtype:
            turned(f"behind_{number}", tensors[result], f"out_{number}")
            result = f"out_{number}"
        outputs.append(Port(f"y{number}", result, tensors[result].shape))
    return QGraph(tensors, tuple(nodes), tuple(inputs), tuple(outputs), name=op).verify()


@pytest.mark.parametrize(
    ("op", "dtype"),
    [(op, dtype) for op in MOVING for dtype in ("int8", "int16") if (op, dtype) != NARROW_ONLY],
)
def test_maps_overlap_as_far_as_rows_allow(op: str, dtype: str, tmp_path: Path) -> None:
    graph = every_case(op, dtype)
    check_on_host(convert_planned(graph, "overwrite", primitive="L"), tmp_path / "layers")
    check_on_host(convert_planned(graph, "resident"), tmp_path / "rows")
