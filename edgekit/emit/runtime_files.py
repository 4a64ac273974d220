# SPDX-License-Identifier: Apache-2.0
"""Find the runtime files that a model uses: a header X.h brings in X.c and every X__*.c it needs."""

from __future__ import annotations

import functools
import importlib.resources
import re
from collections.abc import Iterable, Mapping

_INCLUDE = re.compile(r'^#include "([^"]+)"', re.MULTILINE)


def runtime_files(kernels: Iterable[str], headers: Iterable[str]) -> dict[str, str]:
    """File name -> text of the kernels' C files, the headers, and all that they include.

    A kernel is a symbol; its file is <symbol>.c. The header of a kernel family declares kernels
    that are not used, so only other headers bring in the C files named like them.
    """
    available = _available()
    wanted = [f"{symbol}.c" for symbol in kernels] + list(headers)
    families = {symbol.split("__")[0] + ".h" for symbol in kernels}
    found: dict[str, str] = {}
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        found[name] = available[name]
        wanted += _INCLUDE.findall(found[name])
        if name.endswith(".h") and name not in families:
            stem = name.removesuffix(".h")
            wanted += (
                f
                for f in available
                if f == f"{stem}.c" or (f.startswith(f"{stem}__") and f.endswith(".c"))
            )
    return dict(sorted(found.items()))


@functools.cache
def _available() -> Mapping[str, str]:
    """All C files that come with edgekit, read once, by name."""
    folder = importlib.resources.files("edgekit.runtime_c")
    files = (file for file in folder.iterdir() if file.name.endswith((".c", ".h")))
    return {file.name: file.read_text("utf-8") for file in sorted(files, key=lambda f: f.name)}
