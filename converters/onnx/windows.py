# SPDX-License-Identifier: Apache-2.0
"""ONNX's poolings: ceil_mode, count_include_pad, auto_pad, and those over the whole map."""

from __future__ import annotations

from collections.abc import Mapping

from edgekit.converters.nchw.graph import Activation, RefusalError
from edgekit.converters.nchw.maps import map_of, map_result, output_size
from edgekit.converters.nchw.pooling import (
    PoolAxis,
    average_pool,
    max_pool,
    mean_over_map,
    pool_axis,
)
from edgekit.converters.onnx.call import OnnxCall
from edgekit.converters.onnx.geometry import axes, pair
from edgekit.converters.onnx.mapper import Mapper
from edgekit.ops.max_pool2d import MaxPool2d
from edgekit.window import Axis, Window


def _axes(call: OnnxCall, x: Activation) -> tuple[PoolAxis, PoolAxis]:
    if not call.arguments.get("kernel_shape"):
        raise call.fail("it has no kernel_shape")
    made = axes(call, x, pair(call, "kernel_shape", 1))
    height, width = (
        pool_axis(axis, input_size=size, output_size=output)
        for axis, size, output in zip(made, x.shape[2:], output_size(call), strict=True)
    )
    for side, size in zip((height, width), x.shape[2:], strict=True):
        if (problem := side.axis.problem(size)) is not None:
            raise call.fail(problem)
    return height, width


def _average_pool(call: OnnxCall) -> Activation:
    x = map_of(call, "X")
    counted = bool(call.arguments.get("count_include_pad"))
    return average_pool(call, x, *_axes(call, x), count_padding=counted)


def _max_pool(call: OnnxCall) -> Activation:
    if any(call.outputs[1:]):
        raise RefusalError("its output 'Indices' is not supported; use the first one alone")
    x = map_of(call, "X")
    return max_pool(call, x, *_axes(call, x))


def _global_average_pool(call: OnnxCall) -> Activation:
    return mean_over_map(call, map_of(call, "X"))


def _global_max_pool(call: OnnxCall) -> Activation:
    x = map_of(call, "X")
    window = Window(Axis(x.shape[2]), Axis(x.shape[3]))
    return map_result(call, "max_pool2d", [x.tensor], MaxPool2d(window))


POOLING_MAPPINGS: Mapping[str, Mapper] = {
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global_average_pool,
    "GlobalMaxPool": _global_max_pool,
    "MaxPool": _max_pool,
}
