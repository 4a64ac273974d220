# SPDX-License-Identifier: Apache-2.0
"""Memory in which every byte knows which byte of which buffer it holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgekit.ir import Array

PAINT = 0xA5
NOTHING = -1


class ReplayError(Exception):
    """The program reads bytes that are not what it takes them for, or claims too few."""


@dataclass(frozen=True, eq=False)
class Part:
    """Bytes [begin, begin + size) of a map that lie at ``address``; ``key`` names the map."""

    memory: Memory
    address: int
    key: str
    begin: int
    size: int


class Memory:
    """Bytes, each with a tag: the byte of a named map that it holds."""

    def __init__(self, size: int) -> None:
        self.bytes = np.full(size, PAINT, np.uint8)
        self.tags = np.full(size, NOTHING, np.int64)
        self._numbers: dict[str, int] = {}

    def _wanted(self, part: Part) -> Array:
        number = self._numbers.setdefault(part.key, len(self._numbers))
        return np.arange(part.begin, part.begin + part.size) + (number << 32)

    def _span(self, part: Part) -> slice:
        if part.address < 0 or part.address + part.size > len(self.bytes):
            raise ReplayError(f"'{part.key}' leaves the memory of {len(self.bytes)} bytes")
        return slice(part.address, part.address + part.size)

    def check(self, part: Part, who: str) -> None:
        held, wanted = self.tags[self._span(part)], self._wanted(part)
        if not np.array_equal(held, wanted):
            byte = int(np.flatnonzero(held != wanted)[0])
            names = {number: name for name, number in self._numbers.items()}
            other = names.get(int(held[byte]) >> 32, "nothing")
            raise ReplayError(
                f"{who}: byte {part.begin + byte} of '{part.key}' is not there; "
                f"at {part.address + byte} lies {other}"
            )

    def read(self, part: Part, who: str) -> Array:
        self.check(part, who)
        return self.bytes[self._span(part)].copy()

    def write(self, part: Part, values: Array) -> None:
        span = self._span(part)
        self.bytes[span] = values.view(np.uint8).ravel()
        self.tags[span] = self._wanted(part)
