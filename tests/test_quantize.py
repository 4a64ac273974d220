# SPDX-License-Identifier: Apache-2.0
"""Post-training quantization and its samples: scales, sharing, determinism, noise of the result."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.converters.legalize import legalize
from edgekit.converters.quantize.calibrate import calibrate
from edgekit.converters.quantize.ptq import quantize
from edgekit.converters.quantize.scales import quantization_of
from edgekit.converters.samples import load_samples, noise_samples, samples_of
from edgekit.errors import BadInputError
from edgekit.interpret import interpret, interpret_float
from edgekit.ir import Graph, Node, Port, QGraph, Tensor, constant
from edgekit.ops.conv2d import Conv2d
from edgekit.ops.max_pool2d import MaxPool2d
from edgekit.window import Axis, Window

PORT = Port("image", "x", (1, 3, 4, 5), "NCHW")
POINTWISE = Window(Axis(1), Axis(1))


def pointwise(weights: Any, bias: Any, *, pooled: bool = False) -> Graph:
    """A 1x1 convolution on a map of 2 x 2, with a pooling behind it or not."""
    tensors = [
        Tensor("x", (1, 2, 2, len(weights[0])), "float32"),
        constant("w", np.array(weights, np.float32)[:, None, None, :]),
        constant("b", np.array(bias, np.float32)),
        Tensor("y", (1, 2, 2, len(weights)), "float32"),
    ]
    nodes = [Node("conv", "conv2d", ("x", "w", "b"), ("y",), Conv2d(POINTWISE))]
    if pooled:
        tensors.append(Tensor("z", (1, 1, 1, len(weights)), "float32"))
        window = Window(Axis(2), Axis(2))
        nodes.append(Node("pool", "max_pool2d", ("y",), ("z",), MaxPool2d(window)))
    ports = [Port(t.name, t.name, t.shape) for t in (tensors[0], tensors[-1])]
    return Graph({t.name: t for t in tensors}, tuple(nodes), (ports[0],), (ports[1],)).verify()


def real_output(graph: QGraph, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The integer model between real numbers."""
    source, result = graph.inputs[0].tensor, graph.outputs[0].tensor
    before, after = graph.tensors[source].quantization, graph.tensors[result].quantization
    assert before is not None and after is not None
    integers = np.clip(np.round(x / before.scale) + before.zero_point, -128, 127).astype(np.int8)
    return (interpret(graph, [integers])[result].astype(float) - after.zero_point) * after.scale


def sqnr_db(exact: np.ndarray[Any, Any], approximate: np.ndarray[Any, Any]) -> float:
    return 10 * math.log10(float((exact**2).sum() / ((approximate - exact) ** 2).sum()))


@pytest.mark.parametrize(
    ("low", "high"),
    [(-1.0, 1.0), (0.5, 3.0), (-7.0, -2.0), (0.0, 6.0), (-1e-5, 2e-5), (-3e4, 1.0), (1e-30, 1e-30)],
)
def test_ranges_hold_zero_exactly_and_their_ends(low: float, high: float) -> None:
    quantization = quantization_of(low, high)
    least = (-128 - quantization.zero_point) * quantization.scale
    most = (127 - quantization.zero_point) * quantization.scale
    assert -128 <= quantization.zero_point <= 127
    # The zero point is rounded, so either end may miss by half a step.
    assert least <= min(low, 0) + quantization.scale / 2
    assert most >= max(high, 0) - quantization.scale / 2
    assert float(np.float32(quantization.scale)) == quantization.scale


def test_range_of_nothing_has_a_scale() -> None:
    assert quantization_of(0.0, 0.0).scale == pytest.approx(1 / 255, rel=1e-4)


def test_last_bits_of_a_range_do_not_reach_the_scale() -> None:
    high = 5.1
    assert quantization_of(0.0, high) == quantization_of(0.0, float(np.nextafter(high, 9.0)))


def test_pooling_shares_the_quantization_of_its_input() -> None:
    graph = pointwise([[1.0, -2.0]], [0.25], pooled=True)
    result = quantize(graph, calibrate(graph, noise_samples(graph, 4, 0)).ranges)
    assert result.tensors["y"].quantization == result.tensors["z"].quantization
    assert result.nodes[1].arithmetic is not None


def test_bias_of_a_nearly_dead_channel_survives() -> None:
    """Batch norm folding leaves channels with tiny weights; their bias must not overflow."""
    graph = pointwise([[1.0, -1.0], [1e-9, 1e-12], [0.0, 0.0]], [0.1, 0.75, -0.5])
    samples = noise_samples(graph, 4, 0)
    result = quantize(graph, calibrate(graph, samples).ranges)
    scale = result.tensors["y"].quantization
    assert scale is not None
    real = real_output(result, samples[0][0])
    np.testing.assert_allclose(real[..., 1], 0.75, atol=scale.scale)
    np.testing.assert_allclose(real[..., 2], -0.5, atol=scale.scale)


def test_every_activation_needs_a_range() -> None:
    graph = pointwise([[1.0]], [0.0])
    with pytest.raises(BadInputError, match="'y': it was not calibrated"):
        quantize(graph, {"x": (-1.0, 1.0)})
    with pytest.raises(BadInputError, match="no sample"):
        calibrate(graph, [])


def test_first_samples_stay_with_their_outputs() -> None:
    graph = pointwise([[1.0, -2.0]], [0.25], pooled=True)
    samples = noise_samples(graph, 5, 0)
    some, all_of_them = (calibrate(graph, samples, kept=kept) for kept in (3, 9))
    assert some.ranges == all_of_them.ranges
    assert (len(some.samples), len(all_of_them.samples)) == (3, 5)
    for sample, given, outputs in zip(some.samples, samples, some.outputs, strict=False):
        assert sample is given
        expected = interpret_float(graph, sample)
        names = [port.tensor for port in graph.outputs]
        np.testing.assert_array_equal(outputs, [expected[name] for name in names])


def test_models_that_overflow_are_refused() -> None:
    graph = pointwise([[3e38]], [0.0])
    sample = (np.full((1, 2, 2, 1), 1e10, np.float32),)
    with pytest.raises(BadInputError, match=r"'y'.*NaN or Inf"), np.errstate(all="ignore"):
        calibrate(graph, [sample])


def test_shared_weights_behind_different_scales() -> None:
    """One bias constant, two nodes whose inputs have other scales: two integer biases."""
    base = pointwise([[0.1]], [0.5])
    second = Node("again", "conv2d", ("y", "w", "b"), ("z",), Conv2d(POINTWISE))
    tensors = {**base.tensors, "z": Tensor("z", (1, 2, 2, 1), "float32")}
    graph = Graph(tensors, (*base.nodes, second), base.inputs, (Port("z", "z", (1, 2, 2, 1)),))
    samples = noise_samples(graph, 8, 0)
    result = quantize(graph, calibrate(graph, samples).ranges)
    assert {"b", "b/again"} <= result.tensors.keys()
    exact = interpret_float(graph, samples[0])["z"]
    np.testing.assert_allclose(real_output(result, samples[0][0]), exact, atol=0.01)


def test_npz_samples_are_found_by_name_and_transposed(tmp_path: Path) -> None:
    data = np.random.default_rng(0).standard_normal((6, 3, 4, 5))
    np.savez(tmp_path / "named.npz", other=np.zeros(3), image=data)
    np.savez(tmp_path / "x.npz", other=np.zeros(3), x=data)
    np.save(tmp_path / "plain.npy", data.astype(np.float32))
    for name in ("named.npz", "x.npz", "plain.npy"):
        samples = list(load_samples(tmp_path / name, [PORT]))
        assert len(samples) == 6
        assert samples[2][0].dtype == np.float32
        expected = data[2:3].transpose(0, 2, 3, 1).astype(np.float32)
        np.testing.assert_array_equal(samples[2][0], expected)


def test_samples_of_a_function(tmp_path: Path) -> None:
    path = tmp_path / "data.py"
    path.write_text(
        "import numpy as np\n"
        "def single():\n    yield np.ones((3, 4, 5), np.float32)\n"
        "def batches():\n    yield (np.ones((2, 3, 4, 5), np.float32),)\n"
        "def failing():\n    yield np.ones((3, 4, 5), np.float32)\n    raise OSError('disk')\n"
        "def nothing():\n    return iter(())\n"
        "def number():\n    return 3\n"
    )
    assert len(list(load_samples(f"{path}:single", [PORT]))) == 1
    assert [s[0].shape for s in load_samples(f"{path}:batches", [PORT])] == [(1, 4, 5, 3)] * 2
    for name, message in {
        "failing": "OSError: disk",
        "nothing": "no samples",
        "number": "must yield arrays",
        "absent": "no function 'absent'",
    }.items():
        with pytest.raises(BadInputError, match=message):
            list(load_samples(f"{path}:{name}", [PORT]))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 4, 5, 3), np.float32), r"give \(N, 3, 4, 5\) \(NCHW\)"),
        (np.zeros((2, 3, 4, 5), np.uint8), "uint8; give float32"),
        (np.full((2, 3, 4, 5), np.nan, np.float32), "NaN or Inf"),
        (np.zeros((0, 3, 4, 5), np.float32), "no samples"),
    ],
)
def test_wrong_samples_are_refused(array: np.ndarray[Any, Any], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        list(samples_of([array], [PORT], where="data.npz"))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY", b"text"])
def test_files_without_arrays_are_refused(content: bytes, tmp_path: Path) -> None:
    for suffix in (".npz", ".npy"):
        path = tmp_path / f"data{suffix}"
        path.write_bytes(content)
        with pytest.raises(BadInputError, match="not an array file"):
            load_samples(path, [PORT])


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.array([{}, {}], dtype=object))
    with pytest.raises(BadInputError, match="not an array file"):
        load_samples(tmp_path / "data.npz", [PORT])


torch = pytest.importorskip("torch", reason="PyTorch is missing; run: pip install 'edgekit[torch]'")

from support import torch_models  # noqa: E402

from edgekit.converters.from_torch import import_torch_module  # noqa: E402

# Plain int8 of random weights over noise: over three seeds the worst measured was 39.5, 32.6 and
# 20.1 dB; a wrong scale or rounding costs far more than the margin of 3 dB.
LEAST_SQNR_DB = {"ds_cnn": 36.5, "resnet8": 29.5, "mobilenet_v2": 17.0}


def _models() -> dict[str, Any]:
    return {
        "ds_cnn": torch_models.ds_cnn,
        "resnet8": torch_models.resnet8,
        "mobilenet_v2": lambda: torch_models.mobilenet_v2(width=0.35, resolution=96),
    }


def converted(name: str) -> tuple[Graph, QGraph]:
    graph = legalize(import_torch_module(*_models()[name]()))
    return graph, quantize(graph, calibrate(graph, noise_samples(graph, 8, 0)).ranges)


@pytest.mark.parametrize("name", LEAST_SQNR_DB)
def test_quantized_network_is_close_to_the_float_one(name: str) -> None:
    graph, result = converted(name)
    (sample,) = noise_samples(graph, 1, 99)[0]
    exact = interpret_float(graph, [sample])[graph.outputs[0].tensor]
    assert sqnr_db(exact, real_output(result, sample)) >= LEAST_SQNR_DB[name]


def test_conversion_gives_the_same_bytes_twice() -> None:
    (_, first), (_, second) = converted("ds_cnn"), converted("ds_cnn")
    assert first.nodes == second.nodes
    assert list(first.tensors) == list(second.tensors)
    for name, tensor in first.tensors.items():
        other = second.tensors[name]
        assert (tensor.shape, tensor.dtype, tensor.quantization) == (
            other.shape,
            other.dtype,
            other.quantization,
        )
        if tensor.data is not None:
            assert other.data is not None and tensor.data.tobytes() == other.data.tobytes()
