# SPDX-License-Identifier: Apache-2.0
"""Pairs that keep the map between them in NHWC, where a faster layout pads its rows.

Row-planar rows of a narrow map are up to half padding. Where bytes count more than time, a pair may
take the kernels that read and write plain rows: a second choice of kernels, of which the search
takes as many pairs as it likes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from edgekit.converters.choose import Choice
from edgekit.converters.schedule.facts import Facts, gather_facts
from edgekit.converters.schedule.plan import NOTHING_TWICE, Repeats
from edgekit.ir import QGraph
from edgekit.program import InputMode, OutputMode


def facts_with_compact_pairs(
    graph: QGraph,
    choices: Mapping[str, Choice],
    input_mode: InputMode,
    output_mode: OutputMode = "resident",
    *,
    repeats: Repeats = NOTHING_TWICE,
) -> Facts:
    """What gather_facts finds, and the compact pairs (Choice.compact)."""
    facts = gather_facts(graph, choices, input_mode, output_mode, repeats=repeats)
    ends = {name for name, choice in choices.items() if choice.compact}
    if not ends:
        return facts
    compact = gather_facts(
        graph,
        {name: choice.compact or choice for name, choice in choices.items()},
        input_mode,
        output_mode,
        repeats=repeats,
        compact=ends,
    )
    return _with_pairs(facts, compact)


def _with_pairs(facts: Facts, compact: Facts) -> Facts:
    """Both kinds of pairs; where one kind alone runs in a way, the rows in front of it are its own."""
    pairs, rings = dict(facts.pairs), {way: dict(rows) for way, rows in facts.rings.items()}
    for index, options in compact.pairs.items():
        known = {option.planned.primitive for option in pairs.get(index, ())}
        pairs[index] = (*pairs.get(index, ()), *options)
        for way in rings.keys() - known:
            own = compact.rings[way]
            rings[way] |= {read: own[read] for read in facts.reads[index] if read in own}
    return dataclasses.replace(facts, pairs=dict(sorted(pairs.items())), rings=rings)
