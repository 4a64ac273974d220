# SPDX-License-Identifier: Apache-2.0
"""Rows kernels as C programs with their cases compiled in, for the host and for emulated cores."""

from __future__ import annotations

import importlib.resources
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgekit.build.cross import compile_objects, emulated_machine, link_firmware
from edgekit.emit.c_tables import TableSet, struct_text
from edgekit.emit.runtime_files import runtime_files
from edgekit.ir import Array, Call, Tensor
from edgekit.kernel import Binding, Kernel
from edgekit.layout import Layout
from edgekit.ops import operator_of
from edgekit.process import run_program
from edgekit.runners.plugin import RegionCounts, count_instructions
from edgekit.runners.qemu import emulate
from edgekit.target import Target
from edgekit.window import Axis
from support.kernels import Block

C_FOLDER = Path(__file__).resolve().parents[1] / "c"
GUARD_BYTES = 16
HOST_COMPILERS = {
    "gcc": ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1"),
    "clang": ("-O2",),  # Debian's clang comes without the sanitizers' library
}
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
_TIMEOUT_SECONDS = 300.0
_PAD_NOISE = 77
_RUNNER_FILES = ("cortex_m_startup.c", "semihosting.h", "profile_hook.h")


@dataclass(frozen=True, eq=False)
class Trial:
    """A kernel over one map; of every output row the columns of ``ranges``, the channels of ``block``.

    A channelwise kernel finds the block alone in its input and writes into the whole output; any
    other one finds the whole input and has an output of the block alone.
    """

    name: str
    kernel: Kernel
    call: Call
    binding: Binding
    inputs: tuple[Array, ...]
    ranges: tuple[tuple[int, int], ...]
    block: Block

    @property
    def is_channelwise(self) -> bool:
        return operator_of(self.call.node).is_channelwise


def whole_map(
    name: str,
    kernel: Kernel,
    call: Call,
    x: Array,
    *,
    output: Layout | None = None,
    flat: bool = False,
    ranges: tuple[tuple[int, int], ...] | None = None,
    block: Block | None = None,
) -> Trial:
    """All columns or those of ``ranges``, all channels or a block; NHWC unless said otherwise."""
    assert kernel.refusal(call) is None, kernel.refusal(call)
    inputs = kernel.input_layouts(call)
    binding = Binding(inputs, flat=flat) if output is None else Binding(inputs, output, flat)
    _, height, width, channels = call.output.shape
    columns = height * width if flat else width
    block = block or (0, channels)
    return Trial(name, kernel, call, binding, (x,), ranges or ((0, columns),), block)


def trial_program(trials: Sequence[Trial]) -> str:
    """kernel_trials_data.c."""
    tables = TableSet("ALIGNED")
    layers, entries = [], []
    for number, trial in enumerate(trials):
        name = f"layer_{number}"
        layers.append(struct_text(name, trial.kernel.pack(trial.call, trial.binding), tables))
        entries.append(_entry(trial, name, tables))
    headers = sorted({trial.kernel.header for trial in trials})
    return "\n".join(
        [
            '/* generated */\n#include "kernel_trials.h"',
            *(f'#include "{header}"' for header in headers),
            "#define ALIGNED __attribute__((aligned(4)))",
            *tables.texts(),
            *layers,
            "const kernel_trial kernel_trials[] = {\n" + ",\n".join(entries) + "\n};",
            "const int32_t kernel_trial_count = sizeof kernel_trials / sizeof kernel_trials[0];\n",
        ]
    )


def _entry(trial: Trial, layer: str, tables: TableSet) -> str:
    x = trial.call.activations[0]
    layout, output_layout = trial.binding.inputs[0], trial.binding.output
    source = _view(trial, trial.inputs[0])
    if trial.is_channelwise:
        source = source[..., slice(*trial.block)]
    memory = layout.to_memory(source, zero_point=_zero_point(x))
    real_padding = trial.kernel.needs_padding_row
    padding = np.full(memory.shape[1], _zero_point(x), np.int8)
    offsets = _row_offsets(trial, memory)
    before, after = _output_memory(trial, output_layout)
    ranges = np.array([(0, *columns, *trial.block) for columns in trial.ranges], np.int32)
    values = {
        "name": f'"{trial.name}"',
        "kernel": trial.kernel.symbol,
        "layer": f"&{layer}",
        "input": tables.add(f"{layer}_input", memory),
        "input_bytes": memory.size,
        "padding_row": tables.add(f"{layer}_padding", padding) if real_padding else "NULL",
        "row_offsets": tables.add(f"{layer}_rows", offsets),
        "rows": offsets.shape[0],
        "row_pointers": offsets.shape[1],
        "ranges": f"(const ek_region *){tables.add(f'{layer}_ranges', ranges)}",
        "range_count": len(trial.ranges),
        "output_row_bytes": (before.size - 2 * GUARD_BYTES) // offsets.shape[0],
        "before": tables.add(f"{layer}_before", before),
        "after": tables.add(f"{layer}_after", after),
        "scratch_bytes": trial.kernel.scratch_bytes(trial.call, trial.binding),
    }
    return "  {" + ", ".join(f".{member} = {value}" for member, value in values.items()) + "}"


def _zero_point(tensor: Tensor) -> int:
    assert tensor.quantization is not None
    return tensor.quantization.zero_point


def _view(trial: Trial, array: Array) -> Array:
    _, height, width, channels = array.shape
    if trial.binding.flat:
        return array.reshape(1, height * width, channels)
    return array[0]


def _row_offsets(trial: Trial, memory: Array) -> Array:
    """Bytes of every input row that every output row needs, -1 for padding."""
    window = operator_of(trial.call.node).window(trial.call)
    axis = Axis(1) if trial.binding.flat or window is None else window.height
    height = 1 if trial.binding.flat else trial.call.output.shape[1]
    first = np.array([axis.first_input(row) for row in range(height)])
    rows = first[:, None] + np.arange(axis.kernel) * axis.dilation
    inside = (rows >= 0) & (rows < memory.shape[0])
    return np.where(inside, rows * memory.shape[1], -1).astype(np.int32)


def _output_memory(trial: Trial, layout: Layout) -> tuple[Array, Array]:
    """Noise, and the same with the columns and channels of the trial computed by the reference."""
    call = trial.call
    arrays = [t.data for t in call.inputs if t.data is not None]
    expected = _view(trial, operator_of(call.node).evaluate(call, [*trial.inputs, *arrays]))
    block = slice(*trial.block)
    if not trial.is_channelwise:
        expected, block = expected[..., block], slice(None)
    random = np.random.default_rng(len(trial.name))
    noise = random.integers(-128, 128, expected.shape).astype(np.int8)
    after = noise.copy()
    for begin, end in trial.ranges:
        after[:, begin:end, block] = expected[:, begin:end, block]
    guard = random.integers(-128, 128, GUARD_BYTES).astype(np.int8)
    before, filled = (layout.to_memory(m, zero_point=_PAD_NOISE).ravel() for m in (noise, after))
    return np.concatenate([guard, before, guard]), np.concatenate([guard, filled, guard])


def write_program(
    folder: Path, kernels: Sequence[Kernel], *, sources: Sequence[str], generated: dict[str, str]
) -> list[Path]:
    """Put runtime files, files of tests/c and generated text into ``folder``; the C files to build."""
    files = runtime_files([kernel.symbol for kernel in kernels], [])
    for name in [*sources, *(path.name for path in C_FOLDER.glob("*.h"))]:
        files[name] = (C_FOLDER / name).read_text("utf-8")
    files |= generated
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    return [folder / name for name in sorted(files) if name.endswith(".c")]


def run_on_host(sources: Sequence[Path], *, compiler: str) -> list[str]:
    """The lines that the program prints, compiled with the flags of HOST_COMPILERS."""
    folder = sources[0].parent
    program = folder / f"program_{compiler}"
    flags = [*STRICT, *HOST_COMPILERS[compiler], f"-I{folder}"]
    run_program([compiler, *flags, "-o", program, *sources], timeout_seconds=_TIMEOUT_SECONDS)
    return run_program([program], timeout_seconds=_TIMEOUT_SECONDS).stdout.splitlines()


def build_for_core(
    sources: Sequence[Path], target: Target, *, extra_flags: Sequence[str] = ()
) -> Path:
    """The ELF file of the program for the emulated core."""
    folder = sources[0].parent
    package = importlib.resources.files("edgekit.runners")
    for name in _RUNNER_FILES:
        (folder / name).write_text((package / name).read_text("utf-8"), "utf-8")
    ram = next(region for region in emulated_machine(target).memory if region.kind == "ram")
    objects = compile_objects(
        target,
        [*sources, folder / "cortex_m_startup.c"],
        include_directories=[folder],
        build_directory=folder,
        extra_flags=(f"-DRAM_END={ram.origin + ram.bytes:#x}u", *extra_flags),
    )
    return link_firmware(target, objects, build_directory=folder)


def run_on_core(elf: Path, target: Target) -> list[str]:
    """The lines that the program prints on the emulated core."""
    run = emulate(target, elf, timeout_seconds=_TIMEOUT_SECONDS)
    return run.stderr.splitlines()


def count_on_core(elf: Path, target: Target) -> RegionCounts:
    """Exact instructions; the parts are the program's COUNT_PART."""
    return count_instructions(target, elf, timeout_seconds=_TIMEOUT_SECONDS)
