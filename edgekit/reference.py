# SPDX-License-Identifier: Apache-2.0
"""The reference/ folder: the integer model, its samples, float outputs, and the source it came from."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from edgekit.errors import BadInputError
from edgekit.ir import Array, QGraph
from edgekit.serialize import load_qgraph, save_qgraph

REFERENCE_FOLDER = "reference"
PLAN_FILE = "plan.json"
SAMPLE_COUNT = 32
SOURCE_TFLITE, SOURCE_ONNX, SOURCE_PT2 = "source.tflite", "source.onnx", "source.pt2"
SOURCE_LEVELS = "source_levels.json"
_SAMPLES, _FLOAT_OUTPUTS = "samples", "float_outputs"


def reference_files(
    graph: QGraph,
    samples: Sequence[Sequence[Array]],
    float_outputs: Sequence[Sequence[Array]] | None,
    sources: Mapping[str, bytes],
) -> dict[str, bytes]:
    """File name -> content. ``samples`` and ``float_outputs`` are [sample][tensor].

    ``sources`` are the file that an integer model was imported from, and what its judge needs.
    """
    files = dict(save_qgraph(graph))
    files |= _stacks(_SAMPLES, samples)
    if float_outputs is not None:
        files |= _stacks(_FLOAT_OUTPUTS, float_outputs)
    return files | dict(sources)


def _stacks(name: str, rows: Sequence[Sequence[Array]]) -> dict[str, bytes]:
    """One .npy file per tensor, samples first; the format has no time stamps."""
    files = {}
    for index, column in enumerate(zip(*rows, strict=True)):
        buffer = io.BytesIO()
        np.save(buffer, np.stack(column), allow_pickle=False)
        files[f"{name}_{index}.npy"] = buffer.getvalue()
    return files


class Reference:
    """The reference/ folder of a converted model.

    Raises:
        BadInputError: it is missing or damaged.
    """

    def __init__(self, directory: Path) -> None:
        self._folder = directory / REFERENCE_FOLDER
        self.graph: QGraph = load_qgraph(self._folder)
        self.samples = self._load(_SAMPLES, len(self.graph.inputs))

    @property
    def float_outputs(self) -> tuple[tuple[Array, ...], ...] | None:
        """What the float model computed for ``samples``, [sample][output]; None for integer sources."""
        if not (self._folder / f"{_FLOAT_OUTPUTS}_0.npy").exists():
            return None
        return self._load(_FLOAT_OUTPUTS, len(self.graph.outputs))

    def source(self, name: str) -> bytes | None:
        """A file that came with the import of an integer model, if there is one of this name."""
        path = self._folder / name
        return path.read_bytes() if path.exists() else None

    def _load(self, name: str, count: int) -> tuple[tuple[Array, ...], ...]:
        paths = [self._folder / f"{name}_{index}.npy" for index in range(count)]
        try:
            columns = [np.load(path, allow_pickle=False) for path in paths]
            return tuple(zip(*columns, strict=True))
        except (OSError, ValueError, EOFError):
            raise BadInputError(
                f"{self._folder}: {name} are missing or damaged; convert the model again"
            ) from None
