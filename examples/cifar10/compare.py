# SPDX-License-Identifier: Apache-2.0
"""What post-training quantization costs on CIFAR-10, and that the C computes the same logits.

    python examples/cifar10/compare.py cifar10.npz --seeds 0,1,2

Trains ResNet-8 and MobileNetV2 0.35 for each seed (minutes on two cores; weights stay in the cache),
converts them with 256 training images as calibration data, and compares the top-1 of float and int8
on all test images. A copy of ResNet-8 whose channels are scaled by up to 100 shows what plain
quantization loses then, what the doctor of quantization says first, and what equalization regains.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from networks import unbalance
from torch import nn
from training import Images, load_images, logits, top1, trained

import edgekit
from edgekit.converters.from_torch import import_torch_module
from edgekit.converters.legalize import legalize
from edgekit.converters.quantize.doctor import diagnose
from edgekit.converters.quantize.options import QuantizeOptions
from edgekit.converters.samples import samples_of
from edgekit.errors import EdgekitError
from edgekit.inputs import InputSet
from edgekit.validate import ValidateOptions, validate

CACHE = Path(__file__).parents[2] / ".cache" / "cifar10"
OUTPUT = Path(__file__).parent / "out"
EXAMPLE = torch.zeros(1, 3, 32, 32)
CALIBRATED, EXAMINED = 256, 32
FACTOR = 100.0
KINDS: Mapping[str, tuple[str, bool, Mapping[str, Any]]] = {
    "ResNet-8": ("resnet8", False, {}),
    "MobileNetV2 0.35": ("mobilenet_v2", False, {}),
    "ResNet-8, unequal channels": ("resnet8", True, {}),
    "ResNet-8, unequal, equalized": ("resnet8", True, {"equalize": True}),
}
"""Title -> recipe, whether its channels are made unequal, and options of quantization."""


@dataclass(frozen=True)
class Row:
    """One network: top-1 in percent, and the elements of its logits that differ from the reference."""

    exact: float
    quantized: float
    mismatches: int
    remedy: str

    @property
    def drop(self) -> float:
        return self.exact - self.quantized


def main() -> int:
    """Run the comparison; 5 where a logit differs, else 0."""
    arguments = _arguments()
    train, test = (load_images(arguments.data, part) for part in ("train", "test"))
    test = Images(test.images[: arguments.images], test.labels[: arguments.images])
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    rows: dict[str, list[Row]] = {}
    for title in KINDS:
        for seed in seeds:
            row = _compare(title, seed, arguments, train, test)
            rows.setdefault(title, []).append(row)
            verdict = "equal" if row.mismatches == 0 else f"{row.mismatches} logits DIFFER"
            print(
                f"{title}, seed {seed}: float {row.exact:.2f}%, int8 {row.quantized:.2f}%, "
                f"{row.drop:+.2f} points lost; C on {len(test.labels)} images: {verdict}; "
                f"first remedy: {row.remedy or 'none'}",
                flush=True,
            )
    for title, found in rows.items():
        exact, quantized = (fmean(getattr(r, n) for r in found) for n in ("exact", "quantized"))
        print(
            f"{title}: float {exact:.2f}%, int8 {quantized:.2f}%, {exact - quantized:+.2f} points "
            f"lost (mean of {len(found)})"
        )
    return 5 if any(row.mismatches for found in rows.values() for row in found) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="float against int8 on CIFAR-10")
    parser.add_argument("data", type=Path, help="the .npz with the images")
    parser.add_argument("--seeds", default="0,1,2", help="comma-separated")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where weights are kept")
    parser.add_argument("--images", type=int, default=None, help="test images; default: all")
    return parser.parse_args()


def _compare(
    title: str, seed: int, arguments: argparse.Namespace, train: Images, test: Images
) -> Row:
    recipe, is_unbalanced, options = KINDS[title]
    network = trained(recipe, seed, arguments.data, arguments.cache)
    if is_unbalanced:
        network = unbalance(network, factor=FACTOR, seed=seed)
    exact = top1(logits(network, test.images), test.labels)
    calibration = [image[None] for image in train.images[:CALIBRATED]]
    artifact = edgekit.convert(
        network, EXAMPLE, calibration=calibration, quantization=options, target="cortex-m4"
    )
    folder = OUTPUT / f"{title.replace(',', '').replace(' ', '_')}_{seed}"
    artifact.save(folder)
    inputs = InputSet(tuple(artifact.to_samples(test.images)), test.labels)
    report = validate(folder, ValidateOptions(on=("host",), inputs=inputs))
    host = next(rung for rung in report.rungs if rung.name == "host")
    remedy = _first_remedy(network, calibration[:EXAMINED], QuantizeOptions(**options))
    return Row(exact, 100.0 * (host.top1 or 0.0), host.mismatches, remedy)


def _first_remedy(
    network: nn.Module, calibration: list[np.ndarray], options: QuantizeOptions
) -> str:
    """What the doctor applies first."""
    graph = legalize(import_torch_module(network, EXAMPLE))
    samples = tuple(samples_of(calibration, graph.inputs, where="calibration"))
    diagnosis = diagnose(graph, samples, options, rounds=1)
    return next((trial.remedy.name for trial in diagnosis.trials if trial.applied), "")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except EdgekitError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
