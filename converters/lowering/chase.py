# SPDX-License-Identifier: Apache-2.0
"""How far the output of a step may lie over an input that dies there."""

from __future__ import annotations

from edgekit.kernel import BY_ELEMENT, BY_PIXEL
from edgekit.program import Operand, RowLoop, Step


def chase_distance(step: Step, operand: Operand) -> int | None:
    """Least input offset - output offset at which the output never overwrites unread input.

    None: they may not share bytes. Both are whole maps.
    """
    if step.kernel is None or step.kernel.write_behind is None:
        return None
    behind = step.kernel.write_behind
    if step.kernel.kind == "map" or (behind.grain and step.binding.flat):
        if behind.grain is None:
            return None
        if operand.pixels != step.output.pixels:
            return None
        if behind == BY_ELEMENT and operand.bytes != step.output.bytes:
            return None  # an element that repeats is read again after its first use
        pixels = step.output.pixels if step.loop else step.output.bytes
        return _pixel_distance(
            pixels,
            step.output.bytes // pixels,
            operand.bytes // pixels,
            behind.grain,
            behind.buffered,
        )
    assert step.loop is not None
    loop = step.loop
    if operand.row_bytes == 0 and loop.input_height > 1:
        return None
    read, written = operand.bytes // loop.input_height, step.output.bytes // loop.output_height
    return _row_distance(loop, read, written)


def _row_distance(loop: RowLoop, read: int, written: int) -> int:
    """The same for a kernel that goes over rows (bytes each); a row may read where it writes."""
    distance = -(loop.input_height * read)
    needed = loop.input_height
    for y in reversed(range(loop.output_height)):
        first, end = loop.spans[y]
        needed = min(needed, first) if first < end else needed
        if needed < loop.input_height:
            distance = max(distance, (y + 1) * written - needed * read)
    return distance


def bottom_up_distance(step: Step, operand: Operand) -> int | None:
    """Least output offset - input offset where the last row is computed first, or None."""
    loop = step.loop
    if loop is None or step.binding.flat or loop.output_height == 1:
        return None
    read, written = operand.bytes // loop.input_height, step.output.bytes // loop.output_height
    distance = -(loop.output_height * written)
    unread = 0
    for y in range(loop.output_height):
        unread = max(unread, loop.spans[y][1])
        if unread > 0:
            distance = max(distance, unread * read - y * written)
    return distance


def _pixel_distance(pixels: int, written: int, read: int, grain: int, buffered: bool) -> int:
    """The same for a kernel that goes over ``pixels`` in order, ``grain`` at a time (bytes each)."""
    distance = -(pixels * read)
    for start in range(0, pixels, grain):
        end = min(start + grain, pixels)
        needed = end if buffered else start
        if needed < pixels:
            distance = max(distance, end * written - needed * read)
    return distance


def in_place_elementwise(step: Step, operand: Operand) -> bool:
    """Whether a row may be written over the very row that it is computed from."""
    return (
        step.kernel is not None
        and step.kernel.write_behind in (BY_ELEMENT, BY_PIXEL)
        and step.loop is not None
        and operand.row_bytes == step.output.row_bytes != 0
    )
