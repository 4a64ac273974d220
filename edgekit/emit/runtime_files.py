# SPDX-License-Identifier: Apache-2.0
"""Find the runtime files that a model uses: a header X.h brings in X.c and every X__*.c it needs."""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Iterable

_INCLUDE = re.compile(r'^#include "([^"]+)"', re.MULTILINE)


def runtime_files(kernels: Iterable[str], headers: Iterable[str]) -> dict[str, str]:
    """File name -> text of the kernels' C files, the headers, and all that they include.

    A kernel is a symbol; its file is <symbol>.c. The header of a kernel family declares kernels
    that are not used, so only other headers bring in the C files named like them.
    """
    folder = importlib.resources.files("edgekit.runtime_c")
    available = {entry.name for entry in folder.iterdir() if entry.name.endswith((".c", ".h"))}
    wanted = [f"{symbol}.c" for symbol in kernels] + list(headers)
    families = {symbol.split("__")[0] + ".h" for symbol in kernels}
    found: dict[str, str] = {}
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        found[name] = folder.joinpath(name).read_text("utf-8")
        wanted += _INCLUDE.findall(found[name])
        if name.endswith(".h") and name not in families:
            stem = name.removesuffix(".h")
            wanted += sorted(
                f for f in available if f == f"{stem}.c" or re.fullmatch(f"{stem}__.*[.]c", f)
            )
    return dict(sorted(found.items()))
