# SPDX-License-Identifier: Apache-2.0
"""edgekit validate: compare every rung with the integer reference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from edgekit.cli.console import print_json, print_table, progress, warn
from edgekit.cli.options import Directory, Json, Seed

if TYPE_CHECKING:
    from edgekit.validate import Rung


def validate(
    directory: Directory,
    on: Annotated[
        str, typer.Option(help="Rungs, comma-separated: host, qemu. Default: all the target has.")
    ] = "",
    inputs: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            metavar="X.npz", help="Inputs (samples first) and, if present, labels for the top-1."
        ),
    ] = None,
    samples: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Samples per rung. Default: 20 on the host, 2 emulated."),
    ] = None,
    seed: Seed = 0,
    per_layer: Annotated[
        bool, typer.Option("--per-layer", help="Name the first layer that differs, on the host.")
    ] = False,
    json: Json = False,
) -> None:
    """Run the generated C and compare every element of every output with the reference, by ==.

    Exit code 5 if anything differs. Seeded inputs include the extremes of the integer range.
    """
    import msgspec

    from edgekit.validate import ValidateOptions
    from edgekit.validate import validate as run_validation

    options = ValidateOptions(
        on=tuple(word for word in on.split(",") if word),
        inputs=inputs,
        samples=samples,
        seed=seed,
        per_layer=per_layer,
    )
    with progress("validate") as show:
        report = run_validation(directory, options, progress=show)
    for note in report.notes:
        warn(note)
    if json:
        print_json(msgspec.json.format(msgspec.json.encode(report), indent=2))
    else:
        columns = ["rung", "samples", "mismatches", "max |diff|", "equal"]
        rows: list[list[object]] = [
            [r.name, r.samples, r.mismatches, r.max_abs_diff, _verdict(r)] for r in report.rungs
        ]
        if any(r.top1 is not None for r in report.rungs):
            columns.append("top-1")
            for row, rung in zip(rows, report.rungs, strict=True):
                row.append("-" if rung.top1 is None else f"{100 * rung.top1:.2f}%")
        print_table(str(directory), columns, rows)
        if report.float is not None:
            print_table(
                "against the float model",
                ["output", "SQNR dB", "cosine", "top-1 agreement"],
                [
                    [o.name, o.sqnr_db, _digits(o.cosine), o.top1_agreement]
                    for o in report.float.outputs
                ],
            )
    if (first := report.first_difference) is not None and not json:
        typer.echo(
            f"first difference: sample {first.sample}, layer {first.layer} "
            f"({first.source}), kernel {first.kernel}: {first.mismatches} elements"
        )
    report.assert_ok()


def _verdict(rung: Rung) -> str:
    if rung.tolerated:
        return "within a step"
    return "yes" if rung.equal else "NO"


def _digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.5f}"
