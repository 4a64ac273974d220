# SPDX-License-Identifier: Apache-2.0
"""Bottlenecks that are computed in blocks of their inner channels (primitive X).

An inverted bottleneck is wide between its two 1 x 1 convolutions. Block of channels by block, the
last convolution can add what each block yields to int32 sums (ops/block_conv2d.py): then no more of
the wide maps is there at a time than a block, and the sums take four times the output. That is worth
it where the maps are so small, or the windows so large, that rows to keep are most of the map.
Nothing is computed twice. The blocks are layers like any others: the search runs them as it likes.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.converters.channels.rebuild import part_of_weighted, unused_name
from edgekit.converters.schedule.again import Again
from edgekit.converters.schedule.plan import Split
from edgekit.errors import BadInputError
from edgekit.ir import Array, Call, Node, QGraph, Tensor, constant
from edgekit.ops import operator_of
from edgekit.ops._weighted import INPUT, WEIGHTS, WeightedArithmetic, bias_of
from edgekit.ops.block_conv2d import BlockArithmetic, BlockConv2d
from edgekit.window import Axis, Window

BLOCKS = (8, 16)
"""Blocks of a split, and of one that is split further: more save little."""
MULTIPLE = 4
"""Channels of every block but the last are a multiple of this, which kernels like."""
WORTH_IT = 0.98
"""A split must bring the bytes below this share of what they are."""

_OF_BLOCK = re.compile(r"/in_block_\d+_*$")
"""What the name of a layer of a block has behind that of the layer."""


@dataclass(frozen=True, eq=False)
class _Bottleneck:
    expand: Call
    depthwise: Call
    project: Call

    @property
    def least_bytes(self) -> int:
        """What the map in front and the sums take, at least."""
        return self.expand.activations[0].elements + 4 * self.project.output.elements


def _bottlenecks(graph: QGraph) -> Iterator[_Bottleneck]:
    """All of int8 whose inner maps nothing else reads."""
    producers, consumers = graph.producer(), graph.consumers()
    returned = {port.tensor for port in graph.outputs}

    def inner(call: Call) -> Call | None:
        """The call that computes the input of one that reads it alone."""
        name = call.inputs[INPUT].name
        if name not in producers or name in returned or len(consumers[name]) > 1:
            return None
        return graph.call(producers[name])

    for project in graph.calls():
        depthwise = inner(project) if _is_pointwise(project) else None
        if depthwise is None or depthwise.node.op != "depthwise_conv2d":
            continue
        expand = inner(depthwise)
        if expand is None or not _is_full(expand):
            continue
        channels = depthwise.output.shape[3]
        if depthwise.inputs[INPUT].shape[3] == channels > MULTIPLE:
            yield _Bottleneck(expand, depthwise, project)


def _is_full(call: Call) -> bool:
    """Whether it is a convolution of int8 in which all outputs read all inputs of a map."""
    if call.node.op != "conv2d" or call.output.dtype != "int8" or not call.activations:
        return False
    return call.inputs[INPUT].shape[3] == call.inputs[WEIGHTS].shape[3]


def _is_pointwise(call: Call) -> bool:
    return _is_full(call) and operator_of(call.node).window(call) == Window(Axis(1), Axis(1))


def tight_splits(
    graph: QGraph,
    arena_bytes: int,
    tight: Sequence[Sequence[str]],
    splits: Sequence[Split] = (),
) -> tuple[Split, ...]:
    """The splits of a plan, and those of the bottlenecks because of which it takes so many bytes.

    tight: layers of its segments that take as much (Candidate). One in which nothing can be split,
    or split further, always will: then () is found.
    """
    blocks = {split.project: split.blocks for split in splits}
    found: dict[str, Split] = {}
    for bottleneck in _bottlenecks(graph):
        name = bottleneck.project.node.name
        more = next((n for n in BLOCKS if n > blocks.get(name, 1)), None)
        if more is not None and bottleneck.least_bytes < WORTH_IT * arena_bytes:
            calls = (bottleneck.expand, bottleneck.depthwise, bottleneck.project)
            found.update({call.node.name: Split(name, more) for call in calls})
    for layers in tight:
        origins = (_OF_BLOCK.sub("", layer) for layer in layers)
        own = [found[origin] for origin in origins if origin in found]
        if not own:
            return ()
        blocks.update({split.project: split.blocks for split in own})
    return tuple(Split(*item) for item in sorted(blocks.items())) if tight else ()


def with_splits(again: Again, splits: Sequence[Split]) -> Again:
    """The model with some bottlenecks in blocks.

    Raises:
        BadInputError: one of them is none.
    """
    graph = again.graph
    for split in splits:
        known = {b.project.node.name: b for b in _bottlenecks(graph)}
        if split.project not in known or not split.blocks > 1:
            raise BadInputError(
                f"the plan has layer '{split.project}' in {split.blocks} blocks, which is not the "
                "end of a bottleneck"
            )
        graph = _Splitting(graph, known[split.project]).graph(split.blocks)
    repeats = dataclasses.replace(again.repeats, splits=(*again.repeats.splits, *splits))
    return dataclasses.replace(again, graph=graph, repeats=repeats)


class _Splitting:
    """Makes the nodes of all blocks, in the place of the last of the three layers."""

    def __init__(self, graph: QGraph, bottleneck: _Bottleneck) -> None:
        self._graph, self._bottleneck = graph, bottleneck
        self._tensors = dict(graph.tensors)
        self._names = {node.name for node in graph.nodes}
        self._number = 0

    def graph(self, blocks: int) -> QGraph:
        bottleneck = self._bottleneck
        channels = bottleneck.depthwise.output.shape[3]
        size = -(-channels // (blocks * MULTIPLE)) * MULTIPLE
        made: list[Node] = []
        sums = ""
        for begin in range(0, channels, size):
            own = np.zeros(channels, np.bool_)
            own[begin : begin + size] = True
            self._number += 1
            made += self._block(own, sums, is_last=begin + size >= channels)
            sums = made[-1].outputs[0]
        gone = {bottleneck.expand.node.name, bottleneck.depthwise.node.name}
        nodes: list[Node] = []
        for node in self._graph.nodes:
            if node.name == bottleneck.project.node.name:
                nodes += made
            elif node.name not in gone:
                nodes.append(node)
        return self._graph.with_nodes(nodes, self._tensors.values()).verify()

    def _block(self, own: Array, sums: str, *, is_last: bool) -> Iterator[Node]:
        bottleneck = self._bottleneck
        source = bottleneck.expand.inputs[INPUT].name
        for call in (bottleneck.expand, bottleneck.depthwise):
            columns = np.ones(call.inputs[WEIGHTS].shape[3], np.bool_)
            node, constants = part_of_weighted(call, own, columns, None)
            names = [source, *(self._constant(node, c) for c in constants.values())]
            node = self._renamed(node, tuple(names), call.output, int(own.sum()))
            yield node
            (source,) = node.outputs
        yield self._sum(own, source, sums, is_last=is_last)

    def _sum(self, own: Array, source: str, sums: str, *, is_last: bool) -> Node:
        call = self._bottleneck.project
        weights = self._constant(call.node, ("weights", call.constant(WEIGHTS)[..., own]))
        inputs = (source, weights, *([sums] if sums else []))
        bound = operator_of(call.node).accumulator_bound(call)
        node = dataclasses.replace(
            call.node,
            op="block_conv2d",
            attributes=BlockConv2d(),
            arithmetic=BlockArithmetic(accumulator_bound=bound),
        )
        if not is_last:
            output = Tensor(call.output.name, call.output.shape, "int32")
            return self._renamed(node, inputs, output, output.shape[3])
        arithmetic: WeightedArithmetic = call.node.arithmetic
        products = call.constant(WEIGHTS).astype(np.int64).sum(axis=(1, 2, 3))
        bias = bias_of(call, len(products)) - arithmetic.input_zero_point * products
        inputs = (*inputs, self._constant(call.node, ("bias", bias.astype(np.int32))))
        last = BlockArithmetic(
            arithmetic.output_zero_point,
            arithmetic.multipliers,
            arithmetic.shifts,
            arithmetic.minimum,
            arithmetic.maximum,
            bound,
        )
        return dataclasses.replace(node, inputs=inputs, arithmetic=last)

    def _constant(self, node: Node, labelled: tuple[str, Array]) -> str:
        label, data = labelled
        name = unused_name(f"{node.name}/{label}_in_block_{self._number}", self._tensors)
        self._tensors[name] = constant(name, data)
        return name

    def _renamed(self, node: Node, inputs: tuple[str, ...], output: Tensor, channels: int) -> Node:
        """A node of a block, and its output with so many channels."""
        name = unused_name(f"{node.name}/in_block_{self._number}", self._names)
        result = unused_name(f"{output.name}/in_block_{self._number}", self._tensors)
        shape = (*output.shape[:3], channels)
        self._tensors[result] = dataclasses.replace(output, name=result, shape=shape)
        self._names.add(name)
        return dataclasses.replace(node, name=name, inputs=inputs, outputs=(result,))
