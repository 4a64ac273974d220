# SPDX-License-Identifier: Apache-2.0
"""The static stack bound of a model, from the frames that its runtime functions and kernels declare."""

from __future__ import annotations

from edgekit.program import Program, Step

ENTRY_STACK_BYTES = 128
"""The functions of the model, without the pointers to its ports, down to ek_run_script."""
PORT_STACK_BYTES = 4
COPY_STACK_BYTES = 80
"""ek_run_copy, and ek_run_pull with read_window, but without the caller's callback."""
MAP_STACK_BYTES = 288
"""ek_run_map."""
ROW_STACK_BYTES = 416
"""ek_run_row and ek_run_region."""
PAIR_STACK_BYTES = 304
"""ek_run_pair_row and what it calls in front of ek_run_region."""
COLUMN_PAIR_STACK_BYTES = 232
"""ek_run_column_pair_row and what it calls in front of ek_run_region."""
# Upper bounds of the frames on all targets; tests measure them.


def stack_bytes(program: Program) -> int:
    """Bytes below the caller's stack pointer that a run needs at most.

    Where there are pairs, any kernel counts as called by their driver: a bound that is read off the
    code (edgekit/build/stack.py) cannot tell which of them are.
    """
    drivers = [
        COLUMN_PAIR_STACK_BYTES if pair.columns else PAIR_STACK_BYTES for pair in program.pairs
    ]
    pair_bytes = max(drivers, default=0)
    steps = (_step_bytes(step, pair_bytes) for step in program.steps)
    ports = 1 + len(program.graph.inputs) + len(program.graph.outputs)
    return ENTRY_STACK_BYTES + PORT_STACK_BYTES * ports + max(steps, default=0)


def _step_bytes(step: Step, pair_bytes: int) -> int:
    if step.kernel is None:
        return COPY_STACK_BYTES
    driver = ROW_STACK_BYTES if step.loop is not None else MAP_STACK_BYTES
    return step.kernel.stack_bytes + driver + pair_bytes
