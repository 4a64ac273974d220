# SPDX-License-Identifier: Apache-2.0
"""Constant tables of a test program in one binary file: thousands of them compile in no time."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from edgekit.emit.c_tables import C_TYPES, TableSet
from edgekit.ir import Array

_ALIGNMENT = 8
_GAP_BYTES = 8
"""Between two tables; closed where the machine can, so that it notices a read behind a table."""

ASSEMBLY = """/* generated */
.section .rodata
.balign 16
.global trial_bytes
trial_bytes:
.incbin "{name}"
"""
"""The file that takes the binary file into a program."""


class BlobTables(TableSet):
    """Tables are expressions over ``trial_bytes``; ``blob`` is what lies there."""

    def __init__(self) -> None:
        super().__init__("")
        self._blob = bytearray()
        self._gaps: list[tuple[int, int]] = []

    def add(self, name: str, array: Array) -> str:
        content = np.ascontiguousarray(array).tobytes()
        offset, end = len(self._blob), len(self._blob) + len(content)
        following = -(-end // _ALIGNMENT) * _ALIGNMENT + _GAP_BYTES
        self._blob += content + bytes(following - end)
        self._gaps.append((end, following - end))
        return f"((const {C_TYPES[array.dtype.name]} *)(const void *)(trial_bytes + {offset}))"

    def texts(self) -> Iterable[str]:
        gaps = ", ".join(f"{{{start}, {count}}}" for start, count in self._gaps)
        yield "extern const int8_t trial_bytes[];"
        yield f"static const int32_t gaps[][2] = {{{gaps}}};"
        yield "void kernel_trials_close_gaps(void) {"
        yield "  for (size_t i = 0; i < sizeof gaps / sizeof gaps[0]; i++) {"
        yield "    platform_close(trial_bytes + gaps[i][0], (size_t)gaps[i][1]);"
        yield "  }\n}"

    @property
    def blob(self) -> bytes:
        return bytes(self._blob)
