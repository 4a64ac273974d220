# SPDX-License-Identifier: Apache-2.0
"""Plans as JSON: what ``convert`` leaves in reference/plan.json, and ``--plan`` takes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import msgspec

from edgekit.converters.choose import Choice
from edgekit.converters.schedule.facts import Facts
from edgekit.converters.schedule.plan import Plan, PlannedPair, PlannedSegment, Split
from edgekit.errors import BadInputError
from edgekit.program import InputMode, OutputMode


class PlanFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A plan without its model; see Plan."""

    input_mode: InputMode
    output_mode: OutputMode
    segments: tuple[PlannedSegment, ...]
    computed_again: tuple[tuple[str, str], ...] = ()
    in_blocks: tuple[Split, ...] = ()


def plan_content(plan: Plan) -> PlanFile:
    """A plan without its model."""
    return PlanFile(
        input_mode=plan.input_mode,
        output_mode=plan.output_mode,
        segments=plan.segments,
        computed_again=plan.repeats.skips,
        in_blocks=plan.repeats.splits,
    )


def plan_text(plan: Plan) -> bytes:
    """The JSON of a plan, the same bytes on every machine."""
    return msgspec.json.format(msgspec.json.encode(plan_content(plan)), indent=2) + b"\n"


def read_plan(path: Path) -> PlanFile:
    """The plan in a file.

    Raises:
        BadInputError: it cannot be read, or is no plan.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=PlanFile)
    except (OSError, msgspec.MsgspecError) as error:
        raise BadInputError(
            f"--plan {path}: {error}; give the reference/plan.json of a converted model"
        ) from None


def plan_of(content: PlanFile, facts: Facts, choices: Mapping[str, Choice]) -> Plan:
    """A plan for a model.

    Raises:
        BadInputError: it is one for another model, or says what cannot be done.
    """
    names = [node.name for node in facts.graph.nodes]
    planned = [name for segment in content.segments for name in segment.nodes]
    for ours, theirs in itertools.zip_longest(names, planned):
        if ours != theirs:
            raise BadInputError(
                f"the plan has layer '{theirs}' where the model has '{ours}'; make a plan for this "
                "model with convert"
            )
    for number, segment in enumerate(content.segments):
        _check_segment(segment, facts, choices)
        if number == 0 and content.input_mode == "stream" and segment.primitive in ("H", "B"):
            raise BadInputError(
                f"the plan reads pushed rows more than once (primitive {segment.primitive} of its "
                "first segment); use --input pull or resident"
            )
    return Plan(
        facts.graph, content.segments, content.input_mode, content.output_mode, facts.repeats
    ).verify()


def _check_segment(segment: PlannedSegment, facts: Facts, choices: Mapping[str, Choice]) -> None:
    for name in segment.accumulating:
        choice = choices.get(name)
        if name not in segment.nodes or choice is None or choice.accumulating is None:
            raise BadInputError(f"the plan: layer '{name}' cannot take its input row by row")
    if segment.primitive in ("L", "B") and (segment.pairs or segment.accumulating):
        raise BadInputError(f"the plan: no rows flow in a segment of primitive {segment.primitive}")
    if segment.parts < 1 or (segment.parts > 1 and segment.primitive not in ("H", "B")):
        raise BadInputError(
            f"the plan: {segment.parts} parts of a segment of primitive {segment.primitive}"
        )
    if segment.primitive != "C" and any(pair.primitive == "D" for pair in segment.pairs):
        raise BadInputError("the plan: pairs of primitive D run in segments of primitive C only")
    paired = [name for pair in segment.pairs for name in (pair.producer, pair.consumer)]
    if len(set(paired)) < len(paired) or not set(paired) <= set(segment.nodes):
        raise BadInputError("the plan: a pair is in two segments, or shares a layer with another")
    for pair in segment.pairs:
        if pair.primitive == "D" and segment.primitive != "C":
            raise BadInputError(
                "the plan: a pair of primitive D is outside a segment of primitive C"
            )
        _check_pair(pair, facts)


def _check_pair(pair: PlannedPair, facts: Facts) -> None:
    options = [option.planned for options in facts.pairs.values() for option in options]
    if pair not in options:
        unit = "columns" if pair.primitive == "D" else "channels"
        raise BadInputError(
            f"the plan: layers '{pair.producer}' and '{pair.consumer}' cannot share rows in blocks "
            f"of {pair.block} {unit} (primitive {pair.primitive})"
        )
