# SPDX-License-Identifier: Apache-2.0
"""RAM and time of the reference networks: layerwise, streamed and pulled, beside published figures.

``python benchmarks/schedules.py`` converts each network in each way, proves it bit-exact on the host
with a painted arena, and writes the table between the markers of README.md. With ``--emulate`` the
networks of ``EMULATED`` are proven on an emulated Cortex-M7 too. Instructions are modelled.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import edgekit
from edgekit.artifact import Artifact
from edgekit.inputs import seeded_samples
from edgekit.runners.host import run_host

sys.path.insert(0, str(Path(__file__).resolve().parent))
from networks import NETWORKS, REPOSITORY

TARGET = "cortex-m7"
SAMPLES = 2
WAYS: dict[str, dict[str, Any]] = {
    "layerwise": {"schedule": "layerwise"},
    "stream, 0%": {"input_mode": "stream", "max_extra_macs": 0},
    "pull, 10%": {"input_mode": "pull", "max_extra_macs": 10},
    "resident, 0%": {"max_extra_macs": 0},
    "resident, 10%": {"max_extra_macs": 10},
    "overwrite, 0%": {"input_mode": "overwrite", "max_extra_macs": 0},
}
"""Column -> options of edgekit.convert; the percentage bounds the extra MACs."""
EMULATED = ("MobileNetV2 0.35 @144", "MCUNet vww @80", "ResNet-8 @32")
PUBLISHED = {
    "MobileNetV2 1.0 @224": "MCUNetV2 168 at +10%",
    "MobileNetV2 0.35 @144": "MCUNetV2 62, StreamNet 64, msf-CNN 66 at +10%",
    "MCUNet vww @80": "StreamNet 43; msf-CNN 25 at +11%, 15 at +96%",
}
"""KiB, as their papers state them: MCUNetV2 (Lin et al., 2021, arXiv:2110.15352), StreamNet (Zheng
et al., 2023) and msf-CNN (Huang et al., 2025)."""
BEGIN, END = "<!-- schedules: begin -->", "<!-- schedules: end -->"


@dataclass(frozen=True)
class Figure:
    """One network in one way; bytes as the manifest states them and as the painted arena shows."""

    arena_bytes: int
    touched_bytes: int
    ram_bytes: int
    extra_macs_percent: float


def convert(network: str, options: dict[str, Any]) -> Artifact | None:
    """The artifact, or None where the network's file is not there."""
    source = NETWORKS[network]
    if isinstance(source, Path):
        return edgekit.convert(source, target=TARGET, **options) if source.is_file() else None
    module, inputs = source()
    return edgekit.convert(module, inputs, calibration=[inputs], target=TARGET, **options)


def measure(artifact: Artifact, folder: Path, *, emulate: bool) -> Figure:
    """Prove an artifact and read its figures."""
    rungs = ("host", "qemu") if emulate else ("host",)
    artifact.validate(on=rungs, samples=SAMPLES).assert_ok()
    directory = artifact.save(folder / "model")
    manifest = artifact.manifest
    samples = seeded_samples(manifest.inputs, 1, seed=1)
    touched = run_host(directory, samples, paint=True).arena_touched_bytes
    extra = manifest.macs_executed / manifest.macs_legalized * 100 - 100
    return Figure(manifest.arena_bytes, touched, manifest.ram_bytes, extra)


def table(*, emulate: bool) -> str:
    """The Markdown table; progress goes to stderr."""
    heads = ["network", *(f"{way} (KiB)" for way in WAYS), "published (KiB)"]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for network in NETWORKS:
        cells = [network]
        for way, options in WAYS.items():
            artifact = convert(network, options)
            if artifact is None:
                break
            proven = emulate and network in EMULATED and way != "layerwise"
            with tempfile.TemporaryDirectory(prefix="edgekit-schedules-") as folder:
                figure = measure(artifact, Path(folder), emulate=proven)
            assert figure.touched_bytes <= figure.arena_bytes
            with_image = way.startswith(("resident", "overwrite"))
            shown = figure.ram_bytes if with_image else figure.arena_bytes
            cells.append(f"{shown / 1024:.1f}")
            print(network, way, figure, file=sys.stderr, flush=True)
        else:
            lines.append(f"| {' | '.join([*cells, PUBLISHED.get(network, '-')])} |")
    return "\n".join(lines)


def write_readme(text: str) -> None:
    """Put the table between the markers of README.md."""
    readme = REPOSITORY / "README.md"
    before, rest = readme.read_text("utf-8").split(BEGIN)
    _, after = rest.split(END)
    readme.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--emulate", action="store_true", help="also run on an emulated Cortex-M7")
    write_readme(table(emulate=parser.parse_args().emulate))


if __name__ == "__main__":
    main()
