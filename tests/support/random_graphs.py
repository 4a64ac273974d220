# SPDX-License-Identifier: Apache-2.0
"""Random small integer models for schedules: branches, delays, odd windows, several outputs.

A model stays a list of plain tuples, so that a failing one is printed in full and shrinks well;
what does not fit the shape in front of it is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from edgekit.ir import Port, QGraph
from edgekit.ops._pooling import taps_inside
from edgekit.ops.add import Add
from edgekit.ops.average_pool2d import AveragePool2d
from edgekit.ops.concat import Concat
from edgekit.ops.max_pool2d import MaxPool2d
from edgekit.ops.mean import Mean
from edgekit.ops.mul import Mul
from edgekit.ops.pad import Pad
from edgekit.ops.requantize import Requantize
from edgekit.ops.resize_nearest import ResizeNearest
from edgekit.ops.slice import axis_slice
from edgekit.ops.transpose import Transpose
from edgekit.ops.transposed_conv2d import TransposedConv2d, transposed_axis
from edgekit.window import Axis, Window, same_padding
from support.graphs import GraphBuilder, square

MOST_CHANNELS = 12
MOST_PIXELS = 150
MOST_NODES = 24

Layer = tuple[str, int, tuple[Any, ...]]
"""(kind, which earlier map it reads counted from the last one, parameters)"""


@dataclass(frozen=True)
class GraphSpec:
    """The input (H, W, C), the layers, the head, and which maps are returned besides the last one."""

    shape: tuple[int, int, int]
    layers: tuple[Layer, ...]
    head: str
    also_returned: tuple[int, ...]
    seed: int


def _axes() -> st.SearchStrategy[tuple[int, ...]]:
    """kernel, stride, dilation, padding before and after"""
    return st.one_of(
        st.sampled_from([(3, 1, 1, 1, 1), (3, 2, 1, 0, 1), (3, 2, 1, 1, 1), (1, 1, 1, 0, 0)]),
        st.tuples(
            st.integers(1, 5),
            st.sampled_from([1, 1, 1, 2, 2, 3, 4]),
            st.sampled_from([1, 1, 1, 1, 2, 3]),
            st.integers(0, 3),
            st.integers(0, 3),
        ),
    )


def _layers() -> st.SearchStrategy[Layer]:
    channels, window = st.integers(1, 9), st.tuples(_axes(), _axes())
    kernel, stride, other = (
        st.sampled_from([3, 3, 1, 2, 5, 7]),
        st.integers(1, 4),
        st.integers(0, 5),
    )
    bottleneck = (channels, kernel, stride, channels, st.booleans())
    kinds: dict[str, tuple[st.SearchStrategy[Any], ...]] = {
        "conv": (channels, window),
        "point": (channels,),
        "depthwise": (window,),
        "max_pool": (window,),
        "average_pool": (window,),
        "bottleneck": bottleneck,
        "residual": bottleneck,
        "expansion": (channels, window),
        "pooled": (channels, window),
        "add": (other,),
        "shortcut": (channels, stride, kernel),
        "concat": (other,),
        "gate": (),
        "scale": (other,),
        "upsample": (stride,),
        "transposed": (channels, kernel, stride),
        "clamp": (),
        "pad": (st.tuples(*[st.integers(0, 2)] * 4),),
        "crop": (st.integers(0, 3), st.integers(1, 6)),
        "turn": (),
        "fold_rows": (),
    }
    return st.one_of(
        [
            st.tuples(st.just(kind), st.sampled_from([0, 0, 0, 0, 1, 2, 3]), st.tuples(*parts))
            for kind, parts in kinds.items()
        ]
    )


def graph_specs() -> st.SearchStrategy[GraphSpec]:
    return st.builds(
        GraphSpec,
        shape=st.tuples(st.integers(1, 13), st.integers(1, 9), st.integers(1, 4)),
        layers=st.lists(_layers(), min_size=2, max_size=8).map(tuple),
        head=st.sampled_from(["map", "map", "mean", "two_means", "classes", "flat"]),
        also_returned=st.lists(st.integers(0, 9), max_size=2).map(tuple),
        seed=st.integers(0, 99),
    )


def build_graph(spec: GraphSpec) -> QGraph:
    """The model of a spec; layers whose values nobody needs are not in it."""
    b = GraphBuilder("random", seed=spec.seed)
    maps = [b.input("image", (1, *spec.shape))]
    for kind, source, parameters in spec.layers:
        x = maps[-1 - source % len(maps)]
        y = _LAYERS[kind](b, x, maps, *parameters)
        if y is not None and np.prod(b.shape(y)[1:3]) <= MOST_PIXELS:
            maps.append(y)
    returned = [_head(b, maps[-1], spec.head)]
    returned += [maps[-1 - other % len(maps)] for other in spec.also_returned]
    return _needed(b.graph(*dict.fromkeys(returned)))


def _needed(graph: QGraph) -> QGraph:
    """The model without layers that no output depends on."""
    wanted = {port.tensor for port in graph.outputs}
    nodes = []
    for node in reversed(graph.nodes):
        if node.outputs[0] in wanted:
            nodes.append(node)
            wanted.update(node.inputs)
    wanted.update(port.tensor for port in graph.inputs)
    tensors = {name: tensor for name, tensor in graph.tensors.items() if name in wanted}
    ports = tuple(Port(p.name, p.tensor, p.source_shape) for p in graph.outputs)
    return QGraph(tensors, tuple(nodes[::-1]), graph.inputs, ports, name=graph.name).verify()


def _window(
    b: GraphBuilder, x: str, axes: tuple[tuple[int, ...], ...], *, inside: bool = False
) -> Window | None:
    """The window, where it fits; ``inside``: and every one covers a pixel, as pooling wants."""
    height, width = (Axis(*axis) for axis in axes)
    for axis, size in zip((height, width), b.shape(x)[1:3], strict=True):
        if axis.problem(size) is not None:
            return None
        if inside and not taps_inside(axis, size).all():
            return None
    return Window(height, width)


def _conv(b: GraphBuilder, x: str, maps: list[str], channels: int, axes: Any) -> str | None:
    window = _window(b, x, axes)
    return b.conv2d(x, channels, window) if window else None


def _point(b: GraphBuilder, x: str, maps: list[str], channels: int) -> str | None:
    return b.conv2d(x, channels)


def _depthwise(b: GraphBuilder, x: str, maps: list[str], axes: Any) -> str | None:
    window = _window(b, x, axes)
    return b.depthwise(x, window) if window else None


def _max_pool(b: GraphBuilder, x: str, maps: list[str], axes: Any) -> str | None:
    window = _window(b, x, axes, inside=True)
    return b.node("max_pool2d", MaxPool2d(window), x) if window else None


def _average_pool(b: GraphBuilder, x: str, maps: list[str], axes: Any) -> str | None:
    window = _window(b, x, axes, inside=True)
    return b.node("average_pool2d", AveragePool2d(window), x) if window else None


def _bottleneck(
    b: GraphBuilder,
    x: str,
    maps: list[str],
    channels: int,
    kernel: int,
    stride: int,
    outputs: int,
    adds: bool,
) -> str:
    """An inverted bottleneck, with its sum where shapes allow."""
    height, width = (same_padding(size, kernel, stride, 1) for size in b.shape(x)[1:3])
    outputs = b.shape(x)[3] if adds else outputs
    y = b.depthwise(b.conv2d(x, channels), Window(height, width))
    y = b.conv2d(y, outputs)
    return b.node("add", Add(0.0, None), x, y) if b.shape(x) == b.shape(y) else y


def _expansion(b: GraphBuilder, x: str, maps: list[str], channels: int, axes: Any) -> str | None:
    window = _window(b, x, axes)
    return b.depthwise(b.conv2d(x, channels), window) if window else None


def _pooled(b: GraphBuilder, x: str, maps: list[str], channels: int, axes: Any) -> str | None:
    window = _window(b, x, axes, inside=True)
    return b.node("max_pool2d", MaxPool2d(window), b.conv2d(x, channels)) if window else None


def _same_size(b: GraphBuilder, x: str, maps: list[str], other: int, *, channels: bool) -> str:
    """Another map of the same height and width (and channels), or x itself."""
    end = 4 if channels else 3
    found = [name for name in maps if b.shape(name)[:end] == b.shape(x)[:end]]
    return found[other % len(found)]


def _add(b: GraphBuilder, x: str, maps: list[str], other: int) -> str:
    second = _same_size(b, x, maps, other, channels=True)
    return b.node("add", Add(), x, second)


def _concat(b: GraphBuilder, x: str, maps: list[str], other: int) -> str | None:
    second = _same_size(b, x, maps, other, channels=False)
    if b.shape(x)[3] + b.shape(second)[3] > MOST_CHANNELS:
        return None
    return b.node("concat", Concat(3), second, x)


def _shortcut(
    b: GraphBuilder, x: str, maps: list[str], channels: int, stride: int, kernel: int
) -> str:
    """A block of ResNet: the strided 1x1 beside two convolutions."""
    height, width = (same_padding(size, kernel, stride, 1) for size in b.shape(x)[1:3])
    y = b.conv2d(
        b.conv2d(x, channels, Window(height, width)), channels, square(Axis(3, 1, 1, 1, 1))
    )
    short = b.conv2d(x, channels, square(Axis(1, stride)))
    return b.node("add", Add(0.0, None), short, y)


def _gate(b: GraphBuilder, x: str, maps: list[str]) -> str:
    """Squeeze and excite."""
    y = b.conv2d(b.node("mean", Mean((1, 2), True), x), 2)
    return b.node("mul", Mul(), x, b.conv2d(y, b.shape(x)[3]))


def _scale(b: GraphBuilder, x: str, maps: list[str], other: int) -> str:
    """Mul with another map, or with a constant row of channels."""
    second = _same_size(b, x, maps, other, channels=True)
    return b.node("mul", Mul(), x, second if second != x else b.constant((b.shape(x)[3],)))


def _upsample(b: GraphBuilder, x: str, maps: list[str], factor: int) -> str:
    rows, columns = (tuple(i // factor for i in range(size * factor)) for size in b.shape(x)[1:3])
    return b.node("resize_nearest", ResizeNearest(rows, columns), x)


def _transposed(
    b: GraphBuilder, x: str, maps: list[str], channels: int, kernel: int, stride: int
) -> str | None:
    axes = []
    for size in b.shape(x)[1:3]:
        result = (size - 1) * stride + kernel
        axis = transposed_axis(kernel, stride, 1, crop=0, input_size=size, output_size=result)
        if axis.problem(size) is not None:
            return None
        axes.append(axis)
    weights = b.constant((channels, kernel, kernel, b.shape(x)[3]), scale=1.2 / kernel)
    attributes = TransposedConv2d(Window(*axes))
    return b.node("transposed_conv2d", attributes, x, weights, b.constant((channels,)))


def _pad(b: GraphBuilder, x: str, maps: list[str], amounts: tuple[int, ...]) -> str:
    top, bottom, left, right = amounts
    return b.node("pad", Pad((0, top, left, 0), (0, bottom, right, 0)), x)


def _crop(b: GraphBuilder, x: str, maps: list[str], begin: int, rows: int) -> str:
    height = b.shape(x)[1]
    begin = min(begin, height - 1)
    return b.node("slice", axis_slice(b.shape(x), 1, begin, min(rows, height - begin)), x)


def _fold_rows(b: GraphBuilder, x: str, maps: list[str]) -> str | None:
    """The same memory with half as many rows, or twice as many."""
    _, height, width, channels = b.shape(x)
    if height % 2 == 0:
        return b.reshape(x, (1, height // 2, width * 2, channels))
    return b.reshape(x, (1, height * 2, width // 2, channels)) if width % 2 == 0 else None


_LAYERS: Mapping[str, Callable[..., str | None]] = {
    "conv": _conv,
    "point": _point,
    "depthwise": _depthwise,
    "max_pool": _max_pool,
    "average_pool": _average_pool,
    "bottleneck": _bottleneck,
    "residual": _bottleneck,
    "expansion": _expansion,
    "pooled": _pooled,
    "add": _add,
    "shortcut": _shortcut,
    "concat": _concat,
    "gate": _gate,
    "scale": _scale,
    "upsample": _upsample,
    "transposed": _transposed,
    "clamp": lambda b, x, maps: b.node("requantize", Requantize(0.0, 6.0), x),
    "pad": _pad,
    "crop": _crop,
    "turn": lambda b, x, maps: b.node("transpose", Transpose((0, 2, 1, 3)), x),
    "fold_rows": _fold_rows,
}


def _head(b: GraphBuilder, x: str, head: str) -> str:
    match head:
        case "mean":
            return b.node("mean", Mean((1, 2), True), x)
        case "two_means":
            return b.node("mean", Mean((1,), True), b.node("mean", Mean((2,), True), x))
        case "classes":
            y = b.node("mean", Mean((1, 2), True), x)
            return b.fully_connected(b.reshape(y, (1, b.shape(x)[3])), 4)
        case "flat":
            return b.fully_connected(b.reshape(x, (1, int(np.prod(b.shape(x))))), 3)
    return x
