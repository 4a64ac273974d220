# SPDX-License-Identifier: Apache-2.0
"""edgekit doctor: what is installed on this machine."""

from __future__ import annotations

import typer

from edgekit.cli.console import print_json, print_table
from edgekit.cli.options import Json


def doctor(json: Json = False) -> None:
    """Show which compilers, emulators and packages are here, and what installs the others."""
    import msgspec

    from edgekit.environment import inspect_environment

    found = inspect_environment()
    if json:
        print_json(msgspec.json.format(msgspec.json.encode(found), indent=2))
        return
    print_table(
        "",
        ["tool", "needed for", "version", "remedy"],
        [[t.name, t.purpose, t.version or "missing", t.remedy or ""] for t in found],
    )
    missing = [tool.name for tool in found if tool.version is None]
    typer.echo("all there" if not missing else f"missing: {', '.join(missing)}")
