# SPDX-License-Identifier: Apache-2.0
"""What operators share that slide weights over a map: checks, quantization, kernels, edge cases."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from edgekit.ir import Array, Call, Shape
from edgekit.kernel import (
    BY_ROW,
    PLACES,
    Binding,
    CStruct,
    CValue,
    Features,
    Kernel,
    no_channel_blocks,
    plain_features,
)
from edgekit.ops._accumulators import weighted_bound
from edgekit.ops._int16_cases import int16_cases, wide_sum_cases
from edgekit.ops._operator import Case, Operator, Quantized
from edgekit.ops._weight_channels import OUTPUT_AXIS
from edgekit.ops._weighted import (
    BIAS,
    INPUT,
    WEIGHTS,
    WeightedArithmetic,
    common_members,
    finish,
    finish_float,
    fused_clamp,
    quantize_weights,
    verify_weighted,
)
from edgekit.ops._weighted_cases import int32_end_case, tie_case, weighted_case
from edgekit.ops._windows import verify_window
from edgekit.window import Axis, Window


class ConvolutionOperator(Operator):
    """Everything but which weights meet which channels; axes 1 and 2 of the weights are the kernel's.

    Its attributes have ``window``, ``activation_min`` and ``activation_max``.
    """

    arithmetic = WeightedArithmetic
    float_sums: type[np.float32 | np.float64] = np.float64
    """The type of float sums: float64 where their order, and so a float32 result, is up to a BLAS."""
    point = Window(Axis(1), Axis(1))
    """The window of one tap, for cases that try particular values."""

    @abstractmethod
    def accumulate(self, x: Array, weights: Array, window: Window, output_shape: Shape) -> Array:
        """Sums (1, OH, OW, O) of ``x`` (1, H, W, I) with zeros around it, in its type."""

    @abstractmethod
    def verify_channels(self, call: Call, *, inputs: int, weights: Shape) -> None:
        """Raise BadInputError unless weights of the right kernel fit the input channels."""

    def weights_shape(self, outputs: int, window: Window, group_inputs: int) -> Shape:
        """The shape of the weights of a case."""
        return (outputs, window.height.kernel, window.width.kernel, group_inputs)

    def output_shape(self, attributes: Any, inputs: Sequence[Shape]) -> Shape:
        _, height, width, _ = inputs[INPUT]
        size = attributes.window.output_size(height, width)
        return (1, *size, inputs[WEIGHTS][OUTPUT_AXIS[self.name]])

    def verify(self, call: Call) -> None:
        window = self.window(call)
        verify_window(call, window)
        shape = call.constant(WEIGHTS).shape
        if len(shape) != 4 or shape[1:3] != (window.height.kernel, window.width.kernel):
            raise call.fail(f"the weights have shape {shape}; it does not match the kernel")
        self.verify_channels(call, inputs=call.inputs[INPUT].shape[3], weights=shape)
        verify_weighted(call, channels=shape[OUTPUT_AXIS[self.name]])

    def evaluate(self, call: Call, inputs: Sequence[Array]) -> Array:
        # float64 holds the sums exactly: |x - zp| * |w| * taps < 2^53 for any 32-bit shape.
        x = inputs[INPUT].astype(np.float64) - call.node.arithmetic.input_zero_point
        weights = inputs[WEIGHTS].astype(np.float64)
        sums = self.accumulate(x, weights, self.window(call), call.output.shape)
        return finish(sums.astype(np.int64), call)

    def evaluate_float(self, call: Call, inputs: Sequence[Array]) -> Array:
        x = inputs[INPUT].astype(self.float_sums, copy=False)
        weights = inputs[WEIGHTS].astype(self.float_sums, copy=False)
        sums = self.accumulate(x, weights, self.window(call), call.output.shape)
        bias = inputs[BIAS] if len(inputs) > BIAS else None
        return finish_float(sums, bias, fused_clamp(call))

    def quantize(self, call: Call) -> Quantized:
        activation = fused_clamp(call)
        return Quantized(*quantize_weights(call, activation=activation))

    def window(self, call: Call) -> Window:
        window: Window = call.node.attributes.window
        return window

    def accumulator_bound(self, call: Call) -> int:
        return weighted_bound(call)

    def flattens(self, call: Call) -> bool:
        """Only where every output pixel reads the input pixel at its own place."""
        same_size = call.inputs[INPUT].shape[1:3] == call.output.shape[1:3]
        return same_size and self.window(call).is_pointwise

    def macs(self, call: Call) -> int:
        weights = call.inputs[WEIGHTS]
        return call.output.elements * (weights.elements // weights.shape[OUTPUT_AXIS[self.name]])

    def cases(self) -> Iterator[Case]:
        yield from self.int8_cases()
        ties = self._single_products(tie_case)
        yield ties
        yield self._single_products(int32_end_case)
        yield from int16_cases((*self.int8_cases(), ties))
        yield from wide_sum_cases(self, self.attributes(self.point), (1, 1, 2048, 1))

    @abstractmethod
    def int8_cases(self) -> Iterator[Case]:
        """The edge cases of int8, but for rounding ties."""

    def case(
        self,
        name: str,
        shape: tuple[int, int, int],
        outputs: int,
        window: Window,
        *,
        groups: int = 1,
        shift: int = -7,
        minimum: int = -128,
        maximum: int = 127,
        with_bias: bool = True,
    ) -> Case:
        """Seeded weights over a map (height, width, channels)."""
        return weighted_case(
            self,
            name,
            self.attributes(window),
            input_shape=(1, *shape),
            weights_shape=self.weights_shape(outputs, window, shape[2] // groups),
            channels=outputs,
            shift=shift,
            minimum=minimum,
            maximum=maximum,
            with_bias=with_bias,
        )

    def _single_products(self, case: Callable[..., Case]) -> Case:
        values = np.arange(-128, 128).astype(np.int8).reshape(1, 1, 256, 1)
        weights = np.array([1, 3, 1, -1], np.int8).reshape(self.weights_shape(4, self.point, 1))
        return case(self, self.attributes(self.point), x=values, weights=weights)


def tap_features(call: Call) -> Features:
    """Padding is counted among the taps and products."""
    _, kernel_height, kernel_width, group_channels = call.inputs[WEIGHTS].shape
    taps = call.output.elements * kernel_height * kernel_width
    return {
        "macs": taps * group_channels,
        "taps": taps,
        "tap_rows": call.output.elements * kernel_height,
        **plain_features(call),
    }


def convolution_kernel(
    op: str,
    members: Callable[[Call], Mapping[str, CValue]],
    *,
    features: Callable[[Call], Features],
    shared: frozenset[str] = PLACES,
    step: Literal["stride", "upsampling"] = "stride",
    channel_blocks: Callable[[Call], int] = no_channel_blocks,
) -> Kernel:
    """The int8 reference kernel of an operator.

    members: those of its layer struct that not every convolution has.
    step: which field of the window says how far apart windows or inputs lie.
    """

    def pack(call: Call, binding: Binding) -> CStruct:
        width = call.node.attributes.window.width
        _, _, input_width, input_channels = call.inputs[INPUT].shape
        _, kernel_height, kernel_width, _ = call.inputs[WEIGHTS].shape
        return CStruct(
            f"ek_{op}_s8",
            {
                **common_members(call),
                "input_width": input_width,
                "input_channels": input_channels,
                **members(call),
                "kernel_height": kernel_height,
                "kernel_width": kernel_width,
                f"{step}_width": getattr(width, step),
                "dilation_width": width.dilation,
                "pad_left": width.pad_before,
            },
        )

    return Kernel(
        symbol=f"ek_{op}_s8__ref",
        isa="ref",
        kind="rows",
        pack=pack,
        features=features,
        shared=shared,
        write_behind=BY_ROW,
        channel_blocks=channel_blocks,
        stack_bytes=192,
    )
