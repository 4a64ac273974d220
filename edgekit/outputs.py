# SPDX-License-Identifier: Apache-2.0
"""Run a converted model on the samples of a file and keep its outputs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edgekit.errors import BadInputError
from edgekit.inputs import dequantize_array, load_inputs
from edgekit.ir import Array
from edgekit.manifest import load_manifest
from edgekit.runners.host import run_host
from edgekit.runners.qemu import run_qemu
from edgekit.target import load_target


def run_to_file(
    directory: Path,
    inputs: Path,
    output: Path,
    *,
    real: bool,
    on: str,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, tuple[int, ...]]:
    """Write ``output`` (.npz, one array per output of the model); returns their shapes.

    Raises:
        BadInputError: inputs do not fit, or the file cannot be written.
    """
    if on not in ("host", "qemu"):
        raise BadInputError(f"--on {on}: use host or qemu")
    if output.suffix != ".npz":
        raise BadInputError(f"{output}: the outputs are written as .npz; name the file so")
    manifest = load_manifest(directory)
    samples = load_inputs(inputs, manifest).samples
    progress(f"{len(samples)} samples on {on}")
    if on == "qemu":
        results = run_qemu(directory, samples, load_target(manifest.target)).outputs
    else:
        results = run_host(directory, samples).outputs
    arrays: dict[str, Array] = {}
    for index, entry in enumerate(manifest.outputs):
        stacked = np.concatenate([row[index] for row in results])
        arrays[entry.name] = dequantize_array(stacked, entry) if real else stacked
    _write(output, arrays)
    return {name: array.shape for name, array in arrays.items()}


def _write(path: Path, arrays: dict[str, Array]) -> None:
    """The whole file or none."""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".npz", delete=False) as file:
            np.savez(file, **arrays)
        Path(file.name).chmod(0o644)
        Path(file.name).replace(path)
    except OSError as error:
        raise BadInputError(f"{path}: cannot write it ({error.strerror})") from None
