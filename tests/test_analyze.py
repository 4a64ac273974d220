# SPDX-License-Identifier: Apache-2.0
"""analyze: the schedules, the front, advice that was planned, and the picture of memory over time."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fuzz.values import NAMES
from support.command_line import Edgekit
from support.graphs import HALF_3, SAME_3, GraphBuilder, square

from edgekit.advice import changed_graph, find_advice
from edgekit.analysis import Study, analyze_model
from edgekit.converters.load import Imported
from edgekit.converters.plan_model import Budget, plan_model
from edgekit.ir import QGraph
from edgekit.manifest import load_manifest
from edgekit.ops.add import Add
from edgekit.program import Buffer
from edgekit.report.memory import buffer_kinds, find_peak, lives
from edgekit.report.memory_svg import memory_svg
from edgekit.target import load_target
from edgekit.window import Axis, Window

SVG = "{http://www.w3.org/2000/svg}"
SCHEDULE_KEYS = [
    "name",
    "input_mode",
    "arena_bytes",
    "arena_lower_bound_bytes",
    "ram_bytes",
    "macs_executed",
    "extra_macs_percent",
    "instructions_model",
    "fits",
]
FRONT_KEYS = [
    "arena_bytes",
    "instructions_model",
    "relative_instructions",
    "macs_executed",
    "segments",
    "plan",
]


def trunk(name: str = "trunk") -> QGraph:
    """A stem, two depthwise stages and a late stride: much is streamed at full resolution."""
    b = GraphBuilder(name, seed=3)
    x = b.conv2d(b.input("image", (1, 24, 24, 3)), 8, square(HALF_3))
    x = b.depthwise(b.conv2d(x, 16), square(SAME_3))
    x = b.depthwise(b.conv2d(x, 24), square(HALF_3))
    return b.graph(b.conv2d(x, 4))


@pytest.fixture(scope="module")
def study() -> Study:
    return analyze_model(Imported(trunk()), load_target("cortex-m4"), None)


@pytest.fixture
def model_file(shared_model: Callable[[str], Path]) -> Path:
    return shared_model("kws_int8")


@pytest.fixture(scope="module")
def documents() -> dict[str, Any]:
    """What ``analyze --json`` printed, by what else was asked for."""
    return {}


@pytest.fixture
def document(edgekit: Edgekit, model_file: Path, documents: dict[str, Any]) -> Callable[..., Any]:
    """``document(*options)`` is what ``analyze --json`` prints of the model."""

    def analyzed(*options: str) -> Any:
        key = " ".join(options)
        if key not in documents:
            documents[key] = edgekit("analyze", model_file, "--json", *options).json
        return documents[key]

    return analyzed


def test_json_keys(document: Callable[..., Any]) -> None:
    found = document()
    assert [list(entry) for entry in found["schedules"]] == [SCHEDULE_KEYS] * 6
    named = [(entry["name"], entry["input_mode"]) for entry in found["schedules"]]
    modes = ("resident", "stream", "pull")
    resident = [(name, "resident") for name in ("layerwise", "patch", "stream")]
    assert named == [*resident, *(("auto", mode) for mode in modes)]
    assert all(list(point) == FRONT_KEYS for point in found["front"])
    assert found["front_input_mode"] == "stream"
    assert found["input_mode"] == "resident"
    assert found["advice"] == []


def test_schedules_are_what_convert_takes(study: Study) -> None:
    graph, target = trunk(), load_target("cortex-m4")
    for entry in study.analysis.schedules:
        budget = Budget(schedule=entry.name, input_mode=entry.input_mode)  # type: ignore[arg-type]
        planned = plan_model(graph, target, budget)
        assert entry.arena_bytes == planned.image.arena_bytes
        assert entry.ram_bytes == planned.ram_bytes
        assert entry.arena_lower_bound_bytes <= entry.arena_bytes
        assert (entry.extra_macs_percent > 0) == (entry.name == "patch")


def test_streamed_output_takes_no_ram(study: Study) -> None:
    """Every schedule is then one that convert gives with --stream-output."""
    target = load_target("cortex-m4")
    streamed = analyze_model(Imported(trunk()), target, None, stream_output=True).analysis
    assert (study.analysis.output_mode, streamed.output_mode) == ("resident", "stream")
    held = {(entry.name, entry.input_mode): entry.ram_bytes for entry in study.analysis.schedules}
    assert len(streamed.schedules) == len(held) - 1, "patches do not complete rows in order"
    for entry in streamed.schedules:
        budget = Budget(entry.name, entry.input_mode, output_mode="stream")  # type: ignore[arg-type]
        assert entry.ram_bytes == plan_model(trunk(), target, budget).ram_bytes
        assert entry.ram_bytes < held[entry.name, entry.input_mode]
    assert {point.plan.output_mode for point in streamed.front} == {"stream"}


@pytest.mark.parametrize("mode", ["resident", "stream", "overwrite"])
def test_front_is_nondominated(mode: str, document: Callable[..., Any]) -> None:
    found = document("--input", mode)
    front = found["front"]
    assert found["front_input_mode"] == mode
    assert [p["arena_bytes"] for p in front] == sorted({p["arena_bytes"] for p in front})
    speeds = [p["instructions_model"] for p in front]
    assert speeds == sorted(set(speeds), reverse=True)
    assert front[-1]["relative_instructions"] == 1.0
    assert found["schedules"][-1]["input_mode"] == (mode if mode == "overwrite" else "pull")


def test_segments_name_every_layer_once(study: Study) -> None:
    layers = [layer.label for layer in study.analysis.layers]
    for point in study.analysis.front:
        named: list[str] = []
        for first, last in re.findall(r"\[(\w+)(?:-(\d+))?", point.segments):
            begin = 0 if first == "in" else int(first)
            named += ["in"] if first == "in" else []
            named += [
                str(n) for n in range(begin, int(last or (-1 if first == "in" else first)) + 1)
            ]
        assert named == ["in", *layers]
    assert any(re.search(r"C\[\S+; F\d", point.segments) for point in study.analysis.front)


def test_model_without_rows_has_no_streamed_schedules() -> None:
    b = GraphBuilder("flat")
    graph = b.graph(b.fully_connected(b.input("x", (1, 6)), 3))
    analysis = analyze_model(Imported(graph), load_target("cortex-m4"), None).analysis
    assert {entry.input_mode for entry in analysis.schedules} == {"resident"}
    assert analysis.front_input_mode == "resident"


def test_boards_say_which_schedule_fits(
    edgekit: Edgekit,
    document: Callable[..., Any],
    model_file: Path,
    repository: Path,
    tmp_path: Path,
) -> None:
    bare = document()
    assert all(s["fits"] is None for s in bare["schedules"])
    sizes = [s["ram_bytes"] for s in bare["schedules"]]
    core = (repository / "targets" / "cortex-m4.toml").read_text()
    board = tmp_path / "board.toml"
    line = f'name = "board"\nsram_bytes = {max(sizes) - 1}'
    board.write_text(core.replace('name = "cortex-m4"', line))
    on_board = document("-t", str(board))
    assert [s["fits"] for s in on_board["schedules"]] == [size < max(sizes) for size in sizes]
    assert on_board["fits"] is True
    assert "fits" in edgekit("analyze", model_file, "-t", board).out


def test_bad_options_are_exit_2(edgekit: Edgekit, model_file: Path, tmp_path: Path) -> None:
    assert "--input sideways" in edgekit("analyze", model_file, "--input", "sideways").error
    of_classes = edgekit("analyze", model_file, "--stream-output")
    assert (of_classes.code, "--stream-output" in of_classes.error) == (2, True)
    assert "memory.png" in edgekit("analyze", model_file, "-o", tmp_path / "memory.png").error
    lost = edgekit("analyze", model_file, "-o", tmp_path / "none" / "memory.svg")
    assert (lost.code, list(tmp_path.iterdir())) == (2, [])
    assert "memory.svg" in lost.error


def test_picture_is_the_same_well_formed_text(
    edgekit: Edgekit, model_file: Path, tmp_path: Path
) -> None:
    paths = [tmp_path / "a.svg", tmp_path / "b.svg"]
    assert [edgekit("analyze", model_file, "-o", path).code for path in paths] == [0, 0]
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    root = ElementTree.fromstring(first)
    assert root.get("width") == "1200"
    text = first.decode()
    assert not re.search(r"<script|<image|@import|href|url\((?!#)|\bon\w+=", text)
    assert len(re.findall("http", text)) == 1, "its namespace alone"


def test_picture_shows_every_life_and_the_peak(study: Study) -> None:
    root = ElementTree.fromstring(picture(study))
    paths = [p for p in root.iter(f"{SVG}path") if p.find(f"{SVG}title") is not None]
    boxes = sum((p.get("d") or "").count("M") for p in paths)
    expected = [
        sum(len(lives(buffer)) for buffer in image.program.buffers)
        for image in (study.layerwise, study.chosen, study.chosen)
    ]
    assert boxes == sum(expected)
    words = [element.text or "" for element in root.iter(f"{SVG}text")]
    for image in (study.layerwise, study.chosen):
        peak = find_peak(image)
        assert peak is not None
        assert image.arena_lower_bound_bytes <= peak.bytes <= image.arena_bytes
        assert any(word.startswith(f"peak: {peak.bytes:,} B") for word in words)
        assert any(f"arena {image.arena_bytes:,} B" in word for word in words)
    kinds = set(buffer_kinds(study.chosen.program).values())
    assert {"ring", "kept", "cursor"} <= kinds
    assert set(buffer_kinds(study.layerwise.program).values()) <= {"map", "scratch", "cursor"}


def picture(study: Study, title: str = "net") -> str:
    return memory_svg(study.layerwise, study.chosen, title=title, plan="auto")


@pytest.mark.parametrize("name", [*NAMES[1:], "]]><script>alert(1)</script>", "\x00\ufffe\u202e&"])
def test_hostile_names_are_escaped(name: str) -> None:
    b = GraphBuilder("hostile")
    graph = b.graph(b.conv2d(b.input(name, (1, 6, 6, 2)), 3, square(SAME_3)))
    study = analyze_model(Imported(graph), load_target("cortex-m4"), None)
    text = picture(study, title=f"{name}\ud800")  # as a file name may have
    root = ElementTree.fromstring(text.encode())
    known = {"svg", "title", "style", "defs", "pattern", "rect", "path", "text"}
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == known
    assert all(c.isprintable() or c == "\n" for c in text)


@pytest.mark.parametrize(
    ("busy", "found"), [(0b1, [(0, 0)]), (0b11011, [(0, 1), (3, 4)]), (0b1000, [(3, 3)])]
)
def test_lives_are_runs_of_positions(busy: int, found: list[tuple[int, int]]) -> None:
    assert lives(Buffer("b", 4, 0, 9, busy)) == found


def test_advice_is_what_planning_the_changed_network_gives() -> None:
    graph, target, budget = trunk(), load_target("cortex-m4"), Budget(input_mode="stream")
    planned = plan_model(graph, target, budget)
    advice = find_advice(graph, target, planned, budget)
    assert advice
    assert [a.arena_bytes_after for a in advice] == sorted(a.arena_bytes_after for a in advice)
    for entry in advice:
        assert entry.arena_bytes_after < entry.arena_bytes_before == planned.image.arena_bytes
        assert entry.source
    (kernel,) = (a for a in advice if a.change == "3x3 -> 1x1")
    changed = changed_graph(graph, {kernel.layer: Window(Axis(1), Axis(1))})
    assert changed is not None
    assert plan_model(changed, target, budget).image.arena_bytes == kernel.arena_bytes_after
    pixels, channels = 12 * 12, 16
    assert kernel.macs_before - kernel.macs_after == 8 * pixels * channels


def test_a_stride_moves_only_where_the_shapes_fit() -> None:
    early, late = "depthwise_conv2d_2", "depthwise_conv2d_4"
    windows = {early: square(Axis(3, 2, 1, 1, 1)), late: square(SAME_3)}
    moved = changed_graph(trunk(), windows)
    assert moved is not None
    assert moved.tensors[moved.nodes[2].outputs[0]].shape == (1, 6, 6, 16)
    assert changed_graph(trunk(), {early: windows[early]}) is None, "the output would be smaller"
    b = GraphBuilder("sum")
    x = b.conv2d(b.input("image", (1, 12, 12, 3)), 8)
    y = b.node("add", Add(), x, b.depthwise(x, square(SAME_3)))
    graph = b.graph(b.depthwise(y, square(HALF_3)))
    inside, behind = (n.name for n in graph.nodes if n.op == "depthwise_conv2d")
    around = {inside: windows[early], behind: windows[late]}
    assert changed_graph(graph, around) is None, "a stride inside a residual block"


def test_manifest_lists_the_pairs_of_a_segment(
    edgekit: Edgekit, shared_model: Callable[[str], Path], tmp_path: Path
) -> None:
    arguments = (shared_model("vww_96_int8"), "-t", "cortex-m4", "-o", tmp_path / "out")
    assert edgekit("convert", *arguments, "--input", "stream").code == 0
    manifest = load_manifest(tmp_path / "out")
    pairs = [(segment, pair) for segment in manifest.schedule for pair in segment.pairs]
    assert pairs
    for segment, pair in pairs:
        assert {pair.producer, pair.consumer} <= set(segment.layers)
        assert pair.primitive in ("F", "R", "E")
        assert manifest.layers[pair.producer].completes == "nothing"
        assert pair.block_channels > 0
