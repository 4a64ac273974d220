# SPDX-License-Identifier: Apache-2.0
"""Compare every rung of a converted model with the integer reference, with ==."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from edgekit.errors import BadInputError, ValidationError
from edgekit.inputs import InputSet, Sample, dequantize_array, load_inputs, seeded_samples
from edgekit.interpret import interpret
from edgekit.ir import Array
from edgekit.manifest import Manifest, load_manifest
from edgekit.reference import SOURCE_LEVELS, SOURCE_ONNX, SOURCE_PT2, SOURCE_TFLITE, Reference
from edgekit.runners.host import run_host
from edgekit.runners.layer_trace import FiredRows, output_of
from edgekit.runners.qemu import run_qemu
from edgekit.runners.source import SourceRefusedError
from edgekit.runners.source_layers import QuantizedSource, SourceRun, count_layers
from edgekit.runners.source_onnx import onnxruntime_installed, run_onnx
from edgekit.runners.source_tflite import run_tflite, tflite_runtime_installed
from edgekit.runners.source_torch import run_torch, torch_installed
from edgekit.target import load_target

RUNGS = ("host", "qemu")
DEFAULT_SAMPLES = {"host": 20, "qemu": 2}
Progress = Callable[[str], None]
Outputs = Sequence[tuple[Array, ...]]


class Layers(msgspec.Struct, frozen=True, kw_only=True):
    """Elements of all layers, those that differ from the judge's, and how many rounding explains."""

    elements: int
    mismatches: int
    max_abs_diff: int
    explained: int


class Rung(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One rung against the reference; ``mismatches`` counts elements of all outputs.

    Of a judge that is not exact (runners/source_layers.py says why), ``layers`` are the layers
    computed from the judge's own integers, and ``tolerated`` says that they are near enough.
    """

    name: str
    samples: int
    mismatches: int
    max_abs_diff: int
    equal: bool
    tolerated: bool = False
    layers: Layers | None = None
    top1: float | None = None

    @property
    def accepted(self) -> bool:
        return self.equal or self.tolerated


class FloatOutput(msgspec.Struct, frozen=True, kw_only=True):
    """One output against the float model's; None where a figure has no meaning."""

    name: str
    sqnr_db: float | None
    cosine: float | None
    top1_agreement: float | None


class FloatReport(msgspec.Struct, frozen=True, kw_only=True):
    """The worst figures over all outputs, then each output."""

    sqnr_db: float | None
    cosine: float | None
    top1_agreement: float | None
    outputs: tuple[FloatOutput, ...]


class LayerDifference(msgspec.Struct, frozen=True, kw_only=True):
    """The first layer of a rung that differs from the reference."""

    rung: str
    sample: int
    layer: str
    source: str
    kernel: str
    mismatches: int


class ValidationReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What ``validate --json`` prints; ``notes`` says which rung was left out, and why."""

    rungs: tuple[Rung, ...]
    float: FloatReport | None
    first_difference: LayerDifference | None = None
    notes: tuple[str, ...] = ()

    @property
    def all_equal(self) -> bool:
        return all(rung.accepted for rung in self.rungs)

    def assert_ok(self) -> ValidationReport:
        """Raise ValidationError unless every rung equals the reference."""
        for rung in self.rungs:
            if not rung.accepted:
                raise ValidationError(
                    f"rung '{rung.name}': {rung.mismatches} elements differ from the reference, "
                    f"by up to {rung.max_abs_diff}; run `edgekit validate --per-layer`"
                )
        return self


@dataclass(frozen=True)
class ValidateOptions:
    """Which rungs to run on what; ``on`` empty means the host, and QEMU where the target has it."""

    on: tuple[str, ...] = ()
    inputs: Path | InputSet | None = None
    samples: int | None = None
    seed: int = 0
    per_layer: bool = False


def validate(
    directory: Path, options: ValidateOptions, *, progress: Progress = lambda text: None
) -> ValidationReport:
    """Run the rungs of a converted model.

    Raises:
        BadInputError: no such rung or inputs, or the target is not emulated.
        MissingProgramError: a compiler or the emulator is missing.
    """
    manifest = load_manifest(directory)
    rungs = _rungs(manifest, options.on)
    reference = Reference(directory)
    run = _Run(directory, manifest, reference, options, progress)
    counts = {rung: run.samples_for(rung) for rung in rungs}
    expected = run.reference_outputs(max(map(len, counts.values())))
    reports = [run.compare("reference", expected, expected)]
    notes: tuple[str, ...] = ()
    try:
        samples = max(counts.values(), key=len)
        reports += run.compare_source(samples, expected)
    except SourceRefusedError as refusal:
        notes = (f"the rung 'source' is left out: {refusal}",)
    for rung in rungs:
        progress(f"{rung}: {len(counts[rung])} samples")
        outputs: Outputs = run.rung_outputs(rung, counts[rung])
        reports.append(run.compare(rung, outputs, expected[: len(outputs)]))
    return ValidationReport(
        rungs=tuple(reports),
        float=float_report(manifest, reference),
        first_difference=run.first_difference if options.per_layer else None,
        notes=notes,
    )


def _rungs(manifest: Manifest, wanted: Sequence[str]) -> tuple[str, ...]:
    for name in wanted:
        if name not in RUNGS:
            raise BadInputError(f"--on {name}: there is no such rung; use {' or '.join(RUNGS)}")
    emulated = load_target(manifest.target).qemu is not None
    if "qemu" in wanted and not emulated:
        raise BadInputError(f"--on qemu: target '{manifest.target}' has no emulated machine")
    return tuple(dict.fromkeys(wanted)) or RUNGS[: 2 if emulated else 1]


class _Run:
    """The samples and results of one validation."""

    def __init__(
        self,
        directory: Path,
        manifest: Manifest,
        reference: Reference,
        options: ValidateOptions,
        progress: Progress,
    ) -> None:
        self._directory, self._manifest, self._reference = directory, manifest, reference
        self._options, self._progress = options, progress
        self._given = self._load_inputs()
        self.first_difference: LayerDifference | None = None

    def _load_inputs(self) -> InputSet | None:
        inputs = self._options.inputs
        return load_inputs(inputs, self._manifest) if isinstance(inputs, Path) else inputs

    def samples_for(self, rung: str) -> tuple[Sample, ...]:
        if self._given is not None:
            return self._given.samples[: self._options.samples]
        count = self._options.samples or DEFAULT_SAMPLES[rung]
        return seeded_samples(self._manifest.inputs, count, seed=self._options.seed)

    def reference_outputs(self, count: int) -> list[tuple[Array, ...]]:
        samples = max((self.samples_for(rung) for rung in RUNGS), key=len)[:count]
        outputs = []
        for index, sample in enumerate(samples):
            self._progress(f"reference: sample {index + 1} of {len(samples)}")
            values = interpret(self._reference.graph, sample, outputs_only=True)
            outputs.append(tuple(values[port.tensor] for port in self._reference.graph.outputs))
        return outputs

    def rung_outputs(self, rung: str, samples: Sequence[Sample]) -> Outputs:
        if rung == "qemu":
            target = load_target(self._manifest.target)
            return run_qemu(self._directory, samples, target).outputs
        on_rows = self._compare_rows if self._options.per_layer else None
        return run_host(self._directory, samples, on_rows=on_rows).outputs

    def compare_source(self, samples: Sequence[Sample], expected: Outputs) -> list[Rung]:
        """The rung of the runtime that the model's file was made for, where it is installed."""
        names = (SOURCE_TFLITE, SOURCE_ONNX, SOURCE_PT2)
        tflite, onnx, pt2 = (self._reference.source(name) for name in names)
        if tflite is not None and tflite_runtime_installed():
            self._progress("source: TensorFlow Lite reference kernels")
            outputs = run_tflite(tflite, self._manifest, samples)
            return [self.compare("source", outputs, expected)]
        if onnx is not None and onnxruntime_installed():
            self._progress("source: onnxruntime")
            runs = run_onnx(self._quantized(onnx), self._manifest, self._reference.graph, samples)
            return [self._compare_layers("onnxruntime", runs, samples, expected)]
        if pt2 is not None and torch_installed():
            self._progress("source: PyTorch")
            runs = run_torch(self._quantized(pt2), self._manifest, self._reference.graph, samples)
            return [self._compare_layers("PyTorch", runs, samples, expected)]
        return []

    def _quantized(self, model: bytes) -> QuantizedSource:
        levels = self._reference.source(SOURCE_LEVELS) or b"{}"
        return QuantizedSource(model, msgspec.json.decode(levels, type=dict[str, str]))

    def _compare_layers(
        self,
        runtime: str,
        runs: Sequence[SourceRun],
        samples: Sequence[Sample],
        expected: Outputs,
    ) -> Rung:
        """The rung of a runtime that computes in float between integers."""
        graph = self._reference.graph
        rung = self.compare("source", [run.outputs for run in runs], expected)
        count = count_layers(graph, samples, runs)
        if not rung.equal and not count.layers:
            raise SourceRefusedError(
                f"{runtime} rounds {rung.mismatches} elements of the outputs differently, by up to "
                f"{rung.max_abs_diff}, and no layer can be compared with one of its own"
            )
        layers = Layers(
            elements=count.elements,
            mismatches=count.mismatches,
            max_abs_diff=count.max_abs_diff,
            explained=round(count.explained),
        )
        tolerated = not rung.equal and count.tolerated
        return msgspec.structs.replace(rung, tolerated=tolerated, layers=layers)

    def compare(self, name: str, outputs: Outputs, expected: Outputs) -> Rung:
        mismatches = largest = 0
        for ours, theirs in zip(outputs, expected, strict=True):
            for a, b in zip(ours, theirs, strict=True):
                difference = np.abs(a.astype(np.int64) - b.astype(np.int64))
                mismatches += int(np.count_nonzero(difference))
                largest = max(largest, int(difference.max(initial=0)))
        return Rung(
            name=name,
            samples=len(outputs),
            mismatches=mismatches,
            max_abs_diff=largest,
            equal=mismatches == 0,
            top1=self._top1(outputs),
        )

    def _top1(self, outputs: Outputs) -> float | None:
        if self._given is None or self._given.labels is None:
            return None
        guesses = [int(np.argmax(output[0])) for output in outputs]
        return float(np.mean(np.equal(guesses, self._given.labels[: len(guesses)])))

    def _compare_rows(self, number: int, fired: FiredRows) -> None:
        """Compare what a layer wrote on the host with the reference's tensor.

        Once a layer differs, the other rows that it writes for that sample still count.
        """
        layer, first = fired.layer, self.first_difference
        if first is not None and (first.sample, first.layer) != (number, layer.name):
            return
        mismatches = fired.differences(self._activations(number)[output_of(layer).tensor])
        if mismatches:
            self.first_difference = LayerDifference(
                rung="host",
                sample=number,
                layer=layer.name,
                source=layer.source,
                kernel=layer.kernel,
                mismatches=mismatches + (0 if first is None else first.mismatches),
            )

    def _activations(self, number: int) -> dict[str, Array]:
        """All activations of a sample; those of the last one asked for are kept."""
        if getattr(self, "_cached_number", None) != number:
            sample = self.samples_for("host")[number]
            self._cached = interpret(self._reference.graph, sample)
            self._cached_number = number
        return self._cached


def float_report(manifest: Manifest, reference: Reference) -> FloatReport | None:
    """Signal-to-noise ratio and agreement with the float model on the stored samples."""
    float_outputs = reference.float_outputs
    if float_outputs is None:
        return None
    quantized: list[tuple[Array, ...]] = []
    for sample in reference.samples:
        values = interpret(reference.graph, sample, outputs_only=True)
        quantized.append(tuple(values[port.tensor] for port in reference.graph.outputs))
    outputs = tuple(
        _float_output(
            entry.name,
            np.stack([row[i].ravel() for row in float_outputs]).astype(np.float64),
            np.stack([dequantize_array(row[i].ravel(), entry) for row in quantized]),
        )
        for i, entry in enumerate(manifest.outputs)
    )
    return FloatReport(
        sqnr_db=_worst([o.sqnr_db for o in outputs]),
        cosine=_worst([o.cosine for o in outputs]),
        top1_agreement=_worst([o.top1_agreement for o in outputs]),
        outputs=outputs,
    )


def _worst(values: Sequence[float | None]) -> float | None:
    return min((value for value in values if value is not None), default=None)


def _float_output(name: str, expected: Array, actual: Array) -> FloatOutput:
    """Rows are samples."""
    noise = float(np.square(expected - actual).sum())
    signal = float(np.square(expected).sum())
    norms = float(np.linalg.norm(expected) * np.linalg.norm(actual))
    agreement = np.mean(expected.argmax(axis=1) == actual.argmax(axis=1))
    return FloatOutput(
        name=name,
        sqnr_db=10.0 * float(np.log10(signal / noise)) if noise > 0 and signal > 0 else None,
        cosine=float((expected * actual).sum()) / norms if norms > 0 else None,
        top1_agreement=float(agreement) if expected.shape[1] > 1 else None,
    )
