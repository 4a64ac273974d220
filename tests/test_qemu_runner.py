# SPDX-License-Identifier: Apache-2.0
"""Models on an emulated core: results, exact counts per layer, and every misbehaviour noticed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from emulated_model import (
    ARENA_BYTES,
    ELEMENTS,
    SPIN_INSTRUCTIONS,
    expected_output,
    model_header,
    model_manifest,
    model_source,
    random_samples,
    tensor_entry,
    write_model,
)

from edgekit.errors import BadInputError, EdgekitError, ValidationError
from edgekit.process import ProgramTimeoutError
from edgekit.runners.profile import Profile, profile_qemu
from edgekit.runners.qemu import EmulationError, run_qemu
from edgekit.target import Target, list_targets, load_target

EMULATED = [
    target for target in list_targets() if target.qemu is not None and target.architecture == "arm"
]
"""Those that run the hand-made model, which is partly Arm assembly."""
CALL_OF_LAYER_0 = "  double_values(input, doubled);\n"


@pytest.fixture(autouse=True)
def _programs(require_program: Callable[[str], str]) -> None:
    for program in ("arm-none-eabi-gcc", "qemu-system-arm", "cc"):
        require_program(program)


@pytest.fixture
def m4() -> Target:
    return load_target("cortex-m4")


def write_with(directory: Path, *, call: str) -> Path:
    """The test model with more code behind the first layer's call."""
    return write_model(
        directory, source=model_source(old=CALL_OF_LAYER_0, new=CALL_OF_LAYER_0 + call)
    )


def test_many_samples_in_one_run(tmp_path: Path, m4: Target) -> None:
    samples = random_samples(40)
    run = run_qemu(write_model(tmp_path / "m"), samples, m4)
    assert [outputs[0].shape for outputs in run.outputs] == [(1, 1)] * 40
    assert run.outputs[0][0].dtype == np.int8
    assert [int(outputs[0][0, 0]) for outputs in run.outputs] == [
        expected_output(sample[0]) for sample in samples
    ]


def test_several_typed_tensors(tmp_path: Path, m4: Target) -> None:
    header = model_header(
        old="ek_status model_run(const int8_t *input, int8_t *output, void *arena);",
        new="""typedef struct { const int8_t *left; const int16_t *right; } model_inputs;
typedef struct { int16_t *sum; int32_t *product; } model_outputs;
ek_status model_run(const model_inputs *in, const model_outputs *out, void *arena);""",
    )
    source = """#include "model.h"
ek_status model_run(const model_inputs *in, const model_outputs *out, void *arena) {
  if (arena == 0) return EK_BAD_ARGUMENT;
  for (int i = 0; i < 3; i++) {
    out->sum[i] = (int16_t)(in->left[i] + in->right[i]);
    out->product[i] = in->left[i] * in->right[i];
  }
  return EK_OK;
}
"""
    manifest = model_manifest(
        inputs=(tensor_entry("left", 3), tensor_entry("right", 3, dtype="int16")),
        outputs=(tensor_entry("sum", 3, dtype="int16"), tensor_entry("product", 3, dtype="int32")),
    )
    directory = write_model(tmp_path / "m", source=source, header=header, manifest=manifest)
    left = np.array([[-128, 5, 127]], np.int8)
    right = np.array([[-32640, 300, 32640]], np.int16)
    ((total, product),) = run_qemu(directory, [[left, right]], m4, paint=True).outputs
    assert total.dtype == np.int16
    assert total.tolist() == [[-32768, 305, 32767]]
    assert product.dtype == np.int32
    assert product.tolist() == [[128 * 32640, 1500, 127 * 32640]]


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ([], "0 arrays for 1 inputs"),
        ([np.zeros((1, ELEMENTS), np.uint8)], "'input': uint8"),
        ([np.zeros((1, ELEMENTS - 1), np.int8)], r"'input': int8 of shape \(1, 23\)"),
    ],
    ids=["number", "type", "size"],
)
def test_sample_that_does_not_match(
    tmp_path: Path, m4: Target, sample: list[np.ndarray], message: str
) -> None:
    with pytest.raises(BadInputError, match=message):
        run_qemu(write_model(tmp_path / "m"), [sample], m4)


def test_host_is_not_emulated(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="'host'"):
        run_qemu(write_model(tmp_path / "m"), random_samples(1), load_target("host"))


@pytest.mark.parametrize("touched", [0, 1, 17, ARENA_BYTES - 1])
def test_highest_touched_byte_of_the_arena(tmp_path: Path, m4: Target, touched: int) -> None:
    """A write of either paint byte is seen by the run with the other one."""
    writes = "".join(f"  ((volatile uint8_t *)arena)[{touched - 1}] = 0xA5;\n" * (touched > 0))
    source = f"""#include "model.h"
ek_status model_run(const int8_t *input, int8_t *output, void *arena) {{
  (void)arena;
{writes}  output[0] = input[0];
  return EK_OK;
}}
"""
    directory = write_model(tmp_path / "m", source=source)
    run = run_qemu(directory, random_samples(1), m4, paint=True)
    assert run.arena_touched_bytes == touched
    assert run_qemu(directory, random_samples(1), m4).arena_touched_bytes == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (f"  ((volatile int8_t *)arena)[{ARENA_BYTES}] = 1;\n", "outside its arena"),
        ("  ((volatile int8_t *)arena)[-1] = 1;\n", "outside its arena"),
        ("  ((volatile int8_t *)output)[1] = 1;\n", "outside its outputs"),
        ("  ((volatile int8_t *)output)[-1] = 1;\n", "outside its outputs"),
        ("  ((volatile int8_t *)input)[0] ^= 1;\n", "changed its input"),
        ("  return (ek_status)1;\n", "returned status 1"),
    ],
    ids=["arena end", "arena start", "output end", "output start", "input", "status"],
)
def test_misbehaviour_is_noticed(tmp_path: Path, m4: Target, call: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        run_qemu(write_with(tmp_path / "m", call=call), random_samples(2), m4)


def test_output_from_arena_bytes_never_written_is_noticed(tmp_path: Path, m4: Target) -> None:
    source = model_source(
        old="  output[0] = sum_values(doubled);\n", new="  output[0] = doubled[-1];\n"
    )
    directory = write_model(tmp_path / "m", source=source)
    with pytest.raises(ValidationError, match="depends on what the arena held before"):
        run_qemu(directory, random_samples(1), m4, paint=True)


def test_output_never_written_is_noticed(tmp_path: Path, m4: Target) -> None:
    source = model_source(
        old="  output[0] = sum_values(doubled);\n", new="  (void)sum_values(doubled);\n"
    )
    directory = write_model(tmp_path / "m", source=source)
    with pytest.raises(ValidationError, match="depends on what the arena held before"):
        run_qemu(directory, random_samples(1), m4, paint=True)


@pytest.mark.parametrize("target", EMULATED, ids=lambda target: target.name)
def test_fault_is_reported_with_its_function(tmp_path: Path, target: Target) -> None:
    directory = write_with(tmp_path / "m", call='  __asm__ volatile("udf #7");\n')
    with pytest.raises(EmulationError, match=r"in model_run: fault: exception .* at pc 0x"):
        run_qemu(directory, random_samples(1), target)


def test_stack_overflow_is_reported(tmp_path: Path, m4: Target) -> None:
    source = model_source(
        old=CALL_OF_LAYER_0,
        new="  volatile int8_t deep[70000];\n  for (int i = 69999; i >= 0; i--) deep[i] = 1;\n"
        "  output[0] = deep[input[0] & 1];\n" + CALL_OF_LAYER_0,
    )
    with pytest.raises(ValidationError, match="more than 65536 bytes of stack"):
        run_qemu(write_model(tmp_path / "m", source=source), random_samples(1), m4)


def test_endless_loop_meets_the_time_limit(tmp_path: Path, m4: Target) -> None:
    directory = write_with(tmp_path / "m", call='  for (;;) __asm__ volatile("");\n')
    with pytest.raises(ProgramTimeoutError, match="qemu-system-arm"):
        run_qemu(directory, random_samples(1), m4, timeout_seconds=3)


def layer_sums(profile: Profile) -> tuple[int, int]:
    return (
        sum(layer.instructions for layer in profile.layers),
        sum(layer.cycles_model or 0 for layer in profile.layers),
    )


def instructions_of(profile: Profile, function: str) -> int:
    (count,) = [item.instructions for item in profile.functions if item.name == function]
    return count


@pytest.mark.parametrize("target", EMULATED, ids=lambda target: target.name)
def test_counts_are_exact_and_sum_up(tmp_path: Path, target: Target) -> None:
    profile = profile_qemu(write_model(tmp_path / "m"), target)
    assert instructions_of(profile, "spin") == SPIN_INSTRUCTIONS
    assert [layer.name for layer in profile.layers] == ["double", "sum", "glue"]
    assert layer_sums(profile) == (profile.total_instructions, profile.total_cycles_model or 0)
    assert sum(item.instructions for item in profile.functions) == profile.total_instructions
    double, total, glue = (layer.instructions for layer in profile.layers)
    assert instructions_of(profile, "double_values") < double
    assert SPIN_INSTRUCTIONS + instructions_of(profile, "sum_values") < total
    assert 0 < glue < 30
    assert (profile.total_cycles_model is not None) == (target.name in ("cortex-m4", "cortex-m7"))


def test_repeated_profiles_are_identical(tmp_path: Path, m4: Target) -> None:
    directory = write_model(tmp_path / "m")
    assert profile_qemu(directory, m4) == profile_qemu(directory, m4)


def test_json_of_a_profile(tmp_path: Path, m4: Target) -> None:
    document = json.loads(profile_qemu(write_model(tmp_path / "m"), m4).to_json())
    assert list(document) == [
        *("core", "compiler", "flags", "total_instructions", "total_cycles_model", "layers")
    ]
    assert list(document["layers"][0]) == [
        *("name", "op", "kernel", "macs", "instructions", "cycles_model")
    ]
    assert document["core"] == "cortex-m4"
    assert "-O2" in document["flags"]


LOOP = """  for (int i = 0; i < (input[0] | 127) + 3; i++) {
    EK_LAYER_HOOK(i & 1);
    spin();
  }
"""


@pytest.mark.parametrize("target", EMULATED, ids=lambda target: target.name)
def test_hook_with_a_run_time_index(tmp_path: Path, target: Target) -> None:
    """The loop runs 2 or 130 times; either way layer 0 gets its half and the marks cost nothing."""
    source = model_source(old="  EK_LAYER_HOOK(0);\n", new="")
    source = source.replace("  EK_LAYER_HOOK(1);\n  spin();\n", LOOP)
    directory = write_model(tmp_path / "m", source=source)
    profile = profile_qemu(directory, target)
    rounds = instructions_of(profile, "spin") // SPIN_INSTRUCTIONS
    assert rounds in (2, 130)
    zero, one, glue = (layer.instructions for layer in profile.layers)
    double = instructions_of(profile, "double_values")
    total = instructions_of(profile, "sum_values")
    assert rounds // 2 * SPIN_INSTRUCTIONS <= zero <= rounds // 2 * (SPIN_INSTRUCTIONS + 12)
    assert rounds // 2 * SPIN_INSTRUCTIONS <= one - total
    assert double <= glue <= double + 40
    assert zero + one + glue == profile.total_instructions


def test_marks_are_not_counted(tmp_path: Path, m4: Target) -> None:
    """The same code without a single hook executes exactly as many instructions."""
    hooked = profile_qemu(write_model(tmp_path / "hooked"), m4)
    source = model_source(old="  EK_LAYER_HOOK(0);\n", new="")
    source = source.replace("  EK_LAYER_HOOK(1);\n", "").replace("  EK_LAYER_HOOK(-1);\n", "")
    assert "EK_LAYER_HOOK" not in source
    plain = profile_qemu(write_model(tmp_path / "plain", source=source), m4)
    assert plain.total_instructions == hooked.total_instructions
    assert plain.total_cycles_model == hooked.total_cycles_model
    assert [layer.instructions for layer in plain.layers] == [0, 0, plain.total_instructions]


def test_unknown_layer_is_refused(tmp_path: Path, m4: Target) -> None:
    source = model_source(old="  EK_LAYER_HOOK(1);\n", new="  EK_LAYER_HOOK(7);\n")
    with pytest.raises(EdgekitError, match=r"EK_LAYER_HOOK\(7\)"):
        profile_qemu(write_model(tmp_path / "m", source=source), m4)


def test_weights_larger_than_the_code_memory(tmp_path: Path) -> None:
    """600 KB of constants do not fit in the 512 KiB of code memory of the M55 machine."""
    weights = "static const int8_t weights[600000] = {[0] = 3, [599999] = 4};\n"
    source = model_source(
        old="  output[0] = sum_values(doubled);\n",
        new="  volatile int32_t last = 599999;\n  output[0] = (int8_t)(sum_values(doubled) - "
        "weights[599999 - last] * weights[last]);\n",
    ).replace("void spin(void);\n", "void spin(void);\n" + weights)
    directory = write_model(tmp_path / "m", source=source)
    ((sample,),) = random_samples(1)
    run = run_qemu(directory, [[sample]], load_target("cortex-m55"))
    assert run.outputs[0][0].tolist() == [[expected_output(sample) - 12]]
