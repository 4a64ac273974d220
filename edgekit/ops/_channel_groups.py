# SPDX-License-Identifier: Apache-2.0
"""How the tuned pools and means take the channels of a pixel: as many at a time as a word holds."""

from __future__ import annotations

from collections.abc import Mapping


def channel_groups(channels: int) -> Mapping[str, int]:
    """8 channels at a time, then 4, then one by one; or vectors of 8."""
    eights, rest = divmod(channels, 8)
    return {
        "eights": eights,
        "fours": rest // 4,
        "ones": rest % 4,
        "vectors": eights + (rest > 0),
    }


def grouped(channels: int, counts: Mapping[str, float]) -> dict[str, float]:
    """``counts`` of pixels, rows or taps as those of the groups of their channels."""
    return {
        f"{group}_{name}": groups * count
        for group, groups in channel_groups(channels).items()
        if groups
        for name, count in counts.items()
    }
