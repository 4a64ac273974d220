# SPDX-License-Identifier: Apache-2.0
"""Sequences as maps: what works on (1, C, H, W) works on (1, C, L) as a map of one row.

The sequence lies on the width, so that a kernel as long as the sequence still spans one row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgekit.converters.nchw.graph import TO_SOURCE, Activation, RefusalError, SourceCall


def map_of(call: SourceCall, *names: str) -> Activation:
    """The argument as (1, C, H, W); a sequence gets H = 1."""
    x = call.activation(*names)
    if len(x.shape) == 3 and x.shape[0] == 1:
        return call.builder.reshape(x, (1, x.shape[1], 1, x.shape[2]))
    if len(x.shape) != 4:
        raise RefusalError(
            f"the input has shape {x.shape}; only (1, C, H, W) and (1, C, L) are supported"
        )
    return x


def map_result(call: SourceCall, op: str, inputs: Sequence[str], attributes: Any) -> Activation:
    """A node that computes a map, whose result has the shape of the call: a sequence where it is."""
    tensor = call.builder.node(op, inputs, attributes)
    shape = call.builder.tensors[tensor].shape
    result = Activation(tensor, tuple(shape[axis] for axis in TO_SOURCE))
    return call.builder.reshape(result, call.shape)


def output_size(call: SourceCall) -> tuple[int, int]:
    """Height and width of the result as a map."""
    return (1, call.shape[2]) if len(call.shape) == 3 else (call.shape[2], call.shape[3])
