# SPDX-License-Identifier: Apache-2.0
"""`python -m fuzz`: a campaign over .tflite, .onnx or .pt2 files, or one saved file again."""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
from pathlib import Path

from fuzz.campaign import Plan, Report, run
from fuzz.conversion import Converter
from fuzz.kinds import REPOSITORY, mutants_of

SAVED = REPOSITORY / ".cache" / "fuzz"


def campaign(kind: str, arguments: argparse.Namespace) -> Report:
    """One campaign; its findings are saved under .cache/fuzz with their seed as the name."""
    plan = Plan(
        make=functools.partial(mutants_of, kind),
        seed=arguments.seed,
        count=arguments.count,
        seconds=arguments.seconds or None,
        workers=arguments.workers,
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
    print(f"fuzz {kind}: seed {arguments.seed}: {report.text()}")
    return report


def again(path: Path) -> int:
    """Convert one saved file, through the stages and through the command line."""
    with tempfile.TemporaryDirectory(prefix="edgekit-fuzz-") as folder:
        for number in (0, 1, 2):
            converter = Converter(Path(folder), limit_address_space=path.suffix != ".pt2")
            outcome = converter.check(path.read_bytes(), path.suffix, number=number)
            print(f"{path.name}: {outcome.kind} {outcome.detail}".rstrip())
            if outcome.is_finding:
                return 1
    return 0


def main() -> int:
    """Exit code 1 where something was found."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="saved files to try again")
    parser.add_argument("--kind", choices=("tflite", "onnx", "pt2"), default="tflite")
    parser.add_argument("--count", type=int, default=10_000, help="mutants")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0, help="stop after; 0: no limit")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.files:
        return max(again(path) for path in arguments.files)
    return 1 if campaign(arguments.kind, arguments).findings else 0


if __name__ == "__main__":
    sys.exit(main())
