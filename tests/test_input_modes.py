# SPDX-License-Identifier: Apache-2.0
"""Inputs that are pushed, pulled or overwritten: the same results as the reference, on every rung."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.claimed import check_touched
from support.graphs import GRAPHS, GraphBuilder
from support.planned import MODES, PORTS, convert_planned, torch_graph
from support.tflite_cases_int16 import chain
from support.tflite_oracle import built

from edgekit.artifact import Artifact
from edgekit.converters.schedule.plan import PlannedPair
from edgekit.errors import BadInputError, ValidationError
from edgekit.input_modes import check_input_mode
from edgekit.inputs import seeded_samples
from edgekit.interpret import interpret
from edgekit.ir import Array, QGraph
from edgekit.manifest import load_manifest
from edgekit.outputs import run_to_file
from edgekit.program import InputMode
from edgekit.reference import Reference
from edgekit.runners.host import run_host
from edgekit.runners.host_calls import chunk_sizes
from edgekit.runners.profile import profile_qemu
from edgekit.runners.qemu import run_qemu
from edgekit.target import load_target
from edgekit.validate import ValidateOptions, validate
from edgekit.window import Axis, Window

RequireProgram = Callable[[str], str]
BY_ROWS: tuple[InputMode, ...] = ("stream", "pull")
ANY = (*(name for name in GRAPHS if name != "two_by_two"), *PORTS)
ALL: dict[str, Callable[[], QGraph]] = {**GRAPHS, **PORTS}
PAIR = ("conv2d_1", "depthwise_conv2d_2", 16)
COLUMN_PAIR = PlannedPair("D", "max_pool2d_6", "depthwise_conv2d_7", 2)
"""An expansion of the model "residual" and the depthwise layer behind it."""


def expected_outputs(folder: Path, samples: list[tuple[Array, ...]]) -> list[list[Array]]:
    graph = Reference(folder).graph
    values = [interpret(graph, sample) for sample in samples]
    return [[v[port.tensor] for port in graph.outputs] for v in values]


def check_on_host(artifact: Artifact, folder: Path) -> None:
    """All outputs of seeded samples, every layer's rows, and exactly the claimed arena."""
    artifact.save(folder)
    manifest = load_manifest(folder)
    samples = list(seeded_samples(manifest.inputs, 6, seed=3))
    result = run_host(folder, samples, paint=True)
    for mine, wanted in zip(result.outputs, expected_outputs(folder, samples), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(mine, wanted, strict=True))
    check_touched(manifest, result.arena_touched_bytes)
    report = validate(folder, ValidateOptions(on=("host",), samples=5, per_layer=True))
    assert report.assert_ok().first_difference is None


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ANY)
def test_model_on_the_host(name: str, mode: InputMode, tmp_path: Path) -> None:
    check_on_host(convert_planned(ALL[name](), mode), tmp_path / "model")


@pytest.mark.parametrize("mode", ["resident", "overwrite"])
def test_several_inputs_on_the_host(mode: InputMode, tmp_path: Path) -> None:
    check_on_host(convert_planned(GRAPHS["two_by_two"](), mode), tmp_path / "model")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["residual", "every_operator", "early_outputs"])
def test_layer_by_layer_on_the_host(name: str, mode: InputMode, tmp_path: Path) -> None:
    check_on_host(convert_planned(ALL[name](), mode, primitive="L"), tmp_path / "model")


@pytest.mark.parametrize("mode", ["resident", *BY_ROWS])
@pytest.mark.parametrize("primitive", ["F", "R", "E"])
def test_pairs_on_the_host(primitive: str, mode: InputMode, tmp_path: Path) -> None:
    """The map between the layers of a pair is never there, so it is not compared."""
    pair = PlannedPair(primitive, *PAIR)  # type: ignore[arg-type]
    artifact = convert_planned(GRAPHS["residual"](), mode, pairs=(pair,))
    assert [x.completes for x in artifact.manifest.layers if x.name == PAIR[0]] == ["nothing"]
    check_on_host(artifact, tmp_path / "model")


@pytest.mark.parametrize("mode", ["resident", *BY_ROWS])
def test_pair_by_columns_on_the_host(mode: InputMode, tmp_path: Path) -> None:
    artifact = convert_planned(GRAPHS["every_operator"](), mode, pairs=(COLUMN_PAIR,))
    ((entry,),) = (segment.pairs for segment in artifact.manifest.schedule)
    assert (entry.primitive, entry.block_columns) == ("D", 2)
    check_on_host(artifact, tmp_path / "model")


def test_padding_row_of_a_pair_by_columns_is_as_long_as_the_map(tmp_path: Path) -> None:
    """No rows are kept between such windows, so all that the consumer has is a tile of a column."""
    b = GraphBuilder("apart", seed=220)
    x = b.conv2d(b.input("image", (1, 5, 7, 3)), 9)
    graph = b.graph(b.depthwise(x, Window(Axis(1, 3, 1, 1, 0), Axis(1))))
    pair = PlannedPair("D", *(node.name for node in graph.nodes), 1)
    check_on_host(convert_planned(graph, "resident", pairs=(pair,)), tmp_path / "model")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["resnet8", "ds_cnn"])
def test_torch_network_on_the_host(name: str, mode: InputMode, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'edgekit[torch]'")
    check_on_host(convert_planned(torch_graph(name), mode), tmp_path / "model")  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", MODES)
def test_int16_model(mode: InputMode, tmp_path: Path, require_program: RequireProgram) -> None:
    require_program("qemu-system-arm")
    _, graph = built(chain(), tmp_path)
    artifact = convert_planned(graph, mode)
    header = artifact.files["model.h"].decode()
    parameter = {
        "stream": "const int16_t *rows",
        "pull": "int16_t *destination",
    }.get(mode, "const int16_t *input")
    assert parameter in header
    assert "int16_t *output" in header
    check_on_host(artifact, tmp_path / "model")
    validate(tmp_path / "model", ValidateOptions(on=("qemu",))).assert_ok()


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m7"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["residual", "early_outputs"])
def test_model_on_an_emulated_core(
    name: str, mode: InputMode, core: str, tmp_path: Path, require_program: RequireProgram
) -> None:
    """Both choices that a mode leaves to its caller, painted twice; then the profile adds up."""
    require_program("arm-none-eabi-gcc")
    require_program("qemu-system-arm")
    folder = convert_planned(ALL[name](), mode, target=core).save(tmp_path / "model")
    manifest, target = load_manifest(folder), load_target(core)
    samples = list(seeded_samples(manifest.inputs, 3, seed=4))
    result = run_qemu(folder, samples, target, paint=True)
    for mine, wanted in zip(result.outputs, expected_outputs(folder, samples), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(mine, wanted, strict=True))
    check_touched(manifest, result.arena_touched_bytes)
    assert result.stack_used_bytes <= manifest.stack_bytes
    profile = profile_qemu(folder, target)
    assert sum(layer.instructions for layer in profile.layers) == profile.total_instructions
    assert [layer.name for layer in profile.layers][:-1] == [x.name for x in manifest.layers]
    assert all(layer.instructions > 0 for layer in profile.layers)


def test_rows_of_several_inputs_cannot_be_asked_for() -> None:
    for mode in BY_ROWS:
        with pytest.raises(
            BadInputError, match=f"--input {mode}: the model has 2 inputs"
        ) as caught:
            check_input_mode(GRAPHS["two_by_two"](), mode)
        assert caught.value.exit_code == 2
    check_input_mode(GRAPHS["two_by_two"](), "overwrite")


def test_model_without_rows_is_refused() -> None:
    b = GraphBuilder()
    graph = b.graph(b.fully_connected(b.input("features", (1, 12)), 3))
    for mode in BY_ROWS:
        with pytest.raises(BadInputError, match=r"'features' of shape \(1, 12\) has no rows"):
            check_input_mode(graph, mode)
    for mode in ("resident", "overwrite"):
        convert_planned(graph, mode).validate(samples=3).assert_ok()


@pytest.mark.parametrize("mode", MODES)
def test_manifest_counts_what_the_caller_holds(mode: InputMode) -> None:
    manifest = convert_planned(GRAPHS["residual"](), mode).manifest
    held = manifest.input_bytes if mode == "resident" else 0
    assert (manifest.input_mode, manifest.input_bytes) == (mode, 13 * 10 * 3)
    assert manifest.ram_bytes == manifest.arena_bytes + held + manifest.output_bytes
    assert (manifest.inputs[0].arena_offset is not None) == (mode == "overwrite")
    first = manifest.layers[0]
    assert (first.op == "input") == (mode in BY_ROWS)
    assert first.kernel == {"stream": "memcpy", "pull": "callback"}.get(mode, first.kernel)


@pytest.mark.parametrize("mode", MODES)
def test_run_writes_the_outputs(mode: InputMode, tmp_path: Path) -> None:
    folder = convert_planned(GRAPHS["residual"](), mode).save(tmp_path / "model")
    samples = list(seeded_samples(load_manifest(folder).inputs, 4, seed=1))
    np.save(tmp_path / "x.npy", np.concatenate([sample[0] for sample in samples]))
    run_to_file(folder, tmp_path / "x.npy", tmp_path / "y.npz", real=False, on="host")
    (written,) = np.load(tmp_path / "y.npz").values()
    wanted = expected_outputs(folder, samples)
    assert np.array_equal(written, np.concatenate([outputs[0] for outputs in wanted]))


@pytest.mark.parametrize("mode", MODES)
def test_first_layer_that_differs_is_named(mode: InputMode, tmp_path: Path) -> None:
    """Its rows are compared as they come, also those that a ring holds for a moment only."""
    folder = convert_planned(GRAPHS["residual"](), mode).save(tmp_path / "model")
    layer = next(entry for entry in load_manifest(folder).layers if entry.op == "add")
    source = folder / "model.c"
    pattern = rf"(layer_{layer.index} = {{[^}}]*EK_MEMBER\(offset\) )(-?\d+)"
    nine_steps = 9 << 20  # of an output, in the units of ek_linear_sum_s8.h
    changed, count = re.subn(
        pattern, lambda m: f"{m[1]}{int(m[2]) + nine_steps}", source.read_text()
    )
    assert count == 1
    source.write_text(changed)
    report = validate(folder, ValidateOptions(on=("host",), samples=3, per_layer=True))
    assert report.first_difference is not None
    assert report.first_difference.layer == layer.name
    buffer = next(entry for entry in layer.buffers if entry.role == "output")
    assert buffer.ring_rows < layer.rows
    assert report.first_difference.mismatches > buffer.bytes
    with pytest.raises(ValidationError, match="rung 'host'"):
        report.assert_ok()


def test_chunks_are_all_rows_single_ones_and_none() -> None:
    drawn = [list(chunk_sizes(7, np.random.default_rng(seed))) for seed in range(30)]
    assert all(sum(sizes) == 7 for sizes in drawn)
    assert [7, 0] in drawn
    assert [1] * 7 + [0] in drawn
    assert any(0 in sizes[:-1] for sizes in drawn)


@pytest.mark.parametrize(("mode", "pointer"), [("resident", "input"), ("stream", "rows")])
def test_host_notices_a_changed_input(mode: InputMode, pointer: str, tmp_path: Path) -> None:
    folder = convert_planned(GRAPHS["residual"](), mode).save(tmp_path / "model")
    source = folder / "model.c"
    write = f"  ((int8_t *)(uintptr_t){pointer})[0] += 1;\n"
    for word in ("run", "step") if mode == "resident" else ("push_rows",):
        function = f"ek_status model_{word}("
        before, after = source.read_text().split(function)
        signature, body = after.split("{\n", 1)
        source.write_text(f"{before}{function}{signature}{{\n{write}{body}")
    with pytest.raises(ValidationError, match="changed its input"):
        run_host(folder, seeded_samples(load_manifest(folder).inputs, 1, seed=0))
