# SPDX-License-Identifier: Apache-2.0
"""Dilated convolutions as TensorFlow writes them: maps in the batch, between the two operators that move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from support.tflite_cases import convolution
from support.tflite_writer import ModelSpec, OperatorSpec, TensorSpec, constant_spec


def _integers(name: str, values: Any) -> TensorSpec:
    return constant_spec(name, np.array(values, np.int32))


def batched(
    name: str,
    *,
    shape: tuple[int, int, int],
    kernel: tuple[int, int],
    outputs: int,
    block: Sequence[int],
    paddings: Sequence[Sequence[int]],
    crops: Sequence[Sequence[int]],
    rank_3: bool = False,
) -> ModelSpec:
    """A dilated convolution as TensorFlow writes it, over a batch of ``prod(block)`` maps."""
    rows, columns, channels = shape
    padded = [
        size + sum(pair)
        for size, pair in zip((rows, columns)[-len(block) :], paddings, strict=True)
    ]
    inner = [size // count for size, count in zip(padded, block, strict=True)]
    height, width = [1] * (2 - len(inner)) + inner
    plain = convolution(
        name, input_shape=(height, width, channels), kernel=kernel, outputs=outputs, padding=1
    )
    _, weights, bias, result = plain.tensors
    count = int(np.prod(block))
    sizes = result.shape[1:3]
    spread = [size * times for size, times in zip(sizes[-len(block) :], block, strict=True)]
    final = [size - sum(pair) for size, pair in zip(spread, crops, strict=True)]
    quantized = {"scale": result.scale, "zero_point": result.zero_point}
    x = (1, columns, channels) if rank_3 else (1, *shape)
    tensors = [
        TensorSpec("x", x, 0.04, -3),
        _integers("block", block),
        _integers("paddings", paddings),
        _integers("crops", crops),
        TensorSpec("parts", (count, *inner, channels), 0.04, -3),
        weights,
        bias,
        TensorSpec("convolved", (count, *sizes, outputs), **quantized),
        TensorSpec("y", (1, *final, outputs), **quantized),
    ]
    source, result_of = "parts", "convolved"
    operators = [OperatorSpec("SPACE_TO_BATCH_ND", ["x", "block", "paddings"], ["parts"])]
    if rank_3:
        source, result_of = "map", "line"
        tensors += [
            _integers("axis", 1),
            TensorSpec("map", (count, 1, *inner, channels), 0.04, -3),
            _integers("line shape", [count, sizes[1], outputs]),
            TensorSpec("line", (count, sizes[1], outputs), **quantized),
        ]
        operators.append(OperatorSpec("EXPAND_DIMS", ["parts", "axis"], ["map"]))
    operators.append(
        OperatorSpec(name, [source, "weights", "bias"], ["convolved"], plain.operators[0].options)
    )
    if rank_3:
        operators.append(OperatorSpec("RESHAPE", ["convolved", "line shape"], ["line"]))
    operators.append(OperatorSpec("BATCH_TO_SPACE_ND", [result_of, "block", "crops"], ["y"]))
    return ModelSpec(tensors, operators, ["x"], ["y"])


BATCHED: Mapping[str, Mapping[str, Any]] = {
    "same_2d": {
        "name": "CONV_2D",
        "shape": (8, 10, 3),
        "kernel": (3, 3),
        "block": (2, 2),
        "paddings": ((2, 2), (2, 2)),
        "crops": ((0, 0), (0, 0)),
    },
    "cropped_2d": {
        "name": "CONV_2D",
        "shape": (7, 9, 3),
        "kernel": (3, 2),
        "block": (3, 2),
        "paddings": ((3, 5), (2, 3)),
        "crops": ((1, 2), (0, 1)),
    },
    "depthwise": {
        "name": "DEPTHWISE_CONV_2D",
        "shape": (9, 9, 4),
        "kernel": (3, 3),
        "block": (3, 3),
        "paddings": ((3, 3), (3, 3)),
        "crops": ((0, 0), (0, 0)),
    },
    "causal_1d": {
        "name": "CONV_2D",
        "shape": (1, 16, 5),
        "kernel": (1, 3),
        "block": (2,),
        "paddings": ((4, 0),),
        "crops": ((0, 0),),
        "rank_3": True,
    },
    "cropped_1d": {
        "name": "CONV_2D",
        "shape": (1, 13, 5),
        "kernel": (1, 3),
        "block": (4,),
        "paddings": ((8, 3),),
        "crops": ((0, 3),),
        "rank_3": True,
    },
}
"""Their arguments by name; the number of outputs is the caller's."""
