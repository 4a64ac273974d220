# SPDX-License-Identifier: Apache-2.0
"""Gemm, MatMul, Softmax and LogSoftmax."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from edgekit.converters.nchw.arithmetic import element_wise, scaled
from edgekit.converters.nchw.graph import Activation, Parameter
from edgekit.converters.nchw.layers import (
    along_axis,
    batch_matmul,
    fully_connected,
)
from edgekit.converters.onnx.call import OnnxCall
from edgekit.converters.onnx.mapper import Mapper
from edgekit.ops._elementwise import broadcast_shape
from edgekit.ops.log_softmax import LogSoftmax
from edgekit.ops.softmax import Softmax
from edgekit.ops.transpose import Transpose

Value = Activation | Parameter


def _gemm(call: OnnxCall) -> Activation:
    """alpha * A' * B' + beta * C."""
    a, b = call.operand("A"), call.operand("B")
    alpha, beta = float(call["alpha"]), float(call["beta"])
    a, b = _turned(call, a, bool(call["transA"])), _turned(call, b, bool(call["transB"]))
    c = call.value("C") if beta else None
    if isinstance(a, Activation) and isinstance(b, Parameter):
        name = b.name if alpha == 1 else f"{b.name}/scaled"
        weight = Parameter(name, b.data.T if alpha == 1 else b.data.T * np.float32(alpha))
        bias = _bias(c, beta, weight.shape[0])
        product = fully_connected(call, a, weight, bias)
        return product if bias is not None or c is None else _plus(call, product, c, beta)
    product = batch_matmul(call, a, b)
    if alpha != 1:
        product = _activation(scaled(call, product, alpha))
    return product if c is None else _plus(call, product, c, beta)


def _turned(call: OnnxCall, value: Value, transposed: bool) -> Value:
    if not transposed:
        return value
    if isinstance(value, Parameter):
        return Parameter(value.name, value.data.T)
    turned = call.builder.node("transpose", [value.tensor], Transpose((1, 0)))
    return Activation(turned, value.shape[::-1])


def _bias(c: Any, beta: float, outputs: int) -> Parameter | None:
    """C as the bias of a layer, or None where it is not one value per output."""
    if not isinstance(c, Parameter) or c.data.size not in (1, outputs):
        return None
    if c.data.size > 1 and c.data.shape[-1] != outputs:
        return None
    data = np.broadcast_to(c.data.reshape(-1), (outputs,))
    if beta == 1:
        return Parameter(c.name, data)
    return Parameter(f"{c.name}/scaled", data * np.float32(beta))


def _plus(call: OnnxCall, product: Activation, c: Value, beta: float) -> Activation:
    if broadcast_shape([product.shape, c.shape]) != product.shape:
        raise call.fail(f"its C of shape {c.shape} does not broadcast to {product.shape}")
    return element_wise(call, "add", (product, scaled(call, c, beta)))


def _activation(value: Any) -> Activation:
    assert isinstance(value, Activation)
    return value


def _matrix_product(call: OnnxCall) -> Activation:
    a, b = call.operand("A"), call.operand("B")
    if isinstance(a, Activation) and isinstance(b, Parameter) and len(b.shape) == 2:
        return fully_connected(call, a, Parameter(b.name, b.data.T), None)
    return batch_matmul(call, a, b)


def _softmax(op: str, attributes: Any) -> Mapper:
    """Before opset 13, all axes from ``axis`` on count as one."""

    def mapped(call: OnnxCall) -> Activation:
        x = call.activation("input")
        rank = len(x.shape)
        axis = call.axis(rank, 1 if call.version < 13 else -1)
        if call.version >= 13 or math.prod(x.shape[axis:]) == x.shape[axis]:
            return along_axis(call, x, axis, op, attributes)
        flat = (math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))
        viewed = call.builder.reshape(x, flat)
        tensor = call.builder.node(op, [viewed.tensor], attributes)
        return call.builder.reshape(Activation(tensor, flat), call.shape)

    return mapped


DENSE_MAPPINGS: Mapping[str, Mapper] = {
    "Gemm": _gemm,
    "LogSoftmax": _softmax("log_softmax", LogSoftmax()),
    "MatMul": _matrix_product,
    "Softmax": _softmax("softmax", Softmax()),
}
