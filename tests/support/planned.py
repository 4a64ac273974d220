# SPDX-License-Identifier: Apache-2.0
"""Convert models with a plan of one segment, for every way in which an input can come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from edgekit.artifact import Artifact
from edgekit.converters.allocate import allocate
from edgekit.converters.choose import choose
from edgekit.converters.load import Imported
from edgekit.converters.lowering.lower import lower
from edgekit.converters.schedule.plan import Plan, PlannedPair, PlannedSegment
from edgekit.emit.sources import EmitOptions, emit
from edgekit.input_modes import check_input_mode, check_output_mode
from edgekit.ir import Graph, QGraph
from edgekit.ops.add import Add
from edgekit.ops.mean import Mean
from edgekit.ops.slice import axis_slice
from edgekit.pipeline import to_integers
from edgekit.program import InputMode, OutputMode
from edgekit.reference import reference_files
from edgekit.target import load_target
from support.graphs import SAME_3, GraphBuilder, square

MODES: tuple[InputMode, ...] = ("resident", "stream", "pull", "overwrite")


def convert_planned(
    graph: Graph,
    input_mode: InputMode,
    *,
    output_mode: OutputMode = "resident",
    primitive: Literal["L", "C", "H", "B"] = "C",
    pairs: tuple[PlannedPair, ...] = (),
    layers: int | None = None,
    parts: int = 1,
    target: str = "cortex-m4",
    name: str = "model",
) -> Artifact:
    """All layers in one segment C, or each in its own segment L.

    In a segment C, layers that can take their input row by row do so. H, B: the first ``layers`` in
    ``parts`` strips or patches, the others in segments L.
    """
    check_input_mode(graph, input_mode)
    check_output_mode(graph, output_mode)
    model = to_integers(Imported(graph), None)
    core = load_target(target)
    choices = choose(model.graph, core)
    nodes = tuple(node.name for node in model.graph.nodes)
    accumulating = tuple(n for n in nodes if n in choices and choices[n].accumulating)
    segments = tuple(PlannedSegment("L", (node,)) for node in nodes)
    if primitive in ("H", "B"):
        tiled = PlannedSegment(primitive, nodes[:layers], pairs, parts=parts)
        segments = (tiled, *segments[len(tiled.nodes) :])
    elif primitive == "C":
        segments = (PlannedSegment("C", nodes, pairs, accumulating),)
    plan = Plan(model.graph, segments, input_mode, output_mode).verify()
    image = allocate(lower(plan, choices))
    options = EmitOptions(name, core, "0", model.macs_network, model.dead_channels)
    reference = reference_files(model.graph, model.samples, model.float_outputs, {})
    return Artifact(emit(image, options, reference))


def torch_graph(name: Literal["resnet8", "ds_cnn"]) -> Graph:
    """A network of support.torch_models, in floats."""
    from edgekit.converters.from_torch import import_torch_module
    from support import torch_models

    module, inputs = getattr(torch_models, name)()
    return import_torch_module(module, inputs)


def early_outputs() -> QGraph:
    """Outputs that are complete long before the last row comes, at its end, and the input itself."""
    b = GraphBuilder("early_outputs", seed=4)
    x = b.input("image", (1, 9, 5, 2))
    y = b.conv2d(x, 3, square(SAME_3))
    top = b.node("slice", axis_slice(b.shape(x), 1, 1, 2), x)
    total = b.node("mean", Mean((1, 2), True), b.node("add", Add(), y, b.conv2d(x, 3)))
    return b.graph(b.conv2d(top, 2), y, total, b.reshape(y, (1, 135)), x)


def unused_rows() -> QGraph:
    """Only the rows 2 and 3 of eight count."""
    b = GraphBuilder("unused_rows", seed=5)
    x = b.input("image", (1, 8, 4, 3))
    return b.graph(b.conv2d(b.node("slice", axis_slice(b.shape(x), 1, 2, 2), x), 4))


def one_row() -> QGraph:
    """A sequence: rank 3, whose only row is all of it."""
    b = GraphBuilder("one_row", seed=6)
    x = b.input("sequence", (1, 6, 4))
    return b.graph(b.node("add", Add(), x, x))


def single_pixel() -> QGraph:
    b = GraphBuilder("single_pixel", seed=7)
    return b.graph(b.conv2d(b.input("pixel", (1, 1, 1, 1)), 2, square(SAME_3)))


PORTS: dict[str, Callable[[], QGraph]] = {
    "early_outputs": early_outputs,
    "unused_rows": unused_rows,
    "one_row": one_row,
    "single_pixel": single_pixel,
}
"""Models whose inputs and outputs are out of the ordinary."""
