# SPDX-License-Identifier: Apache-2.0
"""The command line; commands load what they need when they run."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``edgekit`` with the given arguments (default: those of the process)."""
    from edgekit.cli.app import run

    return run(arguments)
