# SPDX-License-Identifier: Apache-2.0
"""Runs a kernel that takes its input row by row, as a streaming schedule does, and checks memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from edgekit.ir import Array, Call
from edgekit.kernel import Binding, Kernel, input_rows
from edgekit.layout import NHWC
from edgekit.ops import Operator, operator_of
from support.kernel_library import KernelLibrary
from support.kernels import GuardedBytes, as_bytes

PAINTS = (0x00, 0x7F, 0x80, 0xFF, None)
"""Bytes that scratch holds before the first row; None is noise."""


def bindings(call: Call) -> Iterator[Binding]:
    """The rows of the input's map, then every number of equal parts of an input without rows."""
    natural = Binding((NHWC,))
    yield natural
    if call.node.op in ("fully_connected", "mean", "sum") and input_rows(call, natural) == 1:
        elements = call.activations[0].elements
        whole = elements if call.node.op == "fully_connected" else elements // call.output.elements
        for rows in range(1, whole + 1):
            if whole % rows == 0:
                yield Binding((NHWC,), rows=rows)


def run_accumulating(
    library: KernelLibrary, kernel: Kernel, call: Call, binding: Binding, x: Array, *, paint: int
) -> Array:
    """The output of a kernel that finds one row of ``x`` at a time, always at the same place.

    ``paint`` is an index into PAINTS.

    Raises:
        AssertionError: an input or bytes outside output and scratch were written, or the output
            before the last row.
    """
    random = np.random.default_rng(paint)
    ffi, function = library.ffi, library.function(kernel)
    layer, alive = library.layer(kernel.pack(call, binding))
    rows = as_bytes(x).reshape(input_rows(call, binding), -1)
    row, output = (GuardedBytes(size, random) for size in (rows.shape[1], call.output.bytes))
    scratch = GuardedBytes(kernel.scratch_bytes(call, binding), random)
    if PAINTS[paint] is not None:
        scratch.data.view(np.uint8)[:] = PAINTS[paint]
    pointers = ffi.new("const void *[]", [row.pointer(ffi)])
    for y, values in enumerate(rows):
        output.check_unchanged(f"output before row {y}")
        row.set(values)
        region = ffi.new("ek_region *", (y, 0, 0, 0, 0))
        function(layer, pointers, output.pointer(ffi), region, scratch.pointer(ffi))
        row.check_unchanged(f"input row {y}")
        scratch.check_guards(f"scratch in row {y}")
        output.check_guards(f"output in row {y}")
    del alive
    return output.data.view(call.output.dtype).reshape(call.output.shape).copy()


def check_accumulating(
    library: KernelLibrary, kernel: Kernel, call: Call, inputs: Sequence[tuple[Array, ...]]
) -> None:
    """Raise AssertionError where kernel and reference differ, in whatever parts the input comes."""
    operator: Operator = operator_of(call.node)
    constants = [tensor.data for tensor in call.inputs if tensor.data is not None]
    for number, (x,) in enumerate(inputs):
        expected = operator.evaluate(call, [x, *constants])
        for binding in bindings(call):
            paint = number % len(PAINTS)
            actual = run_accumulating(library, kernel, call, binding, x, paint=paint)
            different = int((actual != expected).sum())
            assert not different, (
                f"{kernel.symbol} in {input_rows(call, binding)} rows, input {number}: {different} "
                f"of {expected.size} elements differ"
            )
