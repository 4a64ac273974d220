# SPDX-License-Identifier: Apache-2.0
"""Ranges from samples: histograms in any order, what each method clips, what is shared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.converters.quantize.calibrate import Statistics, calibrate
from edgekit.converters.quantize.config import load_options, options_of
from edgekit.converters.quantize.histogram import BINS, Histogram
from edgekit.converters.quantize.options import METHODS, LayerOptions, QuantizeOptions
from edgekit.converters.quantize.ptq import quantize
from edgekit.converters.quantize.ranges import choose_ranges, range_of
from edgekit.converters.quantize.recipe import quantize_model
from edgekit.converters.quantize.scales import quantization_of
from edgekit.errors import BadInputError
from edgekit.ir import Graph, Node, Port, Tensor, constant
from edgekit.ops.concat import Concat
from edgekit.ops.conv2d import Conv2d
from edgekit.ops.max_pool2d import MaxPool2d
from edgekit.ops.softmax import Softmax
from edgekit.window import Axis, Window

POINT = Window(Axis(1), Axis(1))


def statistics_of(*samples: Any) -> Statistics:
    """What is seen of one activation."""
    size = np.size(samples[0])
    tensors = [Tensor("x", (1, size), "float32"), Tensor("y", (1, size), "float32")]
    # A node is needed, so that there is something to run.
    node = Node("n", "requantize", ("x",), ("y",), _no_clamp())
    ports = [Port(t.name, t.name, t.shape) for t in tensors]
    graph = Graph({t.name: t for t in tensors}, (node,), (ports[0],), (ports[1],)).verify()
    arrays = [(np.asarray(s, np.float32).reshape(1, size),) for s in samples]
    return calibrate(graph, arrays, histograms=True).statistics["x"]


def _no_clamp() -> Any:
    from edgekit.ops.requantize import Requantize

    return Requantize()


def normal(count: int = 50_000, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(count).astype(np.float32)


def test_histogram_does_not_depend_on_the_order_of_samples() -> None:
    parts = [normal(1000, seed) * 10.0**power for seed, power in enumerate((0, 2, -3, 1))]
    parts.append(np.zeros(1000, np.float32))
    parts.append(np.array([1.0, -1.0, 2.0, -2.0, 0.5, 2.0**-20], np.float32))
    results = []
    for order in (parts, parts[::-1]):
        histogram = Histogram()
        for part in order:
            histogram.add(part, peak=float(np.abs(part).max()))
        results.append(histogram)
    np.testing.assert_array_equal(results[0].masses(), results[1].masses())
    assert results[0].masses().sum() == sum(part.size for part in parts)
    assert results[0].bin_width == results[1].bin_width


def test_histogram_counts_values_where_they_are() -> None:
    histogram = Histogram()
    values = np.array([0.0, 0.999, -1.0, 0.25], np.float32)
    histogram.add(values, peak=1.0)
    centers, masses = histogram.centers, histogram.masses()
    assert histogram.bin_width * BINS == 4.0  # [-2, 2), since 1 itself must lie inside
    for value in values:
        nearest = np.abs(centers - value) <= histogram.bin_width / 2
        assert masses[nearest].sum() >= 1
    assert masses.sum() == 4


def test_methods_on_values_without_outliers_keep_nearly_everything() -> None:
    seen = statistics_of(np.linspace(-1.0, 2.0, 10_000))
    for method in METHODS:
        low, high = range_of(seen, method)
        assert -1.0 <= low <= -0.9, method
        assert 1.8 <= high <= 2.0, method


def test_methods_clip_an_outlier_that_minmax_keeps() -> None:
    seen = statistics_of(np.append(normal(1_000_000), np.float32(60.0)))
    assert range_of(seen, "minmax")[1] == 60.0
    assert range_of(seen, "percentile", percentile=99.99)[1] < 5.0
    assert range_of(seen, "mse")[1] < 45.0
    assert range_of(seen, "entropy")[1] < 55.0


def test_mse_finds_the_least_squared_error_of_its_candidates() -> None:
    values = np.append(normal(1_000_000), np.float32(60.0))
    seen = statistics_of(values)

    def error(bounds: tuple[float, float]) -> float:
        quantization = quantization_of(*bounds)
        steps = np.clip(np.rint(values / quantization.scale) + quantization.zero_point, -128, 127)
        real = (steps - quantization.zero_point) * quantization.scale
        return float(((real - values.astype(np.float64)) ** 2).sum())

    assert error(range_of(seen, "mse")) < 0.9 * error(range_of(seen, "minmax"))
    assert error(range_of(seen, "mse")) <= error(range_of(seen, "percentile"))


def test_moving_average_follows_the_samples() -> None:
    seen = statistics_of([-1.0, 1.0], [-2.0, 2.0], [-2.0, 2.0])
    low, high = range_of(seen, "moving_average")
    assert high == pytest.approx(1.0 * 0.81 + 2.0 * 0.19)
    assert low == -high


def test_percentile_of_100_keeps_the_extremes() -> None:
    seen = statistics_of(normal())
    assert range_of(seen, "percentile", percentile=100.0) == range_of(seen, "minmax")


def two_branches(*, softmax: bool = False) -> Graph:
    """Two convolutions of unlike ranges, one pooled, joined along the channels."""
    shape = (1, 2, 2, 3)
    tensors = [
        Tensor("x", shape, "float32"),
        constant("w1", np.eye(3, dtype=np.float32)[:, None, None, :]),
        constant("w9", 9 * np.eye(3, dtype=np.float32)[:, None, None, :]),
        *(Tensor(name, shape, "float32") for name in ("a", "b", "c")),
        Tensor("joined", (1, 2, 2, 6), "float32"),
    ]
    last = (
        Node("last", "softmax", ("b",), ("c",), Softmax())
        if softmax
        else Node("last", "max_pool2d", ("b",), ("c",), MaxPool2d(POINT))
    )
    nodes = (
        Node("first", "conv2d", ("x", "w1"), ("a",), Conv2d(POINT)),
        Node("second", "conv2d", ("x", "w9"), ("b",), Conv2d(POINT), source="net.second"),
        last,
        Node("concat", "concat", ("a", "c"), ("joined",), Concat(3)),
    )
    ports = (Port("x", "x", shape),), (Port("joined", "joined", (1, 2, 2, 6)),)
    return Graph({t.name: t for t in tensors}, nodes, *ports).verify()


def samples(count: int = 8) -> list[tuple[Any, ...]]:
    return [(normal(12, seed).reshape(1, 2, 2, 3),) for seed in range(count)]


def test_concat_and_what_leads_to_it_share_one_scale() -> None:
    graph = two_branches()
    statistics = calibrate(graph, samples()).statistics
    result = quantize(graph, choose_ranges(graph, statistics, QuantizeOptions()))
    quantizations = {result.tensors[name].quantization for name in ("a", "b", "c", "joined")}
    assert len(quantizations) == 1
    assert result.tensors["x"].quantization not in quantizations
    concat = result.nodes[-1].arithmetic
    assert all(concat.copies(position) for position in range(2))


def test_concat_rescales_an_input_whose_scale_its_operator_fixes() -> None:
    graph = two_branches(softmax=True)
    statistics = calibrate(graph, samples()).statistics
    result = quantize(graph, choose_ranges(graph, statistics, QuantizeOptions()))
    concat = result.nodes[-1].arithmetic
    assert concat.copies(0)
    assert not concat.copies(1)
    assert result.tensors["b"].quantization != result.tensors["joined"].quantization


def test_layers_have_their_own_method_and_range() -> None:
    layers = (
        ("net.*", LayerOptions(range=(-100.0, 50.0))),
        ("first", LayerOptions(method="percentile", percentile=60.0)),
        ("concat", LayerOptions(method="percentile", percentile=60.0)),
    )
    plain = two_branches(softmax=True)
    result = quantize_model(plain, samples(), QuantizeOptions(layers=layers)).graph
    assert result.tensors["b"].quantization == quantization_of(-100.0, 50.0)
    unclipped = quantize_model(plain, samples(), QuantizeOptions()).graph
    ours, theirs = (g.tensors["a"].quantization for g in (result, unclipped))
    assert ours is not None and theirs is not None
    assert ours.scale < theirs.scale


def test_patterns_without_a_layer_are_refused() -> None:
    options = QuantizeOptions(layers=(("features.*", LayerOptions(method="mse")),))
    with pytest.raises(BadInputError, match=r"no layer matches; there are first, net.second"):
        quantize_model(two_branches(), samples(), options)


def test_options_of_a_file_and_of_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "edgekit.toml"
    path.write_text(
        '[quant]\nmethod = "mse"\nequalize = true\npercentile = 99.5\n'
        '[quant.layers."net.*"]\nrange = [-1, 2.5]\nrounding = "nearest"\n',
        encoding="utf-8",
    )
    options = load_options(path, {"method": "entropy"})
    assert options == QuantizeOptions(
        method="entropy",
        equalize=True,
        percentile=99.5,
        layers=(("net.*", LayerOptions(range=(-1.0, 2.5), rounding="nearest")),),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[quant", "cannot be read"),
        ("[other]\n", r"no table \[other\]"),
        ("[quant]\nmethods = 1\n", "no option 'methods'; use adjust_samples"),
        ('[quant]\nmethod = "best"\n', "quant: method best: use minmax or"),
        ("[quant]\nequalize = 1\n", "equalize = 1 is of a wrong type"),
        ("[quant]\npercentile = 20\n", r"percentile 20 is not in \(50, 100\]"),
        ("[quant]\nadjust_samples = 0\n", "give at least 1"),
        ("[quant]\nlayers = 3\n", "a table for every pattern"),
        ('[quant.layers."a"]\nrange = [1]\n', "must be two numbers"),
        ('[quant.layers."a"]\nrange = [2, 1]\n', "is not one"),
        ('[quant.layers."a"]\nrange = [nan, 1]\n', "is not one"),
        ('[quant.layers."a"]\nadjust_samples = 4\n', "no option 'adjust_samples'"),
    ],
)
def test_wrong_options_are_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "edgekit.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInputError, match=message):
        load_options(path, {})


def test_options_of_python_are_those_of_a_file() -> None:
    layers = {"a*": {"method": "mse", "range": [0, 1]}}
    options = options_of({"quant": {"rounding": "learned", "layers": layers}}, where="here")
    assert options.rounding == "learned"
    assert options.layers == (("a*", LayerOptions(method="mse", range=(0.0, 1.0))),)
    with pytest.raises(BadInputError, match="here: quant has no option 'round'"):
        options_of({"quant": {"round": 1}}, where="here")
