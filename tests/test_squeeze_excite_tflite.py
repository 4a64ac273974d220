# SPDX-License-Identifier: Apache-2.0
"""Squeeze-and-excite and spelled-out activations of TFLite files: BUILTIN_REF, the rewritten graph, the C.

MobileNetV3 and MCUNetV2 are exported with scalar MUL and ADD constants on either side.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.tflite_oracle import built, count_mismatches, seeded_inputs
from support.tflite_writer import ModelSpec, OperatorSpec, TensorSpec, constant_spec

import edgekit
from edgekit.converters.legalize import legalize_integer
from edgekit.interpret import interpret
from edgekit.ir import QGraph

RELU, RELU6 = 1, 3
CHANNELS, SQUEEZED = 8, 4


class ModelWriter:
    """A model that grows operator by operator; every method returns the name of its result."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.tensors = [TensorSpec("x", shape, 0.04, -7)]
        self.operators: list[OperatorSpec] = []

    def model(self) -> ModelSpec:
        return ModelSpec(self.tensors, self.operators, ["x"], [self.operators[-1].outputs[0]])

    def add(
        self,
        op: str,
        inputs: Sequence[str],
        shape: tuple[int, ...],
        quantization: tuple[float, int],
        **options: Any,
    ) -> str:
        name = f"{op.lower()}_{len(self.operators)}"
        self.tensors.append(TensorSpec(name, shape, *quantization))
        self.operators.append(OperatorSpec(op, list(inputs), [name], options))
        return name

    def constant(self, data: Any, **quantization: Any) -> str:
        name = f"constant_{len(self.tensors)}"
        self.tensors.append(constant_spec(name, data, **quantization))
        return name

    def scalar(self, value: int, scale: float, *, shape: tuple[int, ...] = ()) -> str:
        return self.constant(np.full(shape, value, np.int8), scale=scale, zero_point=0)

    def pooled(self, *, keep_dims: bool) -> str:
        axes = self.constant(np.array([1, 2], np.int32))
        shape = (1, 1, 1, CHANNELS) if keep_dims else (1, CHANNELS)
        return self.add("MEAN", ["x", axes], shape, (0.02, -3), KeepDims=keep_dims)

    def layer(
        self, x: str, outputs: int, *, linear: bool, activation: int, result: tuple[float, int]
    ) -> str:
        """A fully connected layer, or a 1x1 convolution."""
        random = np.random.default_rng(outputs)
        inputs = CHANNELS if outputs == SQUEEZED else SQUEEZED
        shape = (outputs, inputs) if linear else (outputs, 1, 1, inputs)
        weights = random.integers(-127, 128, shape).astype(np.int8)
        scale = 0.005 if linear else random.uniform(0.004, 0.01, outputs)
        operands = [
            x,
            self.constant(weights, scale=scale),
            self.constant(random.integers(-900, 900, outputs).astype(np.int32), scale=1e-4),
        ]
        if linear:
            return self.add(
                "FULLY_CONNECTED",
                operands,
                (1, outputs),
                result,
                FusedActivationFunction=activation,
            )
        windowed = {"Padding": 1, "StrideH": 1, "StrideW": 1}
        windowed |= {"DilationHFactor": 1, "DilationWFactor": 1}
        options = {**windowed, "FusedActivationFunction": activation}
        return self.add("CONV_2D", operands, (1, 1, 1, outputs), result, **options)

    def binary(self, op: str, a: str, b: str, result: tuple[float, int], activation: int) -> str:
        shapes = {tensor.name: tuple(tensor.shape) for tensor in self.tensors}
        shape = tuple(np.broadcast_shapes(shapes[a], shapes[b]))
        return self.add(op, [a, b], shape, result, FusedActivationFunction=activation)

    def hard_sigmoid(self, y: str, *, scalar_first: bool, shape: tuple[int, ...] = ()) -> str:
        """relu6(y + 3) * 0.16667."""
        three, sixth = (
            self.scalar(120, 0.025, shape=shape),
            self.scalar(127, 0.0013123, shape=shape),
        )
        pair = (three, y) if scalar_first else (y, three)
        clamped = self.binary("ADD", *pair, (6 / 255, -128), RELU6)
        pair = (sixth, clamped) if scalar_first else (clamped, sixth)
        return self.binary("MUL", *pair, (1 / 255, -128), 0)


def squeeze_excite(
    *, linear: bool, gate: str, gate_first: bool = False, scalar_shape: tuple[int, ...] = ()
) -> ModelSpec:
    writer = ModelWriter((1, 5, 6, CHANNELS))
    x = writer.pooled(keep_dims=not linear)
    options: Any = {"linear": linear}
    x = writer.layer(x, SQUEEZED, activation=RELU, result=(0.02, -128), **options)
    x = writer.layer(x, CHANNELS, activation=0, result=(0.03, 9), **options)
    if linear:
        shape = writer.constant(np.array([1, 1, 1, CHANNELS], np.int32))
        x = writer.add("RESHAPE", [x, shape], (1, 1, 1, CHANNELS), (0.03, 9))
    if gate == "logistic":
        x = writer.add("LOGISTIC", [x], (1, 1, 1, CHANNELS), (1 / 256, -128))
    else:
        x = writer.hard_sigmoid(x, scalar_first=gate == "scalar_first", shape=scalar_shape)
    writer.binary("MUL", *((x, "x") if gate_first else ("x", x)), (0.035, -7), 0)
    return writer.model()


def spelled_hard_swish(*, scalar_first: bool) -> ModelSpec:
    """x * relu6(x + 3) / 6 over a whole map."""
    writer = ModelWriter((1, 5, 6, CHANNELS))
    gate = writer.hard_sigmoid("x", scalar_first=scalar_first)
    writer.binary("MUL", *((gate, "x") if scalar_first else ("x", gate)), (0.03, -100), 0)
    return writer.model()


def spelled_silu() -> ModelSpec:
    writer = ModelWriter((1, 5, 6, CHANNELS))
    gate = writer.add("LOGISTIC", ["x"], (1, 5, 6, CHANNELS), (1 / 256, -128))
    writer.binary("MUL", gate, "x", (0.03, -100), 0)
    return writer.model()


def gate_read_twice() -> ModelSpec:
    """x * s + s, where s = logistic(x) must stay."""
    writer = ModelWriter((1, 5, 6, CHANNELS))
    gate = writer.add("LOGISTIC", ["x"], (1, 5, 6, CHANNELS), (1 / 256, -128))
    product = writer.binary("MUL", gate, "x", (0.03, -100), 0)
    writer.binary("ADD", product, gate, (0.035, -100), 0)
    return writer.model()


def per_channel_between() -> ModelSpec:
    """A vector of channels is no scalar: (logistic(x) * vector) stays two nodes."""
    writer = ModelWriter((1, 5, 6, CHANNELS))
    gate = writer.add("LOGISTIC", ["x"], (1, 5, 6, CHANNELS), (1 / 256, -128))
    vector = writer.constant(np.arange(-40, 40, 10).astype(np.int8), scale=0.02, zero_point=1)
    writer.binary("MUL", gate, vector, (0.01, 5), 0)
    return writer.model()


# name -> the model, and the operators that are left of it
MODELS: dict[str, tuple[ModelSpec, list[str] | None]] = {
    f"{layer}_{gate}{'_gate_first' if first else ''}": (
        squeeze_excite(linear=layer == "linear", gate=gate, gate_first=first),
        None,
    )
    for layer in ("conv", "linear")
    for gate in ("logistic", "scalar_last", "scalar_first")
    for first in (False, True)
}
MODELS |= {
    "scalars_of_rank_4": (
        squeeze_excite(linear=False, gate="scalar_last", scalar_shape=(1, 1, 1, 1)),
        None,
    ),
    "scalars_of_rank_1": (squeeze_excite(linear=False, gate="", scalar_shape=(1,)), None),
    "hard_swish_scalar_last": (spelled_hard_swish(scalar_first=False), ["lookup"]),
    "hard_swish_scalar_first": (spelled_hard_swish(scalar_first=True), ["lookup"]),
    "silu": (spelled_silu(), ["lookup"]),
    "gate_read_twice": (gate_read_twice(), ["lookup", "mul", "add"]),
    "per_channel_between": (per_channel_between(), ["lookup", "mul"]),
}


def operators(graph: QGraph) -> list[str]:
    return [node.op for node in graph.nodes]


@pytest.mark.parametrize("name", MODELS)
def test_equals_the_reference_kernels_before_and_after_rewriting(name: str, tmp_path: Path) -> None:
    model, expected = MODELS[name]
    data, graph = built(model, tmp_path)
    samples = seeded_inputs(graph, samples=8)
    assert count_mismatches(data, graph, samples)[0] == 0
    legal = legalize_integer(graph)
    for inputs in samples:
        (before,) = interpret(graph, inputs, outputs_only=True).values()
        (after,) = interpret(legal, inputs, outputs_only=True).values()
        assert (before == after).all()
    if expected is not None:
        assert operators(legal) == expected
    else:
        assert operators(legal).count("lookup") == 1
        assert operators(legal)[-1] == "mul"


@pytest.mark.parametrize("name", ["conv_logistic", "linear_scalar_first", "hard_swish_scalar_last"])
def test_generated_c_equals_the_reference(name: str, tmp_path: Path) -> None:
    built(MODELS[name][0], tmp_path)
    artifact = edgekit.convert(tmp_path / "model.tflite", target="cortex-m4")
    artifact.validate().assert_ok()
