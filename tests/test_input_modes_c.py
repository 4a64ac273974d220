# SPDX-License-Identifier: Apache-2.0
"""The C interface of every input mode as a user meets it: misuse, warnings, C++, examples, two models."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.c_project import (
    CORTEX_M4,
    SANITIZED,
    SANITIZERS,
    WARNINGS,
    build_program,
    check_example,
    check_no_state,
    compile_each,
    run,
    section_bytes,
    sources,
    symbols,
)
from support.graphs import GRAPHS
from support.planned import MODES, PORTS, convert_planned
from support.tflite_cases_int16 import chain
from support.tflite_oracle import built

from edgekit.inputs import seeded_samples
from edgekit.interpret import interpret
from edgekit.layout import map_size
from edgekit.manifest import load_manifest
from edgekit.program import InputMode
from edgekit.reference import Reference

RequireProgram = Callable[[str], str]
Project = Callable[[str, InputMode], Path]
NEW_MODES: tuple[InputMode, ...] = ("stream", "pull", "overwrite")
GRAPHS_OF_ANY_PORTS = {**GRAPHS, **PORTS}
CXX = ("clang++", "arm-none-eabi-g++", *(["g++"] if shutil.which("g++") else []))
CXX_FLAGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-O2")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """``project(name, mode)``: a hand-made model, converted once; "int16" is one of that type."""
    folders: dict[tuple[str, InputMode], Path] = {}

    def folder_of(name: str, mode: InputMode) -> Path:
        if (name, mode) not in folders:
            folder = tmp_path_factory.mktemp(name)
            if name == "int16":
                _, graph = built(chain(), folder)
            else:
                graph = GRAPHS_OF_ANY_PORTS[name]()
            folders[name, mode] = convert_planned(graph, mode).save(folder / "model")
        return folders[name, mode]

    return folder_of


@pytest.mark.parametrize("name", ["residual", "every_operator", "unused_rows", "single_pixel"])
@pytest.mark.parametrize("mode", NEW_MODES)
def test_misuse_is_refused_and_nothing_else_happens(
    mode: InputMode,
    name: str,
    project: Project,
    repository: Path,
    tmp_path: Path,
    require_program: RequireProgram,
) -> None:
    """Under sanitizers, in memory of exactly the stated sizes; the outputs are the reference's."""
    require_program("gcc")
    folder = project(name, mode)
    (entry,) = load_manifest(folder).inputs
    samples = list(seeded_samples([entry], 6, seed=5))
    graph = Reference(folder).graph
    values = [interpret(graph, sample)[graph.outputs[0].tensor] for sample in samples]
    (tmp_path / "inputs").write_bytes(b"".join(sample[0].tobytes() for sample in samples))
    _, width, channels = map_size(entry.shape)
    main = repository / "tests" / "c" / f"{mode}_main.c"
    program = tmp_path / "program"
    size = (f"-DWIDTH={width}", f"-DCHANNELS={channels}")
    build_program(main, folder, program, *size, flags=SANITIZED)
    run([program, tmp_path / "inputs", tmp_path / "outputs"], env={**os.environ})
    assert (tmp_path / "outputs").read_bytes() == b"".join(value.tobytes() for value in values)


MISALIGNED: dict[InputMode, str] = {
    "resident": "model_run(odd, even, arena) != EK_BAD_ARGUMENT || "
    "model_run(even, odd, arena) != EK_BAD_ARGUMENT",
    "overwrite": "model_run(odd, even, arena) != EK_BAD_ARGUMENT || "
    "model_run(even, odd, arena) != EK_BAD_ARGUMENT",
    "stream": "model_push_rows(arena, odd, 1) != EK_BAD_ARGUMENT || "
    "model_push_rows(arena, even, MODEL_INPUT_ROWS) != EK_OK || "
    "model_finish(arena, odd) != EK_BAD_ARGUMENT || model_finish(arena, even) != EK_OK",
    "pull": "model_run(&source, odd, arena) != EK_BAD_ARGUMENT",
}

INT16_MAIN = """
#include "model.h"
static union {{ uint64_t align; uint8_t bytes[MODEL_ARENA_BYTES + 1]; }} memory;
static int16_t tensor[MODEL_INPUT_BYTES + MODEL_OUTPUT_BYTES];
{source}
int main(void) {{
  int16_t *even = tensor, *odd = (int16_t *)((uint8_t *)tensor + 1);
  void *arena = &memory;
  {begin}
  return {calls} ? 1 : even == odd;
}}
"""


@pytest.mark.parametrize("mode", MODES)
def test_pointer_to_half_an_int16_is_refused(
    mode: InputMode, project: Project, tmp_path: Path, require_program: RequireProgram
) -> None:
    require_program("gcc")
    folder = project("int16", mode)
    source = ""
    if mode == "pull":
        source = """
static void read(void *context, int32_t y, int32_t x, int32_t height, int32_t width,
                 int16_t *destination) {
  (void)context, (void)y, (void)x, (void)height, (void)width, (void)destination;
}
static const model_source source = {0, read};
"""
    begin = "model_begin(arena);" if mode == "stream" else ""
    text = INT16_MAIN.format(source=source, begin=begin, calls=MISALIGNED[mode])
    (tmp_path / "main.c").write_text(text)
    flags = [*WARNINGS, f"-I{folder}"]
    run(["gcc", *flags, tmp_path / "main.c", *sources(folder), "-o", tmp_path / "program"])
    run([tmp_path / "program"])


MODELS = ("residual", "every_operator", "early_outputs", "int16")


@pytest.mark.parametrize("compiler", ["gcc", "clang", "arm-none-eabi-gcc"])
@pytest.mark.parametrize("mode", NEW_MODES)
@pytest.mark.parametrize("name", MODELS)
def test_compiles_without_a_warning_and_holds_no_state(
    name: str,
    mode: InputMode,
    compiler: str,
    project: Project,
    tmp_path: Path,
    require_program: RequireProgram,
) -> None:
    require_program(compiler)
    arm = compiler.startswith("arm")
    core = CORTEX_M4 if arm else ("-fno-pic",)
    flags = [*core, *WARNINGS, "-O2"]
    objects = compile_each(compiler, flags, project(name, mode), tmp_path / "objects")
    tools = "arm-none-eabi-" if arm else ""
    check_no_state(section_bytes(f"{tools}size", objects))
    defined = symbols(f"{tools}nm", objects, kind="defined")
    assert all(symbol.startswith(("model_", "ek_")) for symbol in defined)
    if arm:
        undefined = symbols(f"{tools}nm", objects, kind="undefined") - defined
        assert undefined <= {"memcpy", "memset"}


@pytest.mark.parametrize(
    ("name", "mode"),
    [*((name, mode) for name in MODELS for mode in NEW_MODES), ("two_by_two", "overwrite")],
)
def test_example_prints_the_outputs(
    name: str, mode: InputMode, project: Project, tmp_path: Path, require_program: RequireProgram
) -> None:
    require_program("gcc")
    folder = project(name, mode)
    example, program = folder / "example" / "main.c", tmp_path / "example"
    build_program(example, folder, program, flags=[*WARNINGS, *SANITIZERS])
    check_example(run([program]), folder)


CXX_CALLERS: dict[InputMode, str] = {
    "stream": """
  model_begin(arena);
  for (int y = 0; y < MODEL_INPUT_ROWS; y++)
    if (model_push_rows(arena, input + y * MODEL_INPUT_ROW_BYTES, 1) != EK_OK)
      return 1;
  const ek_status status = model_finish(arena, output);
""",
    "pull": """
  const model_source source = {input, read_input};
  const ek_status status = model_run(&source, output, arena);
""",
    "overwrite": """
  const ek_status status = model_run(input, output, arena);
""",
}

CXX_MAIN = """
#include <cstdio>
#include <cstring>
#include "model.h"
#include "model.h"

namespace {{
alignas(MODEL_ARENA_ALIGN) uint8_t arena[MODEL_ARENA_BYTES];
int8_t input[MODEL_INPUT_BYTES];
int8_t output[MODEL_OUTPUT_BYTES];

[[maybe_unused]] void read_input(void *context, int32_t y, int32_t x, int32_t height, int32_t width,
                                 int8_t *destination) {{
  const int channels = {channels};
  for (int row = 0; row < height; row++)
    std::memcpy(destination + row * width * channels,
                static_cast<int8_t *>(context) + ((y + row) * {width} + x) * channels,
                static_cast<size_t>(width * channels));
}}
}} // namespace

int main() {{
  for (int i = 0; i < MODEL_INPUT_BYTES; i++)
    input[i] = static_cast<int8_t>(i * 37 % 256 - 128);
{calls}
  for (int8_t element : output)
    std::printf("%d\\n", element);
  return status == EK_OK ? 0 : 1;
}}
"""


@pytest.mark.parametrize("mode", NEW_MODES)
def test_cxx_program_links_with_the_c_objects(
    mode: InputMode, project: Project, tmp_path: Path, require_program: RequireProgram
) -> None:
    require_program("gcc")
    require_program("clang++")
    folder = project("residual", mode)
    (entry,) = load_manifest(folder).inputs
    _, width, channels = map_size(entry.shape)
    calls = CXX_CALLERS[mode]
    text = CXX_MAIN.format(width=width, channels=channels, calls=calls)
    (tmp_path / "main.cpp").write_text(text)
    objects = compile_each("gcc", [*WARNINGS, "-O1"], folder, tmp_path / "objects")
    flags = ["-std=c++17", *CXX_FLAGS, f"-I{folder}"]
    run(["clang++", *flags, tmp_path / "main.cpp", *objects, "-o", tmp_path / "program"])
    sample = (np.arange(entry.bytes) * 37 % 256 - 128).astype(np.int8).reshape(entry.shape)
    graph = Reference(folder).graph
    wanted = interpret(graph, (sample,))[graph.outputs[0].tensor].ravel()
    assert [int(line) for line in run([tmp_path / "program"]).split()] == wanted.tolist()


@pytest.mark.parametrize("standard", ["c++17", "c++20"])
@pytest.mark.parametrize("compiler", CXX)
@pytest.mark.parametrize("mode", NEW_MODES)
def test_project_is_cxx(
    mode: InputMode,
    compiler: str,
    standard: str,
    project: Project,
    tmp_path: Path,
    require_program: RequireProgram,
) -> None:
    """C++20 refuses members in another order than the declared one."""
    require_program(compiler)
    core = CORTEX_M4 if compiler.startswith("arm") else ()
    flags = ["-x", "c++", f"-std={standard}", *CXX_FLAGS, *core]
    for name in ("early_outputs", "int16"):
        compile_each(compiler, flags, project(name, mode), tmp_path / name)


TWO_MODELS = """
#include <string.h>
#include "first.h"
#include "second.h"
static union {{ uint64_t align; uint8_t bytes[FIRST_ARENA_BYTES]; }} first_arena;
static union {{ uint64_t align; uint8_t bytes[SECOND_ARENA_BYTES]; }} second_arena;
static const int8_t expected_first[] = {{{first}}};
static const int8_t expected_second[] = {{{second}}};
static int8_t row[FIRST_INPUT_ROW_BYTES];
static int8_t first_output[FIRST_OUTPUT_BYTES], second_output[SECOND_OUTPUT_BYTES];

static void read_row(void *context, int32_t y, int32_t x, int32_t height, int32_t width,
                     int8_t *destination) {{
  (void)context, (void)y, (void)x, (void)width;
  memset(destination, {value}, (size_t)height * SECOND_INPUT_ROW_BYTES);
}}

int main(void) {{
  const second_source source = {{NULL, read_row}};
  memset(row, {value}, sizeof row);
  for (int round = 0; round < 2; round++) {{
    first_begin(&first_arena);
    for (int y = 0; y < FIRST_INPUT_ROWS; y++) {{
      if (first_push_rows(&first_arena, row, 1) != EK_OK)
        return 1;
      if (second_run(&source, second_output, &second_arena) != EK_OK ||
          memcmp(second_output, expected_second, sizeof expected_second) != 0)
        return 2;
    }}
    if (first_finish(&first_arena, first_output) != EK_OK ||
        memcmp(first_output, expected_first, sizeof expected_first) != 0)
      return 3;
  }}
  return 0;
}}
"""


def test_two_models_live_in_one_program(tmp_path: Path, require_program: RequireProgram) -> None:
    """One is run between the rows of the other; both libraries hold the files that they share."""
    require_program("gcc")
    models: tuple[tuple[str, str, InputMode], ...] = (
        ("first", "residual", "stream"),
        ("second", "every_operator", "pull"),
    )
    expected, libraries = {}, []
    for prefix, name, mode in models:
        artifact = convert_planned(GRAPHS[name](), mode, name=prefix)
        folder = artifact.save(tmp_path / prefix)
        objects = compile_each("gcc", [*WARNINGS, "-O1"], folder, tmp_path / f"{prefix}_objects")
        libraries.append(tmp_path / f"lib{prefix}.a")
        run(["ar", "rcs", libraries[-1], *objects])
        sample = np.full(artifact.manifest.inputs[0].shape, 17, np.int8)
        graph = Reference(folder).graph
        values = interpret(graph, (sample,))[graph.outputs[0].tensor]
        expected[prefix] = ", ".join(map(str, values.ravel()))
    main = tmp_path / "main.c"
    main.write_text(TWO_MODELS.format(**expected, value=17))
    includes = [f"-I{tmp_path / prefix}" for prefix in expected]
    run(["gcc", *WARNINGS, *includes, main, *libraries, "-o", tmp_path / "both"])
    run([tmp_path / "both"])
