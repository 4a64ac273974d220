# SPDX-License-Identifier: Apache-2.0
"""The overflow certificate: bounds that the worst inputs reach exactly, and refusals beyond 32 bits."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.errors import UnsupportedError
from edgekit.ir import Call, QGraph, constant
from edgekit.ops import operators
from edgekit.ops._accumulators import ACCUMULATOR_LIMIT, check_accumulators
from edgekit.ops._dsp_pointwise import DSP_4X2
from edgekit.ops._weight_channels import OUTPUT_AXIS
from edgekit.ops._weighted import BIAS, WEIGHTS

CASES = [
    pytest.param(case, id=f"{op}-{case.name}")
    for op in OUTPUT_AXIS
    for case in operators()[op].cases()
    if "int16" not in case.name and "sums_of" not in case.name
]


def call_of(graph: QGraph) -> Call:
    return graph.call(graph.nodes[0])


def worst_sums(call: Call) -> int:
    """The largest partial sum of the worst inputs of each channel, added up product by product."""
    arithmetic = call.node.arithmetic
    rows = np.moveaxis(call.constant(WEIGHTS), OUTPUT_AXIS[call.node.op], 0)
    bias = call.inputs[BIAS].data if len(call.inputs) > BIAS else np.zeros(len(rows))
    assert bias is not None
    limits = np.iinfo(call.inputs[0].dtype)
    worst = 0
    for channel, start in zip(rows.reshape(len(rows), -1).tolist(), bias.tolist(), strict=True):
        for shift, first in (
            (arithmetic.input_zero_point, int(start)),
            (0, int(start) - arithmetic.input_zero_point * sum(channel)),
        ):
            for sign in (1, -1):
                total = max(sign * first, 0)
                for weight in channel:
                    ends = [sign * weight * (x - shift) for x in (limits.min, limits.max)]
                    total += max(*ends, 0)
                worst = max(worst, int(total))
    return worst


@pytest.mark.parametrize("case", CASES)
def test_bound_is_what_the_worst_inputs_reach(case: Any) -> None:
    call = call_of(case.graph)
    assert operators()[call.node.op].accumulator_bound(call) == worst_sums(call)


@pytest.mark.parametrize("op", sorted(operators()))
def test_operators_that_sum_have_a_bound(op: str) -> None:
    graph = next(operators()[op].cases()).graph
    bound = operators()[op].accumulator_bound(call_of(graph))
    sums = {*OUTPUT_AXIS, "average_pool2d", "layer_normalization", "mean", "sum"}
    assert (bound is not None) == (op in sums)
    assert bound is None or 0 < bound < ACCUMULATOR_LIMIT


def with_bias(graph: QGraph, value: int) -> QGraph:
    """The first channel of the only layer has this bias."""
    call = call_of(graph)
    bias = call.constant(BIAS).copy()
    bias[0] = value
    tensors = {**graph.tensors, call.inputs[BIAS].name: constant(call.inputs[BIAS].name, bias)}
    return dataclasses.replace(graph, tensors=tensors).verify()


def test_sums_beyond_32_bits_are_refused() -> None:
    case = next(c for c in operators()["conv2d"].cases() if c.name == "pointwise_8_to_12")
    check_accumulators(case.graph)
    zero = with_bias(case.graph, 0)
    call = call_of(zero)
    weights = call.constant(WEIGHTS)[0].astype(int).reshape(-1)
    products = sum(
        max(w * (x - call.node.arithmetic.input_zero_point) for x in (-128, 127)) for w in weights
    )
    most = 2**31 - 1 - products
    folded = most - call.node.arithmetic.input_zero_point * int(weights.sum())
    if folded + sum(max(w * x for x in (-128, 127)) for w in weights) >= 2**31:
        pytest.fail("the case must be bound by the sums with subtracted zero points")
    check_accumulators(with_bias(case.graph, most))
    with pytest.raises(UnsupportedError, match=r"conv2d 'conv2d': its sums could reach 2147483648"):
        check_accumulators(with_bias(case.graph, most + 1))


def test_lanes_of_packed_weights_have_a_bound() -> None:
    case = next(c for c in operators()["conv2d"].cases() if c.name == "pointwise_8_to_12")
    call = call_of(case.graph)
    assert DSP_4X2.refusal(call) is None
    weights = call.constant(WEIGHTS).reshape(12, 8).astype(int)
    assert DSP_4X2.lane_bound(call) == 128 * np.abs(weights[1::2]).sum(axis=1).max()
    assert operators()["conv2d"].kernels[-1].lane_bound(call) is None


def test_manifest_has_the_bounds(tmp_path: Path) -> None:
    from support.tflite_writer import write_tflite

    from edgekit.cli.app import run
    from edgekit.manifest import load_manifest

    path = tmp_path / "model.tflite"
    path.write_bytes(write_tflite(_pointwise_model()))
    assert run(["convert", str(path), "-t", "cortex-m4", "-o", str(tmp_path / "out")]) == 0
    (layer,) = load_manifest(tmp_path / "out").layers
    assert layer.kernel == "ek_pointwise_s8__dsp_4x2"
    assert layer.accumulator_bound == 8 * 100 * 128
    assert layer.lane_bound == 8 * 100 * 128


def _pointwise_model() -> Any:
    from support.tflite_writer import ModelSpec, OperatorSpec, TensorSpec, constant_spec

    weights = np.full((4, 1, 1, 8), 100, np.int8)
    weights[::2] = -100
    tensors = [
        TensorSpec("x", (1, 6, 6, 8), 0.05, 0),
        constant_spec("w", weights, scale=0.01),
        TensorSpec("y", (1, 6, 6, 4), 0.5, 0),
    ]
    options = {"Padding": 1, "StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
    convolution = OperatorSpec("CONV_2D", ["x", "w"], ["y"], options)
    return ModelSpec(tensors, [convolution], ["x"], ["y"])
