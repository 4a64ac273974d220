# SPDX-License-Identifier: Apache-2.0
"""What the judges of the 'source' rung share: the runtimes that a model's file was made for."""

from __future__ import annotations

from edgekit.errors import BadInputError
from edgekit.ir import Array
from edgekit.manifest import TensorEntry


class SourceRefusedError(BadInputError):
    """The runtime cannot run a model, or is known to run it wrongly."""


def in_source_order(value: Array, entry: TensorEntry) -> Array:
    """The axes as the file has them: an NCHW tensor was turned to NHWC at the boundary."""
    return value.transpose(0, 3, 1, 2) if entry.layout == "NCHW" else value
