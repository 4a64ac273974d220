# SPDX-License-Identifier: Apache-2.0
"""Mutated .tflite, .onnx and .pt2 files through the conversion; findings are saved as files."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from fuzz.campaign import Plan, Report, run
from fuzz.conversion import Converter
from fuzz.kinds import REPOSITORY, mutants_of

KINDS = ("tflite", "onnx", "pt2")
SAVED = REPOSITORY / ".cache" / "fuzz"


def campaign(kind: str, *, seed: int, count: int, workers: int, seconds: float | None) -> Report:
    """One campaign; its findings are saved under .cache/fuzz with their seed as the name."""
    plan = Plan(
        make=functools.partial(mutants_of, kind),
        seed=seed,
        count=count,
        seconds=seconds,
        workers=workers,
        limit_address_space=kind != "pt2",  # PyTorch reserves more than it uses
    )
    report = run(plan)
    SAVED.mkdir(parents=True, exist_ok=True)
    for finding in report.findings:
        path = SAVED / f"{finding.name}{finding.suffix}"
        path.write_bytes(finding.data)
        path.with_suffix(".txt").write_text(finding.detail, "utf-8", errors="replace")
        last = finding.detail.strip().splitlines()[-1][:160] if finding.detail.strip() else "?"
        print(f"FOUND {path.relative_to(REPOSITORY)}: {last}")
    print(f"fuzz {kind}: seed {seed}: {report.text()}")
    return report


def again(path: Path) -> bool:
    """Convert one saved file, through the stages and through the command line; whether it may."""
    with tempfile.TemporaryDirectory(prefix="edgekit-fuzz-") as folder:
        for number in (0, 1, 2):
            converter = Converter(Path(folder), limit_address_space=path.suffix != ".pt2")
            outcome = converter.check(path.read_bytes(), path.suffix, number=number)
            print(f"{path.name}: {outcome.kind} {outcome.detail}".rstrip())
            if outcome.is_finding:
                return False
    return True
