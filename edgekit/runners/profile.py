# SPDX-License-Identifier: Apache-2.0
"""Exact instructions per layer and function of a model on an emulated core, and modelled cycles."""

from __future__ import annotations

import bisect
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from edgekit.build.cross import compiler_flags, compiler_version
from edgekit.build.elf import FunctionSymbol, read_functions
from edgekit.errors import EdgekitError
from edgekit.manifest import Manifest, load_manifest
from edgekit.runners.cycle_table import CYCLE_MODELS
from edgekit.runners.firmware import (
    INPUT_FILE,
    OUTPUT_FILE,
    Array,
    build_firmware,
    read_records,
    write_samples,
)
from edgekit.runners.plugin import GLUE_INDEX, LayerCount, RegionCounts, count_instructions
from edgekit.runners.qemu import DEFAULT_TIMEOUT_SECONDS, check_records
from edgekit.target import Target

GLUE_NAME = "glue"

_HOOK_FLAGS = ("-include", "harness/profile_hook.h")
_SAMPLE_SEED = 0


@dataclass(frozen=True)
class LayerProfile:
    """The share of one layer; ``cycles_model`` is None for a core without a cycle model."""

    name: str
    op: str
    kernel: str
    macs: int
    instructions: int
    cycles_model: int | None


@dataclass(frozen=True)
class FunctionProfile:
    """Instructions executed in one function, without the functions that it calls."""

    name: str
    instructions: int


@dataclass(frozen=True)
class KernelProfile:
    """The layers of one kernel together."""

    name: str
    layers: int
    macs: int
    instructions: int


@dataclass(frozen=True)
class Profile:
    """One inference, its call included; the layers (the last one is "glue") sum to it.

    It is one ``<name>_run``, or begin, a push of each row by itself and finish. Instructions are
    exact; cycles are a model of an in-order core without wait states.
    """

    core: str
    compiler: str
    flags: str
    total_instructions: int
    total_cycles_model: int | None
    layers: tuple[LayerProfile, ...]
    functions: tuple[FunctionProfile, ...]

    @property
    def kernels(self) -> tuple[KernelProfile, ...]:
        """Instructions by kernel, most first; what is between the layers has none."""
        names = dict.fromkeys(layer.kernel for layer in self.layers if layer.kernel)
        groups = ([layer for layer in self.layers if layer.kernel == name] for name in names)
        found = (
            KernelProfile(
                group[0].kernel,
                len(group),
                sum(layer.macs for layer in group),
                sum(layer.instructions for layer in group),
            )
            for group in groups
        )
        return tuple(sorted(found, key=lambda kernel: (-kernel.instructions, kernel.name)))

    def to_json(self, comparison: object = None, *, functions: bool = False) -> bytes:
        """The output of ``edgekit profile --json``.

        comparison: a ProfileComparison, under "compare". functions: kernels and functions as well.
        """
        document = msgspec.to_builtins(self)
        if functions:
            document["kernels"] = msgspec.to_builtins(self.kernels)
        else:
            del document["functions"]
        if comparison is not None:
            document["compare"] = msgspec.to_builtins(comparison)
        return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def profile_qemu(
    directory: Path, target: Target, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
) -> Profile:
    """Count what the model in ``directory`` executes for one seeded sample.

    Raises:
        BadInputError, EmulationError, ValidationError, MissingProgramError: as ``run_qemu``.
    """
    return profile_run(directory, target, timeout_seconds=timeout_seconds)[0]


def profile_run(
    directory: Path, target: Target, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
) -> tuple[Profile, tuple[Array, ...]]:
    """As ``profile_qemu``, and the outputs of the run that was counted (``seeded_sample``)."""
    manifest = load_manifest(directory)
    with tempfile.TemporaryDirectory(prefix="edgekit-profile-") as folder:
        build_directory = Path(folder)
        elf = build_firmware(
            directory,
            manifest,
            target,
            build_directory=build_directory,
            model_flags=_HOOK_FLAGS,
        )
        samples = [seeded_sample(manifest)]
        write_samples(build_directory / INPUT_FILE, manifest, samples, paint_count=1)
        counts = count_instructions(target, elf, timeout_seconds=timeout_seconds)
        records = read_records(build_directory / OUTPUT_FILE, manifest, record_count=1)
        functions = read_functions(target, elf)
    check_records(manifest, records, paint_count=1)
    profile = Profile(
        core=target.core,
        compiler=compiler_version(target),
        flags=" ".join(compiler_flags(target)),
        total_instructions=counts.instructions,
        total_cycles_model=_modelled(target, counts.cycles),
        layers=_layer_profiles(manifest, counts, target),
        functions=function_profiles(functions, counts.by_address),
    )
    return profile, records[0].outputs


def seeded_sample(manifest: Manifest) -> tuple[Array, ...]:
    """One array per input, uniform over its type; the same on every machine."""
    generator = np.random.Generator(np.random.PCG64(_SAMPLE_SEED))
    arrays = []
    for entry in manifest.inputs:
        limits = np.iinfo(entry.dtype)
        values = generator.integers(limits.min, limits.max, entry.shape, np.int64, endpoint=True)
        arrays.append(values.astype(entry.dtype))
    return tuple(arrays)


def function_profiles(
    functions: Sequence[FunctionSymbol], by_address: Mapping[int, int]
) -> tuple[FunctionProfile, ...]:
    """Sum the counts per function, most instructions first."""
    starts = [function.address for function in functions]
    instructions: dict[str, int] = {}
    for address, count in by_address.items():
        position = bisect.bisect_right(starts, address) - 1
        name = functions[position].name
        instructions[name] = instructions.get(name, 0) + count
    ordered = sorted(instructions.items(), key=lambda item: (-item[1], item[0]))
    return tuple(FunctionProfile(name, count) for name, count in ordered)


def _layer_profiles(
    manifest: Manifest, counts: RegionCounts, target: Target
) -> tuple[LayerProfile, ...]:
    known = {layer.index for layer in manifest.layers} | {GLUE_INDEX}
    for index in sorted(set(counts.layers) - known):
        raise EdgekitError(
            f"{manifest.name}: EK_LAYER_HOOK({index}) is no layer of the manifest; "
            "report this as a bug"
        )
    nothing = LayerCount(instructions=0, cycles=0)
    layers = []
    for layer in manifest.layers:
        count = counts.layers.get(layer.index, nothing)
        cycles = _modelled(target, count.cycles)
        layers.append(
            LayerProfile(layer.name, layer.op, layer.kernel, layer.macs, count.instructions, cycles)
        )
    glue = counts.layers.get(GLUE_INDEX, nothing)
    glue_cycles = _modelled(target, glue.cycles)
    layers.append(LayerProfile(GLUE_NAME, "", "", 0, glue.instructions, glue_cycles))
    return tuple(layers)


def _modelled(target: Target, cycles: int) -> int | None:
    return cycles if target.core in CYCLE_MODELS else None
