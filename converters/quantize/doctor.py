# SPDX-License-Identifier: Apache-2.0
"""Says what quantization costs, layer by layer, and which remedy gains what, applied greedily.

Every remedy is tried on top of those applied before; the one with the largest gain is applied, until
the target is met or none gains anything. Everything is measured on the first samples.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from edgekit.converters.quantize.calibrate import Calibration, FloatSample, calibrate
from edgekit.converters.quantize.equalize import EqualizedPair, equalize
from edgekit.converters.quantize.measure import (
    Distance,
    Measured,
    float_top1,
    measure_layers,
    measure_outputs,
)
from edgekit.converters.quantize.options import METHODS, QuantizeOptions
from edgekit.converters.quantize.recipe import Quantized, finish
from edgekit.converters.quantize.simulate import distance_with_float_layer, isolated_distances
from edgekit.errors import BadInputError
from edgekit.ir import Graph

Progress = Callable[[str], None]
WORTH_DB = 0.1
"""A smaller gain is noise."""
FLOAT_LAYERS = 3
"""Layers that are tried in float: those that lose most by themselves."""
SIMULATED_SAMPLES = 16
MAX_ROUNDS = 4
"""Of the kinds of remedies each is applied once."""
AT_NO_COST = "nothing at run time"


@dataclass(frozen=True)
class Remedy:
    """A change of the options, what it is called on the command line, and what it costs."""

    name: str
    flag: str
    cost: str
    changes: Mapping[str, object]

    def applied(self, options: QuantizeOptions) -> QuantizeOptions:
        return dataclasses.replace(options, **dict(self.changes))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Trial:
    """A remedy on top of those applied in earlier rounds: what the outputs are then."""

    round: int
    remedy: Remedy
    measured: Measured
    gain_db: float
    applied: bool


@dataclass(frozen=True)
class LayerLoss:
    """One layer: the distance of its output in the whole model, and what it loses by itself."""

    name: str
    source: str
    op: str
    distance: Distance
    alone: Distance


@dataclass(frozen=True)
class FloatLayer:
    """The gain if one layer, weights and output, stayed in float; for comparison only."""

    name: str
    source: str
    gain_db: float


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What the doctor found; ``options`` has the remedies that were applied."""

    samples: int
    float_top1: float | None
    before: Measured
    after: Measured
    layers: tuple[LayerLoss, ...]
    trials: tuple[Trial, ...]
    float_layers: tuple[FloatLayer, ...]
    half_the_data_db: float | None
    options: QuantizeOptions
    target_met: bool | None


@dataclass(frozen=True)
class Goal:
    """When the doctor stops: at an SQNR of the outputs, or at a drop of top-1 (in points)."""

    sqnr_db: float | None = None
    max_drop: float | None = None

    def met(self, measured: Measured, exact_top1: float | None) -> bool | None:
        """None: there is no target."""
        verdicts = []
        if self.sqnr_db is not None:
            verdicts.append(measured.distance.sqnr_db >= self.sqnr_db)
        if self.max_drop is not None:
            if measured.top1 is None or exact_top1 is None:
                raise BadInputError("--max-drop needs labels: an array 'labels' in the .npz")
            verdicts.append(100.0 * (exact_top1 - measured.top1) <= self.max_drop)
        return all(verdicts) if verdicts else None


_Calibrated = tuple[Graph, Calibration, tuple[EqualizedPair, ...]]


class _Patient:
    """A float model with its samples; calibrations are kept, since most remedies share them."""

    def __init__(
        self, graph: Graph, samples: Sequence[FloatSample], labels: Sequence[int] | None
    ) -> None:
        self.graph, self.samples, self.labels = graph, samples, labels
        base = calibrate(graph, samples, kept=len(samples), histograms=True)
        self.exact = base.outputs
        self._calibrated: dict[
            tuple[bool, int], tuple[Graph, Calibration, tuple[EqualizedPair, ...]]
        ]
        self._calibrated = {(False, len(samples)): (graph, base, ())}

    def treated(self, options: QuantizeOptions, *, count: int | None = None) -> Quantized:
        """The integer model of some options, calibrated on the first ``count`` samples."""
        count = len(self.samples) if count is None else count
        key = (options.needs_equalizing, count)
        if key not in self._calibrated:
            graph = self.graph
            pairs: tuple[EqualizedPair, ...] = ()
            if options.needs_equalizing:
                graph, pairs = equalize(graph, options)
            chosen = self.samples[:count]
            calibration = calibrate(graph, chosen, kept=count, histograms=True)
            self._calibrated[key] = (graph, calibration, pairs)
        return finish(*self._calibrated[key][:2], options, self._calibrated[key][2])

    def measured(self, result: Quantized) -> Measured:
        return measure_outputs(result.graph, self.samples, self.exact, self.labels)


def remedies_for(options: QuantizeOptions, adjust_samples: int) -> list[Remedy]:
    """Those that the options do not contain yet."""
    seen = f"{AT_NO_COST}; looks at {adjust_samples} samples"
    found = []
    if not options.equalize:
        found.append(Remedy("equalization", "--equalize", AT_NO_COST, {"equalize": True}))
    if not options.bias_correction:
        found.append(
            Remedy("bias correction", "--bias-correction", seen, {"bias_correction": True})
        )
    if options.rounding == "nearest":
        found.append(
            Remedy(
                "learned rounding",
                "--rounding learned",
                f"{seen}; the slowest conversion",
                {"rounding": "learned"},
            )
        )
    for method in METHODS:
        if method not in (options.method, "moving_average"):
            flag = f"--method {method}"
            found.append(Remedy(f"clipping by {method}", flag, AT_NO_COST, {"method": method}))
    return found


def diagnose(
    graph: Graph,
    samples: Sequence[FloatSample],
    options: QuantizeOptions,
    *,
    labels: Sequence[int] | None = None,
    goal: Goal | None = None,
    rounds: int = MAX_ROUNDS,
    progress: Progress = lambda text: None,
) -> Diagnosis:
    """Examine a legalized float graph on ``samples`` (those that ``labels`` belong to).

    At most ``rounds`` remedies are applied.

    Raises:
        BadInputError: a target in top-1 without labels, or what calibration refuses.
    """
    goal = goal or Goal()
    options.verify().check_patterns(graph)
    progress("calibrate")
    patient = _Patient(graph, samples, labels)
    exact_top1 = float_top1(patient.exact, labels)
    first = patient.treated(options)
    before = patient.measured(first)
    goal.met(before, exact_top1)
    progress("layers")
    layers = _layers(first, samples[:SIMULATED_SAMPLES])
    float_layers = _float_layers(first, patient, layers)
    half = _half_the_data(patient, options, before)
    chosen, after, trials = _treat(patient, options, before, goal, exact_top1, rounds, progress)
    met = goal.met(after, exact_top1)
    return Diagnosis(
        samples=len(samples),
        float_top1=exact_top1,
        before=before,
        after=after,
        layers=layers,
        trials=trials,
        float_layers=float_layers,
        half_the_data_db=half,
        options=chosen,
        target_met=met,
    )


def _treat(
    patient: _Patient,
    options: QuantizeOptions,
    measured: Measured,
    goal: Goal,
    exact_top1: float | None,
    rounds: int,
    progress: Progress,
) -> tuple[QuantizeOptions, Measured, tuple[Trial, ...]]:
    """Round after round the remedy with the largest gain."""
    trials: list[Trial] = []
    number = 0
    while number < rounds and not goal.met(measured, exact_top1):
        number += 1
        tried: list[Trial] = []
        for remedy in remedies_for(options, min(options.adjust_samples, len(patient.samples))):
            progress(f"round {number}: {remedy.name}")
            result = patient.measured(patient.treated(remedy.applied(options)))
            gain = result.distance.sqnr_db - measured.distance.sqnr_db
            tried.append(Trial(number, remedy, result, gain, applied=False))
        tried.sort(key=lambda trial: -trial.gain_db)
        if not tried or tried[0].gain_db < WORTH_DB:
            trials.extend(tried)
            break
        best = dataclasses.replace(tried[0], applied=True)
        trials.extend((best, *tried[1:]))
        options, measured = best.remedy.applied(options), best.measured
    return options, measured, tuple(trials)


def _layers(result: Quantized, samples: Sequence[FloatSample]) -> tuple[LayerLoss, ...]:
    distances = measure_layers(result.float_graph, result.graph, samples)
    alone = isolated_distances(result.float_graph, result.graph, samples)
    return tuple(
        LayerLoss(node.name, node.source, node.op, distances[output], alone[node.name])
        for node in result.graph.nodes
        for output in node.outputs
        if output in distances
    )


def _float_layers(
    result: Quantized, patient: _Patient, layers: Sequence[LayerLoss]
) -> tuple[FloatLayer, ...]:
    """The layers that lose most by themselves, each left in float."""
    samples = patient.samples[:SIMULATED_SAMPLES]
    exact = patient.exact[: len(samples)]

    def sqnr_db(layer: str | None) -> float:
        return distance_with_float_layer(
            result.float_graph, result.graph, samples, exact, layer=layer
        ).sqnr_db

    base = sqnr_db(None)
    worst = sorted(layers, key=lambda layer: layer.alone.sqnr_db)[:FLOAT_LAYERS]
    found = [FloatLayer(w.name, w.source, sqnr_db(w.name) - base) for w in worst]
    return tuple(sorted(found, key=lambda layer: -layer.gain_db))


def _half_the_data(patient: _Patient, options: QuantizeOptions, measured: Measured) -> float | None:
    """What half of the calibration data lose: more data gain no more than that, as a rule."""
    half = len(patient.samples) // 2
    if half == 0:
        return None
    with_half = patient.measured(patient.treated(options, count=half))
    return measured.distance.sqnr_db - with_half.distance.sqnr_db
