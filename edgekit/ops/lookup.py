# SPDX-License-Identifier: Apache-2.0
"""A function of one variable as a table over all int8 values: sigmoid, hard swish, GELU and others.

The integers are the definition: an importer computes the table as the source's runtime would. From
float models it is f(scale * (q - zero_point)) in double, rounded once, halves away from zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.arith import round_half_away
from edgekit.ir import INTEGER_RANGE, Array, Call, Quantization, Shape, Tensor
from edgekit.kernel import BY_ELEMENT, BY_ROW, Binding, CStruct, Kernel, flat_features
from edgekit.layout import map_size
from edgekit.ops._elementwise import row_window, verify_int8, verify_operands
from edgekit.ops._operator import Case, Operator, Quantized, case_graph
from edgekit.ops._tuned import tuned_twin
from edgekit.ops._unary_functions import UNARY_FUNCTIONS, evaluate_function
from edgekit.window import Window

ENTRIES = 256
LOW, HIGH = INTEGER_RANGE["int8"]
COMPOSITE = "composite"
"""The function of a node that takes the place of several integer ones: only its table defines it."""


@dataclass(frozen=True)
class Lookup:
    """A name of ``_unary_functions.UNARY_FUNCTIONS`` and its parameters, or COMPOSITE."""

    function: str
    parameters: tuple[float, ...] = ()


@dataclass(frozen=True)
class LookupArithmetic:
    """``table[x + 128]`` is the output for the input x."""

    table: tuple[int, ...]


def tabulate(values: Array, quantization: Quantization) -> tuple[int, ...]:
    """Real values as int8, rounded half away from zero and saturated; NaN gives the zero point."""
    with np.errstate(over="ignore"):
        steps = np.nan_to_num(
            values / quantization.scale, nan=0.0, posinf=2.0**31, neginf=-(2.0**31)
        )
    integers = round_half_away(steps) + quantization.zero_point
    return tuple(int(value) for value in np.clip(integers, LOW, HIGH))


def _pack_ref(call: Call, binding: Binding) -> CStruct:
    arithmetic: LookupArithmetic = call.node.arithmetic
    return CStruct(
        "ek_lookup_s8",
        {
            "channels": map_size(call.output.shape)[2],
            "table": np.array(arithmetic.table, np.int8),
        },
    )


REF = Kernel(
    symbol="ek_lookup_s8__ref",
    isa="ref",
    kind="rows",
    pack=_pack_ref,
    write_behind=BY_ELEMENT,
    flat=True,
    features=flat_features,
    stack_bytes=64,
)
TUNED = tuned_twin(REF, stack_bytes=48)


def _pack_planar(call: Call, binding: Binding) -> CStruct:
    members = dict(_pack_ref(call, binding).members)
    members["channel_stride"] = binding.output.channel_stride
    members["pad_left"] = binding.output.pad_left
    order = ("channels", "channel_stride", "pad_left", "table")
    return CStruct("ek_lookup_s8_row_planar", {name: members[name] for name in order})


def _accepts_planar(call: Call) -> str | None:
    return None if len(call.output.shape) == 4 else "only maps"


PLANAR = Kernel(
    symbol="ek_lookup_s8_row_planar__c",
    isa="c",
    kind="rows",
    pack=_pack_planar,
    accepts=_accepts_planar,
    writes=("row_planar",),
    write_behind=BY_ROW,
    stack_bytes=96,
)
"""In front of a depthwise convolution: the activation of MobileNetV3 and its like."""


class LookupOperator(Operator):
    name = "lookup"
    is_elementwise = True
    attributes = Lookup
    arithmetic = LookupArithmetic
    kernels = (TUNED, PLANAR, REF)

    def output_shape(self, attributes: Lookup, inputs: Sequence[Shape]) -> Shape:
        return inputs[0]

    def verify(self, call: Call) -> None:
        verify_operands(call, count=1)
        verify_int8(call)
        attributes: Lookup = call.node.attributes
        arithmetic: LookupArithmetic | None = call.node.arithmetic
        if attributes.function != COMPOSITE:
            _verify_function(call, attributes)
        elif arithmetic is None:
            raise call.fail(f"the function '{COMPOSITE}' has no float definition; use a named one")
        if arithmetic is None:
            return
        if len(arithmetic.table) != ENTRIES:
            raise call.fail(f"its table has {len(arithmetic.table)} entries; it needs {ENTRIES}")
        if not all(LOW <= entry <= HIGH for entry in arithmetic.table):
            raise call.fail("an entry of its table is outside int8")

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        arithmetic: LookupArithmetic = call.node.arithmetic
        values: Array = np.array(arithmetic.table, np.int8)[inputs[0].astype(np.int64) - LOW]
        return values

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        attributes: Lookup = call.node.attributes
        values = evaluate_function(attributes.function, attributes.parameters, inputs[0])
        with np.errstate(over="ignore"):
            return values.astype(np.float32)

    def quantize(self, call: Call) -> Quantized:
        attributes: Lookup = call.node.attributes
        source, result = call.inputs[0].quantization, call.output.quantization
        assert source is not None and result is not None
        x = source.scale * (np.arange(LOW, HIGH + 1, dtype=np.float64) - source.zero_point)
        values = evaluate_function(attributes.function, attributes.parameters, x)
        return Quantized(LookupArithmetic(tabulate(values, result)))

    def window(self, call: Call) -> Window | None:
        return row_window(call)

    def cases(self) -> Iterator[Case]:
        random = np.random.default_rng(5)
        noise = tuple(int(value) for value in random.permutation(np.arange(LOW, HIGH + 1)))
        yield _case("permutation_of_all_values", (1, 16, 4, 4), noise)
        yield _case("identity", (256,), tuple(range(LOW, HIGH + 1)))
        yield _case("reversed", (1, 256), tuple(range(HIGH, LOW - 1, -1)))
        yield _case("ends_differ", (1, 1, 256, 1), (127, *(0,) * 254, -128))
        yield _case("one_value", (1, 8, 32), (-7,) * ENTRIES)
        yield _case("one_element", (1, 1, 1, 1), noise)
        yield _case("odd_channels", (1, 3, 5, 7), noise)
        yield _case("one_column", (1, 6, 1, 5), noise)
        for name, parameters in (("sigmoid", ()), ("hard_swish", ()), ("leaky_relu", (0.1,))):
            yield _function_case(name, parameters)


def _verify_function(call: Call, attributes: Lookup) -> None:
    function = UNARY_FUNCTIONS.get(attributes.function)
    if function is None:
        known = ", ".join(sorted(UNARY_FUNCTIONS))
        raise call.fail(f"there is no function '{attributes.function}'; use one of {known}")
    if len(attributes.parameters) != function.parameters:
        raise call.fail(
            f"{attributes.function} has {len(attributes.parameters)} parameters; "
            f"it needs {function.parameters}"
        )
    if not all(math.isfinite(parameter) for parameter in attributes.parameters):
        raise call.fail(f"the parameters {attributes.parameters} are not all finite")


def _case(
    name: str, shape: Shape, table: tuple[int, ...], attributes: Lookup | None = None
) -> Case:
    """Every int8 value is tried where the map has room for it."""
    graph = case_graph(
        "lookup",
        inputs=[Tensor("x", shape, "int8", Quantization(0.05, 3))],
        output=Tensor("y", shape, "int8", Quantization(1.0 / 64.0, -9)),
        attributes=attributes or Lookup(COMPOSITE),
        arithmetic=LookupArithmetic(table),
        name=name,
    )
    return Case(name, graph, ((np.resize(np.arange(LOW, HIGH + 1), shape).astype(np.int8),),))


def _function_case(name: str, parameters: tuple[float, ...]) -> Case:
    x = 0.05 * (np.arange(LOW, HIGH + 1) - 3)
    values = evaluate_function(name, parameters, x)
    table = tabulate(values, Quantization(1.0 / 64.0, -9))
    return _case(f"table_of_{name}", (1, 4, 8, 8), table, Lookup(name, parameters))


OPERATOR = LookupOperator()
