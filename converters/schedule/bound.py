# SPDX-License-Identifier: Apache-2.0
"""Branch and bound for the search: flows that cannot be part of any plan better than a known one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.converters.schedule.facts import Facts, Item, PairOption
from edgekit.converters.schedule.flows import Flows, Goal
from edgekit.ir import Array

ROUNDING = 1e-9
"""Relative error of a sum of costs, generously: sums of other orders differ in their last digits."""


@dataclass(frozen=True, eq=False)
class KnownPlans:
    """Bytes, costs and MACs of some plans of a model."""

    peak: Array
    cost: Array
    macs: Array


class Bound:
    """Compares the least that a plan with a flow can take with what known plans take.

    A plan costs what its segments cost together, so the layers in front of a flow and behind it add
    at least the least that layers and pairs cost which cover them, whatever their bytes.

    every: what is known of the model, whole and in strips. waiting: bytes of the maps that are there
    before each item, for it or those behind it.
    """

    def __init__(
        self, goal: Goal, known: KnownPlans, *, every: Sequence[Facts], waiting: Array
    ) -> None:
        self._goal, self._waiting = goal, waiting
        self._limited = goal.others(known.macs).shape[1] > 0
        self._peak, self._macs = known.peak, known.macs
        self._value = goal.value(known.cost, known.macs)
        self._cost = _Outside(
            every, lambda item: min(item.cost, item.whole_cost), lambda pair: pair.cost
        )
        self._macs_outside = _Outside(every, lambda item: item.macs, lambda pair: pair.macs)

    def may_be_better(self, flows: Flows) -> Array:
        """Which flows no known plan shows to be useless."""
        size = flows.kept + flows.working + self._waiting[flows.first]
        macs = flows.macs + self._macs_outside.of(flows)
        value = self._goal.value(flows.cost + self._cost.of(flows), macs)
        worse = self._value[:, None] < value * (1 - ROUNDING)
        worse &= self._peak[:, None] <= size
        if self._limited:
            worse &= self._macs[:, None] <= macs
        useful: Array = ~worse.any(axis=0)
        return useful


class _Outside:
    """The least that the items in front of a flow, and behind it, take together."""

    def __init__(
        self,
        every: Sequence[Facts],
        of_item: Callable[[Item], float],
        of_pair: Callable[[PairOption], float],
    ) -> None:
        alike = zip(*(facts.items for facts in every), strict=True)
        items = [min(map(of_item, forms)) for forms in alike]
        pairs: dict[int, float] = {}
        for facts in every:
            for index, options in facts.pairs.items():
                least = min(map(of_pair, options), default=math.inf)
                pairs[index] = min(pairs.get(index, math.inf), least)
        turned = {len(items) - 2 - index: least for index, least in pairs.items()}
        self._before = _least_sums(items, pairs)
        self._behind = _least_sums(items[::-1], turned)[::-1]

    def of(self, flows: Flows) -> Array:
        total: Array = self._before[flows.first] + self._behind[flows.end]
        return total


def _least_sums(items: Sequence[float], pairs: Mapping[int, float]) -> Array:
    """The least that the first 0, 1, 2, ... items take, alone or in pairs."""
    sums = [0.0]
    for index, item in enumerate(items):
        alone = sums[index] + item
        pair = pairs.get(index - 1)
        sums.append(alone if pair is None else min(alone, sums[index - 1] + pair))
    return np.array(sums)
