# SPDX-License-Identifier: Apache-2.0
"""What each integer operator becomes in a TFLite file, in one table."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

from edgekit.converters.export.scales import quantization_of
from edgekit.converters.export.tflite_builder import (
    TfliteBuilder,
    fused_activation,
    no_form,
    pad_value,
    padded_input,
    padding_of,
    pool_clamp,
    strides_of,
)
from edgekit.converters.export.tflite_weighted import WEIGHTED_FORMS
from edgekit.converters.tflite.spatial import MIRROR_MODES, nearest_inputs, resize_positions
from edgekit.ir import INTEGER_RANGE, Call
from edgekit.ops.argmax import Argmax
from edgekit.ops.concat import ConcatArithmetic
from edgekit.ops.pad import Pad, PadArithmetic
from edgekit.ops.requantize import RequantizeArithmetic

Form = Callable[[TfliteBuilder, Call], None]


def _plain(name: str) -> Form:
    """An operator whose inputs are its operands, without anything to choose."""

    def form(builder: TfliteBuilder, call: Call) -> None:
        builder.result(name, [builder.activation(tensor) for tensor in call.inputs], call)

    return form


def _clamped(name: str) -> Form:
    """An element-wise operator of two operands with a fused activation."""

    def form(builder: TfliteBuilder, call: Call) -> None:
        arithmetic = call.node.arithmetic
        code = fused_activation(call, arithmetic.minimum, arithmetic.maximum)
        inputs = [builder.activation(tensor) for tensor in call.inputs]
        builder.result(name, inputs, call, FusedActivationFunction=code)

    return form


def _with_integers(name: str, label: str, values: Callable[[Call], object]) -> Form:
    """An operator with a second input of integers."""

    def form(builder: TfliteBuilder, call: Call) -> None:
        inputs = [
            builder.activation(call.inputs[0]),
            builder.integers(call, label, values(call)),
        ]
        builder.result(name, inputs, call)

    return form


def _reducer(name: str) -> Form:
    def form(builder: TfliteBuilder, call: Call) -> None:
        attributes = call.node.attributes
        inputs = [
            builder.activation(call.inputs[0]),
            builder.integers(call, "axes", attributes.axes),
        ]
        builder.result(name, inputs, call, KeepDims=bool(attributes.keep_dims))

    return form


def _average_pool2d(builder: TfliteBuilder, call: Call) -> None:
    attributes = call.node.attributes
    padding = padding_of(call, attributes.window)
    if padding is None or _is_dilated(call):
        raise no_form(call, "AVERAGE_POOL_2D pads as SAME or VALID and has no dilation")
    if attributes.count_padding and padding == 0:
        raise no_form(call, "AVERAGE_POOL_2D does not count its padding")
    _pool(builder, call, "AVERAGE_POOL_2D", builder.activation(call.inputs[0]), padding)


def _max_pool2d(builder: TfliteBuilder, call: Call) -> None:
    if _is_dilated(call):
        raise no_form(call, "MAX_POOL_2D has no dilation")
    lowest = INTEGER_RANGE[call.output.dtype][0]
    source, padding = padded_input(builder, call, call.node.attributes.window, value=lowest)
    _pool(builder, call, "MAX_POOL_2D", source, padding)


def _is_dilated(call: Call) -> bool:
    window = call.node.attributes.window
    return any(axis.dilation != 1 for axis in (window.height, window.width))


def _pool(builder: TfliteBuilder, call: Call, name: str, source: str, padding: int) -> None:
    window = call.node.attributes.window
    builder.result(
        name,
        [source],
        call,
        Padding=padding,
        FilterHeight=window.height.kernel,
        FilterWidth=window.width.kernel,
        FusedActivationFunction=pool_clamp(call),
        **strides_of(window),
    )


def _pad(builder: TfliteBuilder, call: Call) -> None:
    attributes: Pad = call.node.attributes
    arithmetic: PadArithmetic = call.node.arithmetic
    paddings = list(zip(attributes.before, attributes.after, strict=True))
    inputs = [builder.activation(call.inputs[0]), builder.integers(call, "paddings", paddings)]
    codes = {mode: code for code, mode in MIRROR_MODES.items()}
    if attributes.mode in codes:
        builder.result("MIRROR_PAD", inputs, call, Mode=codes[attributes.mode])
        return
    if attributes.mode != "constant":
        raise no_form(call, f"its mode is {attributes.mode}")
    quantization = quantization_of(call.output)
    if arithmetic.value == quantization.zero_point:
        builder.result("PAD", inputs, call)
    else:
        value = pad_value(builder, call, arithmetic.value, quantization)
        builder.result("PADV2", [*inputs, value], call)


def _concat(builder: TfliteBuilder, call: Call) -> None:
    """Inputs of other scales are quantized in front: the same multiplication, the same rounding."""
    arithmetic: ConcatArithmetic = call.node.arithmetic
    result = quantization_of(call.output)
    names = []
    for position, tensor in enumerate(call.inputs):
        name = builder.activation(tensor)
        if not arithmetic.copies(position):
            if tensor.is_constant:
                raise no_form(call, f"its constant '{tensor.name}' has another scale than it")
            rescaled = builder.between(call, f"input_{position}", tensor.shape, result)
            builder.operator("QUANTIZE", [name], [rescaled])
            name = rescaled
        names.append(name)
    builder.result("CONCATENATION", names, call, Axis=call.node.attributes.axis)


def _requantize(builder: TfliteBuilder, call: Call) -> None:
    arithmetic: RequantizeArithmetic = call.node.arithmetic
    source = [builder.activation(call.inputs[0])]
    bounds = arithmetic.minimum, arithmetic.maximum
    if bounds == INTEGER_RANGE[call.output.dtype]:
        builder.result("QUANTIZE", source, call)
        return
    code = fused_activation(call, *bounds)
    builder.result({1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6"}[code], source, call)


def _softmax(builder: TfliteBuilder, call: Call) -> None:
    source = [builder.activation(call.inputs[0])]
    builder.result("SOFTMAX", source, call, Beta=call.node.attributes.beta)


def _argmax(builder: TfliteBuilder, call: Call) -> None:
    attributes: Argmax = call.node.attributes
    name = "ARG_MIN" if attributes.of_least else "ARG_MAX"
    inputs = [builder.activation(call.inputs[0]), builder.integers(call, "axis", attributes.axis)]
    builder.result(name, inputs, call, OutputType=2)  # INT32


def _slice(builder: TfliteBuilder, call: Call) -> None:
    attributes = call.node.attributes
    ends = [
        begin + (size - 1) * stride + (1 if stride > 0 else -1)
        for begin, size, stride in zip(
            attributes.begin, attributes.size, attributes.strides, strict=True
        )
    ]
    if min(ends) < 0:
        raise no_form(call, "it runs backwards to the first element")
    inputs = [
        builder.activation(call.inputs[0]),
        builder.integers(call, "begin", attributes.begin),
        builder.integers(call, "end", ends),
        builder.integers(call, "strides", attributes.strides),
    ]
    builder.result("STRIDED_SLICE", inputs, call)


def _resize_nearest(builder: TfliteBuilder, call: Call) -> None:
    attributes = call.node.attributes
    wanted = (attributes.rows, attributes.columns)

    def found(corners: bool, half: bool) -> tuple[tuple[int, ...], ...]:
        sizes = zip(call.inputs[0].shape[1:3], call.output.shape[1:3], strict=True)
        return tuple(nearest_inputs(i, o, corners, half) for i, o in sizes)

    _resize(builder, call, "RESIZE_NEAREST_NEIGHBOR", lambda c, h: found(c, h) == wanted)


def _resize_bilinear(builder: TfliteBuilder, call: Call) -> None:
    arithmetic = call.node.arithmetic
    wanted = (tuple(arithmetic.rows), tuple(arithmetic.columns))

    def found(corners: bool, half: bool) -> tuple[tuple[int, ...], ...]:
        sizes = zip(call.inputs[0].shape[1:3], call.output.shape[1:3], strict=True)
        return tuple(resize_positions(i, o, corners, half) for i, o in sizes)

    _resize(builder, call, "RESIZE_BILINEAR", lambda c, h: found(c, h) == wanted)


def _resize(
    builder: TfliteBuilder, call: Call, name: str, agrees: Callable[[bool, bool], bool]
) -> None:
    size = builder.integers(call, "size", call.output.shape[1:3])
    for corners, half in itertools.product((False, True), repeat=2):
        if not (corners and half) and agrees(corners, half):
            options = {"AlignCorners": corners, "HalfPixelCenters": half}
            builder.result(name, [builder.activation(call.inputs[0]), size], call, **options)
            return
    raise no_form(call, f"{name} reads from other positions")


def _blocks(name: str) -> Form:
    def form(builder: TfliteBuilder, call: Call) -> None:
        attributes = call.node.attributes
        if attributes.order != "block_major":
            raise no_form(call, f"its channels are in the order {attributes.order}")
        builder.result(name, [builder.activation(call.inputs[0])], call, BlockSize=attributes.block)

    return form


LOOKUP_NAMES: Mapping[str, str] = {
    "abs": "ABS",
    "exp": "EXP",
    "hard_swish": "HARD_SWISH",
    "rsqrt": "RSQRT",
    "sigmoid": "LOGISTIC",
    "tanh": "TANH",
}


def _lookup(builder: TfliteBuilder, call: Call) -> None:
    """A function that TFLite has; whether its table is this one, reading the file back will tell."""
    attributes = call.node.attributes
    source = [builder.activation(call.inputs[0])]
    if attributes.function == "leaky_relu":
        builder.result("LEAKY_RELU", source, call, Alpha=attributes.parameters[0])
    elif attributes.function in ("gelu", "gelu_tanh"):
        builder.result("GELU", source, call, Approximate=attributes.function == "gelu_tanh")
    elif attributes.function in LOOKUP_NAMES:
        builder.result(LOOKUP_NAMES[attributes.function], source, call)
    else:
        raise no_form(call, f"there is no operator for the function {attributes.function}")


FORMS: Mapping[str, Form] = {
    **WEIGHTED_FORMS,
    "add": _clamped("ADD"),
    "argmax": _argmax,
    "average_pool2d": _average_pool2d,
    "concat": _concat,
    "depth_to_space": _blocks("DEPTH_TO_SPACE"),
    "l2_normalization": _plain("L2_NORMALIZATION"),
    "log_softmax": _plain("LOG_SOFTMAX"),
    "lookup": _lookup,
    "max_pool2d": _max_pool2d,
    "maximum": _plain("MAXIMUM"),
    "mean": _reducer("MEAN"),
    "minimum": _plain("MINIMUM"),
    "mul": _clamped("MUL"),
    "pad": _pad,
    "prelu": _plain("PRELU"),
    "reduce_min": _reducer("REDUCE_MIN"),
    "requantize": _requantize,
    "reshape": _with_integers("RESHAPE", "shape", lambda call: call.output.shape),
    "resize_bilinear": _resize_bilinear,
    "resize_nearest": _resize_nearest,
    "slice": _slice,
    "softmax": _softmax,
    "space_to_depth": _blocks("SPACE_TO_DEPTH"),
    "squared_difference": _plain("SQUARED_DIFFERENCE"),
    "sub": _clamped("SUB"),
    "sum": _reducer("SUM"),
    "tile": _with_integers("TILE", "multiples", lambda call: call.node.attributes.multiples),
    "transpose": _with_integers(
        "TRANSPOSE", "permutation", lambda call: call.node.attributes.permutation
    ),
}
