# SPDX-License-Identifier: Apache-2.0
"""Every kernel equals the numpy reference on every edge case, and touches only what it may."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.conformance import check_kernel, only_call, trial_inputs
from support.kernel_library import HOST_ISAS, host_library

from edgekit.kernel import Kernel
from edgekit.ops import Case, Operator, operators

KERNELS = [
    (operator, kernel)
    for operator in operators().values()
    for kernel in operator.kernels
    if kernel.isa in HOST_ISAS
]


def conformance_cases() -> Iterator[object]:
    """(operator, kernel, case) with the id operator-kernel-case."""
    for operator in operators().values():
        cases = tuple(operator.cases())
        for kernel in operator.kernels:
            for case in cases:
                if kernel.isa in HOST_ISAS and kernel.refusal(only_call(case.graph)) is None:
                    name = f"{operator.name}-{kernel.symbol}-{case.name}"
                    yield pytest.param(operator, kernel, case, id=name)


@pytest.mark.parametrize(("operator", "kernel", "case"), list(conformance_cases()))
def test_kernel_equals_reference(operator: Operator, kernel: Kernel, case: Case) -> None:
    call = only_call(case.graph)
    inputs = (*trial_inputs(call), *case.inputs)
    check_kernel(host_library(kernel.isa), operator, kernel, call, inputs)


@pytest.mark.parametrize(
    ("operator", "kernel"), KERNELS, ids=[kernel.symbol for _, kernel in KERNELS]
)
def test_kernel_is_tried_on_some_case(operator: Operator, kernel: Kernel) -> None:
    accepted = [case for case in operator.cases() if kernel.refusal(only_call(case.graph)) is None]
    assert accepted, "add a case that this kernel accepts"


@pytest.mark.parametrize("operator", operators().values(), ids=list(operators()))
def test_case_names_are_unique(operator: Operator) -> None:
    names = [case.name for case in operator.cases()]
    assert names
    assert len(names) == len(set(names))


@pytest.mark.parametrize("operator", operators().values(), ids=list(operators()))
def test_shape_rule_gives_the_output_of_every_case(operator: Operator) -> None:
    for case in operator.cases():
        call = only_call(case.graph)
        shapes = [tensor.shape for tensor in call.inputs]
        assert operator.output_shape(call.node.attributes, shapes) == call.output.shape
