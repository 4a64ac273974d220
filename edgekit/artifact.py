# SPDX-License-Identifier: Apache-2.0
"""A converted model in the hands of Python: run it, validate it, save it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.emit.sources import Sources
from edgekit.errors import BadInputError
from edgekit.inputs import InputSet, dequantize_array, quantize_array
from edgekit.ir import Array
from edgekit.manifest import Manifest, TensorEntry, load_manifest
from edgekit.validate import ValidateOptions, ValidationReport, validate


class Artifact:
    """The files of a converted model, in memory until they are saved."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    @property
    def manifest(self) -> Manifest:
        return self._sources.manifest

    @property
    def files(self) -> dict[str, bytes]:
        """Relative path -> content."""
        return dict(self._sources.files)

    def save(self, directory: str | Path) -> Path:
        """Write the project to ``directory``, whole or not at all; an older project is replaced.

        Raises:
            BadInputError: the folder holds something else, or cannot be written.
        """
        target = Path(directory)
        write_project(self._sources, target)
        return target

    def run(self, *inputs: Any) -> Array | tuple[Array, ...]:
        """Run the generated C on this machine on one sample (tensors or arrays, one per input).

        Float inputs are quantized, and the outputs are then real values; integer inputs give
        integers. One output is returned bare.

        Raises:
            BadInputError: an input has another shape or type.
            MissingProgramError: there is no C compiler.
        """
        from edgekit.runners.host import run_host

        arrays = [np.asarray(value) for value in inputs]
        entries = self.manifest.inputs
        if len(arrays) != len(entries):
            raise BadInputError(f"{len(arrays)} inputs given; the model takes {len(entries)}")
        real = any(np.issubdtype(array.dtype, np.floating) for array in arrays)
        sample = tuple(_to_element(a, e) for a, e in zip(arrays, entries, strict=True))
        with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
            outputs = run_host(self.save(Path(folder) / "model"), [sample]).outputs[0]
        if real:
            pairs = zip(outputs, self.manifest.outputs, strict=True)
            outputs = tuple(dequantize_array(array, entry) for array, entry in pairs)
        return outputs[0] if len(outputs) == 1 else outputs

    def validate(
        self, inputs: Any = None, *, on: Sequence[str] = ("host",), samples: int | None = None
    ) -> ValidationReport:
        """Compare the rungs ``on`` with the integer reference, on seeded inputs or on ``inputs``.

        ``inputs`` is an array (N first) for a model with one input, or an iterable of samples.
        """
        chosen = None if inputs is None else InputSet(tuple(self.to_samples(inputs)))
        options = ValidateOptions(on=tuple(on), inputs=chosen, samples=samples)
        with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
            return validate(self.save(Path(folder) / "model"), options)

    def to_samples(self, inputs: Any) -> Iterable[tuple[Array, ...]]:
        """Samples as the generated C takes them, of an array (N first) or an iterable of samples.

        Raises:
            BadInputError: a sample does not fit the inputs.
        """
        entries = self.manifest.inputs
        for sample in inputs:
            values = sample if isinstance(sample, tuple | list) else (sample,)
            arrays = [np.asarray(value) for value in values]
            if len(arrays) != len(entries):
                raise BadInputError(f"a sample has {len(arrays)} inputs, not {len(entries)}")
            yield tuple(_to_element(a, e) for a, e in zip(arrays, entries, strict=True))


def _to_element(array: Array, entry: TensorEntry) -> Array:
    """One input of one sample as the generated C takes it; the batch dimension may be missing."""
    if entry.layout == "NCHW" and array.shape in (entry.source_shape, entry.source_shape[1:]):
        array = array.reshape(entry.source_shape).transpose(0, 2, 3, 1)
    elif array.shape not in (entry.shape, entry.shape[1:]):
        raise BadInputError(
            f"input '{entry.name}' has shape {array.shape}; it must be {entry.source_shape}"
        )
    array = np.ascontiguousarray(array.reshape(entry.shape))
    if np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all():
            raise BadInputError(f"input '{entry.name}' holds NaN or Inf")
        return quantize_array(array, entry)
    if array.dtype.name != entry.dtype:
        raise BadInputError(
            f"input '{entry.name}' has type {array.dtype}; give {entry.dtype} or float"
        )
    return array


def write_project(sources: Sources, directory: Path) -> None:
    """Write all files beside ``directory`` first, then put them in its place.

    Raises:
        BadInputError: ``directory`` is a file or holds something that edgekit did not write, or
            its parent cannot be written.
    """
    if directory.exists() and not _is_replaceable(directory):
        raise BadInputError(
            f"{directory}: it exists and is not a folder that edgekit wrote; give another one"
        )
    staging: Path | None = None
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
        staging.chmod(0o755)
        for name, data in sources.files.items():
            path = staging / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        if directory.exists():
            shutil.rmtree(directory)
        staging.rename(directory)
    except OSError as error:
        raise BadInputError(f"{directory}: cannot write it ({error.strerror})") from None
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)


def _is_replaceable(directory: Path) -> bool:
    if not directory.is_dir():
        return False
    if not any(directory.iterdir()):
        return True
    try:  # other tools write a manifest.json too
        load_manifest(directory)
    except BadInputError:
        return False
    return True
