# SPDX-License-Identifier: Apache-2.0
"""Bottlenecks that are computed in blocks of their inner channels, where a budget asks for less RAM."""

from __future__ import annotations

import json
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.graphs import GraphBuilder, square

from edgekit.api import parse_budget
from edgekit.artifact import Artifact
from edgekit.converters.load import Imported
from edgekit.converters.plan_model import Budget, plan_model
from edgekit.converters.schedule.again import Again
from edgekit.converters.schedule.plan import Split
from edgekit.converters.schedule.split import tight_splits, with_splits
from edgekit.errors import BadInputError
from edgekit.inputs import seeded_samples
from edgekit.interpret import interpret
from edgekit.ir import QGraph
from edgekit.ops import operator_of
from edgekit.ops.add import Add
from edgekit.pipeline import ConvertOptions, convert_model, to_integers
from edgekit.program import InputMode
from edgekit.runners.host import run_host
from edgekit.target import load_target
from edgekit.validate import ValidateOptions, validate
from edgekit.window import Axis

SAME_7 = Axis(7, 1, 1, 3, 3)
HALF_5 = Axis(5, 2, 1, 2, 2)


def bottlenecks(
    *, size: int = 6, channels: int = 12, inner: int = 96, axes: tuple[Axis, ...] = (SAME_7, HALF_5)
) -> QGraph:
    """Inverted bottlenecks on a small map, whose windows span nearly all of it."""
    b = GraphBuilder("bottlenecks", seed=2)
    x = b.conv2d(b.input("image", (1, size, size + 1, 3)), channels)
    for axis in axes:
        y = b.conv2d(b.depthwise(b.conv2d(x, inner), square(axis)), channels)
        x = b.node("add", Add(), x, y) if axis.stride == 1 else y
    return b.graph(b.conv2d(x, 5))


def ends(graph: QGraph) -> list[str]:
    """The last layers of the bottlenecks."""
    producers = graph.producer()
    nodes = [n for n in graph.nodes if n.inputs[0] in producers and n.op == "conv2d"]
    return [n.name for n in nodes if producers[n.inputs[0]].op == "depthwise_conv2d"]


def without_splits(graph: QGraph, budget: Budget) -> int:
    """The arena of the best plan in which no bottleneck is split."""
    with mock.patch("edgekit.converters.plan_model.tight_splits", return_value=()):
        return plan_model(graph, load_target("cortex-m4"), budget).image.arena_bytes


def converted(graph: QGraph, **budget: object) -> Artifact:
    given = {"schedule": "auto", "input_mode": "resident", "max_ram": None, "max_extra_macs": None}
    options = ConvertOptions(load_target("cortex-m4"), budget=parse_budget(**(given | budget)))  # type: ignore[arg-type]
    return Artifact(convert_model(to_integers(Imported(graph), None), options))


@given(
    blocks=st.integers(2, 9),
    channels=st.integers(1, 5),
    inner=st.sampled_from([5, 8, 20, 33]),
    axis=st.sampled_from([Axis(1), Axis(3, 2, 1, 0, 1), Axis(3, 1, 2, 2, 2), SAME_7]),
)
def test_the_model_stays_the_same(blocks: int, channels: int, inner: int, axis: Axis) -> None:
    graph = bottlenecks(size=5, channels=channels, inner=inner, axes=(axis, HALF_5))
    splits = [Split(name, blocks) for name in ends(graph)]
    again = with_splits(Again(graph), splits)
    assert again.repeats.splits == tuple(splits)
    assert macs_of(again.graph) == macs_of(graph)
    (sample,) = ((np.random.default_rng(1).integers(-128, 128, (1, 5, 6, 3)).astype(np.int8),),)
    mine, wanted = interpret(again.graph, sample), interpret(graph, sample)
    for port in graph.outputs:
        assert np.array_equal(mine[port.tensor], wanted[port.tensor])


def macs_of(graph: QGraph) -> int:
    return sum(operator_of(call.node).macs(call) for call in graph.calls())


def test_blocks_have_a_multiple_of_four_channels() -> None:
    graph = bottlenecks(inner=22)
    (name, *_) = ends(graph)
    nodes = with_splits(Again(graph), [Split(name, 3)]).graph.calls()
    sizes = [call.inputs[0].shape[3] for call in nodes if call.node.op == "block_conv2d"]
    assert sizes == [8, 8, 6]


@pytest.mark.parametrize("mode", ["resident", "stream", "pull", "overwrite"])
def test_less_ram_and_the_same_outputs(mode: InputMode, tmp_path: Path) -> None:
    graph = bottlenecks()
    plain = without_splits(graph, Budget(input_mode=mode, max_extra_macs=0))
    artifact = converted(graph, input_mode=mode, max_extra_macs=0)
    manifest = artifact.manifest
    assert manifest.arena_bytes < 0.8 * plain
    assert manifest.macs_executed == manifest.macs_legalized == macs_of(graph)
    bounds = [layer.accumulator_bound for layer in manifest.layers if layer.op == "block_conv2d"]
    assert bounds and all(bounds)
    folder = artifact.save(tmp_path / "model")
    report = validate(folder, ValidateOptions(on=("host",), samples=3, per_layer=True))
    assert report.assert_ok().first_difference is None
    samples = seeded_samples(manifest.inputs, 2, seed=0)
    assert run_host(folder, samples, paint=True).arena_touched_bytes == manifest.arena_bytes
    wanted = interpret(graph, samples[0], outputs_only=True)
    (output,) = run_host(folder, samples[:1]).outputs[0]
    assert np.array_equal(output, wanted[graph.outputs[0].tensor])


def test_only_where_a_budget_asks_for_less() -> None:
    graph = bottlenecks()
    assert not splits_of(converted(graph))
    plain = converted(graph, max_extra_macs=0).manifest.ram_bytes
    assert splits_of(converted(graph, max_ram=plain, max_extra_macs=0))
    assert not splits_of(converted(graph, max_ram=100_000))


def splits_of(artifact: Artifact) -> list[dict[str, object]]:
    content: dict[str, list[dict[str, object]]]
    content = json.loads(artifact.files["reference/plan.json"])
    return content["in_blocks"]


def test_nothing_is_split_where_something_else_takes_as_much() -> None:
    graph = bottlenecks()
    first, second = (tuple(ends(graph)[i : i + 1]) for i in (0, 1))
    assert tight_splits(graph, 6000, [first]) == (Split(*first, 8),)
    assert {split.project for split in tight_splits(graph, 6000, [first, second])} == {
        *first,
        *second,
    }
    assert tight_splits(graph, 6000, [first, ("conv2d_0",)]) == ()
    assert tight_splits(graph, 6000, []) == ()
    assert tight_splits(graph, 2000, [first]) == ()  # the sums alone take more


def test_blocks_that_take_as_much_are_split_further() -> None:
    graph = bottlenecks()
    name, other = ends(graph)
    before, further = (Split(name, 8), Split(other, 8)), (Split(name, 16), Split(other, 8))
    assert tight_splits(graph, 6000, [(f"{name}/in_block_2",)], before) == further
    assert tight_splits(graph, 6000, [(name,)], further) == ()


def test_a_map_that_others_read_is_not_split() -> None:
    b = GraphBuilder("shared", seed=2)
    wide = b.conv2d(b.input("image", (1, 6, 6, 3)), 32)
    y = b.conv2d(b.depthwise(wide, square(SAME_7)), 4)
    graph = b.graph(y, b.conv2d(wide, 4))
    with pytest.raises(BadInputError, match="not the end of a bottleneck"):
        with_splits(Again(graph), [Split(ends(graph)[0], 4)])


def test_a_plan_file_says_what_is_split(tmp_path: Path) -> None:
    graph = bottlenecks()
    artifact = converted(graph, input_mode="stream", max_extra_macs=0)
    path = tmp_path / "plan.json"
    path.write_bytes(artifact.files["reference/plan.json"])
    assert converted(graph, plan=path).files == artifact.files
    content = json.loads(path.read_bytes())
    content["in_blocks"][0]["project"] = "conv2d_0"
    path.write_text(json.dumps(content), "utf-8")
    with pytest.raises(BadInputError, match=r"'conv2d_0' in [0-9]+ blocks"):
        converted(graph, plan=path)
