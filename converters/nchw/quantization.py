# SPDX-License-Identifier: Apache-2.0
"""What quantize and dequantize operators tell: they compute nothing, they give values their scales.

Behind quantize a value is the same tensor, known to be integers: its int8 form has the zero
point of the source, less 128 where that is uint8. A constant behind dequantize is float, and
remembers the integers and the scales that it comes from.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgekit.converters.given_scales import GivenConstant, GivenScales
from edgekit.converters.nchw.graph import Activation, GraphBuilder, RefusalError
from edgekit.ir import Array, Quantization
from edgekit.ops.requantize import Requantize

UINT8_SHIFT: Mapping[str, int] = {"int8": 0, "uint8": 128}
"""The types of quantized activations, and what their int8 form is less."""
CONSTANT_TYPES = ("int8", "uint8", "int32")


@dataclass(frozen=True)
class Levels:
    """An activation as integers of the type of the source."""

    activation: Activation
    dtype: str


class Quantizations:
    """The scales that a walk has met."""

    def __init__(self, builder: GraphBuilder, *, inverse_scales: bool = False) -> None:
        self.builder = builder
        self.given = GivenScales(inverse_scales=inverse_scales)

    def quantize(
        self, x: Activation, scales: Array, zero_points: Array, dtype: str, *, name: str
    ) -> Levels:
        """An activation as integers, which the source calls ``name``."""
        annotated = self._annotated(x, _quantization(scales, zero_points, dtype))
        self.given.levels.setdefault(annotated.tensor, name)
        return Levels(annotated, dtype)

    def _annotated(self, x: Activation, quantization: Quantization) -> Activation:
        """The activation with this scale: itself, or its rescaled copy where it has another."""
        known = self.given.activations.setdefault(x.tensor, quantization)
        if known == quantization:
            return x
        tensor = self.builder.node("requantize", [x.tensor], Requantize())
        self.given.activations[tensor] = quantization
        return dataclasses.replace(x, tensor=tensor)

    def dequantize(self, x: Levels, scales: Array, zero_points: Array) -> Activation:
        """The activation behind integers."""
        quantization = _quantization(scales, zero_points, x.dtype)
        tensor = x.activation.tensor
        if self.given.activations.setdefault(tensor, quantization) != quantization:
            raise RefusalError("its scale is not the one it was quantized with; use the same")
        return x.activation

    def remember(self, name: str, integers: Array, scales: Array) -> str:
        """Note what is behind a float constant; its name, or a free one where others have it.

        ``integers`` are less their zero points; there is one scale, or one for every channel.
        """
        known = self.given.constants.get(name)
        while known is not None and not (
            np.array_equal(known.integers, integers) and np.array_equal(known.scales, scales)
        ):
            name += "_"
            known = self.given.constants.get(name)
        self.given.constants[name] = GivenConstant(scales, integers)
        return name

    def collected(self) -> GivenScales:
        """All scales, those of constants under the names that they have in the graph."""
        constants = {
            name: self.given.constants[source]
            for name, source in self.builder.sources.items()
            if source in self.given.constants
        }
        return dataclasses.replace(self.given, constants=constants)


def _quantization(scales: Array, zero_points: Array, dtype: str) -> Quantization:
    """The quantization of an activation in its int8 form."""
    if scales.size != 1:
        raise RefusalError("scales per channel of an activation are not supported; use one")
    zero_point = int(zero_points.reshape(-1)[0]) - UINT8_SHIFT[dtype]
    return Quantization(float(scales.reshape(-1)[0]), zero_point)
