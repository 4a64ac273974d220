# SPDX-License-Identifier: Apache-2.0
"""edgekit profile: exact instruction counts per layer on the emulated core."""

from __future__ import annotations

from typing import Annotated

import typer

from edgekit.cli.console import print_json, print_table, progress
from edgekit.cli.options import Directory, Json


def profile(
    directory: Directory,
    on: Annotated[str, typer.Option(help="Where to count: qemu.")] = "qemu",
    json: Json = False,
) -> None:
    """Count the instructions of one inference, exactly, layer by layer.

    Cycles are modelled with a simple in-order table (Cortex-M4 and M7), not measured.
    """

    from edgekit.errors import BadInputError
    from edgekit.manifest import load_manifest
    from edgekit.runners.profile import profile_qemu
    from edgekit.target import load_target

    if on != "qemu":
        raise BadInputError(f"--on {on}: instructions are counted on qemu only; use --on qemu")
    with progress("profile") as show:
        show("emulating one inference")
        result = profile_qemu(directory, load_target(load_manifest(directory).target))
    if json:
        print_json(result.to_json())
        return
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
