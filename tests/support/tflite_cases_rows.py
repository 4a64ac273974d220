# SPDX-License-Identifier: Apache-2.0
"""One-operator TFLite models over rows of the last axis: LOG_SOFTMAX and L2_NORMALIZATION."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edgekit.ir import Shape
from support.tflite_writer import ModelSpec, OperatorSpec, TensorSpec

OUTPUTS = {"LOG_SOFTMAX": (16.0 / 256.0, 127), "L2_NORMALIZATION": (1.0 / 128.0, 0)}


def over_rows(
    name: str,
    shape: Shape,
    *,
    scale: float = 0.05,
    zero_point: int = 6,
    result: tuple[float, int] | None = None,
    **options: Any,
) -> ModelSpec:
    """The operator with the only output scale that TFLite allows, unless another is given."""
    x = TensorSpec("x", shape, scale, zero_point)
    y = TensorSpec("y", shape, *(result or OUTPUTS[name]))
    return ModelSpec([x, y], [OperatorSpec(name, ["x"], ["y"], options)], ["x"], ["y"])


def row_cases() -> Iterator[tuple[str, ModelSpec]]:
    """Every case by name."""
    for name in OUTPUTS:
        low = name.lower()
        yield f"{low}_classes", over_rows(name, (1, 10))
        yield f"{low}_one_class", over_rows(name, (1, 1))
        yield f"{low}_rows", over_rows(name, (1, 6, 5))
        yield f"{low}_map", over_rows(name, (1, 2, 3, 5), zero_point=-128)
        yield f"{low}_long", over_rows(name, (1, 1000), zero_point=127)
    for label, scale in (("fine", 0.0005), ("coarse", 0.9), ("power_of_two", 0.125)):
        yield f"log_softmax_{label}", over_rows("LOG_SOFTMAX", (1, 12), scale=scale)
    yield "l2_normalization_embedding", over_rows("L2_NORMALIZATION", (1, 128), zero_point=0)
