# SPDX-License-Identifier: Apache-2.0
"""From a budget to a placed program: search the schedules, then place those that may be the best."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from edgekit.converters.allocate import allocate, lower_bound
from edgekit.converters.choose import Choice, choose
from edgekit.converters.lowering.lower import lower
from edgekit.converters.schedule.again import Again, computed_again, with_skips_again
from edgekit.converters.schedule.crowded import crowded_segments
from edgekit.converters.schedule.facts import Facts
from edgekit.converters.schedule.flows import Goal
from edgekit.converters.schedule.gather import gather_facts
from edgekit.converters.schedule.layerwise import layerwise
from edgekit.converters.schedule.patches import search_patches
from edgekit.converters.schedule.plan import Plan
from edgekit.converters.schedule.plan_file import PlanFile, plan_of
from edgekit.converters.schedule.search import Candidate, search
from edgekit.converters.schedule.split import tight_splits, with_splits
from edgekit.errors import BadInputError, UnsupportedError
from edgekit.input_modes import check_input_mode, check_output_mode
from edgekit.ir import QGraph
from edgekit.ops import operator_of
from edgekit.program import Image, InputMode, OutputMode, Program
from edgekit.target import Target

Schedule = Literal["auto", "layerwise", "patch", "stream"]
"""auto: the best of all that can be searched. layerwise: one layer after the other. patch: the first
layers in patches, the rest layer by layer. stream: the search without strips: nothing but pairs (R)
is computed again, and the input is read once.
"""
Progress = Callable[[str], None]

COST_FACTOR = 1.25
"""Without a budget, no plan is taken that the model puts above this multiple of the fastest one."""
REPAIRS = 4
"""Searches, each of which knows what the plan of the one before could not overlap."""
PLACED = 6
"""Candidates that are placed: the search's bytes are a model of what placement reaches."""


@dataclass(frozen=True)
class Budget:
    """What a plan may use, or the plan itself, which also says how the input comes.

    ``max_extra_macs`` is in percent of the legalized model's.
    """

    schedule: Schedule = "auto"
    input_mode: InputMode = "resident"
    output_mode: OutputMode = "resident"
    max_ram_bytes: int | None = None
    max_extra_macs: float | None = None
    plan: PlanFile | None = None


@dataclass(frozen=True, eq=False)
class Planned:
    """A plan that was placed, and the instructions that the cost model predicts for it.

    instructions: 0 for a plan that was given. tight: as in Candidate.
    """

    plan: Plan
    image: Image
    ram_bytes: int
    instructions: float
    tight: tuple[tuple[str, ...], ...] = ()


def ram_bytes_of(image: Image) -> int:
    """The arena, and what the caller must hold besides: resident outputs and inputs."""
    graph = image.program.graph
    ports = list(graph.outputs) if image.program.output_mode == "resident" else []
    if image.program.input_mode == "resident":
        ports += graph.inputs
    return image.arena_bytes + sum(graph.tensors[port.tensor].bytes for port in ports)


def plan_model(
    graph: QGraph,
    target: Target,
    budget: Budget,
    *,
    kernels: str = "auto",
    progress: Progress = lambda text: None,
) -> Planned:
    """The plan that a budget asks for (DESIGN: without one, the least RAM at 0% extra MACs).

    It may exceed ``max_ram_bytes`` where nothing fits: then it is the one that needs the least.

    Raises:
        BadInputError: the input cannot come in the mode that was asked for.
        UnsupportedError: a layer has no kernel.
    """
    check_input_mode(graph, budget.input_mode)
    check_output_mode(graph, budget.output_mode)
    if budget.schedule == "patch" and "stream" in (budget.input_mode, budget.output_mode):
        raise BadInputError(
            "--schedule patch: patches need the input more than once and do not complete rows of "
            "the output in order; use --input resident, pull or overwrite, or --schedule auto"
        )
    choices = choose(graph, target, kernels=kernels)
    if budget.plan is not None:
        return _given(graph, target, kernels, budget.plan)
    planner = _Planner(Again(graph), choices, budget, progress)
    match budget.schedule:
        case "layerwise":
            return planner.layerwise()
        case "patch":
            return planner.patches()
    best, model = planner.best(), Again(graph)

    def plan_of_other(again: Again) -> Planned:
        other_choices = choose(again.graph, target, kernels=kernels)
        return _Planner(again, other_choices, budget, progress).best()

    for again in _with_layers_again(graph, budget):
        if _is_good(best, budget):
            break
        other = plan_of_other(again)
        if _is_better(other, best):
            best, model = other, again
    while _saves_ram(budget) and not _is_good(best, budget):
        before = best.plan.repeats.splits
        splits = tight_splits(model.graph, best.image.arena_bytes, best.tight, before)
        other = plan_of_other(with_splits(model, splits)) if splits else best
        if not _is_better(other, best):
            break
        best = other
    return best


def _is_better(planned: Planned, other: Planned) -> bool:
    """Whether a plan needs less RAM, or as much and less time."""
    mine, theirs = ((p.ram_bytes, p.instructions) for p in (planned, other))
    return mine < theirs


def _saves_ram(budget: Budget) -> bool:
    """Whether a budget asks for less RAM whatever it costs."""
    return budget.max_ram_bytes is not None or budget.max_extra_macs is not None


def _with_layers_again(graph: QGraph, budget: Budget) -> Iterator[Again]:
    """The models in which layers are computed twice that a budget allows."""
    if budget.schedule == "stream" or not _saves_ram(budget):
        return
    percent = budget.max_extra_macs
    macs = sum(operator_of(call.node).macs(call) for call in graph.calls())
    most = None if percent is None else int(macs * percent / 100)
    yield from computed_again(graph, budget.input_mode, max_macs=most)


def _is_good(planned: Planned, budget: Budget) -> bool:
    """Whether a plan need not be improved: it fits."""
    return budget.max_ram_bytes is not None and planned.ram_bytes <= budget.max_ram_bytes


def _given(graph: QGraph, target: Target, kernels: str, content: PlanFile) -> Planned:
    """A plan from a file, placed."""
    again = with_skips_again(graph, content.input_mode, content.computed_again)
    again = with_splits(again, content.in_blocks)
    choices = choose(again.graph, target, kernels=kernels)
    modes = content.input_mode, content.output_mode
    facts = gather_facts(again.graph, choices, *modes, repeats=again.repeats, compact=True)
    plan = plan_of(content, facts, choices)
    image = allocate(lower(plan, choices))
    return Planned(plan, image, ram_bytes_of(image), 0.0)


def plan_front(
    graph: QGraph,
    choices: Mapping[str, Choice],
    input_mode: InputMode,
    output_mode: OutputMode = "resident",
    *,
    progress: Progress = lambda text: None,
) -> list[Candidate]:
    """Every nondominated schedule, recomputing ones included: what ``analyze`` lists."""
    facts = gather_facts(graph, choices, input_mode, output_mode, compact=True)
    return search(facts, Goal(extra_macs=None), progress=progress)


def _planned(candidate: Candidate, image: Image) -> Planned:
    return Planned(
        candidate.plan, image, ram_bytes_of(image), candidate.instructions, candidate.tight
    )


class _Planner:
    def __init__(
        self,
        again: Again,
        choices: Mapping[str, Choice],
        budget: Budget,
        progress: Progress,
    ) -> None:
        self._again, self._choices = again, choices
        self._budget, self._progress = budget, progress
        self._facts = gather_facts(
            again.graph,
            choices,
            budget.input_mode,
            budget.output_mode,
            repeats=again.repeats,
            compact=_saves_ram(budget),
        )

    def layerwise(self) -> Planned:
        budget, graph = self._budget, self._again.graph
        plan = layerwise(graph, input_mode=budget.input_mode, output_mode=budget.output_mode)
        plan = dataclasses.replace(plan, repeats=self._again.repeats)
        image = allocate(lower(plan, self._choices))
        cost = sum(item.whole_cost for item in self._facts.items)
        return Planned(plan, image, ram_bytes_of(image), cost)

    def patches(self) -> Planned:
        """The least RAM with a first stage in patches; layer by layer where that needs less."""
        extra = self._extra_macs() if self._budget.max_extra_macs is not None else None
        candidates = search_patches(self._facts, extra_macs=extra)
        return self._least_of(self.layerwise(), candidates)

    def best(self) -> Planned:
        base = self.layerwise()
        if self._budget.max_ram_bytes is not None:
            return self._fastest_that_fits(base, self._budget.max_ram_bytes)
        if self._budget.max_extra_macs is not None:
            return self._least(base, lambda facts: self._search(facts, by_macs=True))
        return self._least(base, self._fast_enough)

    def _fast_enough(self, facts: Facts) -> list[Candidate]:
        candidates = self._search(facts)
        limit = COST_FACTOR * min(c.instructions for c in candidates)
        return [c for c in candidates if c.instructions <= limit]

    def _search(
        self, facts: Facts, *, by_macs: bool = False, recompute: bool = False
    ) -> list[Candidate]:
        unbounded = recompute and self._budget.max_extra_macs is None
        goal = Goal(by_macs, None if unbounded else self._extra_macs())
        strips = self._budget.schedule != "stream"
        return search(facts, goal, strips=strips, progress=self._progress)

    def _extra_macs(self) -> int:
        """How many more than the layers have, of which some may be there twice."""
        if self._budget.max_extra_macs is None:
            return 0
        macs = sum(item.macs for item in self._facts.items) - self._again.macs
        return int(macs * self._budget.max_extra_macs / 100) - self._again.macs

    def _placed(self, candidates: Iterable[Candidate]) -> Iterator[Planned]:
        for program, candidate in self._programs(candidates):
            image = allocate(program)
            yield _planned(candidate, image)

    def _programs(self, candidates: Iterable[Candidate]) -> Iterator[tuple[Program, Candidate]]:
        """The candidates that can be lowered: a kernel may refuse a layer as narrow as a strip."""
        for candidate in candidates:
            try:
                yield lower(candidate.plan, self._choices), candidate
            except UnsupportedError:
                if all(segment.parts == 1 for segment in candidate.plan.segments):
                    raise

    def _least(self, base: Planned, find: Callable[[Facts], Sequence[Candidate]]) -> Planned:
        """The least RAM of all, also of what ``find`` finds where the best one is not packed well."""
        best, facts = base, self._facts
        for _ in range(REPAIRS):
            best = self._least_of(best, find(facts))
            crowded = crowded_segments(best.plan, best.image, facts) - facts.apart
            if not crowded:
                break
            facts = dataclasses.replace(facts, apart=facts.apart | crowded)
        return best

    def _least_of(self, base: Planned, candidates: Sequence[Candidate]) -> Planned:
        """The least RAM of all; ``base`` where no other one needs less."""
        best = base
        programs = list(itertools.islice(self._programs(candidates), PLACED))
        bounds = [lower_bound(program) for program, _ in programs]
        for number in sorted(range(len(programs)), key=lambda n: (bounds[n], n)):
            if bounds[number] >= best.image.arena_bytes:
                break
            self._progress(f"place a schedule of {bounds[number]} bytes")
            program, candidate = programs[number]
            image = allocate(program)
            placed = _planned(candidate, image)
            if _is_better(placed, best):
                best = placed
        return best

    def _fastest_that_fits(self, base: Planned, max_ram_bytes: int) -> Planned:
        """Plans without recomputation first; where nothing fits, the least RAM whatever the budget is."""
        if base.ram_bytes <= max_ram_bytes:
            return base
        least, arena_bytes = base, max_ram_bytes - base.ram_bytes + base.image.arena_bytes
        for recompute in (False, True):
            candidates = self._search(self._facts, recompute=recompute)
            for placed in self._by_speed(candidates, arena_bytes):
                if placed.ram_bytes <= max_ram_bytes:
                    return placed
            least = self._least_of(least, candidates)
            if least.ram_bytes <= max_ram_bytes:
                return least
            if self._budget.max_extra_macs is not None:
                break
        found = self._least(base, lambda facts: self._search(facts, by_macs=True, recompute=True))
        return found if _is_better(found, least) else least

    def _by_speed(self, candidates: Sequence[Candidate], arena_bytes: int) -> Iterator[Planned]:
        """Plans that may fit, the fastest first."""
        fitting = [c for c in candidates if c.arena_bytes <= arena_bytes]
        near = [c for c in candidates if c.arena_bytes > arena_bytes][:1]
        ordered = sorted([*near, *fitting], key=lambda c: c.instructions)
        yield from self._placed(ordered[:PLACED])


def with_least_ram(
    graph: QGraph, target: Target, budget: Budget, *, kernels: str = "auto"
) -> Planned:
    """The plan that needs the least RAM of all, whatever it computes again.

    As ``max_ram_bytes`` its bytes are enough: where nothing else fits, this search comes last.
    """
    unbounded = dataclasses.replace(budget, max_ram_bytes=None, max_extra_macs=1e9, plan=None)
    return plan_model(graph, target, unbounded, kernels=kernels)
