# SPDX-License-Identifier: Apache-2.0
"""Sliding windows: kernel, stride, dilation and padding, the only source of receptive fields."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Axis:
    """A window along one axis: output o covers positions o*stride - pad_before + t*dilation.

    Inputs lie ``upsampling`` positions apart, and what lies between them is padding: a transposed
    convolution of stride s is a window of stride 1 over inputs s apart.
    """

    kernel: int
    stride: int = 1
    dilation: int = 1
    pad_before: int = 0
    pad_after: int = 0
    upsampling: int = 1

    @property
    def extent(self) -> int:
        """Positions from the first to the last tap, both included."""
        return (self.kernel - 1) * self.dilation + 1

    def output_size(self, input_size: int) -> int:
        """Number of positions where the window fits into the padded input; <= 0 when none does."""
        padded = self._positions(input_size) + self.pad_before + self.pad_after
        return (padded - self.extent) // self.stride + 1

    def _positions(self, input_size: int) -> int:
        return (input_size - 1) * self.upsampling + 1

    def first_input(self, output: int) -> int:
        """Position of the first tap of an output; negative inside the padding."""
        return output * self.stride - self.pad_before

    def inputs_of(self, output: int, input_size: int) -> list[int | None]:
        """The input under every tap of an output, None where it is padding."""
        first = self.first_input(output)
        positions = (first + tap * self.dilation for tap in range(self.kernel))
        return [
            position // self.upsampling
            if position % self.upsampling == 0 and 0 <= position < self._positions(input_size)
            else None
            for position in positions
        ]

    def spans(self, outputs: int, input_size: int) -> list[tuple[int, int]]:
        """From the first to behind the last input under each of the outputs; (0, 0): all is padding."""
        if self.upsampling != 1:
            windows = (self.inputs_of(output, input_size) for output in range(outputs))
            return [_span([place for place in window if place is not None]) for window in windows]
        start = np.arange(outputs) * self.stride - self.pad_before
        first_tap = np.maximum(-(start // self.dilation), 0)
        last_tap = np.minimum((input_size - 1 - start) // self.dilation, self.kernel - 1)
        inside = first_tap <= last_tap
        first = np.where(inside, start + first_tap * self.dilation, 0).tolist()
        end = np.where(inside, start + last_tap * self.dilation + 1, 0).tolist()
        return list(zip(first, end, strict=True))

    def taps_inside(self, input_size: int) -> int:
        """The taps of all outputs that are no padding."""
        outputs = range(self.output_size(input_size))
        return sum(place is not None for o in outputs for place in self.inputs_of(o, input_size))

    def part(self, begin: int, end: int, input_size: int) -> tuple[Axis, int, int] | None:
        """The window of outputs [begin, end) alone, and the inputs [first, last) that it slides over.

        Padding remains where the map ends; elsewhere the window finds the inputs beyond. None: all
        that these outputs see is padding, or inputs lie apart.
        """
        positions = self.first_input(begin), self.first_input(end - 1) + self.extent
        first, last = max(positions[0], 0), min(positions[1], input_size)
        if self.upsampling != 1 or first >= last:
            return None
        padding = {"pad_before": first - positions[0], "pad_after": positions[1] - last}
        return dataclasses.replace(self, **padding), first, last

    def problem(self, input_size: int) -> str | None:
        """What is wrong with this window over ``input_size`` inputs, or None."""
        for label, value in (("kernel", self.kernel), ("stride", self.stride)):
            if value < 1:
                return f"{label} {value} must be at least 1"
        for label, value in (("dilation", self.dilation), ("upsampling", self.upsampling)):
            if value < 1:
                return f"{label} {value} must be at least 1"
        if self.pad_before < 0 or self.pad_after < 0:
            return f"padding ({self.pad_before}, {self.pad_after}) must not be negative"
        if self.output_size(input_size) < 1:
            padded = self._positions(input_size) + self.pad_before + self.pad_after
            return f"the window spans {self.extent} but the padded input only {padded}"
        return None


@dataclass(frozen=True)
class RowTable:
    """The input rows of every output row, listed where no window describes them.

    Resizes, mirrored borders and crops move rows in this way; every output row reads as many.
    """

    rows: tuple[tuple[int, ...], ...]

    @property
    def kernel(self) -> int:
        """Input rows of an output row."""
        return len(self.rows[0])

    def inputs_of(self, output: int, input_size: int) -> list[int | None]:
        """The input rows of an output row; none is padding."""
        return list(self.rows[output])

    def spans(self, outputs: int, input_size: int) -> list[tuple[int, int]]:
        """From the first to behind the last input row of each of the outputs."""
        return [_span(rows) for rows in self.rows[:outputs]]


def _span(places: Sequence[int]) -> tuple[int, int]:
    return (min(places), max(places) + 1) if places else (0, 0)


RowMap = Axis | RowTable
"""Which input rows an output row reads, one entry for each row pointer of a rows kernel."""


@dataclass(frozen=True)
class Window:
    """The windows of an operator over the rows (height) and columns (width) of an NHWC map."""

    height: Axis
    width: Axis

    def output_size(self, input_height: int, input_width: int) -> tuple[int, int]:
        return self.height.output_size(input_height), self.width.output_size(input_width)

    @property
    def is_pointwise(self) -> bool:
        return all(
            axis == Axis(kernel=1)
            or (axis.kernel == axis.stride == axis.upsampling == 1 and not axis.pad_before)
            for axis in (self.height, self.width)
        )


@dataclass(frozen=True)
class Region:
    """Rows [top, bottom) and columns [left, right) of a map."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    def union(self, other: Region) -> Region:
        """The least region that holds both."""
        return Region(
            min(self.top, other.top),
            max(self.bottom, other.bottom),
            min(self.left, other.left),
            max(self.right, other.right),
        )


def same_padding(input_size: int, kernel: int, stride: int, dilation: int) -> Axis:
    """TensorFlow's SAME: ceil(input / stride) outputs, the odd padding element after the input."""
    extent = (kernel - 1) * dilation + 1
    outputs = -(-input_size // stride)
    total = max((outputs - 1) * stride + extent - input_size, 0)
    return Axis(kernel, stride, dilation, total // 2, total - total // 2)
