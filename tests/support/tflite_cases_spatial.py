# SPDX-License-Identifier: Apache-2.0
"""One-operator TFLite models that enlarge, mirror or reorder maps, and less usual convolutions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from edgekit.ir import Shape
from support.tflite_writer import ModelSpec, OperatorSpec, TensorSpec, constant_spec

SAME, VALID = 0, 1


def _model(
    name: str, operands: Sequence[TensorSpec], output_shape: Shape, **options: object
) -> ModelSpec:
    """One operator between tensors of one scale."""
    output = _map("y", output_shape)
    names = [operand.name for operand in operands]
    inputs = [operand.name for operand in operands if operand.data is None]
    operator = OperatorSpec(name, names, ["y"], options)
    return ModelSpec([*operands, output], [operator], inputs, ["y"])


def _map(name: str, shape: Shape, scale: float = 0.05, zero_point: int = -9) -> TensorSpec:
    return TensorSpec(name, shape, scale, zero_point)


def transpose_conv(
    input_shape: tuple[int, int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    output_shape: tuple[int, int, int],
    *,
    padding: int = SAME,
    activation: int = 0,
    per_channel: bool = True,
    with_bias: bool = True,
    output_scale: float = 0.11,
) -> ModelSpec:
    """TRANSPOSE_CONV with seeded weights; no zero point is 0."""
    random = np.random.default_rng([*input_shape, *kernel])
    outputs = output_shape[2]
    weights = random.integers(-127, 128, (outputs, *kernel, input_shape[2])).astype(np.int8)
    scale = random.uniform(0.001, 0.01, outputs) if per_channel else 0.005
    operands = [
        constant_spec("shape", np.array([1, *output_shape], np.int32)),
        constant_spec("weights", weights, scale=scale),
        _map("x", (1, *input_shape), 0.04, -3),
    ]
    if with_bias:
        bias = random.integers(-4000, 4000, outputs).astype(np.int32)
        operands.append(constant_spec("bias", bias, scale=0.04 * np.asarray(scale)))
    options = {
        "Padding": padding,
        "StrideH": stride[0],
        "StrideW": stride[1],
        "FusedActivationFunction": activation,
    }
    operator = OperatorSpec("TRANSPOSE_CONV", [t.name for t in operands], ["y"], options)
    y = _map("y", (1, *output_shape), output_scale, 5)
    return ModelSpec([*operands, y], [operator], ["x"], ["y"])


def mirror_pad(input_shape: Shape, paddings: Sequence[Sequence[int]], mode: int) -> ModelSpec:
    """MIRROR_PAD; mode 0 is REFLECT, 1 SYMMETRIC."""
    operands = [_map("x", input_shape), constant_spec("paddings", np.array(paddings, np.int32))]
    sizes = zip(input_shape, paddings, strict=True)
    shape = tuple(size + before + after for size, (before, after) in sizes)
    return _model("MIRROR_PAD", operands, shape, Mode=mode)


def resize(
    name: str,
    input_shape: tuple[int, int, int],
    size: tuple[int, int],
    *,
    align_corners: bool = False,
    half_pixel: bool = False,
) -> ModelSpec:
    """RESIZE_NEAREST_NEIGHBOR or RESIZE_BILINEAR."""
    operands = [_map("x", (1, *input_shape)), constant_spec("size", np.array(size, np.int32))]
    return _model(
        name,
        operands,
        (1, *size, input_shape[2]),
        AlignCorners=align_corners,
        HalfPixelCenters=half_pixel,
    )


def blocks(name: str, input_shape: tuple[int, int, int], block: int) -> ModelSpec:
    """DEPTH_TO_SPACE or SPACE_TO_DEPTH."""
    height, width, channels = input_shape
    if name == "DEPTH_TO_SPACE":
        shape = (1, height * block, width * block, channels // (block * block))
    else:
        shape = (1, height // block, width // block, channels * block * block)
    return _model(name, [_map("x", (1, *input_shape))], shape, BlockSize=block)


def spatial_cases() -> Iterator[tuple[str, ModelSpec]]:
    """Every case with its name."""
    yield from _transposed()
    for mode, label in ((0, "reflect"), (1, "symmetric")):
        yield (
            f"mirror_pad_{label}",
            mirror_pad((1, 4, 5, 3), [(0, 0), (1, 3), (2, 0), (0, 0)], mode),
        )
        channels = [(0, 0), (0, 0), (1, 1), (2, 1)]
        yield f"mirror_pad_{label}_channels", mirror_pad((1, 2, 3, 5), channels, mode)
        yield f"mirror_pad_{label}_rank_3", mirror_pad((1, 6, 2), [(0, 0), (5, 2), (0, 1)], mode)
    for name, label in (("RESIZE_NEAREST_NEIGHBOR", "nearest"), ("RESIZE_BILINEAR", "bilinear")):
        yield from _resized(name, f"resize_{label}")
    yield (
        "resize_nearest_corners_and_half_pixel",
        resize("RESIZE_NEAREST_NEIGHBOR", (7, 9, 1), (23, 14), align_corners=True, half_pixel=True),
    )
    yield "depth_to_space_2", blocks("DEPTH_TO_SPACE", (3, 4, 12), 2)
    yield "depth_to_space_3", blocks("DEPTH_TO_SPACE", (2, 1, 45), 3)
    yield "space_to_depth_2", blocks("SPACE_TO_DEPTH", (6, 4, 3), 2)
    yield "space_to_depth_3", blocks("SPACE_TO_DEPTH", (3, 9, 5), 3)


def _transposed() -> Iterator[tuple[str, ModelSpec]]:
    for code, label in enumerate(("none", "relu", "relu_n1_to_1", "relu6")):
        model = transpose_conv((3, 4, 5), (3, 3), (2, 2), (6, 8, 4), activation=code)
        yield f"transpose_conv_{label}", model
    yield (
        "transpose_conv_valid",
        transpose_conv((3, 4, 5), (2, 4), (2, 3), (6, 13, 4), padding=VALID),
    )
    yield (
        "transpose_conv_valid_longer_output",
        transpose_conv((3, 4, 5), (2, 2), (2, 2), (7, 9, 4), padding=VALID),
    )
    yield "transpose_conv_gaps", transpose_conv((3, 3, 2), (1, 2), (3, 3), (9, 9, 3))
    yield "transpose_conv_odd_output", transpose_conv((3, 4, 2), (3, 3), (2, 2), (5, 7, 3))
    yield "transpose_conv_stride_1", transpose_conv((5, 4, 3), (5, 2), (1, 1), (5, 4, 2))
    yield (
        "transpose_conv_per_tensor",
        transpose_conv((3, 4, 5), (3, 3), (2, 2), (6, 8, 4), per_channel=False),
    )
    yield (
        "transpose_conv_without_bias",
        transpose_conv((3, 4, 5), (3, 3), (2, 2), (6, 8, 4), with_bias=False),
    )
    yield (
        "transpose_conv_saturates",
        transpose_conv((3, 4, 5), (3, 3), (2, 2), (6, 8, 4), output_scale=0.002),
    )


def _resized(name: str, label: str) -> Iterator[tuple[str, ModelSpec]]:
    sizes: dict[str, tuple[tuple[int, int, int], tuple[int, int]]] = {
        "twice": ((4, 5, 3), (8, 10)),
        "uneven": ((7, 5, 3), (11, 17)),
        "smaller": ((17, 23, 2), (5, 7)),
        "from_one_pixel": ((1, 1, 3), (4, 3)),
        "to_one_pixel": ((5, 6, 3), (1, 1)),
        "wide": ((3, 40, 1), (7, 301)),
    }
    for kind, (shape, size) in sizes.items():
        yield f"{label}_{kind}", resize(name, shape, size)
        yield f"{label}_{kind}_align_corners", resize(name, shape, size, align_corners=True)
        yield f"{label}_{kind}_half_pixel", resize(name, shape, size, half_pixel=True)
