# SPDX-License-Identifier: Apache-2.0
"""edgekit run: the outputs of the generated C for given inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgekit.cli.console import progress
from edgekit.cli.options import Directory


def run(
    directory: Directory,
    inputs: Annotated[Path, typer.Option(metavar="X.npz", help="Inputs, samples first.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="OUT.npz", help="Where the outputs go.")
    ],
    real: Annotated[
        bool, typer.Option("--float", help="Write real values instead of the integers.")
    ] = False,
    on: Annotated[str, typer.Option(help="host or qemu.")] = "host",
) -> None:
    """Run the generated C on inputs from a file and write one array per output, samples first."""
    from edgekit.outputs import run_to_file

    with progress("run") as show:
        shapes = run_to_file(directory, inputs, output, real=real, on=on, progress=show)
    for name, shape in shapes.items():
        typer.echo(f"{name}: {'x'.join(map(str, shape))}")
