# SPDX-License-Identifier: Apache-2.0
"""What a layer has written when it fired: rows of its output, in the layout in which they lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgekit.ir import Array
from edgekit.layout import Layout, map_size
from edgekit.manifest import BufferEntry, LayerEntry


@dataclass(frozen=True)
class FiredRows:
    """Rows of a layer's output that one firing completed, as they lie in memory.

    ``rows`` are those of its tensor; ``memory`` holds their bytes.
    """

    layer: LayerEntry
    rows: slice
    memory: Array

    def differences(self, expected: Array) -> int:
        """How many elements differ from those of the whole tensor ``expected``."""
        height, width, channels = map_size(expected.shape)
        wanted = expected.reshape(height, width, channels)
        if (region := self.layer.region) is not None:
            wanted = wanted[region.top : region.bottom, region.left : region.right]
            width = region.right - region.left
        wanted = wanted[self.rows]
        layout = _layout_of(output_of(self.layer))
        if layout.kind == "nhwc":
            # Behind the columns of a strip the row goes on with those of others.
            actual = self.memory[: wanted.nbytes].view(expected.dtype).reshape(wanted.shape)
        else:
            rows = self.memory.view(np.int8).reshape(wanted.shape[0], -1)
            actual = layout.from_memory(rows, width=width, channels=channels)
        return int(np.count_nonzero(actual != wanted))


def output_of(layer: LayerEntry) -> BufferEntry:
    """The buffer that a layer writes."""
    return next(buffer for buffer in layer.buffers if buffer.role == "output")


def fired_rows(layer: LayerEntry, row: int, memory: Array) -> FiredRows | None:
    """What firing ``row`` of a layer completed, copied out of the bytes of its memory.

    ``memory`` is the whole arena, or the whole output of the model. None: nothing yet.
    """
    if layer.completes == "nothing" or (layer.completes == "map_at_end" and row + 1 < layer.rows):
        return None
    entry = output_of(layer)
    start, size, rows = entry.offset, entry.bytes, slice(None)
    if layer.completes in ("row", "row_from_bottom"):
        y = row if layer.completes == "row" else layer.rows - 1 - row
        start += y % entry.ring_rows * entry.row_bytes
        size = entry.row_bytes or entry.bytes
        rows = slice(y, y + 1)
    return FiredRows(layer, rows, memory[start : start + size].copy())


def _layout_of(entry: BufferEntry) -> Layout:
    kind, *fields = entry.layout.split(":")
    if kind == "nhwc":
        return Layout()
    pad_left, channel_stride = (int(field) for field in fields)
    return Layout("row_planar", pad_left, channel_stride)
