# SPDX-License-Identifier: Apache-2.0
"""What the TFLite operators become that enlarge, mirror or reorder maps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from edgekit.converters.tflite import multipliers
from edgekit.converters.tflite.operation import SAME, VALID, Mapped, Operation
from edgekit.converters.tflite.weighted import weighted_node
from edgekit.ir import MAX_ELEMENTS
from edgekit.ops._blocks import Blocks
from edgekit.ops._moving import MAX_TABLE, MovingArithmetic
from edgekit.ops.pad import Pad, PadArithmetic, PadMode
from edgekit.ops.resize_bilinear import (
    ONE,
    ResizeBilinear,
    ResizeBilinearArithmetic,
    resize_axis,
)
from edgekit.ops.resize_nearest import ResizeNearest
from edgekit.ops.transposed_conv2d import TransposedConv2d, transposed_axis
from edgekit.window import Axis, Window, same_padding

MIRROR_MODES: Mapping[int, PadMode] = {0: "reflect", 1: "symmetric"}


def _transpose_conv(operation: Operation) -> Mapped:
    """TRANSPOSE_CONV(shape of the output, weights, x, bias); its weights have no groups."""
    operation.require(inputs=(3, 4))
    operation.activation(2)
    weights = operation.weights(1, rank=4)
    source, result = operation.input(2).shape, operation.output.shape
    if len(source) != 4 or len(result) != 4:
        raise operation.fail(f"shapes {source} and {result}; both must be (1, H, W, C)")
    if tuple(operation.integers(0).reshape(-1).tolist()) != result:
        raise operation.fail(f"the wanted shape is not {result}, that of its output")
    if weights.shape[3] != source[3] or weights.shape[0] != result[3]:
        raise operation.fail(f"{source[3]} input channels do not fit weights {weights.shape}")
    window = Window(*(_spread_axis(operation, letter, i) for i, letter in ((1, "H"), (2, "W"))))
    return weighted_node(
        operation,
        "transposed_conv2d",
        TransposedConv2d(window),
        weights,
        operation.weight_scales(weights, axis=0),
        factor=multipliers.convolution_factor,
        positions=(2, 3),
    )


def _spread_axis(operation: Operation, letter: str, position: int) -> Axis:
    """TFLite crops as the convolution from the output to the input would pad."""
    stride, kernel = operation.option(f"Stride{letter}"), operation.input(1).shape[position]
    size, result = operation.input(2).shape[position], operation.output.shape[position]
    if not 1 <= stride <= MAX_ELEMENTS // size:
        raise operation.fail(f"stride {stride} along {letter} must be at least 1")
    padding = operation.option("Padding")
    if padding not in (SAME, VALID):
        raise operation.fail(f"padding {padding} is neither SAME nor VALID")
    crop = same_padding(result, kernel, stride, 1).pad_before if padding == SAME else 0
    axis = transposed_axis(kernel, stride, 1, crop=crop, input_size=size, output_size=result)
    if (problem := axis.problem(size)) is not None:
        raise operation.fail(f"along {letter}, {problem}")
    return axis


def _mirror_pad(operation: Operation) -> Mapped:
    operation.require(inputs=(2,))
    quantization = operation.shared_quantization()
    shape, paddings = operation.input(0).shape, operation.integers(1)
    if paddings.shape != (len(shape), 2):
        raise operation.fail(
            f"paddings of shape {paddings.shape} for an input of rank {len(shape)}"
        )
    if paddings.min() < 0 or paddings.max() > MAX_TABLE:
        raise operation.fail(f"a padding is negative or above {MAX_TABLE}")
    if (mode := MIRROR_MODES.get(operation.option("Mode"))) is None:
        raise operation.fail(f"mode {operation.option('Mode')} is neither REFLECT nor SYMMETRIC")
    before, after = (tuple(int(n) for n in paddings[:, side]) for side in (0, 1))
    attributes = Pad(before, after, mode)
    arithmetic = PadArithmetic(quantization.zero_point)
    return Mapped("pad", attributes, arithmetic, (operation.activation(0),))


def _resized(operation: Operation) -> tuple[tuple[int, int], tuple[int, int]]:
    """(input, output) sizes of both axes, small enough for tables."""
    operation.require(inputs=(2,))
    operation.shared_quantization()
    height, width, _ = operation.map_shape()
    sizes = operation.integers(1).reshape(-1).tolist()
    if len(sizes) != 2 or not all(1 <= size <= MAX_TABLE for size in (*sizes, height, width)):
        raise operation.fail(f"{height} x {width} to {sizes}: sizes from 1 to {MAX_TABLE}, please")
    return (height, sizes[0]), (width, sizes[1])


def _resize_nearest(operation: Operation) -> Mapped:
    options = [bool(operation.option(name)) for name in ("AlignCorners", "HalfPixelCenters")]
    rows, columns = (nearest_inputs(*sizes, *options) for sizes in _resized(operation))
    x = operation.activation(0)
    return Mapped("resize_nearest", ResizeNearest(rows, columns), MovingArithmetic(), (x,))


def nearest_inputs(
    input_size: int, output_size: int, align_corners: bool, half_pixel: bool
) -> tuple[int, ...]:
    """The input of every output as RESIZE_NEAREST_NEIGHBOR finds it, in float32."""
    if align_corners and output_size > 1:
        scale = np.float32(input_size - 1) / np.float32(output_size - 1)
    else:
        scale = np.float32(input_size) / np.float32(output_size)
    offset = np.float32(0.5 if half_pixel else 0.0)
    places = (np.arange(output_size, dtype=np.float32) + offset) * scale
    # no place is negative, so the nearest, halves up, is round() of C
    whole = np.floor(places.astype(np.float64) + (0.5 if align_corners else 0.0)).astype(int)
    return tuple(np.clip(whole, 0, input_size - 1).tolist())


def _resize_bilinear(operation: Operation) -> Mapped:
    corners, half = (bool(operation.option(n)) for n in ("AlignCorners", "HalfPixelCenters"))
    if corners and half:
        raise operation.fail("align_corners and half_pixel_centers exclude each other")
    sizes = _resized(operation)
    axes = [resize_axis(o, i, align_corners=corners, half_pixel=half) for i, o in sizes]
    arithmetic = ResizeBilinearArithmetic(
        *(resize_positions(i, o, corners, half) for i, o in sizes)
    )
    x = operation.activation(0)
    return Mapped("resize_bilinear", ResizeBilinear(*axes), arithmetic, (x,))


def resize_positions(
    input_size: int, output_size: int, align_corners: bool, half_pixel: bool
) -> tuple[int, ...]:
    """TFLite's positions: a scale of 10 bits, so that errors add up over a wide map."""
    inputs, outputs = input_size, output_size
    if align_corners and output_size > 1:
        inputs, outputs = input_size - 1, output_size - 1
    scale = (ONE * inputs + outputs // 2) // outputs
    places = np.arange(output_size) * scale + (scale // 2 - ONE // 2 if half_pixel else 0)
    return tuple(np.clip(places, 0, (input_size - 1) * ONE).tolist())


def _blocks(op: str) -> Callable[[Operation], Mapped]:
    """DEPTH_TO_SPACE and SPACE_TO_DEPTH."""

    def mapping(operation: Operation) -> Mapped:
        operation.require(inputs=(1,))
        operation.shared_quantization()
        height, width, channels = operation.map_shape()
        block = operation.option("BlockSize")
        if not 1 <= block <= math.isqrt(MAX_ELEMENTS):
            raise operation.fail(f"block size {block} must be at least 1")
        deep = op == "depth_to_space"
        if channels % (block * block) if deep else height % block or width % block:
            raise operation.fail(
                f"a map {height} x {width} x {channels} does not divide by {block}"
            )
        attributes = Blocks(block, "block_major")
        return Mapped(op, attributes, MovingArithmetic(), (operation.activation(0),))

    return mapping


SPATIAL_MAPPINGS: Mapping[str, Callable[[Operation], Mapped]] = {
    "DEPTH_TO_SPACE": _blocks("depth_to_space"),
    "MIRROR_PAD": _mirror_pad,
    "RESIZE_BILINEAR": _resize_bilinear,
    "RESIZE_NEAREST_NEIGHBOR": _resize_nearest,
    "SPACE_TO_DEPTH": _blocks("space_to_depth"),
    "TRANSPOSE_CONV": _transpose_conv,
}
"""The operators of this file."""
