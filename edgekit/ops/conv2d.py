# SPDX-License-Identifier: Apache-2.0
"""2-D convolution, grouped or not; weights are (output channels, kh, kw, input channels / groups)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edgekit.ir import Array, Call, Shape
from edgekit.kernel import PLACES, CValue, Kernel
from edgekit.ops._dot import patch_kernel, pointwise_kernel
from edgekit.ops._dsp_convolution import DSP_PACKED
from edgekit.ops._dsp_convolution_parts import DSP_PARTS
from edgekit.ops._dsp_pointwise import DSP_4X2
from edgekit.ops._int16_cases import narrow_sum_cases
from edgekit.ops._mve_convolution import CONV2D, POINTWISE
from edgekit.ops._operator import Case
from edgekit.ops._weighted import INPUT, WEIGHTS, narrow_kernel, wide_kernel
from edgekit.ops._weighted_convolution import ConvolutionOperator, convolution_kernel, tap_features
from edgekit.ops._windows import pad_map, taps
from edgekit.window import Axis, Window


@dataclass(frozen=True)
class Conv2d:
    """Geometry, and the clamp that is fused behind the convolution (None: no bound)."""

    window: Window
    activation_min: float | None = None
    activation_max: float | None = None


def channel_members(call: Call) -> dict[str, CValue]:
    """How the channels are grouped."""
    outputs, _, _, group_inputs = call.inputs[WEIGHTS].shape
    return {
        "output_channels": outputs,
        "groups": call.inputs[INPUT].shape[3] // group_inputs,
    }


def _channel_blocks(call: Call) -> int:
    """Blocks of any channels, where all of them read all input channels."""
    return 1 if channel_members(call)["groups"] == 1 else 0


REF = convolution_kernel(
    "conv2d",
    channel_members,
    features=tap_features,
    shared=PLACES | {"inputs"},
    channel_blocks=_channel_blocks,
)
S16 = wide_kernel(REF, "ek_conv2d_s16__ref")
S16_NARROW = narrow_kernel(REF, "ek_conv2d_s16__ref_narrow")


class Conv2dOperator(ConvolutionOperator):
    name = "conv2d"
    attributes: type = Conv2d
    kernels: tuple[Kernel, ...] = (
        *(POINTWISE, CONV2D, DSP_4X2, DSP_PACKED, DSP_PARTS),
        *(pointwise_kernel(), patch_kernel(_channel_blocks)),
        *(REF, S16, S16_NARROW),
    )

    def accumulate(self, x: Array, weights: Array, window: Window, output_shape: Shape) -> Array:
        _, height, width, channels = output_shape
        group_inputs = weights.shape[3]
        groups = x.shape[3] // group_inputs
        group_outputs = channels // groups
        sums = np.zeros((height * width, channels), x.dtype)
        for row, column, view in taps(pad_map(x, window, 0.0), window, height, width):
            for group in range(groups):
                inputs = view[..., group * group_inputs : (group + 1) * group_inputs]
                outputs = slice(group * group_outputs, (group + 1) * group_outputs)
                matrix = weights[outputs, row, column].T
                sums[:, outputs] += np.ascontiguousarray(inputs).reshape(-1, group_inputs) @ matrix
        return sums.reshape(output_shape)

    def verify_channels(self, call: Call, *, inputs: int, weights: Shape) -> None:
        if inputs % weights[3] or weights[0] % (inputs // weights[3]):
            raise call.fail(f"{inputs} input channels do not fit weights of shape {weights}")

    def cases(self) -> Iterator[Case]:
        yield from super().cases()
        yield from narrow_sum_cases(self, self.attributes(self.point), (1, 1, 2048, 1))

    def int8_cases(self) -> Iterator[Case]:
        case, point, same, twice = self.case, self.point, Axis(3, 1, 1, 1, 1), Axis(3, 2, 1, 0, 1)
        yield case("pointwise_8_to_12", (5, 7, 8), 12, point)
        yield case("strided_pointwise", (5, 7, 8), 6, Window(Axis(1, 3), Axis(1, 2)))
        yield case("odd_channels_3_to_5", (6, 5, 3), 5, Window(same, same))
        yield case("stride_2_same_padding", (8, 8, 4), 8, Window(twice, twice))
        yield case("one_pixel", (1, 1, 16), 4, point)
        tall = Window(Axis(10, 2, 1, 4, 5), Axis(4, 2, 1, 1, 1))
        yield case("kernel_10x4", (20, 10, 1), 8, tall)
        stem = Axis(7, 2, 1, 3, 3)
        yield case("kernel_7x7_of_3_channels", (9, 9, 3), 4, Window(stem, stem), shift=-9)
        yield case("height_below_kernel", (1, 3, 4), 4, Window(same, same))
        far = Axis(3, 1, 3, 3, 3)
        yield case("dilation_wider_than_map", (4, 4, 4), 4, Window(far, far))
        unlike = Window(Axis(1, 2), Axis(3, 3, 1, 2, 0))
        yield case("asymmetric_kernel_and_stride", (9, 7, 3), 6, unlike)
        yield case("two_groups", (5, 5, 8), 6, Window(same, same), groups=2)
        yield case("left_shift", (3, 3, 4), 4, point, shift=2)
        yield case("saturates_both_ends", (4, 4, 16), 4, point, shift=0)
        yield case("clamped_at_zero_point", (4, 4, 8), 8, point, minimum=-7)
        yield case("without_bias", (4, 4, 8), 8, point, with_bias=False)


OPERATOR: Conv2dOperator = Conv2dOperator()
