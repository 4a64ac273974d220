# SPDX-License-Identifier: Apache-2.0
"""Fronts of nondominated points: no other point is at most as bad in every respect."""

from __future__ import annotations

import numpy as np

from edgekit.ir import Array


def front(size: Array, value: Array, tie: Array) -> Array:
    """Indices of the points that no other one dominates in (size, value), by ascending size.

    Of equal points the one with the least tie, then the first, is kept.
    """
    order = np.lexsort((tie, value, size))
    best = np.minimum.accumulate(np.append(np.inf, value[order]))[:-1]
    kept: Array = order[value[order] < best]
    return kept


def front_within(size: Array, value: Array, tie: Array, others: Array) -> Array:
    """The same where ``others`` (points, measures) count too; less is better in all of them."""
    if others.shape[1] == 0:
        return front(size, value, tie)
    keys, group_of = np.unique(others, axis=0, return_inverse=True)
    group_of = group_of.ravel()
    kept: list[Array] = []
    for number, key in enumerate(keys):
        members = np.flatnonzero(group_of == number)
        members = members[front(size[members], value[members], tie[members])]
        better = np.flatnonzero((keys[:number] <= key).all(axis=1))
        if len(better):
            others_kept = np.concatenate([kept[i] for i in better])
            members = members[~_dominated(size, value, members, others_kept)]
        kept.append(members)
    return np.concatenate(kept) if kept else np.zeros(0, np.int64)


def _dominated(size: Array, value: Array, members: Array, others: Array) -> Array:
    """Which members one of the others is at most as bad as."""
    order = others[np.argsort(size[others])]
    best = np.minimum.accumulate(value[order])
    at = np.searchsorted(size[order], size[members], side="right") - 1
    found: Array = (at >= 0) & (best[np.maximum(at, 0)] <= value[members])
    return found
