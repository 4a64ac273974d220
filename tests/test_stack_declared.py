# SPDX-License-Identifier: Apache-2.0
"""The stack that kernels and manifests declare covers the static bound on every core."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.graphs import GRAPHS, GraphBuilder
from support.models import SHARED, TORCH, convert_named
from support.planned import MODES, convert_planned

from edgekit.build.cross import compile_objects
from edgekit.build.model import compile_model
from edgekit.build.stack import model_stack_bound, read_stack_usage, stack_bound
from edgekit.converters.schedule.plan import PlannedPair
from edgekit.emit.runtime_files import runtime_files
from edgekit.emit.stack import (
    COLUMN_PAIR_STACK_BYTES,
    COPY_STACK_BYTES,
    ENTRY_STACK_BYTES,
    MAP_STACK_BYTES,
    PAIR_STACK_BYTES,
    PORT_STACK_BYTES,
    ROW_STACK_BYTES,
)
from edgekit.kernel import Kernel
from edgekit.manifest import load_manifest
from edgekit.ops import operators
from edgekit.program import InputMode
from edgekit.target import list_targets, load_target

MOST_STACK_BYTES = 1536
CORES = tuple(t.name for t in list_targets() if t.compiler is not None and t.architecture == "arm")
"""Those whose instructions the static bound reads; test_cores.py measures the stack on all."""
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


PAIRS = tuple(PlannedPair(kind, "conv2d_1", "depthwise_conv2d_2", 16) for kind in ("F", "E"))

COLUMN_PAIR = PlannedPair("D", "max_pool2d_6", "depthwise_conv2d_7", 2)


@pytest.mark.parametrize("core", CORES)
def test_manifest_bounds_the_stack_of_a_pair_by_columns(core: str, tmp_path: Path) -> None:
    graph, pairs = GRAPHS["every_operator"](), (COLUMN_PAIR,)
    folder = convert_planned(graph, "resident", pairs=pairs, target=core).save(tmp_path / "model")
    check_bound(folder, core)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pair", [None, *PAIRS], ids=["none", "F", "E"])
def test_manifest_bounds_the_stack_of_every_input_mode(
    pair: PlannedPair | None, mode: InputMode, core: str, tmp_path: Path
) -> None:
    graph, pairs = GRAPHS["residual"](), () if pair is None else (pair,)
    folder = convert_planned(graph, mode, pairs=pairs, target=core).save(tmp_path / "model")
    check_bound(folder, core)


def test_model_of_many_ports_has_a_pointer_to_each_on_its_stack(tmp_path: Path) -> None:
    b = GraphBuilder()
    x = b.input("x", (1, 2, 2, 1))
    outputs = [b.conv2d(x, 1) for _ in range(60)]
    folder = convert_planned(b.graph(*outputs), "resident").save(tmp_path / "model")
    check_bound(folder, "cortex-m4")


@pytest.mark.parametrize("core", CORES)
def test_runtime_functions_declare_what_they_need_at_most(core: str, tmp_path: Path) -> None:
    """The frames of each part of a path, which the manifest's bound is the sum of."""
    frames: dict[str, int] = {}
    ports = 0
    for mode in MODES:
        artifact = convert_planned(GRAPHS["every_operator"](), mode, target=core)
        folder = artifact.save(tmp_path / mode)
        frames |= frames_of(folder, core, tmp_path / f"{mode}_objects")
        ports = PORT_STACK_BYTES * (1 + len(artifact.manifest.inputs + artifact.manifest.outputs))
    pair = convert_planned(GRAPHS["residual"](), "stream", pairs=PAIRS[:1], target=core)
    frames |= frames_of(pair.save(tmp_path / "pair"), core, tmp_path / "pair_objects")
    pair = convert_planned(GRAPHS["every_operator"](), "stream", pairs=(COLUMN_PAIR,), target=core)
    frames |= frames_of(pair.save(tmp_path / "columns"), core, tmp_path / "columns_objects")
    model = max(frames[name] for name in frames if name.startswith("model_"))
    runners = max(frames["ek_stream_push"], frames["ek_stream_finish"]) + frames["ek_run_script"]
    pairs = max(frames["ek_run_pair_row"], frames["ek_run_pair_map"])
    copies = max(frames["ek_run_copy"], frames["ek_run_pull"] + frames["read_window"])
    needed = {
        ENTRY_STACK_BYTES: model + runners - ports,
        COPY_STACK_BYTES: copies,
        MAP_STACK_BYTES: frames["ek_run_map"],
        ROW_STACK_BYTES: frames["ek_run_row"] + frames["ek_run_region"],
        PAIR_STACK_BYTES: pairs + frames.get("run_block", 0) + frames.get("produce", 0),
        COLUMN_PAIR_STACK_BYTES: frames["ek_run_column_pair_row"] + frames.get("gather_tiles", 0),
    }
    assert all(bound - 96 <= measured <= bound for bound, measured in needed.items()), needed


def frames_of(folder: Path, core: str, into: Path) -> dict[str, int]:
    """The frame of each function of a project by itself."""
    into.mkdir()
    objects = compile_model(folder, load_manifest(folder), load_target(core), build_directory=into)
    return read_stack_usage(objects)
