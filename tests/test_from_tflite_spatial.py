# SPDX-License-Identifier: Apache-2.0
"""TFLite files whose resizings, pads and transposed convolutions contradict themselves."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.tflite_cases_spatial import blocks, mirror_pad, resize, transpose_conv
from support.tflite_writer import ModelSpec, write_tflite

from edgekit.converters.from_tflite import import_tflite
from edgekit.errors import BadInputError
from edgekit.interpret import interpret


def changed(model: ModelSpec, tensor: str = "", options: dict[str, int] | None = None) -> ModelSpec:
    """A model with other options, or with every element of a constant one larger."""
    tensors = [
        dataclasses.replace(t, data=t.data + 1) if t.name == tensor and t.data is not None else t
        for t in model.tensors
    ]
    (operator,) = model.operators
    operator = dataclasses.replace(
        operator, options={**(operator.options or {}), **(options or {})}
    )
    return dataclasses.replace(model, tensors=tensors, operators=[operator])


def transposed(**options: int) -> ModelSpec:
    return changed(transpose_conv((3, 4, 5), (3, 3), (2, 2), (6, 8, 4)), options=options)


WIDE = (1, 70000, 1)
BAD: dict[str, tuple[Callable[[], ModelSpec], str]] = {
    "stride_zero": (lambda: transposed(StrideH=0), "stride 0 along H must be at least 1"),
    "stride_huge": (lambda: transposed(StrideW=2**31 - 1), "stride 2147483647 along W"),
    "padding_unknown": (lambda: transposed(Padding=3), "padding 3 is neither SAME nor VALID"),
    "output_too_small": (
        lambda: transpose_conv((9, 4, 5), (3, 3), (2, 2), (6, 8, 4)),
        r"along H, padding \(.*\) must not be negative",
    ),
    "wanted_shape": (
        lambda: changed(transpose_conv((3, 4, 5), (3, 3), (2, 2), (6, 8, 4)), "shape"),
        r"the wanted shape is not \(1, 6, 8, 4\)",
    ),
    "resize_too_wide": (
        lambda: resize("RESIZE_NEAREST_NEIGHBOR", (1, 2, 1), (1, 70000)),
        "sizes from 1 to 65535",
    ),
    "resize_of_too_wide": (lambda: resize("RESIZE_BILINEAR", WIDE, (1, 4)), "from 1 to 65535"),
    "resize_to_another_shape": (
        lambda: changed(resize("RESIZE_BILINEAR", (2, 2, 1), (4, 4)), "size"),
        r"its output has shape \(1, 4, 4, 1\); it computes \(1, 5, 5, 1\)",
    ),
    "resize_corners_and_half": (
        lambda: resize("RESIZE_BILINEAR", (2, 2, 1), (4, 4), align_corners=True, half_pixel=True),
        "exclude each other",
    ),
    "reflect_beyond_the_map": (
        lambda: mirror_pad((1, 3, 3, 1), [(0, 0), (3, 0), (0, 0), (0, 0)], 0),
        "padding 3 of 3 elements; reflect reaches 2 at most",
    ),
    "mirror_mode": (
        lambda: mirror_pad((1, 3, 3, 1), [(0, 0), (1, 0), (0, 0), (0, 0)], 2),
        "mode 2 is neither REFLECT nor SYMMETRIC",
    ),
    "mirror_huge": (
        lambda: mirror_pad((1, 3, 3, 1), [(0, 0), (99999, 0), (0, 0), (0, 0)], 1),
        "negative or above 65535",
    ),
    "block_zero": (lambda: with_block(0), "block size 0"),
    "block_huge": (lambda: with_block(2**31 - 1), "block size 2147483647"),
    "block_uneven": (lambda: with_block(3), "does not divide by 3"),
}


def with_block(size: int) -> ModelSpec:
    return changed(blocks("DEPTH_TO_SPACE", (3, 4, 16), 2), options={"BlockSize": size})


@pytest.mark.parametrize("name", BAD)
def test_contradiction_is_bad_input_in_one_line(name: str, tmp_path: Path) -> None:
    make, message = BAD[name]
    path = tmp_path / "model.tflite"
    path.write_bytes(write_tflite(make()))
    with pytest.raises(BadInputError, match=message) as caught:
        import_tflite(path)
    assert len(caught.value.lines) == 1


def test_unconnected_rows_of_a_transposed_convolution_hold_the_bias(tmp_path: Path) -> None:
    """VALID with a longer output: no input reaches the last row and column."""
    model = transpose_conv((2, 2, 1), (2, 2), (2, 2), (5, 5, 1), padding=1, with_bias=False)
    (tmp_path / "model.tflite").write_bytes(write_tflite(model))
    graph = import_tflite(tmp_path / "model.tflite")
    x = np.full((1, 2, 2, 1), 127, np.int8)
    result = interpret(graph, (x,))[graph.outputs[0].tensor]
    assert (result[:, 4] == 5).all() and (result[:, :, 4] == 5).all()
