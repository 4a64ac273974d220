# SPDX-License-Identifier: Apache-2.0
"""The values that break converters: limits of types, their neighbours, NaN, names that are code."""

from __future__ import annotations

import math
from random import Random

INTEGERS = (
    *(0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 31, 64, 100, 127, 128, 129, 255, 256, 1000, 4096),
    *(32767, 32768, 65535, 65536, 2**20, 2**24, 2**26, 2**30, 2**31 - 1, 2**31, 2**32 - 1),
    *(2**32, 2**53, 2**62, 2**63 - 1),
)
FLOATS = (
    *(0.0, -0.0, 1.0, -1.0, 0.5, 1 / 256, 1 / 255, 0.1, 3.0, 1e-3, 1e-6, 1e-10, 1e-20, 1e-38),
    *(1e-45, 1e10, 1e20, 1e38, 3.4e38, math.inf, -math.inf, math.nan, 2.0**-31, 2.0**31),
)
NAMES = (
    *(
        "",
        "a*/b",
        "/* c",
        "??/",
        "??=define x",
        "line\nbreak",
        "\r\n",
        "tab\there",
        "%s%n%d",
        "$(id)",
    ),
    *('"quoted"', "'", "\\", "\\\n", "`id`", "<script>", "//", "#include <x>", "\0nul", "\x1b[31m"),
    *("int", "while", "class", "main", "memory", "arena", "operands", "input", "output", "model"),
    *("model_run", "layer_0", "loop_0", "padding_0", "ek_status", "EK_OK", "NULL", "memcpy", "x.y"),
    *("é", "日本語", "\u202e", "\ud7ff", "a b", "A_B", "a__b", "0", "9a", "_", "__x", "..", "../x"),
    "n" * 300,
    "x" * 10_000,
)


def integer(random: Random, near: int = 0) -> int:
    """An integer of interest, often close to ``near``."""
    choice = random.random()
    if choice < 0.4:
        return near + random.choice((-2, -1, 1, 2))
    if choice < 0.55:
        return random.choice((near * 2, near // 2, near * 3, -near))
    value = random.choice(INTEGERS)
    return -value if random.random() < 0.2 else value


def real(random: Random, near: float = 1.0) -> float:
    """A float of interest, often within a factor of ``near``."""
    if random.random() < 0.5 and math.isfinite(near):
        return near * random.choice((0.5, 2.0, 0.999, 1.001, 1.5, 10.0, 0.1, 1e3, 1e-3, 1e6, 1e-6))
    return random.choice(FLOATS)
