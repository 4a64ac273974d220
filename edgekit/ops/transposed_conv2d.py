# SPDX-License-Identifier: Apache-2.0
"""Transposed 2-D convolution, grouped or not; weights are (output channels, kh, kw, inputs / groups).

Input pixel i adds its products with tap t to output i * stride - crop + t * dilation. Read from the
output's side it is a window of stride 1 over inputs ``upsampling`` apart (the stride), with the taps
in the opposite order; so it runs row by row like any convolution.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edgekit.ir import Array, Call, Shape
from edgekit.kernel import CValue
from edgekit.ops._operator import Case
from edgekit.ops._weighted import INPUT, WEIGHTS, narrow_kernel, wide_kernel
from edgekit.ops._weighted_convolution import convolution_kernel, tap_features
from edgekit.ops.conv2d import Conv2dOperator, channel_members
from edgekit.window import Axis, Window


@dataclass(frozen=True)
class TransposedConv2d:
    """The window as the output sees it, and the clamp that is fused behind (None: no bound)."""

    window: Window
    activation_min: float | None = None
    activation_max: float | None = None


def transposed_axis(
    kernel: int, stride: int, dilation: int, *, crop: int, input_size: int, output_size: int
) -> Axis:
    """The axis of a transposed convolution; ``crop`` outputs in front are cut off.

    Its paddings are negative where more is cut off than the kernel reaches over the map.
    """
    before = (kernel - 1) * dilation - crop
    after = output_size - 1 + (kernel - 1) * dilation - before - (input_size - 1) * stride
    return Axis(kernel, 1, dilation, before, after, upsampling=stride)


def _spread(x: Array, axis: Axis, position: int) -> Array:
    """``x`` at ``upsampling`` apart along an axis, zeros between."""
    shape = list(x.shape)
    shape[position] = (shape[position] - 1) * axis.upsampling + 1
    spread = np.zeros(shape, x.dtype)
    places = [slice(None)] * x.ndim
    places[position] = slice(None, None, axis.upsampling)
    spread[tuple(places)] = x
    return spread


def _members(call: Call) -> dict[str, CValue]:
    """Weights with their taps in the order of the window's."""
    weights = np.ascontiguousarray(call.constant(WEIGHTS)[:, ::-1, ::-1])
    return {"weights": weights, **channel_members(call)}


REF = convolution_kernel(
    "transposed_conv2d",
    _members,
    features=tap_features,
    step="upsampling",
)
S16 = wide_kernel(REF, "ek_transposed_conv2d_s16__ref")
S16_NARROW = narrow_kernel(REF, "ek_transposed_conv2d_s16__ref_narrow")


class TransposedConv2dOperator(Conv2dOperator):
    """A convolution over the map with zeros between its pixels."""

    name = "transposed_conv2d"
    attributes = TransposedConv2d
    kernels = (REF, S16, S16_NARROW)
    point = Window(Axis(1), Axis(1, upsampling=2))

    def accumulate(self, x: Array, weights: Array, window: Window, output_shape: Shape) -> Array:
        spread = _spread(_spread(x, window.height, 1), window.width, 2)
        return super().accumulate(spread, weights[:, ::-1, ::-1], window, output_shape)

    def verify(self, call: Call) -> None:
        window = self.window(call)
        if window.height.stride != 1 or window.width.stride != 1:
            raise call.fail("its window must have stride 1; the stride is the upsampling")
        super().verify(call)

    def macs(self, call: Call) -> int:
        _, height, width, _ = call.inputs[INPUT].shape
        return height * width * call.inputs[WEIGHTS].elements

    def int8_cases(self) -> Iterator[Case]:
        case = self.case
        twice = Axis(2, 1, 1, 1, 1, 2)
        yield case("kernel_2x2_stride_2", (4, 5, 8), 6, Window(twice, twice))
        cropped = Axis(3, 1, 1, 1, 2, 2)
        yield case("kernel_3x3_stride_2_cropped", (4, 3, 4), 5, Window(cropped, cropped))
        yield case("overlapping_4x4_stride_2", (3, 4, 3), 4, _full(4, 2, 1))
        yield case("gaps_kernel_below_stride", (3, 4, 4), 3, _full(2, 3, 1))
        same = Axis(3, 1, 1, 1, 1)
        yield case("stride_1_like_a_convolution", (5, 6, 3), 3, Window(same, same))
        yield case("odd_channels", (3, 3, 5), 7, _full(3, 2, 1))
        yield case("one_pixel", (1, 1, 8), 4, _full(3, 2, 1))
        yield case("pointwise_stride_2", (3, 4, 4), 4, _full(1, 2, 1))
        yield case("dilation_2", (3, 4, 4), 3, _full(3, 2, 2))
        yield case("dilation_wider_than_map", (2, 2, 4), 3, _full(3, 1, 5))
        unlike = Window(Axis(3, 1, 1, 2, 0, 3), Axis(5, 1, 1, 4, 4))
        yield case("unlike_axes", (3, 5, 4), 3, unlike)
        yield case("two_groups", (3, 4, 8), 6, _full(3, 2, 1), groups=2)
        yield case("as_many_groups_as_channels", (3, 4, 5), 5, _full(4, 2, 1), groups=5)
        yield case("left_shift", (3, 3, 4), 4, _full(2, 2, 1), shift=2)
        yield case("saturates_both_ends", (4, 4, 8), 4, _full(2, 2, 1), shift=0)
        yield case("clamped_at_zero_point", (4, 4, 4), 4, _full(2, 2, 1), minimum=-7)
        yield case("without_bias", (4, 4, 4), 4, _full(3, 2, 1), with_bias=False)


def _full(kernel: int, stride: int, dilation: int) -> Window:
    """Every product reaches an output, on both axes."""
    reach = (kernel - 1) * dilation
    axis = Axis(kernel, 1, dilation, reach, reach, stride)
    return Window(axis, axis)


OPERATOR: TransposedConv2dOperator = TransposedConv2dOperator()
