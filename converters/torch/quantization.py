# SPDX-License-Identifier: Apache-2.0
"""The quantize and dequantize calls of PyTorch's PT2E flow, as torchao's convert_pt2e writes them.

They are operators of the library ``quantized_decomposed``: a scale and a zero point for a tensor or
for every channel, and the range of the integers. PyTorch multiplies by float32(1 / scale).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgekit.converters.nchw.graph import Activation, GraphBuilder, RefusalError
from edgekit.converters.nchw.quantization import (
    CONSTANT_TYPES,
    UINT8_SHIFT,
    Levels,
    Quantizations,
)
from edgekit.errors import BadInputError
from edgekit.ir import Array
from edgekit.ops.requantize import Requantize

LIBRARY = "quantized_decomposed"
LIBRARIES = (LIBRARY, "torchao")
QUANTIZE = tuple(f"{LIBRARY}::quantize_per_{part}" for part in ("tensor", "channel"))
DEQUANTIZE = tuple(f"{LIBRARY}::dequantize_per_{part}" for part in ("tensor", "channel"))
LEVELS: Mapping[str, tuple[int, int]] = {"int8": (-128, 127), "uint8": (0, 255)}
PARAMETERS = ("scale", "scales", "zero_point", "zero_points")

DYNAMIC = "scales that are computed at run time are not supported; use static quantization"
OTHER = (
    "not supported; use one scale per tensor for activations, one per output channel for weights"
)


def is_quantization(label: str) -> bool:
    """Whether an operator, named with its library, is one of quantization."""
    return label.partition("::")[0] in LIBRARIES


class QuantizedCalls:
    """The quantize and dequantize calls of one walk; ``names`` are those of its constants by id."""

    def __init__(self, torch: Any, builder: GraphBuilder, names: dict[int, str]) -> None:
        self.torch, self.builder, self.names = torch, builder, names
        self.quantizations = Quantizations(builder, inverse_scales=True)

    def read(self, node: Any, label: str, arguments: Mapping[str, Any]) -> Any:
        """What a call stands for: Levels, an Activation, or a tensor where it works on a constant."""
        if "choose_qparams" in label:
            raise RefusalError(DYNAMIC)
        if label not in QUANTIZE + DEQUANTIZE:
            raise RefusalError(OTHER)
        if any(isinstance(arguments.get(name), Activation) for name in PARAMETERS):
            raise RefusalError(DYNAMIC)
        scales, zero_points = self._parameters(node, label, arguments)
        x = arguments["input"]
        if isinstance(x, self.torch.Tensor):
            return self._constant(node, label, arguments, scales, zero_points)
        if label in QUANTIZE:
            return self._quantized(node, arguments, scales, zero_points)
        if not isinstance(x, Levels):
            raise RefusalError("its input is not quantized")
        self._check_result(arguments)
        return self.quantizations.dequantize(x, scales, zero_points)

    def _parameters(
        self, node: Any, label: str, arguments: Mapping[str, Any]
    ) -> tuple[Array, Array]:
        """Scales (float64) and zero points (int64), one of each or one for every channel."""
        scales = self._array(arguments.get("scale", arguments.get("scales")), np.float64)
        if scales.size == 0 or not (np.isfinite(scales).all() and (scales > 0).all()):
            raise BadInputError(f"{label} '{node.name}': a scale is not above 0")
        points = arguments.get("zero_point", arguments.get("zero_points"))
        zero_points = np.zeros(scales.size) if points is None else self._array(points, np.float64)
        if zero_points.size != scales.size:
            raise BadInputError(
                f"{label} '{node.name}': {zero_points.size} zero points for {scales.size} scales"
            )
        if not np.isfinite(zero_points).all() or np.any(zero_points != np.rint(zero_points)):
            raise RefusalError("zero points that are no integers are not supported")
        return scales, np.clip(zero_points, -(2**31), 2**31).astype(np.int64)

    def _array(self, value: Any, dtype: Any) -> Array:
        if isinstance(value, self.torch.Tensor):
            value = value.detach().cpu().to(self.torch.float64).numpy()
        return np.asarray(value, dtype).reshape(-1)

    def _check_result(self, arguments: Mapping[str, Any]) -> None:
        dtype = arguments.get("out_dtype")
        if dtype not in (None, self.torch.float32):
            raise RefusalError(f"its result is {dtype}; only float32 is supported")

    def _quantized(
        self, node: Any, arguments: Mapping[str, Any], scales: Array, zero_points: Array
    ) -> Levels:
        x, dtype = arguments["input"], _name(arguments["dtype"])
        if dtype not in UINT8_SHIFT:
            raise RefusalError(f"{dtype} is not supported; quantize to int8 or uint8")
        if not isinstance(x, Activation):
            raise RefusalError("its input is not a float tensor")
        low, high = (int(arguments[name]) for name in ("quant_min", "quant_max"))
        least, largest = LEVELS[dtype]
        if not least <= low < high <= largest:
            raise BadInputError(
                f"quantize '{node.name}': levels from {low} to {high} are not those of {dtype}"
            )
        if (low, high) != (least, largest) and scales.size == 1:
            x = self._clamped(
                x, (low - zero_points[0]) * scales[0], (high - zero_points[0]) * scales[0]
            )
        return self.quantizations.quantize(x, scales, zero_points, dtype, name=node.name)

    def _clamped(self, x: Activation, low: float, high: float) -> Activation:
        """A narrower range of levels is a clamp in front of all of them."""
        bounds = Requantize(float(low), float(high))
        return Activation(self.builder.node("requantize", [x.tensor], bounds), x.shape)

    def _constant(
        self, node: Any, label: str, arguments: Mapping[str, Any], scales: Array, points: Array
    ) -> Any:
        """What PyTorch computes; behind dequantize, integers and scales are remembered."""
        x, name = arguments["input"], self.names.get(id(arguments["input"]), node.name)
        if label in QUANTIZE and not bool(self.torch.isfinite(x).all()):
            raise BadInputError(f"parameter '{name}': it holds NaN or Inf")
        result = node.target(**arguments)
        if label in DEQUANTIZE:
            self._check_result(arguments)
            if _name(x.dtype) not in CONSTANT_TYPES:
                raise RefusalError(f"constants of {_name(x.dtype)} are not supported; use int8")
            shape = [1] * x.ndim
            if scales.size > 1:
                shape[int(arguments["axis"])] = -1
            integers = x.detach().cpu().numpy().astype(np.int64) - points.reshape(shape)
            name = self.quantizations.remember(name, integers, scales)
        self.names[id(result)] = name
        return result


def _name(dtype: Any) -> str:
    """The name that numpy has for a type of PyTorch."""
    return str(dtype).removeprefix("torch.")
