# SPDX-License-Identifier: Apache-2.0
"""Dense layers, matrix products, attention, batch norms and softmax in the source's order of axes."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from edgekit.converters.nchw.convolutions import bias_inputs
from edgekit.converters.nchw.graph import (
    TO_STORAGE,
    Activation,
    Parameter,
    RefusalError,
    SourceCall,
)
from edgekit.converters.nchw.parts import permuted
from edgekit.ir import Array
from edgekit.ops.add import Add
from edgekit.ops.batch_matmul import BatchMatmul
from edgekit.ops.fully_connected import FullyConnected
from edgekit.ops.mul import Mul
from edgekit.ops.softmax import Softmax
from edgekit.ops.transpose import Transpose


def fully_connected(
    call: SourceCall, x: Activation, weight: Parameter, bias: Parameter | None
) -> Activation:
    """Rows of ``x`` times weights (outputs, inputs)."""
    if len(x.shape) < 2 or len(weight.shape) != 2:
        raise RefusalError(f"the input has shape {x.shape}; it must start with a batch of 1")
    inputs = [call.builder.in_source_order(x), call.builder.constant(weight.name, weight.data)]
    attributes = FullyConnected(keep_dims=len(x.shape) != 2)
    tensor = call.builder.node("fully_connected", inputs + bias_inputs(call, bias), attributes)
    return call.builder.from_source_order(tensor)


def batch_matmul(
    call: SourceCall, left: Activation | Parameter, right: Activation | Parameter
) -> Activation:
    """The product of two activations, or of one and constants of any rank."""
    names = []
    for value in (left, right):
        if not 2 <= len(value.shape) <= 4:
            raise RefusalError(f"an operand has shape {value.shape}; use matrices of rank 2 to 4")
        if isinstance(value, Activation):
            names.append(call.builder.in_source_order(value))
        else:
            names.append(call.builder.constant(value.name, value.data))
    return call.builder.from_source_order(call.builder.node("batch_matmul", names, BatchMatmul()))


def attention(
    call: SourceCall, query: Activation, key: Activation, value: Activation, *, scale: float
) -> Activation:
    """softmax(scale * query @ key') @ value over the last two axes."""
    rank = len(key.shape)
    order = (*range(rank - 2), rank - 1, rank - 2)
    turned = dataclasses.replace(call, shape=tuple(key.shape[axis] for axis in order))
    scores = batch_matmul(call, query, permuted(turned, key, order))
    scored = dataclasses.replace(call, shape=scores.shape)
    weights = along_axis(scored, scores, rank - 1, "softmax", Softmax(scale))
    return batch_matmul(call, weights, value)


def scale_and_shift(call: SourceCall, x: Activation, scale: Array, shift: Array) -> Activation:
    """x * scale + shift per channel; legalize folds both into the layer in front.

    ``x`` is a map or (1, C).
    """
    shape = (1,) * (len(x.shape) - 1) + (-1,)  # the channels are the last axis in storage
    name = call.builder.name
    scales = call.builder.constant(f"{name}/scale", scale.reshape(shape).astype(np.float32))
    shifts = call.builder.constant(f"{name}/shift", shift.reshape(shape).astype(np.float32))
    scaled = call.builder.node("mul", [x.tensor, scales], Mul())
    shifted = Activation(call.builder.node("add", [scaled, shifts], Add()), x.shape)
    return call.builder.reshape(shifted, call.shape)


def along_axis(call: SourceCall, x: Activation, dim: int, op: str, attributes: Any) -> Activation:
    """An operator over the last stored axis; another one is swapped with it."""
    rank = len(x.shape)
    axis = TO_STORAGE.index(dim) if rank == 4 else dim
    if axis == rank - 1:
        return call.node(op, [x.tensor], attributes)
    order = list(range(rank))
    order[axis], order[-1] = order[-1], order[axis]
    swap = Transpose(tuple(order))  # its own inverse
    swapped = call.builder.node("transpose", [x.tensor], swap)
    return call.node("transpose", [call.builder.node(op, [swapped], attributes)], swap)
