# SPDX-License-Identifier: Apache-2.0
"""Models with int16 activations (TFLite's 16x8): equal to BUILTIN_REF, and to their generated C."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from support.conformance import check_kernel, only_call, trial_inputs
from support.kernel_library import host_library
from support.random_calls import CALLS, quantized
from support.random_movement import MOVEMENT_CALLS
from support.tflite_cases import cases, operator_model
from support.tflite_cases_int16 import (
    biased_ties,
    chain,
    int8_only_cases,
    int16_cases,
    int16_twin,
    power_of_two_sum,
)
from support.tflite_oracle import built, count_mismatches, seeded_inputs
from support.tflite_writer import TensorSpec, write_tflite

import edgekit
from edgekit.errors import UnsupportedError
from edgekit.interpret import interpret
from edgekit.ops import operators
from edgekit.ops._int16_cases import int16_graph
from edgekit.ops.add import with_int16_shifts
from edgekit.validate import ValidateOptions, validate

CALLS = {**CALLS, **{name: MOVEMENT_CALLS[name] for name in ("batch_matmul", "reduce_min", "tile")}}
RANDOM_FAMILIES = sorted(
    name
    for name, operator in operators().items()
    if name in CALLS
    and name != "softmax"  # its int16 form has an output scale of its own
    and any("int16" in kernel.element_types for kernel in operator.kernels)
)
CASES = int16_cases()


@pytest.mark.parametrize("name", CASES)
def test_operator_equals_the_reference_kernel(name: str, tmp_path: Path) -> None:
    data, graph = built(CASES[name], tmp_path)
    assert graph.tensors[graph.outputs[0].tensor].dtype == "int16"
    different, compared = count_mismatches(data, graph, seeded_inputs(graph, samples=6))
    assert compared > 0
    assert different == 0, f"{different} of {compared} elements differ"


@pytest.mark.parametrize("outer", ["INT16", "FLOAT32"])
def test_chain_is_the_same_on_every_rung(
    outer: str, tmp_path: Path, require_program: Callable[[str], str]
) -> None:
    require_program("qemu-system-arm")
    path = tmp_path / "chain.tflite"
    path.write_bytes(write_tflite(chain(outer=outer)))
    artifact = edgekit.convert(path, target="cortex-m4")
    options = ValidateOptions(on=("host", "qemu"), per_layer=True)
    report = validate(artifact.save(tmp_path / "project"), options).assert_ok()
    assert {rung.name for rung in report.rungs} >= {"reference", "host", "qemu"}
    manifest = artifact.manifest
    assert [entry.dtype for entry in (*manifest.inputs, *manifest.outputs)] == ["int16", "int16"]
    kernels = {layer.kernel for layer in manifest.layers}
    assert all("_s16__" in kernel for kernel in kernels), kernels
    assert b"model_run(const int16_t *input, int16_t *output" in artifact.files["model.h"]


@pytest.mark.parametrize("family", RANDOM_FAMILIES)
@settings(
    max_examples=30, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)
@given(data=st.data())
def test_kernels_equal_reference_on_random_layers(family: str, data: st.DataObject) -> None:
    adjust = with_int16_shifts if family in ("add", "sub") else lambda arithmetic: arithmetic
    bias = data.draw(st.sampled_from(("int32", "int64")))
    graph = int16_graph(quantized(data.draw(CALLS[family])), adjust=adjust, bias=bias)
    call = only_call(graph)
    kernels = [k for k in operators()[call.node.op].kernels if k.refusal(call) is None]
    assume(kernels)
    for kernel in kernels:
        inputs = tuple(trial_inputs(call, noise_samples=1))
        check_kernel(host_library(kernel.isa), operators()[family], kernel, call, inputs)


@pytest.mark.parametrize("name", sorted(int8_only_cases()))
def test_operator_without_int16_form_is_refused_by_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=name):
        built(int8_only_cases()[name], tmp_path)


def test_zero_point_of_int16_is_refused(tmp_path: Path) -> None:
    model = CASES["relu_same_scale"]
    shifted = [dataclasses.replace(tensor, zero_point=7) for tensor in model.tensors]
    with pytest.raises(UnsupportedError, match="INT16 with zero point 7; it must be 0"):
        built(dataclasses.replace(model, tensors=shifted), tmp_path)


def test_types_must_agree_but_for_quantize(tmp_path: Path) -> None:
    model = CASES["conv_none"]
    (x, *rest) = model.tensors
    mixed = dataclasses.replace(model, tensors=[dataclasses.replace(x, type="INT8"), *rest])
    with pytest.raises(UnsupportedError, match="is INT8 but its output INT16; QUANTIZE it first"):
        built(mixed, tmp_path)


def test_depthwise_bias_of_int32_is_refused_as_tflite_does(tmp_path: Path) -> None:
    twin = int16_twin(cases()["depthwise_none"], bias=np.int32)
    with pytest.raises(UnsupportedError, match="is INT32; only INT64 is supported"):
        built(twin, tmp_path)


@pytest.mark.parametrize("exponents", [(-14, -13), (-16, -13), (-13, -13)], ids=str)
@pytest.mark.parametrize("name", ["ADD", "SUB"])
@pytest.mark.parametrize("nearly", [1.0, 1.0005], ids=["exact", "nearly"])
def test_power_of_two_scales_use_shifts_alone(
    name: str, exponents: tuple[int, int], nearly: float, tmp_path: Path
) -> None:
    model = power_of_two_sum(name, exponents, nearly)
    data, graph = built(model, tmp_path)
    assert graph.nodes[0].arithmetic.left_shift == 0
    different, compared = count_mismatches(data, graph, seeded_inputs(graph, samples=6))
    assert (different, compared > 1000) == (0, True)


@pytest.mark.parametrize("exponents", [(-14, -14), (-12, -13)], ids=str)
@pytest.mark.parametrize("name", ["ADD", "SUB"])
def test_powers_of_two_that_tflite_refuses_follow_the_general_rule(
    name: str, exponents: tuple[int, int], tmp_path: Path
) -> None:
    _, graph = built(power_of_two_sum(name, exponents, 1.0), tmp_path)
    data, general = built(power_of_two_sum(name, exponents, 1.0, PotScaleInt16=False), tmp_path)
    assert graph.nodes[0].arithmetic == general.nodes[0].arithmetic
    assert count_mismatches(data, graph, seeded_inputs(graph, samples=6))[0] == 0


def test_general_sum_where_the_file_says_so(tmp_path: Path) -> None:
    model = power_of_two_sum("ADD", (-14, -13), 1.0, PotScaleInt16=False)
    data, graph = built(model, tmp_path)
    assert graph.nodes[0].arithmetic.left_shift == 15
    assert count_mismatches(data, graph, seeded_inputs(graph, samples=6))[0] == 0


@pytest.mark.parametrize("scales", [(0.001, 0.2), (0.01, 0.01), (0.0005, 0.127)], ids=str)
def test_quantize_narrows_every_value(scales: tuple[float, float], tmp_path: Path) -> None:
    x = TensorSpec("x", (1, 65536), scales[0], 0, "INT16")
    y = TensorSpec("y", (1, 65536), scales[1], -7)
    data, graph = built(operator_model("QUANTIZE", [x], y), tmp_path)
    every = np.arange(-32768, 32768).astype(np.int16).reshape(1, -1)
    assert count_mismatches(data, graph, [(every,)]) == (0, 65536)


@pytest.mark.parametrize("alpha", [0.3, -0.3, -1.0, -2.5, None])
def test_leaky_relu_and_abs_over_every_value(alpha: float | None, tmp_path: Path) -> None:
    """Ratios of scales that give exact ties are among them; without alpha it is ABS."""
    random = np.random.default_rng(6)
    every = np.arange(-32768, 32768).astype(np.int16).reshape(1, -1)
    for number in range(12):
        ratio = float(random.choice([0.5, 0.75, 1.0, 1.5, 2.5]) if number % 2 else random.uniform())
        result = float(np.float32(10 ** random.uniform(-5, -3)))
        x = TensorSpec("x", (1, 65536), float(np.float32(ratio * result)), 0, "INT16")
        y = TensorSpec("y", (1, 65536), result, 0, "INT16")
        model = operator_model("ABS", [x], y)
        if alpha is not None:
            model = operator_model("LEAKY_RELU", [x], y, {"Alpha": alpha})
        data, graph = built(model, tmp_path)
        assert count_mismatches(data, graph, [(every,)]) == (0, 65536), (ratio, result)


@pytest.mark.parametrize("scale", [2.0**-12, 2.0**-11, 2.0**-13, 0.001, 0.00037, 1e-5, 0.02, 1.5])
@pytest.mark.parametrize("name", ["LOGISTIC", "TANH"])
def test_curves_over_every_value(name: str, scale: float, tmp_path: Path) -> None:
    x = TensorSpec("x", (1, 65536), scale, 0, "INT16")
    y = TensorSpec("y", (1, 65536), 2.0**-15, 0, "INT16")
    data, graph = built(operator_model(name, [x], y), tmp_path)
    every = np.arange(-32768, 32768).astype(np.int16).reshape(1, -1)
    assert count_mismatches(data, graph, [(every,)]) == (0, 65536)


@pytest.mark.parametrize("name", ["CONV_2D", "FULLY_CONNECTED", "DEPTHWISE_CONV_2D"])
def test_multiplier_of_15_bits_at_rounding_ties(name: str, tmp_path: Path) -> None:
    """Scales for which the 15-bit multiplier, and not the 31-bit one, decides about ties."""
    differ = 0
    for scale in np.random.default_rng(4).uniform(0.001, 0.004, 12):
        data, graph = built(biased_ties(name, float(np.float32(scale))), tmp_path)
        (port,) = graph.inputs
        x = np.zeros(graph.tensors[port.tensor].shape, np.int16)
        assert count_mismatches(data, graph, [(x,)])[0] == 0
        (wide,) = interpret(graph, [x], outputs_only=True).values()
        arithmetic = graph.nodes[0].arithmetic
        bias = graph.tensors[graph.nodes[0].inputs[2]].data
        assert bias is not None
        exact = (
            bias * np.array(arithmetic.multipliers) * 2.0 ** (np.array(arithmetic.shifts) - 31.0)
        )
        differ += int((wide.reshape(-1) != np.rint(exact)).sum())
    assert differ > 0
