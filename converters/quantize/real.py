# SPDX-License-Identifier: Apache-2.0
"""Between real numbers and the integers that stand for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgekit.arith import round_half_away
from edgekit.ir import INTEGER_RANGE, Array, Tensor


def dequantized(integers: Array, tensor: Tensor) -> Array:
    """The float32 numbers that the integers of a tensor stand for."""
    quantization = tensor.quantization
    if quantization is None:
        return integers
    steps = integers.astype(np.float64) - quantization.zero_point
    return (steps * quantization.scale).astype(np.float32)


def quantized_values(values: Array, tensor: Tensor) -> Array:
    """The nearest integers of a tensor, halves away from zero, saturated."""
    assert tensor.quantization is not None
    low, high = INTEGER_RANGE[tensor.dtype]
    scaled = round_half_away(values / tensor.quantization.scale)
    shifted = np.clip(scaled + tensor.quantization.zero_point, low, high)
    return shifted.astype(tensor.dtype)


def quantized_sample(sample: Sequence[Array], tensors: Sequence[Tensor]) -> tuple[Array, ...]:
    """A float sample as the integers of the inputs."""
    return tuple(quantized_values(v, t) for v, t in zip(sample, tensors, strict=True))
