# SPDX-License-Identifier: Apache-2.0
"""Chains of reshapes and transposes of any rank, as one permutation of the factors of the axes.

A reshape that splits or joins axes and a transpose both only reorder factors: (1, 24, H, W) seen as
(1, 3, 8, H, W) and permuted has the factors 3 and 8 of its channels swapped. Factors that stay side
by side count as one, so a channel shuffle is a single transpose of three axes, whatever the rank in
which its source wrote it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgekit.ir import Shape
from edgekit.ops.reshape import Reshape
from edgekit.ops.transpose import Transpose

MAX_BLOCKS = 3
"""Groups of factors that one transpose (1, a, b, c) moves."""


@dataclass(frozen=True)
class Factor:
    """A part of an axis of the origin; the order of paths is the order of the origin's memory."""

    path: tuple[int, ...]
    size: int


@dataclass(frozen=True)
class AxisMoves:
    """The axes of a tensor as factors of the axes of its origin; sizes of 1 have none."""

    origin: Shape
    axes: tuple[tuple[Factor, ...], ...]

    @classmethod
    def of(cls, shape: Shape) -> AxisMoves:
        axes = (() if size == 1 else (Factor((i,), size),) for i, size in enumerate(shape))
        return cls(shape, tuple(axes))

    @property
    def shape(self) -> Shape:
        return tuple(math.prod(factor.size for factor in axis) for axis in self.axes)

    def transpose(self, order: Sequence[int]) -> AxisMoves:
        return AxisMoves(self.origin, tuple(self.axes[axis] for axis in order))

    def reshape(self, shape: Shape) -> AxisMoves | None:
        """None where the new axes cut across the old ones, as (4, 9) does of (6, 6)."""
        pending = [factor for axis in self.axes for factor in axis][::-1]
        axes = []
        for size in shape:
            taken: list[Factor] = []
            while size > 1:
                if not pending:
                    return None
                factor = pending.pop()
                if factor.size > size:
                    if factor.size % size:
                        return None
                    pending.append(Factor((*factor.path, 1), factor.size // size))
                    factor = Factor((*factor.path, 0), size)
                if size % factor.size:
                    return None
                size //= factor.size
                taken.append(factor)
            axes.append(tuple(taken))
        return None if pending else AxisMoves(self.origin, tuple(axes))

    def taken(self, axis: int, index: int) -> tuple[AxisMoves, int, range] | None:
        """One index of an axis: the view of what is left, and the part of an axis of the origin.

        None where the part is not one run of equal steps.
        """
        if len(self.axes[axis]) != 1:
            return None
        (factor,) = self.axes[axis]
        place = factor.path[0]
        factors = [f for others in self.axes for f in others if f.path[0] == place]
        outer = math.prod(f.size for f in factors if f.path < factor.path)
        inner = math.prod(f.size for f in factors if f.path > factor.path)
        if outer == 1:
            run = range(index * inner, (index + 1) * inner)
        elif inner == 1:
            run = range(index, outer * factor.size, factor.size)
        else:
            return None
        origin = (*self.origin[:place], len(run), *self.origin[place + 1 :])
        left = (*self.axes[:axis], (), *self.axes[axis + 1 :])
        return AxisMoves(origin, left), place, run

    def steps(self) -> list[Reshape | Transpose] | None:
        """At most one transpose between reshapes; None where that is not enough."""
        blocks = self._blocks()
        if len(blocks) > MAX_BLOCKS:
            return None
        if len(blocks) < 2:
            return [Reshape(self.shape)] if self.shape != self.origin else []
        in_memory = sorted(blocks, key=lambda block: block[0].path)
        view = (1, *(math.prod(factor.size for factor in block) for block in in_memory))
        order = (0, *(in_memory.index(block) + 1 for block in blocks))
        turned = tuple(view[axis] for axis in order)
        steps: list[Reshape | Transpose] = [] if view == self.origin else [Reshape(view)]
        steps.append(Transpose(order))
        return steps if turned == self.shape else [*steps, Reshape(self.shape)]

    def _blocks(self) -> list[list[Factor]]:
        """The factors in their present order, those together that also lie together in the origin."""
        factors = [factor for axis in self.axes for factor in axis]
        places = {factor: i for i, factor in enumerate(sorted(factors, key=lambda f: f.path))}
        blocks: list[list[Factor]] = []
        for factor in factors:
            if blocks and places[factor] == places[blocks[-1][-1]] + 1:
                blocks[-1].append(factor)
            else:
                blocks.append([factor])
        return blocks
