# SPDX-License-Identifier: Apache-2.0
"""Parallel linear branches over one map become one convolution.

A sum of convolutions, scaled copies and average pools of the same map with the same stride is a
convolution whose kernel is the sum of theirs, each laid where its taps are (Ding et al., "RepVGG",
2021; "Diverse Branch Block", 2021; Vasu et al., "MobileOne", 2023). Batch norms were folded into
their convolutions before; one on a bare branch is a depthwise 1x1 kernel.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.converters.legalize.clamps import bounds_of, is_unclamped
from edgekit.converters.legalize.rewrite import Rewrite, Rules, View
from edgekit.converters.legalize.scales import BIAS, INPUT, WEIGHTS, channel_vector
from edgekit.ir import Array, Call, Node, Shape, constant
from edgekit.ops.conv2d import Conv2d
from edgekit.ops.depthwise_conv2d import DepthwiseConv2d
from edgekit.window import Axis, Window

CONVOLUTIONS = ("conv2d", "depthwise_conv2d")
POINTWISE = Window(Axis(1), Axis(1))


@dataclass(frozen=True, eq=False)
class Branch:
    """A linear function of ``source``: weights (outputs, kh, kw, inputs / groups) and a bias.

    ``macs`` is what it costs by itself; ``nodes`` are those that go with it.
    """

    source: str
    window: Window
    weights: Array
    groups: int
    bias: Array
    macs: int
    nodes: tuple[Node, ...] = ()

    @property
    def inputs(self) -> int:
        return self.weights.shape[3] * self.groups


def fold_branches(view: View, node: Node) -> Rewrite | None:
    """An add at the end of a tree of sums whose leaves are branches over one map."""
    call = view.call(node)
    if len(call.output.shape) != 4:
        return None
    leaves, sums = _leaves(view, node)
    branches = [_branch(view, leaf, call.output.shape) for leaf in leaves]
    found = [branch for branch in branches if branch is not None]
    if len(found) < len(branches) or sum(bool(branch.source) for branch in found) < 2:
        return None
    sources = {branch.source for branch in found if branch.source}
    convolves = any(n.op in CONVOLUTIONS for branch in found for n in branch.nodes)
    if len(sources) != 1 or not convolves:
        return None
    shape = view.tensor(sources.pop()).shape
    window = _common_window([b.window for b in found if b.source], shape, call.output.shape)
    return None if window is None else _folded(found, window, sums, call)


def _folded(
    branches: Sequence[Branch], window: Window, sums: Sequence[Node], call: Call
) -> Rewrite | None:
    """One convolution for all branches, unless it would cost more than they do together."""
    real = [branch for branch in branches if branch.source]
    groups = math.gcd(*(branch.groups for branch in real))
    outputs, inputs = call.output.shape[3], real[0].inputs
    taps = (window.height.kernel, window.width.kernel)
    macs = call.output.elements * math.prod(taps) * (inputs // groups)
    if macs > sum(branch.macs for branch in branches):
        return None
    weights = np.zeros((outputs, *taps, inputs // groups))
    bias = np.zeros(outputs)
    for branch in branches:
        bias += branch.bias
        if branch.source:
            rows = _places(branch.window.height, window.height)
            columns = _places(branch.window.width, window.width)
            dense = _with_groups(branch, groups)
            weights[:, rows[:, None], columns[None, :]] += dense
    last = call.node
    names = (f"{last.name}/weights", f"{last.name}/bias")
    depthwise = groups == inputs > 1
    data = weights[..., 0].transpose(1, 2, 0)[None] if depthwise else weights
    attributes = (DepthwiseConv2d if depthwise else Conv2d)(window, *bounds_of(last))
    convolution = dataclasses.replace(
        last,
        op="depthwise_conv2d" if depthwise else "conv2d",
        inputs=(real[0].source, *names),
        attributes=attributes,
    )
    tensors = [constant(n, a.astype(np.float32)) for n, a in zip(names, (data, bias), strict=True)]
    removed = {n.name: n for branch in branches for n in branch.nodes} | {n.name: n for n in sums}
    return Rewrite(tuple(removed.values()), (convolution,), tuple(tensors))


def _places(axis: Axis, common: Axis) -> Array:
    """The taps of ``common`` that the taps of ``axis`` fall on."""
    first = common.pad_before - axis.pad_before
    return np.asarray((first + np.arange(axis.kernel) * axis.dilation) // common.dilation)


def _with_groups(branch: Branch, groups: int) -> Array:
    """The weights for fewer groups: zeros between what did not meet."""
    outputs, height, width, inner = branch.weights.shape
    wide = np.zeros((outputs, height, width, branch.inputs // groups))
    for output in range(outputs):
        first = (output * branch.groups // outputs) * inner % wide.shape[3]
        wide[output, :, :, first : first + inner] = branch.weights[output]
    return wide


def _leaves(view: View, node: Node) -> tuple[list[str], list[Node]]:
    """The summands of a tree of unclamped adds, and the adds."""
    leaves: list[str] = []
    sums = [node]
    for name in node.inputs:
        inner = view.exclusive_producer(name)
        same_shape = view.tensor(name).shape == view.tensor(node.outputs[0]).shape
        if inner is not None and inner.op == "add" and is_unclamped(inner) and same_shape:
            deeper, more = _leaves(view, inner)
            leaves += deeper
            sums += more
        else:
            leaves.append(name)
    return leaves, sums


def _branch(view: View, name: str, shape: Shape) -> Branch | None:
    """What a summand is, or None where it is not a linear function of a map."""
    tensor, channels = view.tensor(name), shape[3]
    if tensor.data is not None:
        vector = channel_vector(tensor.data, channels)
        empty = np.zeros((channels, 1, 1, channels))
        return None if vector is None else Branch("", POINTWISE, empty, 1, vector, 0)
    if tensor.shape != shape:
        return None
    producer = view.exclusive_producer(name)
    if producer is not None and is_unclamped(producer):
        call = view.call(producer)
        found = _weighted_branch(call) or _pool_branch(call) or _affine_branch(view, call, channels)
        if found is not None:
            return found
    return _identity(name, channels)


def _identity(name: str, channels: int) -> Branch:
    ones = np.ones((channels, 1, 1, 1))
    return Branch(name, POINTWISE, ones, channels, np.zeros(channels), 0)


def _weighted_branch(call: Call) -> Branch | None:
    if call.node.op not in CONVOLUTIONS:
        return None
    weights = call.constant(WEIGHTS).astype(np.float64)
    channels, outputs = call.inputs[INPUT].shape[3], call.output.shape[3]
    if call.node.op == "depthwise_conv2d":
        weights = weights[0].transpose(2, 0, 1)[..., None]
    groups = channels // weights.shape[3]
    bias = np.zeros(outputs)
    if len(call.inputs) > BIAS:
        bias = call.constant(BIAS).astype(np.float64)
    macs = call.output.elements * math.prod(weights.shape[1:])
    window = call.node.attributes.window
    return Branch(call.inputs[INPUT].name, window, weights, groups, bias, macs, (call.node,))


def _pool_branch(call: Call) -> Branch | None:
    """An average that divides by the same number everywhere."""
    if call.node.op != "average_pool2d":
        return None
    window: Window = call.node.attributes.window
    _, height, width, channels = call.inputs[INPUT].shape
    padded = not (_reads_inside(window.height, height) and _reads_inside(window.width, width))
    if padded and not call.node.attributes.count_padding:
        return None
    taps = (window.height.kernel, window.width.kernel)
    weights = np.full((channels, *taps, 1), 1.0 / math.prod(taps))
    macs = call.output.elements * math.prod(taps)
    zeros = np.zeros(channels)
    return Branch(call.inputs[INPUT].name, window, weights, channels, zeros, macs, (call.node,))


def _reads_inside(axis: Axis, size: int) -> bool:
    last = axis.first_input(axis.output_size(size) - 1) + axis.extent - 1
    return axis.pad_before == 0 and last < size


def _affine_branch(view: View, call: Call, channels: int) -> Branch | None:
    """x * scale and x + shift over the channels of a map: a batch norm on a bare branch."""
    node = call.node
    constants = [t.data for t in call.inputs if t.data is not None]
    if node.op not in ("mul", "add") or len(constants) != 1 or len(call.inputs) != 2:
        return None
    (source,) = call.activations
    vector = channel_vector(constants[0], channels)
    if vector is None or source.shape != call.output.shape:
        return None
    inner = _branch(view, source.name, call.output.shape)
    if inner is None or not inner.source:
        return None
    nodes = (*inner.nodes, node)
    if node.op == "add":
        return dataclasses.replace(inner, bias=inner.bias + vector, nodes=nodes)
    return dataclasses.replace(
        inner,
        weights=inner.weights * vector.reshape(-1, 1, 1, 1),
        bias=inner.bias * vector,
        macs=max(inner.macs, call.output.elements),
        nodes=nodes,
    )


def _common_window(windows: Sequence[Window], source: Shape, result: Shape) -> Window | None:
    """The least window that has all taps of all ``windows``, or None where their strides differ."""
    axes = []
    for side, position in (("height", 1), ("width", 2)):
        members: list[Axis] = [getattr(window, side) for window in windows]
        axis = _common_axis(members, source[position], result[position])
        if axis is None:
            return None
        axes.append(axis)
    return Window(*axes)


def _common_axis(axes: Sequence[Axis], input_size: int, output_size: int) -> Axis | None:
    if len({axis.stride for axis in axes}) != 1:
        return None
    offsets = sorted({offset for axis in axes for offset in _offsets(axis)})
    step = math.gcd(*(offset - offsets[0] for offset in offsets)) or 1
    kernel, before = (offsets[-1] - offsets[0]) // step + 1, -offsets[0]
    merged = Axis(kernel, axes[0].stride, step, before, 0)
    missing = (output_size - 1) * merged.stride + merged.extent - before - input_size
    merged = dataclasses.replace(merged, pad_after=max(missing, 0))
    return merged if merged.output_size(input_size) == output_size else None


def _offsets(axis: Axis) -> Iterator[int]:
    """Where the taps lie relative to the first input of an output without padding."""
    return (tap * axis.dilation - axis.pad_before for tap in range(axis.kernel))


BRANCH_RULES: Rules = {"add": (fold_branches,)}
"""For float graphs."""
