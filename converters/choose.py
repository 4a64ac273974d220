# SPDX-License-Identifier: Apache-2.0
"""Choose the kernel and the layouts of every layer, whatever the schedule."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from edgekit.costs import Costs, load_costs
from edgekit.errors import UnsupportedError
from edgekit.ir import Call, QGraph, Tensor
from edgekit.kernel import Binding, Kernel
from edgekit.layout import NHWC, Layout
from edgekit.ops import operator_of
from edgekit.program import MAX_MAPS, MAX_ROWS
from edgekit.target import Target

MODEL_ERROR = 0.05
"""Estimates of two kernels that differ by less say nothing: see benchmarks/kernels.py."""
RARE_SHARE = 1 / 1000
"""A kernel that saves a smaller share of the instructions of a model is not worth its code."""


@dataclass(frozen=True)
class Choice:
    """The kernel of a layer and the layouts of its activations.

    accumulating: the kernel that takes the input row by row, where there is one. costs: those of the
    target that it was chosen for. compact: another choice of two layers with a map in a faster
    layout between them; with it, the map is NHWC, whose rows have no padding. Both layers of a pair
    take it, or none (PlannedPair).
    """

    kernel: Kernel
    binding: Binding
    accumulating: Kernel | None
    costs: Costs
    compact: Choice | None = None


def choose(graph: QGraph, target: Target, *, kernels: str = "auto") -> dict[str, Choice]:
    """The choice of every node that is not a view, by name.

    kernels: "auto" takes the cheapest kernel of the target's instruction sets, "reference" the
    plain C ones.

    Raises:
        UnsupportedError: no kernel serves a layer; all such layers are named.
    """
    isa = ("ref",) if kernels == "reference" else target.isa
    costs = load_costs(target)
    return _choose_layouts(graph, _choose_kernels(graph, isa, costs), costs)


def _candidates(call: Call, isa: Sequence[str], costs: Costs) -> list[Kernel]:
    """The kernels that accept a call, cheapest first.

    Of the same loops, those come first whose output may overtake the input.
    """
    found = {
        kernel: costs.instructions(kernel, call)
        for kernel in operator_of(call.node).kernels
        if kernel.isa in isa and _refusal(call, kernel) is None
    }
    return sorted(
        (kernel for kernel in found if not _has_flat_rival(call, kernel, found)),
        key=lambda kernel: (found[kernel], kernel.write_behind is None, kernel.symbol),
    )


def _has_flat_rival(call: Call, kernel: Kernel, found: Mapping[Kernel, float]) -> bool:
    """Whether a kernel of whole maps, which needs less scratch and calls, is as fast to the model."""
    return not kernel.flat and any(
        rival.flat
        and rival.isa == kernel.isa
        and set(kernel.writes) <= set(rival.writes)
        and rival.input_layouts(call) == kernel.input_layouts(call)
        and instructions <= (1 + MODEL_ERROR) * found[kernel]
        for rival, instructions in found.items()
    )


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


def _choose_kernels(graph: QGraph, isa: Sequence[str], costs: Costs) -> dict[str, list[Kernel]]:
    problems = []
    chosen = {}
    for call in graph.calls():
        if operator_of(call.node).is_view:
            continue
        found = _candidates(call, isa, costs)
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


LayoutKind = Literal["nhwc", "row_planar"]


@dataclass(frozen=True)
class _Cheapest:
    """The kernel that makes a layer cheapest in one layout of its output.

    instructions: its own, and what its producers take more to write the layouts that it reads.
    """

    instructions: float
    kernel: Kernel


class _Layouts:
    """Choices whose instructions are the least in sum.

    Only a tensor that one layer reads may be row-planar, so what a layout costs its producer is
    paid for by one consumer alone, and walking the layers in their order finds the least sum.
    """

    def __init__(self, graph: QGraph, candidates: Mapping[str, list[Kernel]], costs: Costs) -> None:
        self._costs = costs
        self._candidates = candidates
        self._consumers, self._producers = graph.consumers(), graph.producer()
        self._ports = {port.tensor for port in (*graph.inputs, *graph.outputs)}
        self._cheapest: dict[str, dict[LayoutKind, _Cheapest]] = {}
        self._calls = [call for call in graph.calls() if call.node.name in candidates]
        for call in self._calls:
            self._cheapest[call.node.name] = self._cheapest_of(call)

    def chosen(self) -> tuple[dict[str, Kernel], dict[str, Layout]]:
        """The kernel of every layer, and the layouts of the tensors that kernels read."""
        kernels: dict[str, Kernel] = {}
        layouts: dict[str, Layout] = {}
        for call in reversed(self._calls):
            kind = layouts.get(call.output.name, NHWC).kind
            kernel = self._cheapest[call.node.name][kind].kernel
            kernels[call.node.name] = kernel
            wanted = zip(call.activations, kernel.input_layouts(call), strict=True)
            layouts.update((tensor.name, layout) for tensor, layout in wanted if layout != NHWC)
        return kernels, layouts

    def _cheapest_of(self, call: Call) -> dict[LayoutKind, _Cheapest]:
        found: dict[LayoutKind, _Cheapest] = {}
        for kernel in self._candidates[call.node.name]:
            extra = self._extra_of_producers(call, kernel)
            if kernel.accumulates or extra is None:
                continue
            total = self._costs.instructions(kernel, call) + extra
            for kind in kernel.writes:
                if kind not in found or total < found[kind].instructions:
                    found[kind] = _Cheapest(total, kernel)
        return found

    def _extra_of_producers(self, call: Call, kernel: Kernel) -> float | None:
        """What producers take more for the layouts that a kernel reads; None: one cannot write it."""
        extra = 0.0
        for tensor, layout in zip(call.activations, kernel.input_layouts(call), strict=True):
            if layout != NHWC:
                ways = self._ways_to_write(tensor)
                if layout.kind not in ways:
                    return None
                extra += ways[layout.kind].instructions - ways["nhwc"].instructions
        return extra

    def _ways_to_write(self, tensor: Tensor) -> Mapping[LayoutKind, _Cheapest]:
        producer = self._producers.get(tensor.name)
        alone = len(self._consumers[tensor.name]) == 1 and tensor.name not in self._ports
        if producer is None or not alone:
            return {}
        return self._cheapest.get(producer.name, {})


def _choose_layouts(
    graph: QGraph, candidates: Mapping[str, list[Kernel]], costs: Costs
) -> dict[str, Choice]:
    """The kernels and layouts that take the least instructions in sum, but for rare kernels."""
    kernels, layouts = _Layouts(graph, candidates, costs).chosen()
    calls = [call for call in graph.calls() if call.node.name in kernels]
    rare = RARE_SHARE * sum(costs.instructions(kernels[call.node.name], call) for call in calls)
    kernels |= _plain_for_rare(calls, candidates, kernels, layouts, costs, rare)
    chosen = {}
    for call in calls:
        kernel = kernels[call.node.name]
        accumulating = _accumulating(call, candidates[call.node.name], costs, rare)
        chosen[call.node.name] = Choice(
            kernel, _binding(call, kernel, layouts), accumulating, costs
        )
    return chosen | _with_compact(graph, candidates, chosen)


def _with_compact(
    graph: QGraph, candidates: Mapping[str, list[Kernel]], chosen: Mapping[str, Choice]
) -> dict[str, Choice]:
    """The choices of the layers at both ends of maps that are not NHWC, with compact ones."""
    producers, found = graph.producer(), {}
    for call in graph.calls():
        if call.node.name not in chosen or len(call.activations) != 1:
            continue
        node = producers.get(call.activations[0].name)
        if node is None or node.name not in chosen:
            continue
        ends = (graph.call(node), call)
        before, behind = (chosen[end.node.name].binding for end in ends)
        layouts = {*before.inputs, behind.output}
        if behind.inputs == (NHWC,) or layouts != {NHWC}:
            continue
        kernels = [_cheapest_of_nhwc(end, candidates[end.node.name]) for end in ends]
        for end, kernel in zip(ends, kernels, strict=True):
            if None not in kernels and kernel is not None:
                plain = chosen[end.node.name]
                compact = replace(plain, kernel=kernel, binding=_binding(end, kernel, {}))
                found[end.node.name] = replace(plain, compact=compact)
    return found


def _cheapest_of_nhwc(call: Call, candidates: Sequence[Kernel]) -> Kernel | None:
    kernels = (k for k in candidates if not k.accumulates and _reads_nhwc_only(call, k))
    return next((kernel for kernel in kernels if "nhwc" in kernel.writes), None)


def _accumulating(
    call: Call, candidates: Sequence[Kernel], costs: Costs, rare: float
) -> Kernel | None:
    """The cheapest kernel that takes rows, or the plain one where that saves no more than ``rare``."""
    found = {k: costs.instructions(k, call) for k in candidates if k.accumulates}
    least = min(found.values(), default=0.0)
    plain = (k for k, cost in found.items() if k.isa == "ref" and cost <= least + rare)
    return next(plain, next(iter(found), None))


def _plain_for_rare(
    calls: Sequence[Call],
    candidates: Mapping[str, list[Kernel]],
    kernels: Mapping[str, Kernel],
    layouts: Mapping[str, Layout],
    costs: Costs,
    rare: float,
) -> dict[str, Kernel]:
    """The plain kernels of layers whose faster one saves no more than ``rare``: not its code's worth."""
    found: dict[str, Kernel] = {}
    for symbol in sorted({kernel.symbol for kernel in kernels.values() if kernel.isa != "ref"}):
        own = [call for call in calls if kernels[call.node.name].symbol == symbol]
        plain = {call.node.name: _plain(call, candidates[call.node.name], layouts) for call in own}
        more = 0.0
        for call in own:
            other = plain[call.node.name]
            now = costs.instructions(kernels[call.node.name], call)
            more += costs.instructions(other, call) - now if other else math.inf
        if more <= rare:
            found |= {name: kernel for name, kernel in plain.items() if kernel is not None}
    return found


def _plain(
    call: Call, candidates: Sequence[Kernel], layouts: Mapping[str, Layout]
) -> Kernel | None:
    """The reference kernel of a layer, where it can write the layout that was chosen."""
    kind = layouts.get(call.output.name, NHWC).kind
    if any(tensor.name in layouts for tensor in call.activations):
        return None
    plain = (kernel for kernel in candidates if kernel.isa == "ref" and not kernel.accumulates)
    return next((kernel for kernel in plain if kind in kernel.writes), None)


def _binding(call: Call, kernel: Kernel, layouts: Mapping[str, Layout]) -> Binding:
    inputs = tuple(layouts.get(tensor.name, NHWC) for tensor in call.activations)
    output = layouts.get(call.output.name, NHWC)
    nhwc = all(layout == NHWC for layout in (*inputs, output))
    return Binding(inputs, output, kernel.flat and nhwc and operator_of(call.node).flattens(call))
