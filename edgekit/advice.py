# SPDX-License-Identifier: Apache-2.0
"""Changes of a network that would save RAM, each one measured by planning the changed network.

MCUNetV2 (Lin et al., 2021) moves receptive field out of the layers that are streamed (receptive
field redistribution); here each such change is tried on the layers in use at the peak. Weights of
a new shape are random: what the change does to the accuracy only training tells.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from edgekit.converters.plan_model import Budget, Planned, plan_model
from edgekit.errors import BadInputError, one_line
from edgekit.ir import Node, QGraph, Tensor, constant
from edgekit.ops import operator_of
from edgekit.program import Image
from edgekit.report.memory import find_peak
from edgekit.target import Target
from edgekit.window import Axis, Window

MOST_TRIED = 4
MOST_GIVEN = 3
_CONVOLUTIONS = ("conv2d", "depthwise_conv2d")
_FOLLOWS_ITS_INPUT = (*_CONVOLUTIONS, "add", "requantize", "lookup", "leaky_relu", "prelu")
"""Operators that compute on maps of any height and width."""


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """A change of one layer, and what the default plan then needs."""

    layer: str
    source: str
    change: str
    arena_bytes_before: int
    arena_bytes_after: int
    macs_before: int
    macs_after: int


@dataclass(frozen=True)
class _Change:
    layer: Node
    text: str
    windows: Mapping[str, Window]


def find_advice(
    graph: QGraph,
    target: Target,
    planned: Planned,
    budget: Budget,
    *,
    progress: Callable[[str], None] = lambda text: None,
) -> tuple[Advice, ...]:
    """The changes that make the arena of ``planned`` smaller, the most helpful one first."""
    found = []
    before = planned.image.arena_bytes
    changed = ((c, changed_graph(graph, c.windows)) for c in _changes(graph, planned.image))
    tried = [(change, other) for change, other in changed if other is not None][:MOST_TRIED]
    for number, (change, other) in enumerate(tried, start=1):
        progress(f"plan changed network {number} of {len(tried)}")
        after = plan_model(other, target, budget).image.arena_bytes
        if after < before:
            found.append(
                Advice(
                    layer=change.layer.name,
                    source=change.layer.source,
                    change=change.text,
                    arena_bytes_before=before,
                    arena_bytes_after=after,
                    macs_before=_macs(graph),
                    macs_after=_macs(other),
                )
            )
    found.sort(key=lambda advice: (advice.arena_bytes_after, advice.macs_after))
    return tuple(found[:MOST_GIVEN])


def _macs(graph: QGraph) -> int:
    return sum(operator_of(call.node).macs(call) for call in graph.calls())


def _changes(graph: QGraph, image: Image) -> Iterator[_Change]:
    """Strides moved earlier and kernels made 1x1 where the peak is, in turn."""
    at_peak = _layers_at_the_peak(image)
    positions = [i for i, node in enumerate(graph.nodes) if node.name in at_peak]
    if not positions:
        return
    strides = _earlier_strides(graph, positions[0])
    kernels = _smaller_kernels(graph, [graph.nodes[i] for i in positions])
    for stride in strides:
        yield stride
        yield from (kernel for kernel in [next(kernels, None)] if kernel is not None)
    yield from kernels


def _layers_at_the_peak(image: Image) -> frozenset[str]:
    """The layers of the peak's segment, and those whose outputs are in use."""
    peak, program = find_peak(image), image.program
    if peak is None:
        return frozenset()
    steps = [step for step in program.steps if step.output.buffer in peak.buffers]
    for segment in program.segments:
        if segment.first <= peak.step <= segment.last:
            steps += program.steps[segment.first : segment.last + 1]
    return frozenset(step.layer for step in steps)


def _window(node: Node) -> Window | None:
    """The window of a convolution without dilation; None for all others."""
    if node.op not in _CONVOLUTIONS:
        return None
    window: Window = node.attributes.window
    plain = all(a.dilation == a.upsampling == 1 for a in (window.height, window.width))
    return window if plain else None


def _has_stride(window: Window, stride: int) -> bool:
    return window.height.stride == window.width.stride == stride


def _is_spatial(window: Window) -> bool:
    return min(window.height.kernel, window.width.kernel) > 1


def _earlier_strides(graph: QGraph, first: int) -> Iterator[_Change]:
    """Each of the next strides swapped with the first stride 1 behind the stride in front of it."""
    windows = [_window(node) for node in graph.nodes]
    strided = [i for i, w in enumerate(windows) if w is not None and _has_stride(w, 2)]
    for begin, end in zip([-1, *strided], strided, strict=False):
        if end < first:
            continue
        for index in range(begin + 1, end):
            window, other = windows[index], windows[end]
            if window is None or other is None or not _has_stride(window, 1):
                continue
            if not _is_spatial(window):
                continue
            early, late = graph.nodes[index], graph.nodes[end]
            text = one_line(f"stride 2 here, and stride 1 in {late}")
            yield _Change(
                early,
                text,
                {early.name: _each(window, _halving), late.name: _each(other, _keeping)},
            )
            break


def _each(window: Window, change: Callable[[Axis], Axis]) -> Window:
    return Window(change(window.height), change(window.width))


def _halving(axis: Axis) -> Axis:
    return dataclasses.replace(axis, stride=2)


def _keeping(axis: Axis) -> Axis:
    """The same kernel at stride 1, padded so that the size stays."""
    before = (axis.kernel - 1) // 2
    return Axis(axis.kernel, 1, 1, before, axis.kernel - 1 - before)


def _smaller_kernels(graph: QGraph, nodes: Sequence[Node]) -> Iterator[_Change]:
    """Kernels of stride 1 made 1x1, those that keep the most bytes of rows first."""
    found = []
    for node in nodes:
        window = _window(node)
        if window is None or not _has_stride(window, 1) or not _is_spatial(window):
            continue
        _, _, width, channels = graph.tensors[node.inputs[0]].shape
        kept = (window.height.kernel - 1) * width * channels
        text = f"{window.height.kernel}x{window.width.kernel} -> 1x1"
        point = Window(Axis(1), Axis(1))
        found.append((kept, _Change(node, text, {node.name: point})))
    found.sort(key=lambda entry: -entry[0])
    yield from (change for _, change in found)


def changed_graph(graph: QGraph, windows: Mapping[str, Window]) -> QGraph | None:
    """A model whose convolutions have other windows; None where that does not fit together.

    Maps between the changed layers take the shapes that follow; behind them all is as it was.
    """
    random = np.random.default_rng(0)
    tensors, nodes = dict(graph.tensors), []
    for node in graph.nodes:
        if node.name in windows:
            attributes = dataclasses.replace(node.attributes, window=windows[node.name])
            node = dataclasses.replace(node, attributes=attributes)
            node = _with_weights(node, tensors, windows[node.name], random)
        nodes.append(node)
        inputs = [tensors[name] for name in node.inputs]
        moved = [t for t in inputs if t.shape != _shape_before(graph, t)]
        if not moved and node.name not in windows:
            continue
        maps = {t.shape for t in inputs if not t.is_constant and len(t.shape) == 4}
        if node.op not in _FOLLOWS_ITS_INPUT or len(maps) != 1 or _has_constant_map(node, inputs):
            return None
        if any(axis.output_size(size) < 1 for axis, size in _sizes(node, inputs)):
            return None
        shape = operator_of(node).output_shape(node.attributes, [t.shape for t in inputs])
        output = node.outputs[0]
        tensors[output] = dataclasses.replace(tensors[output], shape=shape)
    ports = (*graph.inputs, *graph.outputs)
    if any(tensors[p.tensor].shape != graph.tensors[p.tensor].shape for p in ports):
        return None
    try:
        return graph.with_nodes(nodes, tensors.values()).verify()
    except BadInputError:
        return None


def _shape_before(graph: QGraph, tensor: Tensor) -> tuple[int, ...]:
    return graph.tensors[tensor.name].shape if tensor.name in graph.tensors else tensor.shape


def _has_constant_map(node: Node, inputs: Sequence[Tensor]) -> bool:
    """Whether an element-wise operand has a value for each pixel of the old map."""
    if node.op in _CONVOLUTIONS:
        return False
    return any(t.is_constant and t.elements > t.shape[-1] for t in inputs if t.shape)


def _sizes(node: Node, inputs: Sequence[Tensor]) -> list[tuple[Axis, int]]:
    if node.op not in _CONVOLUTIONS:
        return []
    window, (_, height, width, _) = node.attributes.window, inputs[0].shape
    return [(window.height, height), (window.width, width)]


def _with_weights(
    node: Node, tensors: dict[str, Tensor], window: Window, random: np.random.Generator
) -> Node:
    """Random weights where the kernel has another size, under a name of their own."""
    old = tensors[node.inputs[1]]
    shape = (old.shape[0], window.height.kernel, window.width.kernel, old.shape[3])
    if shape == old.shape:
        return node
    name = f"{old.name}/{node.name}/changed"
    tensors[name] = constant(name, random.integers(-127, 128, shape).astype(np.int8))
    return dataclasses.replace(node, inputs=(node.inputs[0], name, *node.inputs[2:]))
