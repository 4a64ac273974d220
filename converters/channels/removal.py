# SPDX-License-Identifier: Apache-2.0
"""Which channels can go: the greatest set that every reader and every producer agrees with.

A channel goes where all its readers do without it: a sum takes it as a constant into its bias or
has only zeros for it, and an operator that keeps channels apart loses its output channel too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from edgekit.arith import INT32_MAX
from edgekit.converters.channels.bounds import Bounds, channel_count
from edgekit.converters.channels.flow import MIXING, links_of
from edgekit.converters.channels.sums import absorbed, columns_of_channels
from edgekit.ir import Array, Call, QGraph
from edgekit.ops._weighted import INPUT, WEIGHTS, bias_of

Marks = dict[str, Array]
"""Tensor name -> True for every channel that goes."""


@dataclass(frozen=True, eq=False)
class _Sum:
    """What a mixing call does without: (outputs, columns), and the channel of each column."""

    can_go: Array
    channels: Array


def removable_channels(graph: QGraph, bounds: Mapping[str, Bounds]) -> Marks:
    """The channels that can go, of every activation; at least one of each stays."""
    marks = {
        tensor.name: np.ones(channel_count(tensor), bool)
        for tensor in graph.tensors.values()
        if not tensor.is_constant
    }
    for port in (*graph.inputs, *graph.outputs):
        if port.tensor in marks:
            marks[port.tensor][:] = False
    rules = [_rule(call, bounds) for call in graph.calls()]
    _settle(marks, rules)
    for name, mark in marks.items():
        if mark.all():
            marks[name][0] = False
            _settle(marks, rules)
    return marks


def _settle(marks: Marks, rules: list[Callable[[Marks], bool]]) -> None:
    """Apply all rules until none takes a mark away."""
    changed = True
    while changed:
        changed = False
        for rule in reversed(rules):
            changed |= rule(marks)


def _rule(call: Call, bounds: Mapping[str, Bounds]) -> Callable[[Marks], bool]:
    """Takes away the marks that a call disagrees with; True where it took one."""
    if call.node.op in MIXING and (part := _sum_of(call, bounds)) is not None:
        return lambda marks: _sum_rule(call, part, marks)
    links = links_of(call)
    if links is None:
        names = [tensor.name for tensor in (*call.activations, call.output)]
        return lambda marks: any(_keep(marks, name, marks[name]) for name in names)
    return lambda marks: any(
        _link_rule(call, position, pairs, marks) for position, pairs in links.items()
    )


def _keep(marks: Marks, name: str, channels: Array) -> bool:
    """Take the marks of ``channels`` (a mask) away."""
    changed = bool((marks[name] & channels).any())
    marks[name] &= ~channels
    return changed


def _link_rule(call: Call, position: int, links: Array, marks: Marks) -> bool:
    source, result = call.inputs[position].name, call.output.name
    inputs, outputs = links.T
    stays = ~(marks[source][inputs] & marks[result][outputs])
    kept_inputs = np.zeros(len(marks[source]), bool)
    kept_inputs[inputs[stays]] = True
    kept_outputs = np.zeros(len(marks[result]), bool)
    kept_outputs[outputs[stays]] = True
    return _keep(marks, source, kept_inputs) | _keep(marks, result, kept_outputs)


def _sum_rule(call: Call, part: _Sum, marks: Marks) -> bool:
    can_go = part.can_go[~marks[call.output.name]].all(axis=0)
    kept = np.zeros(len(marks[call.inputs[INPUT].name]), bool)
    kept[part.channels[~can_go]] = True
    return _keep(marks, call.inputs[INPUT].name, kept)


def _sum_of(call: Call, bounds: Mapping[str, Bounds]) -> _Sum | None:
    """None for groups, and for matrices whose columns do not belong to one channel each."""
    source = bounds[call.inputs[INPUT].name]
    weights = call.constant(WEIGHTS)
    channels: Array | None = np.arange(len(source.low))
    if call.node.op == "fully_connected":
        channels = columns_of_channels(call)
    if channels is None or len(channels) != weights.shape[-1]:
        return None
    unread = ~weights.reshape(len(weights), -1, weights.shape[-1]).any(axis=1)
    constants = source.at(channels)
    amounts, everywhere = absorbed(call, constants.low)
    foldable = everywhere & constants.is_constant & (call.inputs[INPUT].dtype == "int8")
    totals = np.abs(np.where(foldable, amounts, 0)).sum(axis=1)
    totals += np.abs(bias_of(call, len(weights)).astype(np.int64))
    return _Sum(unread | (foldable & (totals <= INT32_MAX)[:, None]), channels)
