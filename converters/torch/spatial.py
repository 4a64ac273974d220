# SPDX-License-Identifier: Apache-2.0
"""ATen operators that pad, resize or reorder maps and sequences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edgekit.converters.nchw.graph import Activation, RefusalError, SourceCall
from edgekit.converters.nchw.maps import map_of, map_result
from edgekit.converters.nchw.resampling import padded, resize_sizes
from edgekit.converters.torch.convolutions import convolution
from edgekit.converters.torch.windows import (
    average_pool,
    global_or_tiled_average_pool,
    global_or_tiled_max_pool,
    max_pool,
)
from edgekit.ops._blocks import Blocks
from edgekit.ops.pad import PadMode
from edgekit.ops.resize_bilinear import ResizeAxis, ResizeBilinear, resize_axis
from edgekit.ops.resize_nearest import ResizeNearest

PAD_MODES: Mapping[str, PadMode] = {
    "constant": "constant",
    "reflect": "reflect",
    "replicate": "replicate",
    "circular": "circular",
}


def _pad(call: SourceCall) -> Activation:
    """pad with any mode; the others by name."""
    name = call.arguments.get("mode", "constant")
    for prefix, mode in (("reflection_pad", "reflect"), ("replication_pad", "replicate")):
        if call.op.startswith(prefix):
            name = mode
    if name not in PAD_MODES:
        raise RefusalError(f"mode '{name}' is not supported; use {', '.join(PAD_MODES)}")
    amounts = [int(a) for a in call.arguments.get("pad", call.arguments.get("padding"))]
    value = call.arguments.get("value")
    x = call.activation("self")
    if not any(amounts):
        return x
    if min(amounts) < 0 or len(amounts) > 2 * (len(x.shape) - 1):
        raise RefusalError(
            f"pad={amounts} of shape {x.shape} is not supported; pad H, W or C of 4-D"
        )
    if value is not None and not isinstance(value, int | float):
        raise RefusalError("padding with a computed value is not supported; pad with a number")
    return _padded(call, amounts, PAD_MODES[name], float(value or 0.0))


def _padded(call: SourceCall, amounts: list[int], mode: PadMode, value: float) -> Activation:
    """The list of amounts starts at the last axis: (before, after) of W, H, C, or of L, C."""
    rank = len(call.shape)
    amounts = amounts + [0] * (2 * rank - len(amounts))
    before, after = amounts[2 * rank - 2 :: -2], amounts[2 * rank - 1 :: -2]
    return padded(call, "self", before, after, mode, value)


def _scales(call: SourceCall) -> tuple[float | None, float | None]:
    """Inputs per output along H and W where a scale factor is given; PyTorch then uses that one."""
    factors = call.arguments.get("scale_factors")
    if factors is None:
        names = ("scales",) if len(call.shape) == 3 else ("scales_h", "scales_w")
        factors = [call.arguments.get(name) for name in names]
    scales = [1.0 / factor if factor else None for factor in factors]
    return (None, scales[0]) if len(call.shape) == 3 else (scales[0], scales[-1])


def _nearest(offset: float) -> Callable[[SourceCall], Activation]:
    """floor((output + offset) * scale) in float32, as PyTorch's kernels compute it."""

    def mapped(call: SourceCall) -> Activation:
        x = map_of(call, "input", "self")
        tables = []
        for (size, result), scale in zip(resize_sizes(call, x), _scales(call), strict=True):
            exact = np.float32(size) / np.float32(result)
            step = exact if scale is None else np.float32(scale)
            if offset == 0.0 and result in (size, 2 * size):
                places = np.arange(result) * size // result
            else:
                places = np.floor((np.arange(result, dtype=np.float32) + np.float32(offset)) * step)
            tables.append(tuple(np.minimum(places.astype(int), size - 1).tolist()))
        return map_result(call, "resize_nearest", [x.tensor], ResizeNearest(*tables))

    return mapped


def _linear(call: SourceCall) -> Activation:
    x = map_of(call, "input", "self")
    corners = bool(call["align_corners"])
    axes = [
        resize_axis(result, size, align_corners=corners, half_pixel=True, scale=scale)
        for (size, result), scale in zip(resize_sizes(call, x), _scales(call), strict=True)
    ]
    if len(call.shape) == 3:
        axes[0] = ResizeAxis(1, 1.0)
    return map_result(call, "resize_bilinear", [x.tensor], ResizeBilinear(*axes))


def _shuffle(op: str, factor: str) -> Callable[[SourceCall], Activation]:
    """PyTorch counts channels first, then places in the block."""

    def mapped(call: SourceCall) -> Activation:
        x = call.activation("self", rank=4)
        return call.node(op, [x.tensor], Blocks(int(call[factor]), "channel_major"))

    return mapped


SPATIAL_MAPPERS: Mapping[str, Callable[[SourceCall], Any]] = {
    **dict.fromkeys(("conv1d", "conv2d", "convolution"), convolution),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d"), convolution),
    **dict.fromkeys(("avg_pool1d", "avg_pool2d"), average_pool),
    **dict.fromkeys(("max_pool1d", "max_pool2d", "max_pool2d_with_indices"), max_pool),
    **dict.fromkeys(
        ("adaptive_avg_pool1d", "adaptive_avg_pool2d", "_adaptive_avg_pool2d"),
        global_or_tiled_average_pool,
    ),
    **dict.fromkeys(("adaptive_max_pool1d", "adaptive_max_pool2d"), global_or_tiled_max_pool),
    **dict.fromkeys(("pad", "constant_pad_nd"), _pad),
    **dict.fromkeys(("reflection_pad1d", "reflection_pad2d"), _pad),
    **dict.fromkeys(("replication_pad1d", "replication_pad2d"), _pad),
    **dict.fromkeys(("upsample_nearest1d", "upsample_nearest2d"), _nearest(0.0)),
    **dict.fromkeys(("_upsample_nearest_exact1d", "_upsample_nearest_exact2d"), _nearest(0.5)),
    **dict.fromkeys(("upsample_linear1d", "upsample_bilinear2d"), _linear),
    "pixel_shuffle": _shuffle("depth_to_space", "upscale_factor"),
    "pixel_unshuffle": _shuffle("space_to_depth", "downscale_factor"),
}
"""The operators of this file and of the files that it composes."""
