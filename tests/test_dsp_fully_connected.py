# SPDX-License-Identifier: Apache-2.0
"""The DSP kernels of fully connected layers: every tail, what fits no lane, parts of one row."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from support.conformance import check_kernel, only_call, trial_inputs
from support.kernel_library import host_library

from edgekit.artifact import write_project
from edgekit.converters.choose import choose
from edgekit.converters.plan_model import Budget
from edgekit.interpret import interpret
from edgekit.ir import Array, Port, QGraph, constant
from edgekit.kernel import Binding, CStruct, CValue
from edgekit.ops._dsp_fully_connected import DSP_ACCUMULATING, DSP_PARTS, DSP_ROWS
from edgekit.ops._weighted_cases import weighted_case
from edgekit.ops.fully_connected import OPERATOR, FullyConnected
from edgekit.pipeline import ConvertOptions, IntegerModel, convert_model
from edgekit.runners.qemu import run_qemu
from edgekit.target import load_target

KERNELS = (DSP_ROWS, DSP_PARTS, DSP_ACCUMULATING)
RequireProgram = Callable[[str], str]


def _graph(
    name: str, rows: int, inputs: int, outputs: int, *, shift: int = -9, minimum: int = -128
) -> QGraph:
    return weighted_case(
        OPERATOR,
        name,
        FullyConnected(),
        input_shape=(rows, inputs),
        weights_shape=(outputs, inputs),
        channels=outputs,
        shift=shift,
        minimum=minimum,
    ).graph


def _with_weights(graph: QGraph, weights: Array) -> QGraph:
    tensors = {**graph.tensors, "weights": constant("weights", weights.astype(np.int8))}
    return dataclasses.replace(graph, tensors=tensors)


def _crafted() -> Iterator[tuple[str, QGraph]]:
    for inputs in range(1, 14):
        for rows in (1, 2, 3, 4, 6):
            name = f"{rows}x{inputs}"
            yield name, _graph(name, rows, inputs, 1 + (inputs + rows) % 5)
    for outputs in (15, 16, 17, 33):
        yield f"outputs_{outputs}", _graph(f"outputs_{outputs}", 1, 12, outputs)
    yield "clamped", _graph("clamped", 1, 24, 6, minimum=-7)
    yield "left_shift", _graph("left_shift", 1, 24, 6, shift=2)
    fits_no_lane = np.full((5, 12), -128)
    yield "no_lane", _with_weights(_graph("no_lane", 1, 12, 5, shift=-12), fits_no_lane)
    for inputs in (516, 517, 1032, 2052):
        most = np.full((4, inputs), 127)
        most[2] = -127
        name = f"most_{inputs}"
        yield name, _with_weights(_graph(name, 1, inputs, 4, shift=-17), most)


CRAFTED = dict(_crafted())


@pytest.mark.parametrize("name", CRAFTED)
def test_kernels_equal_reference(name: str) -> None:
    call = only_call(CRAFTED[name])
    accepted = [kernel for kernel in KERNELS if kernel.refusal(call) is None]
    assert accepted or call.inputs[0].shape[1] < 4
    inputs = tuple(trial_inputs(call, noise_samples=1))
    if call.inputs[0].elements > 600:  # an input in each number of parts takes long
        accepted = [kernel for kernel in accepted if not kernel.accumulates]
    for kernel in accepted:
        check_kernel(host_library("dsp"), OPERATOR, kernel, call, inputs)


def _parts_and_pair_channels(
    inputs: int, weights: tuple[int, ...], *, rows: int | None = None
) -> tuple[CValue, CValue]:
    """How a layer of weights of one value per output is packed."""
    array = np.repeat(np.array(weights)[:, None], inputs, axis=1)
    call = only_call(_with_weights(_graph("layer", 1, inputs, len(weights), shift=-17), array))
    kernel = DSP_PARTS if rows is None else DSP_ACCUMULATING
    members = kernel.pack(call, Binding((), rows=rows)).members
    sums = members["sums"]
    assert isinstance(sums, CStruct)
    return members["parts"], sums.members["pair_channels"]


@pytest.mark.parametrize(
    ("inputs", "weights", "parts", "pair_channels"),
    [
        (516, (127, 127), 1, 2),
        (1032, (127, 127), 2, 2),
        (2050, (1, 1), 2, 2),
        (2053, (1, 1), 1, 2),
        (516, (-128, -128), 1, 1),
    ],
)
def test_a_row_is_computed_in_the_fewest_parts_that_fit(
    inputs: int, weights: tuple[int, ...], parts: int, pair_channels: int
) -> None:
    assert _parts_and_pair_channels(inputs, weights) == (parts, pair_channels)


def test_parts_that_a_schedule_asks_for_fit_lanes_of_their_own() -> None:
    assert _parts_and_pair_channels(1032, (127, 127), rows=1) == (1, 1)
    assert _parts_and_pair_channels(1032, (127, 127), rows=2) == (2, 2)


def _side_by_side(graphs: dict[str, QGraph]) -> QGraph:
    """One model of all graphs, their names made distinct."""
    tensors, nodes, inputs, outputs = {}, [], [], []
    for number, graph in enumerate(graphs.values()):
        names = {name: f"{name}_{number}" for name in graph.tensors}
        tensors |= {
            names[t.name]: dataclasses.replace(t, name=names[t.name])
            for t in graph.tensors.values()
        }
        for node in graph.nodes:
            ends = [tuple(names[name] for name in side) for side in (node.inputs, node.outputs)]
            nodes.append(
                dataclasses.replace(node, name=f"n{number}", inputs=ends[0], outputs=ends[1])
            )
        for ports, side in ((graph.inputs, inputs), (graph.outputs, outputs)):
            side += [Port(names[p.name], names[p.tensor], p.source_shape) for p in ports]
    return QGraph(tensors, tuple(nodes), tuple(inputs), tuple(outputs), name="layers").verify()


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m33"])
def test_kernels_equal_reference_on_emulated_cores(
    core: str, tmp_path: Path, require_program: RequireProgram
) -> None:
    require_program("qemu-system-arm")
    require_program("arm-none-eabi-gcc")
    graph, target = _side_by_side(CRAFTED), load_target(core)
    chosen = {choice.kernel.symbol for choice in choose(graph, target).values()}
    assert {DSP_ROWS.symbol, DSP_PARTS.symbol} <= chosen
    samples = list(_samples(graph))
    options = ConvertOptions(target, "layers", budget=Budget("layerwise"))
    model = IntegerModel(graph, tuple(samples[:1]), None, {}, 0)
    directory = tmp_path / "layers"
    write_project(convert_model(model, options), directory)
    for sample, found in zip(samples, run_qemu(directory, samples, target).outputs, strict=True):
        expected = interpret(graph, sample, outputs_only=True)
        different = [
            name
            for (name, port), ours in zip(
                zip(CRAFTED, graph.outputs, strict=True), found, strict=True
            )
            if not np.array_equal(ours, expected[port.tensor])
        ]
        assert not different


def _samples(graph: QGraph) -> Iterator[tuple[Array, ...]]:
    """Both extremes and noise."""
    shapes = [graph.tensors[port.tensor].shape for port in graph.inputs]
    random = np.random.default_rng(5)
    yield tuple(np.full(shape, -128, np.int8) for shape in shapes)
    yield tuple(np.full(shape, 127, np.int8) for shape in shapes)
    yield tuple(random.integers(-128, 128, shape).astype(np.int8) for shape in shapes)
