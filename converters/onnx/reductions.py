# SPDX-License-Identifier: Apache-2.0
"""ReduceL2, ReduceMean, ReduceSum, ReduceMax, ReduceMin, ArgMax and ArgMin."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edgekit.converters.nchw.graph import Activation, RefusalError
from edgekit.converters.nchw.reductions import euclidean_length, maximum, mean, reduced, search
from edgekit.converters.onnx.call import OnnxCall
from edgekit.converters.onnx.mapper import Mapper
from edgekit.ops.reduce_min import ReduceMin
from edgekit.ops.sum import Sum

Reduction = Callable[[OnnxCall, Activation, list[int]], Activation]
SEARCHES = ("ArgMax", "ArgMin")
"""Operators whose results are indices."""


def _reduction(reduce: Reduction) -> Mapper:
    """The axes are an attribute in early opsets; none are all, or none with noop_with_empty_axes."""

    def mapped(call: OnnxCall) -> Activation:
        x = call.activation("data")
        rank = len(x.shape)
        axes = call.axes(rank, "axes")
        if not axes:
            if call.arguments.get("noop_with_empty_axes"):
                return x
            axes = list(range(rank))
        return reduce(call, x, axes)

    return mapped


def _mean(call: OnnxCall, x: Activation, axes: list[int]) -> Activation:
    return mean(call, x, axes, keep_dims=bool(call["keepdims"]))


def _sum(call: OnnxCall, x: Activation, axes: list[int]) -> Activation:
    return reduced(call, x, axes, op="sum", attributes=Sum)


def _length(call: OnnxCall, x: Activation, axes: list[int]) -> Activation:
    return euclidean_length(call, x, axes, shape=call.shape)


def _minimum(call: OnnxCall, x: Activation, axes: list[int]) -> Activation:
    return reduced(call, x, axes, op="reduce_min", attributes=ReduceMin)


def _search(call: OnnxCall) -> Activation:
    x = call.activation("data")
    if call.arguments.get("select_last_index"):
        raise RefusalError("select_last_index=1 is not supported; use 0")
    axis = call.axis(len(x.shape), 0)
    keep_dims = bool(call["keepdims"])
    return search(call, x, axis, keep_dims=keep_dims, of_least=call.op == "ArgMin")


REDUCTION_MAPPINGS: Mapping[str, Mapper] = {
    **dict.fromkeys(SEARCHES, _search),
    "ReduceL2": _reduction(_length),
    "ReduceMax": _reduction(maximum),
    "ReduceMean": _reduction(_mean),
    "ReduceMin": _reduction(_minimum),
    "ReduceSum": _reduction(_sum),
}
