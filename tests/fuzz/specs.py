# SPDX-License-Identifier: Apache-2.0
"""Valid TFLite models to start from: random small networks, and files read back into specs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import numpy as np
import tflite
from support.tflite_cases import cases
from support.tflite_writer import ModelSpec, OperatorSpec, TensorSpec, constant_spec

SAME, VALID = 0, 1


def case_specs() -> list[ModelSpec]:
    """The one-operator models of the oracle tests."""
    return list(cases().values())


def random_network(random: Random) -> ModelSpec:
    """A chain of 1 to 8 operators with consistent shapes, sometimes with a residual sum."""
    return _Chain(random).model()


class _Chain:
    """The network as it grows; ``last`` is the tensor at its end."""

    def __init__(self, random: Random) -> None:
        self.random = random
        side = random.choice((1, 2, 3, 5, 8, 13))
        channels = random.choice((1, 2, 3, 4, 8, 17))
        self.tensors = [self._activation("x", (1, side, random.choice((1, 4, side)), channels))]
        self.operators: list[OperatorSpec] = []

    @property
    def last(self) -> TensorSpec:
        return next(t for t in reversed(self.tensors) if t.data is None)

    def model(self) -> ModelSpec:
        steps: tuple[Callable[[], None], ...] = (
            *(self._convolution, self._depthwise, self._pool, self._residual, self._pad),
            *(self._relu, self._convolution, self._depthwise),
        )
        for _ in range(self.random.randint(0, 6)):
            self.random.choice(steps)()
        for step in (self._mean, self._flatten, self._fully_connected, self._softmax):
            if self.random.random() < 0.5 and (step != self._fully_connected or self._is_flat):
                step()
        if not self.operators:
            self._relu()
        return ModelSpec(self.tensors, self.operators, ["x"], [self.last.name])

    @property
    def _is_flat(self) -> bool:
        return len(self.last.shape) == 2

    def _activation(self, name: str, shape: tuple[int, ...], like: Any = None) -> TensorSpec:
        if like is not None:
            return TensorSpec(name, shape, like.scale, like.zero_point)
        scale = self.random.choice((0.01, 0.05, 0.1, 0.02))
        return TensorSpec(name, shape, scale, self.random.choice((-128, -3, 0, 5)))

    def _append(
        self, name: str, constants: list[TensorSpec], output: TensorSpec, **options: Any
    ) -> None:
        inputs = [self.last.name, *(constant.name for constant in constants)]
        self.tensors += [*constants, output]
        self.operators.append(OperatorSpec(name, inputs, [output.name], options))

    def _name(self, label: str) -> str:
        return f"{label}{len(self.operators)}"

    def _values(self, shape: tuple[int, ...], dtype: Any, bound: int) -> Any:
        generator = np.random.default_rng(self.random.randrange(2**32))
        return generator.integers(-bound, bound, shape).astype(dtype)

    def _window(self) -> tuple[dict[str, int], list[int], list[int]]:
        """Options, kernel and output sizes of a window that fits the map."""
        options = {"Padding": self.random.choice((SAME, VALID))}
        kernel, sizes = [], []
        for letter, size in zip("HW", self.last.shape[1:3], strict=True):
            taps = self.random.randint(1, min(3, size))
            stride = options[f"Stride{letter}"] = self.random.choice((1, 1, 2))
            span = size if options["Padding"] == SAME else size - taps + 1
            kernel.append(taps)
            sizes.append(-(-span // stride))
        return options, kernel, sizes

    def _weighted(
        self, name: str, shape: tuple[int, ...], axis: int, output: tuple[int, ...]
    ) -> Any:
        channels = shape[axis]
        generator = np.random.default_rng(self.random.randrange(2**32))
        scales: Any = generator.uniform(0.001, 0.01, channels)
        scales = scales if self.random.random() < 0.7 else 0.004
        values = self._values(shape, np.int8, 127)
        constants = [constant_spec(self._name("w"), values, scale=scales, axis=axis)]
        if self.random.random() < 0.8:
            bias = self._values((channels,), np.int32, 3000)
            constants.append(constant_spec(self._name("b"), bias, scale=0.05 * np.asarray(scales)))
        return constants, self._activation(self._name("y"), output)

    def _convolution(self) -> None:
        if self._is_flat:
            return
        options, kernel, sizes = self._window()
        outputs = self.random.choice((1, 3, 4, 8, 12))
        shape = (outputs, *kernel, self.last.shape[3])
        constants, y = self._weighted("CONV_2D", shape, 0, (1, *sizes, outputs))
        self._append("CONV_2D", constants, y, **options, **_dilations(), **self._fused())

    def _depthwise(self) -> None:
        if self._is_flat:
            return
        options, kernel, sizes = self._window()
        multiplier = self.random.choice((1, 1, 2))
        outputs = self.last.shape[3] * multiplier
        constants, y = self._weighted(
            "DEPTHWISE_CONV_2D", (1, *kernel, outputs), 3, (1, *sizes, outputs)
        )
        options |= {"DepthMultiplier": multiplier, **_dilations(), **self._fused()}
        self._append("DEPTHWISE_CONV_2D", constants, y, **options)

    def _fused(self) -> dict[str, int]:
        return {"FusedActivationFunction": self.random.choice((0, 1, 3))}

    def _pool(self) -> None:
        if self._is_flat:
            return
        options, kernel, sizes = self._window()
        options |= {"FilterHeight": kernel[0], "FilterWidth": kernel[1]}
        shape = (1, *sizes, self.last.shape[3])
        name = self.random.choice(("MAX_POOL_2D", "AVERAGE_POOL_2D"))
        self._append(name, [], self._activation(self._name("y"), shape, self.last), **options)

    def _residual(self) -> None:
        """The sum with an earlier tensor of the same shape."""
        last = self.last
        alike = [t for t in self.tensors if t.data is None and t.shape == last.shape]
        other = self.random.choice(alike)
        output = self._activation(self._name("y"), tuple(last.shape))
        self.tensors.append(output)
        self.operators.append(
            OperatorSpec(
                self.random.choice(("ADD", "MUL")), [last.name, other.name], [output.name], {}
            )
        )

    def _pad(self) -> None:
        amounts = [
            [0, 0],
            *([self.random.randint(0, 2) for _ in "ba"] for _ in self.last.shape[1:]),
        ]
        shape = tuple(s + b + a for s, (b, a) in zip(self.last.shape, amounts, strict=True))
        paddings = constant_spec(self._name("p"), np.array(amounts, np.int32))
        self._append("PAD", [paddings], self._activation(self._name("y"), shape, self.last))

    def _relu(self) -> None:
        name = self.random.choice(("RELU", "RELU6", "QUANTIZE"))
        self._append(name, [], self._activation(self._name("y"), tuple(self.last.shape)))

    def _mean(self) -> None:
        if self._is_flat:
            return
        axes = constant_spec(self._name("a"), np.array([1, 2], np.int32))
        output = self._activation(self._name("y"), (1, self.last.shape[3]))
        self._append("MEAN", [axes], output, KeepDims=False)

    def _flatten(self) -> None:
        elements = int(np.prod(self.last.shape))
        shape = constant_spec(self._name("s"), np.array([1, elements], np.int32))
        output = self._activation(self._name("y"), (1, elements), self.last)
        self._append("RESHAPE", [shape], output)

    def _fully_connected(self) -> None:
        outputs = self.random.choice((1, 2, 10))
        shape = (outputs, self.last.shape[1])
        constants, y = self._weighted("FULLY_CONNECTED", shape, 0, (1, outputs))
        self._append("FULLY_CONNECTED", constants, y, **self._fused())

    def _softmax(self) -> None:
        output = TensorSpec(self._name("y"), tuple(self.last.shape), 1 / 256, -128)
        self._append("SOFTMAX", [], output, Beta=1.0)


def _dilations() -> dict[str, int]:
    return {"DilationHFactor": 1, "DilationWFactor": 1}


def spec_of(data: bytes) -> ModelSpec:
    """The spec of a valid file: tensors, operators, ports; signatures are left out."""
    model = tflite.Model.GetRootAs(data, 0)
    graph = model.Subgraphs(0)
    types = _names(tflite.TensorType)
    tensors = [_tensor(model, graph.Tensors(i), i, types) for i in range(graph.TensorsLength())]
    names = [tensor.name for tensor in tensors] + [""]
    operators = list(_operators(model, graph, names))
    inputs = [names[i] for i in graph.InputsAsNumpy()]
    return ModelSpec(tensors, operators, inputs, [names[i] for i in graph.OutputsAsNumpy()])


def _names(enum: Any) -> dict[int, str]:
    return {value: name for name, value in vars(enum).items() if isinstance(value, int)}


def _tensor(model: Any, table: Any, index: int, types: dict[int, str]) -> TensorSpec:
    buffer = model.Buffers(table.Buffer())
    type_ = types[table.Type()]
    shape = [table.Shape(i) for i in range(table.ShapeLength())]
    data = None
    if buffer.DataLength():
        dtype = np.dtype(type_.lower())
        data = np.frombuffer(buffer.DataAsNumpy().tobytes(), dtype).reshape(shape)
    quantization = table.Quantization()
    scale: Any = None
    zero_point: Any = 0
    axis = 0
    if quantization is not None and quantization.ScaleLength():
        scale = quantization.ScaleAsNumpy().tolist()
        zero_point = quantization.ZeroPointAsNumpy().tolist()
        axis = quantization.QuantizedDimension()
    name = f"{table.Name().decode(errors='replace')}#{index}"
    return TensorSpec(name, shape, scale, zero_point, type_, data, axis)


def _operators(model: Any, graph: Any, names: list[str]) -> Iterator[OperatorSpec]:
    codes = _names(tflite.BuiltinOperator)
    kinds = _names(tflite.BuiltinOptions)
    for i in range(graph.OperatorsLength()):
        table = graph.Operators(i)
        code = model.OperatorCodes(table.OpcodeIndex())
        name = codes[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        union, kind = table.BuiltinOptions(), kinds[table.BuiltinOptionsType()]
        options = None if union is None else _options(union, kind)
        inputs = [names[j] for j in table.InputsAsNumpy()]
        yield OperatorSpec(name, inputs, [names[j] for j in table.OutputsAsNumpy()], options)


def _options(union: Any, kind: str) -> dict[str, Any]:
    """The scalar fields of an options table."""
    table = getattr(tflite, kind)()
    table.Init(union.Bytes, union.Pos)
    methods = vars(type(table))
    scalars = [
        n for n in methods if hasattr(tflite, f"{kind}Add{n}") and f"{n}Length" not in methods
    ]
    return {name: getattr(table, name)() for name in scalars}
