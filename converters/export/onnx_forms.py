# SPDX-License-Identifier: Apache-2.0
"""What each integer operator becomes between QuantizeLinear and DequantizeLinear, in one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from edgekit.converters.export.onnx_builder import OnnxBuilder, no_form
from edgekit.converters.export.scales import quantization_of, weight_scales_of
from edgekit.converters.tflite import multipliers
from edgekit.ir import Array, Call, Tensor
from edgekit.ops._weighted import BIAS, INPUT, WEIGHTS
from edgekit.window import Axis, Window

Form = Callable[[OnnxBuilder, Call], None]
NCHW_OF_AXIS = (0, 2, 3, 1)
"""Where an axis of NHWC lies in NCHW."""
LEAST_SCALE = 2.0**-126
PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}


def _conv2d(builder: OnnxBuilder, call: Call) -> None:
    window: Window = call.node.attributes.window
    weights = call.constant(WEIGHTS).transpose(0, 3, 1, 2)
    groups = call.inputs[INPUT].shape[3] // weights.shape[1]
    _convolution(builder, call, "Conv", weights, 0, group=groups, **_geometry(window))


def _depthwise_conv2d(builder: OnnxBuilder, call: Call) -> None:
    window: Window = call.node.attributes.window
    weights = call.constant(WEIGHTS).transpose(3, 0, 1, 2)
    groups = call.inputs[INPUT].shape[3]
    _convolution(builder, call, "Conv", weights, 0, group=groups, **_geometry(window))


def _transposed_conv2d(builder: OnnxBuilder, call: Call) -> None:
    window: Window = call.node.attributes.window
    axes = (window.height, window.width)
    weights = call.constant(WEIGHTS)
    groups = call.inputs[INPUT].shape[3] // weights.shape[3]
    if groups != 1:
        raise no_form(call, "a transposed convolution with groups has its scales along two axes")
    before = [axis.extent - 1 - axis.pad_before for axis in axes]
    after = [axis.extent - 1 - axis.pad_after for axis in axes]
    if min(before) < 0:
        raise no_form(call, "it pads in front of its output")
    _convolution(
        builder,
        call,
        "ConvTranspose",
        weights.transpose(3, 0, 1, 2),
        1,
        strides=[axis.upsampling for axis in axes],
        dilations=[axis.dilation for axis in axes],
        pads=[*before, *(max(size, 0) for size in after)],
        output_padding=[max(-size, 0) for size in after],
    )


def _geometry(window: Window) -> dict[str, list[int]]:
    axes = (window.height, window.width)
    return {
        "kernel_shape": [axis.kernel for axis in axes],
        "strides": [axis.stride for axis in axes],
        "dilations": [axis.dilation for axis in axes],
        "pads": _pads(axes),
    }


def _pads(axes: Sequence[Axis]) -> list[int]:
    return [axis.pad_before for axis in axes] + [axis.pad_after for axis in axes]


def _convolution(
    builder: OnnxBuilder,
    call: Call,
    op: str,
    weights: Array,
    axis: int,
    **attributes: int | list[int],
) -> None:
    inputs = [builder.real(call.inputs[INPUT]), *_parameters(builder, call, weights, axis)]
    value = builder.node(op, inputs, f"{call.node.name}/sums", **attributes)
    builder.result(call, value)


def _parameters(builder: OnnxBuilder, call: Call, weights: Array, axis: int) -> list[str]:
    """The names of the weights and, if there is one, of the bias."""
    scales = weight_scales_of(call, multipliers.convolution_factor)
    if isinstance(scales, tuple):
        raise no_form(call, f"no float32 scale has the multiplier {scales[0]} * 2^{scales[1] - 31}")
    scales = np.maximum(scales, np.float32(LEAST_SCALE))
    names = [builder.weights(f"{call.node.name}/weights", weights, scales, axis)]
    if len(call.inputs) > BIAS:
        products = np.float32(quantization_of(call.inputs[INPUT]).scale) * scales
        products = np.maximum(products, np.float32(LEAST_SCALE))
        names.append(builder.weights(f"{call.node.name}/bias", call.constant(BIAS), products, 0))
    return names


def _fully_connected(builder: OnnxBuilder, call: Call) -> None:
    weights = call.constant(WEIGHTS)
    rows = (call.inputs[INPUT].elements // weights.shape[1], weights.shape[1])
    value = builder.real_nhwc(call.inputs[INPUT])
    if call.inputs[INPUT].shape != rows:
        value = builder.reshaped(value, rows, f"{call.node.name}/rows")
    inputs = [value, *_parameters(builder, call, weights, 0)]
    value = builder.node("Gemm", inputs, f"{call.node.name}/sums", transB=1)
    if call.output.shape != (rows[0], weights.shape[0]):
        value = builder.reshaped(value, call.output.shape, f"{call.node.name}/shaped")
    builder.result(call, value, nhwc=True)


def _binary(op: str) -> Form:
    def form(builder: OnnxBuilder, call: Call) -> None:
        rank = len(call.output.shape)
        inputs = [_of_rank(builder, call, tensor, rank) for tensor in call.inputs]
        builder.result(call, builder.node(op, inputs, f"{call.node.name}/values"))

    return form


def _of_rank(builder: OnnxBuilder, call: Call, tensor: Tensor, rank: int) -> str:
    """An operand that broadcasts in NCHW as it does in NHWC."""
    missing = rank - len(tensor.shape)
    if rank < 4 or not missing:
        return builder.real(tensor)
    height, width, channels = ((1,) * missing + tensor.shape)[1:]
    value = builder.real(tensor)
    name = f"{call.node.name}/{tensor.name}"
    if height == width == 1:
        return builder.reshaped(value, (1, channels, 1, 1), name)
    shaped = builder.reshaped(value, (1, height, width, channels), f"{name}/nhwc")
    return builder.transposed(shaped, (0, 3, 1, 2), name)


def _max_pool2d(builder: OnnxBuilder, call: Call) -> None:
    _unary(builder, call, "MaxPool", **_geometry(call.node.attributes.window))


def _average_pool2d(builder: OnnxBuilder, call: Call) -> None:
    attributes = call.node.attributes
    geometry = _geometry(attributes.window)
    if geometry.pop("dilations") != [1, 1]:
        raise no_form(call, "AveragePool has no dilation before opset 19")
    counted = int(attributes.count_padding)
    _unary(builder, call, "AveragePool", count_include_pad=counted, **geometry)


def _unary(
    builder: OnnxBuilder, call: Call, op: str, **attributes: int | float | str | list[int]
) -> None:
    value = builder.real(call.inputs[0])
    builder.result(call, builder.node(op, [value], f"{call.node.name}/values", **attributes))


def _reduction(op: str, *, axes_as_input: bool) -> Form:
    """Where axes vanish, the rest must be in the order of NHWC."""

    def form(builder: OnnxBuilder, call: Call) -> None:
        attributes = call.node.attributes
        keep, axes = bool(attributes.keep_dims), list(attributes.axes)
        is_map = len(call.inputs[0].shape) == 4
        in_order = not is_map or keep or axes == [1, 2]
        value = builder.real(call.inputs[0]) if in_order else builder.real_nhwc(call.inputs[0])
        if is_map and in_order:
            axes = [NCHW_OF_AXIS[axis] for axis in axes]
        name = f"{call.node.name}/values"
        if axes_as_input:
            constant = builder.constant(f"{name}/axes", np.array(axes, np.int64))
            value = builder.node(op, [value, constant], name, keepdims=int(keep))
        else:
            value = builder.node(op, [value], name, keepdims=int(keep), axes=axes)
        builder.result(call, value, nhwc=not in_order)

    return form


def _pad(builder: OnnxBuilder, call: Call) -> None:
    attributes = call.node.attributes
    if attributes.mode not in PAD_MODES:
        raise no_form(call, f"Pad has no mode {attributes.mode} in this opset")
    sides = [list(attributes.before), list(attributes.after)]
    if len(call.output.shape) == 4:
        sides = [[side[axis] for axis in (0, 3, 1, 2)] for side in sides]
    pads = builder.constant(f"{call.node.name}/pads", np.array(sides, np.int64).reshape(-1))
    inputs = [builder.real(call.inputs[0]), pads]
    if attributes.mode == "constant":
        quantization = quantization_of(call.output)
        steps = call.node.arithmetic.value - quantization.zero_point
        value = np.float32(steps * quantization.scale)
        inputs.append(builder.constant(f"{call.node.name}/value", value))
    mode = PAD_MODES[attributes.mode]
    builder.result(call, builder.node("Pad", inputs, f"{call.node.name}/values", mode=mode))


def _reshape(builder: OnnxBuilder, call: Call) -> None:
    value = builder.real_nhwc(call.inputs[0])
    value = builder.reshaped(value, call.output.shape, f"{call.node.name}/values")
    builder.result(call, value, nhwc=True)


def _transpose(builder: OnnxBuilder, call: Call) -> None:
    value = builder.real_nhwc(call.inputs[0])
    order = call.node.attributes.permutation
    builder.result(call, builder.transposed(value, order, f"{call.node.name}/values"), nhwc=True)


def _axis(call: Call, axis: int) -> int:
    return NCHW_OF_AXIS[axis] if len(call.inputs[0].shape) == 4 else axis


def _concat(builder: OnnxBuilder, call: Call) -> None:
    inputs = [builder.real(tensor) for tensor in call.inputs]
    axis = _axis(call, call.node.attributes.axis)
    builder.result(call, builder.node("Concat", inputs, f"{call.node.name}/values", axis=axis))


def _softmax(op: str) -> Form:
    def form(builder: OnnxBuilder, call: Call) -> None:
        value = builder.real(call.inputs[0])
        beta = getattr(call.node.attributes, "beta", 1.0)
        if beta != 1.0:
            factor = builder.constant(f"{call.node.name}/beta", np.float32(beta))
            value = builder.node("Mul", [value, factor], f"{call.node.name}/scaled")
        axis = _axis(call, len(call.inputs[0].shape) - 1)
        builder.result(call, builder.node(op, [value], f"{call.node.name}/values", axis=axis))

    return form


def _requantize(builder: OnnxBuilder, call: Call) -> None:
    builder.result(call, builder.real(call.inputs[0]))


def _slice(builder: OnnxBuilder, call: Call) -> None:
    attributes = call.node.attributes
    lowest = -(2**31)
    ends = [
        begin + size * stride if begin + size * stride >= 0 else lowest
        for begin, size, stride in zip(
            attributes.begin, attributes.size, attributes.strides, strict=True
        )
    ]
    axes = [_axis(call, axis) for axis in range(len(ends))]
    vectors = [attributes.begin, ends, axes, attributes.strides]
    labels = ("starts", "ends", "axes", "steps")
    names = [
        builder.constant(f"{call.node.name}/{label}", np.array(vector, np.int64))
        for label, vector in zip(labels, vectors, strict=True)
    ]
    inputs = [builder.real(call.inputs[0]), *names]
    builder.result(call, builder.node("Slice", inputs, f"{call.node.name}/values"))


def _resize_nearest(builder: OnnxBuilder, call: Call) -> None:
    attributes = call.node.attributes
    _, height, width, channels = call.output.shape
    sizes = zip(call.inputs[0].shape[1:3], (height, width), strict=True)
    if any(large % small for small, large in sizes):
        raise no_form(call, "it enlarges by a factor that is no whole number")
    _, rows, columns, _ = call.inputs[0].shape
    if (attributes.rows, attributes.columns) != (
        tuple(i * rows // height for i in range(height)),
        tuple(i * columns // width for i in range(width)),
    ):
        raise no_form(call, "it reads from other positions than Resize")
    shape = builder.constant(
        f"{call.node.name}/sizes", np.array([1, channels, height, width], np.int64)
    )
    value = builder.node(
        "Resize",
        [builder.real(call.inputs[0]), "", "", shape],
        f"{call.node.name}/values",
        mode="nearest",
        nearest_mode="floor",
        coordinate_transformation_mode="asymmetric",
    )
    builder.result(call, value)


def _blocks(op: str) -> Form:
    def form(builder: OnnxBuilder, call: Call) -> None:
        attributes = call.node.attributes
        if attributes.order == "block_major":
            _unary(builder, call, op, blocksize=attributes.block)
        elif op == "DepthToSpace":
            _unary(builder, call, op, blocksize=attributes.block, mode="CRD")
        else:
            raise no_form(call, f"SpaceToDepth has no order {attributes.order}")

    return form


def _argmax(builder: OnnxBuilder, call: Call) -> None:
    attributes = call.node.attributes
    value = builder.real_nhwc(call.inputs[0])
    op = "ArgMin" if attributes.of_least else "ArgMax"
    name = f"{call.node.name}/index"
    index = builder.node(op, [value], name, axis=attributes.axis, keepdims=0)
    builder.result(call, builder.node("Cast", [index], f"{call.node.name}/values", to=6), nhwc=True)


PLAIN_FUNCTIONS: Mapping[str, str] = {
    "abs": "Abs",
    "cos": "Cos",
    "erf": "Erf",
    "exp": "Exp",
    "hard_swish": "HardSwish",
    "log": "Log",
    "reciprocal": "Reciprocal",
    "sigmoid": "Sigmoid",
    "sin": "Sin",
    "softsign": "Softsign",
    "sqrt": "Sqrt",
    "tanh": "Tanh",
}


def _lookup(builder: OnnxBuilder, call: Call) -> None:
    attributes = call.node.attributes
    function, parameters = attributes.function, attributes.parameters
    if function in PLAIN_FUNCTIONS:
        _unary(builder, call, PLAIN_FUNCTIONS[function])
    elif function == "leaky_relu":
        _unary(builder, call, "LeakyRelu", alpha=float(parameters[0]))
    elif function == "hard_sigmoid":
        _unary(builder, call, "HardSigmoid", alpha=1.0 / 6.0, beta=0.5)
    elif function == "elu" and parameters[1:] == (1.0, 1.0):
        _unary(builder, call, "Elu", alpha=float(parameters[0]))
    elif function == "silu":
        value = builder.real(call.inputs[0])
        gate = builder.node("Sigmoid", [value], f"{call.node.name}/gate")
        builder.result(call, builder.node("Mul", [value, gate], f"{call.node.name}/values"))
    else:
        raise no_form(call, f"there is no operator for the function {function}")


FORMS: Mapping[str, Form] = {
    "add": _binary("Add"),
    "argmax": _argmax,
    "average_pool2d": _average_pool2d,
    "concat": _concat,
    "conv2d": _conv2d,
    "depth_to_space": _blocks("DepthToSpace"),
    "depthwise_conv2d": _depthwise_conv2d,
    "fully_connected": _fully_connected,
    "log_softmax": _softmax("LogSoftmax"),
    "lookup": _lookup,
    "max_pool2d": _max_pool2d,
    "maximum": _binary("Max"),
    "mean": _reduction("ReduceMean", axes_as_input=False),
    "minimum": _binary("Min"),
    "mul": _binary("Mul"),
    "pad": _pad,
    "prelu": _binary("PRelu"),
    "reduce_min": _reduction("ReduceMin", axes_as_input=False),
    "requantize": _requantize,
    "reshape": _reshape,
    "resize_nearest": _resize_nearest,
    "slice": _slice,
    "softmax": _softmax("Softmax"),
    "space_to_depth": _blocks("SpaceToDepth"),
    "sub": _binary("Sub"),
    "sum": _reduction("ReduceSum", axes_as_input=True),
    "transpose": _transpose,
    "transposed_conv2d": _transposed_conv2d,
}
