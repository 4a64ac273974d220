# SPDX-License-Identifier: Apache-2.0
"""The memory of one kernel over one map: operands, row pointers, and the output before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.ir import Array, Call
from edgekit.kernel import Binding, Kernel, input_rows
from edgekit.layout import NHWC
from edgekit.ops import operator_of
from support.kernels import Block, as_bytes, as_map, map_shape, row_sources, zero_point

GUARD_BYTES = 16
PROGRAM_BYTES = 64 * 1024
"""What kernel_trials.c has for an output with its guards, and for scratch."""
_PAD_NOISE = 77


@dataclass(frozen=True, eq=False)
class Trial:
    """A kernel over one map; of every output row the columns of ``ranges``, the channels of ``block``.

    inputs: an array for every activation that the call reads, each once.

    A channelwise kernel finds the block alone in its input and writes into the whole output; any
    other one finds the whole input and has an output of the block alone.
    """

    name: str
    kernel: Kernel
    call: Call
    binding: Binding
    inputs: tuple[Array, ...]
    ranges: tuple[tuple[int, int], ...]
    block: Block

    @property
    def is_channelwise(self) -> bool:
        return operator_of(self.call.node).is_channelwise

    @property
    def is_in_rows(self) -> bool:
        """Whether it is called for output rows, and not for the whole map or for input rows."""
        return self.kernel.kind == "rows" and not self.kernel.accumulates


@dataclass(frozen=True, eq=False)
class TrialMemory:
    """What a program needs to run a trial and to judge it; arrays of int8 but for the integers.

    row_offsets: bytes from the start of the operands, -1: padding, (calls, row pointers).
    regions: rows of ek_region. output_row_bytes: 0 where each call finds the whole output.
    before, after: the output with its guards.
    """

    operands: Array
    padding_row: Array | None
    row_offsets: Array
    regions: Array
    output_row_bytes: int
    before: Array
    after: Array


def trial_memory(trial: Trial) -> TrialMemory:
    """The memory of a trial, and what the reference says."""
    memories = _operands(trial)
    starts = np.cumsum([0, *(memory.nbytes for memory in memories[:-1])])
    before, after = _output(trial)
    height = map_shape(trial.call.output.shape)[0] if not trial.binding.flat else 1
    row_bytes = (before.size - 2 * GUARD_BYTES) // height if trial.is_in_rows else 0
    return TrialMemory(
        operands=np.concatenate([as_bytes(memory) for memory in memories]),
        padding_row=_padding_row(trial, memories[0]),
        row_offsets=_row_offsets(trial, memories, starts),
        regions=np.array([(0, *columns, *trial.block) for columns in trial.ranges], np.int32),
        output_row_bytes=row_bytes,
        before=before,
        after=after,
    )


def _arrays(trial: Trial) -> dict[str, Array]:
    """Every input of the call by name."""
    call = trial.call
    names = dict.fromkeys(tensor.name for tensor in call.activations)
    constants = {tensor.name: tensor.data for tensor in call.inputs if tensor.data is not None}
    return {**constants, **dict(zip(names, trial.inputs, strict=True))}


def _operands(trial: Trial) -> list[Array]:
    """The memory of every operand, (rows, elements of a row)."""
    arrays, layouts = _arrays(trial), iter(trial.binding.inputs)
    block = slice(*trial.block) if trial.is_channelwise and trial.is_in_rows else slice(None)
    memories = []
    for tensor in operator_of(trial.call.node).runtime_operands(trial.call):
        layout = NHWC if tensor.is_constant else next(layouts)
        values = as_map(arrays[tensor.name], flat=trial.binding.flat)[..., block]
        memories.append(layout.to_memory(values, zero_point=zero_point(tensor)))
    return memories


def _padding_row(trial: Trial, memory: Array) -> Array | None:
    if not trial.kernel.needs_padding_row:
        return None
    return np.full(memory.shape[1], zero_point(trial.call.activations[0]), np.int8)


def _row_offsets(trial: Trial, memories: Sequence[Array], starts: Array) -> Array:
    if trial.kernel.kind == "map":
        return starts[None].astype(np.int32)
    if trial.kernel.accumulates:
        rows = input_rows(trial.call, trial.binding)
        return np.arange(rows, dtype=np.int32)[:, None] * (memories[0].nbytes // rows)
    heights = [memory.shape[0] for memory in memories]
    height = 1 if trial.binding.flat else map_shape(trial.call.output.shape)[0]
    offsets = [
        [
            -1 if y is None else starts[operand] + y * memories[operand][0].nbytes
            for operand, y in row_sources(trial.call, heights, row, flat=trial.binding.flat)
        ]
        for row in range(height)
    ]
    return np.array(offsets, np.int32)


def _output(trial: Trial) -> tuple[Array, Array]:
    """Noise, and the same with the columns and channels of the trial computed by the reference."""
    call, arrays = trial.call, _arrays(trial)
    operands = [arrays[tensor.name] for tensor in call.inputs]
    result = operator_of(call.node).evaluate(call, operands)
    assert (result.shape, result.dtype.name) == (call.output.shape, call.output.dtype)
    expected = as_map(result, flat=trial.binding.flat)
    block = slice(*trial.block)
    if not trial.is_channelwise:
        expected, block = expected[..., block], slice(None)
    random = np.random.default_rng(len(trial.name))
    noise = random.integers(-128, 128, expected.shape).astype(expected.dtype)
    after = noise.copy()
    for begin, end in trial.ranges:
        after[:, begin:end, block] = expected[:, begin:end, block]
    guard = random.integers(-128, 128, GUARD_BYTES).astype(np.int8)
    layout = trial.binding.output
    before, filled = (as_bytes(layout.to_memory(m, zero_point=_PAD_NOISE)) for m in (noise, after))
    return np.concatenate([guard, before, guard]), np.concatenate([guard, filled, guard])
