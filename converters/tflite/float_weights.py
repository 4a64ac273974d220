# SPDX-License-Identifier: Apache-2.0
"""Weights that a float model stores as int8 or float16 (dynamic-range quantization), as float32.

TFLite's own kernels for such weights round the activations of every call; here they are what the
file says, and edgekit's quantization sees the values that they stand for.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from edgekit.converters.tflite.records import ModelRecord, TensorRecord
from edgekit.errors import BadInputError

NARROW_TYPES = ("FLOAT16", "INT8", "UINT8")


def with_float_weights(model: ModelRecord) -> ModelRecord:
    """The same float model with constants of float32.

    Raises:
        BadInputError: the scales of a constant do not fit it.
    """
    tensors = tuple(
        _as_float(tensor) if tensor.data is not None and tensor.type in NARROW_TYPES else tensor
        for tensor in model.tensors
    )
    return dataclasses.replace(model, tensors=tensors)


def _as_float(tensor: TensorRecord) -> TensorRecord:
    assert tensor.data is not None
    values = tensor.data.astype(np.float64)
    if tensor.type != "FLOAT16":
        count, axis = len(tensor.scales), tensor.channel_axis
        channels = tensor.shape[axis] if 0 <= axis < len(tensor.shape) else 0
        if count not in (1, channels) or len(tensor.zero_points) != count:
            raise BadInputError(f"{tensor}: it has {count} scales; it must have 1 or {channels}")
        shape = [-1 if count > 1 and i == axis else 1 for i in range(values.ndim)]
        scales = np.array(tensor.scales, np.float64).reshape(shape)
        values = (values - np.array(tensor.zero_points).reshape(shape)) * scales
    with np.errstate(over="ignore"):
        data = values.astype(np.float32)
    return dataclasses.replace(tensor, type="FLOAT32", data=data, scales=(), zero_points=())
