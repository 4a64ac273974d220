# SPDX-License-Identifier: Apache-2.0
"""Names from a model file never break the C interface: keywords, doubles, odd characters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.c_project import build_program, run
from support.graphs import GraphBuilder
from support.models import convert_graph

from edgekit.emit.interface import interface_of
from edgekit.errors import BadInputError
from edgekit.ops.add import Add

HOSTILE = (
    "x*/ int y; /*",
    "int",
    "int8_t",
    "unix",
    "decltype",
    "",
    "9 lives",
    "straße/é",
    "x",
    "X",
    "x_1",
    'quote"\\\n#include <none.h>',
    "in",
    "arena",
    "a" * 300,
)


def hostile_model(b: GraphBuilder) -> str:
    """The sum of one input for each name; the first input is also an output."""
    total, *others = [b.input(name, (1, 2, 2, 1)) for name in HOSTILE]
    for other in others:
        total = b.node("add", Add(), total, other)
    return total


def test_hostile_names_compile_as_c_and_cxx(
    require_program: Callable[[str], str], tmp_path: Path
) -> None:
    require_program("gcc")
    require_program("clang++")
    b = GraphBuilder("*/ #error \\")
    artifact = convert_graph(b.graph(hostile_model(b), HOSTILE[0]))
    folder = artifact.save(tmp_path / "model")
    names = [entry.name for entry in (*artifact.manifest.inputs, *artifact.manifest.outputs)]
    assert len(set(names)) == len(names) == len(HOSTILE) + 2
    example = folder / "example" / "main.c"
    build_program(example, folder, tmp_path / "example")
    run(["gcc", "-std=gnu99", f"-I{folder}", "-c", example, "-o", tmp_path / "example.o"])
    (tmp_path / "main.cpp").write_text('#include "model.h"\nint main() { return EK_OK; }\n')
    flags = ("-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{folder}")
    run(["clang++", *flags, "-c", tmp_path / "main.cpp", "-o", tmp_path / "main.o"])
    run([tmp_path / "example"])
    artifact.validate(samples=2).assert_ok()


def test_input_and_output_of_one_name_get_two_identifiers() -> None:
    b = GraphBuilder()
    b.input("y0", (1, 4))
    interface = interface_of(b.graph("y0"), "model")
    assert [t.identifier for t in (*interface.inputs, *interface.outputs)] == ["y0", "y0_1"]


@pytest.mark.parametrize(
    "name",
    ["", "Model", "9net", "a-b", "a" * 42, "ek_net", "int", "main", "string", "stdint", "test"],
)
def test_prefix_that_cannot_be_one_is_refused(name: str) -> None:
    b = GraphBuilder()
    graph = b.graph(b.conv2d(b.input("x", (1, 2, 2, 1)), 1))
    with pytest.raises(BadInputError, match="--name"):
        interface_of(graph, name)


@pytest.mark.parametrize("name", ["a", "net_2", "a" * 41, "layer_0", "string_model"])
def test_other_prefixes_are_taken(name: str) -> None:
    b = GraphBuilder()
    interface = interface_of(b.graph(b.conv2d(b.input("x", (1, 2, 2, 1)), 1)), name)
    assert interface.header == f"{name}.h"
