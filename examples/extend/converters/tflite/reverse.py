# SPDX-License-Identifier: Apache-2.0
"""TFLite's REVERSE_V2 over the channels of a map."""

from __future__ import annotations

from edgekit.converters.tflite.operation import Mapped, Operation
from edgekit.ops._moving import MovingArithmetic
from edgekit.ops.reverse_channels import ReverseChannels


def reverse(operation: Operation) -> Mapped:
    """REVERSE_V2(x, axes)."""
    operation.require(inputs=(2,))
    operation.shared_quantization()
    axes = operation.integers(1).ravel().tolist()
    if axes not in ([3], [-1]):
        raise operation.unsupported(f"axes {axes}; only the last one of a map")
    return Mapped(
        "reverse_channels", ReverseChannels(), MovingArithmetic(), (operation.operand(0),)
    )
