# SPDX-License-Identifier: Apache-2.0
"""What the nodes of an exported module become, asked before the module is quantized.

The walk is that of the importer; only the borders differ. Samples count as one: what is trained has
batches, and a batch norm that is trained is no function of one sample, so its result is just a map.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgekit.converters.nchw.graph import Activation
from edgekit.converters.torch.program import ProgramReader, node_label
from edgekit.ir import Call, Shape


@dataclass(frozen=True)
class SurveyedNode:
    """A call of the module: its tensor (None where it has several results), and its calls of ours.

    ``inputs`` are the nodes that it reads whose values are activations, ``constants`` the others
    that hold tensors.
    """

    node: Any
    op: str
    tensor: str | None
    calls: tuple[Call, ...]
    inputs: tuple[Any, ...]
    constants: tuple[Any, ...]


class ModuleSurvey(ProgramReader):
    """One walk over the graph of a ``torch.fx.GraphModule`` that ``torch.export`` made."""

    def __init__(self, torch: Any, module: Any) -> None:
        super().__init__(torch, module, "module")
        self.refused: set[Any] = set()

    def nodes(self) -> list[SurveyedNode]:
        """The inputs and calls of the module, in order; what cannot be mapped is left out."""
        found = []
        for node in self.program.graph.nodes:
            first = len(self.builder.nodes)
            if node.op == "placeholder":
                self._read_port(node)
            elif node.op == "get_attr":
                self.values[node] = _attribute(self.program, node.target)
            elif node.op == "call_function":
                self._read_call(node)
            if node.op in ("placeholder", "call_function") and node not in self.refused:
                found.append(self._surveyed(node, first))
        return [entry for entry in found if entry is not None]

    def _read_port(self, node: Any) -> None:
        fake = node.meta.get("val")
        if isinstance(fake, self.torch.Tensor) and (shape := self._result_shape(fake)) is not None:
            self.values[node] = self.builder.placeholder(node.name, shape)

    def _result_shape(self, fake: Any) -> Shape | None:
        """The shape of the result for a batch of one."""
        sizes = tuple(fake.shape)[1:]
        if not all(isinstance(size, int) for size in sizes):
            return None
        return (1, *sizes) if fake.ndim else ()

    def _mapped(self, node: Any, label: str) -> Any:
        label = label.removesuffix("_")  # in-place forms
        if label in ("dropout", "feature_dropout"):
            return self.values.get(node.args[0])
        if label == "batch_norm" and self._arguments(node).get("training"):
            return self._unknown(node)
        return super()._mapped(node, label)

    def _unknown(self, node: Any) -> Any:
        if not node_label(node).startswith("batch_norm"):
            self.refused.add(node)
        return super()._unknown(node)

    def _surveyed(self, node: Any, first: int) -> SurveyedNode | None:
        value = self.values.get(node)
        if value is None or isinstance(value, self.torch.Tensor):
            return None
        tensors = self.builder.tensors
        calls = tuple(
            Call(n, tuple(tensors[i] for i in n.inputs), tuple(tensors[o] for o in n.outputs))
            for n in self.builder.nodes[first:]
        )
        sources = [(source, self.values.get(source)) for source in node.all_input_nodes]
        return SurveyedNode(
            node,
            node_label(node).removesuffix("_"),
            value.tensor if isinstance(value, Activation) else None,
            calls,
            tuple(source for source, v in sources if isinstance(v, Activation)),
            tuple(source for source, v in sources if isinstance(v, self.torch.Tensor)),
        )


def _attribute(module: Any, path: str) -> Any:
    value = module
    for part in path.split("."):
        value = getattr(value, part)
    return value
