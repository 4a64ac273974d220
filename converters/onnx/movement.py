# SPDX-License-Identifier: Apache-2.0
"""ONNX's views, and operators that take tensors apart, join, turn or repeat them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgekit.converters.nchw.graph import Activation, Parameter, RefusalError
from edgekit.converters.nchw.parts import cut, joined, part, permuted, picked, tiled
from edgekit.converters.onnx.call import OnnxCall
from edgekit.converters.onnx.mapper import Mapper
from edgekit.ops._blocks import Blocks


def _identity(call: OnnxCall) -> Activation:
    return call.activation("input", "data")


def _dropout(call: OnnxCall) -> Activation:
    training = call.value("training_mode")
    if any(call.outputs[1:]) or (isinstance(training, Parameter) and np.any(training.data)):
        raise RefusalError("it is in training mode; export in eval mode")
    return call.activation("data")


def _cast(call: OnnxCall) -> Activation:
    """Reached by float32 to float32 only: another type is refused as the type of the result."""
    return call.activation("input")


def _view(call: OnnxCall) -> Activation:
    return call.builder.reshape(call.activation("data", "input"), call.shape)


def _transpose(call: OnnxCall) -> Activation:
    x = call.activation("data")
    rank = len(call.shape)
    order = call.attribute("perm", range(rank - 1, -1, -1))
    if sorted(order) != list(range(rank)):
        raise call.fail(f"its perm {order} is no permutation of {rank} axes")
    return permuted(call, x, tuple(order))


def _concat(call: OnnxCall) -> Activation:
    parts = call["inputs"]
    if not all(isinstance(value, Activation | Parameter) for value in parts):
        raise call.fail("an input is missing")
    return joined(call, parts, call.axis(len(call.shape), 0))


def _split(call: OnnxCall) -> tuple[Activation, ...]:
    """The shapes of the results say where to cut."""
    x = call.activation("input")
    axis = call.axis(len(x.shape), 0)
    sizes = [shape[axis] for shape in call.shapes]
    if sum(sizes) != x.shape[axis]:
        raise call.fail(f"parts of {sizes} do not make up an axis of {x.shape[axis]}")
    return tuple(cut(call, x, axis, sizes))


def _slice(call: OnnxCall) -> Activation:
    x = call.activation("data")
    rank = len(x.shape)
    starts, ends = call.integers("starts") or [], call.integers("ends") or []
    axes = call.axes(rank, "axes")
    axes = list(range(len(starts))) if axes is None else axes
    steps = call.integers("steps") or [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) <= rank or len(set(axes)) < len(
        axes
    ):
        raise call.fail("its starts, ends, axes and steps do not belong together")
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if step == 0:
            raise call.fail("a step is 0")
        size = x.shape[axis]
        last = None if step < 0 and end < -size else end
        indices = range(*slice(start, last, step).indices(size))
        x = part(call, x, axis, (indices.start, len(indices), step))
    return x


def _gather(call: OnnxCall) -> Activation:
    """Constant indices along one axis; a number takes the axis away."""
    x = call.activation("data")
    axis = call.axis(len(x.shape), 0)
    indices = call.parameter("indices").data
    if indices.ndim > 1:
        raise RefusalError(f"indices of shape {indices.shape} are not supported; use a vector")
    size = x.shape[axis]
    if indices.size and not (-size <= indices.min() and indices.max() < size):
        raise call.fail(f"an index is outside an axis of {size}")
    taken = picked(call, x, axis, indices.reshape(-1).astype(int).tolist())
    return call.builder.reshape(taken, call.shape)


def _expand(call: OnnxCall) -> Activation:
    return tiled(call, call.activation("input"))


def _depth_to_space(call: OnnxCall) -> Activation:
    order = {"DCR": "block_major", "CRD": "channel_major"}.get(call.arguments.get("mode") or "DCR")
    if order is None:
        raise RefusalError(f"mode '{call['mode']}' does not exist; use DCR or CRD")
    blocks = Blocks(
        int(call["blocksize"]), "block_major" if order == "block_major" else "channel_major"
    )
    return call.node("depth_to_space", [call.activation("input", rank=4).tensor], blocks)


def _space_to_depth(call: OnnxCall) -> Activation:
    blocks = Blocks(int(call["blocksize"]), "block_major")
    return call.node("space_to_depth", [call.activation("input", rank=4).tensor], blocks)


VIEWS = ("Flatten", "Reshape", "Squeeze", "Unsqueeze")

MOVEMENT_MAPPINGS: Mapping[str, Mapper] = {
    **dict.fromkeys(VIEWS, _view),
    "Cast": _cast,
    "Concat": _concat,
    "DepthToSpace": _depth_to_space,
    "Dropout": _dropout,
    "Expand": _expand,
    "Gather": _gather,
    "Identity": _identity,
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Tile": _expand,
    "Transpose": _transpose,
}
