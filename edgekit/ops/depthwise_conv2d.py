# SPDX-License-Identifier: Apache-2.0
"""Depthwise 2-D convolution; weights are (1, kh, kw, channels * multiplier), as in TFLite."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edgekit.ir import Array, Call, Shape
from edgekit.kernel import CValue, plain_features
from edgekit.ops._dot import depthwise_kernel
from edgekit.ops._dsp_depthwise import ROW_PLANAR
from edgekit.ops._dsp_depthwise_nhwc import DSP_NHWC
from edgekit.ops._mve_depthwise import MVE
from edgekit.ops._operator import Case
from edgekit.ops._weighted import INPUT, WEIGHTS, wide_kernel
from edgekit.ops._weighted_convolution import ConvolutionOperator, convolution_kernel
from edgekit.ops._windows import pad_map, taps
from edgekit.window import Axis, Window


@dataclass(frozen=True)
class DepthwiseConv2d:
    """Geometry, and the clamp that is fused behind the convolution (None: no bound).

    Output channel ``c * multiplier + m`` reads input channel ``c``.
    """

    window: Window
    activation_min: float | None = None
    activation_max: float | None = None


def _channel_members(call: Call) -> dict[str, CValue]:
    return {"channel_multiplier": call.inputs[WEIGHTS].shape[3] // call.inputs[INPUT].shape[3]}


def _channel_blocks(call: Call) -> int:
    """Blocks of any channels, where each input channel has one output channel."""
    return 1 if _channel_members(call)["channel_multiplier"] == 1 else 0


REF = convolution_kernel(
    "depthwise_conv2d",
    _channel_members,
    features=lambda call: {"macs": OPERATOR.macs(call), **plain_features(call)},
    channel_blocks=_channel_blocks,
)
S16 = wide_kernel(REF, "ek_depthwise_conv2d_s16__ref")


class DepthwiseConv2dOperator(ConvolutionOperator):
    name = "depthwise_conv2d"
    attributes = DepthwiseConv2d
    is_channelwise = True
    kernels = (MVE, *ROW_PLANAR, DSP_NHWC, depthwise_kernel(_channel_blocks), REF, S16)
    float_sums = np.float32  # element-wise sums have the same order everywhere

    def accumulate(self, x: Array, weights: Array, window: Window, output_shape: Shape) -> Array:
        _, height, width, channels = output_shape
        repeated = np.repeat(pad_map(x, window, 0.0), channels // x.shape[3], axis=3)
        sums = np.zeros(output_shape, x.dtype)
        for row, column, view in taps(repeated, window, height, width):
            sums += view * weights[0, row, column]
        return sums

    def weights_shape(self, outputs: int, window: Window, group_inputs: int) -> Shape:
        return (1, window.height.kernel, window.width.kernel, outputs)

    def verify_channels(self, call: Call, *, inputs: int, weights: Shape) -> None:
        if weights[0] != 1:
            raise call.fail(f"the weights have shape {weights}; its first dimension must be 1")
        if weights[3] % inputs:
            raise call.fail(
                f"{weights[3]} output channels are not a multiple of {inputs} input channels"
            )

    def int8_cases(self) -> Iterator[Case]:
        case, point, same, twice = self.case, self.point, Axis(3, 1, 1, 1, 1), Axis(3, 2, 1, 0, 1)
        yield case("kernel_3x3_same", (6, 7, 8), 8, Window(same, same))
        yield case("odd_channels", (5, 5, 3), 3, Window(same, same))
        yield case("one_channel", (4, 9, 1), 1, Window(same, same))
        yield case("one_pixel", (1, 1, 8), 8, Window(same, same))
        yield case("one_pixel_1x1_kernel", (1, 1, 5), 5, point)
        yield case("height_below_kernel", (2, 6, 4), 4, Window(Axis(5, 1, 1, 2, 2), same))
        yield case("width_below_kernel", (6, 2, 4), 4, Window(same, Axis(5, 1, 1, 2, 2)))
        yield case("stride_2_asymmetric_padding", (8, 8, 4), 4, Window(twice, twice))
        odd = Axis(3, 2, 1, 1, 1)
        yield case("stride_2_odd_map", (7, 9, 6), 6, Window(odd, odd))
        yield case("without_padding", (5, 8, 4), 4, Window(Axis(3), Axis(3)))
        unlike = Window(Axis(2, 3, 1, 1, 0), Axis(4, 1, 1, 0, 3))
        yield case("stride_3_unlike_axes", (9, 8, 4), 4, unlike)
        five, seven = Axis(5, 1, 1, 2, 2), Axis(7, 2, 1, 2, 3)
        yield case("kernel_5x5", (6, 10, 4), 4, Window(five, five))
        yield case("kernel_7x7_stride_2", (9, 9, 4), 4, Window(seven, seven))
        five, seven = Axis(5, 2, 1, 2, 2), Axis(7, 1, 1, 3, 3)
        yield case("kernel_5x5_stride_2", (7, 23, 3), 3, Window(five, five), minimum=-7)
        yield case("kernel_7x7", (4, 11, 5), 5, Window(seven, seven), minimum=-9, maximum=20)
        far = Axis(3, 1, 2, 2, 2)
        yield case("dilation_2", (7, 6, 4), 4, Window(far, far))
        yield case("channel_multiplier_2", (5, 4, 3), 6, Window(same, same))
        yield case("multiplier_8_of_one_channel", (6, 4, 1), 8, Window(same, same))
        yield case("wide_map", (3, 37, 4), 4, Window(same, same))
        yield case("left_shift", (3, 3, 4), 4, point, shift=2)
        yield case("saturates_both_ends", (4, 4, 4), 4, Window(same, same), shift=0)
        yield case("clamped_at_zero_point", (4, 4, 8), 8, Window(same, same), minimum=-7)
        name = "clamped_at_both_ends"
        yield case(name, (4, 4, 4), 4, Window(same, same), minimum=-9, maximum=20)
        yield case("without_bias", (4, 4, 8), 8, Window(same, same), with_bias=False)


OPERATOR: DepthwiseConv2dOperator = DepthwiseConv2dOperator()
