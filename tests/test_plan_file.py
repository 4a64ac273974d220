# SPDX-License-Identifier: Apache-2.0
"""Plans as files: what a conversion leaves behind gives the same conversion again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.graphs import residual, two_by_two

from edgekit.api import parse_budget
from edgekit.artifact import Artifact
from edgekit.converters.load import Imported
from edgekit.errors import BadInputError
from edgekit.ir import QGraph
from edgekit.pipeline import ConvertOptions, convert_model, to_integers
from edgekit.target import load_target

Content = dict[str, Any]


def convert(graph: QGraph, **budget: Any) -> Artifact:
    given = {"schedule": "auto", "input_mode": "resident", "max_ram": None, "max_extra_macs": None}
    options = ConvertOptions(load_target("cortex-m4"), budget=parse_budget(**(given | budget)))
    return Artifact(convert_model(to_integers(Imported(graph), None), options))


@pytest.fixture(scope="module")
def streamed() -> Artifact:
    return convert(residual(), input_mode="stream")


def content_of(artifact: Artifact) -> Content:
    content: Content = json.loads(artifact.files["reference/plan.json"])
    return content


def with_plan(content: Content, folder: Path, graph: QGraph | None = None) -> Artifact:
    path = folder / "plan.json"
    path.write_text(json.dumps(content), "utf-8")
    return convert(graph or residual(), plan=path)


def test_the_same_plan_gives_the_same_files(streamed: Artifact, tmp_path: Path) -> None:
    again = with_plan(content_of(streamed), tmp_path)
    assert again.files == streamed.files
    assert again.manifest.input_mode == "stream"


def test_every_plan_of_the_front_can_be_taken(tmp_path: Path) -> None:
    from edgekit.analysis import analyze_model

    analysis = analyze_model(Imported(residual()), load_target("cortex-m4"), None).analysis
    front = json.loads(analysis.to_json())["front"]
    assert len(front) > 1
    for point in front:
        manifest = with_plan(point["plan"], tmp_path).manifest
        assert manifest.macs_executed == point["macs_executed"]
    with_plan(front[0]["plan"], tmp_path).validate(samples=2).assert_ok()


def _first_pair(content: Content) -> Content:
    pairs = [pair for segment in content["segments"] for pair in segment["pairs"]]
    found: Content = pairs[0]
    return found


def _twice(content: Content) -> None:
    (segment,) = (s for s in content["segments"] if s["pairs"])
    segment["pairs"] *= 2


WRONG: dict[str, tuple[Callable[[Content], object], str]] = {
    "another_model": (lambda c: c["segments"][0]["nodes"].pop(), "the model has"),
    "block": (lambda c: _first_pair(c).update(block=5), "in blocks of 5 channels"),
    "no_pair": (lambda c: _first_pair(c).update(consumer="conv2d_0"), "cannot share rows"),
    "pair_twice": (_twice, "shares a layer with another"),
    "strips_of_pushed_rows": (lambda c: c["segments"][0].update(primitive="H", parts=2), "pushed rows"),
    "columns_in_strips": (
        lambda c: c["segments"][0].update(
            primitive="H",
            parts=2,
            pairs=[{"primitive": "D", "producer": "conv2d_0", "consumer": "conv2d_1", "block": 2}],
        ),
        "primitive D run in segments of primitive C only",
    ),
    "parts": (lambda c: c["segments"][-1].update(parts=3), "3 parts of a segment"),
    "no_parts": (lambda c: c["segments"][-1].update(parts=0), "0 parts of a segment"),
    "not_accumulating": (
        lambda c: c["segments"][0].update(accumulating=["conv2d_0"]),
        "'conv2d_0' cannot take its input row by row",
    ),
    "unknown_primitive": (lambda c: c["segments"][0].update(primitive="Q"), "Invalid enum value 'Q'"),
    "unknown_field": (lambda c: c.update(more=1), "unknown field `more`"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_plans_are_refused(name: str, streamed: Artifact, tmp_path: Path) -> None:
    content = content_of(streamed)
    spoil, message = WRONG[name]
    spoil(content)
    with pytest.raises(BadInputError, match=message):
        with_plan(content, tmp_path)


def test_plan_of_another_kind_of_model(streamed: Artifact, tmp_path: Path) -> None:
    with pytest.raises(BadInputError):
        with_plan(content_of(streamed), tmp_path, two_by_two())


def test_plan_stands_alone(streamed: Artifact, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(streamed.files["reference/plan.json"])
    with pytest.raises(BadInputError, match="leave out --schedule, --input"):
        convert(residual(), plan=path, input_mode="stream")
    with pytest.raises(BadInputError, match=r"--plan .*: .*No such file"):
        convert(residual(), plan=tmp_path / "missing.json")
