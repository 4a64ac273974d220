# SPDX-License-Identifier: Apache-2.0
"""Fronts of nondominated points: no other point is at most as bad in every respect."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgekit.ir import Array

FEW = 160
"""Groups of up to so many points are compared pair by pair, all groups in one."""
KEY_BITS = 63
LARGEST = 2**KEY_BITS - 1


def fronts(group: Array, size: Array, value: Array, tie: Array, others: Array) -> Array:
    """Indices of the points that no other one of their group dominates in (size, value, others).

    others: (points, measures); less is better in all of them. Of equal points the one with the least
    tie, then the first, is kept. The indices go by group, then by the others, then by size.
    """
    keys = _packed([group, *others.T])
    order: Array = np.lexsort((tie, value, size, *keys[::-1]))
    alike = np.cumsum(_steps([key[order] for key in keys]))
    falls = _falls(alike, value[order])
    order, alike = order[falls], alike[falls]
    if others.shape[1] == 0:
        return order
    # Whatever dominates a point is in front of it in this order.
    measures = [value[order], size[order], *others[order].T[::-1]]
    begins = np.flatnonzero(_steps([group[order]]))
    counts = np.diff(begins, append=len(order))
    kept = np.ones(len(order), np.bool_)
    few = counts <= FEW
    kept[_dominated_pairs(begins[few], counts[few], measures)] = False
    for begin, count in zip(begins[~few], counts[~few], strict=True):
        part = slice(begin, begin + count)
        kept[part] = _kept_of_many(alike[part], [measure[part] for measure in measures])
    found: Array = order[kept]
    return found


def _steps(columns: Sequence[Array]) -> Array:
    """Where points differ from those in front of them; the first one does."""
    steps: Array = np.any(
        [np.diff(column, prepend=column[:1] - 1) != 0 for column in columns], axis=0
    )
    return steps


def distinct(columns: Sequence[Array]) -> tuple[Array, Array]:
    """The index of one of all points that are equal in all columns, and of each point its number."""
    keys = _packed(columns)
    order = np.lexsort(keys[::-1])
    begins = _steps([key[order] for key in keys])
    number = np.empty(len(order), np.int64)
    number[order] = np.cumsum(begins) - 1
    return order[begins], number


def _packed(columns: Sequence[Array]) -> list[Array]:
    """Few integers for each point that are ordered like those of the columns, the first one first."""
    packed: list[Array] = []
    used = 0
    for column in columns:
        above = column - column.min(initial=LARGEST)
        bits = int(above.max(initial=0)).bit_length()
        if not packed or used + bits > KEY_BITS:
            packed.append(above)
            used = bits
        else:
            packed[-1] = packed[-1] << bits | above
            used += bits
    return packed


def _falls(group: Array, value: Array) -> Array:
    """Where a value is less than all in front of it in its group; groups ascend."""
    _, rank = np.unique(value, return_inverse=True)
    level = rank - group * (len(value) + 1)
    best = np.minimum.accumulate(np.append(1, level))[:-1]
    falls: Array = level < best
    return falls


def _dominated_pairs(begins: Array, counts: Array, measures: Sequence[Array]) -> Array:
    """The points that one in front of them, in the same group, is at most as bad as."""
    position = np.concatenate([np.arange(count) for count in counts] or [np.zeros(0, np.int64)])
    begin = np.repeat(begins, counts)
    second = np.repeat(begin + position, position)
    before = np.cumsum(position) - position
    first = np.arange(len(second)) - np.repeat(before - begin, position)
    for measure in measures:
        as_good = np.flatnonzero(measure[first] <= measure[second])
        first, second = first[as_good], second[as_good]
    return second


def _kept_of_many(alike: Array, measures: Sequence[Array]) -> Array:
    """Which points of one group no other one dominates; ``alike``: one number for equal others."""
    value, size, *others = measures
    begins = np.flatnonzero(_steps([alike]))
    ends = np.append(begins[1:], len(alike))
    keys = np.stack([other[begins] for other in others], axis=1)
    kept = np.ones(len(alike), np.bool_)
    by_size = np.argsort(size)
    value_by_size = value[by_size]
    set_by_size = np.repeat(np.arange(len(begins)), ends - begins)[by_size]
    smaller = np.searchsorted(size[by_size], size, side="right") - 1
    better = np.zeros(len(begins), np.bool_)
    for number, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        better[:number] = (keys[:number] <= keys[number]).all(axis=1)
        before = better[set_by_size] & kept[by_size]
        best = np.minimum.accumulate(np.where(before, value_by_size, np.inf))
        kept[begin:end] = best[smaller[begin:end]] > value[begin:end]
    return kept
