# SPDX-License-Identifier: Apache-2.0
"""What operators share for int16 activations: sums of 64 bits, zero points of 0, twin kernels.

TensorFlow Lite's 16x8 models have symmetric int16 activations and int8 weights. A bias of int64, or
none, asks for sums of 64 bits; a bias of int32 for the arithmetic of int8 layers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from edgekit.arith import multiply_by_quantized_multiplier_64
from edgekit.ir import INTEGER_RANGE, Array, Call
from edgekit.kernel import Binding, CStruct, Kernel, no_channel_blocks

SUM_LIMIT = 2**47
"""The scaling of 64-bit sums is exact below it."""
MAX_WIDE_SHIFT = 7
ARITHMETIC_STACK_BYTES = 96
"""What compilers keep more than in the int8 kernels with several scalings, over all targets."""


def activation_range(call: Call) -> tuple[int, int]:
    """The smallest and largest integer of the output's type."""
    return INTEGER_RANGE[call.output.dtype]


def verify_zero_point(call: Call, dtype: str, *zero_points: int) -> None:
    """Raise BadInputError where a tensor of int16 has a zero point other than 0."""
    if dtype == "int16" and any(zero_points):
        raise call.fail(f"zero point {next(z for z in zero_points if z)} of int16; it must be 0")


def verify_wide_sums(call: Call, *, products: int, bias: Array, shifts: tuple[int, ...]) -> None:
    """Raise BadInputError where a sum of int16 times int8 might leave what is exact.

    ``products`` is the number of products of one sum.
    """
    largest = max(abs(int(bias.min())), abs(int(bias.max()))) if bias.size else 0
    if products * 2**22 + largest >= SUM_LIMIT:
        raise call.fail(f"sums of {products} products and a bias of {largest} exceed 47 bits")
    if any(shift > MAX_WIDE_SHIFT for shift in shifts):
        raise call.fail(f"a requantize shift is above {MAX_WIDE_SHIFT}, too large for 64-bit sums")


def requantize_wide(
    total: Array, multipliers: Array, shifts: Array, *, minimum: int, maximum: int
) -> Array:
    """64-bit sums to clamped integers with zero point 0 (int64 array; the caller narrows it)."""
    scaled = multiply_by_quantized_multiplier_64(total, multipliers, shifts)
    return np.clip(scaled, minimum, maximum)


def int16_twin(
    kernel: Kernel,
    symbol: str,
    *,
    accepts: Callable[[Call], str | None] | None = None,
    without: tuple[str, ...] = (),
    extra_stack_bytes: int = 0,
) -> Kernel:
    """The int16 kernel beside an int8 one, under ``symbol``: the same struct under its own name.

    without: members that are always 0.
    """
    struct = symbol.split("__")[0]

    def pack(call: Call, binding: Binding) -> CStruct:
        members = kernel.pack(call, binding).members
        zero_points = [members[name] for name in without]
        assert not any(isinstance(value, CStruct) or np.any(value) for value in zero_points), (
            f"{call.node}: zero points must be 0"
        )
        return CStruct(struct, {k: v for k, v in members.items() if k not in without})

    return dataclasses.replace(
        kernel,
        symbol=symbol,
        pack=pack,
        costs_as=None,
        accepts=accepts or kernel.accepts,
        channel_blocks=no_channel_blocks,
        stack_bytes=kernel.stack_bytes + extra_stack_bytes,
    )
