# SPDX-License-Identifier: Apache-2.0
"""The stages in order: imported model -> integer model -> program -> image -> files."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.arith import round_half_away
from edgekit.converters.allocate import allocate
from edgekit.converters.channels.dead import dead_channels, remove_dead_channels
from edgekit.converters.legalize import legalize, legalize_integer
from edgekit.converters.load import Imported
from edgekit.converters.lower import lower
from edgekit.converters.quantize.calibrate import calibrate
from edgekit.converters.quantize.ptq import quantize
from edgekit.converters.samples import noise_samples
from edgekit.converters.schedule.layerwise import layerwise
from edgekit.emit.sources import EmitOptions, Sources, emit
from edgekit.errors import DoesNotFitError
from edgekit.interpret import interpret_float
from edgekit.ir import INTEGER_RANGE, Array, Graph, QGraph
from edgekit.limits import check_float_work, check_graph
from edgekit.manifest import DeadChannels
from edgekit.ops import operator_of
from edgekit.program import Image
from edgekit.reference import SAMPLE_COUNT, reference_files
from edgekit.target import Target
from edgekit.version import VERSION

Progress = Callable[[str], None]
FloatSample = tuple[Array, ...]
SEED = 0


@dataclass(frozen=True)
class ConvertOptions:
    """What ``convert`` can be told. ``max_ram_bytes`` bounds arena, input and output together."""

    target: Target
    name: str = "model"
    kernels: str = "auto"
    max_ram_bytes: int | None = None


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
    stored, everything = _tee(samples)
    ranges = calibrate(graph, _reported(everything, progress))
    progress("quantize")
    legal = legalize_integer(quantize(graph, ranges))
    quantized = remove_dead_channels(legal)
    outputs = tuple(_float_outputs(graph, sample) for sample in stored)
    integers = tuple(_quantize_sample(quantized, sample) for sample in stored)
    dead = dead_channels(legal, quantized)
    return IntegerModel(quantized, integers, outputs, None, macs, dead)


def _tee(samples: Iterable[FloatSample]) -> tuple[tuple[FloatSample, ...], Iterable[FloatSample]]:
    """The first samples, kept for the reference folder, and all of them."""
    iterator = iter(samples)
    first = tuple(itertools.islice(iterator, SAMPLE_COUNT))
    return first, itertools.chain(first, iterator)


def _reported(samples: Iterable[FloatSample], progress: Progress) -> Iterable[FloatSample]:
    for number, sample in enumerate(samples, start=1):
        progress(f"calibrate: sample {number}")
        yield sample


def _float_outputs(graph: Graph, sample: FloatSample) -> tuple[Array, ...]:
    values = interpret_float(graph, sample, outputs_only=True)
    return tuple(values[port.tensor] for port in graph.outputs)


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


def plan(model: IntegerModel, options: ConvertOptions) -> Image:
    """Lower and place a model; does not check whether it fits."""
    return allocate(lower(layerwise(model.graph), options.target, kernels=options.kernels))


def convert_model(
    model: IntegerModel, options: ConvertOptions, *, progress: Progress = lambda text: None
) -> Sources:
    """All files of the converted model.

    Raises:
        DoesNotFitError: it needs more RAM or flash than the budget or the board has.
        UnsupportedError: a layer has no kernel.
    """
    progress("lower and allocate")
    image = plan(model, options)
    progress("emit")
    reference = reference_files(
        model.graph, model.samples, model.float_outputs, model.source_tflite
    )
    sources = emit(
        image,
        EmitOptions(options.name, options.target, VERSION, model.macs_network, model.dead_channels),
        reference,
    )
    _check_fit(sources, options)
    return sources


def _check_fit(sources: Sources, options: ConvertOptions) -> None:
    manifest = sources.manifest
    limits = [limit for limit in (options.max_ram_bytes, options.target.sram_bytes) if limit]
    if limits and manifest.ram_bytes > min(limits):
        peak = max(manifest.layers, key=lambda layer: sum(b.bytes for b in layer.buffers))
        raise DoesNotFitError(
            f"{options.name}: it needs {manifest.ram_bytes} bytes of RAM (arena "
            f"{manifest.arena_bytes}, input {manifest.input_bytes}, output {manifest.output_bytes})"
            f" but {min(limits)} are allowed; the layerwise schedule peaks at {peak.op} "
            f"'{peak.source or peak.name}': lower the input resolution or its channels"
        )
    flash = options.target.flash_bytes
    if flash and manifest.flash_bytes > flash:
        raise DoesNotFitError(
            f"{options.name}: weights and tables need {manifest.flash_bytes} bytes of flash but "
            f"{options.target.name} has {flash}; use a narrower network"
        )
