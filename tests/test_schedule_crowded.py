# SPDX-License-Identifier: Apache-2.0
"""Overlaps that do not hold together: another plan is found where the best one cannot be packed."""

from __future__ import annotations

from unittest import mock

from support.graphs import SAME_3, GraphBuilder, square

from edgekit.converters.plan_model import Budget, Planned, plan_model
from edgekit.ir import QGraph
from edgekit.ops.mean import Mean
from edgekit.ops.resize_nearest import ResizeNearest
from edgekit.target import load_target


def tail() -> QGraph:
    """Behind an input that takes most, the last layers of a MobileNetV2: narrow, then wide.

    The narrow map cannot lie at the low end of the one in front and at the high end of the one behind.
    """
    b = GraphBuilder("tail", seed=3)
    x = b.depthwise(b.input("image", (1, 14, 14, 20)), square(SAME_3))
    x = b.node("mean", Mean((1, 2), True), x)
    x = b.node("resize_nearest", ResizeNearest((0,) * 7, (0,) * 7), x)
    x = b.conv2d(b.conv2d(x, 72), 20)
    return b.graph(b.node("mean", Mean((1, 2), True), b.conv2d(x, 80)))


def planned(rounds: int) -> Planned:
    with mock.patch("edgekit.converters.plan_model.REPAIRS", rounds):
        return plan_model(
            tail(), load_target("cortex-m4"), Budget(input_mode="overwrite", max_extra_macs=0)
        )


def test_a_plan_that_packs_replaces_one_that_does_not() -> None:
    first, best = planned(1), planned(4)
    assert first.image.arena_bytes > 1.01 * first.image.arena_lower_bound_bytes
    assert best.image.arena_bytes < first.image.arena_bytes
