# SPDX-License-Identifier: Apache-2.0
"""edgekit convert: write the C project."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from edgekit.cli.console import kib, print_table, progress, warn
from edgekit.cli.options import (
    BiasCorrection,
    Calibration,
    Config,
    Equalize,
    Method,
    Model,
    Rounding,
    StreamOutput,
    TargetName,
    quantize_options,
)


def convert(
    model: Model,
    target: TargetName,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="DIR", help="Folder to write; replaced if edgekit wrote it."
        ),
    ],
    calib: Calibration = None,
    method: Method = None,
    equalize: Equalize = None,
    bias_correction: BiasCorrection = None,
    rounding: Rounding = None,
    config: Config = None,
    input_mode: Annotated[
        str,
        typer.Option(
            "--input",
            help="How the input comes: resident (all in RAM), stream (rows pushed in order), pull "
            "(rows read through a callback), overwrite (its RAM is used again).",
        ),
    ] = "resident",
    stream_output: StreamOutput = False,
    schedule: Annotated[
        str,
        typer.Option(
            help="auto: search; layerwise: one layer after the other; patch: the first layers in a "
            "grid of patches, as MCUNetV2 does; stream: the search without strips of columns."
        ),
    ] = "auto",
    plan: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            metavar="JSON",
            help="Run the model as this file says: the reference/plan.json of a converted model, or "
            "a `plan` of the front of `analyze --json`.",
        ),
    ] = None,
    max_ram: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="BYTES", help="RAM for arena, input and output: 65536 or 64K."),
    ] = None,
    max_extra_macs: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(metavar="PERCENT", help="MACs that may be computed again to save RAM."),
    ] = None,
    name: Annotated[str, typer.Option(help="Prefix of the generated C.")] = "model",
    kernels: Annotated[
        str, typer.Option(help="auto: the fastest of the target; reference: plain C.")
    ] = "auto",
) -> None:
    """Turn a network into a self-contained C project for TARGET.

    Writes DIR with model.h, model.c, the runtime files that it uses, manifest.json and the integer
    reference. Nothing is written unless the whole conversion succeeds.

    The schedule is searched: without a budget, the least RAM that costs no extra MACs and at most a
    quarter more time than the fastest one; with --max-extra-macs, the least RAM within it; with
    --max-ram or a board, the fastest that fits.

    Example: edgekit convert net.tflite -t cortex-m4 -o out --input stream --max-ram 64K
    """
    from edgekit.api import parse_budget
    from edgekit.artifact import write_project
    from edgekit.converters.load import load_model
    from edgekit.converters.samples import load_samples
    from edgekit.errors import BadInputError
    from edgekit.pipeline import ConvertOptions, convert_model, to_integers
    from edgekit.target import load_target

    if kernels not in ("auto", "reference"):
        raise BadInputError(f"--kernels {kernels}: use auto or reference")
    options = ConvertOptions(
        target=load_target(target),
        name=name,
        kernels=kernels,
        budget=parse_budget(
            schedule=schedule,
            input_mode=input_mode,
            max_ram=max_ram,
            max_extra_macs=max_extra_macs,
            stream_output=stream_output,
            plan=plan,
        ),
    )
    quantization = quantize_options(
        config,
        method=method,
        equalize=equalize,
        bias_correction=bias_correction,
        rounding=rounding,
    )
    with progress("convert") as show:
        show("import")
        imported = load_model(model)
        samples = None if calib is None else load_samples(calib, imported.graph.inputs)
        integers = to_integers(imported, samples, quantization, progress=show, warn=warn)
        sources = convert_model(integers, options, progress=show)
        write_project(sources, output)
    manifest = sources.manifest
    print_table(
        f"{output} for {manifest.target}",
        ["figure", "value"],
        [
            ["arena", kib(manifest.arena_bytes)],
            ["arena, lower bound", kib(manifest.arena_lower_bound_bytes)],
            ["RAM with input and output", kib(manifest.ram_bytes)],
            ["stack, static bound", kib(manifest.stack_bytes)],
            ["flash, weights and tables", kib(manifest.flash_bytes)],
            ["MACs", f"{manifest.macs_executed:,}"],
            ["input", manifest.input_mode],
            ["output", manifest.output_mode],
        ],
    )
