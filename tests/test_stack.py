# SPDX-License-Identifier: Apache-2.0
"""The static stack bound: every kind of call, and never below what an emulated run used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from emulated_model import model_source, random_samples, write_model

from edgekit.build.stack import StackUsageError, model_stack_bound, stack_bound_bytes
from edgekit.errors import BadInputError
from edgekit.runners.qemu import run_qemu
from edgekit.target import list_targets, load_target

EMULATED = [
    target for target in list_targets() if target.qemu is not None and target.architecture == "arm"
]
"""Those that run the hand-made model, which is partly Arm assembly."""
CALL_OF_LAYER_0 = "  double_values(input, doubled);\n"
DEFINITION_OF_RUN = "ek_status model_run(const int8_t *input, int8_t *output, void *arena) {\n"
USE_BUFFER = """
__attribute__((noinline)) static void use(volatile int8_t *buffer, int count) {
  for (int i = 0; i < count; i++)
    buffer[i] = (int8_t)i;
}
"""


@pytest.fixture(autouse=True)
def _cross_compiler(require_program: Callable[[str], str]) -> None:
    require_program("arm-none-eabi-gcc")


def write_with(directory: Path, *, functions: str, call: str) -> Path:
    """The test model with further functions in front of model_run and another call in layer 0."""
    source = model_source(old=CALL_OF_LAYER_0, new=CALL_OF_LAYER_0 + call)
    source = source.replace(DEFINITION_OF_RUN, USE_BUFFER + functions + DEFINITION_OF_RUN)
    return write_model(directory, source=source)


@pytest.mark.parametrize("target", EMULATED, ids=lambda target: target.name)
def test_bound_covers_the_measured_stack(
    target, tmp_path: Path, require_program: Callable[[str], str]
) -> None:
    require_program("qemu-system-arm")
    directory = write_with(
        tmp_path / "m",
        functions="static int deep(const int8_t *input) {\n"
        "  volatile int8_t buffer[300];\n  use(buffer, 300);\n  return buffer[input[0] & 7];\n}\n",
        call="  output[0] = (int8_t)deep(input);\n",
    )
    used = run_qemu(directory, random_samples(2), target).stack_used_bytes
    bound = stack_bound_bytes(directory, target)
    assert 300 < used <= bound <= used + 64


def test_path_names_the_deepest_functions_and_sums_to_the_bound(tmp_path: Path) -> None:
    directory = write_with(
        tmp_path / "m",
        functions="__attribute__((noinline)) static int deep(void) {\n"
        "  volatile int8_t buffer[512];\n  use(buffer, 512);\n  return buffer[3];\n}\n",
        call="  output[0] = (int8_t)deep();\n",
    )
    bound = model_stack_bound(directory, load_target("cortex-m4"))
    assert [frame.function for frame in bound.path][:2] == ["model_run", "deep"]
    assert bound.bytes == sum(frame.bytes for frame in bound.path)
    assert bound.path[1].bytes >= 512


def test_indirect_call_reaches_every_function_in_a_table(tmp_path: Path) -> None:
    directory = write_with(
        tmp_path / "m",
        functions="static int flat(void) {\n  return 1;\n}\n"
        "static int deep(void) {\n"
        "  volatile int8_t buffer[700];\n  use(buffer, 700);\n  return buffer[3];\n}\n"
        "static int (*const table[])(void) = {flat, deep};\n",
        call="  output[0] = (int8_t)table[input[0] & 1]();\n",
    )
    bound = model_stack_bound(directory, load_target("cortex-m4"))
    assert "deep" in [frame.function for frame in bound.path]
    assert bound.bytes >= 700


def test_pushes_of_inline_assembly_count(tmp_path: Path) -> None:
    plain = write_model(tmp_path / "plain")
    pushing = write_with(
        tmp_path / "pushing",
        functions="",
        call='  __asm__ volatile("push {r0-r7}\\npop {r0-r7}" ::: "memory");\n',
    )
    target = load_target("cortex-m4")
    frames = [model_stack_bound(path, target).path[0].bytes for path in (plain, pushing)]
    assert frames[1] == frames[0] + 32


def test_library_function_is_in_the_bound(tmp_path: Path) -> None:
    """memcpy of newlib has no -fstack-usage figure: its frame comes from the disassembly."""
    directory = write_with(
        tmp_path / "m",
        functions="#include <string.h>\n",
        call="  memcpy(doubled, input, (unsigned)input[0] & 7u);\n",
    )
    target = load_target("cortex-m4")
    assert stack_bound_bytes(directory, target) > 0
    used = run_qemu(directory, random_samples(2), target).stack_used_bytes
    assert used <= stack_bound_bytes(directory, target)


def test_recursion_is_refused(tmp_path: Path) -> None:
    directory = write_with(
        tmp_path / "m",
        functions="__attribute__((noinline)) static int even(int count);\n"
        "__attribute__((noinline)) static int odd(int count) {\n"
        "  return count == 0 ? 0 : 1 + even(count - 1) * 3;\n}\n"
        "__attribute__((noinline)) static int even(int count) {\n"
        "  return count == 0 ? 1 : 2 + odd(count - 1) * 5;\n}\n",
        call="  output[0] = (int8_t)even(input[0]);\n",
    )
    with pytest.raises(StackUsageError, match="recursion"):
        stack_bound_bytes(directory, load_target("cortex-m4"))


def test_frame_of_variable_size_is_refused(tmp_path: Path) -> None:
    directory = write_with(
        tmp_path / "m",
        functions="__attribute__((noinline)) static int vary(int count) {\n"
        "  volatile int8_t buffer[count];\n  use(buffer, count);\n  return buffer[count / 2];\n}\n",
        call="  output[0] = (int8_t)vary(input[0] + 129);\n",
    )
    with pytest.raises(StackUsageError, match="vary has a frame of variable size"):
        stack_bound_bytes(directory, load_target("cortex-m4"))


def test_host_has_no_cross_compiler(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no cross compiler"):
        stack_bound_bytes(write_model(tmp_path / "m"), load_target("host"))
