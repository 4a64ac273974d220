# SPDX-License-Identifier: Apache-2.0
"""Poolings of maps and sequences: windows that hang over the map, and what counts as a divisor."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgekit.converters.nchw.graph import Activation, RefusalError, SourceCall
from edgekit.converters.nchw.maps import map_result
from edgekit.ops.average_pool2d import AveragePool2d
from edgekit.ops.max_pool2d import MaxPool2d
from edgekit.ops.mean import Mean
from edgekit.ops.pad import Pad
from edgekit.window import Axis, Window


@dataclass(frozen=True)
class PoolAxis:
    """The axis of a pooling; its last window may hang over the padding that the source declares."""

    axis: Axis
    declared_after: int

    @property
    def hangs_over(self) -> bool:
        return self.axis.pad_after > self.declared_after


def pool_axis(axis: Axis, *, input_size: int, output_size: int) -> PoolAxis:
    """ceil_mode shows in the size of the output alone: the window then needs more padding behind."""
    declared = axis.pad_after
    if axis.output_size(input_size) != output_size:
        needed = (output_size - 1) * axis.stride + axis.extent - input_size - axis.pad_before
        axis = replace(axis, pad_after=needed)
    return PoolAxis(axis, declared)


def max_pool(call: SourceCall, x: Activation, height: PoolAxis, width: PoolAxis) -> Activation:
    """Padding never wins a maximum, so windows that hang over are just more padding."""
    window = Window(height.axis, width.axis)
    return map_result(call, "max_pool2d", [x.tensor], MaxPool2d(window))


def average_pool(
    call: SourceCall, x: Activation, height: PoolAxis, width: PoolAxis, *, count_padding: bool
) -> Activation:
    """The divisor is what lies inside the map, or inside its padding, but never what hangs over it.

    Over the whole map it is a mean, which has a scale of its own.
    """
    axes = (height.axis, width.axis)
    hangs_over = height.hangs_over or width.hangs_over
    padded = any(axis.pad_before for axis in axes) or height.declared_after or width.declared_after
    if tuple(axis.kernel for axis in axes) == x.shape[2:] and not padded and not hangs_over:
        return map_result(call, "mean", [x.tensor], Mean((1, 2), keep_dims=True))
    if not (count_padding and padded):
        return map_result(call, "average_pool2d", [x.tensor], AveragePool2d(Window(*axes)))
    if not hangs_over:
        return map_result(call, "average_pool2d", [x.tensor], AveragePool2d(Window(*axes), True))
    before = (0, height.axis.pad_before, width.axis.pad_before, 0)
    after = (0, height.declared_after, width.declared_after, 0)
    bordered = call.builder.node("pad", [x.tensor], Pad(before, after))
    rest = (
        replace(
            side.axis, pad_before=0, pad_after=max(side.axis.pad_after - side.declared_after, 0)
        )
        for side in (height, width)
    )
    return map_result(call, "average_pool2d", [bordered], AveragePool2d(Window(*rest)))


def mean_over_map(call: SourceCall, x: Activation) -> Activation:
    """Global average pooling: (1, C, 1, 1)."""
    return map_result(call, "mean", [x.tensor], Mean((1, 2), keep_dims=True))


def tiles(sizes: tuple[int, ...], outputs: tuple[int, int]) -> Window:
    """Equal tiles side by side."""
    if any(size % output for size, output in zip(sizes, outputs, strict=True)):
        raise RefusalError(
            f"a map of {sizes} does not divide into {outputs} equal tiles; use output_size=1"
        )
    height, width = (Axis(s // o, s // o) for s, o in zip(sizes, outputs, strict=True))
    return Window(height, width)
