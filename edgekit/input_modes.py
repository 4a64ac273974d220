# SPDX-License-Identifier: Apache-2.0
"""Which models can take their input, and give their output, in which way."""

from __future__ import annotations

from collections.abc import Sequence

from edgekit.errors import BadInputError
from edgekit.ir import Port, QGraph
from edgekit.layout import map_size
from edgekit.program import MAX_FIRINGS, InputMode, OutputMode


def check_input_mode(graph: QGraph, mode: InputMode) -> None:
    """Check that a model can take its input in the way that is asked for.

    Raises:
        BadInputError: rows are to be pushed or pulled, but it has several inputs, or no rows.
    """
    if mode not in ("stream", "pull"):
        return
    option, remedy = f"--input {mode}", "use --input resident or overwrite"
    _check_rows(graph, "input", graph.inputs, option, remedy)


def check_output_mode(graph: QGraph, mode: OutputMode) -> None:
    """Check that a model can give its output in the way that is asked for.

    Raises:
        BadInputError: rows are to go to a callback, but it has several outputs, or no rows.
    """
    if mode == "stream":
        _check_rows(graph, "output", graph.outputs, "--stream-output", "leave it out")


def _check_rows(graph: QGraph, kind: str, ports: Sequence[Port], option: str, remedy: str) -> None:
    if len(ports) != 1:
        raise BadInputError(
            f"{option}: the model has {len(ports)} {kind}s, and rows can be those of one "
            f"only; {remedy}"
        )
    (port,) = ports
    shape = graph.tensors[port.tensor].shape
    if len(shape) < 3:
        raise BadInputError(
            f"{option}: {kind} '{port.name}' of shape {shape} has no rows; {remedy}"
        )
    if map_size(shape)[0] > MAX_FIRINGS:
        raise BadInputError(
            f"{option}: {kind} '{port.name}' of shape {shape} has more than {MAX_FIRINGS} rows; "
            f"{remedy}"
        )
