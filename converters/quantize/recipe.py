# SPDX-License-Identifier: Apache-2.0
"""The steps of post-training quantization in order: equalize, calibrate, adjust, quantize."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from edgekit.converters.quantize.adjust import adjust
from edgekit.converters.quantize.calibrate import Calibration, FloatSample, calibrate
from edgekit.converters.quantize.equalize import EqualizedPair, equalize
from edgekit.converters.quantize.options import QuantizeOptions
from edgekit.converters.quantize.ptq import quantize
from edgekit.converters.quantize.ranges import choose_ranges
from edgekit.ir import Graph, QGraph

Progress = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Quantized:
    """An integer model, the float one whose activations it approximates, and what led to it."""

    graph: QGraph
    float_graph: Graph
    calibration: Calibration
    equalized: tuple[EqualizedPair, ...]


def quantize_model(
    graph: Graph,
    samples: Iterable[FloatSample],
    options: QuantizeOptions,
    *,
    kept: int = 0,
    progress: Progress = lambda text: None,
) -> Quantized:
    """The integer model of a legalized float graph; the samples are seen once.

    Raises:
        BadInputError: there is no sample, a pattern of ``options`` names no layer, or a value of the
            model is NaN or infinite.
    """
    options.verify().check_patterns(graph)
    equalized: tuple[EqualizedPair, ...] = ()
    if options.needs_equalizing:
        progress("equalize")
        graph, equalized = equalize(graph, options)
    kept = max(kept, options.adjust_samples if options.needs_adjusting else 0)
    calibration = calibrate(
        graph, _reported(samples, progress), kept=kept, histograms=options.needs_histograms
    )
    return finish(graph, calibration, options, equalized, progress=progress)


def finish(
    graph: Graph,
    calibration: Calibration,
    options: QuantizeOptions,
    equalized: tuple[EqualizedPair, ...],
    *,
    progress: Progress = lambda text: None,
) -> Quantized:
    """The integer model of a calibrated graph that is equalized already, where it shall be."""
    progress("ranges")
    ranges = choose_ranges(graph, calibration.statistics, options)
    adjusted = graph
    if options.needs_adjusting:
        samples = calibration.samples[: options.adjust_samples]
        adjusted = adjust(graph, ranges, samples, options, progress=progress)
    progress("quantize")
    return Quantized(quantize(adjusted, ranges), graph, calibration, equalized)


def _reported(samples: Iterable[FloatSample], progress: Progress) -> Iterable[FloatSample]:
    for number, sample in zip(itertools.count(1), samples, strict=False):
        progress(f"calibrate: sample {number}")
        yield sample
