# SPDX-License-Identifier: Apache-2.0
"""Ways to run segments with the same end, from all beginnings on."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.converters.schedule.plan import PlannedSegment
from edgekit.ir import Array


@dataclass(frozen=True, eq=False)
class Ways:
    """Ways to run segments that end alike; one entry of each array for each.

    first: the first item. run: one number for those that begin alike and were found together, one
    behind the other. segment: makes that of a way.
    """

    first: Array
    run: Array
    peak: Array
    cost: Array
    macs: Array
    segment: Callable[[int], PlannedSegment]

    def __len__(self) -> int:
        return len(self.first)

    def by_first(self) -> Ways:
        """The same, those that begin first in front."""
        order = np.argsort(self.first, kind="stable")
        return Ways(
            self.first[order],
            self.run[order],
            self.peak[order],
            self.cost[order],
            self.macs[order],
            lambda way: self.segment(int(order[way])),
        )


def one_way(first: int, peak: int, cost: float, macs: int, planned: PlannedSegment) -> Ways:
    """The only way of some segment."""
    zero = np.zeros(1, np.int64)
    return Ways(
        zero + first, zero, zero + peak, zero + float(cost), zero + macs, lambda way: planned
    )


def together(parts: Sequence[Ways]) -> Ways:
    """All ways, one part behind the other."""
    if len(parts) == 1:
        return parts[0]
    begins = [0, *itertools.accumulate(len(part) for part in parts)]
    runs = [0, *itertools.accumulate(int(part.run.max(initial=-1)) + 1 for part in parts)]

    def segment(way: int) -> PlannedSegment:
        number = int(np.searchsorted(begins, way, side="right")) - 1
        return parts[number].segment(way - begins[number])

    return Ways(
        np.concatenate([part.first for part in parts]),
        np.concatenate([part.run + run for part, run in zip(parts, runs, strict=False)]),
        np.concatenate([part.peak for part in parts]),
        np.concatenate([part.cost for part in parts]),
        np.concatenate([part.macs for part in parts]),
        segment,
    )
