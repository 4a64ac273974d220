# SPDX-License-Identifier: Apache-2.0
"""Tables of TFLite's int8 functions over all 256 inputs: many scales, and scales near rounding ties.

A near tie is a scale for which some value lies half way between two outputs but for rounding to
float32: there the table that double precision gives is another one, and BUILTIN_REF tells which is right.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.tflite_cases_elementwise import FIXED_OUTPUTS, binary_model, function_model
from support.tflite_oracle import Oracle, built, count_mismatches
from support.tflite_writer import ModelSpec

from edgekit.converters.tflite import multipliers
from edgekit.errors import BadInputError, UnsupportedError
from edgekit.interpret import interpret
from edgekit.ir import Array, Node
from edgekit.ops._unary_functions import evaluate_function
from edgekit.ops.lookup import tabulate

EVERY_VALUE = (np.arange(-128, 128).astype(np.int8).reshape(1, 256),)
NEAR_TIES = 40
MAX_TRIALS = 4000
Scales = tuple[float, float]


def _single(value: float) -> float:
    return float(np.float32(value))


@dataclass(frozen=True)
class Function:
    """A function of TFLite, the double one behind it, and where it rises from low to high."""

    name: str
    double: str
    parameters: tuple[float, ...] = ()
    domain: tuple[float, float] = (0.5, 6.0)
    options: dict[str, Any] = field(default_factory=dict)
    resolver: str = "BUILTIN_REF"

    def real(self, x: Array) -> Array:
        return evaluate_function(self.double, self.parameters, x)

    def model(self, scales: Scales, zero_points: tuple[int, int]) -> ModelSpec:
        options: Any = {"options": self.options}
        return function_model(self.name, scales=scales, zero_points=zero_points, **options)


FUNCTIONS = (
    Function("LOGISTIC", "sigmoid", domain=(0.1, 4.0)),
    Function("TANH", "tanh", domain=(0.1, 2.5)),
    Function("EXP", "exp", domain=(0.1, 4.0)),
    Function("GELU", "gelu", options={"Approximate": False}),
    Function("GELU", "gelu_tanh", options={"Approximate": True}),
    Function("ELU", "elu", (1.0, 1.0, 1.0), (-3.0, -0.1), {}, "BUILTIN_WITHOUT_DEFAULT_DELEGATES"),
)
IDS = [function.double for function in FUNCTIONS]


def _table(model: ModelSpec, folder: Path, resolver: str) -> tuple[Array, Array, Any]:
    """Our table, the runtime's, and the imported graph."""
    data, graph = built(model, folder)
    (ours,) = interpret(graph, EVERY_VALUE, outputs_only=True).values()
    (theirs,) = Oracle(data, resolver=resolver).run(graph, EVERY_VALUE)
    return ours, theirs, graph


def _double_table(function: Function, graph: Any) -> Array:
    """What the definition in double precision gives for the same scales."""
    source, result = (graph.tensors[name].quantization for name in ("x", "y"))
    x = source.scale * (np.arange(-128, 128) - source.zero_point)
    return np.array(tabulate(function.real(x), result), np.int8).reshape(1, 256)


def _near_ties(function: Function, random: np.random.Generator) -> Iterator[Scales]:
    """Input scales of which a multiple is mapped half way between two output steps."""
    low, high = function.domain
    grid = np.linspace(low, high, 20001)
    values = function.real(grid)
    while True:
        output = _single(random.uniform(0.01, 0.1))
        if function.name in FIXED_OUTPUTS:
            output = FIXED_OUTPUTS[function.name][0]
        steps = np.floor(values / output)
        crossings = np.flatnonzero(np.floor(values / output + 0.5) != np.floor(values / output))
        tie = output * (steps[random.choice(crossings)] + 0.5)
        if not values[0] < tie < values[-1]:
            continue
        x = _solve(function, tie, low, high)
        yield _single(abs(x) / int(random.integers(5, 120))), output


def _solve(function: Function, value: float, low: float, high: float) -> float:
    for _ in range(80):
        middle = 0.5 * (low + high)
        if function.real(np.array(middle)) < value:
            low = middle
        else:
            high = middle
    return low


@pytest.mark.parametrize("function", FUNCTIONS, ids=IDS)
def test_near_ties_are_those_of_the_reference_kernel(function: Function, tmp_path: Path) -> None:
    random = np.random.default_rng(23)
    zero_point = FIXED_OUTPUTS.get(function.name, (0.0, 0))[1]
    candidates = _near_ties(function, random)
    decisive = 0
    for _ in range(MAX_TRIALS):
        data_scales = next(candidates)
        model = function.model(data_scales, (0, zero_point))
        _, graph = built(model, tmp_path)
        (ours,) = interpret(graph, EVERY_VALUE, outputs_only=True).values()
        if (ours == _double_table(function, graph)).all():
            continue
        decisive += 1
        ours, theirs, _ = _table(model, tmp_path, function.resolver)
        assert (ours == theirs).all(), data_scales
        if decisive == NEAR_TIES:
            return
    pytest.fail(f"only {decisive} scales of {MAX_TRIALS} tell float32 from double")


@pytest.mark.parametrize("function", FUNCTIONS, ids=IDS)
def test_tables_of_many_scales(function: Function, tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    for _ in range(25):
        scales = _single(10 ** random.uniform(-3, -0.6)), _single(10 ** random.uniform(-3, -0.3))
        zero_points = (int(random.integers(-128, 128)), int(random.integers(-128, 128)))
        if function.name in FIXED_OUTPUTS:
            scales, zero_points = _fixed(function.name, scales, zero_points)
        ours, theirs, _ = _table(function.model(scales, zero_points), tmp_path, function.resolver)
        differ = ours != theirs
        if function.name == "EXP":  # above 2^31 steps TFLite's conversion to int32 is undefined
            x = scales[0] * (np.arange(-128, 128) - zero_points[0])
            overflows = np.exp(x) / scales[1] >= 2.0**31
            assert (ours[0][overflows] == 127).all()
            differ &= ~overflows
        assert not differ.any(), (scales, zero_points)


def _fixed(
    name: str, scales: Scales, zero_points: tuple[int, int]
) -> tuple[Scales, tuple[int, int]]:
    scale, zero_point = FIXED_OUTPUTS[name]
    return (scales[0], scale), (zero_points[0], zero_point)


FIXED_POINT: dict[str, dict[str, Any]] = {
    "hard_swish": {"name": "HARD_SWISH"},
    "leaky_relu": {"name": "LEAKY_RELU", "options": {"Alpha": 0.1}},
    "leaky_relu_steep": {"name": "LEAKY_RELU", "options": {"Alpha": 1.75}},
    "leaky_relu_negative": {"name": "LEAKY_RELU", "options": {"Alpha": -0.4}},
    "abs": {"name": "ABS"},
    "rsqrt": {"name": "RSQRT"},
}


@pytest.mark.parametrize("label", FIXED_POINT)
def test_fixed_point_tables_of_many_scales(label: str, tmp_path: Path) -> None:
    """Ratios of scales that give exact ties are among them."""
    random = np.random.default_rng(13)
    compared = 0
    for number in range(40):
        source = _single(10 ** random.uniform(-3, -0.5))
        ratio = float(random.choice([0.5, 0.75, 1.0, 1.5, 2.0, 4.0])) if number % 2 else None
        result = source * (ratio or 10 ** random.uniform(-1.5, 1.5))
        low = -128 if label == "rsqrt" else int(random.integers(-128, 128))
        zero_points = (low, int(random.integers(-128, 128)))
        model = function_model(
            scales=(source, _single(result)), zero_points=zero_points, **FIXED_POINT[label]
        )
        if label == "hard_swish" and source / result >= 128.0:
            continue
        ours, theirs, _ = _table(model, tmp_path, "BUILTIN_REF")
        assert (ours == theirs).all(), (source, result, zero_points)
        compared += 1
    assert compared > 30


def _leaky(scales: Scales) -> ModelSpec:
    options: Any = {"options": {"Alpha": 0.1}}
    return function_model("LEAKY_RELU", scales=scales, zero_points=(3, -4), **options)


def _abs(scales: Scales) -> ModelSpec:
    return function_model("ABS", scales=scales, zero_points=(3, -4))


def _prelu(scales: Scales) -> ModelSpec:
    return binary_model(
        "PRELU",
        (1, 256),
        (256,),
        scales=(scales[0], 0.02, scales[1]),
        zero_points=(3, -8, -4),
        constant="b",
    )


@pytest.mark.parametrize("model", [_leaky, _abs, _prelu])
def test_factors_are_float32(
    model: Callable[[Scales], ModelSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(11)
    decisive = 0
    for _ in range(200):
        result = _single(random.uniform(0.01, 0.1))
        scales = _single(result * random.choice([0.5, 0.75, 1.5, 2.5])), result
        data, graph = built(model(scales), tmp_path)
        (ours,) = interpret(graph, EVERY_VALUE, outputs_only=True).values()
        with monkeypatch.context() as patch:
            patch.setattr(multipliers, "relu_factor", lambda a, b: a / b)
            (double,) = interpret(
                built(model(scales), tmp_path)[1], EVERY_VALUE, outputs_only=True
            ).values()
        if (ours != double).any():
            decisive += 1
            assert count_mismatches(data, graph, [EVERY_VALUE]) == (0, 256)
    assert decisive >= 10


@pytest.mark.parametrize(("name", "output"), [("LOGISTIC", (0.01, -128)), ("TANH", (1 / 128, 1))])
def test_an_output_scale_that_tflite_refuses(
    name: str, output: tuple[float, int], tmp_path: Path
) -> None:
    model = function_model(name, scales=(0.1, output[0]), zero_points=(0, output[1]))
    with pytest.raises(UnsupportedError, match=rf"{name} 'y': output scale .* use 1/"):
        built(model, tmp_path)


def test_hard_swish_of_too_fine_an_output_is_refused(tmp_path: Path) -> None:
    model = function_model("HARD_SWISH", scales=(1.0, 1.0 / 256.0), zero_points=(0, 0))
    with pytest.raises(UnsupportedError, match=r"HARD_SWISH 'y': output scale 0.00390625"):
        built(model, tmp_path)


def test_extrema_of_unequal_scales_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"MAXIMUM 'y': .* quantize them alike"):
        built(binary_model("MAXIMUM", (1, 4), (1, 4)), tmp_path)


@pytest.mark.parametrize("alpha", [math.nan, math.inf])
def test_an_alpha_that_is_no_number(alpha: float, tmp_path: Path) -> None:
    options: Any = {"options": {"Alpha": alpha}}
    model = function_model("LEAKY_RELU", scales=(0.1, 0.1), zero_points=(0, 0), **options)
    with pytest.raises(BadInputError, match=r"LEAKY_RELU 'y': alpha (nan|inf) is not finite"):
        built(model, tmp_path)


@pytest.mark.parametrize("name", ["ABS", "GELU", "HARD_SWISH", "LEAKY_RELU", "RSQRT", "EXP"])
@pytest.mark.parametrize("scales", [(3e38, 1e-38), (1e-38, 3e38), (1e-44, 1e-44)])
def test_scales_far_apart_are_refused_or_tabulated(
    name: str, scales: Scales, tmp_path: Path
) -> None:
    model = function_model(name, scales=scales, zero_points=(-128, 0))
    (node,) = _nodes_or_refusal(model, tmp_path) or (None,)
    if node is not None:
        assert len(node.arithmetic.table) == 256


def _nodes_or_refusal(model: ModelSpec, folder: Path) -> tuple[Node, ...] | None:
    try:
        return built(model, folder)[1].nodes
    except (BadInputError, UnsupportedError):
        return None
