# SPDX-License-Identifier: Apache-2.0
"""edgekit targets: the cores and boards to convert for."""

from __future__ import annotations

from edgekit.cli.console import print_json, print_table
from edgekit.cli.options import Json


def targets(json: Json = False) -> None:
    """List the targets: what -t takes."""
    import msgspec

    from edgekit.target import list_targets

    found = list_targets()
    if json:
        print_json(msgspec.json.format(msgspec.json.encode(found), indent=2))
        return
    print_table(
        "",
        ["target", "description", "kernels", "emulated on"],
        [
            [t.name, t.description, ", ".join(t.isa), t.qemu.machine if t.qemu else "-"]
            for t in found
        ],
    )
