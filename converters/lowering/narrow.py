# SPDX-License-Identifier: Apache-2.0
"""A layer for a region of its output alone: the call, and the regions of its inputs that it sees."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.ir import Array, Call, Shape, Tensor
from edgekit.layout import map_size
from edgekit.ops import operator_of
from edgekit.window import Axis, Region, Window


@dataclass(frozen=True, eq=False)
class NarrowCall:
    """``call`` has maps of the size of their regions; ``seen`` are those of its activations."""

    call: Call
    seen: Mapping[str, Region]


def whole_region(shape: Shape) -> Region:
    """All of a map."""
    height, width, _ = map_size(shape)
    return Region(0, height, 0, width)


def narrow_call(call: Call, region: Region) -> NarrowCall | None:
    """The call that computes a region of the output; None where the operator has no such call.

    It computes what the layer computes there: windows keep the padding of the true borders, and
    find real pixels everywhere else.
    """
    window = call_window(call)
    if window is None or len(call.output.shape) != 4:
        return None
    sizes = map_size(call.activations[0].shape)
    if operator_of(call.node).is_elementwise:
        sizes = map_size(call.output.shape)
    rows = window.height.part(region.top, region.bottom, sizes[0])
    columns = window.width.part(region.left, region.right, sizes[1])
    if rows is None or columns is None:
        return None
    attributes = _attributes(call.node.attributes, window, Window(rows[0], columns[0]))
    if attributes is None:
        return None
    wanted = Region(rows[1], rows[2], columns[1], columns[2])
    operands = operator_of(call.node).runtime_operands(call)
    seen = {t.name: _of_operand(t, call.output, wanted) for t in operands}
    narrowed = Call(
        dataclasses.replace(call.node, attributes=attributes),
        tuple(_cut(t, seen[t.name]) if t.name in seen else t for t in call.inputs),
        (_cut(call.output, region),),
    )
    return NarrowCall(narrowed, {t.name: seen[t.name] for t in call.activations})


def call_window(call: Call) -> Window | None:
    """The window of an output pixel over every activation; None where there is no such window."""
    operator = operator_of(call.node)
    window = operator.window(call)
    if window is None and call.node.op == "concat":
        along_channels = call.node.attributes.axis == len(call.output.shape) - 1
        window = Window(Axis(1), Axis(1)) if along_channels else None
    return window


def _attributes(attributes: Any, before: Window, after: Window) -> Any | None:
    """Attributes with another window; those that do not state it hold only where padding has none."""
    if hasattr(attributes, "window"):
        return dataclasses.replace(attributes, window=after)
    return attributes if before == after else None


def _of_operand(tensor: Tensor, output: Tensor, wanted: Region) -> Region:
    """The region of an operand; one of height or width 1 is repeated."""
    height, width, _ = map_size(tensor.shape)
    if height == 1:
        wanted = dataclasses.replace(wanted, top=0, bottom=1)
    if width == 1:
        wanted = dataclasses.replace(wanted, left=0, right=1)
    return wanted


def _cut(tensor: Tensor, region: Region) -> Tensor:
    if len(tensor.shape) < 2 or region == whole_region(tensor.shape):
        return tensor
    height = () if len(tensor.shape) == 2 else (region.height,)
    shape = (*tensor.shape[:-3], *height, region.width, tensor.shape[-1])
    data = None if tensor.data is None else _cut_data(tensor.data, region)
    return dataclasses.replace(tensor, shape=shape, data=data)


def _cut_data(data: Array, region: Region) -> Array:
    columns = data[..., region.left : region.right, :]
    if data.ndim > 2:
        columns = columns[..., region.top : region.bottom, :, :]
    return np.ascontiguousarray(columns)
