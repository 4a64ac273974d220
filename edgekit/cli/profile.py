# SPDX-License-Identifier: Apache-2.0
"""edgekit profile: exact instruction counts per layer on the emulated core."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from edgekit.cli.console import print_json, print_table, progress
from edgekit.cli.options import Directory, Json

if TYPE_CHECKING:
    from edgekit.runners.profile import Profile
    from edgekit.runners.profile_compare import ProfileComparison
    from edgekit.target import Target

MOST_FUNCTIONS = 20


def profile(
    directory: Directory,
    on: Annotated[str, typer.Option(help="Where to count: qemu.")] = "qemu",
    compare: Annotated[
        Optional[Path],  # noqa: UP045 - typer evaluates it on Python 3.10
        typer.Option(
            "--compare", metavar="DIR2", help="Count this model as well and show both side by side."
        ),
    ] = None,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "-o",
            "--output",
            metavar="SVG",
            help="Draw MACs against instructions per MAC, with the core's floor, into this file.",
        ),
    ] = None,
    functions: Annotated[
        bool, typer.Option("--functions", help="Also list kernels and functions.")
    ] = False,
    json: Json = False,
) -> None:
    """Count the instructions of one inference, exactly, layer by layer.

    Cycles are modelled with a simple in-order table (Cortex-M4 and M7), not measured.

    Example: edgekit profile out --compare before -o waterline.svg
    """
    from edgekit.errors import BadInputError
    from edgekit.manifest import load_manifest
    from edgekit.runners.profile_compare import compare_profiles
    from edgekit.target import load_target

    if on != "qemu":
        raise BadInputError(f"--on {on}: instructions are counted on qemu only; use --on qemu")
    if output is not None and output.suffix.lower() != ".svg":
        raise BadInputError(f"-o {output}: the picture is an SVG; give a file name ending in .svg")
    target = load_target(load_manifest(directory).target)
    result = _profile(directory, target)
    comparison = None
    if compare is not None:
        other = _profile(compare, load_target(load_manifest(compare).target))
        comparison = compare_profiles(result, other)
    if output is not None:
        _draw(result, target, load_manifest(directory).name, output)
    if json:
        print_json(result.to_json(comparison, functions=functions))
    elif comparison is not None:
        _print_comparison(comparison, directory, compare)
    else:
        _print(result, directory)
    if functions and not json:
        _print_functions(result)


def _profile(directory: Path, target: Target) -> Profile:
    from edgekit.runners.profile import profile_qemu

    with progress("profile") as show:
        show(f"emulating one inference of {directory}")
        return profile_qemu(directory, target)


def _draw(result: Profile, target: Target, model: str, path: Path) -> None:
    from edgekit.errors import BadInputError
    from edgekit.report.waterline_svg import Bar, floor_of, waterline_svg

    bars = [Bar(layer.name, layer.op, layer.macs, layer.instructions) for layer in result.layers]
    text = waterline_svg(bars, floor=floor_of(target.isa), title=f"{model} on {target.name}")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInputError(f"-o {path}: {error.strerror}") from None


def _print(result: Profile, directory: Path) -> None:
    print_table(
        f"{directory} on {result.core} ({result.compiler})",
        ["layer", "operator", "kernel", "MACs", "instructions", "per MAC", "cycles (model)"],
        [
            [
                layer.name,
                layer.op,
                layer.kernel,
                layer.macs,
                layer.instructions,
                f"{layer.instructions / layer.macs:.2f}" if layer.macs else "-",
                layer.cycles_model,
            ]
            for layer in result.layers
        ],
    )
    cycles = result.total_cycles_model
    typer.echo(
        f"total: {result.total_instructions:,} instructions"
        + ("" if cycles is None else f", about {cycles:,} cycles (model)")
    )


def _print_comparison(comparison: ProfileComparison, directory: Path, other: Path | None) -> None:
    print_table(
        f"instructions of {directory} and {other}",
        ["layer", "operator", "kernel", "other kernel", "instructions", "other", "ratio"],
        [
            [
                layer.name,
                layer.op,
                layer.kernel,
                layer.other_kernel if layer.other_kernel != layer.kernel else "the same",
                layer.instructions,
                layer.other_instructions,
                "-" if layer.ratio is None else f"{layer.ratio:.3f}",
            ]
            for layer in comparison.layers
        ],
    )
    typer.echo(
        f"total: {comparison.total_instructions:,} and {comparison.other_total_instructions:,} "
        f"instructions, ratio {comparison.ratio:.3f}"
    )


def _print_functions(result: Profile) -> None:
    print_table(
        "instructions by kernel",
        ["kernel", "layers", "MACs", "instructions", "per MAC"],
        [
            [
                k.name,
                k.layers,
                k.macs,
                k.instructions,
                f"{k.instructions / k.macs:.2f}" if k.macs else "-",
            ]
            for k in result.kernels
        ],
    )
    print_table(
        "instructions by function, without what it calls",
        ["function", "instructions", "share"],
        [
            [f.name, f.instructions, f"{f.instructions / max(result.total_instructions, 1):.1%}"]
            for f in result.functions[:MOST_FUNCTIONS]
        ],
    )
