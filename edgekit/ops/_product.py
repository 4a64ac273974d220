# SPDX-License-Identifier: Apache-2.0
"""The fast kernel of mul: a product of 18 bits with a fast finish."""

from __future__ import annotations

import itertools

import numpy as np

from edgekit.ir import Call
from edgekit.kernel import BY_ELEMENT, Binding, CStruct, Kernel, flat_features
from edgekit.layout import map_size
from edgekit.ops._dsp_requantize import Finish, LayerFinish, Sums, layer_finish
from edgekit.ops._elementwise_kernel import operand_members
from edgekit.ops._weighted import WeightedArithmetic

_OPERANDS = ("first", "second")


def _finish(call: Call) -> LayerFinish:
    """The finish of all products that two int8 values can give."""
    arithmetic = call.node.arithmetic
    ends = [(-128 - zero_point, 127 - zero_point) for zero_point in arithmetic.zero_points]
    corners = [first * second for first, second in itertools.product(*ends)]
    least, greatest = (np.array([end], np.int64) for end in (min(corners), max(corners)))
    sums = Sums(np.zeros(1, np.int64), least, greatest)
    channel = WeightedArithmetic(
        input_zero_point=0,
        output_zero_point=arithmetic.output_zero_point,
        multipliers=(arithmetic.multiplier,),
        shifts=(arithmetic.shift,),
        minimum=arithmetic.minimum,
        maximum=arithmetic.maximum,
    )
    return layer_finish(channel, sums)


def _accepts(call: Call) -> str | None:
    finish = _finish(call)
    if finish.finish is Finish.GENERAL or finish.is_constant[0]:
        return "its multiplier, shift and clamp have no fast finish"
    return None


def _pack(call: Call, binding: Binding) -> CStruct:
    finish = _finish(call)
    multiplier, offset, exponent = finish.parameters[0].tolist()
    raised, lower = finish.clamp or (0, 0)
    zero_points = zip(_OPERANDS, call.node.arithmetic.zero_points, strict=True)
    return CStruct(
        "ek_product_s8",
        {
            "channels": map_size(call.output.shape)[2],
            **operand_members(call, _OPERANDS, binding),
            **{f"{operand}_zero_point": zero_point for operand, zero_point in zero_points},
            "finish": int(finish.finish),
            "multiplier": multiplier,
            "offset": offset,
            "exponent": exponent,
            "raise": raised,
            "lower": lower,
        },
    )


PRODUCT = Kernel(
    symbol="ek_product_s8__c",
    isa="c",
    kind="rows",
    pack=_pack,
    accepts=_accepts,
    features=flat_features,
    write_behind=BY_ELEMENT,
    flat=True,
    stack_bytes=176,
)
