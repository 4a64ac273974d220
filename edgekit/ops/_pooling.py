# SPDX-License-Identifier: Apache-2.0
"""What average_pool2d and max_pool2d share: all but what is taken of the taps of a window."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.ir import Array, Call, Quantization, Shape, Tensor
from edgekit.kernel import (
    BY_ROW,
    PLACES,
    Binding,
    CStruct,
    CValue,
    Features,
    Kernel,
    plain_features,
)
from edgekit.ops._channel_groups import grouped
from edgekit.ops._elementwise import verify_one_type, verify_output_range
from edgekit.ops._int16_cases import int16_cases
from edgekit.ops._operator import Case, Operator, Quantized, case_graph
from edgekit.ops._tuned import tuned_twin
from edgekit.ops._weighted import clamp_to_integers, finish_float, fused_clamp
from edgekit.ops._windows import verify_window
from edgekit.window import Axis, Window

MAX_TAPS = {"int16": 2**16 - 1}
"""An int32 holds the sum of this many values; of any other type 2^24 - 1."""


@dataclass(frozen=True)
class PoolArithmetic:
    """Integer parameters of a pooling; input and output share scale and zero point."""

    zero_point: int
    minimum: int
    maximum: int


def taps_inside(axis: Axis, input_size: int) -> Array:
    """How many taps of each window lie inside the map, int64 (output size,)."""
    outputs = np.arange(axis.output_size(input_size), dtype=np.int64)
    first = outputs * axis.stride - axis.pad_before
    first_tap = np.maximum(-(first // axis.dilation), 0)
    last_tap = np.minimum((input_size - 1 - first) // axis.dilation, axis.kernel - 1)
    inside: Array = np.maximum(last_tap - first_tap + 1, 0)
    return inside


def _every_window_touches(axis: Axis, input_size: int) -> bool:
    """Whether every window has a tap inside the map, without looking at each one if possible."""
    if axis.first_input(axis.output_size(input_size) - 1) >= input_size:
        return False
    if axis.dilation == 1:
        return axis.pad_before < axis.kernel
    return bool(taps_inside(axis, input_size).all())


def touches(window: Window, shape: Shape) -> bool:
    """Whether every window over a map of this shape has a tap inside it."""
    axes = ((window.height, shape[1]), (window.width, shape[2]))
    return all(axis.output_size(n) >= 1 and _every_window_touches(axis, n) for axis, n in axes)


class PoolOperator(Operator):
    """Everything but what is taken of the taps of a window.

    Its attributes have ``window``, ``activation_min`` and ``activation_max``.
    """

    arithmetic = PoolArithmetic
    is_channelwise = True

    @abstractmethod
    def pool(self, call: Call, x: Array) -> Array:
        """The output before its clamp, of integers."""

    @abstractmethod
    def pool_float(self, call: Call, x: Array) -> Array:
        """The same of floats."""

    def output_shape(self, attributes: Any, inputs: Sequence[Shape]) -> Shape:
        _, height, width, channels = inputs[0]
        return (1, *attributes.window.output_size(height, width), channels)

    def verify(self, call: Call) -> None:
        window = self.window(call)
        verify_window(call, window)
        _, height, width, _ = call.inputs[0].shape
        most = MAX_TAPS.get(call.output.dtype, 2**24 - 1)
        if window.height.kernel * window.width.kernel > most:
            raise call.fail(f"the window has more than {most} taps; pool in two steps")
        _verify_integers(call)
        for label, axis, size in (
            ("height", window.height, height),
            ("width", window.width, width),
        ):
            if not _every_window_touches(axis, size):
                raise call.fail(f"{label}: a window lies wholly in the padding; pad less")

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        arithmetic: PoolArithmetic = call.node.arithmetic
        pooled = self.pool(call, inputs[0])
        return np.clip(pooled, arithmetic.minimum, arithmetic.maximum).astype(call.output.dtype)

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        return finish_float(self.pool_float(call, inputs[0]), None, fused_clamp(call))

    def quantize(self, call: Call) -> Quantized:
        quantization = call.output.quantization
        assert quantization is not None
        clamp = clamp_to_integers(*fused_clamp(call), quantization)
        return Quantized(PoolArithmetic(quantization.zero_point, *clamp))

    def output_quantization(self, call: Call) -> Quantization | None:
        return call.inputs[0].quantization

    def window(self, call: Call) -> Window:
        window: Window = call.node.attributes.window
        return window

    def cases(self) -> Iterator[Case]:
        yield from self.int8_cases()
        yield from int16_cases(self.int8_cases())

    def int8_cases(self) -> Iterator[Case]:
        """The edge cases of int8; those that every pooling is tried on."""
        yield from _window_cases(self)

    def case(
        self,
        name: str,
        shape: tuple[int, int, int],
        attributes: Any,
        *,
        zero_point: int = -11,
        minimum: int = -128,
        maximum: int = 127,
        inputs: tuple[tuple[Array, ...], ...] = (),
    ) -> Case:
        """A pooling of a map (height, width, channels)."""
        quantization = Quantization(0.05, zero_point)
        x = Tensor("x", (1, *shape), "int8", quantization)
        y = Tensor("y", self.output_shape(attributes, [x.shape]), "int8", quantization)
        graph = case_graph(
            self.name,
            inputs=[x],
            output=y,
            attributes=attributes,
            arithmetic=PoolArithmetic(zero_point, minimum, maximum),
            name=name,
        )
        return Case(name, graph, inputs)


def _verify_integers(call: Call) -> None:
    """Raise BadInputError unless input and output are of one type, which holds the clamp."""
    verify_one_type(call)
    if (arithmetic := call.node.arithmetic) is not None:
        bounds = (arithmetic.minimum, arithmetic.maximum)
        verify_output_range(call, (arithmetic.zero_point,), *bounds)


def _window_cases(operator: PoolOperator) -> Iterator[Case]:
    def case(name: str, shape: tuple[int, int, int], height: Axis, width: Axis) -> Case:
        return operator.case(name, shape, operator.attributes(Window(height, width)))

    same = Axis(3, 1, 1, 1, 1)
    yield case("kernel_2x2_stride_2", (6, 8, 4), Axis(2, 2), Axis(2, 2))
    yield case("kernel_3x3_same", (5, 6, 4), same, same)
    yield case("odd_channels", (5, 5, 3), same, same)
    yield case("one_pixel", (1, 1, 5), same, same)
    yield case("one_pixel_1x1_kernel", (1, 1, 5), Axis(1), Axis(1))
    yield case("height_below_kernel", (2, 6, 4), Axis(5, 1, 1, 2, 2), same)
    yield case("global", (5, 3, 7), Axis(5), Axis(3))
    yield case("stride_2_asymmetric_padding", (8, 8, 4), Axis(3, 2, 1, 0, 1), Axis(3, 2, 1, 0, 1))
    yield case("unlike_axes", (9, 7, 3), Axis(1, 2), Axis(4, 3, 1, 2, 0))
    yield case("dropped_last_columns", (5, 8, 4), Axis(2, 2), Axis(3, 3))
    yield case("whole_height", (4, 9, 3), Axis(4), Axis(2, 2))
    yield case("whole_height_dilated_width", (3, 8, 5), Axis(3), Axis(2, 1, 3))
    yield case("dilation_2", (7, 6, 4), Axis(3, 1, 2, 2, 2), Axis(2, 1, 2, 0, 1))
    halves = operator.attributes(Window(Axis(2), Axis(2)))
    yield operator.case("clamped_at_both_ends", (4, 4, 4), halves, minimum=-30, maximum=40)
    column = operator.attributes(Window(Axis(2), Axis(1)))
    yield operator.case("whole_height_clamped", (2, 9, 4), column, minimum=-30, maximum=40)


def pool_kernel(
    op: str,
    *,
    members: Callable[[Call], Mapping[str, CValue]] = lambda call: {},
) -> Kernel:
    """The int8 reference kernel of a pooling.

    members: those of its layer struct that not every pooling has.
    """

    def pack(call: Call, binding: Binding) -> CStruct:
        return CStruct(f"ek_{op}_s8", {**_members(call), **members(call)})

    return Kernel(
        symbol=f"ek_{op}_s8__ref",
        isa="ref",
        kind="rows",
        pack=pack,
        features=_features,
        shared=PLACES | {"pixel_taps"},
        write_behind=BY_ROW,
        channel_blocks=lambda call: 1,
        stack_bytes=128,
    )


def tuned_pool_kernel(
    reference: Kernel, *, stack_bytes: int, most_taps: int | None = None
) -> Kernel:
    """The tuned portable kernel of a pooling, of windows of at most ``most_taps``."""

    def accepts(call: Call) -> str | None:
        too_many = most_taps is not None and _taps(call) > most_taps
        return f"its window has more than {most_taps} taps" if too_many else None

    twin = tuned_twin(reference, stack_bytes=stack_bytes, accepts=accepts, features=_tuned_features)
    return dataclasses.replace(twin, shared=PLACES | {"kernel_rows"})


def _tuned_features(call: Call) -> Features:
    """By groups of channels: those of pixels, of their window's rows and taps inside of the map."""
    _, height, width, channels = call.output.shape
    _, input_height, input_width, _ = call.inputs[0].shape
    window: Window = call.node.attributes.window
    rows = window.height.taps_inside(input_height)
    taps = rows * window.width.taps_inside(input_width)
    pixels = height * width
    return {
        "layers": 1,
        "rows": height,
        "pixels": pixels,
        "kernel_rows": pixels * window.height.kernel,
        "clamped": call.output.elements * _is_clamped(call),
        **grouped(channels, {"pixels": pixels, "rows": rows * width, "taps": taps}),
    }


def _is_clamped(call: Call) -> bool:
    arithmetic: PoolArithmetic = call.node.arithmetic
    limits = np.iinfo(call.output.dtype)
    return bool(arithmetic.minimum > limits.min or arithmetic.maximum < limits.max)


def _features(call: Call) -> Features:
    """Padding is counted among the taps."""
    plain = plain_features(call)
    return {
        **plain,
        "taps": call.output.elements * _taps(call),
        "pixel_taps": plain["pixels"] * _taps(call),
        "clamped": call.output.elements * _is_clamped(call),
    }


def _taps(call: Call) -> int:
    window: Window = call.node.attributes.window
    return window.height.kernel * window.width.kernel


def _members(call: Call) -> dict[str, CValue]:
    arithmetic: PoolArithmetic = call.node.arithmetic
    window: Window = call.node.attributes.window
    return {
        "input_width": call.inputs[0].shape[2],
        "channels": call.inputs[0].shape[3],
        "kernel_height": window.height.kernel,
        "kernel_width": window.width.kernel,
        "stride_width": window.width.stride,
        "dilation_width": window.width.dilation,
        "pad_left": window.width.pad_before,
        "minimum": arithmetic.minimum,
        "maximum": arithmetic.maximum,
    }
