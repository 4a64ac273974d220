# SPDX-License-Identifier: Apache-2.0
"""Where the tensors of a model live: roots of views, ports, layouts, rows."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Collection, Mapping

from edgekit.converters.choose import Choice
from edgekit.converters.lowering.narrow import whole_region
from edgekit.ir import DTYPE_BYTES, Node, QGraph, Tensor
from edgekit.layout import NHWC, Layout, map_size
from edgekit.ops import operator_of
from edgekit.program import Operand
from edgekit.window import Region


class Storage:
    """The memory behind every tensor; tensors that are views share the storage of their root.

    ``arena_input``: the model's inputs lie in the arena instead of the caller's memory;
    ``held``: roots whose values do until they are copied to outputs; ``streams_output``: the rows of
    its output do until they are handed over; ``pulled``: views of the input into which its rows are
    read once more.
    """

    def __init__(
        self,
        graph: QGraph,
        choices: Mapping[str, Choice],
        *,
        arena_input: bool = False,
        held: Collection[str] = (),
        streams_output: bool = False,
        pulled: Collection[str] = (),
    ) -> None:
        self.graph = graph
        self._streamed_outputs = [port.tensor for port in graph.outputs if streams_output]
        self._root: dict[str, str] = {}
        for node in graph.nodes:
            if operator_of(node).is_view and node.outputs[0] not in pulled:
                self._root[node.outputs[0]] = self.root_of(node.inputs[0])
        self._input_ports: dict[str, int] = {}
        if not arena_input:
            self._input_ports = {port.tensor: i for i, port in enumerate(graph.inputs)}
        self._output_ports: dict[str, int] = {}
        copies: list[tuple[str, int]] = []
        inputs = {port.tensor for port in graph.inputs}
        for index, port in enumerate(graph.outputs):
            if streams_output:
                continue
            root = self.root_of(port.tensor)
            fixed = root in inputs or graph.tensors[root].is_constant
            if fixed or root in held or root in self._output_ports:
                copies.append((port.tensor, index))
            else:
                self._output_ports[root] = index
        self.copies = tuple(copies)
        """Outputs that need a copy: (tensor, index of the output)."""
        self._layouts = {
            call.output.name: choices[call.node.name].binding.output
            for call in graph.calls()
            if call.node.name in choices
        }
        self._regions: Mapping[str, Region] = {}
        self.readers = self._readers(graph)
        """The nodes that read a root or a view of it, views themselves left out."""

    def of_tile(self, stored: Mapping[str, Region], layouts: Mapping[str, Layout]) -> Storage:
        """The same memory while only regions of some maps are stored, in layouts of their own."""
        other = copy.copy(self)
        other._regions, other._layouts = stored, {**self._layouts, **layouts}
        return other

    def _readers(self, graph: QGraph) -> dict[str, list[Node]]:
        readers: dict[str, list[Node]] = {}
        for node in graph.nodes:
            if not operator_of(node).is_view:
                for root in dict.fromkeys(self.root_of(name) for name in node.inputs):
                    readers.setdefault(root, []).append(node)
        return readers

    def root_of(self, tensor: str) -> str:
        """The tensor in whose memory a tensor lies."""
        return self._root.get(tensor, tensor)

    def _size(self, tensor: str) -> tuple[int, int, int]:
        """Stored height and width, and the channels."""
        height, width, channels = map_size(self.graph.tensors[tensor].shape)
        region = self._regions.get(tensor)
        return (region.height, region.width, channels) if region else (height, width, channels)

    def height(self, tensor: str) -> int:
        return self._size(tensor)[0]

    def row_bytes(self, tensor: str) -> int:
        """Bytes from one row of a tensor to the next, in the layout of its root."""
        values = self.graph.tensors[tensor]
        _, width, channels = self._size(tensor)
        layout = self._layouts.get(self.root_of(tensor), NHWC)
        return layout.row_bytes(width, channels, element_bytes=DTYPE_BYTES[values.dtype])

    def map_bytes(self, tensor: str) -> int:
        return self.height(tensor) * self.row_bytes(tensor)

    def operand(self, name: str, region: Region | None = None) -> Operand:
        """All that is stored of a tensor, or a region of its map that is stored."""
        tensor = self.graph.tensors[name]
        if tensor.is_constant:
            return constant_operand(tensor)
        root = self.root_of(name)
        height, width, channels = self._size(name)
        operand = Operand(
            name,
            "arena",
            root,
            bytes=self.map_bytes(name),
            pixels=height * width,
            row_bytes=self.row_bytes(name),
            ring_rows=height,
            layout=self._layouts.get(root, NHWC),
        )
        if region is not None:
            stored = self._regions.get(name, whole_region(tensor.shape))
            skipped = (region.top - stored.top) * operand.row_bytes
            skipped += (region.left - stored.left) * channels * DTYPE_BYTES[tensor.dtype]
            operand = dataclasses.replace(operand, skip_bytes=skipped, region=region)
        if root in self._input_ports:
            index = self._input_ports[root]
            return dataclasses.replace(operand, place="model_input", buffer="", index=index)
        if root in self._output_ports:
            index = self._output_ports[root]
            return dataclasses.replace(operand, place="model_output", buffer="", index=index)
        return operand

    def in_arena(self, root: str) -> bool:
        tensor = self.graph.tensors[root]
        ports = root in self._input_ports or root in self._output_ports
        return not ports and not tensor.is_constant

    def outlives(self, root: str, nodes: frozenset[str]) -> bool:
        """Whether something besides the nodes reads a root, or the model returns it."""
        return self.is_copied(root) or self.is_read_besides(root, nodes)

    def is_copied(self, root: str) -> bool:
        """Whether an output is a copy of a root."""
        return any(self.root_of(tensor) == root for tensor, _ in self.copies)

    def is_read_besides(self, root: str, nodes: frozenset[str]) -> bool:
        """Whether something besides the nodes reads a root."""
        return any(node.name not in nodes for node in self.readers.get(root, []))

    def is_handed_over(self, root: str) -> bool:
        """Whether rows of a streamed output are those of a root."""
        return any(self.root_of(name) == root for name in self._streamed_outputs)

    def leaves_row_by_row(self, root: str) -> bool:
        """Whether the rows of an output that waits in the arena need to live no longer than that."""
        return self.in_arena(root) and not self.readers.get(root)

    def has_plain_rows(self, root: str) -> bool:
        """Whether all who read a root see its rows as they are, not another shape of them."""
        rows = (self.height(root), self.row_bytes(root))
        read = [name for node in self.readers.get(root, []) for name in node.inputs]
        names = {name for name in (*read, *self._streamed_outputs) if self.root_of(name) == root}
        return all((self.height(name), self.row_bytes(name)) == rows for name in names)


def constant_operand(tensor: Tensor) -> Operand:
    """A constant in flash, as large as it is."""
    assert tensor.data is not None
    height, width, channels = map_size(tensor.shape)
    row_bytes = width * channels * DTYPE_BYTES[tensor.dtype]
    return Operand(
        tensor.name,
        "constant",
        bytes=tensor.bytes,
        pixels=height * width,
        row_bytes=row_bytes,
        ring_rows=height,
        data=tensor.data,
    )
