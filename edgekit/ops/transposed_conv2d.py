# SPDX-License-Identifier: Apache-2.0
"""Transposed 2-D convolution, grouped or not; weights are (output channels, kh, kw, inputs / groups).

Input pixel i adds its products with tap t to output i * stride - crop + t * dilation. Read from the
output's side it is a window of stride 1 over inputs ``upsampling`` apart (the stride), with the taps
in the opposite order; so it runs row by row like any convolution.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.ir import Array, Call, Shape
from edgekit.kernel import BY_ROW, Binding, CStruct, Kernel
from edgekit.ops._int16_cases import int16_cases, narrow_sum_cases, wide_sum_cases
from edgekit.ops._operator import Case, Operator, Quantized
from edgekit.ops._weighted import (
    BIAS,
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
from edgekit.ops._weighted_cases import tie_case, weighted_case
from edgekit.ops._windows import verify_window
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


def _groups(call: Call) -> int:
    return call.inputs[INPUT].shape[3] // call.inputs[WEIGHTS].shape[3]


def _spread(x: Array, axis: Axis, position: int) -> Array:
    """``x`` at ``upsampling`` apart along an axis, zeros between and around it."""
    size = x.shape[position]
    spread_size = (size - 1) * axis.upsampling + 1 + axis.pad_before + axis.pad_after
    shape = [spread_size if i == position else n for i, n in enumerate(x.shape)]
    spread = np.zeros(shape, x.dtype)
    places = [slice(None)] * x.ndim
    end = axis.pad_before + (size - 1) * axis.upsampling + 1
    places[position] = slice(axis.pad_before, end, axis.upsampling)
    spread[tuple(places)] = x
    return spread


def _accumulate(x: Array, weights: Array, window: Window, output_shape: Shape) -> Array:
    """Sums (1, OH, OW, O) in float64, exact for integers: |x - zp| * |w| * taps < 2^53."""
    _, height, width, channels = output_shape
    rows, columns = window.height, window.width
    spread = _spread(_spread(x, rows, 1), columns, 2)
    group_inputs = weights.shape[3]
    groups = x.shape[3] // group_inputs
    group_outputs = channels // groups
    sums = np.zeros(output_shape)
    for row in range(rows.kernel):
        for column in range(columns.kernel):
            top, left = row * rows.dilation, column * columns.dilation
            view = spread[:, top : top + height, left : left + width]
            taps = weights[:, rows.kernel - 1 - row, columns.kernel - 1 - column]
            for group in range(groups):
                inputs = view[..., group * group_inputs : (group + 1) * group_inputs]
                outputs = slice(group * group_outputs, (group + 1) * group_outputs)
                sums[..., outputs] += inputs @ taps[outputs].T
    return sums


def _pack_ref(call: Call, binding: Binding) -> CStruct:
    width = call.node.attributes.window.width
    _, _, input_width, input_channels = call.inputs[INPUT].shape
    weights = call.constant(WEIGHTS)
    output_channels, kernel_height, kernel_width, _ = weights.shape
    return CStruct(
        "ek_transposed_conv2d_s8",
        {
            **common_members(call),
            "weights": np.ascontiguousarray(weights[:, ::-1, ::-1]),
            "input_width": input_width,
            "input_channels": input_channels,
            "output_channels": output_channels,
            "groups": _groups(call),
            "kernel_height": kernel_height,
            "kernel_width": kernel_width,
            "upsampling_width": width.upsampling,
            "dilation_width": width.dilation,
            "pad_left": width.pad_before,
        },
    )


REF = Kernel(
    symbol="ek_transposed_conv2d_s8__ref",
    isa="ref",
    kind="rows",
    pack=_pack_ref,
    instructions=lambda call: 6.0 * OPERATOR.macs(call),
    write_behind=BY_ROW,
    stack_bytes=192,
)

S16 = wide_kernel(REF, "ek_transposed_conv2d_s16__ref")
S16_NARROW = narrow_kernel(REF, "ek_transposed_conv2d_s16__ref_narrow")


class TransposedConv2dOperator(Operator):
    name = "transposed_conv2d"
    attributes = TransposedConv2d
    arithmetic = WeightedArithmetic
    kernels = (REF, S16, S16_NARROW)

    def output_shape(self, attributes: TransposedConv2d, inputs: Sequence[Shape]) -> Shape:
        _, height, width, _ = inputs[INPUT]
        return (1, *attributes.window.output_size(height, width), inputs[WEIGHTS][0])

    def verify(self, call: Call) -> None:
        window: Window = call.node.attributes.window
        verify_window(call, window)
        if window.height.stride != 1 or window.width.stride != 1:
            raise call.fail("its window must have stride 1; the stride is the upsampling")
        shape = call.constant(WEIGHTS).shape
        channels = call.inputs[INPUT].shape[3]
        if len(shape) != 4 or shape[1:3] != (window.height.kernel, window.width.kernel):
            raise call.fail(f"the weights have shape {shape}; it does not match the kernel")
        if channels % shape[3] or shape[0] % (channels // shape[3]):
            raise call.fail(f"{channels} input channels do not fit weights of shape {shape}")
        verify_weighted(call, channels=shape[0])

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        x = inputs[INPUT].astype(np.float64) - call.node.arithmetic.input_zero_point
        weights = inputs[WEIGHTS].astype(np.float64)
        sums = _accumulate(x, weights, call.node.attributes.window, call.output.shape)
        return finish(sums.astype(np.int64), call)

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        attributes: TransposedConv2d = call.node.attributes
        x, weights = inputs[INPUT].astype(np.float64), inputs[WEIGHTS].astype(np.float64)
        sums = _accumulate(x, weights, attributes.window, call.output.shape)
        bias = inputs[BIAS] if len(inputs) > BIAS else None
        return finish_float(sums, bias, (attributes.activation_min, attributes.activation_max))

    def quantize(self, call: Call) -> Quantized:
        attributes: TransposedConv2d = call.node.attributes
        activation = (attributes.activation_min, attributes.activation_max)
        return Quantized(*quantize_weights(call, channel_axis=0, activation=activation))

    def window(self, call: Call) -> Window:
        window: Window = call.node.attributes.window
        return window

    def macs(self, call: Call) -> int:
        _, height, width, _ = call.inputs[INPUT].shape
        return height * width * call.inputs[WEIGHTS].elements

    def cases(self) -> Iterator[Case]:
        yield from self._int8_cases()
        yield from int16_cases(self._int8_cases())
        point = TransposedConv2d(Window(Axis(1), Axis(1, upsampling=2)))
        yield from wide_sum_cases(OPERATOR, point, (1, 1, 1024, 1))
        yield from narrow_sum_cases(OPERATOR, point, (1, 1, 1024, 1))

    def _int8_cases(self) -> Iterator[Case]:
        twice = Axis(2, 1, 1, 1, 1, 2)
        yield _case("kernel_2x2_stride_2", (4, 5, 8), 6, Window(twice, twice))
        cropped = Axis(3, 1, 1, 1, 2, 2)
        yield _case("kernel_3x3_stride_2_cropped", (4, 3, 4), 5, Window(cropped, cropped))
        yield _case("overlapping_4x4_stride_2", (3, 4, 3), 4, _full(4, 2, 1))
        yield _case("gaps_kernel_below_stride", (3, 4, 4), 3, _full(2, 3, 1))
        same = Axis(3, 1, 1, 1, 1)
        yield _case("stride_1_like_a_convolution", (5, 6, 3), 3, Window(same, same))
        yield _case("odd_channels", (3, 3, 5), 7, _full(3, 2, 1))
        yield _case("one_pixel", (1, 1, 8), 4, _full(3, 2, 1))
        yield _case("pointwise_stride_2", (3, 4, 4), 4, _full(1, 2, 1))
        yield _case("dilation_2", (3, 4, 4), 3, _full(3, 2, 2))
        yield _case("dilation_wider_than_map", (2, 2, 4), 3, _full(3, 1, 5))
        yield _case(
            "unlike_axes", (3, 5, 4), 3, Window(Axis(3, 1, 1, 2, 0, 3), Axis(5, 1, 1, 4, 4))
        )
        yield _case("two_groups", (3, 4, 8), 6, _full(3, 2, 1), groups=2)
        yield _case("as_many_groups_as_channels", (3, 4, 5), 5, _full(4, 2, 1), groups=5)
        yield _case("left_shift", (3, 3, 4), 4, _full(2, 2, 1), shift=2)
        yield _case("saturates_both_ends", (4, 4, 8), 4, _full(2, 2, 1), shift=0)
        yield _case("clamped_at_zero_point", (4, 4, 4), 4, _full(2, 2, 1), minimum=-7)
        yield _case("without_bias", (4, 4, 4), 4, _full(3, 2, 1), with_bias=False)
        values = np.arange(-128, 128).astype(np.int8).reshape(1, 1, 256, 1)
        weights = np.array([1, 3, 1, -1], np.int8).reshape(4, 1, 1, 1)
        ties = TransposedConv2d(Window(Axis(1), Axis(1, upsampling=2)))
        yield tie_case(OPERATOR, ties, x=values, weights=weights)


def _full(kernel: int, stride: int, dilation: int) -> Window:
    """Every product reaches an output, on both axes."""
    reach = (kernel - 1) * dilation
    axis = Axis(kernel, 1, dilation, reach, reach, stride)
    return Window(axis, axis)


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
    kernel = (window.height.kernel, window.width.kernel)
    return weighted_case(
        OPERATOR,
        name,
        TransposedConv2d(window),
        input_shape=(1, *shape),
        weights_shape=(outputs, *kernel, shape[2] // groups),
        channels=outputs,
        shift=shift,
        minimum=minimum,
        with_bias=with_bias,
    )


OPERATOR: TransposedConv2dOperator = TransposedConv2dOperator()
