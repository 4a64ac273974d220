# SPDX-License-Identifier: Apache-2.0
"""Sliced inference: every call of <name>_step stays within the bound of the manifest."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from support.c_project import SANITIZERS, WARNINGS, run, sources
from support.graphs import GRAPHS, SAME_3, GraphBuilder, square
from support.planned import convert_planned

from edgekit.interpret import interpret
from edgekit.ir import QGraph
from edgekit.manifest import Manifest
from edgekit.program import InputMode
from edgekit.reference import Reference

RequireProgram = Callable[[str], str]


def wide() -> QGraph:
    """A map of 23 x 30 pixels that layers see as one row, which has to be cut."""
    b = GraphBuilder("wide", seed=4)
    return b.graph(b.conv2d(b.conv2d(b.input("image", (1, 23, 30, 3)), 4, square(SAME_3)), 24))


def traced(folder: Path, repository: Path, mode: InputMode, tmp_path: Path) -> list[str]:
    """The lines that a run in slices prints."""
    trace = repository / "tests" / "c" / "slices_trace.h"
    flags = [*WARNINGS, *SANITIZERS, "-O1", f"-I{folder}", f"-I{trace.parent}"]
    flags += ["-DSTREAMED"] if mode == "stream" else []
    objects = []
    for source in sources(folder):
        objects.append(tmp_path / f"{source.stem}.o")
        run(["gcc", *flags, "-include", trace, "-c", source, "-o", objects[-1]])
    main = trace.parent / "slices_main.c"
    run(["gcc", *flags, main, *objects, "-o", tmp_path / "program"])
    return run([tmp_path / "program"]).splitlines()


def slices(lines: Sequence[str]) -> Iterator[list[str]]:
    """The lines of each slice; rows of the input and the output are none."""
    for is_slice, group in itertools.groupby(lines, key=_is_of_slice()):
        if is_slice:
            yield from _cut(list(group))


def _is_of_slice() -> Callable[[str], bool]:
    state = {"inside": False}

    def inside(line: str) -> bool:
        if line in ("row", "finish") or line.startswith("output"):
            state["inside"] = False
        elif line == "slice":
            state["inside"] = True
        return state["inside"]

    return inside


def _cut(lines: Sequence[str]) -> Iterator[list[str]]:
    current: list[str] = []
    for line in lines:
        if line == "slice" and current:
            yield current
            current = []
        current.append(line)
    yield current


def macs_of(slice_: Sequence[str], manifest: Manifest) -> float:
    """MACs of the rows that a slice completed."""
    fired = [tuple(map(int, line.split()[1:])) for line in slice_ if line.startswith("fired")]
    layers = {index: manifest.layers[index] for index, _ in fired}
    return sum(layers[index].macs / layers[index].rows for index, _ in fired)


@pytest.mark.parametrize(
    ("name", "primitive", "mode"),
    [
        ("wide", "L", "resident"),
        ("residual", "C", "resident"),
        ("residual", "L", "stream"),
        ("every_operator", "L", "overwrite"),
        ("every_operator", "C", "stream"),
    ],
)
def test_slices_are_no_larger_than_the_manifest_says(
    name: str,
    primitive: Literal["L", "C"],
    mode: InputMode,
    repository: Path,
    tmp_path: Path,
    require_program: RequireProgram,
) -> None:
    require_program("gcc")
    graph_of = {**GRAPHS, "wide": wide}[name]
    artifact = convert_planned(graph_of(), mode, primitive=primitive)
    folder, manifest = artifact.save(tmp_path / "model"), artifact.manifest
    lines = traced(folder, repository, mode, tmp_path)
    found = list(slices(lines))
    assert lines[-1].startswith("output") and len(found) > len(manifest.layers)
    waiting: dict[int, int] = {}
    for slice_ in found:
        layers = [int(line.split()[1]) for line in slice_ if line.startswith("layer")]
        macs = macs_of(slice_, manifest)
        if layers and not any(line.startswith("fired") for line in slice_):
            waiting[layers[0]] = waiting.get(layers[0], 0) + 1  # columns of a row to come
            continue
        parts = 1 + (waiting.pop(layers[0], 0) if layers else 0)
        assert macs / parts <= manifest.slice_macs, slice_
    assert not waiting
    if name == "wide":
        assert manifest.slice_macs * 20 < manifest.macs_executed, "a map was not cut"
    graph = Reference(folder).graph
    zeros = tuple(np.zeros(entry.shape, np.int8) for entry in manifest.inputs)
    wanted = interpret(graph, zeros)[graph.outputs[0].tensor].ravel().tolist()
    assert [int(line.split()[1]) for line in lines if line.startswith("output")] == wanted
    if mode == "stream":
        assert lines[lines.index("finish") + 1].startswith("output"), "finish had work left"
