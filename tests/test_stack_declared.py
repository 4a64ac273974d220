# SPDX-License-Identifier: Apache-2.0
"""The stack that kernels and manifests declare covers the static bound on every core."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.models import SHARED, TORCH, convert_named

from edgekit.build.cross import compile_objects
from edgekit.build.stack import model_stack_bound, stack_bound
from edgekit.emit.runtime_files import runtime_files
from edgekit.emit.sources import MODEL_RUN_STACK_BYTES, ROW_DRIVER_STACK_BYTES
from edgekit.kernel import Kernel
from edgekit.manifest import load_manifest
from edgekit.ops import operators
from edgekit.target import list_targets, load_target

MOST_STACK_BYTES = 1536
CORES = tuple(t.name for t in list_targets() if t.compiler is not None)
MODELS = (*SHARED, *TORCH, "residual", "every_operator", "two_by_two")
KERNELS = {k.symbol: k for operator in operators().values() for k in operator.kernels}


@pytest.fixture(autouse=True)
def _cross_compiler(require_program: Callable[[str], str]) -> None:
    require_program("arm-none-eabi-gcc")


def measured_bytes(kernel: Kernel, core: str, folder: Path) -> int:
    """The static bound of a kernel and all it calls, compiled for one core."""
    folder.mkdir()
    files = runtime_files([kernel.symbol], [])
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    target = load_target(core)
    sources = [folder / name for name in sorted(files) if name.endswith(".c")]
    objects = compile_objects(target, sources, include_directories=[folder], build_directory=folder)
    return stack_bound(target, objects, entry=kernel.symbol, build_directory=folder).bytes


@pytest.mark.parametrize("symbol", sorted(KERNELS))
def test_kernel_declares_what_it_needs_at_most(symbol: str, tmp_path: Path) -> None:
    """On the worst core, and not a multiple of it: the manifest's bound is what users reserve."""
    kernel = KERNELS[symbol]
    cores = [core for core in CORES if kernel.isa in load_target(core).isa]
    needed = max(measured_bytes(kernel, core, tmp_path / core) for core in cores)
    assert needed <= kernel.stack_bytes <= 2 * needed + 32


@pytest.mark.parametrize("name", MODELS)
def test_manifest_bounds_the_stack_on_cortex_m4(
    name: str, converted: Callable[[str], Path]
) -> None:
    check_bound(converted(name), "cortex-m4")


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("name", ["residual", "every_operator"])
def test_manifest_bounds_the_stack_on_every_core(
    name: str, core: str, shared_model: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = convert_named(name, shared_model, target=core).save(tmp_path / "model")
    check_bound(folder, core)


def check_bound(folder: Path, core: str) -> None:
    declared = load_manifest(folder).stack_bytes
    bound = model_stack_bound(folder, load_target(core))
    assert bound.bytes <= declared <= MOST_STACK_BYTES, bound.path
    frames = {frame.function: frame.bytes for frame in bound.path}
    assert frames["model_run"] <= MODEL_RUN_STACK_BYTES
    assert frames.get("ek_run_rows", 0) <= ROW_DRIVER_STACK_BYTES
