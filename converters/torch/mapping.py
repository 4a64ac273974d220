# SPDX-License-Identifier: Apache-2.0
"""ATen operators to operators of edgekit: one small function for each family, and the table.

Arguments are looked up by the names of ATen's schemas. A function returns the value of the call, or
raises RefusalError with the fact and the remedy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from edgekit.converters.torch.builder import (
    TO_STORAGE,
    Activation,
    Parameter,
    RefusalError,
    TorchCall,
)
from edgekit.converters.torch.windows import (
    average_pool,
    global_or_tiled_average_pool,
    max_pool,
    pair,
)
from edgekit.ops.add import Add
from edgekit.ops.conv2d import Conv2d
from edgekit.ops.depthwise_conv2d import DepthwiseConv2d
from edgekit.ops.fully_connected import FullyConnected
from edgekit.ops.mean import Mean
from edgekit.ops.mul import Mul
from edgekit.ops.pad import Pad
from edgekit.ops.requantize import Requantize
from edgekit.ops.softmax import Softmax
from edgekit.ops.transpose import Transpose
from edgekit.window import Axis, Window

Mapper = Callable[[TorchCall], Activation]
Operand = Activation | Parameter | float


def _convolution(call: TorchCall) -> Activation:
    if call.arguments.get("transposed"):
        raise RefusalError("transposed convolution is not supported; use upsampling and conv2d")
    x, weight = call.activation("input", rank=4), call.parameter("weight")
    channels, groups = x.shape[1], int(call["groups"])
    outputs = weight.shape[0]
    if groups < 1 or channels != weight.shape[1] * groups or outputs % groups:
        raise RefusalError(
            f"groups={groups} does not fit {channels} input and {outputs} output channels; "
            f"use 1 or {channels} (depthwise)"
        )
    window = _convolution_window(call, weight.shape[2:])
    bias = _bias(call, call.optional_parameter("bias"))
    if groups == channels and channels > 1:  # output channel = input channel * multiplier + m
        data = weight.data[:, 0].transpose(1, 2, 0)[None]
        inputs = [x.tensor, call.builder.constant(weight.name, data), *bias]
        return call.node("depthwise_conv2d", inputs, DepthwiseConv2d(window))
    data = weight.data.transpose(0, 2, 3, 1)
    inputs = [x.tensor, call.builder.constant(weight.name, data), *bias]
    return call.node("conv2d", inputs, Conv2d(window))


def _convolution_window(call: TorchCall, kernel: tuple[int, ...]) -> Window:
    stride, dilation, padding = pair(call["stride"]), pair(call["dilation"]), call["padding"]
    if padding == "same":  # torch puts the odd element behind; it requires stride 1
        totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        pads = [(total // 2, total - total // 2) for total in totals]
    elif padding == "valid":
        pads = [(0, 0), (0, 0)]
    else:
        pads = [(p, p) for p in pair(padding)]
    height, width = (
        Axis(k, s, d, *pad) for k, s, d, pad in zip(kernel, stride, dilation, pads, strict=True)
    )
    return Window(height, width)


def _bias(call: TorchCall, bias: Parameter | None) -> list[str]:
    return [] if bias is None else [call.builder.constant(bias.name, bias.data)]


def _linear(call: TorchCall) -> Activation:
    x, weight = call.activation("input"), call.parameter("weight")
    return _fully_connected(call, x, weight, call.optional_parameter("bias"))


def _matrix_product(call: TorchCall) -> Activation:
    x = call.activation("mat1", "self")
    matrix = call.parameter("mat2" if "mat2" in call.arguments else "other")
    if len(matrix.shape) != 2:
        raise RefusalError(f"the constant has shape {matrix.shape}; only a matrix is supported")
    return _fully_connected(call, x, Parameter(matrix.name, matrix.data.T), None)


def _addmm(call: TorchCall) -> Activation:
    if (call["beta"], call["alpha"]) != (1, 1):
        raise RefusalError("beta and alpha must be 1; multiply the parameters beforehand")
    bias, matrix = call.parameter("self"), call.parameter("mat2")
    if bias.data.size != matrix.shape[1]:
        raise RefusalError(f"the bias has shape {bias.shape}; it must be ({matrix.shape[1]},)")
    flat = Parameter(bias.name, bias.data.reshape(-1))
    transposed = Parameter(matrix.name, matrix.data.T)
    return _fully_connected(call, call.activation("mat1"), transposed, flat)


def _fully_connected(
    call: TorchCall, x: Activation, weight: Parameter, bias: Parameter | None
) -> Activation:
    if len(x.shape) < 2 or len(weight.shape) != 2:
        raise RefusalError(f"the input has shape {x.shape}; it must start with a batch of 1")
    inputs = [call.builder.in_source_order(x), call.builder.constant(weight.name, weight.data)]
    attributes = FullyConnected(keep_dims=len(x.shape) != 2)
    tensor = call.builder.node("fully_connected", inputs + _bias(call, bias), attributes)
    return call.builder.from_source_order(tensor)


def _batch_norm(call: TorchCall) -> Activation:
    """y = x * scale + shift per channel; legalize folds both into the layer in front."""
    if call.arguments.get("training"):
        raise RefusalError("it is in training mode; call module.eval() before torch.export")
    x = call.activation("input")
    if len(x.shape) not in (2, 4):
        raise RefusalError(f"the input has shape {x.shape}; only rank 2 and 4 are supported")
    mean, variance = (
        call.parameter(name).data.astype(np.float64) for name in ("running_mean", "running_var")
    )
    weight, bias = call.optional_parameter("weight"), call.optional_parameter("bias")
    scale = (1.0 if weight is None else weight.data) / np.sqrt(variance + call["eps"])
    shift = (0.0 if bias is None else bias.data) - mean * scale
    shape = (1,) * (len(x.shape) - 1) + (-1,)  # the channels are the last axis in storage
    name = call.builder.name
    scales = call.builder.constant(f"{name}/scale", scale.reshape(shape).astype(np.float32))
    shifts = call.builder.constant(f"{name}/shift", shift.reshape(shape).astype(np.float32))
    scaled = call.builder.node("mul", [x.tensor, scales], Mul())
    return Activation(call.builder.node("add", [scaled, shifts], Add()), x.shape)


def _operands(call: TorchCall) -> tuple[Operand, Operand]:
    return call["self"], call["other"]


def _element_wise(call: TorchCall, op: str, operands: tuple[Operand, Operand]) -> Activation:
    attributes = {"add": Add(), "mul": Mul()}[op]
    rank = len(call.shape)
    return call.node(op, [_operand(call, value, rank) for value in operands], attributes)


def _operand(call: TorchCall, value: Operand, rank: int) -> str:
    """The tensor of an operand, with leading dimensions of 1 up to ``rank``."""
    if isinstance(value, Activation):
        return call.builder.reshape(value, (1,) * (rank - len(value.shape)) + value.shape).tensor
    if isinstance(value, Parameter):
        data, name = value.data, value.name
    else:
        data, name = np.array(value, np.float32), f"{call.builder.name}/constant"
    data = data.reshape((1,) * (rank - data.ndim) + data.shape)
    return call.builder.constant(name, data.transpose(TO_STORAGE) if rank == 4 else data)


def _scaled(call: TorchCall, value: Operand, factor: float) -> Operand:
    if factor == 1:
        return value
    if isinstance(value, Activation):
        inputs = [value.tensor, _operand(call, factor, len(value.shape))]
        return Activation(call.builder.node("mul", inputs, Mul()), value.shape)
    if isinstance(value, Parameter):
        return Parameter(f"{value.name}/scaled", value.data * np.float32(factor))
    return value * factor


def _add(call: TorchCall) -> Activation:
    left, right = _operands(call)
    return _element_wise(call, "add", (left, _scaled(call, right, call.arguments.get("alpha", 1))))


def _subtract(call: TorchCall) -> Activation:
    left, right = _operands(call)
    return _element_wise(call, "add", (left, _scaled(call, right, -call.arguments.get("alpha", 1))))


def _reverse_subtract(call: TorchCall) -> Activation:
    left, right = _operands(call)
    return _element_wise(call, "add", (right, _scaled(call, left, -call.arguments.get("alpha", 1))))


def _multiply(call: TorchCall) -> Activation:
    return _element_wise(call, "mul", _operands(call))


def _negate(call: TorchCall) -> Activation:
    return _element_wise(call, "mul", (call.activation("self"), -1.0))


def _divide(call: TorchCall) -> Activation:
    left, right = _operands(call)
    if isinstance(right, Activation) or call.arguments.get("rounding_mode") is not None:
        raise RefusalError("only division by constants is supported; multiply by the reciprocal")
    values = right.data if isinstance(right, Parameter) else np.float32(right)
    if not np.all(values):
        raise RefusalError("the divisor holds a zero")
    name = right.name if isinstance(right, Parameter) else call.builder.name
    reciprocal = np.asarray(1.0 / np.asarray(values, np.float64), np.float32)
    return _element_wise(call, "mul", (left, Parameter(f"{name}/reciprocal", reciprocal)))


def _clamp(minimum: float | None, maximum: float | None) -> Mapper:
    def mapped(call: TorchCall) -> Activation:
        return call.node(
            "requantize", [call.activation("self").tensor], Requantize(minimum, maximum)
        )

    return mapped


def _clamp_arguments(call: TorchCall) -> Activation:
    names = (("min", "min_val"), ("max", "max_val"))
    bounds = [next((call[n] for n in either if n in call.arguments), None) for either in names]
    if any(isinstance(bound, Activation | Parameter) for bound in bounds):
        raise RefusalError("only clamps to numbers are supported")
    low, high = (None if bound is None else float(bound) for bound in bounds)
    if low is not None and high is not None and low > high:
        low = high  # torch.clamp gives max everywhere
    return _clamp(low, high)(call)


def _mean(call: TorchCall) -> Activation:
    x = call.activation("self")
    rank = len(x.shape)
    axes = tuple(sorted(axis % rank for axis in (call.arguments.get("dim") or range(rank))))
    if rank == 4 and axes in ((2, 3), (2,), (3,)):
        keep = bool(call.arguments.get("keepdim")) or axes != (2, 3)
        kept = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
        storage_axes = tuple(axis - 1 for axis in axes)
        tensor = call.builder.node("mean", [x.tensor], Mean(storage_axes, keep))
        return call.builder.reshape(Activation(tensor, kept if keep else x.shape[:2]), call.shape)
    if rank == 3 and axes in ((1,), (2,)):
        tensor = x.tensor
        if axes == (2,):
            tensor = call.builder.node("transpose", [tensor], Transpose((0, 2, 1)))
        tensor = call.builder.node("mean", [tensor], Mean((1,), keep_dims=False))
        return call.builder.reshape(
            Activation(tensor, (x.shape[0], x.shape[3 - axes[0]])), call.shape
        )
    raise RefusalError(
        f"dim={axes} of shape {x.shape} is not supported; use dim=(2, 3) of a 4-D map"
    )


def _pad(call: TorchCall) -> Activation:
    if call.arguments.get("mode", "constant") != "constant":
        raise RefusalError(f"mode '{call['mode']}' is not supported; pad with zeros")
    if call.arguments.get("value") not in (None, 0, 0.0):
        raise RefusalError(f"padding with {call['value']} is not supported; pad with zeros")
    x, amounts = call.activation("self"), [int(amount) for amount in call["pad"]]
    if not any(amounts):
        return x
    if len(x.shape) != 4 or min(amounts) < 0 or any(amounts[6:]):
        raise RefusalError(
            f"pad={amounts} of shape {x.shape} is not supported; pad H, W or C of 4-D"
        )
    amounts += [0] * (8 - len(amounts))
    before = tuple(amounts[6::-2])  # the list starts at the last axis
    after = tuple(amounts[7::-2])
    attributes = Pad(*(tuple(sizes[axis] for axis in TO_STORAGE) for sizes in (before, after)))
    return call.node("pad", [x.tensor], attributes)


def _softmax(call: TorchCall) -> Activation:
    x = call.activation("self")
    rank, dim = len(x.shape), call["dim"] % len(x.shape)
    axis = TO_STORAGE.index(dim) if rank == 4 else dim
    if axis == rank - 1:
        return call.node("softmax", [x.tensor], Softmax())
    order = list(range(rank))
    order[axis], order[-1] = order[-1], order[axis]
    swap = Transpose(tuple(order))  # its own inverse
    swapped = call.builder.node("transpose", [x.tensor], swap)
    return call.node("transpose", [call.builder.node("softmax", [swapped], Softmax())], swap)


def _view(call: TorchCall) -> Activation:
    return call.builder.reshape(call.activation("self"), call.shape)


def _expand(call: TorchCall) -> Activation:
    x = call.activation("self")
    if tuple(call.shape[len(call.shape) - len(x.shape) :]) != x.shape or 0 in call.shape:
        raise RefusalError(
            "broadcasting copies are not supported; add and mul broadcast themselves"
        )
    return call.builder.reshape(x, call.shape)


def _permute(call: TorchCall) -> Activation:
    return _permuted(call, tuple(axis % len(call.shape) for axis in call["dims"]))


def _transpose(call: TorchCall) -> Activation:
    order = list(range(len(call.shape)))
    first, second = call.arguments.get("dim0", 0), call.arguments.get("dim1", -1)
    order[first], order[second] = order[second], order[first]
    return _permuted(call, tuple(order))


def _permuted(call: TorchCall, order: tuple[int, ...]) -> Activation:
    x = call.activation("self")
    if len(order) > 4:
        raise RefusalError(f"rank {len(order)} is not supported; up to 4")
    if len(order) == 4:  # storage axis i of the result holds source axis order[TO_STORAGE[i]] of x
        order = tuple(TO_STORAGE.index(order[axis]) for axis in TO_STORAGE)
    return call.node("transpose", [x.tensor], Transpose(order))


def _identity(call: TorchCall) -> Activation:
    return call.activation("self", "input")


def _dropout(call: TorchCall) -> Activation:
    if call.arguments.get("train"):
        raise RefusalError("it is in training mode; call module.eval() before torch.export")
    return call.activation("input")


def _cast(call: TorchCall) -> Activation:
    if call.arguments.get("dtype") not in (None, "torch.float32"):
        raise RefusalError(f"a cast to {call['dtype']} is not supported; keep float32")
    return call.activation("self")


MAPPERS: Mapping[str, Mapper] = {
    **dict.fromkeys(("conv2d", "convolution"), _convolution),
    "linear": _linear,
    **dict.fromkeys(("mm", "matmul"), _matrix_product),
    "addmm": _addmm,
    **dict.fromkeys(("batch_norm", "_native_batch_norm_legit_no_training"), _batch_norm),
    "add": _add,
    "sub": _subtract,
    "rsub": _reverse_subtract,
    "mul": _multiply,
    "div": _divide,
    "neg": _negate,
    "relu": _clamp(0.0, None),
    "relu6": _clamp(0.0, 6.0),
    **dict.fromkeys(("hardtanh", "clamp", "clamp_min", "clamp_max"), _clamp_arguments),
    "avg_pool2d": average_pool,
    **dict.fromkeys(("max_pool2d", "max_pool2d_with_indices"), max_pool),
    **dict.fromkeys(("adaptive_avg_pool2d", "_adaptive_avg_pool2d"), global_or_tiled_average_pool),
    "mean": _mean,
    **dict.fromkeys(("pad", "constant_pad_nd"), _pad),
    **dict.fromkeys(("softmax", "_softmax"), _softmax),
    **dict.fromkeys(
        ("view", "_unsafe_view", "reshape", "flatten", "squeeze", "unsqueeze", "unflatten"), _view
    ),
    "expand": _expand,
    "permute": _permute,
    **dict.fromkeys(("transpose", "t"), _transpose),
    **dict.fromkeys(("clone", "contiguous", "alias", "detach", "lift_fresh_copy"), _identity),
    "dropout": _dropout,
    **dict.fromkeys(("to", "_to_copy"), _cast),
}
"""Name of the ATen operator (without overload) -> how it is mapped."""

NEAREST: Mapping[str, str] = {
    "hardswish": "relu6",
    "hardsigmoid": "relu6",
    "silu": "relu6",
    "gelu": "relu",
    "elu": "relu",
    "prelu": "relu",
    "leaky_relu": "relu",
    "log_softmax": "softmax (the order of the classes is the same)",
    "conv1d": "conv2d over (1, C, 1, L)",
    "max_pool1d": "max_pool2d over (1, C, 1, L)",
    "adaptive_max_pool2d": "max_pool2d",
    "native_layer_norm": "batch_norm",
    "layer_norm": "batch_norm",
    "native_group_norm": "batch_norm",
    "group_norm": "batch_norm",
    "instance_norm": "batch_norm",
    "_native_batch_norm_legit_functional": "eval mode: call module.eval() before torch.export",
    "native_dropout": "eval mode: call module.eval() before torch.export",
    "bmm": "linear (a product with a constant matrix)",
}
"""Operators that are not mapped -> the nearest one that is."""
