# SPDX-License-Identifier: Apache-2.0
"""Strips and patches: windows at inner and true borders, buffers of their own, pulled windows."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.c_project import SANITIZED, build_program, run
from support.graphs import HALF_3, SAME_3, GraphBuilder, square
from support.planned import convert_planned
from support.quick_host import in_a_child, quick_builds
from support.replay import ReplayError, replay

from edgekit.converters.allocate import allocate
from edgekit.converters.choose import choose
from edgekit.converters.lowering.lower import lower
from edgekit.converters.lowering.storage import Storage
from edgekit.converters.lowering.tiles import tiles_of
from edgekit.converters.schedule.plan import Plan, PlannedPair, PlannedSegment
from edgekit.inputs import seeded_samples
from edgekit.interpret import interpret
from edgekit.ir import Array, QGraph
from edgekit.manifest import load_manifest
from edgekit.ops import operator_of
from edgekit.ops.add import Add
from edgekit.ops.average_pool2d import AveragePool2d
from edgekit.ops.concat import Concat
from edgekit.ops.max_pool2d import MaxPool2d
from edgekit.ops.mean import Mean
from edgekit.ops.mul import Mul
from edgekit.ops.resize_nearest import ResizeNearest
from edgekit.program import Image, InputMode, Program
from edgekit.reference import Reference
from edgekit.runners.host import run_host
from edgekit.runners.layer_trace import FiredRows
from edgekit.target import load_target
from edgekit.window import Axis, RowTable, Window

TILED_MODES: tuple[InputMode, ...] = ("resident", "pull", "overwrite")
OPS = ("add", "average_pool2d", "concat", "conv2d", "depthwise_conv2d", "max_pool2d", "mean", "mul")


def bottlenecks() -> QGraph:
    """Stride 2 with asymmetric padding, a residual, 5x5, odd widths; all but the last layers."""
    b = GraphBuilder("bottlenecks", seed=3)
    x = b.conv2d(b.input("image", (1, 13, 47, 3)), 8, square(HALF_3))
    y = b.conv2d(b.depthwise(b.conv2d(x, 16), square(SAME_3)), 8)
    x = b.node("add", Add(), x, y)
    y = b.conv2d(b.depthwise(b.conv2d(x, 12), square(Axis(3, 2, 1, 1, 1))), 6)
    x = b.depthwise(y, Window(Axis(5, 1, 1, 2, 2), Axis(5, 1, 1, 2, 2)))
    return b.graph(b.node("mean", Mean((1, 2), True), x))


def branches() -> QGraph:
    """Maps read by several layers through different windows; dilation, pools, constant maps."""
    b = GraphBuilder("branches", seed=4)
    image = b.input("image", (1, 14, 17, 2))
    x = b.conv2d(image, 4, square(Axis(3, 1, 2, 2, 2)))
    short = b.conv2d(x, 5, square(Axis(1, 2)))
    y = b.conv2d(x, 5, Window(Axis(3, 2, 1, 0, 1), Axis(4, 2, 1, 1, 2)))
    y = b.node("add", Add(), short, y)
    pooled = b.node("max_pool2d", MaxPool2d(square(Axis(3, 1, 1, 1, 1))), y)
    y = b.node("concat", Concat(3), pooled, y)
    y = b.node("mul", Mul(), y, b.constant((*b.shape(y)[1:3], 1)))
    y = b.node("add", Add(), y, b.constant((10,)))
    y = b.node("average_pool2d", AveragePool2d(Window(Axis(2, 1, 1, 1, 0), Axis(3, 2, 1, 1, 0))), y)
    return b.graph(y, b.node("mean", Mean((1, 2), True), y))


NETS: dict[str, Callable[[], QGraph]] = {"bottlenecks": bottlenecks, "branches": branches}


def lowered(
    graph: QGraph,
    mode: InputMode,
    target: str,
    planned: PlannedSegment,
) -> Program | None:
    """A tiled beginning, then layer by layer; None where that beginning cannot be tiled."""
    choices = choose(graph, load_target(target))
    arriving = [graph.inputs[0].tensor] if mode == "pull" else []
    storage = Storage(graph, choices, arena_input=mode != "resident")
    if tiles_of(planned, storage, choices, arriving=arriving) is None:
        return None
    names = [node.name for node in graph.nodes][len(planned.nodes) :]
    segments = (planned, *(PlannedSegment("L", (name,)) for name in names))
    return lower(Plan(graph, segments, mode).verify(), choices)


def segment(
    graph: QGraph, primitive: str, layers: int, parts: int, *, pairs: tuple[PlannedPair, ...] = ()
) -> PlannedSegment:
    names = tuple(node.name for node in graph.nodes)[:layers]
    return PlannedSegment(primitive, names, pairs, parts=parts)  # type: ignore[arg-type]


def sample_of(graph: QGraph) -> list[Array]:
    random = np.random.default_rng(1)
    shapes = [graph.tensors[port.tensor].shape for port in graph.inputs]
    return [random.integers(-128, 128, shape).astype(np.int8) for shape in shapes]


def check(image: Image) -> None:
    """The reference's outputs, from no more than the claimed bytes."""
    graph = image.program.graph
    sample = sample_of(graph)
    result, values = replay(image, sample), interpret(graph, sample)
    for port, output in zip(graph.outputs, result.outputs, strict=True):
        assert np.array_equal(output, values[port.tensor]), port.name
    assert result.touched_bytes == image.arena_bytes


def test_part_of_an_axis_sees_what_the_axis_sees() -> None:
    """Every span of outputs of every small window: the same inputs, and the same padding."""
    count = 0
    for kernel, stride, dilation, size in itertools.product(*[range(1, 5)] * 3, range(1, 8)):
        for before, after in itertools.product(range(kernel + 1), repeat=2):
            axis = Axis(kernel, stride, dilation, before, after)
            outputs = max(axis.output_size(size), 0)
            for begin, end in itertools.combinations(range(outputs + 1), 2):
                seen = [axis.inputs_of(o, size) for o in range(begin, end)]
                part = axis.part(begin, end, size)
                if part is None:
                    assert all(i is None for taps in seen for i in taps)
                    continue
                narrow, first, last = part
                assert 0 <= first < last <= size
                assert narrow.problem(last - first) is None
                assert narrow.output_size(last - first) == end - begin
                found = [narrow.inputs_of(o, last - first) for o in range(end - begin)]
                shifted = [[i if i is None else i + first for i in taps] for taps in found]
                assert shifted == seen, (axis, size, begin, end)
                count += 1
    assert count > 20_000


def test_spans_reach_from_the_first_to_the_last_input() -> None:
    """Of every small window, with inputs side by side and apart, and of a table."""
    count = 0
    sizes = itertools.product(*[range(1, 4)] * 4, range(1, 7))
    for kernel, stride, dilation, upsampling, size in sizes:
        for before, after in itertools.product(range(kernel + 2), repeat=2):
            axis = Axis(kernel, stride, dilation, before, after, upsampling)
            outputs = max(axis.output_size(size), 0)
            seen = [axis.inputs_of(o, size) for o in range(outputs)]
            rows = [[i for i in taps if i is not None] for taps in seen]
            wanted = [(min(r), max(r) + 1) if r else (0, 0) for r in rows]
            assert axis.spans(outputs, size) == wanted, (axis, size)
            count += outputs
    assert count > 20_000
    assert RowTable(((2, 1), (0, 0), (3, 3))).spans(2, 4) == [(1, 3), (0, 1)]


@pytest.mark.parametrize("target", ["host", "cortex-m4"])
@pytest.mark.parametrize("mode", TILED_MODES)
@pytest.mark.parametrize("name", NETS)
def test_every_beginning_of_a_network(name: str, mode: InputMode, target: str) -> None:
    """In strips and patches of every number: values, and bytes that are read where they are."""
    graph, count = NETS[name](), 0
    for layers, (primitive, parts) in itertools.product(
        range(1, len(graph.nodes) + 1), [("H", 2), ("H", 5), ("B", 3)]
    ):
        program = lowered(graph, mode, target, segment(graph, primitive, layers, parts))
        if program is not None:
            check(allocate(program))
            count += 1
    assert count > 6


def pair_of(graph: QGraph, primitive: str) -> PlannedPair:
    """The second bottleneck's convolution and depthwise convolution."""
    depthwise = [node.name for node in graph.nodes if node.op == "depthwise_conv2d"][1]
    producer = [node.name for node in graph.nodes]
    producer_name = producer[producer.index(depthwise) - 1]
    return PlannedPair(primitive, producer_name, depthwise, 4)  # type: ignore[arg-type]


LAYERS = 9
"""As many layers of either network as can be tiled: all in front of the mean."""


@pytest.mark.parametrize("name", NETS)
def test_as_many_layers_as_can_be(name: str) -> None:
    graph = NETS[name]()
    for layers, possible in ((LAYERS, True), (LAYERS + 1, False)):
        program = lowered(graph, "pull", "cortex-m4", segment(graph, "H", layers, 2))
        assert (program is not None) == possible


@pytest.mark.parametrize("pair", ["F", "R", "E"])
def test_pairs_inside_strips(pair: str) -> None:
    graph = bottlenecks()
    whole = {}
    for parts in (1, 3):
        planned = segment(graph, "H", LAYERS, parts, pairs=(pair_of(graph, pair),))
        program = lowered(graph, "pull", "cortex-m4", planned)
        assert program is not None
        image = allocate(program)
        check(image)
        whole[parts] = image.arena_bytes
    assert whole[3] < whole[1]


def test_macs_are_those_of_the_halo() -> None:
    """What each strip's layers compute, counted from their regions."""
    graph = bottlenecks()
    program = lowered(graph, "resident", "cortex-m4", segment(graph, "H", LAYERS, 3))
    assert program is not None
    per_pixel = {
        call.node.name: operator_of(call.node).macs(call) // int(np.prod(call.output.shape[1:3]))
        for call in graph.calls()
    }
    counted = 0
    for step in program.steps:
        region = step.output.region
        height, width = graph.tensors[step.output.tensor].shape[1:3]
        pixels = region.height * region.width if region else height * width
        counted += pixels * per_pixel[step.layer]
    assert program.macs_executed == counted
    assert counted > sum(operator_of(c.node).macs(c) for c in graph.calls())


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize(("primitive", "parts"), [("H", 3), ("B", 2)])
@pytest.mark.parametrize("mode", TILED_MODES)
def test_generated_c(
    name: str, primitive: str, parts: int, mode: InputMode, tmp_path: Path
) -> None:
    """Values on this machine, and the painted bytes."""
    graph = NETS[name]()
    artifact = convert_planned(
        graph,
        mode,
        primitive=primitive,  # type: ignore[arg-type]
        pairs=(pair_of(graph, "F"),) if name == "bottlenecks" and primitive == "H" else (),
        layers=LAYERS,
        parts=parts,
    )
    folder = artifact.save(tmp_path / "model")
    manifest = load_manifest(folder)
    assert (manifest.schedule[0].primitive, manifest.schedule[0].parts) == (primitive, parts)
    samples = seeded_samples(manifest.inputs, 3, seed=2)
    with quick_builds(OPS):
        result = in_a_child(lambda: run_host(folder, samples, paint=True))
    reference = Reference(folder).graph
    for sample, outputs in zip(samples, result.outputs, strict=True):
        values = interpret(reference, sample, outputs_only=True)
        for port, output in zip(reference.outputs, outputs, strict=True):
            assert np.array_equal(output, values[port.tensor])
    assert result.arena_touched_bytes == manifest.arena_bytes


def test_trace_of_strips(tmp_path: Path) -> None:
    """What every firing has written equals the reference, and together it is every pixel."""
    artifact = convert_planned(bottlenecks(), "pull", primitive="H", layers=LAYERS, parts=3)
    folder = artifact.save(tmp_path / "model")
    (sample,) = seeded_samples(load_manifest(folder).inputs, 1, seed=1)
    values = interpret(Reference(folder).graph, sample)
    seen: dict[str, Array] = {}

    def look(number: int, fired: FiredRows) -> None:
        tensor = next(b.tensor for b in fired.layer.buffers if b.role == "output")
        assert fired.differences(values[tensor]) == 0, fired.layer
        covered = seen.setdefault(tensor, np.zeros(values[tensor].shape[1:3], bool))
        region = fired.layer.region
        columns = slice(region.left, region.right) if region else slice(None)
        covered[fired.rows, columns] = True

    run_host(folder, [sample], on_rows=look)
    assert len(seen) > 8
    assert all(covered[:, :].all() for name, covered in seen.items() if name.endswith("_y"))


@pytest.mark.parametrize(("primitive", "parts"), [("H", 4), ("B", 3)])
def test_windows_that_are_pulled(
    primitive: str,
    parts: int,
    repository: Path,
    tmp_path: Path,
    require_program: Callable[[str], str],
) -> None:
    """Inside the image, beyond its first column, under sanitizers, in memory of exact size."""
    require_program("gcc")
    graph = bottlenecks()
    artifact = convert_planned(graph, "pull", primitive=primitive, layers=LAYERS, parts=parts)  # type: ignore[arg-type]
    folder = artifact.save(tmp_path / "model")
    manifest = load_manifest(folder)
    windows = [layer.region for layer in manifest.layers if layer.op == "input"]
    assert len(windows) == (parts if primitive == "H" else parts**2)
    furthest = max(window.left for window in windows if window)
    assert furthest > 0
    samples = seeded_samples(manifest.inputs, 2, seed=5)
    (tmp_path / "inputs").write_bytes(b"".join(sample[0].tobytes() for sample in samples))
    flags = ("-DWIDTH=47", "-DCHANNELS=3", f"-DFURTHEST_X={furthest}")
    main = repository / "tests" / "c" / "pull_main.c"
    program = tmp_path / "program"
    build_program(main, folder, program, *flags, flags=SANITIZED)
    run([program, tmp_path / "inputs", tmp_path / "outputs"])
    reference = Reference(folder).graph
    values = [interpret(reference, s)[reference.outputs[0].tensor] for s in samples]
    assert (tmp_path / "outputs").read_bytes() == b"".join(value.tobytes() for value in values)


def test_weights_are_there_once() -> None:
    """Strips share packed weights, and layer structs where they are equal."""
    tables, structs = {}, {}
    for parts in (1, 3, 5):
        artifact = convert_planned(
            bottlenecks(), "resident", primitive="H", layers=LAYERS, parts=parts
        )
        lines = artifact.files["model.c"].decode().splitlines()
        tables[parts] = [line for line in lines if re.match(r"static const int.* layer_", line)]
        structs[parts] = [
            line for line in lines if re.match(r"static const ek_.* layer_\d+ =", line)
        ]
    assert [re.sub(r" \w+\[", " [", line) for line in tables[1]] == [
        re.sub(r" \w+\[", " [", line) for line in tables[5]
    ]
    assert len(structs[3]) < 3 * len(structs[1])
    assert len(structs[5]) < 4 * len(structs[1])


def test_strip_of_another_column_is_noticed() -> None:
    program = lowered(bottlenecks(), "pull", "cortex-m4", segment(bottlenecks(), "H", LAYERS, 3))
    assert program is not None
    image = allocate(program)
    broken = 0
    for index, step in enumerate(image.program.steps):
        if step.output.region is None or step.output.buffer not in ("", step.output.tensor):
            continue
        moved = dataclasses.replace(step.output, skip_bytes=step.output.skip_bytes + 1)
        steps = list(image.program.steps)
        steps[index] = dataclasses.replace(step, output=moved)
        program = dataclasses.replace(image.program, steps=tuple(steps))
        graph = program.graph
        sample = sample_of(graph)
        expected = interpret(graph, sample)[graph.outputs[0].tensor]
        try:
            (found,) = replay(dataclasses.replace(image, program=program), sample).outputs
            broken += not np.array_equal(found, expected)
        except (ReplayError, ValueError):
            broken += 1
    assert broken >= 6


def _with(layers: Callable[[GraphBuilder, str], str]) -> QGraph:
    b = GraphBuilder("refused", seed=9)
    x = b.conv2d(b.input("image", (1, 8, 8, 4)), 4, square(SAME_3))
    y = layers(b, x)
    return b.graph(b.conv2d(y, 4), *([x] if y is x else []))


REFUSED: dict[str, QGraph] = {
    "upsampling": _with(
        lambda b, x: b.node(
            "resize_nearest", ResizeNearest(*[tuple(i // 2 for i in range(16))] * 2), x
        )
    ),
    "whole map": _with(lambda b, x: b.node("mul", Mul(), x, b.node("mean", Mean((1, 2), True), x))),
    "view": _with(lambda b, x: b.reshape(x, (1, 4, 16, 4))),
    "returned": _with(lambda b, x: x),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("primitive", ["H", "B"])
def test_layers_that_cannot_run_in_parts(name: str, primitive: str) -> None:
    graph = REFUSED[name]
    planned = segment(graph, primitive, len(graph.nodes), 2)
    assert lowered(graph, "resident", "cortex-m4", planned) is None
    assert lowered(graph, "resident", "cortex-m4", segment(graph, primitive, 1, 2)) is not None


def test_no_more_parts_than_columns() -> None:
    graph = _with(lambda b, x: b.conv2d(x, 2))
    for parts in (8, 9):
        program = lowered(graph, "resident", "host", segment(graph, "H", 2, parts))
        assert (program is None) == (parts == 9)
