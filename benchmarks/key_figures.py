# SPDX-License-Identifier: Apache-2.0
"""The figures that must not get worse by accident: RAM, flash, code and instructions on a Cortex-M4.

``python benchmarks/key_figures.py`` measures them and writes ``benchmarks/key_figures.txt``;
``make test`` compares. Commit a worse figure only on purpose, with the reason. With ``--diff`` nothing
is written: the change of every figure is printed, and the exit code is 1 where RAM grew, code by
more than 2% or instructions by more than 1%.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import edgekit
from edgekit.artifact import Artifact
from edgekit.build.cross import compiler_version
from edgekit.build.elf import section_bytes
from edgekit.build.model import compile_model
from edgekit.runners.profile import profile_qemu
from edgekit.target import load_target

REPOSITORY = Path(__file__).resolve().parents[1]
FIGURES = REPOSITORY / "benchmarks" / "key_figures.txt"
MODELS = REPOSITORY.parent / "shared" / "models"
TARGET = "cortex-m4"
COLUMNS = ("network", "arena_bytes", "flash_bytes", "code_bytes", "instructions")
MOST_GROWTH = {"arena_bytes": 0.0, "flash_bytes": 0.02, "code_bytes": 0.02, "instructions": 0.01}
"""By how much a figure may grow before ``--diff`` fails."""
HEADER = f"# {TARGET}, one inference; code_bytes: .text of the model's own files at -O2"


def _torch_network(name: str) -> Callable[..., Artifact]:
    def convert(**options: str) -> Artifact:
        sys.path.insert(0, str(REPOSITORY / "tests"))
        from support import torch_models

        builders: dict[str, Callable[[], tuple[Any, Any]]] = {
            "resnet8": torch_models.resnet8,
            "mobilenet_v2_035_96": lambda: torch_models.mobilenet_v2(width=0.35, resolution=96),
        }
        module, inputs = builders[name]()
        return edgekit.convert(module, inputs, calibration=[inputs], target=TARGET, **options)

    return convert


def _shared_network(name: str) -> Callable[..., Artifact]:
    return lambda **options: edgekit.convert(MODELS / f"{name}.tflite", target=TARGET, **options)


BUILDERS: dict[str, Callable[..., Artifact]] = {
    "kws_int8": _shared_network("kws_int8"),
    "vww_96_int8": _shared_network("vww_96_int8"),
    "mcunet_vww": _shared_network("mcunet_vww"),
    "resnet8": _torch_network("resnet8"),
    "mobilenet_v2_035_96": _torch_network("mobilenet_v2_035_96"),
}
WAYS = {
    "layerwise": {"schedule": "layerwise"},
    "stream": {"input_mode": "stream"},
}
NETWORKS = tuple(f"{network}/{way}" for network in BUILDERS for way in WAYS)
"""network/way: layer by layer on a resident input, and the schedule that is found for a stream."""


def measure(network: str) -> str:
    """The line of one network."""
    target = load_target(TARGET)
    builder, way = network.split("/")
    artifact = BUILDERS[builder](**WAYS[way])
    with tempfile.TemporaryDirectory(prefix="edgekit-figures-") as folder:
        directory = artifact.save(Path(folder) / "model")
        build = Path(folder) / "build"
        build.mkdir()
        objects = compile_model(directory, artifact.manifest, target, build_directory=build)
        sections = section_bytes(target, tuple(item.path for item in objects))
        instructions = profile_qemu(directory, target).total_instructions
    code = sum(size for name, size in sections.items() if name.startswith(".text"))
    manifest = artifact.manifest
    return " ".join(
        [network, *map(str, (manifest.arena_bytes, manifest.flash_bytes, code, instructions))]
    )


def compiler_line() -> str:
    """Which compiler the figures hold for."""
    return f"# {compiler_version(load_target(TARGET))}"


def difference(recorded: str, measured: str) -> tuple[str, bool]:
    """How the figures of two lines differ, and whether any of them grew more than it may."""
    name, *before = recorded.split()
    changes, is_worse = [], False
    for column, old, new in zip(COLUMNS[1:], before, measured.split()[1:], strict=True):
        ratio = int(new) / max(int(old), 1)
        is_worse |= ratio > 1 + MOST_GROWTH[column]
        changes.append(f"{column} {old} -> {new} ({ratio - 1:+.2%})")
    return f"{name}: {', '.join(changes)}", is_worse


def diff() -> int:
    """Print the change of every figure; 1 where one grew more than it may."""
    recorded = {line.split()[0]: line for line in FIGURES.read_text("utf-8").splitlines()[3:]}
    code = 0
    for network in NETWORKS:
        text, is_worse = difference(recorded[network], measure(network))
        print(f"{text}{' TOO MUCH' if is_worse else ''}", flush=True)
        code |= is_worse
    return code


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--diff", action="store_true", help="compare with the file, write nothing")
    if parser.parse_args().diff:
        sys.exit(diff())
    lines = [HEADER, compiler_line(), " ".join(COLUMNS), *map(measure, NETWORKS)]
    FIGURES.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(FIGURES.read_text(encoding="utf-8"), end="")


if __name__ == "__main__":
    main()
