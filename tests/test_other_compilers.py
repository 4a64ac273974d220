# SPDX-License-Identifier: Apache-2.0
"""The generated C beyond Arm: 32-bit RISC-V, and C++ programs that link with its objects."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from support.c_project import WARNINGS, compile_each, run, section_bytes, symbols
from support.models import convert_named
from test_cores import operator_model

from edgekit.artifact import Artifact
from edgekit.converters.load import Imported
from edgekit.manifest import load_manifest
from edgekit.pipeline import ConvertOptions, convert_model, to_integers
from edgekit.target import load_target

RISCV = "riscv64-unknown-elf-gcc"
RISCV_FLAGS = ("-march=rv32imc", "-mabi=ilp32", "-ffreestanding", "-O2")
CXX_WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
CXX = ("g++", "clang++")
NAMES = ("kws_int8", "two_by_two", "operators")
RequireProgram = Callable[[str], str]
MEMORY_FUNCTIONS = {"memcpy", "memset"}

_STRING_H = """/* What newlib's string.h declares; the Debian package has the compiler alone. */
#include <stddef.h>
void *memcpy(void *restrict destination, const void *restrict source, size_t count);
void *memset(void *destination, int value, size_t count);
"""

_CALLER = """
#include <cstdio>
#include <vector>
#include "model.h"

int main() {
  alignas(MODEL_ARENA_ALIGN) static uint8_t arena[MODEL_ARENA_BYTES + 1];
  std::vector<int8_t> input(MODEL_INPUT_BYTES, model_quantize_input(0.0f));
  std::vector<int8_t> output(MODEL_OUTPUT_BYTES);
  if (model_run(input.data(), output.data(), arena) != EK_OK)
    return 1;
  for (int8_t element : output)
    std::printf("%d\\n", element);
  return model_run(nullptr, output.data(), arena) == EK_BAD_ARGUMENT ? 0 : 2;
}
"""


@pytest.fixture(scope="module")
def project(
    shared_model: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """``project(name)``: a converted model, for cortex-m4, so that its portable kernels count too."""

    def folder_of(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name) / "model"
        if name == "operators":
            options = ConvertOptions(load_target("cortex-m4"))
            integers = to_integers(Imported(operator_model()), None)
            return Artifact(convert_model(integers, options)).save(folder)
        return convert_named(name, shared_model).save(folder)

    return folder_of


def without_libc(into: Path) -> Sequence[str]:
    """Flags for a compiler without newlib: its own headers and a string.h of two functions."""
    probe = subprocess.run(
        [RISCV, *RISCV_FLAGS, "-E", "-include", "string.h", "-x", "c", "/dev/null"],
        capture_output=True,
    )
    if probe.returncode == 0:
        return ()
    into.mkdir()
    (into / "string.h").write_text(_STRING_H, "ascii")
    return (f"-I{into}",)


@pytest.mark.parametrize("name", NAMES)
def test_compiles_for_rv32imc(
    name: str, project: Callable[[str], Path], tmp_path: Path, require_program: RequireProgram
) -> None:
    require_program(RISCV)
    folder = project(name)
    flags = [*WARNINGS, *RISCV_FLAGS, *without_libc(tmp_path / "include")]
    objects = compile_each(RISCV, flags, folder, tmp_path / "objects")
    sizes = section_bytes("riscv64-unknown-elf-size", objects)
    assert (
        sum(n for s, n in sizes.items() if s.startswith((".data", ".bss", ".sdata", ".sbss"))) == 0
    )
    defined = symbols("riscv64-unknown-elf-nm", objects, kind="defined")
    needed = symbols("riscv64-unknown-elf-nm", objects, kind="undefined") - defined
    assert {n for n in needed if not n.startswith("__")} <= MEMORY_FUNCTIONS


@pytest.mark.parametrize("standard", ["c++11", "c++17"])
@pytest.mark.parametrize("compiler", CXX)
def test_cxx_program_runs_the_c_objects(
    compiler: str,
    standard: str,
    project: Callable[[str], Path],
    tmp_path: Path,
    require_program: RequireProgram,
) -> None:
    require_program(compiler)
    require_program("gcc")
    folder = project("kws_int8")
    objects = compile_each("gcc", [*WARNINGS, "-O2"], folder, tmp_path / "objects")
    (tmp_path / "main.cpp").write_text(_CALLER, "ascii")
    flags = [f"-std={standard}", *CXX_WARNINGS, f"-I{folder}"]
    program = tmp_path / "program"
    run([compiler, *flags, tmp_path / "main.cpp", *objects, "-o", program])
    elements = [int(line) for line in run([program]).split()]
    assert len(elements) == load_manifest(folder).outputs[0].bytes
