# SPDX-License-Identifier: Apache-2.0
"""Fit the cost model of every kernel on emulated cores, and write targets/costs/<core>.json.

``python benchmarks/fit_costs.py`` counts the instructions of every kernel over the layers of
cost_layers.py, fits nonnegative coefficients to all but every fourth layer, by least squares of the
relative errors, and prints the errors of both. ``--core cortex-m4`` fits one core, words
(``conv depthwise``) only the kernels with one of them in their names, which leaves the coefficients
of the others as they are. Every core costs instructions, those that issue two at a time as well: a
schedule that executes fewer of them is the faster one there too.
"""

from __future__ import annotations

import argparse
import collections
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from cost_counts import Count, count, trials
from scipy.optimize import nnls

from edgekit.build.cross import compiler_flags, compiler_version
from edgekit.costs import ANY_CORE, Coefficients, CostTable, load_table
from edgekit.ops import operators
from edgekit.target import Target, list_targets, load_target

FOLDER = Path(__file__).resolve().parents[1] / "targets" / "costs"
DIGITS = 4
HELD_OUT = 4
"""Every so many layers of a kernel, one is not fitted to."""
FEWEST = 8
"""Layers of a kernel of which some are held out."""


@dataclass(frozen=True)
class Sample:
    """The features of a layer, what it executed, and the share of the driver."""

    features: Mapping[str, float]
    instructions: float
    driver: float = 0.0

    def error(self, coefficients: Coefficients) -> float:
        """How far the estimate is off, as a share of the count."""
        own = sum(coefficients.get(name, 0.0) * count for name, count in self.features.items())
        return abs((own + self.driver) / self.instructions - 1)


def fit(samples: Sequence[Sample]) -> dict[str, float]:
    """The nonnegative coefficients whose sums have the least squared relative errors."""
    names = sorted({name for sample in samples for name in sample.features})
    rows = [[s.features.get(name, 0.0) / s.instructions for name in names] for s in samples]
    matrix = np.array(rows, float)
    scale = np.maximum(np.linalg.norm(matrix, axis=0), 1e-30)
    shares = np.array([1 - sample.driver / sample.instructions for sample in samples])
    values, _ = nnls(matrix / scale, shares, maxiter=100 * len(names))
    found = zip(names, values / scale, strict=True)
    return {name: float(f"{value:.{DIGITS}g}") for name, value in found if value > 0}


def split(samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample]]:
    """The layers to fit to, and those that are held out: none with a feature that few have."""
    layers = collections.Counter(n for s in samples for n, count in s.features.items() if count)
    known = {name for name, count in layers.items() if count > HELD_OUT}
    fitted: list[Sample] = []
    held_out: list[Sample] = []
    for number, sample in enumerate(samples):
        is_common = all(name in known for name, count in sample.features.items() if count)
        is_turn = number % HELD_OUT == HELD_OUT - 1 and len(samples) >= FEWEST
        (held_out if is_turn and is_common else fitted).append(sample)
    return fitted, held_out


def samples_by_kernel(counts: Sequence[Count]) -> dict[str, list[Sample]]:
    """What was counted, by the symbol of the kernel."""
    found: dict[str, list[Sample]] = {}
    for one in counts:
        kernel = one.trial.kernel
        features = kernel.features(one.trial.call)
        sample = Sample(features, one.instructions, one.driver)
        found.setdefault(kernel.symbol, []).append(sample)
    return dict(sorted(found.items()))


def fitted_kernels(samples: Mapping[str, Sequence[Sample]]) -> dict[str, dict[str, float]]:
    """Fit every kernel, and print a line for each."""
    kernels, medians = {}, []
    print(f"{'kernel':56}{'layers':>8}{'fitted':>16}{'held out':>16}")
    for symbol, own in samples.items():
        fitted, held_out = split(own)
        kernels[symbol] = fit(fitted)
        known, unknown = ([s.error(kernels[symbol]) for s in part] for part in (fitted, held_out))
        medians += unknown
        print(f"{symbol:56}{len(own):8}{_summary(known):>16}{_summary(unknown):>16}", flush=True)
    print(f"all held out layers: median and worst {_summary(medians)}")
    return kernels


def _summary(found: Sequence[float]) -> str:
    return f"{statistics.median(found):.1%} {max(found):.1%}" if found else "-"


def table_of(
    target: Target, kernels: Mapping[str, Coefficients], before: CostTable | None
) -> CostTable:
    """The table with new coefficients, and the old ones of kernels that are still there."""
    present = {k.symbol for operator in operators().values() for k in operator.kernels}
    kept = {s: c for s, c in (before.kernels if before else {}).items() if s in present}
    return CostTable(
        core=target.core,
        compiler=compiler_version(target),
        flags=" ".join(compiler_flags(target)),
        otherwise=None if target.core == ANY_CORE else ANY_CORE,
        kernels=dict(sorted({**kept, **kernels}.items())),
    )


def table_text(table: CostTable) -> bytes:
    return msgspec.json.format(msgspec.json.encode(table), indent=1) + b"\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("words", nargs="*", help="only kernels with one of these in their names")
    cores = [t.name for t in list_targets() if t.qemu is not None and t.costs is None]
    parser.add_argument("--core", choices=cores, action="append", help="only these cores")
    arguments = parser.parse_args()
    for core in arguments.core or cores:
        target = load_target(core)
        found = trials(target.isa, words=arguments.words or [""])
        if not found:
            parser.error(f"no kernel of {core} has one of {arguments.words} in its name")
        print(f"{core}: {len(found)} layers", flush=True)
        kernels = fitted_kernels(samples_by_kernel(list(count(found, target))))
        FOLDER.mkdir(exist_ok=True)
        before = load_table(target.core) if arguments.words else None
        text = table_text(table_of(target, kernels, before))
        (FOLDER / f"{target.core}.json").write_bytes(text)
    sys.exit(0)


if __name__ == "__main__":
    main()
