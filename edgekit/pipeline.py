# SPDX-License-Identifier: Apache-2.0
"""The stages in order: imported model -> integer model -> program -> image -> files."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgekit.converters.channels.dead import dead_channels, remove_dead_channels
from edgekit.converters.legalize import legalize, legalize_integer
from edgekit.converters.load import Imported
from edgekit.converters.plan_model import Budget, Planned, plan_model, with_least_ram
from edgekit.converters.quantize.calibrate import FloatSample
from edgekit.converters.quantize.doctor import Diagnosis, Goal, diagnose
from edgekit.converters.quantize.options import QuantizeOptions
from edgekit.converters.quantize.real import quantized_sample
from edgekit.converters.quantize.recipe import Quantized, quantize_model
from edgekit.converters.samples import load_labels, load_samples, noise_samples
from edgekit.converters.schedule.plan_file import plan_text
from edgekit.converters.to_onnx import to_onnx
from edgekit.converters.to_tflite import to_tflite
from edgekit.emit.sources import EmitOptions, Sources, emit
from edgekit.errors import BadInputError, DoesNotFitError
from edgekit.ir import INTEGER_RANGE, Array, Graph, QGraph
from edgekit.limits import check_float_work, check_graph
from edgekit.manifest import DeadChannels, Manifest
from edgekit.ops import operator_of
from edgekit.ops._accumulators import check_accumulators
from edgekit.program import InputMode
from edgekit.reference import PLAN_FILE, SAMPLE_COUNT, reference_files
from edgekit.target import Target
from edgekit.version import VERSION

Progress = Callable[[str], None]
SEED = 0


@dataclass(frozen=True)
class ConvertOptions:
    """What ``convert`` can be told.

    budget: the schedule, how the input comes, and what may be used: its ``max_ram_bytes`` bounds
    the arena and what the caller holds together.
    """

    target: Target
    name: str = "model"
    kernels: str = "auto"
    budget: Budget = field(default_factory=Budget)


@dataclass(frozen=True)
class IntegerModel:
    """A legalized integer model with what the reference folder needs beside it."""

    graph: QGraph
    samples: tuple[tuple[Array, ...], ...]
    float_outputs: tuple[tuple[Array, ...], ...] | None
    sources: Mapping[str, bytes]
    macs_network: int
    dead_channels: tuple[DeadChannels, ...] = ()


def to_integers(
    imported: Imported,
    samples: Iterable[FloatSample] | None,
    options: QuantizeOptions | None = None,
    *,
    progress: Progress = lambda text: None,
    warn: Progress = lambda text: None,
) -> IntegerModel:
    """Quantize a float model over ``samples`` (or seeded noise), or take an integer one as it is."""
    graph = imported.graph
    for line in imported.warnings:
        warn(line)
    options = options or QuantizeOptions()
    check_graph(graph)
    macs = network_macs(graph)
    if isinstance(graph, QGraph):
        if samples is not None:
            warn("--calib is not used: the model is already quantized")
        legal = legalize_integer(graph)
        live = remove_dead_channels(legal)
        dead = dead_channels(legal, live)
        return IntegerModel(live, _integer_noise(live), None, imported.sources, macs, dead)
    result = quantize_float(graph, samples, options, progress=progress, warn=warn)
    legal = legalize_integer(result.graph)
    quantized = remove_dead_channels(legal)
    ports = [quantized.tensors[port.tensor] for port in quantized.inputs]
    kept = result.calibration.samples[:SAMPLE_COUNT]
    integers = tuple(quantized_sample(sample, ports) for sample in kept)
    dead = dead_channels(legal, quantized)
    outputs = result.calibration.outputs[:SAMPLE_COUNT]
    return IntegerModel(quantized, integers, outputs, {}, macs, dead)


def quantize_float(
    graph: Graph,
    samples: Iterable[FloatSample] | None,
    options: QuantizeOptions,
    *,
    progress: Progress = lambda text: None,
    warn: Progress = lambda text: None,
) -> Quantized:
    """Legalize and quantize an imported float model over ``samples`` (or seeded noise)."""
    legal = legalize_float(graph, progress=progress)
    if samples is None:
        warn(
            "no calibration data: the ranges come from seeded noise and the accuracy will suffer; "
            "give real inputs with --calib"
        )
        samples = noise_samples(legal, SAMPLE_COUNT, SEED)
    return quantize_model(legal, samples, options, kept=SAMPLE_COUNT, progress=progress)


def integer_graph(
    imported: Imported,
    samples: Iterable[FloatSample] | None,
    options: QuantizeOptions,
    *,
    progress: Progress = lambda text: None,
) -> QGraph:
    """The integer model of an imported one, as it is written for other tools.

    Raises:
        BadInputError: a float model without samples.
    """
    graph = imported.graph
    if isinstance(graph, QGraph):
        check_graph(graph)
        return graph
    if samples is None:
        raise BadInputError(
            f"model '{graph.name}': it is a float model; give inputs to calibrate it with --calib"
        )
    return quantize_float(graph, samples, options, progress=progress).graph


def explain_float(
    imported: Imported,
    calibration: str | None,
    options: QuantizeOptions,
    *,
    goal: Goal,
    count: int,
    progress: Progress = lambda text: None,
) -> Diagnosis:
    """Examine the quantization of a float model on the first ``count`` samples of a file.

    Raises:
        BadInputError: it is an integer model, or there are no samples.
    """
    if isinstance(imported.graph, QGraph) or calibration is None:
        raise BadInputError(
            f"model '{imported.graph.name}': --explain needs a float model and --calib"
        )
    graph = legalize_float(imported.graph, progress=progress)
    samples = tuple(itertools.islice(load_samples(calibration, graph.inputs), count))
    labels = load_labels(calibration)
    if labels is not None and len(labels) < len(samples):
        raise BadInputError(f"{calibration}: {len(labels)} labels for more samples")
    chosen = None if labels is None else labels[: len(samples)]
    return diagnose(graph, samples, options, labels=chosen, goal=goal, progress=progress)


WRITERS: Mapping[str, Callable[[QGraph], bytes]] = {".tflite": to_tflite, ".onnx": to_onnx}
"""How an integer model is written, by the end of the file's name."""


def check_format(path: Path) -> None:
    """Raise BadInputError unless there is a format that the name of a file asks for."""
    if path.suffix not in WRITERS:
        raise BadInputError(f"{path}: it must end in {' or '.join(WRITERS)}")


def model_bytes(graph: QGraph, path: Path) -> bytes:
    """An integer model in the format that a file name asks for.

    Raises:
        BadInputError: there is no such format.
        UnsupportedError: operators have no exact form in it.
    """
    check_format(path)
    return WRITERS[path.suffix](graph)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all.

    Raises:
        BadInputError: it cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise BadInputError(f"{path}: it cannot be written ({error.strerror})") from None


def legalize_float(graph: Graph, *, progress: Progress = lambda text: None) -> Graph:
    """An imported float model of a size that can be calibrated, legalized."""
    check_graph(graph)
    check_float_work(graph, network_macs(graph))
    progress("legalize")
    return legalize(graph)


def network_macs(graph: Graph) -> int:
    """The multiply-accumulates of a model as it is, padding taps counted."""
    return sum(operator_of(call.node).macs(call) for call in graph.calls())


def _integer_noise(graph: QGraph) -> tuple[tuple[Array, ...], ...]:
    """Samples of normal noise that seldom saturates."""
    random = np.random.default_rng(SEED)

    def draw(name: str) -> Array:
        tensor = graph.tensors[name]
        low, high = INTEGER_RANGE[tensor.dtype]
        values = np.rint(random.normal((low + high) / 2, (high - low) / 6, tensor.shape))
        noise: Array = np.clip(values, low, high).astype(tensor.dtype)
        return noise

    return tuple(tuple(draw(port.tensor) for port in graph.inputs) for _ in range(SAMPLE_COUNT))


def plan(
    model: IntegerModel, options: ConvertOptions, *, progress: Progress = lambda text: None
) -> Planned:
    """Schedule, lower and place a model; the result may exceed the budget."""
    limits = (options.budget.max_ram_bytes, options.target.sram_bytes)
    most = min((limit for limit in limits if limit), default=None)
    budget = dataclasses.replace(options.budget, max_ram_bytes=most)
    return plan_model(
        model.graph, options.target, budget, kernels=options.kernels, progress=progress
    )


def convert_model(
    model: IntegerModel, options: ConvertOptions, *, progress: Progress = lambda text: None
) -> Sources:
    """All files of the converted model.

    Raises:
        DoesNotFitError: it needs more RAM or flash than the budget or the board has.
        UnsupportedError: a layer has no kernel.
    """
    check_accumulators(model.graph)
    progress("schedule")
    planned = plan(model, options, progress=progress)
    progress("emit")
    graph = planned.image.program.graph
    reference = reference_files(graph, model.samples, model.float_outputs, model.sources)
    reference[PLAN_FILE] = plan_text(planned.plan)
    sources = emit(
        planned.image,
        EmitOptions(
            options.name,
            options.target,
            VERSION,
            model.macs_network,
            model.dead_channels,
            sum(operator_of(call.node).macs(call) for call in model.graph.calls()),
        ),
        reference,
    )
    _check_fit(model, planned, sources.manifest, options)
    return sources


def _check_fit(
    model: IntegerModel, planned: Planned, manifest: Manifest, options: ConvertOptions
) -> None:
    limits = [limit for limit in (options.budget.max_ram_bytes, options.target.sram_bytes) if limit]
    if limits and manifest.ram_bytes > min(limits):
        raise DoesNotFitError(_too_much_ram(model, planned, manifest, options, min(limits)))
    flash = options.target.flash_bytes
    if flash and manifest.flash_bytes > flash:
        raise DoesNotFitError(
            f"{options.name}: weights and tables need {manifest.flash_bytes} bytes of flash but "
            f"{options.target.name} has {flash}; use a narrower network"
        )


def _too_much_ram(
    model: IntegerModel, planned: Planned, manifest: Manifest, options: ConvertOptions, limit: int
) -> str:
    """What is needed, the least that is possible, and what would make it fit."""
    budget = options.budget
    text = (
        f"{options.name}: it needs {manifest.ram_bytes} bytes of RAM (arena "
        f"{manifest.arena_bytes}, --input {manifest.input_mode}) but {limit} are allowed"
    )
    schedule = "" if budget.schedule == "auto" else "--schedule auto "
    ways = []
    modes: tuple[InputMode, ...] = (budget.input_mode, "stream")
    for mode in dict.fromkeys(modes):
        try:
            least = _with_least_ram(model, planned, options, mode)
        except BadInputError:
            continue  # the model has no rows
        macs = least.image.program.macs_executed / max(manifest.macs_legalized, 1) * 100 - 100
        ways.append(
            f"{schedule}--input {mode} needs at least {least.ram_bytes} (arena {least.image.arena_bytes}, "
            f"{math.ceil(macs)}% extra MACs)"
        )
    peak = max(manifest.layers, key=lambda layer: sum(b.bytes for b in layer.buffers))
    return (
        f"{text}; {', '.join(ways)}; else lower the input resolution, or the channels around "
        f"{peak.op} '{peak.source or peak.name}'"
    )


def _with_least_ram(
    model: IntegerModel, planned: Planned, options: ConvertOptions, mode: InputMode
) -> Planned:
    """The plan of an input mode that needs the least RAM: ``planned`` itself where it is that."""
    budget = options.budget
    searched = budget.schedule == "auto" and budget.max_extra_macs is None and budget.plan is None
    if searched and mode == budget.input_mode:
        return planned
    other = dataclasses.replace(budget, input_mode=mode, schedule="auto")
    return with_least_ram(model.graph, options.target, other, kernels=options.kernels)
