# SPDX-License-Identifier: Apache-2.0
"""edgekit ops: the operators and their kernels."""

from __future__ import annotations

from edgekit.cli.console import print_json, print_table
from edgekit.cli.options import Json


def ops(json: Json = False) -> None:
    """List the operators that a network may use, and the kernels that run them."""
    import msgspec

    from edgekit.ops import operators

    rows = [
        (name, [kernel.symbol for kernel in operator.kernels], operator.summary)
        for name, operator in operators().items()
    ]
    if json:
        entries = [{"name": n, "kernels": k, "summary": s} for n, k, s in rows]
        print_json(msgspec.json.format(msgspec.json.encode(entries), indent=2))
        return
    print_table(
        "",
        ["operator", "what it computes", "kernels"],
        [[n, s, "\n".join(k) or "(a view: no kernel)"] for n, k, s in rows],
    )
