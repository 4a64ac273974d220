# SPDX-License-Identifier: Apache-2.0
"""The generated C as a user meets it: warnings, memory, sections, symbols, bytes, examples."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.c_project import (
    CORTEX_M4,
    SANITIZED,
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
from support.claimed import check_touched
from support.graphs import GRAPHS
from support.models import SHARED, TORCH, convert_named

from edgekit.inputs import seeded_samples
from edgekit.interpret import interpret
from edgekit.ir import Array
from edgekit.manifest import load_manifest
from edgekit.reference import Reference
from edgekit.runners.host import run_host
from edgekit.runners.qemu import run_qemu
from edgekit.target import load_target

Converted = Callable[[str], Path]
RequireProgram = Callable[[str], str]
SharedModel = Callable[[str], Path]

HAND_MADE = ("residual", "every_operator", "two_by_two")
MODELS = (*SHARED, *TORCH, *HAND_MADE)
SINGLE = tuple(name for name in MODELS if name != "two_by_two")
CHAINS = tuple(name for name in GRAPHS if name.startswith("chain_"))
CXX = ("clang++", "arm-none-eabi-g++", *(["g++"] if shutil.which("g++") else []))
CMAKE = shutil.which("cmake")


def samples_and_outputs(folder: Path, count: int) -> tuple[list[tuple[Array, ...]], list[bytes]]:
    """Seeded inputs, and per sample the bytes of the reference's outputs."""
    graph = Reference(folder).graph
    samples = list(seeded_samples(load_manifest(folder).inputs, count, seed=5))
    outputs = []
    for sample in samples:
        values = interpret(graph, sample, outputs_only=True)
        outputs.append(b"".join(values[port.tensor].tobytes() for port in graph.outputs))
    return samples, outputs


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_compiles_without_a_warning(
    name: str,
    compiler: str,
    converted: Converted,
    require_program: RequireProgram,
    tmp_path: Path,
) -> None:
    require_program(compiler)
    compile_each(compiler, [*WARNINGS, "-O2"], converted(name), tmp_path / "objects")


@pytest.mark.parametrize("level", ["-O0", "-O3"])
@pytest.mark.parametrize("compiler", ["gcc", "clang", "arm-none-eabi-gcc"])
def test_other_levels_of_optimization_warn_of_nothing_more(
    level: str,
    compiler: str,
    converted: Converted,
    require_program: RequireProgram,
    tmp_path: Path,
) -> None:
    """Flow analysis, and with it some warnings, depends on the level."""
    require_program(compiler)
    core = CORTEX_M4 if compiler.startswith("arm") else ()
    compile_each(compiler, [*core, *WARNINGS, level], converted("residual"), tmp_path / "objects")


@pytest.mark.parametrize("name", ["residual", "two_by_two"])
@pytest.mark.parametrize("compiler", CXX)
def test_header_is_cxx(
    name: str,
    compiler: str,
    converted: Converted,
    require_program: RequireProgram,
    tmp_path: Path,
) -> None:
    require_program(compiler)
    program = tmp_path / "main.cpp"
    program.write_text('#include "model.h"\n#include "model.h"\nint main() { return EK_OK; }\n')
    flags = ("-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
    run([compiler, *flags, f"-I{converted(name)}", "-c", program, "-o", tmp_path / "main.o"])


@pytest.mark.parametrize("name", SINGLE)
def test_sanitizers_and_guard_pages_find_nothing(
    name: str,
    converted: Converted,
    repository: Path,
    require_program: RequireProgram,
    tmp_path: Path,
) -> None:
    """The program knows only model.h; the reference's outputs are compared with ==."""
    require_program("gcc")
    folder = converted(name)
    samples, expected = samples_and_outputs(folder, 5)
    (tmp_path / "inputs").write_bytes(b"".join(sample[0].tobytes() for sample in samples))
    main = repository / "tests" / "c" / "guarded_main.c"
    program = tmp_path / "guarded"
    build_program(main, folder, program, flags=SANITIZED)
    for place in ("end", "begin"):
        environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
        run([program, place, tmp_path / "inputs", tmp_path / "outputs"], env=environment)
        assert (tmp_path / "outputs").read_bytes() == b"".join(expected)


def test_guards_notice_an_arena_that_is_too_small(
    converted: Converted, repository: Path, require_program: RequireProgram, tmp_path: Path
) -> None:
    """The test above can fail: one word less in model.h is one word into the guard page."""
    require_program("gcc")
    folder = tmp_path / "model"
    shutil.copytree(converted("residual"), folder)
    header = folder / "model.h"
    size = load_manifest(folder).arena_bytes
    text = header.read_text()
    assert f"ARENA_BYTES {size} " in text
    header.write_text(text.replace(f"ARENA_BYTES {size} ", f"ARENA_BYTES {size - 8} "))
    samples, _ = samples_and_outputs(folder, 1)
    (tmp_path / "inputs").write_bytes(samples[0][0].tobytes())
    main = repository / "tests" / "c" / "guarded_main.c"
    build_program(main, folder, tmp_path / "guarded")
    command = [tmp_path / "guarded", "end", tmp_path / "inputs", tmp_path / "outputs"]
    assert subprocess.run(command, capture_output=True, timeout=60).returncode < 0


@pytest.mark.parametrize("name", MODELS)
def test_compiles_for_cortex_m4_without_state_and_needs_two_functions(
    name: str, converted: Converted, require_program: RequireProgram, tmp_path: Path
) -> None:
    require_program("arm-none-eabi-gcc")
    flags = [*CORTEX_M4, *WARNINGS, "-O2"]
    objects = compile_each("arm-none-eabi-gcc", flags, converted(name), tmp_path / "objects")
    check_no_state(section_bytes("arm-none-eabi-size", objects))
    undefined = symbols("arm-none-eabi-nm", objects, kind="undefined")
    defined = symbols("arm-none-eabi-nm", objects, kind="defined")
    assert undefined - defined <= {"memcpy", "memset"}


@pytest.mark.parametrize("name", ["kws_int8", *HAND_MADE])
def test_holds_no_state_on_the_host(
    name: str, converted: Converted, require_program: RequireProgram, tmp_path: Path
) -> None:
    require_program("gcc")
    flags = [*WARNINGS, "-O2", "-fno-pic", "-fno-pie"]
    objects = compile_each("gcc", flags, converted(name), tmp_path / "objects")
    check_no_state(section_bytes("size", objects))


def test_all_external_names_have_a_prefix(
    converted: Converted, require_program: RequireProgram, tmp_path: Path
) -> None:
    require_program("gcc")
    for name in HAND_MADE:
        objects = compile_each("gcc", WARNINGS, converted(name), tmp_path / name)
        defined = symbols("nm", objects, kind="defined")
        assert all(symbol.startswith(("model_", "ek_")) for symbol in defined)


@pytest.mark.parametrize("model", ["kws_int8", "torch"])
def test_conversion_gives_the_same_bytes_again(
    model: str, shared_model: SharedModel, repository: Path, tmp_path: Path
) -> None:
    """In another process, folder and working directory, with another order of hashes."""
    spec = f"{repository / 'tests' / 'support' / 'torch_models.py'}:ds_cnn"
    source = spec if model == "torch" else str(shared_model(model))
    trees = []
    for seed in ("0", "4711"):
        folder = tmp_path / f"run_{seed}" / "deeper"[: int(seed) % 7] / "out"
        folder.parent.mkdir(parents=True)
        program = [sys.executable, "-c", "from edgekit.cli import main; raise SystemExit(main())"]
        run(
            [*program, "convert", source, "-t", "cortex-m4", "-o", folder],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=folder.parent,
        )
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        trees.append({str(path.relative_to(folder)): path.read_bytes() for path in files})
    assert trees[0].keys() == trees[1].keys()
    assert [name for name in trees[0] if trees[0][name] != trees[1][name]] == []
    assert str(tmp_path).encode() not in b"".join(trees[0].values())


@pytest.mark.parametrize("name", [*MODELS, *CHAINS])
def test_host_uses_exactly_the_claimed_arena(name: str, converted: Converted) -> None:
    """Painted twice: the highest byte that changes is the last one, but for scratch on top."""
    folder = converted(name)
    samples, expected = samples_and_outputs(folder, 3)
    result = run_host(folder, samples, paint=True)
    assert [b"".join(a.tobytes() for a in outputs) for outputs in result.outputs] == expected
    check_touched(load_manifest(folder), result.arena_touched_bytes)


@pytest.mark.parametrize("name", [*MODELS, *CHAINS[:3]])
def test_emulated_core_uses_exactly_the_claimed_arena(
    name: str, converted: Converted, require_program: RequireProgram
) -> None:
    require_program("arm-none-eabi-gcc")
    require_program("qemu-system-arm")
    folder = converted(name)
    manifest = load_manifest(folder)
    samples, expected = samples_and_outputs(folder, 2)
    result = run_qemu(folder, samples, load_target("cortex-m4"), paint=True)
    assert [b"".join(a.tobytes() for a in outputs) for outputs in result.outputs] == expected
    check_touched(manifest, result.arena_touched_bytes)
    assert result.stack_used_bytes <= manifest.stack_bytes


TWO_MODELS = """
#include <string.h>
#include "first.h"
#include "second.h"
static union {{ uint64_t align; uint8_t bytes[FIRST_ARENA_BYTES + SECOND_ARENA_BYTES + 1]; }} arena;
static const int8_t expected_first[] = {{{first}}};
static const int8_t expected_second[] = {{{second}}};
static int8_t first_input[FIRST_INPUT_BYTES], first_output[FIRST_OUTPUT_BYTES];
static int8_t second_input[SECOND_INPUT_BYTES], second_output[SECOND_OUTPUT_BYTES];
int main(void) {{
  memset(first_input, {value}, sizeof first_input);
  memset(second_input, {value}, sizeof second_input);
  for (int round = 0; round < 2; round++) {{
    if (first_run(first_input, first_output, &arena) != EK_OK ||
        memcmp(first_output, expected_first, sizeof expected_first) != 0)
      return 1;
    if (second_run(second_input, second_output, &arena) != EK_OK ||
        memcmp(second_output, expected_second, sizeof expected_second) != 0)
      return 2;
  }}
  return 0;
}}
"""


def test_two_models_live_in_one_program(
    shared_model: SharedModel, require_program: RequireProgram, tmp_path: Path
) -> None:
    """As two static libraries, which both hold the runtime files that they share."""
    require_program("gcc")
    expected, libraries = {}, []
    for prefix, name in (("first", "residual"), ("second", "every_operator")):
        artifact = convert_named(name, shared_model, prefix=prefix)
        folder = artifact.save(tmp_path / prefix)
        objects = compile_each("gcc", [*WARNINGS, "-O1"], folder, tmp_path / f"{prefix}_objects")
        libraries.append(tmp_path / f"lib{prefix}.a")
        run(["ar", "rcs", libraries[-1], *objects])
        shape = artifact.manifest.inputs[0].shape
        graph = Reference(folder).graph
        values = interpret(graph, (np.full(shape, 17, np.int8),), outputs_only=True)
        expected[prefix] = ", ".join(map(str, values[graph.outputs[0].tensor].ravel()))
    main = tmp_path / "main.c"
    main.write_text(TWO_MODELS.format(**expected, value=17))
    includes = [f"-I{tmp_path / prefix}" for prefix in expected]
    run(["gcc", *WARNINGS, *includes, main, *libraries, "-o", tmp_path / "both"])
    run([tmp_path / "both"])


@pytest.mark.parametrize("name", ["kws_int8", *HAND_MADE])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_example_prints_the_outputs(
    name: str,
    compiler: str,
    converted: Converted,
    require_program: RequireProgram,
    tmp_path: Path,
) -> None:
    require_program(compiler)
    folder = converted(name)
    example, program = folder / "example" / "main.c", tmp_path / "example"
    build_program(example, folder, program, compiler=compiler)
    check_example(run([program]), folder)


def test_cmake_lists_name_every_source(converted: Converted) -> None:
    folder = converted("residual")
    text = (folder / "CMakeLists.txt").read_text()
    library = text.split("add_library(", 1)[1].split(")", 1)[0].split()
    assert library == ["model", "STATIC", *(path.name for path in sources(folder))]


if CMAKE is not None:  # not among the programs that `make setup` installs

    def test_cmake_builds_the_example(converted: Converted, tmp_path: Path) -> None:
        folder = converted("residual")
        run([CMAKE, "-S", folder, "-B", tmp_path, "-DCMAKE_BUILD_TYPE=Release"])
        run([CMAKE, "--build", tmp_path])
        check_example(run([tmp_path / "model_example"]), folder)
