# SPDX-License-Identifier: Apache-2.0
"""Code bytes of every file of a converted reference network, on a Cortex-M4.

``python benchmarks/sizes.py [NETWORK/WAY]`` prints .text at -O2 by kernel, by inner routine or driver,
and of the model's own file, as they are linked (functions that the network does not call are left
out); without a name, those of ``vww_96_int8/layerwise``.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path

from edgekit.artifact import Artifact
from edgekit.build.cross import link_objects
from edgekit.build.model import compile_model
from edgekit.target import load_target

sys.path.insert(0, str(Path(__file__).resolve().parent))
from key_figures import BUILDERS, NETWORKS, TARGET, WAYS

_PLACED = re.compile(r"^ \.text\S*\s+0x[0-9a-f]+\s+0x([0-9a-f]+)\s+(\S+)$", re.MULTILINE)
"""A section of an object in the linker's map."""
DRIVERS = ("maps", "pair", "column_pair", "pull", "rows", "script", "sink", "slices", "stream")


def code_bytes(artifact: Artifact) -> dict[str, int]:
    """.text by the stem of the source file."""
    target = load_target(TARGET)
    with tempfile.TemporaryDirectory(prefix="edgekit-sizes-") as folder:
        directory = artifact.save(Path(folder) / "model")
        build = Path(folder) / "build"
        build.mkdir()
        objects = compile_model(directory, artifact.manifest, target, build_directory=build)
        sources = zip(objects, artifact.manifest.sources, strict=True)
        stems = {item.path.name: source.removesuffix(".c") for item, source in sources}
        entries = [name for name in artifact.manifest.entry_points if not name.endswith("_step")]
        flags = [f"-Wl,-e,{entries[0]}", *(f"-Wl,-u,{name}" for name in entries), "-Wl,-Map,map"]
        link_objects(target, objects, elf=build / "model.elf", extra_flags=flags)
        placed = (build / "map").read_text("utf-8").split("Linker script and memory map")[1]
        sizes: dict[str, int] = {}
        for size, path in _PLACED.findall(placed):
            stem = stems.get(Path(path).name, "library")
            sizes[stem] = sizes.get(stem, 0) + int(size, 16)
        return sizes


def is_kernel(stem: str) -> bool:
    """Whether a file holds a kernel or what kernels share, not a driver or the model itself."""
    return stem.startswith("ek_") and stem.removeprefix("ek_") not in DRIVERS


def report(sizes: dict[str, int]) -> str:
    """One line per file, the largest first, and the sums."""
    lines = [
        f"{size:8}  {stem}" for stem, size in sorted(sizes.items(), key=lambda i: (-i[1], i[0]))
    ]
    kernels = sum(size for stem, size in sizes.items() if is_kernel(stem))
    total = sum(sizes.values())
    return "\n".join(
        [*lines, f"{kernels:8}  kernels, with what they share", f"{total:8}  everything"]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("network", nargs="?", default="vww_96_int8/layerwise", choices=NETWORKS)
    builder, way = parser.parse_args().network.split("/")
    print(report(code_bytes(BUILDERS[builder](**WAYS[way]))))


if __name__ == "__main__":
    main()
