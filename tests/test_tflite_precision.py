# SPDX-License-Identifier: Apache-2.0
"""Each operator's multiplier is computed in the precision of TFLite: scales where that decides.

For every rule and every other precision, scales are searched for which the two give different
outputs. Then the rule must agree with BUILTIN_REF, and the other precision must not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from support.tflite_cases import binary, mean, operator_model, pooling, rescale
from support.tflite_cases_elementwise import binary_model
from support.tflite_oracle import Oracle
from support.tflite_writer import ModelSpec, TensorSpec, constant_spec, write_tflite

from edgekit.arith import round_half_away
from edgekit.converters.from_tflite import import_tflite
from edgekit.converters.tflite import multipliers
from edgekit.interpret import interpret
from edgekit.ir import Array, QGraph

Scales = tuple[float, float, float]
MAX_TRIALS = 100
ZERO_POINT = 5
EVERY_VALUE = np.arange(-128, 128).astype(np.int8)


def _single(value: float) -> float:
    return float(np.float32(value))


def double(a: float, b: float, out: float) -> float:
    return a * b / out


def single_product(a: float, b: float, out: float) -> float:
    return _single(a * b) / out


def single(a: float, b: float, out: float) -> float:
    return float(np.float32(a) * np.float32(b) / np.float32(out))


def double_ratio(a: float, out: float) -> float:
    return a / out


def single_ratio(a: float, out: float) -> float:
    return float(np.float32(a) / np.float32(out))


def single_add(a: float, b: float, out: float) -> tuple[float, float, float]:
    twice = np.float32(2.0 * max(a, b))
    sum_factor = twice / (np.float32(2**multipliers.ADD_LEFT_SHIFT) * np.float32(out))
    return float(np.float32(a) / twice), float(np.float32(b) / twice), float(sum_factor)


def single_squared_difference(a: float, b: float, out: float) -> tuple[float, float, float]:
    twice = np.float32(2.0 * max(a, b))
    headroom = np.float32(4.0**multipliers.SQUARED_DIFFERENCE_LEFT_SHIFT)
    square = twice * twice / (headroom * np.float32(out))
    return float(np.float32(a) / twice), float(np.float32(b) / twice), float(square)


def double_bound(bound: float, scale: float, zero_point: int) -> int:
    return zero_point + int(round_half_away(bound / scale))


def single_softmax(beta: float, scale: float) -> tuple[int, int, int]:
    return _double_softmax(1.0, _single(float(np.float32(beta) * np.float32(scale))))


_double_softmax = multipliers.softmax_parameters


def _thresholds(scales: Scales) -> Array:
    """Accumulators around every rounding tie of an output between -100 and 100."""
    ties = (np.arange(-100, 100) + 0.5) * scales[2] / (scales[0] * scales[1])
    around: Array = np.rint(ties)[:, np.newaxis] + np.arange(-4, 5)
    return around.reshape(-1).astype(np.int32)


def _with_weights(name: str, scales: Scales, *, per_channel: bool) -> ModelSpec:
    """One input pixel of one channel; the bias puts each output channel at a rounding tie."""
    bias = _thresholds(scales)
    channels = bias.size
    rank_2 = name == "FULLY_CONNECTED"
    shape = {
        "CONV_2D": (channels, 1, 1, 1),
        "DEPTHWISE_CONV_2D": (1, 1, 1, channels),
        "FULLY_CONNECTED": (channels, 1),
    }[name]
    weight_scale = np.full(channels, scales[1]) if per_channel else scales[1]
    axis = 3 if name == "DEPTHWISE_CONV_2D" else 0
    operands = [
        TensorSpec("x", (1, 1) if rank_2 else (1, 1, 1, 1), scales[0], ZERO_POINT),
        constant_spec("weights", np.ones(shape, np.int8), scale=weight_scale, axis=axis),
        constant_spec("bias", bias, scale=scales[0] * np.asarray(weight_scale)),
    ]
    output = TensorSpec("y", (1, channels) if rank_2 else (1, 1, 1, channels), scales[2], 3)
    options = {} if rank_2 else {"Padding": 1, "StrideH": 1, "StrideW": 1}
    if not rank_2:
        options |= {"DilationHFactor": 1, "DilationWFactor": 1}
    if name == "DEPTHWISE_CONV_2D":
        options["DepthMultiplier"] = channels
    return operator_model(name, operands, output, options)


def _pairs(name: str, scales: Scales) -> ModelSpec:
    """All pairs of int8 values, by broadcasting."""
    if name == "SQUARED_DIFFERENCE":
        return binary_model(name, (1, 256, 1, 1), (1, 1, 256, 1), scales=scales)
    return binary(name, (1, 256, 1, 1), (1, 1, 256, 1), scales=scales)


def _softmax(scales: Scales) -> ModelSpec:
    """Three classes: all pairs of differences from the maximum."""
    x = TensorSpec("x", (1, 65536, 3), scales[0], 0)
    y = TensorSpec("y", (1, 65536, 3), 1.0 / 256.0, -128)
    return operator_model("SOFTMAX", [x], y, {"Beta": scales[1]})


def _softmax_inputs() -> tuple[Array, ...]:
    first, second = np.meshgrid(EVERY_VALUE, EVERY_VALUE)
    rows = np.stack([np.full(65536, 127, np.int8), first.reshape(-1), second.reshape(-1)], axis=1)
    return (rows.reshape(1, 65536, 3),)


def _near_ties(random: np.random.Generator) -> Iterator[Scales]:
    """Input scales that are 1.5 or 0.75 output scales but for the rounding to float32."""
    while True:
        out = _single(random.uniform(0.01, 0.1))
        yield _single(out * random.choice([0.75, 1.5, 2.5])), 0.0, out


def _small_factors(random: np.random.Generator) -> Iterator[Scales]:
    """Products 2^-19 to 2^-21 of the output scale: accumulators that fill 27 bits."""
    while True:
        a, b = (_single(value) for value in random.uniform(0.001, 0.1, 2))
        yield a, b, _single(a * b * random.uniform(2.0**19, 2.0**21))


def _any_scales(random: np.random.Generator) -> Iterator[Scales]:
    while True:
        a, b, out = (_single(value) for value in random.uniform(0.01, 0.1, 3))
        yield a, b, out


def _product_scales(random: np.random.Generator) -> Iterator[Scales]:
    """Products that are 3/256 of the output scale but for the rounding to float32."""
    for a, b, _ in _any_scales(random):
        yield a, b, _single(a * b * 256.0 / 3.0)


def _bound_scales(random: np.random.Generator) -> Iterator[Scales]:
    """Scales for which 6 lies half way between two integers but for the rounding to float32."""
    while True:
        yield _single(6.0 / (random.integers(20, 120) + 0.5)), 0.0, 0.0


def _softmax_scales(random: np.random.Generator) -> Iterator[Scales]:
    while True:
        yield _single(random.uniform(0.01, 0.05)), _single(random.uniform(0.5, 2.0)), 0.0


@dataclass(frozen=True)
class Rule:
    """A function of converters.tflite.multipliers, a model that it decides about, and other precisions."""

    function: str
    model: Callable[[Scales], ModelSpec]
    candidates: Callable[[np.random.Generator], Iterator[Scales]]
    others: Sequence[Callable[..., object]]
    inputs: Callable[[], tuple[Array, ...]]


def _weighted_rule(name: str, *, per_channel: bool) -> Rule:
    def model(scales: Scales) -> ModelSpec:
        return _with_weights(name, scales, per_channel=per_channel)

    shape = (1, 1) if name == "FULLY_CONNECTED" else (1, 1, 1, 1)
    inputs = (np.full(shape, ZERO_POINT, np.int8),)
    if name == "FULLY_CONNECTED" and not per_channel:
        function, others = "fully_connected_factor", (double, single)
    else:
        function, others = "convolution_factor", (single_product, single)
    return Rule(function, model, _small_factors, others, lambda: inputs)


def _every_pair() -> tuple[Array, ...]:
    return EVERY_VALUE.reshape(1, 256, 1, 1), EVERY_VALUE.reshape(1, 1, 256, 1)


def _every_value() -> tuple[Array, ...]:
    return (EVERY_VALUE.reshape(1, 256),)


def _rescale_rule(name: str, function: str, other: Callable[..., object]) -> Rule:
    def model(scales: Scales) -> ModelSpec:
        return rescale(name, scales=(scales[0], scales[2]), zero_points=(3, -4))

    return Rule(function, model, _near_ties, (other,), _every_value)


def _mean_model(scales: Scales) -> ModelSpec:
    return mean((1, 4, 4, 4081), (1, 2), scales=(scales[0], scales[2]), zero_points=(9, -4))


def _every_sum() -> tuple[Array, ...]:
    """Channels whose 16 pixels add up to every sum that int8 values can have."""
    sums = np.arange(16 * -128, 16 * 127 + 1)
    pixels = sums // 16 + (np.arange(16)[:, np.newaxis] < sums % 16)
    return (pixels.astype(np.int8).reshape(1, 4, 4, -1),)


def _bounded_pool(scales: Scales) -> ModelSpec:
    model = pooling(
        "MAX_POOL_2D", input_shape=(1, 256, 1), kernel=(1, 1), stride=(1, 1), activation=3
    )
    x, y = (TensorSpec(t.name, t.shape, scales[0], -128) for t in model.tensors)
    return ModelSpec([x, y], model.operators, model.inputs, model.outputs)


def _bounded_relu6(scales: Scales) -> ModelSpec:
    return rescale("RELU6", scales=(scales[0], scales[0]), zero_points=(-128, -128))


RULES: Mapping[str, Rule] = {
    "conv_per_channel": _weighted_rule("CONV_2D", per_channel=True),
    "conv_per_tensor": _weighted_rule("CONV_2D", per_channel=False),
    "depthwise_per_channel": _weighted_rule("DEPTHWISE_CONV_2D", per_channel=True),
    "depthwise_per_tensor": _weighted_rule("DEPTHWISE_CONV_2D", per_channel=False),
    "fully_connected_per_channel": _weighted_rule("FULLY_CONNECTED", per_channel=True),
    "fully_connected_per_tensor": _weighted_rule("FULLY_CONNECTED", per_channel=False),
    "add": Rule("add_factors", lambda s: _pairs("ADD", s), _any_scales, (single_add,), _every_pair),
    "squared_difference": Rule(
        "squared_difference_factors",
        lambda s: _pairs("SQUARED_DIFFERENCE", s),
        _product_scales,
        (single_squared_difference,),
        _every_pair,
    ),
    "mul": Rule(
        "mul_factor",
        lambda s: _pairs("MUL", s),
        _product_scales,
        (double, single_product),
        _every_pair,
    ),
    "relu": _rescale_rule("RELU", "relu_factor", double_ratio),
    "relu6": _rescale_rule("RELU6", "relu_factor", double_ratio),
    "relu_n1_to_1": _rescale_rule("RELU_N1_TO_1", "relu_factor", double_ratio),
    "quantize": _rescale_rule("QUANTIZE", "rescale_factor", single_ratio),
    "mean": Rule("rescale_factor", _mean_model, _near_ties, (single_ratio,), _every_sum),
    "softmax": Rule(
        "softmax_parameters", _softmax, _softmax_scales, (single_softmax,), _softmax_inputs
    ),
    "fused_bound": Rule(
        "quantized_bound",
        _bounded_pool,
        _bound_scales,
        (double_bound,),
        lambda: (EVERY_VALUE.reshape(1, 1, 256, 1),),
    ),
    "relu6_bound": Rule(
        "quantized_bound", _bounded_relu6, _bound_scales, (double_bound,), _every_value
    ),
}


def _imported(data: bytes, folder: Path) -> QGraph:
    path = folder / "model.tflite"
    path.write_bytes(data)
    return import_tflite(path)


def _output(graph: QGraph, inputs: Sequence[Array]) -> Array:
    (result,) = interpret(graph, inputs, outputs_only=True).values()
    return result


@pytest.mark.parametrize(
    ("name", "other"),
    [(name, other) for name, rule in RULES.items() for other in rule.others],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_only_the_rule_agrees_with_the_reference_kernel(
    name: str,
    other: Callable[..., object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rule = RULES[name]
    candidates = rule.candidates(np.random.default_rng(11))
    for _ in range(MAX_TRIALS):
        data = write_tflite(rule.model(next(candidates)))
        graph = _imported(data, tmp_path)
        inputs = rule.inputs()
        ours = _output(graph, inputs)
        with monkeypatch.context() as patch:
            patch.setattr(multipliers, rule.function, other)
            others = _output(_imported(data, tmp_path), inputs)
        if (ours != others).any():
            break
    else:
        pytest.fail(f"no scales among {MAX_TRIALS} tell {rule.function} from {other.__name__}")
    (theirs,) = Oracle(data).run(graph, inputs)
    assert int((ours != theirs).sum()) == 0
    assert int((others != theirs).sum()) > 0
