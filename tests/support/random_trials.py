# SPDX-License-Identifier: Apache-2.0
"""Trial number i of a seed: a kernel, a layer that it accepts, inputs, layouts, columns, channels."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edgekit.ir import Call
from edgekit.kernel import Binding, Kernel, input_rows
from edgekit.layout import row_planar
from edgekit.ops import Operator, operators
from support import accumulating
from support.kernels import Block, invocations, map_shape
from support.random_layers import random_inputs, random_layer
from support.trial_memory import PROGRAM_BYTES, Trial
from support.weighted_layers import Random, pick

ISAS = ("ref", "c", "dsp", "mve")
_MOST_CALLS = 40


@dataclass(frozen=True)
class CaseId:
    """``isa`` and two numbers that make the same trial on every machine."""

    isa: str
    seed: int
    index: int

    def __str__(self) -> str:
        return f"{self.isa}:{self.seed}:{self.index}"

    @classmethod
    def parse(cls, text: str) -> CaseId:
        isa, seed, index = text.split(":")
        if isa not in ISAS:
            raise ValueError(f"'{isa}' is not one of {', '.join(ISAS)}")
        return cls(isa, int(seed), int(index))

    @property
    def random(self) -> Random:
        return np.random.default_rng([zlib.crc32(self.isa.encode()), self.seed, self.index])

    @property
    def kernel(self) -> tuple[Operator, Kernel]:
        """The kernels of an instruction set take turns."""
        kernels = kernels_of(self.isa)
        return kernels[self.index % len(kernels)]


@functools.cache
def kernels_of(isa: str) -> tuple[tuple[Operator, Kernel], ...]:
    """Every kernel of an instruction set with its operator; some kernels serve several operators."""
    return tuple(
        (operator, kernel)
        for operator in operators().values()
        for kernel in operator.kernels
        if kernel.isa == isa
    )


def random_trial(case: CaseId) -> Trial:
    """The layer, inputs, layouts, columns and channels of a case."""
    operator, kernel = case.kernel
    random = case.random
    call, binding, block = _bound_layer(operator, kernel, random)
    ranges = _ranges(kernel, call, binding, random)
    return Trial(str(case), kernel, call, binding, random_inputs(call, random), ranges, block)


def random_trials(isa: str, *, seed: int, count: int) -> Iterator[Trial]:
    return (random_trial(CaseId(isa, seed, index)) for index in range(count))


def _bound_layer(operator: Operator, kernel: Kernel, random: Random) -> tuple[Call, Binding, Block]:
    """A layer with its layouts, for which a test program has enough scratch."""
    while True:
        call = random_layer(operator, kernel, random)
        binding, block = _binding(operator, kernel, call, random)
        if kernel.scratch_bytes(call, binding) <= PROGRAM_BYTES:
            return call, binding, block


def _binding(
    operator: Operator, kernel: Kernel, call: Call, random: Random
) -> tuple[Binding, Block]:
    """One of the layouts and views that the kernel has, and a block of channels or all of them."""
    whole = (0, map_shape(call.output.shape)[2])
    if kernel.accumulates:
        bindings = list(accumulating.bindings(call))
        few = [b for b in bindings if input_rows(call, b) <= _MOST_CALLS]
        return pick(random, few or bindings), whole
    invocation = pick(random, list(invocations(operator, kernel, call)))
    binding, block = invocation.binding, pick(random, invocation.blocks)
    if binding.output.kind == "row_planar":
        width, extent = map_shape(call.output.shape)[1], int(random.integers(1, 8))
        pad_left = int(random.integers(0, extent))
        output = row_planar(width=width, kernel=extent, pad_left=pad_left)
        binding = Binding(binding.inputs, output, binding.flat)
    return binding, block


def _ranges(
    kernel: Kernel, call: Call, binding: Binding, random: Random
) -> tuple[tuple[int, int], ...]:
    """All columns, or two ranges that leave columns out, in either order."""
    height, width, _ = map_shape(call.output.shape)
    columns = height * width if binding.flat else width
    if kernel.kind == "map" or kernel.accumulates or random.random() < 0.5:
        return ((0, columns),)
    begin, middle, end = sorted(int(v) for v in random.integers(0, columns + 1, 3))
    return ((middle, end), (begin, middle))
