# SPDX-License-Identifier: Apache-2.0
"""Part of a 1 x 1 convolution: it adds the products of a block of input channels to int32 sums.

The blocks of a convolution follow each other: the first has no sums yet, and the last one, whose
output is int8, adds the bias and scales. The input's zero point is folded into that bias.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.arith import requantize
from edgekit.errors import BadInputError
from edgekit.ir import Array, Call, Quantization, Shape, Tensor, constant
from edgekit.kernel import BY_PIXEL, Binding, CStruct, CValue, Kernel
from edgekit.ops._operator import Case, Operator, Quantized, case_graph
from edgekit.ops._weighted import verify_multipliers
from edgekit.ops._weighted_convolution import tap_features
from edgekit.window import Axis, Window

INPUT, WEIGHTS, SUMS, BIAS = 0, 1, 2, 3
"""Positions of the inputs; weights are (output channels, 1, 1, channels of the block)."""


@dataclass(frozen=True)
class BlockConv2d:
    """Nothing: every pixel is on its own."""


@dataclass(frozen=True)
class BlockArithmetic:
    """Integer parameters of the last block; the others have none but the bound.

    accumulator_bound: that of the convolution of which this is a block; None where it is not known.
    """

    output_zero_point: int = 0
    multipliers: tuple[int, ...] = ()
    shifts: tuple[int, ...] = ()
    minimum: int = -128
    maximum: int = 127
    accumulator_bound: int | None = None


def _is_last(call: Call) -> bool:
    return call.output.dtype == "int8"


def _products(call: Call, binding: Binding) -> dict[str, CValue]:
    outputs, _, _, inputs = call.inputs[WEIGHTS].shape
    return {
        "weights": call.constant(WEIGHTS),
        "input_channels": inputs,
        "output_channels": outputs,
    }


def _pack_sums(call: Call, binding: Binding) -> CStruct:
    adds = len(call.inputs) > SUMS
    return CStruct("ek_block_conv2d_s8_s32", {**_products(call, binding), "adds": int(adds)})


def _pack_last(call: Call, binding: Binding) -> CStruct:
    arithmetic: BlockArithmetic = call.node.arithmetic
    return CStruct(
        "ek_block_conv2d_s8",
        {
            **_products(call, binding),
            "bias": call.constant(BIAS),
            "multipliers": np.array(arithmetic.multipliers, np.int32),
            "shifts": np.array(arithmetic.shifts, np.int8),
            "output_zero_point": arithmetic.output_zero_point,
            "minimum": arithmetic.minimum,
            "maximum": arithmetic.maximum,
        },
    )


REF_SUMS = Kernel(
    symbol="ek_block_conv2d_s8_s32__ref",
    isa="ref",
    kind="rows",
    pack=_pack_sums,
    scratch_bytes=lambda call, binding: 4 * call.output.shape[3],
    write_behind=BY_PIXEL,
    flat=True,
    features=tap_features,
    costs_as="ek_conv2d_s8__ref",
    stack_bytes=128,
)
REF = dataclasses.replace(
    REF_SUMS,
    symbol="ek_block_conv2d_s8__ref",
    pack=_pack_last,
    accepts=lambda call: None if _is_last(call) else "it completes the sums",
    stack_bytes=160,
)


class BlockConv2dOperator(Operator):
    name = "block_conv2d"
    attributes = BlockConv2d
    arithmetic = BlockArithmetic
    kernels = (REF_SUMS, REF)

    def output_shape(self, attributes: BlockConv2d, inputs: Sequence[Shape]) -> Shape:
        return (*inputs[INPUT][:3], inputs[WEIGHTS][0])

    def verify(self, call: Call) -> None:
        arithmetic: BlockArithmetic | None = call.node.arithmetic
        if arithmetic is None:
            raise call.fail("only integer models have blocks of a convolution")
        shape, weights = call.inputs[INPUT].shape, call.constant(WEIGHTS)
        if len(shape) != 4 or weights.ndim != 4 or weights.shape[1:] != (1, 1, shape[3]):
            raise call.fail(f"weights of shape {weights.shape} do not fit an input of {shape}")
        types = ["int8", "int8", "int32", "int32"][: len(call.inputs)]
        if [tensor.dtype for tensor in call.inputs] != types or len(call.inputs) < 2:
            raise call.fail(f"its inputs must be of types {', '.join(types)}")
        if len(call.inputs) > SUMS and call.inputs[SUMS].shape != call.output.shape:
            raise call.fail("the sums so far have another shape than the output")
        if not _is_last(call):
            if call.output.dtype != "int32" or len(call.inputs) > BIAS:
                raise call.fail(f"it computes int32 sums without a bias, not {call.output.dtype}")
            return
        self._verify_last(call, arithmetic, len(weights))

    def _verify_last(self, call: Call, arithmetic: BlockArithmetic, channels: int) -> None:
        if len(call.inputs) <= BIAS or call.constant(BIAS).shape != (channels,):
            raise call.fail(f"the last block needs sums and a bias of {channels} channels")
        verify_multipliers(call, arithmetic.multipliers, arithmetic.shifts, channels=channels)

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        x, weights = (inputs[at].astype(np.int64) for at in (INPUT, WEIGHTS))
        total = x @ weights[:, 0, 0].T
        for more in inputs[SUMS:]:
            total = total + more
        sums = total.astype(np.int32)  # modulo 2^32, as in C
        if not _is_last(call):
            return sums
        arithmetic: BlockArithmetic = call.node.arithmetic
        values = requantize(
            sums.astype(np.int64),
            np.array(arithmetic.multipliers, np.int64),
            np.array(arithmetic.shifts, np.int64),
            zero_point=arithmetic.output_zero_point,
            minimum=arithmetic.minimum,
            maximum=arithmetic.maximum,
        )
        return values.astype(np.int8)

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        raise _integers_only(call)

    def quantize(self, call: Call) -> Quantized:
        raise _integers_only(call)

    def window(self, call: Call) -> Window | None:
        return Window(Axis(1), Axis(1))

    def accumulator_bound(self, call: Call) -> int | None:
        arithmetic: BlockArithmetic = call.node.arithmetic
        return arithmetic.accumulator_bound

    def macs(self, call: Call) -> int:
        return call.output.elements * call.inputs[INPUT].shape[3]

    def cases(self) -> Iterator[Case]:
        yield _case("first", (3, 5, 8), 6, adds=False)
        yield _case("between", (3, 5, 8), 6)
        yield _case("last", (3, 5, 8), 6, shift=-7)
        yield _case("one_pixel", (1, 1, 4), 4)
        yield _case("one_channel_first", (4, 3, 1), 1, adds=False)
        yield _case("sums_as_long_as_inputs", (4, 3, 32), 8)
        yield _case("one_channel_last", (4, 3, 1), 1, shift=-4)
        yield _case("last_shifts_to_the_left", (2, 2, 4), 3, shift=2)
        yield _case("last_is_clamped", (4, 4, 16), 12, shift=-8, clamp=(-5, 60))


def _integers_only(call: Call) -> BadInputError:
    return call.fail("only integer models have blocks of a convolution")


def _case(
    name: str,
    size: tuple[int, int, int],
    channels: int,
    *,
    adds: bool = True,
    shift: int | None = None,
    clamp: tuple[int, int] = (-128, 127),
) -> Case:
    """Seeded weights; with a shift it is a last block, whose sums are within the map's range."""
    random = np.random.default_rng(len(name))
    weights = random.integers(-127, 128, (channels, 1, 1, size[2])).astype(np.int8)
    shape = (1, *size[:2], channels)
    inputs = [Tensor("x", (1, *size), "int8", Quantization(0.05, -3)), constant("w", weights)]
    output, arithmetic = Tensor("y", shape, "int32"), BlockArithmetic()
    if adds:
        inputs.append(Tensor("sums", shape, "int32"))
    if shift is not None:
        inputs.append(constant("b", random.integers(-3000, 3000, channels).astype(np.int32)))
        output = Tensor("y", shape, "int8", Quantization(0.1, 7))
        multipliers: Any = random.integers(2**30, 2**31 - 1, channels).tolist()
        shifts: Any = (shift - random.integers(0, 2, channels)).tolist()
        arithmetic = BlockArithmetic(7, tuple(multipliers), tuple(shifts), *clamp)
    graph = case_graph(
        "block_conv2d",
        inputs=inputs,
        output=output,
        attributes=BlockConv2d(),
        arithmetic=arithmetic,
        name=name,
    )
    x = random.integers(-128, 128, (1, *size)).astype(np.int8)
    sums = random.integers(-20_000, 20_000, shape).astype(np.int32)
    return Case(name, graph, ((x, sums) if adds else (x,),))


OPERATOR = BlockConv2dOperator()
