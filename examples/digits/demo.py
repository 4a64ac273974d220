# SPDX-License-Identifier: Apache-2.0
"""The whole of edgekit on one page: train, convert, and prove the C on the host and a Cortex-M4.

Writes the converted project to examples/digits/out and exits 0 only if every rung computes exactly
what the integer reference says.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch
from network import accuracy, load_data, train
from rich.console import Console
from rich.table import Table

import edgekit
from edgekit.artifact import Artifact
from edgekit.errors import EdgekitError
from edgekit.inputs import InputSet
from edgekit.runners.profile import Profile, profile_qemu
from edgekit.target import load_target
from edgekit.validate import ValidateOptions, ValidationReport, validate

TARGET = "cortex-m4"
OUTPUT = Path(__file__).parent / "out"


def main() -> int:
    """Run the demo; returns the exit code."""
    started = time.monotonic()
    data = load_data()
    _say(f"training on {len(data.train_images)} digits ...")
    network = train(data)
    _say(f"trained in {time.monotonic() - started:.0f} s; converting for {TARGET} ...")
    calibration = (torch.from_numpy(image[None]) for image in data.train_images[:256])
    example = torch.zeros(1, 1, 8, 8)
    artifact = edgekit.convert(network, example, calibration=calibration, target=TARGET)
    artifact.save(OUTPUT)
    _say(f"validating on {len(data.test_images)} test digits, host and emulated core ...")
    report = validate(OUTPUT, _options(artifact, data.test_images, data.test_labels))
    profile = profile_qemu(OUTPUT, load_target(TARGET))
    _print_table(accuracy(network, data.test_images, data.test_labels), artifact, report, profile)
    _say(f"done in {time.monotonic() - started:.0f} s; the C project is in {OUTPUT}")
    return 0 if report.all_equal else 5


def _options(artifact: Artifact, images: object, labels: object) -> ValidateOptions:
    """Host and emulated core over the whole test set."""
    samples = tuple(artifact.to_samples(images))
    return ValidateOptions(on=("host", "qemu"), inputs=InputSet(samples, labels))


def _print_table(
    float_accuracy: float, artifact: Artifact, report: ValidationReport, profile: Profile
) -> None:
    rungs = {rung.name: rung for rung in report.rungs}
    manifest = artifact.manifest
    table = Table(title="digits: 8 x 8 images, 10 classes", title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_row("accuracy, float", f"{100 * float_accuracy:.2f}%")
    table.add_row("accuracy, int8 on the host", f"{100 * rungs['host'].top1:.2f}%")
    table.add_row("accuracy, int8 on Cortex-M4", f"{100 * rungs['qemu'].top1:.2f}%")
    table.add_row("arena, bytes", f"{manifest.arena_bytes:,}")
    table.add_row("flash for weights and tables, bytes", f"{manifest.flash_bytes:,}")
    table.add_row("MACs", f"{manifest.macs_executed:,}")
    table.add_row("instructions per inference", f"{profile.total_instructions:,}")
    for rung in report.rungs:
        if rung.name == "reference":
            continue
        verdict = "equal" if rung.equal else f"{rung.mismatches} elements DIFFER"
        table.add_row(f"{rung.name} == reference, {rung.samples} samples", verdict)
    Console(width=100).print(table)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except EdgekitError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
