# SPDX-License-Identifier: Apache-2.0
"""Pad and Resize: where each output lies, as onnxruntime computes it (float32)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgekit.converters.nchw.graph import Activation, RefusalError
from edgekit.converters.nchw.maps import map_of, map_result
from edgekit.converters.nchw.resampling import padded, resize_sizes
from edgekit.converters.onnx.call import OnnxCall
from edgekit.converters.onnx.mapper import Mapper
from edgekit.ir import Array, Shape
from edgekit.ops.pad import PadMode
from edgekit.ops.resize_bilinear import ResizeAxis, ResizeBilinear
from edgekit.ops.resize_nearest import ResizeNearest

PAD_MODES: Mapping[str, PadMode] = {
    "constant": "constant",
    "edge": "replicate",
    "reflect": "reflect",
    "wrap": "circular",
}
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


def _pad(call: OnnxCall) -> Activation:
    x = call.activation("data")
    rank = len(x.shape)
    name = call.arguments.get("mode") or "constant"
    if name not in PAD_MODES:
        raise RefusalError(f"mode '{name}' is not supported; use {', '.join(PAD_MODES)}")
    amounts = call.integers("pads") or []
    axes = call.axes(rank, "axes")
    axes = list(range(rank)) if axes is None else axes
    if len(amounts) != 2 * len(axes) or len(set(axes)) < len(axes):
        raise call.fail(f"its pads {amounts} do not belong to axes {axes}")
    before, after = [0] * rank, [0] * rank
    for position, axis in enumerate(axes):
        before[axis], after[axis] = amounts[position], amounts[position + len(axes)]
    if not any(amounts):
        return x
    if min(amounts) < 0:
        raise RefusalError(f"its pads {amounts} are negative; cut the map with Slice")
    value = call.number("constant_value", "value") or 0.0
    if rank == 1 or before[0] or after[0]:
        raise RefusalError(f"pads {amounts} of shape {x.shape}: the first axis cannot be padded")
    return padded(call, "data", before, after, PAD_MODES[name], value)


def _resize(call: OnnxCall) -> Activation:
    mode = call.arguments.get("mode") or "nearest"
    if mode not in ("nearest", "linear") or call.arguments.get("antialias"):
        raise RefusalError(
            f"mode '{mode}'{' with antialias' if call.arguments.get('antialias') else ''} is not "
            "supported; use nearest or linear without antialias"
        )
    source = call.activation("X")
    if call.shape == source.shape:
        return source
    if call.shape[:2] != source.shape[:2]:
        raise RefusalError(
            f"{source.shape} to {call.shape}: only maps can be resized, not channels"
        )
    x = map_of(call, "X")
    precision = np.float64 if mode == "linear" else np.float32
    places = [
        _places(call, *sizes, precision(scale))
        for sizes, scale in zip(resize_sizes(call, x), _scales(call, x), strict=True)
    ]
    if mode == "linear":
        axes = (ResizeAxis(len(p), *_line(p)) for p in places)
        return map_result(call, "resize_bilinear", [x.tensor], ResizeBilinear(*axes))
    tables = (_nearest(call, p, size) for p, size in zip(places, x.shape[2:], strict=True))
    return map_result(call, "resize_nearest", [x.tensor], ResizeNearest(*tables))


def _scales(call: OnnxCall, x: Activation) -> tuple[float, float]:
    """Outputs per input along H and W: as given, or from the sizes."""
    rank, source = len(call.shape), call.activation("X").shape
    axes = call.axes(rank, "axes")
    axes = list(range(rank)) if axes is None else axes
    scales = [float(np.float32(o) / np.float32(i)) for o, i in zip(call.shape, source, strict=True)]
    given = call.floats("scales") or []
    if given and call.arguments.get("coordinate_transformation_mode") == "align_corners":
        _check_whole(call.shape, [scale * source[a] for a, scale in zip(axes, given, strict=False)])
    sizes = call.integers("sizes") or []
    policy = call.arguments.get("keep_aspect_ratio_policy") or "stretch"
    if sizes and policy != "stretch":
        ratios = [size / source[axis] for axis, size in zip(axes, sizes, strict=True)]
        given = [min(ratios) if policy == "not_larger" else max(ratios)] * len(axes)
    if given and len(given) != len(axes):
        raise call.fail(f"its scales {given} do not belong to axes {axes}")
    for axis, scale in zip(axes, given, strict=False):
        scales[axis] = scale
    return (1.0, scales[2]) if rank == 3 else (scales[2], scales[3])


def _check_whole(shape: Shape, sizes: list[float]) -> None:
    """Raise RefusalError where align_corners would lie between pixels.

    The definition of ONNX keeps such a size fractional, and onnxruntime does not.
    """
    if any(abs(size - round(size)) > 1e-4 for size in sizes):
        raise RefusalError(
            f"align_corners to {shape} by scales that give no whole sizes has two definitions; "
            "give sizes"
        )


def _places(call: OnnxCall, size: int, result: int, scale: np.floating[Any]) -> Array:
    """The place of every output among the inputs, not clamped, in the precision of ``scale``."""
    kind = call.arguments.get("coordinate_transformation_mode") or "half_pixel"
    o: Array = np.arange(result, dtype=scale.dtype)
    half = scale.dtype.type(0.5)
    centered: Array = (o + half) / scale - half
    adjusted: Array = size / 2 * (1 - result / (scale * size)) + centered
    whole = kind in ("align_corners", "pytorch_half_pixel") and result == 1
    places: Mapping[str, Array] = {
        "asymmetric": o / scale,
        "align_corners": o * (size - 1) / max(result - 1, 1),
        "half_pixel": centered,
        "half_pixel_symmetric": adjusted,
        "pytorch_half_pixel": centered,
        "tf_half_pixel_for_nn": (o + half) / scale,
    }
    if kind not in places:
        raise RefusalError(
            f"coordinate_transformation_mode '{kind}' is not supported; use one of "
            f"{', '.join(places)}"
        )
    return o if whole else places[kind]


def _line(places: Array) -> tuple[float, float]:
    """Step and offset of evenly spaced places."""
    return (float(places[1] - places[0]) if len(places) > 1 else 1.0), float(places[0])


def _nearest(call: OnnxCall, places: Array, size: int) -> tuple[int, ...]:
    rounding = call.arguments.get("nearest_mode") or "round_prefer_floor"
    if rounding not in ROUNDINGS:
        raise RefusalError(f"nearest_mode '{rounding}' does not exist; use {', '.join(ROUNDINGS)}")
    values = places.astype(np.float32)
    if rounding == "round_prefer_floor":
        values = np.ceil(values - np.float32(0.5))
    elif rounding == "round_prefer_ceil":
        values = np.floor(values + np.float32(0.5))
    else:
        values = np.floor(values) if rounding == "floor" else np.ceil(values)
    return tuple(int(v) for v in np.clip(values, 0, size - 1))


RESAMPLING_MAPPINGS: Mapping[str, Mapper] = {"Pad": _pad, "Resize": _resize}
