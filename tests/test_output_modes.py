# SPDX-License-Identifier: Apache-2.0
"""Rows of the output that go to a callback: every row once, in order, in less memory than the map."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from support.c_project import (
    CORTEX_M4,
    SANITIZERS,
    WARNINGS,
    build_program,
    check_example,
    check_no_state,
    compile_each,
    run,
    section_bytes,
)
from support.graphs import HALF_3, SAME_3, GraphBuilder, square, two_by_two
from support.planned import MODES, convert_planned, one_row, single_pixel, unused_rows

from edgekit.artifact import Artifact
from edgekit.errors import BadInputError
from edgekit.inputs import seeded_samples
from edgekit.interpret import interpret
from edgekit.ir import QGraph
from edgekit.ops.add import Add
from edgekit.ops.concat import Concat
from edgekit.ops.resize_nearest import ResizeNearest
from edgekit.program import InputMode
from edgekit.reference import Reference
from edgekit.runners.host import run_host

RequireProgram = Callable[[str], str]


def segmentation() -> QGraph:
    """A small U-Net: its output map is the largest but one."""
    b = GraphBuilder("segmentation", seed=8)
    x = b.conv2d(b.input("output", (1, 14, 12, 2)), 4, square(SAME_3))  # a name that is taken
    y = b.conv2d(b.conv2d(x, 8, square(HALF_3)), 4, square(SAME_3))
    up = b.node(
        "resize_nearest",
        ResizeNearest(tuple(i // 2 for i in range(14)), tuple(i // 2 for i in range(12))),
        y,
    )
    return b.graph(b.conv2d(b.node("concat", Concat(3), x, up), 5, square(SAME_3)))


def other_rows() -> QGraph:
    """The output is another shape of the last map."""
    b = GraphBuilder("other_rows", seed=9)
    x = b.conv2d(b.input("image", (1, 6, 5, 3)), 4, square(SAME_3))
    return b.graph(b.reshape(x, (1, 10, 4, 3)))


def input_returned() -> QGraph:
    b = GraphBuilder("input_returned", seed=10)
    x = b.input("image", (1, 4, 3, 2))
    b.node("add", Add(), x, x)
    return b.graph(x)


GRAPHS: dict[str, Callable[[], QGraph]] = {
    "segmentation": segmentation,
    "other_rows": other_rows,
    "input_returned": input_returned,
    "one_row": one_row,
    "single_pixel": single_pixel,
    "unused_rows": unused_rows,
}


def converted(name: str, mode: InputMode, primitive: Literal["L", "C"] = "C") -> Artifact:
    return convert_planned(GRAPHS[name](), mode, output_mode="stream", primitive=primitive)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("primitive", ["L", "C"])
@pytest.mark.parametrize("name", GRAPHS)
def test_rows_are_those_of_the_reference(
    name: str, primitive: Literal["L", "C"], mode: InputMode, tmp_path: Path
) -> None:
    artifact = converted(name, mode, primitive)
    folder = artifact.save(tmp_path / "model")
    samples = list(seeded_samples(artifact.manifest.inputs, 4, seed=3))
    found = run_host(folder, samples, paint=True)
    graph = Reference(folder).graph
    for sample, outputs in zip(samples, found.outputs, strict=True):
        wanted = interpret(graph, sample)[graph.outputs[0].tensor]
        assert np.array_equal(outputs[0], wanted)
    assert found.arena_touched_bytes <= artifact.manifest.arena_bytes
    assert artifact.manifest.ram_bytes == artifact.manifest.arena_bytes + (
        artifact.manifest.input_bytes if mode == "resident" else 0
    )


def test_map_is_not_kept() -> None:
    streamed = converted("segmentation", "stream").manifest
    held = convert_planned(segmentation(), "stream").manifest
    (output,) = held.outputs
    row, waiting = output.bytes // 14, held.arena_bytes - streamed.arena_bytes
    assert row < waiting < output.bytes, (
        "rows that come behind the last row of the input never wait"
    )


@pytest.mark.parametrize("mode", MODES)
def test_example_prints_the_outputs(
    mode: InputMode, tmp_path: Path, require_program: RequireProgram
) -> None:
    require_program("gcc")
    folder = converted("segmentation", mode).save(tmp_path / "model")
    example, program = folder / "example" / "main.c", tmp_path / "example"
    build_program(example, folder, program, flags=[*WARNINGS, *SANITIZERS])
    check_example(run([program]), folder)


@pytest.mark.parametrize("mode", ["resident", "stream"])
def test_without_a_sink_it_is_refused(
    mode: InputMode, tmp_path: Path, require_program: RequireProgram
) -> None:
    require_program("gcc")
    folder = converted("segmentation", mode).save(tmp_path / "model")
    calls = "model_run(input, sink, &arena)"
    if mode == "stream":
        calls = "model_push_rows(&arena, input, 1, sink)"
    (tmp_path / "main.c").write_text(f"""
#include "model.h"
#include <stddef.h>
static union {{ uint64_t align; uint8_t bytes[MODEL_ARENA_BYTES]; }} arena;
static int8_t input[MODEL_INPUT_BYTES];
static ek_status with(const model_sink *sink) {{ return {calls}; }}
int main(void) {{
  const model_sink unwritable = {{NULL, NULL}};
  return with(NULL) == EK_BAD_ARGUMENT && with(&unwritable) == EK_BAD_ARGUMENT ? 0 : 1;
}}
""")
    build_program(tmp_path / "main.c", folder, tmp_path / "program")
    run([tmp_path / "program"])


@pytest.mark.parametrize("compiler", ["gcc", "arm-none-eabi-gcc", "g++"])
def test_compiles_without_a_warning_and_holds_no_state(
    compiler: str, tmp_path: Path, require_program: RequireProgram
) -> None:
    require_program(compiler)
    arm = compiler.startswith("arm")
    flags = [*(CORTEX_M4 if arm else ("-fno-pic",)), *WARNINGS, "-O2"]
    if compiler == "g++":
        flags = [
            "-x",
            "c++",
            "-std=c++17",
            "-fno-pic",
            "-Wall",
            "-Wextra",
            "-Wpedantic",
            "-Werror",
            "-O2",
        ]
    folder = converted("segmentation", "pull").save(tmp_path / "model")
    objects = compile_each(compiler, flags, folder, tmp_path / "objects")
    check_no_state(section_bytes("arm-none-eabi-size" if arm else "size", objects))


@pytest.mark.parametrize("mode", ["stream", "resident"])
def test_emulated_core_hands_over_the_same_rows(
    mode: InputMode, tmp_path: Path, require_program: RequireProgram
) -> None:
    require_program("qemu-system-arm")
    artifact = converted("segmentation", mode)
    artifact.validate(on=("host", "qemu"), samples=2).assert_ok()


def test_conversion_searches_for_it() -> None:
    graph = segmentation()
    held = edgekit_arena(graph, stream_output=False)
    assert edgekit_arena(graph, stream_output=True) < held


def edgekit_arena(graph: QGraph, *, stream_output: bool) -> int:
    from edgekit.api import parse_budget
    from edgekit.converters.load import Imported
    from edgekit.pipeline import ConvertOptions, convert_model, to_integers
    from edgekit.target import load_target

    budget = parse_budget(
        schedule="auto",
        input_mode="stream",
        max_ram=None,
        max_extra_macs=0,
        stream_output=stream_output,
    )
    options = ConvertOptions(load_target("cortex-m4"), budget=budget)
    artifact = Artifact(convert_model(to_integers(Imported(graph), None), options))
    artifact.validate(on=("host",), samples=3).assert_ok()
    return artifact.manifest.arena_bytes


def test_several_outputs_and_outputs_without_rows_are_refused() -> None:
    with pytest.raises(
        BadInputError, match="the model has 4 outputs, and rows can be those of one"
    ):
        convert_planned(two_by_two(), "resident", output_mode="stream")
    b = GraphBuilder("vector")
    x = b.reshape(b.conv2d(b.input("image", (1, 2, 2, 1)), 1), (1, 4))
    with pytest.raises(BadInputError, match=r"output 'y0' of shape \(1, 4\) has no rows"):
        convert_planned(b.graph(x), "resident", output_mode="stream")
