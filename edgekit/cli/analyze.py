# SPDX-License-Identifier: Apache-2.0
"""edgekit analyze: operators, MACs, weights and RAM of a network, before converting it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional, cast, get_args

import typer

from edgekit.cli.console import kib, print_json, print_table, progress, warn
from edgekit.cli.options import Calibration, Json, Model, StreamOutput, TargetName

if TYPE_CHECKING:
    from edgekit.analysis import Analysis, Study
    from edgekit.program import InputMode


def analyze(
    model: Model,
    target: TargetName = "cortex-m4",
    output: Annotated[
        Optional[Path],  # noqa: UP045 - typer evaluates it on Python 3.10
        typer.Option(
            "-o", "--output", metavar="SVG", help="Draw memory over time into this .svg file."
        ),
    ] = None,
    input_mode: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--input",
            help="How the input comes: resident, stream, pull or overwrite, as for convert. Without "
            "it the layers are those of resident; the front and the picture are those of stream, "
            "where the model has rows.",
        ),
    ] = None,
    stream_output: StreamOutput = False,
    advise: Annotated[
        bool,
        typer.Option("--advise", help="Also plan changed networks that may need less RAM; slow."),
    ] = False,
    calib: Calibration = None,
    json: Json = False,
) -> None:
    """Show the layers of a network, its MACs, weights and RAM, and whether it fits TARGET.

    Lists what the schedules need, and the front: every way to run the network that no other one
    beats in both RAM and time. Its figures are a model; those of the schedules are placed.

    Example: edgekit analyze net.tflite -t cortex-m4 -o memory.svg
    """
    mode = _input_mode(input_mode)
    _check_picture(output)
    study = _study(model, target, mode, calib, stream_output=stream_output, advise=advise)
    if output is not None:
        _draw(study, model, output)
    if json:
        print_json(study.analysis.to_json())
    else:
        _print(study.analysis, model, advise=advise)


def _study(
    model: str,
    target: str,
    mode: InputMode | None,
    calib: str | None,
    *,
    stream_output: bool,
    advise: bool,
) -> Study:
    from edgekit.analysis import analyze_model
    from edgekit.converters.load import load_model
    from edgekit.converters.samples import load_samples
    from edgekit.target import load_target

    with progress("analyze") as show:
        show("import")
        imported = load_model(model)
        samples = None if calib is None else load_samples(calib, imported.graph.inputs)
        # Ranges do not change sizes, so missing calibration data is nothing to warn about here.
        quiet = (lambda text: None) if samples is None else warn
        return analyze_model(
            imported,
            load_target(target),
            samples,
            input_mode=mode,
            stream_output=stream_output,
            advise=advise,
            progress=show,
            warn=quiet,
        )


def _input_mode(name: str | None) -> InputMode | None:
    from edgekit.errors import BadInputError
    from edgekit.program import InputMode

    if name is not None and name not in get_args(InputMode):
        raise BadInputError(f"--input {name}: use {' or '.join(get_args(InputMode))}")
    return cast("InputMode | None", name)


def _check_picture(path: Path | None) -> None:
    from edgekit.errors import BadInputError

    if path is not None and path.suffix.lower() != ".svg":
        raise BadInputError(f"-o {path}: the picture is an SVG; give a file name ending in .svg")


def _draw(study: Study, model: str, path: Path) -> None:
    from edgekit.errors import BadInputError
    from edgekit.report.memory_svg import memory_svg

    analysis = study.analysis
    mode = analysis.front_input_mode
    # The name alone: a path differs from machine to machine.
    title = f"{Path(model).name} on {analysis.target}, --input {mode}"
    text = memory_svg(study.layerwise, study.chosen, title=title, plan="--schedule auto")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInputError(f"-o {path}: {error.strerror}") from None


def _print(analysis: Analysis, model: str, *, advise: bool) -> None:
    _print_layers(analysis, model)
    if analysis.dead_channels:
        _print_dead_channels(analysis)
    _print_schedules(analysis)
    _print_front(analysis)
    if advise:
        _print_advice(analysis)
    print_table(
        "",
        ["figure", "value"],
        [
            ["MACs, as imported", f"{analysis.macs_network:,}"],
            ["MACs", f"{analysis.macs_legalized:,}"],
            ["weights and tables", kib(analysis.flash_bytes)],
            [f"fits, --input {analysis.input_mode}", _fits(analysis.fits)],
        ],
    )


def _fits(fits: bool | None) -> str:
    return {True: "yes", False: "no", None: "the target states no memory size"}[fits]


def _print_layers(analysis: Analysis, model: str) -> None:
    print_table(
        f"{model} on {analysis.target}, --input {analysis.input_mode}",
        ["#", "operator", "source", "output", "MACs", "weight bytes", "live bytes", "kernel"],
        [
            [
                layer.label,
                layer.op,
                layer.source,
                "x".join(map(str, layer.output_shape)),
                layer.macs,
                layer.weight_bytes,
                layer.live_bytes,
                layer.kernel,
            ]
            for layer in analysis.layers
        ],
    )


def _print_dead_channels(analysis: Analysis) -> None:
    print_table(
        "constant and unread channels that were removed",
        ["source", "channels", "left", "MACs", "left"],
        [
            [d.source or d.layer, d.channels_before, d.channels_after, d.macs_before, d.macs_after]
            for d in analysis.dead_channels
        ],
    )


def _print_schedules(analysis: Analysis) -> None:
    columns = ["schedule", "input", "arena", "lower bound", "RAM", "extra MACs", "instructions"]
    rows: list[list[object]] = [
        [
            s.name,
            s.input_mode,
            kib(s.arena_bytes),
            s.arena_lower_bound_bytes,
            kib(s.ram_bytes),
            f"{s.extra_macs_percent:.1f}%",
            f"{s.instructions_model / 1e6:.2f} M",
        ]
        for s in analysis.schedules
    ]
    if analysis.fits is not None:
        columns.append("fits")
        rows = [[*row, bool(s.fits)] for row, s in zip(rows, analysis.schedules, strict=True)]
    print_table("schedules; instructions are modelled", columns, rows)


def _print_front(analysis: Analysis) -> None:
    print_table(
        f"front of RAM and time, --input {analysis.front_input_mode}, as modelled; in -: the input, "
        "C: row by row together, H: the same in strips of columns, L: one by one, F R E: pairs in "
        "blocks of channels, D: of columns, c: with plain rows between them, which are slower",
        ["arena", "time", "MACs", "segments"],
        [
            [p.arena_bytes, p.relative_instructions, p.macs_executed, p.segments]
            for p in analysis.front
        ],
    )


def _print_advice(analysis: Analysis) -> None:
    if not analysis.advice:
        print_table("changes of the network that were tried", ["result"], [["none saves RAM"]])
        return
    print_table(
        f"changes of the network that save RAM, --input {analysis.front_input_mode}; retrain it",
        ["layer", "change", "arena", "after", "MACs", "after"],
        [
            [
                a.source or a.layer,
                a.change,
                a.arena_bytes_before,
                a.arena_bytes_after,
                a.macs_before,
                a.macs_after,
            ]
            for a in analysis.advice
        ],
    )
