# SPDX-License-Identifier: Apache-2.0
"""Reference kernels of element-wise operators: structs of operand strides and integer parameters."""

from __future__ import annotations

import dataclasses
from typing import Any

from edgekit.ir import Call
from edgekit.kernel import BY_ELEMENT, Binding, CStruct, CValue, Kernel, flat_features
from edgekit.layout import map_size
from edgekit.ops._elementwise import operand_strides
from edgekit.ops._int16 import ARITHMETIC_STACK_BYTES, int16_twin


def elementwise_kernel(struct: str, *, stack_bytes: int, operands: tuple[str, ...] = ()) -> Kernel:
    """The reference kernel whose layer struct is ``struct``.

    The members are the channels, the strides of every operand, and the fields of the arithmetic.

    operands: the words for the operands in the members; () where the only one has the output's shape.
    """

    def pack(call: Call, binding: Binding) -> CStruct:
        members: dict[str, CValue] = {"channels": map_size(call.output.shape)[2]}
        members |= operand_members(call, operands, binding)
        return CStruct(struct, members | arithmetic_members(call.node.arithmetic, operands))

    return Kernel(
        symbol=f"{struct}__ref",
        isa="ref",
        kind="rows",
        pack=pack,
        write_behind=BY_ELEMENT,
        flat=True,
        features=flat_features,
        stack_bytes=stack_bytes,
    )


def operand_members(call: Call, operands: tuple[str, ...], binding: Binding) -> dict[str, CValue]:
    """The strides of every operand."""
    members: dict[str, CValue] = {}
    for position, operand in enumerate(operands):
        strides = operand_strides(call, position, binding)
        members[f"{operand}_column_stride"] = strides.column
        members[f"{operand}_channel_stride"] = strides.channel
    return members


def arithmetic_members(arithmetic: Any, operands: tuple[str, ...]) -> dict[str, CValue]:
    """The fields of integer parameters as members; a tuple ``shifts`` gives <operand>_shift for each."""
    values = {f.name: getattr(arithmetic, f.name) for f in dataclasses.fields(arithmetic)}
    tuples = {name: value for name, value in values.items() if isinstance(value, tuple)}
    by_operand: dict[str, CValue] = {
        f"{operand}_{name.removesuffix('s')}": value[position]
        for position, operand in enumerate(operands)
        for name, value in tuples.items()
    }
    members: dict[str, CValue] = {}
    for name, value in values.items():
        members |= by_operand if name in tuples else {name: value}
    return members


def binary_kernel(op: str, *, operands: tuple[str, str] = ("first", "second")) -> Kernel:
    """The int8 reference kernel of an operator of two operands."""
    return elementwise_kernel(f"ek_{op}_s8", stack_bytes=128, operands=operands)


def int16_binary_kernel(kernel: Kernel) -> Kernel:
    """The int16 kernel beside that of ``binary_kernel``."""
    return int16_twin(
        kernel,
        kernel.symbol.replace("_s8__", "_s16__"),
        without=("first_zero_point", "second_zero_point", "output_zero_point"),
        extra_stack_bytes=ARITHMETIC_STACK_BYTES,
    )
