# SPDX-License-Identifier: Apache-2.0
"""2-D convolution, grouped or not; weights are (output channels, kh, kw, input channels / groups)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.ir import Array, Call, Quantization, Shape, Tensor, constant
from edgekit.kernel import Binding, CStruct, Kernel, WriteBehind
from edgekit.ops._dsp_pointwise import DSP_4X2
from edgekit.ops._int16_cases import int16_cases, narrow_sum_cases, wide_sum_cases
from edgekit.ops._operator import Case, Operator, Quantized, case_graph
from edgekit.ops._weighted import (
    INPUT,
    WEIGHTS,
    WeightedArithmetic,
    common_members,
    finish,
    finish_float,
    narrow_kernel,
    quantize_weights,
    verify_weighted,
    wide_kernel,
)
from edgekit.ops._windows import pad_map, taps, verify_window
from edgekit.window import Axis, Window


@dataclass(frozen=True)
class Conv2d:
    """Geometry, and the clamp that is fused behind the convolution (None: no bound)."""

    window: Window
    activation_min: float | None = None
    activation_max: float | None = None


def _groups(call: Call) -> int:
    return call.inputs[INPUT].shape[3] // call.inputs[WEIGHTS].shape[3]


def _accumulate(x: Array, weights: Array, window: Window, output_shape: Shape) -> Array:
    """Sums (1, OH, OW, O) of a padded map in the dtype of ``x``."""
    _, height, width, channels = output_shape
    group_inputs = weights.shape[3]
    groups = x.shape[3] // group_inputs
    group_outputs = channels // groups
    sums = np.zeros((height * width, channels), x.dtype)
    for row, column, view in taps(x, window, height, width):
        for group in range(groups):
            inputs = view[..., group * group_inputs : (group + 1) * group_inputs]
            outputs = slice(group * group_outputs, (group + 1) * group_outputs)
            matrix = weights[outputs, row, column].T
            sums[:, outputs] += np.ascontiguousarray(inputs).reshape(-1, group_inputs) @ matrix
    return sums.reshape(output_shape)


def _pack_ref(call: Call, binding: Binding) -> CStruct:
    width = call.node.attributes.window.width
    _, input_height, input_width, input_channels = call.inputs[INPUT].shape
    output_channels, kernel_height, kernel_width, _ = call.inputs[WEIGHTS].shape
    return CStruct(
        "ek_conv2d_s8",
        {
            **common_members(call),
            "input_width": input_width * (input_height if binding.flat else 1),
            "input_channels": input_channels,
            "output_channels": output_channels,
            "groups": _groups(call),
            "kernel_height": kernel_height,
            "kernel_width": kernel_width,
            "stride_width": width.stride,
            "dilation_width": width.dilation,
            "pad_left": width.pad_before,
        },
    )


REF = Kernel(
    symbol="ek_conv2d_s8__ref",
    isa="ref",
    kind="rows",
    pack=_pack_ref,
    instructions=lambda call: 6.0 * OPERATOR.macs(call),
    write_behind=WriteBehind(),
    stack_bytes=192,
)

S16 = wide_kernel(REF, "ek_conv2d_s16__ref")
S16_NARROW = narrow_kernel(REF, "ek_conv2d_s16__ref_narrow")


class Conv2dOperator(Operator):
    name = "conv2d"
    attributes = Conv2d
    arithmetic = WeightedArithmetic
    kernels = (DSP_4X2, REF, S16, S16_NARROW)

    def output_shape(self, attributes: Conv2d, inputs: Sequence[Shape]) -> Shape:
        _, height, width, _ = inputs[INPUT]
        return (1, *attributes.window.output_size(height, width), inputs[WEIGHTS][0])

    def verify(self, call: Call) -> None:
        window: Window = call.node.attributes.window
        verify_window(call, window)
        weights = call.constant(WEIGHTS)
        channels = call.inputs[INPUT].shape[3]
        if weights.ndim != 4 or weights.shape[1:3] != (window.height.kernel, window.width.kernel):
            raise call.fail(f"the weights have shape {weights.shape}; it does not match the kernel")
        if channels % weights.shape[3] or weights.shape[0] % (channels // weights.shape[3]):
            raise call.fail(
                f"{channels} input channels do not fit weights of shape {weights.shape}"
            )
        verify_weighted(call, channels=weights.shape[0])

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        window: Window = call.node.attributes.window
        # float64 holds the sums exactly: |x - zp| * |w| * taps < 2^53 for any 32-bit shape.
        x = inputs[INPUT].astype(np.float64) - call.node.arithmetic.input_zero_point
        padded = pad_map(x, window, 0.0)
        weights = inputs[WEIGHTS].astype(np.float64)
        sums = _accumulate(padded, weights, window, call.output.shape)
        return finish(sums.astype(np.int64), call)

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        attributes: Conv2d = call.node.attributes
        # Sums in float64, so that float32 results (and scales) do not depend on the order of a BLAS.
        padded = pad_map(inputs[INPUT].astype(np.float64), attributes.window, 0.0)
        weights = inputs[WEIGHTS].astype(np.float64)
        sums = _accumulate(padded, weights, attributes.window, call.output.shape)
        bias = inputs[2] if len(inputs) > 2 else None
        return finish_float(sums, bias, (attributes.activation_min, attributes.activation_max))

    def quantize(self, call: Call) -> Quantized:
        attributes: Conv2d = call.node.attributes
        activation = (attributes.activation_min, attributes.activation_max)
        return Quantized(*quantize_weights(call, channel_axis=0, activation=activation))

    def window(self, call: Call) -> Window:
        window: Window = call.node.attributes.window
        return window

    def macs(self, call: Call) -> int:
        return call.output.elements * math.prod(call.inputs[WEIGHTS].shape[1:])

    def cases(self) -> Iterator[Case]:
        yield from self._int8_cases()
        yield from int16_cases(self._int8_cases())
        point = Conv2d(Window(Axis(1), Axis(1)))
        yield from wide_sum_cases(OPERATOR, point, (1, 1, 2048, 1))
        yield from narrow_sum_cases(OPERATOR, point, (1, 1, 2048, 1))

    def _int8_cases(self) -> Iterator[Case]:
        yield _case("pointwise_8_to_12", (5, 7, 8), 12, Window(Axis(1), Axis(1)))
        yield _case(
            "odd_channels_3_to_5", (6, 5, 3), 5, Window(Axis(3, 1, 1, 1, 1), Axis(3, 1, 1, 1, 1))
        )
        yield _case(
            "stride_2_same_padding", (8, 8, 4), 8, Window(Axis(3, 2, 1, 0, 1), Axis(3, 2, 1, 0, 1))
        )
        yield _case("one_pixel", (1, 1, 16), 4, Window(Axis(1), Axis(1)))
        yield _case(
            "kernel_10x4", (20, 10, 1), 8, Window(Axis(10, 2, 1, 4, 5), Axis(4, 2, 1, 1, 1))
        )
        yield _case(
            "height_below_kernel", (1, 3, 4), 4, Window(Axis(3, 1, 1, 1, 1), Axis(3, 1, 1, 1, 1))
        )
        yield _case(
            "dilation_wider_than_map",
            (4, 4, 4),
            4,
            Window(Axis(3, 1, 3, 3, 3), Axis(3, 1, 3, 3, 3)),
        )
        yield _case(
            "asymmetric_kernel_and_stride", (9, 7, 3), 6, Window(Axis(1, 2), Axis(3, 3, 1, 2, 0))
        )
        yield _case(
            "two_groups", (5, 5, 8), 6, Window(Axis(3, 1, 1, 1, 1), Axis(3, 1, 1, 1, 1)), groups=2
        )
        yield _case("left_shift", (3, 3, 4), 4, Window(Axis(1), Axis(1)), shift=2)
        yield _case("saturates_both_ends", (4, 4, 16), 4, Window(Axis(1), Axis(1)), shift=0)
        yield _case("clamped_at_zero_point", (4, 4, 8), 8, Window(Axis(1), Axis(1)), minimum=-7)
        yield _case("without_bias", (4, 4, 8), 8, Window(Axis(1), Axis(1)), with_bias=False)
        yield _tie_case()


def _case(
    name: str,
    shape: tuple[int, int, int],
    outputs: int,
    window: Window,
    *,
    groups: int = 1,
    shift: int = -7,
    minimum: int = -128,
    with_bias: bool = True,
) -> Case:
    """A convolution with seeded weights; zero points are not 0, so that padding must honour them."""
    random = np.random.default_rng(len(name))
    kernel = (window.height.kernel, window.width.kernel)
    weights = random.integers(-127, 128, (outputs, *kernel, shape[2] // groups)).astype(np.int8)
    bias = random.integers(-3000, 3000, outputs).astype(np.int32)
    x = Tensor("x", (1, *shape), "int8", Quantization(0.05, -11))
    constants = [constant("weights", weights)] + [constant("bias", bias)] * with_bias
    attributes = Conv2d(window)
    shapes = [x.shape, weights.shape]
    y = Tensor("y", OPERATOR.output_shape(attributes, shapes), "int8", Quantization(0.1, -7))
    arithmetic = WeightedArithmetic(
        input_zero_point=-11,
        output_zero_point=-7,
        multipliers=tuple(int(m) for m in random.integers(2**30, 2**31 - 1, outputs)),
        shifts=tuple(shift - int(s) for s in random.integers(0, 2, outputs)),
        minimum=minimum,
        maximum=127,
    )
    graph = case_graph(
        "conv2d",
        inputs=[x, *constants],
        output=y,
        attributes=attributes,
        arithmetic=arithmetic,
        name=name,
    )
    return Case(name, graph)


def _tie_case() -> Case:
    """Every int8 value through factors of 1/2 and 1/4: ties in both roundings, of both signs."""
    values = np.arange(-128, 128).astype(np.int8).reshape(1, 1, 256, 1)
    x = Tensor("x", values.shape, "int8", Quantization(0.05, 0))
    weights = constant("weights", np.array([1, 3, 1, -1], np.int8).reshape(4, 1, 1, 1))
    bias = constant("bias", np.array([0, 0, 1, 1], np.int32))
    arithmetic = WeightedArithmetic(
        input_zero_point=0,
        output_zero_point=0,
        multipliers=(2**30,) * 4,
        shifts=(0, 0, -1, -1),
        minimum=-128,
        maximum=127,
    )
    graph = case_graph(
        "conv2d",
        inputs=[x, weights, bias],
        output=Tensor("y", (1, 1, 256, 4), "int8", Quantization(0.1, 0)),
        attributes=Conv2d(Window(Axis(1), Axis(1))),
        arithmetic=arithmetic,
        name="rounding_ties",
    )
    return Case("rounding_ties", graph, ((values,),))


OPERATOR: Conv2dOperator = Conv2dOperator()
