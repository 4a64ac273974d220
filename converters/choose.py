# SPDX-License-Identifier: Apache-2.0
"""Choose the kernel and the layouts of every layer, whatever the schedule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgekit.errors import UnsupportedError
from edgekit.ir import Call, QGraph, Tensor
from edgekit.kernel import Binding, Kernel
from edgekit.layout import NHWC, Layout
from edgekit.ops import operator_of
from edgekit.program import MAX_MAPS, MAX_ROWS
from edgekit.target import Target


@dataclass(frozen=True)
class Choice:
    """The kernel of a layer and the layouts of its activations.

    accumulating: the kernel that takes the input row by row, where there is one.
    """

    kernel: Kernel
    binding: Binding
    accumulating: Kernel | None = None


def choose(graph: QGraph, target: Target, *, kernels: str = "auto") -> dict[str, Choice]:
    """The choice of every node that is not a view, by name.

    kernels: "auto" takes the cheapest kernel of the target's instruction sets, "reference" the
    plain C ones.

    Raises:
        UnsupportedError: no kernel serves a layer; all such layers are named.
    """
    isa = ("ref",) if kernels == "reference" else target.isa
    return _choose_layouts(graph, _choose_kernels(graph, isa))


def _candidates(call: Call, isa: Sequence[str]) -> list[Kernel]:
    """The kernels that accept a call, cheapest first."""
    found = [
        kernel
        for kernel in operator_of(call.node).kernels
        if kernel.isa in isa and _refusal(call, kernel) is None
    ]
    return sorted(found, key=lambda kernel: (kernel.instructions(call), kernel.symbol))


def _refusal(call: Call, kernel: Kernel) -> str | None:
    """Why a kernel cannot serve a call, or None; the drivers hold a limited number of pointers."""
    operator = operator_of(call.node)
    operands = len(operator.runtime_operands(call))
    row_map = operator.row_map(call)
    rows = operands * (row_map.kernel if row_map else 1)
    if kernel.kind == "map" and operands > MAX_MAPS:
        return f"{operands} operands are more than {MAX_MAPS}; split the node"
    if kernel.kind == "rows" and not kernel.accumulates and rows > MAX_ROWS:
        return f"its window spans {rows} rows, more than {MAX_ROWS}; use a smaller kernel"
    return kernel.refusal(call)


def _choose_kernels(graph: QGraph, isa: Sequence[str]) -> dict[str, list[Kernel]]:
    problems = []
    chosen = {}
    for call in graph.calls():
        if operator_of(call.node).is_view:
            continue
        found = _candidates(call, isa)
        chosen[call.node.name] = found
        if not any(_reads_nhwc_only(call, k) and not k.accumulates for k in found):
            served = (k for k in operator_of(call.node).kernels if k.isa in isa)
            reasons = {_refusal(call, kernel) for kernel in served} - {None}
            detail = "; ".join(sorted(str(reason) for reason in reasons)) or "no kernel serves it"
            problems.append(f"{call.node}: {detail}")
    if problems:
        raise UnsupportedError(*problems)
    return chosen


def _reads_nhwc_only(call: Call, kernel: Kernel) -> bool:
    return all(layout == NHWC for layout in kernel.input_layouts(call))


def _choose_layouts(graph: QGraph, candidates: Mapping[str, list[Kernel]]) -> dict[str, Choice]:
    """The cheapest kernel whose input layout its producers can write, for every node."""
    consumers, producers = graph.consumers(), graph.producer()
    ports = {port.tensor for port in (*graph.inputs, *graph.outputs)}
    kernels: dict[str, Kernel] = {}
    layouts: dict[str, Layout] = {}

    def can_be_planar(tensor: Tensor) -> bool:
        producer = producers.get(tensor.name)
        if producer is None or producer.name not in kernels or tensor.name in ports:
            return False
        return len(consumers[tensor.name]) == 1 and "row_planar" in kernels[producer.name].writes

    for call in graph.calls():
        for kernel in candidates.get(call.node.name, ()):
            if kernel.accumulates:
                continue
            wanted = dict(zip(call.activations, kernel.input_layouts(call), strict=True))
            if all(layout == NHWC or can_be_planar(t) for t, layout in wanted.items()):
                kernels[call.node.name] = kernel
                layouts.update((tensor.name, layout) for tensor, layout in wanted.items())
                break
    return {
        call.node.name: Choice(
            kernels[call.node.name],
            _binding(call, kernels[call.node.name], layouts),
            next((k for k in candidates[call.node.name] if k.accumulates), None),
        )
        for call in graph.calls()
        if call.node.name in kernels
    }


def _binding(call: Call, kernel: Kernel, layouts: Mapping[str, Layout]) -> Binding:
    inputs = tuple(layouts.get(tensor.name, NHWC) for tensor in call.activations)
    output = layouts.get(call.output.name, NHWC)
    nhwc = all(layout == NHWC for layout in (*inputs, output))
    return Binding(inputs, output, kernel.flat and nhwc and operator_of(call.node).flattens(call))
