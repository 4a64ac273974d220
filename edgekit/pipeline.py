# SPDX-License-Identifier: Apache-2.0
"""The stages in order: imported model -> integer model -> program -> image -> files."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from edgekit.arith import round_half_away
from edgekit.converters.channels.dead import dead_channels, remove_dead_channels
from edgekit.converters.legalize import legalize, legalize_integer
from edgekit.converters.load import Imported
from edgekit.converters.plan_model import Budget, plan_model, with_least_ram
from edgekit.converters.quantize.calibrate import FloatSample, calibrate
from edgekit.converters.quantize.ptq import quantize
from edgekit.converters.samples import noise_samples
from edgekit.emit.sources import EmitOptions, Sources, emit
from edgekit.errors import BadInputError, DoesNotFitError
from edgekit.ir import INTEGER_RANGE, Array, QGraph
from edgekit.limits import check_float_work, check_graph
from edgekit.manifest import DeadChannels, Manifest
from edgekit.ops import operator_of
from edgekit.program import Image
from edgekit.reference import SAMPLE_COUNT, reference_files
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
    source_tflite: bytes | None
    macs_network: int
    dead_channels: tuple[DeadChannels, ...] = ()


def to_integers(
    imported: Imported,
    samples: Iterable[FloatSample] | None,
    *,
    progress: Progress = lambda text: None,
    warn: Progress = lambda text: None,
) -> IntegerModel:
    """Quantize a float model over ``samples`` (or seeded noise), or take an integer one as it is."""
    graph = imported.graph
    check_graph(graph)
    macs = sum(operator_of(call.node).macs(call) for call in graph.calls())
    if isinstance(graph, QGraph):
        if samples is not None:
            warn("--calib is not used: the model is already quantized")
        legal = legalize_integer(graph)
        live = remove_dead_channels(legal)
        dead = dead_channels(legal, live)
        return IntegerModel(live, _integer_noise(live), None, imported.source_tflite, macs, dead)
    check_float_work(graph, macs)
    progress("legalize")
    graph = legalize(graph)
    if samples is None:
        warn(
            "no calibration data: the ranges come from seeded noise and the accuracy will suffer; "
            "give real inputs with --calib"
        )
        samples = noise_samples(graph, SAMPLE_COUNT, SEED)
    calibration = calibrate(graph, _reported(samples, progress), kept=SAMPLE_COUNT)
    progress("quantize")
    legal = legalize_integer(quantize(graph, calibration.ranges))
    quantized = remove_dead_channels(legal)
    integers = tuple(_quantize_sample(quantized, sample) for sample in calibration.samples)
    dead = dead_channels(legal, quantized)
    return IntegerModel(quantized, integers, calibration.outputs, None, macs, dead)


def _reported(samples: Iterable[FloatSample], progress: Progress) -> Iterable[FloatSample]:
    for number, sample in enumerate(samples, start=1):
        progress(f"calibrate: sample {number}")
        yield sample


def _quantize_sample(graph: QGraph, sample: Sequence[Array]) -> tuple[Array, ...]:
    integers = []
    for port, values in zip(graph.inputs, sample, strict=True):
        tensor = graph.tensors[port.tensor]
        assert tensor.quantization is not None
        low, high = INTEGER_RANGE[tensor.dtype]
        scaled = round_half_away(values / tensor.quantization.scale)
        shifted = np.clip(scaled + tensor.quantization.zero_point, low, high)
        integers.append(shifted.astype(tensor.dtype))
    return tuple(integers)


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
) -> Image:
    """Schedule, lower and place a model; the result may exceed the budget."""
    limits = (options.budget.max_ram_bytes, options.target.sram_bytes)
    most = min((limit for limit in limits if limit), default=None)
    budget = dataclasses.replace(options.budget, max_ram_bytes=most)
    planned = plan_model(
        model.graph, options.target, budget, kernels=options.kernels, progress=progress
    )
    return planned.image


def convert_model(
    model: IntegerModel, options: ConvertOptions, *, progress: Progress = lambda text: None
) -> Sources:
    """All files of the converted model.

    Raises:
        DoesNotFitError: it needs more RAM or flash than the budget or the board has.
        UnsupportedError: a layer has no kernel.
    """
    progress("schedule")
    image = plan(model, options, progress=progress)
    progress("emit")
    graph = image.program.graph
    reference = reference_files(graph, model.samples, model.float_outputs, model.source_tflite)
    sources = emit(
        image,
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
    _check_fit(model, sources, options)
    return sources


def _check_fit(model: IntegerModel, sources: Sources, options: ConvertOptions) -> None:
    manifest = sources.manifest
    limits = [limit for limit in (options.budget.max_ram_bytes, options.target.sram_bytes) if limit]
    if limits and manifest.ram_bytes > min(limits):
        raise DoesNotFitError(_too_much_ram(model, manifest, options, min(limits)))
    flash = options.target.flash_bytes
    if flash and manifest.flash_bytes > flash:
        raise DoesNotFitError(
            f"{options.name}: weights and tables need {manifest.flash_bytes} bytes of flash but "
            f"{options.target.name} has {flash}; use a narrower network"
        )


def _too_much_ram(
    model: IntegerModel, manifest: Manifest, options: ConvertOptions, limit: int
) -> str:
    """What is needed, the least that is possible, and what would make it fit."""
    budget = options.budget
    text = (
        f"{options.name}: it needs {manifest.ram_bytes} bytes of RAM (arena "
        f"{manifest.arena_bytes}, --input {manifest.input_mode}) but {limit} are allowed"
    )
    if budget.schedule == "layerwise":
        return f"{text}; use --schedule auto"
    ways = []
    for mode in dict.fromkeys((budget.input_mode, "stream")):
        try:
            least = with_least_ram(
                model.graph, options.target, dataclasses.replace(budget, input_mode=mode)
            )
        except BadInputError:
            continue  # the model has no rows
        macs = least.image.program.macs_executed / max(manifest.macs_legalized, 1) * 100 - 100
        ways.append(
            f"--input {mode} needs at least {least.ram_bytes} (arena {least.image.arena_bytes}, "
            f"{macs:.0f}% extra MACs)"
        )
    peak = max(manifest.layers, key=lambda layer: sum(b.bytes for b in layer.buffers))
    return (
        f"{text}; {', '.join(ways)}; else lower the input resolution, or the channels around "
        f"{peak.op} '{peak.source or peak.name}'"
    )
