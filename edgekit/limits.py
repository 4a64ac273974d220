# SPDX-License-Identifier: Apache-2.0
"""What a conversion takes on: beyond these bounds a file is refused before it costs time or memory.

A file of a few hundred bytes can declare maps of gigabytes. The bounds are far above what runs on a
board with at most a few megabytes of RAM, and low enough that any conversion stays within about
1 GiB of memory. Counts, not times, so that the same file is refused on every machine.
"""

from __future__ import annotations

import math
from pathlib import Path

from edgekit.errors import BadInputError
from edgekit.ir import Graph, Shape

MAX_FILE_BYTES = 2**28
"""Size of a model file; also of all entries of a .pt2 archive together, unpacked."""
MAX_ONNX_BYTES = 2**27
"""Size of an .onnx file, which lies in memory three times while it is read."""
MAX_JSON_BYTES = 2**24
"""Size of a JSON entry of a .pt2 archive: its parsed form is about ten times larger."""
MAX_TENSOR_ELEMENTS = 2**24
"""Elements of an activation: sixteen channels of 1024 x 1024."""
MAX_INPUT_ELEMENTS = 2**21
"""Elements of all inputs together, 32 samples of which are kept: 800 x 800 in color and more."""
MAX_LENGTH = 2**20
"""Size of a single dimension: what works row by row or channel by channel takes that many steps."""
MAX_ROWS = 2**16
"""Rows of all activations together: schedules are made row by row."""
MAX_NODES = 2000
"""Operators of a model: rewriting and placement look at all pairs."""
MAX_FLOAT_MACS = 2**34
"""Multiply-accumulates of a float model, which runs on every calibration sample."""
MAX_FOLDED_ELEMENTS = 2**24
"""Elements of a constant that is computed while a PyTorch or ONNX model is imported."""
MAX_FOLDED_BYTES = 2**28
"""Bytes of all constants together that are computed while a TFLite or ONNX model is imported."""


def check_file(path: Path) -> None:
    """Raise BadInputError where a model file is larger than MAX_FILE_BYTES."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise BadInputError(f"{path}: it cannot be read ({error.strerror})") from None
    if size > MAX_FILE_BYTES:
        raise BadInputError(f"{path}: it has {size} bytes; a model file may have {MAX_FILE_BYTES}")


def check_graph(graph: Graph) -> None:
    """Raise BadInputError where a model is larger than what a conversion takes on."""
    if len(graph.nodes) > MAX_NODES:
        raise BadInputError(
            f"model '{graph.name}': it has {len(graph.nodes)} operators; up to {MAX_NODES} are "
            "converted: split it"
        )
    for tensor in graph.tensors.values():
        if not tensor.is_constant:
            check_shape(f"tensor '{tensor.name}'", tensor.shape)
    activations = (tensor for tensor in graph.tensors.values() if not tensor.is_constant)
    rows = sum(tensor.shape[1] for tensor in activations if len(tensor.shape) == 4)
    if rows > MAX_ROWS:
        raise BadInputError(
            f"model '{graph.name}': its maps have {rows} rows together; up to {MAX_ROWS} are "
            "converted: lower the resolution, or let a long axis be the width"
        )
    total = sum(graph.tensors[port.tensor].elements for port in graph.inputs)
    if total > MAX_INPUT_ELEMENTS:
        raise BadInputError(
            f"model '{graph.name}': its inputs have {total} elements; up to {MAX_INPUT_ELEMENTS} "
            "are converted: lower the resolution"
        )


def check_shape(where: str, shape: Shape) -> None:
    """Raise BadInputError where an activation is larger than what a conversion takes on."""
    if math.prod(shape) > MAX_TENSOR_ELEMENTS or max(shape, default=1) > MAX_LENGTH:
        raise BadInputError(
            f"{where}: shape {shape} is too large; up to {MAX_TENSOR_ELEMENTS} elements and "
            f"{MAX_LENGTH} along one axis are converted: lower the resolution"
        )


def check_float_work(graph: Graph, macs: int) -> None:
    """Raise BadInputError where running a float model on its calibration samples is out of reach."""
    if macs > MAX_FLOAT_MACS:
        raise BadInputError(
            f"model '{graph.name}': it has {macs} multiply-accumulates; up to {MAX_FLOAT_MACS} are "
            "calibrated: lower the resolution"
        )
