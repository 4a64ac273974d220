# SPDX-License-Identifier: Apache-2.0
"""Compares a kernel with the numpy reference of its operator over a set of inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from edgekit.ir import INTEGER_RANGE, Array, Call, QGraph, Tensor
from edgekit.kernel import Kernel
from edgekit.ops import Operator
from support.accumulating import check_accumulating
from support.kernel_library import KernelLibrary
from support.kernels import Invocation, KernelRun, invocations, zero_point


def only_call(graph: QGraph) -> Call:
    """The call of a model of one node."""
    (node,) = graph.nodes
    return graph.call(node)


def noise(tensor: Tensor, random: np.random.Generator) -> Array:
    """Uniform integers of the tensor's type."""
    low, high = INTEGER_RANGE[tensor.dtype]
    return random.integers(low, high + 1, tensor.shape).astype(tensor.dtype)


def model_inputs(call: Call) -> tuple[Tensor, ...]:
    """The activations that a call reads, each once."""
    return tuple({tensor.name: tensor for tensor in call.activations}.values())


def trial_inputs(call: Call, *, noise_samples: int = 2) -> Iterator[tuple[Array, ...]]:
    """Arrays for the inputs of a one-node model: seeded noise, both extremes, the zero point."""
    random = np.random.default_rng(7)
    tensors = model_inputs(call)
    for _ in range(noise_samples):
        yield tuple(noise(tensor, random) for tensor in tensors)
    for end in (0, 1):
        yield tuple(np.full(t.shape, INTEGER_RANGE[t.dtype][end], t.dtype) for t in tensors)
    yield tuple(np.full(t.shape, zero_point(t), t.dtype) for t in tensors)


def check_kernel(
    library: KernelLibrary,
    operator: Operator,
    kernel: Kernel,
    call: Call,
    inputs: Sequence[tuple[Array, ...]],
) -> None:
    """Raise AssertionError where the kernel and the reference differ, or memory was harmed."""
    if kernel.accumulates:
        check_accumulating(library, kernel, call, inputs)
        return
    for number, activations in enumerate(inputs):
        arrays = {tensor.name: tensor.data for tensor in call.inputs if tensor.data is not None}
        arrays |= {t.name: a for t, a in zip(model_inputs(call), activations, strict=True)}
        expected = operator.evaluate(call, [arrays[tensor.name] for tensor in call.inputs])
        assert expected.shape == call.output.shape
        assert expected.dtype.name == call.output.dtype
        operands = [arrays[tensor.name] for tensor in operator.runtime_operands(call)]
        for invocation in invocations(operator, kernel, call):
            for split in (False, True) if kernel.kind == "rows" else (False,):
                run = KernelRun(library, invocation, operands)
                actual = run.output(split=split)
                assert np.array_equal(actual, expected), _difference(
                    invocation, number, split, actual, expected
                )


def _difference(
    invocation: Invocation, number: int, split: bool, actual: Array, expected: Array
) -> str:
    where = np.argwhere(actual != expected)
    first = tuple(int(i) for i in where[0])
    return (
        f"{invocation}, input {number}{', two column ranges' if split else ''}: {len(where)} of "
        f"{expected.size} elements differ; at {first} it gives {actual[first]}, the reference "
        f"{expected[first]}"
    )
