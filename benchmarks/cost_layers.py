# SPDX-License-Identifier: Apache-2.0
"""The layers that the cost model is fitted to: designed convolutions, and all operators' edge cases.

Every layer of an edge case is also tried with a higher, wider and deeper map. The layers of
kernels.py are none of these: there the error of the model is printed by itself.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from edgekit.errors import EdgekitError
from edgekit.ir import Call, Node, Quantization, Shape, Tensor, constant
from edgekit.ops import Operator, operators
from edgekit.ops._weighted import WeightedArithmetic
from edgekit.ops.conv2d import Conv2d
from edgekit.ops.depthwise_conv2d import DepthwiseConv2d
from edgekit.ops.fully_connected import FullyConnected
from edgekit.ops.slice import Slice
from edgekit.window import Axis, Window

Growth = tuple[float, float, float]
MAX_ELEMENTS = 20_000
MAX_MACS = 250_000
GROWTHS: tuple[Growth, ...] = (
    *((1, 1, 1), (3, 1, 1), (1, 3, 1), (1, 1, 4), (2, 3, 2), (1, 1, 16), (4, 3, 1), (5, 5, 3)),
    *((0.25, 0.5, 1), (1, 0.1, 1), (0.1, 0.1, 1), (0.05, 0.03, 1)),
)
"""Factors of height, width and channels."""
CLAMPS = ((-128, -128, 127), (-20, -128, 127), (-20, -60, 90), (-128, -128, 127), (0, 0, 30))
"""Output zero point, minimum and maximum: every finish of the fast kernels, and the general one."""
INPUT_ZERO_POINT = -5
NORMALIZING = ("softmax", "log_softmax")
MAX_NORMALIZED = 256
"""Of more elements, the sum of exponentials may reach its limit, behind which less is computed."""
INT16_LAYERS = 20
"""Designed layers of an operator that are tried over int16 too."""


def layers_of(operator: Operator) -> Iterator[Call]:
    """Every layer to which the kernels of an operator are fitted."""
    designed = DESIGNS.get(operator.name)
    if designed is not None:
        calls = list(designed())
        yield from calls
        for call in calls[:: max(len(calls) // INT16_LAYERS, 1)]:
            yield from _as_int16(call)
    cases = [case.graph.call(*case.graph.nodes) for case in operator.cases()]
    yield from SHAPES.get(operator.name, _no_shapes)(operator, cases)
    for call in cases:
        for growth in GROWTHS:
            grown = _grown(operator, call, growth)
            if grown is not None:
                yield grown


def _no_shapes(operator: Operator, cases: Sequence[Call]) -> Iterator[Call]:
    yield from ()


def _grown(operator: Operator, call: Call, growth: Growth) -> Call | None:
    """The call over a map so many times as large; None where it has no such call."""
    if growth == (1, 1, 1):
        return None if _is_long(operator, call) else call
    inputs = [t if t.is_constant else _grown_tensor(t, growth) for t in call.inputs]
    grown = _with_inputs(operator, call, inputs)
    if grown is None or (grown.output.shape, grown.inputs) == (call.output.shape, call.inputs):
        return None
    return grown


def _with_inputs(operator: Operator, call: Call, inputs: Sequence[Tensor]) -> Call | None:
    """The call over other inputs; None where it has no such call, or one that is too large."""
    try:
        shape = operator.output_shape(call.node.attributes, [t.shape for t in inputs])
        output = dataclasses.replace(call.output, shape=shape)
        found = dataclasses.replace(call, inputs=tuple(inputs), outputs=(output,))
        operator.verify(found)
    except (EdgekitError, ValueError, IndexError, AssertionError, ZeroDivisionError):
        return None
    most = max(t.elements for t in (*found.activations, output))
    return found if 0 < most <= MAX_ELEMENTS and not _is_long(operator, found) else None


def _is_long(operator: Operator, call: Call) -> bool:
    return operator.name in NORMALIZING and call.output.shape[-1] > MAX_NORMALIZED


def _grown_tensor(tensor: Tensor, growth: Growth) -> Tensor:
    """Axes of length 1 stay, for they may be broadcast; so does the batch."""
    places = range(-len(tensor.shape), 0)
    sizes = [
        max(int(size * growth[place]), 1)
        if size > 1 and place >= -3 and len(tensor.shape) + place
        else size
        for place, size in zip(places, tensor.shape, strict=True)
    ]
    return dataclasses.replace(tensor, shape=tuple(sizes))


def weighted_call(
    op: str,
    shape: Shape,
    outputs: int,
    *,
    attributes: Any,
    clamp: tuple[int, int, int],
    groups: int = 1,
    dtype: str = "int8",
    bias_dtype: str = "int32",
) -> Call:
    """A layer with seeded weights, whose shifts leave its outputs between the ends of its type."""
    random = np.random.default_rng([*shape, outputs, groups])
    is_int8 = dtype == "int8"
    weights_shape: Shape = (outputs, math.prod(shape[-3:]) if len(shape) == 4 else shape[-1])
    if op != "fully_connected":
        size = (attributes.window.height.kernel, attributes.window.width.kernel)
        is_depthwise = op == "depthwise_conv2d"
        weights_shape = (
            (1, *size, outputs) if is_depthwise else (outputs, *size, shape[-1] // groups)
        )
    weights = random.integers(-127, 128, weights_shape)
    taps = weights.size // outputs
    spread = 74.0 * math.sqrt(taps) * (74.0 / 40.0 if is_int8 else 2.0)
    shift = -round(math.log2(spread))
    zero_point = INPUT_ZERO_POINT if is_int8 else 0
    arithmetic = WeightedArithmetic(
        zero_point,
        clamp[0],
        tuple(int(m) for m in random.integers(2**30, 2**31, outputs)),
        (shift,) * outputs,
        *clamp[1:],
    )
    x = Tensor("x", shape, dtype, Quantization(0.05, zero_point))
    constants = (
        constant("w", weights.astype(np.int8)),
        constant("b", random.integers(-5000, 5000, outputs).astype(bias_dtype)),
    )
    operator = operators()[op]
    inputs = (x, *constants)
    result = operator.output_shape(attributes, [tensor.shape for tensor in inputs])
    y = Tensor("y", result, dtype, Quantization(0.1, clamp[0]))
    node = Node(op, op, tuple(t.name for t in inputs), ("y",), attributes, arithmetic)
    call = Call(node, inputs, (y,))
    operator.verify(call)
    return call


def _window(kernel: tuple[int, int], stride: int, dilation: int, *, padded: bool) -> Window:
    def axis(size: int) -> Axis:
        total = (size - 1) * dilation if padded else 0
        return Axis(size, stride, dilation, total // 2, total - total // 2)

    return Window(axis(kernel[0]), axis(kernel[1]))


def _small(call: Call) -> bool:
    return operators()[call.node.op].macs(call) <= MAX_MACS


def _convolutions() -> Iterator[Call]:
    clamps = itertools.cycle(CLAMPS)
    channels = ((4, 8), (8, 16), (16, 7), (24, 32), (33, 5), (64, 24), (100, 12), (160, 6), (3, 8))
    sizes = ((1, 9), (5, 7), (8, 8), (6, 11), (3, 1), (12, 12), (2, 6))
    turns = (zip(channels, sizes[n:] + sizes[:n] * 2, strict=False) for n in range(4))
    for (inputs, outputs), (height, width) in itertools.chain.from_iterable(turns):
        shape = (1, height, width, inputs)
        attributes = Conv2d(_window((1, 1), 1, 1, padded=False))
        yield from _designed("conv2d", shape, outputs, attributes, next(clamps))
    few = itertools.product(((16, 24), (48, 16), (96, 40)), (1, 2, 3, 5, 6, 7, 9))
    for (inputs, outputs), pixels in few:  # a row of few pixels has a rest that counts
        shape, attributes = (1, 1, pixels, inputs), Conv2d(_window((1, 1), 1, 1, padded=False))
        yield from _designed("conv2d", shape, outputs, attributes, CLAMPS[pixels % 3])
    blocks = itertools.product(
        ((8, 4), (16, 4), (24, 8), (48, 4), (96, 8), (64, 2)), (5, 10, 12, 24)
    )
    for (inputs, outputs), width in blocks:  # few channels, as a block of them has
        shape, attributes = (1, 1, width, inputs), Conv2d(_window((1, 1), 1, 1, padded=False))
        yield from _designed("conv2d", shape, outputs, attributes, CLAMPS[width % 3])
    firsts = itertools.product(((3, 8), (3, 16), (1, 12), (4, 8)), (16, 33, 48), (3, 5))
    for (inputs, outputs), width, size in firsts:  # of an image: few channels, wide rows
        window = _window((size, size), 2, 1, padded=True)
        shape = (1, 8, 2 * width, inputs)
        yield from _designed("conv2d", shape, outputs, Conv2d(window), next(clamps))
    kernels = ((3, 3), (3, 3), (5, 5), (3, 1), (10, 4), (2, 2), (1, 7), (7, 7))
    random = np.random.default_rng(1)
    for number in range(96):
        kernel = kernels[number % len(kernels)]
        groups = (1, 1, 1, 2, 1, 4)[number % 6]
        inputs = int(random.choice([1, 2, 3, 4, 6, 8, 13, 16, 24, 32])) * groups
        outputs = int(random.choice([1, 2, 3, 4, 6, 8, 12, 16])) * groups
        height, width = int(random.integers(2, 12)), int(random.integers(1, 18))
        dilation = 2 if number % 11 == 10 else 1
        window = _window(kernel, 1 + number % 2, dilation, padded=number % 5 != 4)
        shape = (1, height + dilation * kernel[0], width + dilation * kernel[1], inputs)
        yield from _designed("conv2d", shape, outputs, Conv2d(window), next(clamps), groups)


def _depthwise() -> Iterator[Call]:
    kernels = ((3, 3), (5, 5), (7, 7), (3, 3), (5, 5), (7, 7), (3, 3), (2, 2), (4, 1), (3, 5))
    random = np.random.default_rng(2)
    for turn, number in itertools.product(range(12), range(2 * len(kernels))):
        kernel, stride = kernels[number % len(kernels)], 1 + number // len(kernels)
        channels = int(random.choice([1, 3, 4, 8, 10, 16, 24, 32, 40]))
        multiplier = (1, 1, 1, 1, 2, 1, 5)[(turn + number) % 7] if channels < 24 else 1
        height, width = int(random.integers(2, 10)), 4 * int(random.integers(5)) + 1 + turn % 4
        dilation, padded = 1 + ((turn + number) % 13 == 12), (turn + number) % 9 != 8
        window = _window(kernel, stride, dilation, padded=padded)
        sides = [
            (size - 1) * stride + 1 + (not padded) * (taps - 1) * dilation
            for size, taps in zip((height, width), kernel, strict=True)
        ]
        shape = (1, *sides, channels)
        attributes = DepthwiseConv2d(window)
        outputs, clamp = channels * multiplier, CLAMPS[(turn + number) % len(CLAMPS)]
        yield from _designed("depthwise_conv2d", shape, outputs, attributes, clamp)


def _fully_connected() -> Iterator[Call]:
    clamps = itertools.cycle(CLAMPS)
    sizes = ((5, 3), (16, 10), (64, 12), (100, 7), (256, 10), (257, 33), (400, 24), (640, 40))
    maps = (
        (4, 2, 8),
        (3, 5, 4),
        (7, 1, 10),
        (2, 2, 33),
        (5, 5, 16),
        (8, 4, 12),
        (6, 6, 5),
        (4, 4, 3),
    )
    for clamp, (shape, (_, outputs)) in itertools.product(
        CLAMPS[1:4], zip(maps, sizes, strict=True)
    ):
        yield from _designed("fully_connected", (1, *shape), outputs, FullyConnected(), clamp)
    for rows, (inputs, outputs) in itertools.product((1, 2, 3, 4, 7, 1), sizes):
        shape = (rows, inputs + (rows > 4))
        attributes = FullyConnected()
        yield from _designed(
            "fully_connected", shape, outputs + rows // 3, attributes, next(clamps)
        )


def _designed(
    op: str, shape: Shape, outputs: int, attributes: Any, clamp: Sequence[int], groups: int = 1
) -> Iterator[Call]:
    zero_point, low, high = clamp
    call = weighted_call(
        op, shape, outputs, attributes=attributes, clamp=(zero_point, low, high), groups=groups
    )
    if _small(call) and call.activations[0].elements <= MAX_ELEMENTS:
        yield call


def _as_int16(call: Call) -> Iterator[Call]:
    """The same layer over int16, with sums of 32 and of 64 bits."""
    groups = 1
    if call.node.op == "conv2d":
        groups = call.activations[0].shape[3] // call.inputs[1].shape[3]
    for bias_dtype in ("int32", "int64"):
        yield weighted_call(
            call.node.op,
            call.activations[0].shape,
            call.output.shape[-1],
            attributes=call.node.attributes,
            clamp=(0, -(2**15), 2**15 - 1),
            groups=groups,
            dtype="int16",
            bias_dtype=bias_dtype,
        )


def _pools(operator: Operator, cases: Sequence[Call]) -> Iterator[Call]:
    """Windows of every size, those of a whole map among them, over any number of channels."""
    random = np.random.default_rng(3)
    axis = Axis(3, 1, 1, 1, 1)
    axes = (Axis(2, 2), axis, Axis(3, 2, 1, 0, 1), Axis(2), Axis(5, 1, 1, 2, 2), None, None, None)
    for number in range(48):
        channels = (1, 3, 4, 8, 10, 12, 16, 24, 32, 33, 48, 64)[number % 12]
        height, width = int(random.integers(1, 13)), int(random.integers(1, 13))
        chosen = axes[(number + number // 12) % len(axes)]
        window = Window(chosen or Axis(height), chosen or Axis(width))
        call = (cases[0], cases[-2])[number % 5 == 4]
        attributes = dataclasses.replace(call.node.attributes, window=window)
        pool = dataclasses.replace(call, node=dataclasses.replace(call.node, attributes=attributes))
        yield from _over(operator, pool, [(1, height, width, channels)])


def _means(operator: Operator, cases: Sequence[Call]) -> Iterator[Call]:
    """Of maps of every size, and over one axis of them."""
    shapes = itertools.product(
        ((12, 12), (7, 7), (3, 5), (1, 9)), (1, 3, 8, 10, 16, 31, 32, 64, 100)
    )
    for (height, width), channels in shapes:
        for call in (cases[1], cases[3]) if channels % 8 else cases[1:2]:
            yield from _over(operator, call, [(1, height, width, channels)])


def _broadcast(operator: Operator, cases: Sequence[Call]) -> Iterator[Call]:
    """One operand for each channel, for each pixel, or for all of them."""
    for height, width, channels in ((12, 12, 32), (3, 5, 8), (6, 1, 40), (5, 7, 3), (2, 9, 16)):
        map_shape = (1, height, width, channels)
        for other in (channels,), (height, width, 1), (width, channels), (1,):
            other_shape = (1,) * (4 - len(other)) + other
            for call in cases:
                if len(call.activations) == 2:
                    yield from _over(operator, call, [map_shape, other_shape])


def _vectors(operator: Operator, cases: Sequence[Call]) -> Iterator[Call]:
    for pixels, depth in itertools.product((1, 5, 36), (2, 4, 10, 12, 21, 32, 100, 200)):
        for call in cases[::3]:
            yield from _over(operator, call, [(1, pixels, 1, depth)])


def _side_by_side(operator: Operator, cases: Sequence[Call]) -> Iterator[Call]:
    """Inputs of as many channels each, some of them with a scale of their own."""
    for (height, width), channels in itertools.product(((12, 12), (3, 5), (6, 1)), (2, 8, 15, 32)):
        for call in cases[::2]:
            shapes = [(1, height, width, channels)] * len(call.activations)
            yield from _over(operator, call, shapes)


def _slices(operator: Operator, cases: Sequence[Call]) -> Iterator[Call]:
    """Parts of a map: of its rows and columns, and of its channels as well."""
    sizes = itertools.product(((8, 8), (3, 5), (12, 2), (1, 20)), (2, 7, 16, 32, 40), (0, 3))
    for (height, width), channels, others in sizes:
        size = (1, height, width, channels)
        attributes = Slice((0, 1, 2, others), size, (1, 1, 1, 1))
        node = dataclasses.replace(cases[0].node, attributes=attributes)
        call = dataclasses.replace(cases[0], node=node)
        yield from _over(operator, call, [(1, height + 2, width + 3, channels + 2 * others)])


def _over(operator: Operator, call: Call, shapes: Sequence[Shape]) -> Iterator[Call]:
    """The call over activations of other shapes, where there is such a call."""
    left = list(shapes)
    inputs = [
        tensor if tensor.is_constant else dataclasses.replace(tensor, shape=left.pop(0))
        for tensor in call.inputs
    ]
    found = _with_inputs(operator, call, inputs)
    if found is not None:
        yield found


SHAPES: Mapping[str, Callable[[Operator, Sequence[Call]], Iterator[Call]]] = {
    **dict.fromkeys(("average_pool2d", "max_pool2d"), _pools),
    **dict.fromkeys(("mean", "sum"), _means),
    **dict.fromkeys(("add", "sub", "mul"), _broadcast),
    **dict.fromkeys(NORMALIZING, _vectors),
    "concat": _side_by_side,
    "slice": _slices,
}
"""Layers of operators whose cases do not tell their counts apart, by themselves or larger."""
DESIGNS = {
    "conv2d": _convolutions,
    "depthwise_conv2d": _depthwise,
    "fully_connected": _fully_connected,
}
