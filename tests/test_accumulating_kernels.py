# SPDX-License-Identifier: Apache-2.0
"""Kernels that take their input row by row: equal to the reference, whatever memory holds before.

Their edge cases run in test_kernels_conformance.py, like those of all kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.accumulating import PAINTS, check_accumulating, run_accumulating
from support.conformance import check_kernel, only_call, trial_inputs
from support.kernel_library import host_library
from support.random_calls import quantized
from support.random_reductions import REDUCTIONS, WIDTH_REDUCTIONS

from edgekit.converters.choose import choose
from edgekit.ir import Call, QGraph, Quantization, Tensor
from edgekit.kernel import Binding, Kernel
from edgekit.layout import NHWC
from edgekit.ops import Operator, operators
from edgekit.ops._int16_cases import int16_graph
from edgekit.ops._operator import Case, case_graph
from edgekit.ops._pooling import PoolArithmetic
from edgekit.ops.average_pool2d import AveragePool2d
from edgekit.ops.max_pool2d import MaxPool2d
from edgekit.target import load_target
from edgekit.window import Axis, Window

ACCUMULATING = [
    pytest.param(operator, kernel, id=f"{operator.name}-{kernel.symbol}")
    for operator in operators().values()
    for kernel in operator.kernels
    if kernel.accumulates
]
DTYPES = ("int8", "int16", "int16 with a bias of int32")
POOLINGS: dict[str, Callable[[Window], Any]] = {
    "average_pool2d": AveragePool2d,
    "max_pool2d": MaxPool2d,
}


def drawn(strategy: st.SearchStrategy[Call], dtype: str) -> st.SearchStrategy[QGraph]:
    """Models of one layer in one of DTYPES; operators without int16 are left out there."""
    if dtype == "int8":
        return strategy.map(quantized)
    bias = "int64" if dtype == "int16" else "int32"
    return strategy.filter(_has_int16).map(lambda call: int16_graph(quantized(call), bias=bias))


def _has_int16(call: Call) -> bool:
    kernels = operators()[call.node.op].kernels
    return any("int16" in kernel.element_types for kernel in kernels)


def serving(graph: QGraph) -> list[Kernel]:
    """The accumulating kernels that accept the node of a model."""
    call = only_call(graph)
    kernels = operators()[call.node.op].kernels
    return [k for k in kernels if k.accumulates and k.refusal(call) is None]


def accepted_cases(operator: Operator, kernel: Kernel) -> list[Case]:
    return [c for c in operator.cases() if kernel.refusal(only_call(c.graph)) is None]


def test_operators_that_reduce_the_height_have_accumulating_kernels() -> None:
    found = {operator.name for operator, _ in (p.values for p in ACCUMULATING)}
    assert found == {"average_pool2d", "fully_connected", "max_pool2d", "mean", "sum"}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", sorted(REDUCTIONS))
@settings(max_examples=60)
@given(data=st.data())
def test_kernel_equals_reference_on_random_layers(
    family: str, dtype: str, data: st.DataObject
) -> None:
    graph = data.draw(drawn(REDUCTIONS[family], dtype))
    call = only_call(graph)
    inputs = tuple(trial_inputs(call, noise_samples=3))
    kernels = serving(graph)
    assert kernels
    for kernel in kernels:
        check_accumulating(host_library(kernel.isa), kernel, call, inputs)


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@settings(max_examples=40)
@given(data=st.data())
def test_reduction_of_columns_is_computed_row_by_row(dtype: str, data: st.DataObject) -> None:
    call = only_call(data.draw(drawn(WIDTH_REDUCTIONS, dtype)))
    operator = operators()[call.node.op]
    kernels = [
        k
        for k in operator.kernels
        if k.kind == "rows" and not k.accumulates and k.refusal(call) is None
    ]
    assert kernels
    assert operator.row_map(call) == Axis(1)
    for kernel in kernels:
        inputs = tuple(trial_inputs(call))
        check_kernel(host_library(kernel.isa), operator, kernel, call, inputs)


@pytest.mark.parametrize(("operator", "kernel"), ACCUMULATING)
def test_what_scratch_held_before_does_not_count(operator: Operator, kernel: Kernel) -> None:
    case = accepted_cases(operator, kernel)[0]
    call = only_call(case.graph)
    (x,) = next(trial_inputs(call))
    constants = [tensor.data for tensor in call.inputs if tensor.data is not None]
    expected = operator.evaluate(call, [x, *constants])
    for paint in range(len(PAINTS)):
        library, binding = host_library(kernel.isa), Binding((NHWC,))
        output = run_accumulating(library, kernel, call, binding, x, paint=paint)
        assert (output == expected).all(), PAINTS[paint]


@pytest.mark.parametrize(("operator", "kernel"), ACCUMULATING)
def test_accumulating_kernel_is_offered_but_never_chosen_for_whole_maps(
    operator: Operator, kernel: Kernel
) -> None:
    for case in accepted_cases(operator, kernel):
        (choice,) = choose(case.graph, load_target("cortex-m4")).values()
        assert not choice.kernel.accumulates
        assert choice.accumulating is not None
        call = only_call(case.graph)
        assert choice.costs.instructions(choice.accumulating, call) <= choice.costs.instructions(
            kernel, call
        )


@pytest.mark.parametrize("operator", ["mean", "sum"])
def test_rows_that_stay_apart_are_reduced_row_by_row_where_maps_are_whole(operator: str) -> None:
    """The output of a rows kernel may overtake its input, that of a kernel of maps may not."""
    for case in operators()[operator].cases():
        (choice,) = choose(case.graph, load_target("cortex-m4")).values()
        by_row = operators()[operator].row_map(only_call(case.graph)) is not None
        assert (choice.kernel.kind == "rows") == by_row


@pytest.mark.parametrize(
    ("height", "width", "reason"),
    [
        (Axis(3), Axis(6), "does not span the whole height"),
        (Axis(2, 1, 3), Axis(6), "does not span the whole height"),
        (Axis(4, 4, 2, 2, 2), Axis(6), "padded"),
        (Axis(4, 4, 1, 0, 1), Axis(6), "padded"),
        (Axis(4), Axis(3, 1, 1, 1, 1), "padded"),
        (Axis(4), Axis(6, 2, 1, 0, 1), "padded"),
    ],
)
@pytest.mark.parametrize("op", sorted(POOLINGS))
def test_pooling_of_padded_maps_or_of_less_than_the_height_is_refused(
    op: str, height: Axis, width: Axis, reason: str
) -> None:
    operator, attributes = operators()[op], POOLINGS[op](Window(height, width))
    x = Tensor("x", (1, 4, 6, 3), "int8", Quantization(0.05, -11))
    shape = operator.output_shape(attributes, [x.shape])
    graph = case_graph(
        op,
        inputs=[x],
        output=Tensor("y", shape, "int8", x.quantization),
        attributes=attributes,
        arithmetic=PoolArithmetic(-11, -128, 127),
        name="refused",
    )
    refusals = [k.refusal(only_call(graph)) for k in operator.kernels if k.accumulates]
    assert any(reason in str(refusal) for refusal in refusals)
    assert None not in refusals


@pytest.mark.parametrize(
    ("op", "case", "reason"),
    [
        ("mean", "width_only", "it does not reduce the height"),
        ("sum", "channels", "it does not reduce the height"),
        ("fully_connected", "pixels_as_rows", "its input has 6 rows"),
        ("fully_connected", "keep_dims", "its input has 12 rows"),
    ],
)
def test_layer_that_keeps_rows_apart_is_refused(op: str, case: str, reason: str) -> None:
    (graph,) = (c.graph for c in operators()[op].cases() if c.name == case)
    assert serving(graph) == []
    refusals = {k.refusal(only_call(graph)) for k in operators()[op].kernels if k.accumulates}
    assert reason in refusals


@pytest.mark.parametrize(("rows", "part"), [(1, 30), (3, 10), (5, 6), (30, 1), (None, 10)])
def test_flat_input_arrives_in_as_many_parts_as_the_binding_says(
    rows: int | None, part: int
) -> None:
    operator = operators()["fully_connected"]
    graph = next(c.graph for c in operator.cases() if c.name == "whole_map_as_one_row")
    for kernel in serving(graph):
        members = kernel.pack(only_call(graph), Binding((NHWC,), rows=rows)).members
        if "part_bytes" in members:
            assert (members["part_bytes"], members["parts"]) == (part, 30 // part)
        else:
            assert (members["input_channels"], members["rows"]) == (30, 30 // part)


def test_parts_must_be_equal() -> None:
    graph = next(c.graph for c in operators()["mean"].cases() if c.name == "rank_3")
    for kernel in serving(graph):
        with pytest.raises(AssertionError, match="9 elements are not 2 equal parts"):
            kernel.pack(only_call(graph), Binding((NHWC,), rows=2))
