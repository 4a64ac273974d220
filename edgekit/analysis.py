# SPDX-License-Identifier: Apache-2.0
"""What a network costs on a target: layers, MACs, weights, RAM per schedule, the front."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from edgekit.advice import Advice, find_advice
from edgekit.converters.choose import choose
from edgekit.converters.load import Imported
from edgekit.converters.plan_model import (
    Budget,
    Planned,
    Schedule,
    plan_front,
    plan_model,
)
from edgekit.converters.schedule.plan import Plan, PlannedSegment
from edgekit.converters.schedule.plan_file import PlanFile, plan_content
from edgekit.converters.schedule.search import Candidate
from edgekit.emit.sources import EmitOptions, emit
from edgekit.errors import BadInputError
from edgekit.input_modes import check_input_mode, check_output_mode
from edgekit.ir import Array, QGraph
from edgekit.manifest import DeadChannels, Manifest
from edgekit.ops import operator_of
from edgekit.pipeline import ConvertOptions, IntegerModel, plan, to_integers
from edgekit.program import Image, InputMode, OutputMode
from edgekit.report.memory import INPUT_LABEL, covered_bytes, live_buffers, step_labels
from edgekit.target import Target
from edgekit.version import VERSION

Progress = Callable[[str], None]


class AnalyzedLayer(msgspec.Struct, frozen=True, kw_only=True):
    """One layer; ``live_bytes`` are the arena bytes in use while it runs.

    ``label`` is its name in ``front`` and in the picture: the arrival of the input is not counted.
    """

    index: int
    label: str
    name: str
    source: str
    op: str
    kernel: str
    output_shape: tuple[int, ...]
    macs: int
    weight_bytes: int
    live_bytes: int


class AnalyzedSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule that was placed; ``name`` is the ``--schedule`` that gives it without a budget.

    ``instructions_model`` is a prediction; ``fits`` is None for a target without memory sizes.
    """

    name: str
    input_mode: InputMode
    arena_bytes: int
    arena_lower_bound_bytes: int
    ram_bytes: int
    macs_executed: int
    extra_macs_percent: float
    instructions_model: int
    fits: bool | None


class FrontPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule that no other one beats in both arena bytes and instructions, as the search models them.

    ``segments``: ``L[3-5]`` layers one after the other, ``C[0-2; F16]`` layers that advance together row
    by row, pairs inside in blocks of channels (F, R), ``H3[0-2; F16]`` the same for one of 3 strips
    of columns after the other, ``E32[6-7]`` a pair over the whole map; see
    edgekit.converters.schedule.plan. ``plan`` is what ``convert --plan`` takes.
    """

    arena_bytes: int
    instructions_model: int
    relative_instructions: float
    macs_executed: int
    segments: str
    plan: PlanFile


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """What ``analyze --json`` prints.

    ``layers``, ``flash_bytes`` and ``fits`` are those of what ``convert`` would write for
    ``input_mode``; ``front`` is that of ``front_input_mode``.
    """

    target: str
    input_mode: InputMode
    output_mode: OutputMode
    operators: dict[str, int]
    macs_network: int
    macs_legalized: int
    flash_bytes: int
    layers: tuple[AnalyzedLayer, ...]
    schedules: tuple[AnalyzedSchedule, ...]
    front_input_mode: InputMode
    front: tuple[FrontPoint, ...]
    advice: tuple[Advice, ...]
    dead_channels: tuple[DeadChannels, ...]
    fits: bool | None

    def to_json(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=2)


@dataclass(frozen=True, eq=False)
class Study:
    """An analysis, and the two images that a picture of it compares."""

    analysis: Analysis
    layerwise: Image
    chosen: Image


def analyze_model(
    imported: Imported,
    target: Target,
    samples: Iterable[tuple[Array, ...]] | None,
    *,
    input_mode: InputMode | None = None,
    stream_output: bool = False,
    advise: bool = False,
    progress: Progress = lambda text: None,
    warn: Progress = lambda text: None,
) -> Study:
    """Plan a network for a target without writing anything.

    input_mode: None takes what ``convert`` does by default for the layers, and stream for the front
    where the model has rows. stream_output: the rows of the output go to a callback. advise: plan
    changed networks as well.

    Raises:
        BadInputError: the input cannot come in the mode that was asked for, or the output not go so.
        UnsupportedError: a layer has no kernel.
    """
    model = to_integers(imported, samples, progress=progress, warn=warn)
    output_mode: OutputMode = "stream" if stream_output else "resident"
    return _Analyzing(model, target, input_mode, output_mode, progress).study(advise)


class _Analyzing:
    def __init__(
        self,
        model: IntegerModel,
        target: Target,
        input_mode: InputMode | None,
        output_mode: OutputMode,
        progress: Progress,
    ) -> None:
        self._model, self._target, self._progress = model, target, progress
        self._mode: InputMode = input_mode or "resident"
        check_input_mode(model.graph, self._mode)
        check_output_mode(model.graph, output_mode)
        self._budget = Budget(output_mode=output_mode)
        streams = _can_come(model.graph, "stream")
        self._front_mode: InputMode = input_mode or ("stream" if streams else "resident")
        self._macs = sum(operator_of(call.node).macs(call) for call in model.graph.calls())

    def study(self, advise: bool) -> Study:
        plans = self._plans()
        front = self._front()
        image = plans["auto", self._mode].image
        if self._target.sram_bytes is not None:
            options = ConvertOptions(self._target, budget=self._budget_for(self._mode))
            image = plan(self._model, options, progress=self._progress).image
        emitted = EmitOptions("model", self._target, VERSION, self._model.macs_network)
        manifest = emit(image, emitted, {}).manifest
        chosen = plans["auto", self._front_mode]
        advice: tuple[Advice, ...] = ()
        if advise:
            advice = find_advice(
                self._model.graph,
                self._target,
                chosen,
                self._budget_for(self._front_mode),
                progress=self._progress,
            )
        analysis = self._analysis(image, manifest, plans, front, advice)
        layerwise = plans["layerwise", self._front_mode].image
        return Study(analysis, layerwise, chosen.image)

    def _budget_for(self, mode: InputMode, schedule: Schedule = "auto") -> Budget:
        return dataclasses.replace(self._budget, input_mode=mode, schedule=schedule)

    def _plans(self) -> dict[tuple[str, InputMode], Planned]:
        """Every schedule that is listed, and the layerwise one of the front's mode for the picture."""
        modes: tuple[InputMode, ...] = ("resident", "stream", "pull")
        usable = [mode for mode in modes if _can_come(self._model.graph, mode)]
        listed: tuple[Schedule, ...] = ("layerwise", "patch", "stream")
        if self._budget.output_mode == "stream":
            listed = ("layerwise", "stream")  # patches do not complete rows in order
        budgets = [self._budget_for("resident", schedule) for schedule in listed]
        budgets += [self._budget_for(mode) for mode in usable]
        budgets.append(self._budget_for(self._front_mode))
        budgets.append(self._budget_for(self._front_mode, "layerwise"))
        found: dict[tuple[str, InputMode], Planned] = {}
        for budget in budgets:
            if (budget.schedule, budget.input_mode) not in found:
                self._progress(f"schedule: {budget.schedule}, input {budget.input_mode}")
                planned = plan_model(
                    self._model.graph, self._target, budget, progress=self._progress
                )
                found[budget.schedule, budget.input_mode] = planned
        return found

    def _front(self) -> tuple[FrontPoint, ...]:
        graph = self._model.graph
        candidates = plan_front(
            graph,
            choose(graph, self._target),
            self._front_mode,
            self._budget.output_mode,
            progress=self._progress,
        )
        fastest = min((c.instructions for c in candidates), default=0.0) or 1.0
        return tuple(_front_point(candidate, fastest) for candidate in candidates)

    def _analysis(
        self,
        image: Image,
        manifest: Manifest,
        plans: dict[tuple[str, InputMode], Planned],
        front: tuple[FrontPoint, ...],
        advice: tuple[Advice, ...],
    ) -> Analysis:
        counts: dict[str, int] = {}
        for node in self._model.graph.nodes:
            counts[node.op] = counts.get(node.op, 0) + 1
        layers: dict[str, list[int]] = {}
        for index, label in enumerate(step_labels(image.program)):
            layers.setdefault(label, []).append(index)
        return Analysis(
            target=self._target.name,
            input_mode=self._mode,
            output_mode=self._budget.output_mode,
            operators=dict(sorted(counts.items())),
            macs_network=manifest.macs_network,
            macs_legalized=manifest.macs_legalized,
            flash_bytes=manifest.flash_bytes,
            layers=tuple(_layer(image, steps, label) for label, steps in layers.items()),
            schedules=tuple(
                self._schedule(name, mode, planned, manifest.flash_bytes)
                for (name, mode), planned in plans.items()
                if name == "auto" or mode == "resident"
            ),
            front_input_mode=self._front_mode,
            front=front,
            advice=advice,
            dead_channels=self._model.dead_channels,
            fits=_fits(self._target, manifest.ram_bytes, manifest.flash_bytes),
        )

    def _schedule(
        self, name: str, mode: InputMode, planned: Planned, flash_bytes: int
    ) -> AnalyzedSchedule:
        executed = planned.image.program.macs_executed
        return AnalyzedSchedule(
            name=name,
            input_mode=mode,
            arena_bytes=planned.image.arena_bytes,
            arena_lower_bound_bytes=planned.image.arena_lower_bound_bytes,
            ram_bytes=planned.ram_bytes,
            macs_executed=executed,
            extra_macs_percent=round(100 * executed / self._macs - 100, 2) if self._macs else 0.0,
            instructions_model=round(planned.instructions),
            fits=_fits(self._target, planned.ram_bytes, flash_bytes),
        )


def _can_come(graph: QGraph, mode: InputMode) -> bool:
    try:
        check_input_mode(graph, mode)
    except BadInputError:
        return False
    return True


def _front_point(candidate: Candidate, fastest: float) -> FrontPoint:
    return FrontPoint(
        arena_bytes=candidate.arena_bytes,
        instructions_model=round(candidate.instructions),
        relative_instructions=round(candidate.instructions / fastest, 4),
        macs_executed=candidate.macs,
        segments=describe_plan(candidate.plan),
        plan=plan_content(candidate.plan),
    )


def describe_plan(plan: Plan) -> str:
    """The segments of a plan on one line, with the labels of the layers; see FrontPoint."""
    kernels = [node.name for node in plan.graph.nodes if not operator_of(node).is_view]
    labels = {name: str(number) for number, name in enumerate(kernels)}
    arrives = plan.input_mode in ("stream", "pull")
    shown: list[tuple[str, list[str], str]] = []
    for number, segment in enumerate(plan.segments):
        layers = [labels[name] for name in segment.nodes if name in labels]
        if arrives and number == 0:
            layers.insert(0, INPUT_LABEL)
        if layers:
            kind, pairs = _kind(segment)
            shown.append((kind, layers, pairs))
    return " ".join(_joined(shown))


def _kind(segment: PlannedSegment) -> tuple[str, str]:
    """What runs a segment, and its pairs unless one of them is all of it."""
    pairs = " ".join(f"{pair.primitive}{pair.block}{'c' * pair.compact}" for pair in segment.pairs)
    if [pair.primitive for pair in segment.pairs] == ["E"]:
        return pairs, ""
    return f"{segment.primitive}{segment.parts if segment.parts > 1 else ''}", pairs


def _joined(segments: list[tuple[str, list[str], str]]) -> Iterator[str]:
    """Neighbours that run layer by layer are one item."""
    for kind, found in itertools.groupby(segments, key=lambda item: item[0] == "L"):
        items = list(found)
        if kind:
            items = [("L", [label for _, layers, _ in items for label in layers], "")]
        for name, layers, pairs in items:
            span = layers[0] if len(layers) == 1 else f"{layers[0]}-{layers[-1]}"
            yield f"{name}[{span}{f'; {pairs}' if pairs else ''}]"


def _fits(target: Target, ram_bytes: int, flash_bytes: int) -> bool | None:
    if target.sram_bytes is None and target.flash_bytes is None:
        return None
    within_ram = target.sram_bytes is None or ram_bytes <= target.sram_bytes
    return within_ram and (target.flash_bytes is None or flash_bytes <= target.flash_bytes)


def _layer(image: Image, steps: Sequence[int], label: str) -> AnalyzedLayer:
    """A layer and its steps, of which strips and patches have one each."""
    step = image.program.steps[steps[0]]
    graph = image.program.graph
    node = next((n for n in graph.nodes if n.name == step.layer), None)
    constants = [graph.tensors[name] for name in node.inputs] if node else []
    return AnalyzedLayer(
        index=steps[0],
        label=label,
        name=step.layer,
        source=step.source,
        op=step.op,
        kernel=step.kernel.symbol if step.kernel else "memcpy",
        output_shape=graph.tensors[step.output.tensor].shape,
        macs=sum(image.program.steps[index].macs for index in steps),
        weight_bytes=sum(t.bytes for t in constants if t.is_constant),
        live_bytes=max(_live_bytes(image, index) for index in steps),
    )


def _live_bytes(image: Image, step: int) -> int:
    """The most bytes in use at any time at which a step fires; a pair fires as its consumer."""
    program = image.program
    fires_as = {pair.producer: pair.consumer for pair in program.pairs}
    firing = fires_as.get(step, step)
    live = {
        live_buffers(program, position)
        for position, firings in enumerate(program.script)
        if firings.step == firing
    }
    return max((covered_bytes(image.offsets, buffers) for buffers in live), default=0)
