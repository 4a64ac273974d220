# SPDX-License-Identifier: Apache-2.0
"""How far modelled instructions of schedules are from those that an emulated core executes.

``python benchmarks/schedule_costs.py MODEL.tflite`` finds the nondominated schedules of a model, runs
a few of them (``--most``) and prints what the search took each to cost, and what it costs. With
``--layers``, every layer too, and every pair of layers that share rows.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from edgekit.artifact import write_project
from edgekit.converters.allocate import allocate
from edgekit.converters.choose import Choice, choose
from edgekit.converters.load import load_model
from edgekit.converters.lowering.lower import lower
from edgekit.converters.schedule.facts import Facts
from edgekit.converters.schedule.flows import Goal
from edgekit.converters.schedule.gather import gather_facts
from edgekit.converters.schedule.plan_file import plan_text
from edgekit.converters.schedule.search import Candidate, search
from edgekit.emit.sources import EmitOptions, emit
from edgekit.ir import QGraph
from edgekit.pipeline import to_integers
from edgekit.program import InputMode
from edgekit.reference import PLAN_FILE
from edgekit.runners.profile import profile_qemu
from edgekit.target import Target, load_target
from edgekit.version import VERSION


@dataclass(frozen=True)
class Estimate:
    """What a layer, a pair or a whole schedule is taken to cost, and what it costs."""

    name: str
    modelled: float
    counted: int

    @property
    def ratio(self) -> float:
        return self.modelled / max(self.counted, 1)

    def __str__(self) -> str:
        return f"{self.ratio:6.3f} {self.modelled:12.0f} {self.counted:12} {self.name}"


@dataclass(frozen=True)
class Schedule:
    """A schedule and its parts; ``total`` includes what is between the layers."""

    arena_bytes: int
    total: Estimate
    parts: tuple[Estimate, ...]


def schedules(graph: QGraph, target: Target, mode: InputMode, most: int) -> Iterator[Schedule]:
    """The nondominated schedules that compute nothing twice, at most so many of them."""
    choices = choose(graph, target)
    facts = gather_facts(graph, choices, mode)
    found = search(facts, Goal(extra_macs=0), strips=False)
    for candidate in found[:: -(-len(found) // most)]:
        yield _counted(candidate, facts, choices, target)


def _counted(
    candidate: Candidate, facts: Facts, choices: Mapping[str, Choice], target: Target
) -> Schedule:
    image = allocate(lower(candidate.plan, choices))
    options = EmitOptions("schedule", target, VERSION, 0)
    sources = emit(image, options, {PLAN_FILE: plan_text(candidate.plan)})
    with tempfile.TemporaryDirectory(prefix="edgekit-schedule-") as folder:
        directory = Path(folder) / "schedule"
        write_project(sources, directory)
        profile = profile_qemu(directory, target)
    counted = {layer.name: layer.instructions for layer in profile.layers}
    total = Estimate("all", candidate.instructions, profile.total_instructions)
    return Schedule(image.arena_bytes, total, tuple(_parts(candidate, facts, counted)))


def _parts(candidate: Candidate, facts: Facts, counted: Mapping[str, int]) -> Iterator[Estimate]:
    places = {item.name: place for place, item in enumerate(facts.items) if item.is_node}
    for segment in candidate.plan.segments:
        pairs = {pair.producer: pair for pair in segment.pairs}
        consumers = {pair.consumer for pair in segment.pairs}
        for name in segment.nodes:
            if name not in places or name in consumers:
                continue
            item = facts.items[places[name]]
            if name in pairs:
                pair = pairs[name]
                (option,) = (o for o in facts.pairs[places[name]] if o.planned == pair)
                label = f"{name}, {pair.consumer}: {pair.primitive} of {pair.block}"
                yield Estimate(label, option.cost, counted[name] + counted[pair.consumer])
            elif item.step.kernel is not None:
                cost = item.whole_cost if segment.primitive == "L" else item.cost
                yield Estimate(f"{name}: {segment.primitive}", cost, counted[name])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("model", help="a .tflite or .onnx file with integers")
    parser.add_argument("--core", default="cortex-m4")
    parser.add_argument(
        "--input", choices=get_args(InputMode), default="stream", help="how it comes"
    )
    parser.add_argument("--most", type=int, default=6, help="schedules that run")
    parser.add_argument("--layers", action="store_true", help="every layer and pair too")
    arguments = parser.parse_args()
    graph = to_integers(load_model(arguments.model), None).graph
    target = load_target(arguments.core)
    for schedule in schedules(graph, target, arguments.input, arguments.most):
        print(f"{schedule.total}, {schedule.arena_bytes} bytes", flush=True)
        for part in schedule.parts if arguments.layers else ():
            print(f"    {part}")


if __name__ == "__main__":
    main()
