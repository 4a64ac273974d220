# SPDX-License-Identifier: Apache-2.0
"""Segments of a placed plan whose overlaps do not hold together with those of their neighbours.

The search takes every segment's output to overtake its input as far as the two allow. Of segments
side by side that may contradict: a map that lies at the low end of the one in front cannot lie at
the high end of the one behind. Such a plan needs more than the search took it to; where its
segments count as if nothing overlapped, the search finds others.
"""

from __future__ import annotations

from edgekit.converters.schedule.facts import Facts
from edgekit.converters.schedule.plan import Plan
from edgekit.program import Image

NOT_WORTH_IT = 0.01
"""The share of an arena above its lower bound from which on other plans are looked for."""


def crowded_segments(plan: Plan, image: Image, facts: Facts) -> frozenset[tuple[int, int]]:
    """The segments (first item, behind the last) in which the topmost buffers are made and read.

    Empty where the plan needs what the search took it to need.
    """
    if image.arena_bytes - image.arena_lower_bound_bytes <= NOT_WORTH_IT * image.arena_bytes:
        return frozenset()
    program = image.program
    steps = {
        program.step_at(position)
        for buffer in program.buffers
        if image.offsets[buffer.name] + buffer.bytes == image.arena_bytes
        for position in (buffer.first, buffer.last)
    }
    layers = {program.steps[step].layer for step in steps}
    numbers = {item.name: number for number, item in enumerate(facts.items)}
    found = set()
    for segment in plan.segments:
        items = [numbers[name] for name in segment.nodes if name in numbers]
        if items and not layers.isdisjoint(segment.nodes):
            first = 0 if segment is plan.segments[0] else min(items)
            found.add((first, max(items) + 1))
    return frozenset(found)
