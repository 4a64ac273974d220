# SPDX-License-Identifier: Apache-2.0
"""Which of the arena's bytes a run writes for certain."""

from __future__ import annotations

from collections import Counter

from edgekit.manifest import Manifest
from edgekit.program import INPUT_STEP, Image, Program


def solid_bytes(image: Image) -> int:
    """The end of the highest buffer of which every byte is written.

    Not all of a working buffer is, if it lies on top: a map may be narrower than a tile of pixels,
    the last block of channels smaller, and padding may stand for rows that would be kept.
    """
    program = image.program
    unsure = {step.scratch for step in program.steps if step.scratch}
    unsure |= {name for pair in program.pairs for name in (pair.kept, pair.tile)}
    unsure |= _maps_in_part(program)
    ends = (image.offsets[b.name] + b.bytes for b in program.buffers if b.name not in unsure)
    return max(ends, default=0)


def check_touched(manifest: Manifest, touched_bytes: int) -> None:
    """The claimed bytes are those that a run touches, but for scratch of small maps on top."""
    buffers = [b for layer in manifest.layers for b in layer.buffers if b.place == "arena"]
    assert max((b.offset + b.bytes for b in buffers), default=0) <= manifest.arena_bytes
    solid = max((b.offset + b.bytes for b in buffers if b.role != "scratch"), default=0)
    assert min(solid, manifest.arena_bytes) <= touched_bytes <= manifest.arena_bytes
    if not any(b.role == "scratch" and b.offset + b.bytes > touched_bytes for b in buffers):
        assert touched_bytes == manifest.arena_bytes


def _maps_in_part(program: Program) -> set[str]:
    """Maps of which no output needs the last rows, and which are kept whole all the same."""
    fired: Counter[int] = Counter()
    for firings in program.script:
        fired[firings.step] += firings.count
    by_rows = (
        (index, step)
        for index, step in enumerate(program.steps)
        if step.loop is not None or step.layer == INPUT_STEP
    )
    return {
        step.output.buffer
        for index, step in by_rows
        if fired[index]
        < min(step.loop.output_height if step.loop else 1 << 16, step.output.ring_rows)
    }
