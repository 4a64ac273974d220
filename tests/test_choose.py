# SPDX-License-Identifier: Apache-2.0
"""Kernels and layouts are those that take the least instructions in sum."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from unittest import mock

import numpy as np
import pytest
from support.dsp_cases import pointwise
from support.dsp_depthwise_cases import depthwise

from edgekit.converters import choose as choice_of_kernels
from edgekit.converters.choose import Choice, choose
from edgekit.costs import Costs, load_costs
from edgekit.ir import Call, Node, Port, QGraph, Quantization, Tensor
from edgekit.kernel import Kernel
from edgekit.layout import NHWC
from edgekit.ops import conv2d, depthwise_conv2d, lookup, operator_of
from edgekit.ops._dsp_depthwise import ROW_PLANAR
from edgekit.ops._dsp_depthwise_nhwc import DSP_NHWC
from edgekit.ops._dsp_pointwise import DSP_4X2
from edgekit.ops.lookup import Lookup, LookupArithmetic
from edgekit.target import load_target

M4 = load_target("cortex-m4")
COSTS = load_costs(M4)
SIZE, CHANNELS = 10, 24


def _chain(calls: Sequence[Call], *, outputs: Sequence[int] = ()) -> QGraph:
    """Layers one behind the other; those numbered in ``outputs`` are outputs of the model too."""
    tensors = {"t0": dataclasses.replace(calls[0].inputs[0], name="t0")}
    nodes = []
    for number, call in enumerate(calls):
        constants = [dataclasses.replace(t, name=f"{t.name}{number}") for t in call.inputs[1:]]
        result = dataclasses.replace(call.output, name=f"t{number + 1}")
        tensors |= {tensor.name: tensor for tensor in (*constants, result)}
        inputs = (f"t{number}", *(tensor.name for tensor in constants))
        nodes.append(
            dataclasses.replace(call.node, name=f"n{number}", inputs=inputs, outputs=(result.name,))
        )
    shown = dict.fromkeys([*(f"t{number + 1}" for number in outputs), f"t{len(calls)}"])
    ports = tuple(Port(name, name, tensors[name].shape) for name in shown)
    return QGraph(
        tensors, tuple(nodes), (Port("t0", "t0", tensors["t0"].shape),), ports, name="chain"
    )


def _lookup() -> Call:
    shape = (1, SIZE, SIZE, CHANNELS)
    quantization = Quantization(0.1, -7)
    node = Node(
        "lookup",
        "lookup",
        ("x",),
        ("y",),
        Lookup("hard_swish"),
        LookupArithmetic(tuple(int(v) for v in np.arange(-128, 128))),
    )
    tensors = {name: Tensor(name, shape, "int8", quantization) for name in ("x", "y")}
    port = (Port("x", "x", shape),), (Port("y", "y", shape),)
    return QGraph(tensors, (node,), *port, name="lookup").call(node)


def _pointwise() -> Call:
    return pointwise(SIZE, 16, CHANNELS, height=SIZE)


def _depthwise(kernel: int = 3) -> Call:
    pad = (kernel // 2, kernel // 2)
    return depthwise((SIZE, SIZE, CHANNELS), 1, kernel=kernel, pad=pad)


def _kernels(choices: dict[str, Choice]) -> list[Kernel]:
    return [choices[f"n{number}"].kernel for number in range(len(choices))]


def test_a_pointwise_writes_what_the_depthwise_behind_it_reads() -> None:
    choices = choose(_chain([_pointwise(), _depthwise()]), M4)
    assert _kernels(choices) == [DSP_4X2, ROW_PLANAR[0]]
    assert choices["n0"].binding.output == choices["n1"].binding.inputs[0] != NHWC


def test_a_table_between_them_writes_row_planar_rows() -> None:
    choices = choose(_chain([_pointwise(), _lookup(), _depthwise(5)]), M4)
    assert _kernels(choices) == [DSP_4X2, lookup.PLANAR, ROW_PLANAR[2]]


@pytest.mark.parametrize("outputs", [(0,), ()])
def test_what_others_see_stays_nhwc(outputs: tuple[int, ...]) -> None:
    choices = choose(_chain([_pointwise(), _depthwise()], outputs=outputs), M4)
    assert (choices["n0"].binding.output == NHWC) == (choices["n1"].kernel is DSP_NHWC)
    assert (choices["n1"].kernel is DSP_NHWC) == bool(outputs)


def test_a_depthwise_behind_a_depthwise_reads_nhwc() -> None:
    assert _kernels(choose(_chain([_depthwise(), _depthwise()]), M4)) == [DSP_NHWC, DSP_NHWC]


def _twin(symbol: str, extra: float) -> Kernel:
    """A 1x1 convolution that writes NHWC only, and takes so much more."""
    return dataclasses.replace(
        DSP_4X2,
        symbol=symbol,
        writes=("nhwc",),
        features=lambda call: {"estimate": COSTS.instructions(DSP_4X2, call) + extra},
    )


def test_a_dearer_producer_is_taken_where_its_layout_saves_more() -> None:
    graph = _chain([_pointwise(), _depthwise()])
    call = graph.call(graph.nodes[1])
    saved = COSTS.instructions(DSP_NHWC, call) - COSTS.instructions(ROW_PLANAR[0], call)
    for extra, taken in ((-0.9 * saved, ROW_PLANAR[0]), (-1.1 * saved, DSP_NHWC)):
        twin = _twin("ek_pointwise_s8__dsp_twin", extra)
        costs = Costs({**COSTS.kernels, twin.symbol: {"estimate": 1.0}})
        with (
            mock.patch.object(conv2d.OPERATOR, "kernels", (twin, DSP_4X2)),
            mock.patch.object(choice_of_kernels, "load_costs", return_value=costs),
        ):
            assert choose(graph, M4)["n1"].kernel is taken


def _combinations(graph: QGraph) -> Iterator[float]:
    """The sums of all kernels of a chain that fit each other."""
    calls = list(graph.calls())
    served = [
        [k for k in operator_of(c.node).kernels if k.isa in M4.isa and k.refusal(c) is None]
        for c in calls
    ]
    for kernels in itertools.product(*served):
        layouts = [k.input_layouts(c)[0].kind for k, c in zip(kernels, calls, strict=True)]
        wanted = [*layouts[1:], "nhwc"]
        if layouts[0] == "nhwc" and all(
            kind in kernel.writes for kind, kernel in zip(wanted, kernels, strict=True)
        ):
            yield sum(COSTS.instructions(k, c) for k, c in zip(kernels, calls, strict=True))


@pytest.mark.parametrize("seed", range(6))
def test_no_combination_of_kernels_is_cheaper(seed: int) -> None:
    random = np.random.default_rng(seed)
    makers = (_pointwise_of_24, _depthwise, _lookup, lambda: _depthwise(5))
    calls = [_pointwise(), *(makers[int(i)]() for i in random.integers(0, len(makers), 4))]
    graph = _chain(calls)
    choices = choose(graph, M4)
    total = sum(COSTS.instructions(choices[call.node.name].kernel, call) for call in graph.calls())
    # Of two kernels within the error of the model, the flat one is taken.
    assert total == pytest.approx(min(_combinations(graph)), rel=choice_of_kernels.MODEL_ERROR)


def _pointwise_of_24() -> Call:
    return pointwise(SIZE, CHANNELS, CHANNELS, height=SIZE)


@pytest.mark.parametrize(("factor", "isa"), [(1.01, "ref"), (0.99, "c")])
def test_a_kernel_that_saves_too_little_is_not_worth_its_code(factor: float, isa: str) -> None:
    graph = _chain([_pointwise(), _lookup()])
    calls = list(graph.calls())
    with mock.patch.object(choice_of_kernels, "RARE_SHARE", 0.0):
        fast = _kernels(choose(graph, M4))
    plain = next(
        k for k in lookup.OPERATOR.kernels if k.isa == "ref" and k.refusal(calls[1]) is None
    )
    saved = COSTS.instructions(plain, calls[1]) - COSTS.instructions(fast[1], calls[1])
    assert fast[1].isa == "c" and saved > 0
    total = sum(COSTS.instructions(k, c) for k, c in zip(fast, calls, strict=True))
    with mock.patch.object(choice_of_kernels, "RARE_SHARE", factor * saved / total):
        found = _kernels(choose(graph, M4))
    assert found[0] is fast[0]
    assert found[1].isa == isa


def test_what_a_planar_layer_reads_has_no_plain_kernel() -> None:
    with mock.patch.object(choice_of_kernels, "RARE_SHARE", 1e9):
        kernels = _kernels(choose(_chain([_pointwise(), _depthwise()]), M4))
    assert kernels == [DSP_4X2, ROW_PLANAR[0]]


def test_both_ends_of_a_planar_map_have_a_compact_choice() -> None:
    choices = choose(_chain([_pointwise(), _depthwise(), _lookup()]), M4)
    assert [choices[f"n{i}"].compact is not None for i in range(3)] == [True, True, False]
    ends = [choice.compact for choice in choices.values() if choice.compact]
    assert [end.kernel for end in ends] == [DSP_4X2, DSP_NHWC]
    assert {layout for end in ends for layout in (*end.binding.inputs, end.binding.output)} == {
        NHWC
    }


def test_a_layer_between_two_planar_maps_has_no_compact_choice() -> None:
    """One choice could not say which of the maps is meant."""
    planar = dataclasses.replace(ROW_PLANAR[0], writes=("nhwc", "row_planar"))
    graph = _chain([_pointwise(), _depthwise(), _depthwise()])
    with mock.patch.object(depthwise_conv2d.OPERATOR, "kernels", (planar, DSP_NHWC)):
        choices = choose(graph, M4)
    assert _kernels(choices) == [DSP_4X2, planar, planar]
    assert not any(choice.compact for choice in choices.values())
