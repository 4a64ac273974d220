# SPDX-License-Identifier: Apache-2.0
"""QuantizeLinear and DequantizeLinear: their scales, zero points and types as the file has them."""

from __future__ import annotations

import numpy as np

from edgekit.converters.given_scales import GivenConstant, GivenScales
from edgekit.converters.nchw.graph import Activation, Parameter, RefusalError
from edgekit.converters.nchw.quantization import (
    CONSTANT_TYPES,
    UINT8_SHIFT,
    Levels,
    Quantizations,
)
from edgekit.converters.onnx.call import OnnxCall
from edgekit.errors import BadInputError
from edgekit.ir import Array


class OnnxQuantizations(Quantizations):
    """The scales that a walk over ONNX nodes has met."""

    def quantize_linear(self, call: OnnxCall, name: str) -> Levels | Parameter:
        """QuantizeLinear, whose result the file calls ``name``."""
        x = call.operand("x")
        scales, zero_points, dtype = _parameters(call, "y_scale", "y_zero_point")
        if isinstance(x, Parameter):
            low, high = (-128, 127) if dtype == "int8" else (0, 255)
            scales, zero_points = (_along(values, x.data, call) for values in (scales, zero_points))
            steps = np.rint(x.data.astype(np.float32) / scales.astype(np.float32))
            return Parameter(x.name, np.clip(steps + zero_points, low, high).astype(dtype))
        return self.quantize(x, scales, zero_points, dtype, name=name)

    def dequantize_linear(
        self, call: OnnxCall, x: Levels | Parameter, name: str
    ) -> Activation | Parameter:
        """DequantizeLinear."""
        if isinstance(x, Parameter):
            return self._constant(call, x, name)
        scales, zero_points, _ = _parameters(call, "x_scale", "x_zero_point", dtype=x.dtype)
        return self.dequantize(x, scales, zero_points)

    def _constant(self, call: OnnxCall, x: Parameter, name: str) -> Parameter:
        """A float constant; its scales per channel are those of output channels."""
        if str(x.data.dtype) not in CONSTANT_TYPES:
            raise RefusalError(f"constants of {x.data.dtype} are not supported; use int8")
        scales, zero_points, _ = _parameters(
            call, "x_scale", "x_zero_point", dtype=str(x.data.dtype)
        )
        integers = x.data.astype(np.int64) - _along(zero_points, x.data, call)
        values = integers * _along(scales, x.data, call).astype(np.float64)
        self.remember(name, integers, scales.reshape(-1))
        return Parameter(name, values.astype(np.float32))


def _parameters(
    call: OnnxCall, scale: str, zero_point: str, *, dtype: str | None = None
) -> tuple[Array, Array, str]:
    """Scales (float64), zero points (int64) and the type of the integers."""
    if call.arguments.get("block_size"):
        raise RefusalError("scales of blocks are not supported; use one per channel")
    scales = call.floating(scale).astype(np.float64)
    if not (np.isfinite(scales).all() and (scales > 0).all()) or scales.size == 0:
        raise BadInputError(f"{call.op} '{call.builder.name}': a scale is not above 0")
    points = call.value(zero_point)
    zero_points = np.zeros(scales.shape, np.int64)
    if points is None:
        kind = dtype or {3: "int8", 0: "uint8", 2: "uint8"}.get(
            int(call.arguments.get("output_dtype") or 0), "other"
        )
    else:
        kind = str(call.floating(zero_point).dtype)
    if kind not in (UINT8_SHIFT if dtype is None else CONSTANT_TYPES):
        raise RefusalError(f"{kind} is not supported; quantize to int8 or uint8")
    if points is not None:
        zero_points = call.floating(zero_point).astype(np.int64)
    if zero_points.size != scales.size:
        raise BadInputError(
            f"{call.op} '{call.builder.name}': {zero_points.size} zero points for "
            f"{scales.size} scales"
        )
    return scales, zero_points, kind


def _along(values: Array, data: Array, call: OnnxCall) -> Array:
    """Values per channel, shaped to broadcast along the axis of the call."""
    if values.size == 1:
        return values.reshape(())
    axis = call.axis(data.ndim, 1) if data.ndim > 1 else 0
    size = data.shape[axis] if data.ndim else 1
    if values.ndim != 1 or values.size != size:
        raise BadInputError(
            f"{call.op} '{call.builder.name}': {values.size} scales for an axis of {size}"
        )
    return values.reshape([-1 if i == axis else 1 for i in range(data.ndim)])


def moved(given: GivenScales, source: str, name: str, data: Array) -> None:
    """Remember the scales of a constant that only moves: turned weights are still weights."""
    if (known := given.constants.get(source)) is not None and known.integers.size == data.size:
        axes = [i for i, size in enumerate(data.shape) if size == known.scales.size]
        shape = [-1 if known.scales.size > 1 and i in axes[:1] else 1 for i in range(data.ndim)]
        integers = np.rint(data / known.scales.reshape(shape)).astype(np.int64)
        given.constants[name] = GivenConstant(known.scales, integers)
