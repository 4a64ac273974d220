# SPDX-License-Identifier: Apache-2.0
"""ONNX files: float graphs, and integer graphs of QDQ and QOperator models.

The geometry of a node is mapped once, to float operators. Where the file gives scales, the float
graph is turned into integers by them (converters/quantize/given.py) instead of by calibration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.converters.onnx.qoperators import without_qoperators
from edgekit.converters.onnx.reader import read_model
from edgekit.converters.onnx.walk import GraphWalk
from edgekit.converters.quantize.given import judged_levels, quantize_as_given
from edgekit.errors import BadInputError, MissingProgramError
from edgekit.ir import Graph


@dataclass(frozen=True)
class OnnxImport:
    """The graph of a file (a QGraph where the file is quantized), and what the user should know.

    ``levels`` has the name of the file for the integers of a tensor of the graph, where both are
    computed from the same integers.
    """

    graph: Graph
    levels: Mapping[str, str]
    warnings: tuple[str, ...] = ()


def import_onnx(path: Path) -> OnnxImport:
    """Import an ``.onnx`` file, batch 1.

    Raises:
        BadInputError: the file cannot be read, is damaged or contradicts itself.
        UnsupportedError: operators or forms that edgekit does not support, all of them.
    """
    onnx = _onnx()
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInputError(f"{path}: it cannot be read ({error.strerror})") from None
    model = read_model(onnx, data, name=path.stem)
    del data
    with np.errstate(all="ignore"):  # what overflows is Inf, and Inf is refused in the end
        graph, given = GraphWalk(onnx, without_qoperators(model)).run()
        if not given:
            return OnnxImport(graph, {}, model.warnings)
        levels = judged_levels(graph, given)
        return OnnxImport(quantize_as_given(graph, given), levels, model.warnings)


def _onnx() -> Any:
    try:
        import onnx
        import onnx.numpy_helper
        import onnx.shape_inference
    except ImportError:
        raise MissingProgramError(
            "onnx is not installed; run: pip install 'edgekit[onnx]'"
        ) from None
    return onnx
