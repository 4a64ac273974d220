# SPDX-License-Identifier: Apache-2.0
"""QUANTIZE between int16 and an int32 port: every value, near ties, what is refused, generated C."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.tflite_cases import operator_model
from support.tflite_oracle import built, count_mismatches, seeded_inputs
from support.tflite_writer import ModelSpec, OperatorSpec, TensorSpec, write_tflite

import edgekit
from edgekit.arith import quantize_multiplier
from edgekit.converters.tflite import multipliers
from edgekit.errors import BadInputError, UnsupportedError
from edgekit.interpret import interpret
from edgekit.ir import Array
from edgekit.validate import ValidateOptions, validate

EVERY_INT16 = np.arange(-32768, 32768).astype(np.int16).reshape(1, -1)
SCALES_TO_INT32 = ((1e-3, 1e-3), (1e-3, 1e-6), (2.0**-15, 2.0**-31), (1e-3, 0.7), (1e-3, 3.3e-9))
SCALES_FROM_INT32 = ((1e-6, 1e-3), (2.0**-31, 2.0**-15), (3e-9, 2.1e-5), (1e-3, 1e-3), (1e-3, 3e-8))


def quantize(
    types: tuple[str, str],
    scales: tuple[float, float],
    *,
    zero_points: tuple[int, int] = (0, 0),
    size: int = 8,
) -> ModelSpec:
    """QUANTIZE over a vector."""
    x, y = (
        TensorSpec(name, (1, size), scale, zero_point, type_)
        for name, scale, zero_point, type_ in zip("xy", scales, zero_points, types, strict=True)
    )
    return operator_model("QUANTIZE", [x], y)


def int32_values(scales: tuple[float, float]) -> Array:
    """Both ends, noise, small values, and those around rounding ties of the output."""
    random = np.random.default_rng(3)
    noise = random.integers(-(2**31), 2**31, 20000)
    ties = np.rint((np.arange(-5000, 5000, 7) + 0.5) * scales[1] / scales[0])[:, np.newaxis]
    parts = [noise, np.arange(-600, 600), (ties + np.arange(-2, 3)).reshape(-1)]
    values = np.concatenate([*parts, [-(2**31), 2**31 - 1]])
    return values.clip(-(2**31), 2**31 - 1).astype(np.int32).reshape(1, -1)


@pytest.mark.parametrize("scales", SCALES_TO_INT32, ids=str)
def test_every_int16_value_becomes_int32(scales: tuple[float, float], tmp_path: Path) -> None:
    data, graph = built(quantize(("INT16", "INT32"), scales, size=65536), tmp_path)
    assert graph.tensors["y"].dtype == "int32"
    assert count_mismatches(data, graph, [(EVERY_INT16,)]) == (0, 65536)


@pytest.mark.parametrize("result", ["INT16", "INT8"])
@pytest.mark.parametrize("scales", SCALES_FROM_INT32, ids=str)
def test_int32_values_become_narrow(
    scales: tuple[float, float], result: str, tmp_path: Path
) -> None:
    x = int32_values(scales)
    zero_points = (0, -7) if result == "INT8" else (0, 0)
    model = quantize(("INT32", result), scales, zero_points=zero_points, size=x.size)
    data, graph = built(model, tmp_path)
    assert count_mismatches(data, graph, [(x,)]) == (0, x.size)


def test_the_factor_is_double(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where float32 would give other integers, BUILTIN_REF agrees with double."""
    random = np.random.default_rng(8)
    decisive = 0
    for _ in range(20):
        scales = tuple(float(np.float32(s)) for s in random.uniform((1e-4, 1e-8), (1e-3, 1e-7)))
        model = quantize(("INT16", "INT32"), (scales[0], scales[1]), size=65536)
        data, graph = built(model, tmp_path)
        assert count_mismatches(data, graph, [(EVERY_INT16,)])[0] == 0
        (ours,) = interpret(graph, [EVERY_INT16], outputs_only=True).values()
        with monkeypatch.context() as patch:
            patch.setattr(multipliers, "rescale_factor", multipliers.relu_factor)
            _, single = built(model, tmp_path)
        (other,) = interpret(single, [EVERY_INT16], outputs_only=True).values()
        decisive += bool((ours != other).any())
    assert decisive > 10


@pytest.mark.parametrize(
    ("types", "zero_points", "fact"),
    [
        (("INT8", "INT32"), (0, 0), "from INT8 to INT32; go through INT16"),
        (("INT32", "INT32"), (0, 0), "from INT32 to INT32; go through INT16"),
        (("INT16", "INT32"), (0, 5), "is INT32 with zero point 5; it must be 0"),
        (("INT32", "INT16"), (-5, 0), "is INT32 with zero point -5; it must be 0"),
    ],
)
def test_other_forms_are_refused(
    types: tuple[str, str], zero_points: tuple[int, int], fact: str, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedError, match=fact):
        built(quantize(types, (1e-3, 1e-5), zero_points=zero_points), tmp_path)


def test_a_factor_that_tflite_does_not_define(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"QUANTIZE 'y': .* times its output's; at most 2\^30"):
        built(quantize(("INT16", "INT32"), (1.0, 1e-10)), tmp_path)
    assert quantize_multiplier(2.0**30 - 1)[1] == 30


def test_int32_without_a_scale_is_refused(tmp_path: Path) -> None:
    model = quantize(("INT32", "INT16"), (1e-6, 1e-3))
    plain = ModelSpec(
        [TensorSpec("x", (1, 8), type="INT32"), model.tensors[1]],
        model.operators,
        model.inputs,
        model.outputs,
    )
    with pytest.raises(UnsupportedError, match="'x' is INT32; only INT8 is supported"):
        built(plain, tmp_path)


@pytest.mark.parametrize("name", ["RELU", "RESHAPE", "LEAKY_RELU", "TANH"])
def test_other_operators_refuse_int32(name: str, tmp_path: Path) -> None:
    x, y = (TensorSpec(name, (1, 8), 1e-3, 0, "INT32") for name in "xy")
    with pytest.raises(UnsupportedError, match=f"{name} 'y': .* is INT32; only INT8 is supported"):
        built(operator_model(name, [x], y), tmp_path)


def between_int32_ports() -> ModelSpec:
    """int32 -> int16 -> LEAKY_RELU -> int16 -> int32."""
    shape = (1, 1, 23, 5)
    tensors = [
        TensorSpec("x", shape, 3e-9, 0, "INT32"),
        TensorSpec("a", shape, 2.1e-4, 0, "INT16"),
        TensorSpec("b", shape, 1.9e-4, 0, "INT16"),
        TensorSpec("y", shape, 2e-8, 0, "INT32"),
    ]
    operators = [
        OperatorSpec("QUANTIZE", ["x"], ["a"]),
        OperatorSpec("LEAKY_RELU", ["a"], ["b"], {"Alpha": -0.3}),
        OperatorSpec("QUANTIZE", ["b"], ["y"]),
    ]
    return ModelSpec(tensors, operators, ["x"], ["y"])


def test_generated_c_has_int32_ports(tmp_path: Path) -> None:
    model = between_int32_ports()
    data, graph = built(model, tmp_path)
    assert count_mismatches(data, graph, seeded_inputs(graph, samples=8))[0] == 0
    path = tmp_path / "ports.tflite"
    path.write_bytes(write_tflite(model))
    artifact = edgekit.convert(path, target="cortex-m4")
    options = ValidateOptions(on=("host",), per_layer=True)
    report = validate(artifact.save(tmp_path / "project"), options).assert_ok()
    assert {rung.name for rung in report.rungs} >= {"reference", "host", "source"}
    kernels = dict.fromkeys(layer.kernel for layer in artifact.manifest.layers)
    assert list(kernels) == [
        "ek_requantize_s32_s16__ref",
        "ek_leaky_relu_s16__ref",
        "ek_requantize_s16_s32__ref",
    ]
    assert b"model_run(const int32_t *input, int32_t *output" in artifact.files["model.h"]
