# SPDX-License-Identifier: Apache-2.0
"""Programs with quantize and dequantize in them: their integers, the judge PyTorch, what is refused."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing; run: pip install 'edgekit[torch]'")

from support.command_line import Edgekit  # noqa: E402
from support.torch_models import noise  # noqa: E402
from torch import nn  # noqa: E402

import edgekit as package  # noqa: E402
from edgekit.converters.from_torch import (  # noqa: E402
    import_pt2,
    import_torch_module,
    read_exported_program,
)
from edgekit.errors import BadInputError, EdgekitError, UnsupportedError  # noqa: E402
from edgekit.interpret import interpret  # noqa: E402
from edgekit.ir import QGraph  # noqa: E402

importlib.import_module("torch.ao.quantization.fx._decomposed")  # defines the operators
library = torch.ops.quantized_decomposed
INT8 = (-128, 127, torch.int8)
UINT8 = (0, 255, torch.uint8)
X, Y = (0.05, 3), (0.1, -128)


def through(x: torch.Tensor, scale: float, zero_point: int, *levels: Any) -> torch.Tensor:
    """Quantize, dequantize."""
    levels = levels or INT8
    quantized = library.quantize_per_tensor(x, scale, zero_point, *levels)
    return library.dequantize_per_tensor(quantized, scale, zero_point, *levels)


class Convolution(nn.Module):
    """x -> q -> dq -> conv (int8 weights and an int32 bias, dequantized) -> relu -> q -> dq."""

    def __init__(self, *, uint8: bool = False, float_weights: bool = False) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        weights = torch.randint(-100, 100, (2, 3, 3, 3), generator=generator)
        self.shift, self.levels = (128, UINT8) if uint8 else (0, INT8)
        self.float_weights = float_weights
        self.register_buffer("scales", torch.tensor([0.01, 0.02]))
        self.register_buffer("bias", torch.tensor([700, -123_456_789], dtype=torch.int32))
        self.register_buffer("zeros", torch.zeros(2, dtype=torch.int64))
        self.register_buffer("weights", weights.to(torch.int8))
        self.register_buffer("real", weights * self.scales[:, None, None, None])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        per_channel = (self.scales, self.zeros, 0, -127, 127, torch.int8)
        levels = self.weights
        if self.float_weights:
            levels = library.quantize_per_channel(self.real, *per_channel)
        weights = library.dequantize_per_channel(levels, *per_channel)
        bias = library.dequantize_per_channel(
            self.bias, self.scales * 0.05, self.zeros, 0, -(2**31), 2**31 - 1, torch.int32
        )
        x = through(x, X[0], X[1] + self.shift, *self.levels)
        y = torch.relu(nn.functional.conv2d(x, weights, bias, padding=1))
        return through(y, Y[0], Y[1] + self.shift, *self.levels)


IMAGE = (noise(1, 3, 6, 6),)


@pytest.mark.parametrize("uint8", [False, True])
@pytest.mark.parametrize("float_weights", [False, True])
def test_integers_are_those_of_the_program(uint8: bool, float_weights: bool) -> None:
    """Weights and bias digit by digit; uint8 is int8 less 128."""
    module = Convolution(uint8=uint8, float_weights=float_weights)
    graph = import_torch_module(module, IMAGE)
    assert isinstance(graph, QGraph)
    (conv, *rest) = graph.nodes
    assert (conv.op, [node.op for node in rest]) == ("conv2d", ["requantize"])
    call = graph.call(conv)
    np.testing.assert_array_equal(call.constant(1), module.weights.permute(0, 2, 3, 1).numpy())
    np.testing.assert_array_equal(call.constant(2), module.bias.numpy())
    quantization = graph.tensors[graph.inputs[0].tensor].quantization
    assert (quantization.scale, quantization.zero_point) == X
    quantization = graph.tensors[graph.outputs[0].tensor].quantization
    assert (quantization.scale, quantization.zero_point) == Y
    factors = [m * 2.0 ** (s - 31) for m, s in zip(
        conv.arithmetic.multipliers, conv.arithmetic.shifts, strict=True)]  # fmt: skip
    expected = module.scales.numpy().astype(np.float64) * X[0] / Y[0]
    np.testing.assert_allclose(factors, expected, rtol=2.0**-31)


class Wrapped(nn.Module):
    """A function, with tensors that it may use."""

    def __init__(self, function: Any, **tensors: torch.Tensor) -> None:
        super().__init__()
        self.function = function
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor)

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(self, x)


def test_a_change_of_scale_is_exact() -> None:
    """All 256 levels, halves included: the table is what PyTorch computes."""
    levels = np.arange(-128, 128).astype(np.int8)[None]
    for scale in (0.1, 0.02, 0.0370001):
        module = Wrapped(lambda m, x, s=scale: through(through(x, 0.05, 3), s, -7))
        graph = import_torch_module(module, (noise(1, 256),))
        x = torch.from_numpy((levels.astype(np.float32) - 3) * np.float32(0.05))
        expected = np.rint(module(x).numpy().astype(np.float64) / scale) - 7
        result = interpret(graph, [levels])[graph.outputs[0].tensor]
        np.testing.assert_array_equal(result, expected.astype(np.int8))


def test_a_narrow_range_of_levels_is_a_clamp() -> None:
    """X86's reduced range: what lies above 127 of 255 levels is cut off."""
    module = Wrapped(lambda m, x: through(x, 0.05, 60, 10, 127, torch.uint8))
    graph = import_torch_module(module, (noise(1, 256),))
    levels = np.arange(-128, 128).astype(np.int8)[None]
    result = interpret(graph, [levels])[graph.outputs[0].tensor]
    np.testing.assert_array_equal(result, np.clip(levels, 10 - 128, 127 - 128))


def test_scales_may_be_tensors() -> None:
    def function(module: Any, x: torch.Tensor) -> torch.Tensor:
        levels = library.quantize_per_tensor.tensor(x, module.scale, module.zero, *INT8)
        return library.dequantize_per_tensor.tensor(levels, module.scale, module.zero, *INT8)

    module = Wrapped(function, scale=torch.tensor(0.125), zero=torch.tensor(-5))
    graph = import_torch_module(module, (noise(1, 8),))
    quantization = graph.tensors[graph.inputs[0].tensor].quantization
    assert (quantization.scale, quantization.zero_point) == (0.125, -5)


def test_levels_may_be_the_output() -> None:
    module = Wrapped(lambda m, x: library.quantize_per_tensor(x, 0.1, 0, *UINT8))
    graph = import_torch_module(module, (noise(1, 8),))
    assert graph.tensors[graph.outputs[0].tensor].quantization.zero_point == -128


def per_channel(axis: int) -> Any:
    def function(m: Any, x: torch.Tensor) -> torch.Tensor:
        weights = library.dequantize_per_channel(m.w, m.scales, None, axis, -127, 127, torch.int8)
        return through(nn.functional.linear(through(x, *X), weights), *Y)

    return function


def grouped(m: Any, x: torch.Tensor) -> torch.Tensor:
    scales, zeros = m.scales.reshape(4, 1), torch.zeros(4, 1, dtype=torch.int8)
    arguments = (-8, 7, torch.int8, 4, torch.float32)
    weights = library.dequantize_per_channel_group(m.w, scales, zeros, *arguments)
    return through(nn.functional.linear(through(x, *X), weights), *Y)


def dynamic(m: Any, x: torch.Tensor) -> torch.Tensor:
    scale, zero = library.choose_qparams.tensor(x, -128, 127, 1e-7, torch.int8)
    levels = library.quantize_per_tensor.tensor(x, scale, zero, *INT8)
    x = library.dequantize_per_tensor.tensor(levels, scale, zero, *INT8)
    return through(nn.functional.linear(x, m.real), *Y)


def on_levels(m: Any, x: torch.Tensor) -> torch.Tensor:
    return library.dequantize_per_tensor(library.quantize_per_tensor(x, *X, *INT8) + 1, *X, *INT8)


def other_scale(m: Any, x: torch.Tensor) -> torch.Tensor:
    return library.dequantize_per_tensor(library.quantize_per_tensor(x, *X, *INT8), 0.1, 3, *INT8)


REFUSED: dict[str, tuple[Any, str]] = {
    "weights_per_group": (grouped, "dequantize_per_channel_group .*one per output channel"),
    "weights_per_input": (per_channel(1), "scales are not those of output channels"),
    "dynamic": (dynamic, "choose_qparams .*computed at run time"),
    "int16": (
        lambda m, x: through(x, 0.1, 0, -32768, 32767, torch.int16),
        "int16 is not supported; quantize to int8 or uint8",
    ),
    "activations_per_channel": (
        lambda m, x: library.dequantize_per_channel(
            library.quantize_per_channel(x, m.scales, m.zeros, 1, *INT8), m.scales, m.zeros, 1, *INT8
        ),
        "scales per channel of an activation",
    ),
    "arithmetic_on_integers": (on_levels, "it works on integers; dequantize in front of it"),
    "two_scales": (other_scale, "not the one it was quantized with"),
    "asymmetric_weights": (
        lambda m, x: through(
            nn.functional.linear(
                through(x, *X), library.dequantize_per_tensor(m.unsigned, 0.1, 3, *UINT8)
            ), *Y,
        ),
        "weights less their zero point leave int8",
    ),
    "partly_float": (
        lambda m, x: through(nn.functional.linear(torch.exp(torch.sin(through(x, *X))), m.real), *Y),
        "exp.*has no scale|lookup.*has no scale",
    ),
    "float_input": (
        lambda m, x: through(torch.exp(x), *Y), "input 'x': it has no scale; quantize it",
    ),
}  # fmt: skip


def refused(name: str) -> nn.Module:
    function, _ = REFUSED[name]
    return Wrapped(
        function,
        w=torch.arange(-8, 8, dtype=torch.int8).reshape(4, 4),
        real=torch.linspace(-1, 1, 16).reshape(4, 4),
        scales=torch.tensor([0.1, 0.2, 0.3, 0.43]),
        zeros=torch.zeros(4, dtype=torch.int64),
        unsigned=torch.arange(0, 256, 16, dtype=torch.uint8).reshape(4, 4),
    )


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_line(name: str) -> None:
    with pytest.raises(UnsupportedError, match=REFUSED[name][1]) as error:
        import_torch_module(refused(name), (noise(1, 4),))
    assert all("\n" not in line for line in error.value.lines)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_scale_that_is_no_scale_is_refused(scale: float) -> None:
    with pytest.raises(BadInputError, match="a scale is not above 0"):
        import_torch_module(Wrapped(lambda m, x: through(x, scale, 0)), (noise(1, 4),))


@pytest.mark.parametrize("zero_point", [200, -10_000_000_000])
def test_zero_point_outside_the_type_is_refused(zero_point: int) -> None:
    with pytest.raises(EdgekitError, match="zero point"):
        import_torch_module(Wrapped(lambda m, x: through(x, 0.1, zero_point)), (noise(1, 4),))


def test_pt2_file_converts_without_calibration(edgekit: Edgekit, tmp_path: Path) -> None:
    path = tmp_path / "net.pt2"
    torch.export.save(torch.export.export(Convolution(), IMAGE), path)
    result = edgekit("convert", path, "-t", "cortex-m4", "-o", tmp_path / "out")
    assert (result.code, result.err) == (0, "")
    assert (tmp_path / "out" / "reference" / "source.pt2").exists()
    np.save(tmp_path / "x.npy", IMAGE[0].numpy())
    again = edgekit(
        "convert", path, "-t", "cortex-m4", "-o", tmp_path / "out", "--calib", tmp_path / "x.npy"
    )
    assert again.code == 0
    assert again.err == "warning: --calib is not used: the model is already quantized\n"


def test_pt2_file_that_is_refused_has_exit_code_3(edgekit: Edgekit, tmp_path: Path) -> None:
    path = tmp_path / "net.pt2"
    torch.export.save(torch.export.export(refused("weights_per_group"), (noise(1, 4),)), path)
    result = edgekit("convert", path, "-t", "cortex-m4", "-o", tmp_path / "out")
    assert result.code == 3
    assert len(result.err.splitlines()) == 1


def test_source_lines_do_not_reach_the_reference(tmp_path: Path) -> None:
    """Equal programs give equal bytes, and no path of this machine is among them."""
    first, second = (
        read_exported_program(torch.export.export(Convolution(), IMAGE)).program for _ in range(2)
    )
    assert first is not None and first == second
    assert __file__.encode() not in first


def test_exported_program_brings_its_own_inputs() -> None:
    program = torch.export.export(Convolution(), IMAGE)
    with pytest.raises(BadInputError, match="has its own; leave them out"):
        package.convert(program, IMAGE)
    report = package.convert(program, target="cortex-m4").validate(on=("host",), samples=6)
    assert [rung.name for rung in report.assert_ok().rungs] == ["reference", "source", "host"]


def test_loading_does_not_need_torchao(tmp_path: Path) -> None:
    path = tmp_path / "net.pt2"
    torch.export.save(torch.export.export(Convolution(), IMAGE), path)
    code = (
        "import sys; from pathlib import Path; from edgekit.converters.from_torch import import_pt2;"
        f"import_pt2(Path({str(path)!r})); print('torchao' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "False\n" and result.stderr == ""
    assert isinstance(import_pt2(path), QGraph)
