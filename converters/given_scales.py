# SPDX-License-Identifier: Apache-2.0
"""The scales that a quantized model of float operators brings along, beside its float graph."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgekit.ir import Array, Quantization


@dataclass(frozen=True, eq=False)
class GivenConstant:
    """The scales of an integer constant: one, or one for every output channel in order.

    ``integers`` are its values less their zero points, in the order of the source.
    """

    scales: Array
    integers: Array


@dataclass
class GivenScales:
    """Scales of activations by tensor name, and of constants by the name of the float constant.

    ``levels`` has the name under which the source knows the integers of an activation, and
    ``float_reads`` the activations that some operator reads before they become integers.
    ``inverse_scales``: the source multiplies by float32(1 / scale) where others divide by the scale.
    """

    activations: dict[str, Quantization] = field(default_factory=dict)
    constants: dict[str, GivenConstant] = field(default_factory=dict)
    levels: dict[str, str] = field(default_factory=dict)
    float_reads: set[str] = field(default_factory=set)
    inverse_scales: bool = False

    def __bool__(self) -> bool:
        return bool(self.activations or self.constants)
