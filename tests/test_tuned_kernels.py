# SPDX-License-Identifier: Apache-2.0
"""Instructions of tuned kernels on emulated cores, per output element of whole layers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from support.conformance import only_call, trial_inputs
from support.graphs import HALF_3, SAME_3, GraphBuilder, square
from support.models import convert_graph
from test_cores import check_on_core, prefixed, side_by_side

from edgekit.artifact import Artifact
from edgekit.converters.choose import choose
from edgekit.converters.load import Imported
from edgekit.converters.plan_model import Budget
from edgekit.converters.schedule.layerwise import layer_costs
from edgekit.interpret import interpret
from edgekit.ir import Array, QGraph
from edgekit.manifest import load_manifest
from edgekit.ops import operators
from edgekit.ops._extremum import IDENTITY, ExtremumArithmetic
from edgekit.ops._operator import Case
from edgekit.ops.add import Add
from edgekit.ops.average_pool2d import AveragePool2d
from edgekit.ops.concat import Concat
from edgekit.ops.lookup import Lookup
from edgekit.ops.max_pool2d import MaxPool2d
from edgekit.ops.maximum import Maximum
from edgekit.ops.mean import Mean
from edgekit.ops.minimum import Minimum
from edgekit.ops.mul import Mul
from edgekit.ops.pad import Pad
from edgekit.ops.requantize import Requantize
from edgekit.ops.resize_nearest import ResizeNearest
from edgekit.ops.slice import Slice
from edgekit.ops.softmax import Softmax
from edgekit.ops.sub import Sub
from edgekit.pipeline import ConvertOptions, convert_model, to_integers
from edgekit.runners.profile import profile_qemu
from edgekit.runners.qemu import run_qemu
from edgekit.target import load_target
from edgekit.window import Axis, Window

MAP = (1, 12, 12, 32)
HALVES = Axis(2, 2)
TWICE = tuple(place // 2 for place in range(24))
WHOLE = Window(Axis(12), Axis(12))


@dataclass(frozen=True)
class Layer:
    """A layer over inputs of the shape MAP, and the most instructions of an output element.

    limits: on each of CORES.
    """

    add: Callable[[GraphBuilder, str, str], str]
    limits: tuple[float, ...]


LAYERS: dict[str, Layer] = {
    "add": Layer(lambda b, x, y: b.node("add", Add(), x, y), (7.2, 26, 33, 25, 4)),
    "add_relu": Layer(lambda b, x, y: b.node("add", Add(0.0, None), x, y), (11.2, 42, 50, 39, 5)),
    "add_channels": Layer(
        lambda b, x, _: b.node("add", Add(), x, b.constant((32,))), (9.1, 28, 36, 27, 5)
    ),
    "sub": Layer(lambda b, x, y: b.node("sub", Sub(), x, y), (7.2, 26, 33, 25, 4)),
    "mul": Layer(lambda b, x, y: b.node("mul", Mul(), x, y), (9.5, 36, 76, 39, 4)),
    "mul_channels": Layer(
        lambda b, x, _: b.node("mul", Mul(), x, b.input("gates", (1, 1, 1, 32))),
        (11.6, 37, 77, 40, 5.5),
    ),
    "maximum": Layer(lambda b, x, y: b.node("maximum", Maximum(), x, y), (3, 14, 15, 13, 0.5)),
    "minimum": Layer(lambda b, x, y: b.node("minimum", Minimum(), x, y), (3, 14, 15, 13, 0.5)),
    "requantize": Layer(
        lambda b, x, _: b.node("requantize", Requantize(), x), (4.4, 4.4, 5.2, 5, 0.5)
    ),
    "lookup": Layer(
        lambda b, x, _: b.node("lookup", Lookup("sigmoid"), x), (4.4, 4.4, 5.2, 5, 0.5)
    ),
    "softmax": Layer(lambda b, x, _: b.node("softmax", Softmax(), x), (50, 50, 104, 54, 50)),
    "max_2x2": Layer(
        lambda b, x, _: b.node("max_pool2d", MaxPool2d(square(HALVES)), x), (15, 44, 55, 34, 8)
    ),
    "max_3x3": Layer(
        lambda b, x, _: b.node("max_pool2d", MaxPool2d(square(SAME_3)), x), (21, 70, 82, 49, 9)
    ),
    "average_2x2": Layer(
        lambda b, x, _: b.node("average_pool2d", AveragePool2d(square(HALVES)), x),
        (23, 33, 54, 30, 14),
    ),
    "average_3x3": Layer(
        lambda b, x, _: b.node("average_pool2d", AveragePool2d(square(HALF_3)), x),
        (28, 46, 74, 42, 18),
    ),
    "average_12x12": Layer(
        lambda b, x, _: b.node("average_pool2d", AveragePool2d(WHOLE), x), (212, 465, 665, 425, 135)
    ),
    "concat_of_two_scales": Layer(
        lambda b, x, _: b.node("concat", Concat(3), x, b.constant(MAP)),
        (5.9, 5.9, 7.7, 6.4, 1.7),
    ),
    "pad": Layer(
        lambda b, x, _: b.node("pad", Pad((0, 1, 1, 0), (0, 1, 1, 0)), x),
        (1.2, 1.2, 1.7, 2.3, 1.2),
    ),
    "slice": Layer(
        lambda b, x, _: b.node("slice", Slice((0, 2, 3, 0), (1, 8, 8, 32), (1, 1, 1, 1)), x),
        (1.3, 1.3, 2.0, 2.1, 1.3),
    ),
    "resize_nearest": Layer(
        lambda b, x, _: b.node("resize_nearest", ResizeNearest(TWICE, TWICE), x),
        (1.7, 1.8, 2.9, 2.6, 1.8),
    ),
    "mean_12x12": Layer(
        lambda b, x, _: b.node("mean", Mean((1, 2), True), x), (228, 460, 655, 436, 236)
    ),
}
CORES = ("cortex-m4", "cortex-m3", "cortex-m0plus", "rv32imc", "cortex-m55")


def layers_side_by_side() -> QGraph:
    """A model with each of LAYERS; the extrema are of equal scales."""
    b = GraphBuilder("side_by_side")
    x, y = b.input("x", MAP), b.input("y", MAP)
    graph = b.graph(*(layer.add(b, x, y) for layer in LAYERS.values()))
    same = ExtremumArithmetic((0, 0), (IDENTITY[0],) * 2, (IDENTITY[1],) * 2, 0)
    nodes = tuple(
        dataclasses.replace(node, arithmetic=same) if node.op in ("maximum", "minimum") else node
        for node in graph.nodes
    )
    return dataclasses.replace(graph, nodes=nodes)


@pytest.mark.parametrize("core", CORES)
def test_instructions_of_an_element(
    core: str, tmp_path: Path, require_emulator: Callable[[str], None]
) -> None:
    """gcc 12 -O2; the estimates that schedules are chosen by are near the counts."""
    require_emulator(core)
    graph = layers_side_by_side()
    folder = convert_graph(graph, target=core).save(tmp_path / "model")
    layers = profile_qemu(folder, load_target(core)).layers
    missed, estimates = [], layer_costs(graph, choose(graph, load_target(core)))
    for (name, layer), call, counted in zip(LAYERS.items(), graph.calls(), layers, strict=False):
        count = counted.instructions / call.output.elements
        estimate = estimates[call.node.name] / counted.instructions
        line = f"{name}: {count:.2f} by {counted.kernel}, estimate {estimate:.2f}"
        print(line)
        if count > layer.limits[CORES.index(core)]:
            missed.append(line)
        if not 0.85 <= estimate <= 1.15:
            missed.append(line)
    assert not missed


def served_cases() -> list[tuple[str, Case]]:
    """Every int8 case that a tuned kernel accepts, with its operator."""
    found = []
    for operator in operators().values():
        tuned = [kernel for kernel in operator.kernels if kernel.isa == "c"]
        for case in operator.cases() if tuned else ():
            if any(kernel.refusal(only_call(case.graph)) is None for kernel in tuned):
                found.append((operator.name, case))
    return found


def case_inputs(case: Case) -> list[tuple[Array, ...]]:
    """The inputs that the case is made for, noise, and both extremes."""
    noisy, _, least, greatest, _ = trial_inputs(only_call(case.graph))
    return [*case.inputs, noisy, least, greatest]


PARTS = 3
"""Programs that the cases are spread over; a model has a limit for what its inputs hold."""


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m55"])
@pytest.mark.parametrize("part", range(PARTS))
def test_every_case_on_core(
    part: int, core: str, tmp_path: Path, require_program: Callable[[str], str]
) -> None:
    """The twins for the DSP and Helium instructions, which no test on the host runs."""
    require_program("arm-none-eabi-gcc")
    require_program("qemu-system-arm")
    cases = served_cases()[part::PARTS]
    graph = side_by_side(
        [prefixed(case.graph, f"{op}_{number}") for number, (op, case) in enumerate(cases)]
    )
    folder = convert_graph(graph, target=core).save(tmp_path / "model")
    kernels = {layer.kernel for layer in load_manifest(folder).layers}
    assert kernels >= {"ek_linear_sum_s8__c", "ek_product_s8__c"}
    trials = [case_inputs(case) for _, case in cases]
    samples = [
        [array for inputs in trials for array in inputs[min(number, len(inputs) - 1)]]
        for number in range(5)
    ]
    run = run_qemu(folder, samples, load_target(core))
    for sample, outputs in zip(samples, run.outputs, strict=True):
        values = interpret(graph, sample, outputs_only=True)
        for port, output in zip(graph.outputs, outputs, strict=True):
            assert np.array_equal(output, values[port.tensor]), port.name


@pytest.mark.parametrize("name", ["max_12x12", "average_12x12", "mean_12x12"])
def test_rows_that_arrive_one_by_one_on_cortex_m4(
    name: str, tmp_path: Path, require_program: Callable[[str], str]
) -> None:
    require_program("arm-none-eabi-gcc")
    require_program("qemu-system-arm")
    b = GraphBuilder(name)
    x = b.conv2d(b.input("x", (1, 12, 12, 4)), 15)
    if name == "mean_12x12":
        y = b.node("mean", Mean((1, 2), True), x)
    elif name == "average_12x12":
        y = b.node("average_pool2d", AveragePool2d(WHOLE), x)
    else:
        y = b.node("max_pool2d", MaxPool2d(WHOLE), x)
    budget = Budget(input_mode="stream", max_ram_bytes=1200)
    options = ConvertOptions(load_target("cortex-m4"), name="model", budget=budget)
    model = convert_model(to_integers(Imported(b.graph(y)), None), options)
    folder = Artifact(model).save(tmp_path / "model")
    kernels = [layer.kernel for layer in load_manifest(folder).layers]
    assert any(kernel.endswith("__c_accumulating") for kernel in kernels), kernels
    check_on_core(folder, "cortex-m4", samples=4)
