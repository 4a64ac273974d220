# SPDX-License-Identifier: Apache-2.0
"""Element-wise difference of two operands that broadcast; either may be a constant."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.arith import multiply_by_quantized_multiplier, requantize
from edgekit.ir import Array, Call
from edgekit.kernel import BY_ELEMENT, Binding, CStruct, Kernel
from edgekit.ops import add
from edgekit.ops._elementwise import clip_float
from edgekit.ops._elementwise_cases import binary_cases, every_pair
from edgekit.ops._int16 import ARITHMETIC_STACK_BYTES, int16_twin
from edgekit.ops._int16_cases import int16_cases
from edgekit.ops._operator import Case
from edgekit.ops.add import LEFT_SHIFT, Add, AddArithmetic, AddOperator, with_int16_shifts


@dataclass(frozen=True)
class Sub(Add):
    """The clamp that is fused behind the difference (None: no bound)."""


def _pack_ref(call: Call, binding: Binding) -> CStruct:
    return CStruct("ek_sub_s8", add.REF.pack(call, binding).members)


REF = Kernel(
    symbol="ek_sub_s8__ref",
    isa="ref",
    kind="rows",
    pack=_pack_ref,
    instructions=lambda call: 60.0 * call.output.elements,
    write_behind=BY_ELEMENT,
    flat=True,
    stack_bytes=128,
)

S16 = int16_twin(
    REF,
    "ek_sub_s16__ref",
    without=("first_zero_point", "second_zero_point", "output_zero_point"),
    extra_stack_bytes=ARITHMETIC_STACK_BYTES,
)


class SubOperator(AddOperator):
    """The integers of add, with their bounds; the scaled second operand is subtracted."""

    name = "sub"
    attributes = Sub
    kernels = (REF, S16)

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        arithmetic: AddArithmetic = call.node.arithmetic
        first, second = (
            multiply_by_quantized_multiplier(
                (x.astype(np.int64) - arithmetic.zero_points[i]) << arithmetic.left_shift,
                arithmetic.multipliers[i],
                arithmetic.shifts[i],
            )
            for i, x in enumerate(inputs)
        )
        values = requantize(
            first - second,
            arithmetic.output_multiplier,
            arithmetic.output_shift,
            zero_point=arithmetic.output_zero_point,
            minimum=arithmetic.minimum,
            maximum=arithmetic.maximum,
        )
        return values.astype(call.output.dtype)

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        attributes: Sub = call.node.attributes
        difference = np.subtract(inputs[0], inputs[1], dtype=np.float32)
        return clip_float(difference, attributes.activation_min, attributes.activation_max)

    def cases(self) -> Iterator[Case]:
        yield from self._int8_cases()
        yield from int16_cases(self._int8_cases(), adjust=with_int16_shifts)

    def _int8_cases(self) -> Iterator[Case]:
        noisy = AddArithmetic(
            left_shift=LEFT_SHIFT,
            zero_points=(-11, 37),
            multipliers=(1_395_864_371, 2**30),
            shifts=(-1, 0),
            output_multiplier=1_717_986_918,
            output_shift=-19,
            output_zero_point=-5,
            minimum=-128,
            maximum=127,
        )
        halves = dataclasses.replace(
            noisy,
            zero_points=(0, 0),
            multipliers=(2**30, 2**30),
            shifts=(0, -1),
            output_multiplier=2**30,
            output_zero_point=0,
        )
        ties = dataclasses.replace(halves, left_shift=0, output_shift=-1)
        fine_ties = dataclasses.replace(halves, output_shift=-20)
        clamped = dataclasses.replace(noisy, minimum=-5, maximum=60)
        extreme = dataclasses.replace(noisy, output_shift=-16)
        shifted = dataclasses.replace(noisy, left_shift=0, output_multiplier=2**30, output_shift=2)
        yield from binary_cases("sub", Sub(), noisy)
        yield every_pair("sub", Sub(), clamped, "clamped_like_relu")
        yield every_pair("sub", Sub(), extreme, "saturates_both_ends")
        yield every_pair("sub", Sub(), shifted, "output_shift_to_the_left")
        yield every_pair("sub", Sub(), ties, "rounding_ties")
        yield every_pair("sub", Sub(), fine_ties, "ties_20_bits")


OPERATOR = SubOperator()
