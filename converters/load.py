# SPDX-License-Identifier: Apache-2.0
"""Find the importer of a MODEL argument: .tflite, .onnx, .pt2, or file.py:function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgekit.converters.user_code import split_function_spec
from edgekit.errors import BadInputError, UnsupportedError
from edgekit.ir import Graph, QGraph
from edgekit.limits import check_file

if TYPE_CHECKING:
    from edgekit.converters.from_torch import TorchImport


@dataclass(frozen=True)
class Imported:
    """A model as it was imported.

    ``sources`` has the file of an integer model, and what its judge needs beside it, under the
    names that they get in reference/; ``warnings`` is what the user should know.
    """

    graph: Graph
    sources: Mapping[str, bytes] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def load_model(spec: str) -> Imported:
    """Import the model that ``spec`` names; each importer is loaded only when it is needed.

    Raises:
        BadInputError: no such file, or it is damaged.
        UnsupportedError: a kind of file or operators that edgekit does not support.
    """
    if (function := split_function_spec(spec)) is not None:
        from edgekit.converters.from_torch import read_torch_function

        return imported_from_torch(read_torch_function(*function))
    path = Path(spec)
    if not path.is_file():
        raise BadInputError(
            f"{spec}: no such file; give a .tflite, an .onnx, a .pt2 or file.py:function"
        )
    check_file(path)
    if path.suffix == ".tflite":
        from edgekit.converters.from_tflite import import_tflite

        graph = import_tflite(path)
        quantized = isinstance(graph, QGraph)
        return Imported(graph, {"source.tflite": path.read_bytes()} if quantized else {})
    if path.suffix == ".onnx":
        return _load_onnx(path)
    if path.suffix == ".pt2":
        from edgekit.converters.from_torch import read_pt2

        return imported_from_torch(read_pt2(path))
    raise UnsupportedError(
        f"{spec}: a '{path.suffix}' file is not supported; give a .tflite, an .onnx, a "
        ".pt2 that torch.export.save wrote, or file.py:function"
    )


def imported_from_torch(result: TorchImport) -> Imported:
    """A model of PyTorch, with the program that judges it where it is an integer model."""
    if result.program is None:
        return Imported(result.graph)
    return Imported(result.graph, {"source.pt2": result.program, **_levels(result.levels)})


def _levels(levels: Mapping[str, str]) -> Mapping[str, bytes]:
    return {"source_levels.json": msgspec.json.encode(dict(sorted(levels.items())))}


def _load_onnx(path: Path) -> Imported:
    from edgekit.converters.from_onnx import import_onnx

    result = import_onnx(path)
    if not isinstance(result.graph, QGraph):
        return Imported(result.graph, {}, result.warnings)
    sources = {"source.onnx": path.read_bytes(), **_levels(result.levels)}
    return Imported(result.graph, sources, result.warnings)
