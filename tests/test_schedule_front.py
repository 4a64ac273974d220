# SPDX-License-Identifier: Apache-2.0
"""Fronts against the definition, and a search that lets an interrupt through."""

from __future__ import annotations

import contextlib
import sys
from types import FrameType
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.graphs import SAME_3, GraphBuilder, square

from edgekit.converters.choose import choose
from edgekit.converters.schedule.facts import Facts
from edgekit.converters.schedule.front import distinct, fronts
from edgekit.converters.schedule.gather import gather_facts
from edgekit.converters.schedule.search import search
from edgekit.ops.add import Add
from edgekit.target import load_target

Point = tuple[int, int, int, int, int, int]
"""(group, first other, second other, size, value, tie)"""


def points(most: int) -> st.SearchStrategy[list[Point]]:
    small = st.integers(0, 4)
    parts = (st.integers(0, 2), small.map(lambda x: x - 2), small, small, small, st.integers(0, 2))
    return st.lists(st.tuples(*parts), max_size=most)


def expected(found: list[Point], others: int) -> list[int]:
    """By the definition, point for point."""
    columns = [(p[0], *p[1 : 1 + others], p[3], p[4]) for p in found]

    def loses(i: int, j: int) -> bool:
        if columns[i][0] != columns[j][0] or i == j:
            return False
        as_good = all(a <= b for a, b in zip(columns[j], columns[i], strict=True))
        return as_good and (columns[j] != columns[i] or (found[j][5], j) < (found[i][5], i))

    kept = [i for i in range(len(found)) if not any(loses(i, j) for j in range(len(found)))]
    return sorted(kept, key=lambda i: columns[i][:-1])


def kept(found: list[Point], others: int) -> list[int]:
    values = np.array(found, np.int64).reshape(-1, 6)
    size, value, tie = values[:, 3], values[:, 4].astype(float), values[:, 5].astype(float)
    indices: list[int] = fronts(values[:, 0], size, value, tie, values[:, 1 : 1 + others]).tolist()
    return indices


@pytest.mark.parametrize("few", [0, 5, 100], ids=lambda few: f"pairs_up_to_{few}")
@pytest.mark.parametrize("others", [0, 1, 2])
@given(found=points(40))
def test_front_is_what_nothing_dominates(few: int, others: int, found: list[Point]) -> None:
    with mock.patch("edgekit.converters.schedule.front.FEW", few):
        assert kept(found, others) == expected(found, others)


def test_front_of_values_that_fill_their_bits() -> None:
    """More bits than one key of the order can hold."""
    huge = 2**40
    found = [(g, -huge * g, huge + s, s * huge, v, 0) for g in (0, 1) for s, v in ((0, 2), (1, 1))]
    assert kept(found, 2) == expected(found, 2) == [0, 1, 2, 3]


@given(found=points(30))
def test_distinct_points_are_counted_once(found: list[Point]) -> None:
    columns = list(np.array(found, np.int64).reshape(-1, 6).T[:3])
    one_of, number = distinct(columns)
    rows = [p[:3] for p in found]
    assert [rows[i] for i in one_of] == sorted(set(rows))
    assert [rows[one_of[n]] for n in number] == rows


class Interrupt(BaseException):
    """What a signal handler raises."""


def a_shortcut() -> Facts:
    b = GraphBuilder("shortcut", seed=3)
    x = b.conv2d(b.input("image", (1, 12, 10, 3)), 4, square(SAME_3))
    y = b.conv2d(b.depthwise(b.conv2d(x, 8), square(SAME_3)), 4)
    graph = b.graph(b.conv2d(b.node("add", Add(), x, y), 6))
    return gather_facts(graph, choose(graph, load_target("cortex-m4")), "resident")


def test_an_interrupt_of_the_search_arrives_as_it_is() -> None:
    """numpy compares structured arrays with Python's help, and makes a TypeError of what that raises."""
    facts = a_shortcut()

    def interrupt(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code.co_name == "_promote_fields":
            raise Interrupt

    before = sys.getprofile()
    sys.setprofile(interrupt)
    try:
        with contextlib.suppress(Interrupt):
            search(facts)
    finally:
        sys.setprofile(before)
