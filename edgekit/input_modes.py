# SPDX-License-Identifier: Apache-2.0
"""Which models can take their input in which way."""

from __future__ import annotations

from edgekit.errors import BadInputError
from edgekit.ir import QGraph
from edgekit.layout import map_size
from edgekit.program import MAX_FIRINGS, InputMode


def check_input_mode(graph: QGraph, mode: InputMode) -> None:
    """Check that a model can take its input in the way that is asked for.

    Raises:
        BadInputError: rows are to be pushed or pulled, but it has several inputs, or no rows.
    """
    if mode not in ("stream", "pull"):
        return
    option, remedy = f"--input {mode}", "use --input resident or overwrite"
    if len(graph.inputs) != 1:
        raise BadInputError(
            f"{option}: the model has {len(graph.inputs)} inputs, and rows can be those of one "
            f"only; {remedy}"
        )
    (port,) = graph.inputs
    shape = graph.tensors[port.tensor].shape
    if len(shape) < 3:
        raise BadInputError(f"{option}: input '{port.name}' of shape {shape} has no rows; {remedy}")
    if map_size(shape)[0] > MAX_FIRINGS:
        raise BadInputError(
            f"{option}: input '{port.name}' of shape {shape} has more than {MAX_FIRINGS} rows; "
            f"{remedy}"
        )
