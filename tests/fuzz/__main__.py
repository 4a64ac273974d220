# SPDX-License-Identifier: Apache-2.0
"""Random campaigns, or one of their cases again.

Kinds: tflite, onnx and pt2 convert mutated model files; kernels compares every C kernel with its
reference on random layers, on this machine and on emulated cores; schedules runs random models under
random plans. A case is a saved file, ISA:SEED:INDEX of a kernel, or SEED:INDEX of a schedule.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fuzz import model_files

KINDS = (*model_files.KINDS, "kernels", "schedules")
FAMILIES = ("ref", "c", "dsp", "mve")
DEFAULT_COUNTS = {"kernels": 100_000, "schedules": 2_000, "pt2": 100}
FILE_COUNT = 10_000


def main() -> int:
    """Exit code 1 where something was found."""
    arguments = _parser().parse_args()
    if arguments.cases:
        return 0 if _again(arguments) else 1
    if arguments.count is None:
        arguments.count = DEFAULT_COUNTS.get(arguments.kind, FILE_COUNT)
    return 1 if _campaign(arguments) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="*", help="cases to try again")
    parser.add_argument("--kind", choices=KINDS, default="tflite")
    parser.add_argument(
        "--count", type=int, help="mutants; cases of each kernel family, on all of its cores; plans"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0, help="stop after; 0: no limit")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--family", action="append", choices=FAMILIES, help="kernels: this one only; repeatable"
    )
    parser.add_argument("--core", help="kernels: only on 'host' or this emulated core")
    parser.add_argument(
        "--emulate",
        type=int,
        default=0,
        metavar="K",
        help="schedules: each K-th on a Cortex-M7, too",
    )
    return parser


def _campaign(arguments: argparse.Namespace) -> Sequence[object]:
    """The findings of a campaign; the modules of a kind are loaded where it is asked for."""
    limits = {"workers": arguments.workers, "seconds": arguments.seconds or None}
    numbers = {"seed": arguments.seed, "count": arguments.count}
    if arguments.kind == "kernels":
        from fuzz import kernels

        return kernels.campaign(
            arguments.family or FAMILIES, arguments.core, **numbers, **limits
        ).findings
    if arguments.kind == "schedules":
        from fuzz import schedules

        plan = schedules.ScheduleCampaign(**numbers, emulate_every=arguments.emulate)
        return schedules.run(plan, **limits).findings
    return model_files.campaign(arguments.kind, **numbers, **limits).findings


def _again(arguments: argparse.Namespace) -> bool:
    """Whether all of the cases are right; each is tried."""
    return not [case for case in arguments.cases if not _is_right(case, arguments)]


def _is_right(case: str, arguments: argparse.Namespace) -> bool:
    if arguments.kind == "kernels":
        from fuzz import kernels

        return kernels.again(case, arguments.core)
    if arguments.kind == "schedules":
        from fuzz import schedules

        return schedules.again(case)
    return model_files.again(Path(case))


if __name__ == "__main__":
    sys.exit(main())
