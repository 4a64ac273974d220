# SPDX-License-Identifier: Apache-2.0
"""Depthwise 2-D convolution; weights are (1, kh, kw, channels * multiplier), as in TFLite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.ir import Array, Call, Shape
from edgekit.kernel import BY_ROW, Binding, CStruct, Kernel
from edgekit.ops._dsp_depthwise import DSP_3X3S1, DSP_3X3S2
from edgekit.ops._int16_cases import int16_cases, wide_sum_cases
from edgekit.ops._operator import Case, Operator, Quantized
from edgekit.ops._weighted import (
    BIAS,
    INPUT,
    WEIGHTS,
    WeightedArithmetic,
    common_members,
    finish,
    finish_float,
    quantize_weights,
    verify_weighted,
    wide_kernel,
)
from edgekit.ops._weighted_cases import tie_case, weighted_case
from edgekit.ops._windows import pad_map, taps, verify_window
from edgekit.window import Axis, Window


@dataclass(frozen=True)
class DepthwiseConv2d:
    """Geometry, and the clamp that is fused behind the convolution (None: no bound).

    Output channel ``c * multiplier + m`` reads input channel ``c``.
    """

    window: Window
    activation_min: float | None = None
    activation_max: float | None = None


def channel_multiplier(call: Call) -> int:
    """Output channels per input channel."""
    return call.inputs[WEIGHTS].shape[3] // call.inputs[INPUT].shape[3]


def _accumulate(x: Array, weights: Array, window: Window, output_shape: Shape) -> Array:
    """Sums (1, OH, OW, C * multiplier) of a padded map in the dtype of ``x``."""
    _, height, width, channels = output_shape
    repeated = np.repeat(x, channels // x.shape[3], axis=3)
    sums = np.zeros(output_shape, x.dtype)
    for row, column, view in taps(repeated, window, height, width):
        sums += view * weights[0, row, column]
    return sums


def _pack_ref(call: Call, binding: Binding) -> CStruct:
    width = call.node.attributes.window.width
    _, _, input_width, input_channels = call.inputs[INPUT].shape
    _, kernel_height, kernel_width, _ = call.inputs[WEIGHTS].shape
    return CStruct(
        "ek_depthwise_conv2d_s8",
        {
            **common_members(call),
            "input_width": input_width,
            "input_channels": input_channels,
            "channel_multiplier": channel_multiplier(call),
            "kernel_height": kernel_height,
            "kernel_width": kernel_width,
            "stride_width": width.stride,
            "dilation_width": width.dilation,
            "pad_left": width.pad_before,
        },
    )


REF = Kernel(
    symbol="ek_depthwise_conv2d_s8__ref",
    isa="ref",
    kind="rows",
    pack=_pack_ref,
    instructions=lambda call: 10.0 * OPERATOR.macs(call),
    write_behind=BY_ROW,
    stack_bytes=192,
)

S16 = wide_kernel(REF, "ek_depthwise_conv2d_s16__ref")


class DepthwiseConv2dOperator(Operator):
    name = "depthwise_conv2d"
    attributes = DepthwiseConv2d
    arithmetic = WeightedArithmetic
    kernels = (DSP_3X3S1, DSP_3X3S2, REF, S16)

    def output_shape(self, attributes: DepthwiseConv2d, inputs: Sequence[Shape]) -> Shape:
        _, height, width, _ = inputs[INPUT]
        return (1, *attributes.window.output_size(height, width), inputs[WEIGHTS][3])

    def verify(self, call: Call) -> None:
        window: Window = call.node.attributes.window
        verify_window(call, window)
        shape = call.constant(WEIGHTS).shape
        channels = call.inputs[INPUT].shape[3]
        if len(shape) != 4 or shape[:3] != (1, window.height.kernel, window.width.kernel):
            raise call.fail(f"the weights have shape {shape}; it does not match the kernel")
        if shape[3] % channels:
            raise call.fail(
                f"{shape[3]} output channels are not a multiple of {channels} input channels"
            )
        verify_weighted(call, channels=shape[3])

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        window: Window = call.node.attributes.window
        x = inputs[INPUT].astype(np.int64) - call.node.arithmetic.input_zero_point
        weights = inputs[WEIGHTS].astype(np.int64)
        return finish(_accumulate(pad_map(x, window, 0), weights, window, call.output.shape), call)

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        attributes: DepthwiseConv2d = call.node.attributes
        padded = pad_map(inputs[INPUT], attributes.window, 0.0)
        sums = _accumulate(padded, inputs[WEIGHTS], attributes.window, call.output.shape)
        bias = inputs[BIAS] if len(inputs) > BIAS else None
        return finish_float(sums, bias, (attributes.activation_min, attributes.activation_max))

    def quantize(self, call: Call) -> Quantized:
        attributes: DepthwiseConv2d = call.node.attributes
        activation = (attributes.activation_min, attributes.activation_max)
        return Quantized(*quantize_weights(call, channel_axis=3, activation=activation))

    def window(self, call: Call) -> Window:
        window: Window = call.node.attributes.window
        return window

    def macs(self, call: Call) -> int:
        window: Window = call.node.attributes.window
        return call.output.elements * window.height.kernel * window.width.kernel

    def cases(self) -> Iterator[Case]:
        yield from self._int8_cases()
        yield from int16_cases(self._int8_cases())
        point = DepthwiseConv2d(Window(Axis(1), Axis(1)))
        yield from wide_sum_cases(OPERATOR, point, (1, 1, 2048, 1))

    def _int8_cases(self) -> Iterator[Case]:
        same = Axis(3, 1, 1, 1, 1)
        yield _case("kernel_3x3_same", (6, 7, 8), Window(same, same))
        yield _case("odd_channels", (5, 5, 3), Window(same, same))
        yield _case("one_channel", (4, 9, 1), Window(same, same))
        yield _case("one_pixel", (1, 1, 8), Window(same, same))
        yield _case("one_pixel_1x1_kernel", (1, 1, 5), Window(Axis(1), Axis(1)))
        yield _case("height_below_kernel", (2, 6, 4), Window(Axis(5, 1, 1, 2, 2), same))
        yield _case("width_below_kernel", (6, 2, 4), Window(same, Axis(5, 1, 1, 2, 2)))
        stride_2 = Axis(3, 2, 1, 0, 1)
        yield _case("stride_2_asymmetric_padding", (8, 8, 4), Window(stride_2, stride_2))
        yield _case("stride_2_odd_map", (7, 9, 6), Window(Axis(3, 2, 1, 1, 1), Axis(3, 2, 1, 1, 1)))
        yield _case("without_padding", (5, 8, 4), Window(Axis(3), Axis(3)))
        yield _case(
            "stride_3_unlike_axes", (9, 8, 4), Window(Axis(2, 3, 1, 1, 0), Axis(4, 1, 1, 0, 3))
        )
        yield _case("kernel_5x5", (6, 10, 4), Window(Axis(5, 1, 1, 2, 2), Axis(5, 1, 1, 2, 2)))
        yield _case(
            "kernel_7x7_stride_2", (9, 9, 4), Window(Axis(7, 2, 1, 2, 3), Axis(7, 2, 1, 2, 3))
        )
        yield _case("dilation_2", (7, 6, 4), Window(Axis(3, 1, 2, 2, 2), Axis(3, 1, 2, 2, 2)))
        yield _case("channel_multiplier_2", (5, 4, 3), Window(same, same), multiplier=2)
        yield _case("multiplier_8_of_one_channel", (6, 4, 1), Window(same, same), multiplier=8)
        yield _case("wide_map", (3, 37, 4), Window(same, same))
        yield _case("left_shift", (3, 3, 4), Window(Axis(1), Axis(1)), shift=2)
        yield _case("saturates_both_ends", (4, 4, 4), Window(same, same), shift=0)
        yield _case("clamped_at_zero_point", (4, 4, 8), Window(same, same), minimum=-7)
        yield _case("clamped_at_both_ends", (4, 4, 4), Window(same, same), minimum=-9, maximum=20)
        yield _case("without_bias", (4, 4, 8), Window(same, same), with_bias=False)
        values = np.arange(-128, 128).astype(np.int8).reshape(1, 1, 256, 1)
        weights = np.array([1, 3, 1, -1], np.int8).reshape(1, 1, 1, 4)
        attributes = DepthwiseConv2d(Window(Axis(1), Axis(1)))
        yield tie_case(OPERATOR, attributes, x=values, weights=weights)


def _case(
    name: str,
    shape: tuple[int, int, int],
    window: Window,
    *,
    multiplier: int = 1,
    shift: int = -6,
    minimum: int = -128,
    maximum: int = 127,
    with_bias: bool = True,
) -> Case:
    channels = shape[2] * multiplier
    return weighted_case(
        OPERATOR,
        name,
        DepthwiseConv2d(window),
        input_shape=(1, *shape),
        weights_shape=(1, window.height.kernel, window.width.kernel, channels),
        channels=channels,
        shift=shift,
        minimum=minimum,
        maximum=maximum,
        with_bias=with_bias,
    )


OPERATOR: DepthwiseConv2dOperator = DepthwiseConv2dOperator()
