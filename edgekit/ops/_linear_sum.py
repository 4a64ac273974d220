# SPDX-License-Identifier: Apache-2.0
"""The fast kernel of add and sub: one weight for each operand, proven on every pair of values.

The operator rounds four times; the kernel (runtime_c/ek_linear_sum_s8.h) once, in steps 2^-20 as
large as the output's. Which offsets give the operator's result follows from all 65,536 pairs of
int8 values: each pair bounds the offset from both sides, and where the bounds leave room the two
functions are equal.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from edgekit.ir import Array, Call
from edgekit.kernel import BY_ELEMENT, Binding, CStruct, Features, Kernel, flat_features
from edgekit.layout import map_size
from edgekit.ops._elementwise_kernel import operand_members

_FRACTION_BITS = 20
_WEIGHT_BITS = 8
_LIMIT = 2**31
_MOST_RAISED = 127
_VALUES = np.arange(-128, 128, dtype=np.int64)

Combine = Callable[[Any, Array, Array], Array]
"""``BinaryOperator.combine`` of an operator: arithmetic and operands less their zero points."""


class Finish(IntEnum):
    """The values of the enum in ek_linear_row.h."""

    PLAIN = 0
    NUDGED = 1
    CLAMPED = 2


@dataclass(frozen=True)
class LinearSum:
    """The integers of the layer struct."""

    first_weight: int
    second_weight: int
    offset: int
    finish: Finish
    output_offset: int
    raise_: int
    lower: int


def _real_weights(arithmetic: Any, sign: int) -> tuple[float, float]:
    """Steps of the output for one step of each operand."""
    (m0, m1), (s0, s1) = arithmetic.multipliers, arithmetic.shifts
    common = arithmetic.output_multiplier * 2.0 ** (
        arithmetic.output_shift + arithmetic.left_shift - 62
    )
    return m0 * 2.0**s0 * common, sign * m1 * 2.0**s1 * common


def _expected(arithmetic: Any, combine: Combine) -> Array:
    """The operator's result (256, 256), clamped."""
    first, second = (_VALUES - zero_point for zero_point in arithmetic.zero_points)
    results = combine(arithmetic, first[:, np.newaxis], second[np.newaxis, :])
    shifted: Array = results + arithmetic.output_zero_point
    return shifted.clip(arithmetic.minimum, arithmetic.maximum)


def _clamp(arithmetic: Any) -> tuple[int, int, int] | None:
    """(what the output is lower than the sum says, raise, lower), or None: the clamp is too narrow."""
    low, high = arithmetic.minimum, arithmetic.maximum
    raised = (low + 128) + (127 - high)
    return (low + 128, raised, 127 - high) if raised <= _MOST_RAISED else None


def _offset(sums: Array, expected: Array, ends: tuple[int, int]) -> int | None:
    """What must be added to every sum, so that its whole steps are the expected ones; or None.

    At the ends, where the kernel saturates, a sum is bounded from one side only.
    """
    least = (expected << _FRACTION_BITS) - sums
    most = least + (2**_FRACTION_BITS - 1)
    inner_least = least[expected > ends[0]].max(initial=-(2**62))
    inner_most = most[expected < ends[1]].min(initial=2**62)
    if inner_least > inner_most:
        return None
    middle = (max(inner_least, -(2**40)) + min(inner_most, 2**40)) // 2
    return int(middle)


@functools.lru_cache(maxsize=256)
def linear_sum(arithmetic: Any, combine: Combine, sign: int) -> LinearSum | None:
    """The integers with which the kernel equals the operator, or None.

    sign: -1 where the second operand is subtracted.
    """
    if (clamp := _clamp(arithmetic)) is None:
        return None
    lowered, raised, lower = clamp
    real = _real_weights(arithmetic, sign)
    if max(map(abs, real)) >= 2.0 ** (31 - _FRACTION_BITS - _WEIGHT_BITS):
        return None
    first, second = (round(w * 2.0 ** (_FRACTION_BITS + _WEIGHT_BITS)) for w in real)
    parts = [(weight * _VALUES) >> _WEIGHT_BITS for weight in (first, second)]
    shift = sum(w * z for w, z in zip(real, arithmetic.zero_points, strict=True))
    zero = -round(shift * 2.0**_FRACTION_BITS)
    sums = parts[0][:, np.newaxis] + parts[1][np.newaxis, :] + zero
    expected = _expected(arithmetic, combine) - lowered
    ends = (-128, arithmetic.maximum - lowered)
    reach = sum(int(np.abs(part).max()) for part in parts) + abs(zero)
    plain = None if raised else _offset(sums, expected, ends)
    if plain is not None and reach + abs(plain) < _LIMIT:
        return LinearSum(first, second, zero + plain, Finish.PLAIN, 0, 0, 0)
    nudged = _offset(sums - (sums < 0), expected, ends)
    if nudged is None or reach + abs(nudged) + 1 >= _LIMIT:
        return None
    finish = Finish.CLAMPED if raised else Finish.NUDGED
    return LinearSum(first, second, zero, finish, nudged, raised, lower)


def linear_sum_kernel(combine: Combine, *, sign: int) -> Kernel:
    """The kernel of an operator whose arithmetic is that of add."""

    def accepts(call: Call) -> str | None:
        if linear_sum(call.node.arithmetic, combine, sign) is None:
            return "no single rounding gives its results"
        return None

    def features(call: Call) -> Features:
        found = linear_sum(call.node.arithmetic, combine, sign)
        assert found is not None
        flat = flat_features(call)
        kind = found.finish.name.lower()
        return {"calls": flat["calls"], "apart": flat["apart"], f"outputs_{kind}": flat["outputs"]}

    def pack(call: Call, binding: Binding) -> CStruct:
        found = linear_sum(call.node.arithmetic, combine, sign)
        assert found is not None
        return CStruct(
            "ek_linear_sum_s8",
            {
                "channels": map_size(call.output.shape)[2],
                **operand_members(call, ("first", "second"), binding),
                **{name.rstrip("_"): int(value) for name, value in vars(found).items()},
            },
        )

    return Kernel(
        symbol="ek_linear_sum_s8__c",
        isa="c",
        kind="rows",
        pack=pack,
        accepts=accepts,
        features=features,
        write_behind=BY_ELEMENT,
        flat=True,
        stack_bytes=176,
    )
