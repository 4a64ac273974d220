# SPDX-License-Identifier: Apache-2.0
"""What integer accumulators can reach: interval proofs from the real weights, for every input.

A bound covers the sum of any of the products in any order, with the zero point subtracted from each
input or folded into the bias, padding included: so no kernel's partial sum leaves it.
"""

from __future__ import annotations

import numpy as np

from edgekit.errors import UnsupportedError
from edgekit.ir import INTEGER_RANGE, Array, Call, QGraph
from edgekit.ops._weight_channels import OUTPUT_AXIS
from edgekit.ops._weighted import INPUT, WEIGHTS, WeightedArithmetic, bias_of

ACCUMULATOR_LIMIT = 2**31
"""Accumulators behind int8 have 32 bits."""


def weighted_bound(call: Call) -> int:
    """The largest magnitude of a partial sum of a layer with weights, over all channels."""
    arithmetic: WeightedArithmetic = call.node.arithmetic
    weights = call.constant(WEIGHTS)
    rows = np.moveaxis(weights, OUTPUT_AXIS[call.node.op], 0)
    rows = rows.reshape(len(rows), -1).astype(np.int64)
    bias = bias_of(call, len(rows)).astype(np.int64)
    zero_point = arithmetic.input_zero_point
    low, high = INTEGER_RANGE[call.inputs[INPUT].dtype]
    folded = bias - zero_point * rows.sum(axis=1)
    return max(
        _reach(rows, low - zero_point, high - zero_point, bias), _reach(rows, low, high, folded)
    )


def _reach(rows: Array, low: int, high: int, bias: Array) -> int:
    """The largest magnitude of the bias and any of the products with inputs of [low, high]."""
    products = np.stack([rows * low, rows * high])
    above = np.maximum(products.max(axis=0), 0).sum(axis=1) + np.maximum(bias, 0)
    below = np.minimum(products.min(axis=0), 0).sum(axis=1) + np.minimum(bias, 0)
    return int(max(above.max(), -below.min()))


def count_bound(call: Call, count: int, zero_point: int) -> int:
    """The largest magnitude of a sum of ``count`` inputs, less their zero points or not."""
    low, high = INTEGER_RANGE[call.inputs[INPUT].dtype]
    return count * max(high, -low, high - zero_point, zero_point - low)


def check_accumulators(graph: QGraph) -> None:
    """Prove that no 32-bit accumulator of an int8 layer overflows, whatever its input is.

    Raises:
        UnsupportedError: the sums of some layers could; all of them are listed.
    """
    from edgekit.ops import operator_of

    problems = []
    for call in graph.calls():
        bound = operator_of(call.node).accumulator_bound(call)
        is_int8 = bool(call.activations) and call.activations[0].dtype == "int8"
        if bound is not None and is_int8 and bound >= ACCUMULATOR_LIMIT:
            problems.append(
                f"{call.node}: its sums could reach {bound}, more than 32 bits hold; "
                "quantize it with a coarser scale of the weights, or split its input channels"
            )
    if problems:
        raise UnsupportedError(*problems)
