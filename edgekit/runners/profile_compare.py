# SPDX-License-Identifier: Apache-2.0
"""Two profiles side by side: instructions of each layer, and of the whole."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from edgekit.runners.profile import LayerProfile, Profile


@dataclass(frozen=True)
class LayerComparison:
    """One layer in both profiles; a kernel is "" and a count None where only the other has it."""

    name: str
    op: str
    kernel: str
    other_kernel: str
    instructions: int | None
    other_instructions: int | None

    @property
    def ratio(self) -> float | None:
        """Instructions of the first profile for one of the other's."""
        if self.instructions is None or not self.other_instructions:
            return None
        return self.instructions / self.other_instructions


@dataclass(frozen=True)
class ProfileComparison:
    """``layers`` in the order of the first profile, then what only the other has."""

    total_instructions: int
    other_total_instructions: int
    layers: tuple[LayerComparison, ...]

    @property
    def ratio(self) -> float:
        return self.total_instructions / max(self.other_total_instructions, 1)


def compare_profiles(profile: Profile, other: Profile) -> ProfileComparison:
    """Layers are the same where their names are; those of one name (strips) are summed."""
    ours, theirs = _by_name(profile.layers), _by_name(other.layers)
    names = dict.fromkeys(itertools.chain(ours, theirs))
    layers = tuple(_compare(name, ours.get(name, ()), theirs.get(name, ())) for name in names)
    return ProfileComparison(profile.total_instructions, other.total_instructions, layers)


def _by_name(layers: Sequence[LayerProfile]) -> dict[str, list[LayerProfile]]:
    found: dict[str, list[LayerProfile]] = {}
    for layer in layers:
        found.setdefault(layer.name, []).append(layer)
    return found


def _compare(
    name: str, ours: Sequence[LayerProfile], theirs: Sequence[LayerProfile]
) -> LayerComparison:
    return LayerComparison(
        name,
        (*ours, *theirs)[0].op,
        ours[0].kernel if ours else "",
        theirs[0].kernel if theirs else "",
        sum(layer.instructions for layer in ours) if ours else None,
        sum(layer.instructions for layer in theirs) if theirs else None,
    )
