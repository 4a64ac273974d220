# SPDX-License-Identifier: Apache-2.0
"""ONNX operators to operators of edgekit, a file for each family; and the nearest forms of others."""

from __future__ import annotations

from collections.abc import Mapping

from edgekit.converters.onnx.arithmetic import ARITHMETIC_MAPPINGS
from edgekit.converters.onnx.convolutions import CONVOLUTION_MAPPINGS
from edgekit.converters.onnx.dense import DENSE_MAPPINGS
from edgekit.converters.onnx.mapper import Mapper
from edgekit.converters.onnx.movement import MOVEMENT_MAPPINGS
from edgekit.converters.onnx.normalizations import NORMALIZATION_MAPPINGS
from edgekit.converters.onnx.reductions import REDUCTION_MAPPINGS
from edgekit.converters.onnx.resampling import RESAMPLING_MAPPINGS
from edgekit.converters.onnx.windows import POOLING_MAPPINGS

MAPPINGS: Mapping[str, Mapper] = {
    **ARITHMETIC_MAPPINGS,
    **CONVOLUTION_MAPPINGS,
    **DENSE_MAPPINGS,
    **MOVEMENT_MAPPINGS,
    **NORMALIZATION_MAPPINGS,
    **POOLING_MAPPINGS,
    **REDUCTION_MAPPINGS,
    **RESAMPLING_MAPPINGS,
}
"""Name of the standard operator -> how it is mapped."""

NEAREST_FORMS: Mapping[str, str] = {
    **dict.fromkeys(
        ("LSTM", "GRU", "RNN"),
        "convolutions over a window of the last steps, which the program keeps and feeds in whole",
    ),
    **dict.fromkeys(
        ("NonMaxSuppression", "TopK", "CumSum", "Scan", "Loop", "If", "OneHot", "Unique"),
        "it outside the model: return its input",
    ),
    "LRN": "BatchNormalization",
    "LpPool": "AveragePool",
    "MaxUnpool": "Resize",
    "ThresholdedRelu": "Relu",
    "Upsample": "Resize",
    "Where": "Mul with a constant mask",
}
"""Operators that are not mapped -> the nearest one that is."""
