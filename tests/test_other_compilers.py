# SPDX-License-Identifier: Apache-2.0
"""The generated C beyond Arm: 32-bit RISC-V, and C++, which links with it and also compiles it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from support.c_project import CORTEX_M4, WARNINGS, compile_each, run, section_bytes, symbols
from support.conformance import only_call
from support.kernels import invocations
from support.models import convert_named
from test_cores import operator_model

from edgekit.artifact import Artifact
from edgekit.converters.load import Imported
from edgekit.emit.c_tables import TableSet, struct_text
from edgekit.interpret import interpret
from edgekit.manifest import load_manifest
from edgekit.ops import operators
from edgekit.pipeline import ConvertOptions, convert_model, to_integers
from edgekit.reference import Reference
from edgekit.target import load_target

RISCV = "riscv64-unknown-elf-gcc"
RISCV_FLAGS = ("-march=rv32imc", "-mabi=ilp32", "-ffreestanding", "-O2")
CXX_WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
CXX = ("g++", "clang++")
ARM_CXX = "arm-none-eabi-g++"
CORE_FLAGS = {ARM_CXX: CORTEX_M4}
IMPORTED = {"tflite": "kws_int8", "torch": "resnet8"}
NAMES = ("kws_int8", "two_by_two", "operators")
STANDARDS = ("c++17", "c++20")
RequireProgram = Callable[[str], str]
Converted = Callable[[str], Path]
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
  for (size_t i = 1; i < input.size(); i += 2)
    input[i] = static_cast<int8_t>(static_cast<int>(i * 37 % 256) - 128);
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


def cxx_flags(compiler: str, standard: str) -> list[str]:
    """Flags that compile a C file as C++."""
    return ["-x", "c++", f"-std={standard}", *CXX_WARNINGS, *CORE_FLAGS.get(compiler, ()), "-O2"]


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


def expected_elements(folder: Path) -> list[int]:
    """What the reference computes from the input of _CALLER."""
    (entry,) = load_manifest(folder).inputs
    index = np.arange(entry.bytes)
    sample = np.where(index % 2, index * 37 % 256 - 128, entry.zero_point).astype(np.int8)
    graph = Reference(folder).graph
    values = interpret(graph, (sample.reshape(entry.shape),), outputs_only=True)
    return [int(element) for element in values[graph.outputs[0].tensor].ravel()]


def check_program(
    compiler: str, standard: str, folder: Path, objects: Sequence[Path], into: Path
) -> None:
    """A C++ program that runs the objects prints the outputs of the reference."""
    (into / "main.cpp").write_text(_CALLER, "ascii")
    flags = [f"-std={standard}", *CXX_WARNINGS, f"-I{folder}"]
    run([compiler, *flags, into / "main.cpp", *objects, "-o", into / "program"])
    elements = [int(line) for line in run([into / "program"]).split()]
    assert elements == expected_elements(folder)


@pytest.mark.parametrize("standard", ["c++11", "c++17"])
@pytest.mark.parametrize("compiler", CXX)
def test_cxx_program_runs_the_c_objects(
    compiler: str,
    standard: str,
    converted: Converted,
    tmp_path: Path,
    require_program: RequireProgram,
) -> None:
    require_program(compiler)
    require_program("gcc")
    folder = converted("kws_int8")
    objects = compile_each("gcc", [*WARNINGS, "-O2"], folder, tmp_path / "objects")
    check_program(compiler, standard, folder, objects, tmp_path)


@pytest.mark.parametrize("standard", STANDARDS)
@pytest.mark.parametrize("importer", IMPORTED)
@pytest.mark.parametrize("compiler", CXX)
def test_project_is_cxx_and_computes_the_same(
    compiler: str,
    importer: str,
    standard: str,
    converted: Converted,
    tmp_path: Path,
    require_program: RequireProgram,
) -> None:
    require_program(compiler)
    if importer == "torch":
        pytest.importorskip(
            "torch", reason="PyTorch is not installed: pip install 'edgekit[torch]'"
        )
    folder = converted(IMPORTED[importer])
    objects = compile_each(compiler, cxx_flags(compiler, standard), folder, tmp_path / "objects")
    check_program(compiler, standard, folder, objects, tmp_path)


@pytest.mark.parametrize("compiler", CXX)
@pytest.mark.parametrize("name", ["two_by_two", "operators"])
def test_project_of_many_ports_is_cxx(
    name: str,
    compiler: str,
    project: Callable[[str], Path],
    tmp_path: Path,
    require_program: RequireProgram,
) -> None:
    require_program(compiler)
    compile_each(compiler, cxx_flags(compiler, "c++20"), project(name), tmp_path / "objects")


@pytest.mark.parametrize("standard", STANDARDS)
@pytest.mark.parametrize("compiler", [*CXX, ARM_CXX])
def test_every_runtime_file_is_cxx(
    compiler: str, standard: str, repository: Path, require_program: RequireProgram
) -> None:
    """Used by a project or not; on Arm those for the DSP instructions, elsewhere their twins."""
    require_program(compiler)
    runtime, example = repository / "runtime_c", repository / "examples" / "extend" / "runtime_c"
    sources = sorted([*runtime.glob("*.c"), *example.glob("*.c")])
    assert sources
    flags = [*cxx_flags(compiler, standard), f"-I{runtime}", "-fsyntax-only"]
    run([compiler, *flags, *sources])


def test_assembly_has_the_names_that_cxx_calls(
    converted: Converted, tmp_path: Path, require_program: RequireProgram
) -> None:
    require_program(ARM_CXX)
    flags = [*cxx_flags(ARM_CXX, "c++17"), "-fno-exceptions"]
    objects = compile_each(ARM_CXX, flags, converted("kws_int8"), tmp_path / "objects")
    defined = symbols("arm-none-eabi-nm", objects, kind="defined")
    assert "ek_dsp_pointwise_tile_4" in defined
    needed = symbols("arm-none-eabi-nm", objects, kind="undefined") - defined
    assert needed <= MEMORY_FUNCTIONS


def layer_structs() -> str:
    """The layer structs of every kernel for every case that it accepts, as model.c has them."""
    tables, structs, headers = TableSet(""), [], set()
    for operator in operators().values():
        for call in (only_call(case.graph) for case in operator.cases()):
            for kernel in (k for k in operator.kernels if k.refusal(call) is None):
                headers.add(kernel.header)
                for invocation in invocations(operator, kernel, call):
                    struct = kernel.pack(call, invocation.binding)
                    structs.append(struct_text(f"layer_{len(structs)}", struct, tables))
    includes = [f'#include "{header}"\n' for header in sorted(headers)]
    return "\n".join([*includes, *tables.texts(), *structs])


@pytest.mark.parametrize("compiler", CXX)
def test_every_layer_struct_names_its_members_in_order(
    compiler: str, repository: Path, tmp_path: Path, require_program: RequireProgram
) -> None:
    """C++20 refuses another order, which older C++, where the place alone counts, would not see."""
    require_program(compiler)
    source = tmp_path / "structs.c"
    source.write_text(layer_structs(), "ascii")
    unused = ("-Wno-unused-variable", "-Wno-unused-const-variable")
    for standard in STANDARDS:
        flags = [*cxx_flags(compiler, standard), *unused, f"-I{repository / 'runtime_c'}"]
        run([compiler, *flags, "-fsyntax-only", source])
