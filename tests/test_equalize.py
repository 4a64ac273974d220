# SPDX-License-Identifier: Apache-2.0
"""Cross-layer equalization, bias correction and learned rounding: what they change, and what not."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from edgekit.converters.legalize import legalize
from edgekit.converters.quantize.equalize import equalizable_pairs, equalize
from edgekit.converters.quantize.options import LayerOptions, QuantizeOptions
from edgekit.converters.quantize.real import dequantized, quantized_sample
from edgekit.converters.quantize.recipe import quantize_model
from edgekit.converters.quantize.rounding import RoundingProblem, learn_rounding
from edgekit.converters.samples import noise_samples
from edgekit.interpret import interpret, interpret_float
from edgekit.ir import Graph, QGraph
from edgekit.ops._weight_channels import OUTPUT_AXIS

torch = pytest.importorskip("torch", reason="PyTorch is missing; run: pip install 'edgekit[torch]'")

from support.unbalanced import unbalanced  # noqa: E402
from torch import nn  # noqa: E402

from edgekit.converters.from_torch import import_torch_module  # noqa: E402

EQUALIZE = QuantizeOptions(equalize=True)


def imported(activation: type[nn.Module] = nn.ReLU) -> Graph:
    return legalize(import_torch_module(unbalanced(activation), torch.zeros(1, 4, 12, 12)))


def outputs(graph: QGraph, samples: Any) -> Any:
    """The real outputs of an integer model."""
    ports = [graph.tensors[port.tensor] for port in graph.inputs]
    name = graph.outputs[0].tensor
    results = [interpret(graph, quantized_sample(s, ports), outputs_only=True) for s in samples]
    return np.stack([dequantized(result[name], graph.tensors[name]) for result in results])


def exact_outputs(graph: Graph, samples: Any) -> Any:
    name = graph.outputs[0].tensor
    return np.stack([interpret_float(graph, sample)[name] for sample in samples])


def sqnr_db(graph: Graph, options: QuantizeOptions, samples: Any, tested: Any) -> float:
    exact = exact_outputs(graph, tested)
    error = outputs(quantize_model(graph, samples, options).graph, tested) - exact
    return float(10 * np.log10((exact**2).sum() / (error**2).sum()))


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Identity, nn.LeakyReLU])
def test_equalized_networks_compute_the_same(activation: Any) -> None:
    graph = imported(activation)
    result, pairs = equalize(graph, EQUALIZE)
    assert len(pairs) == 4
    samples = noise_samples(graph, 3, 0)
    exact = exact_outputs(graph, samples)
    # float32 weights are rounded once for every factor
    np.testing.assert_allclose(exact_outputs(result, samples), exact, rtol=2e-4, atol=2e-5)
    assert [n.name for n in result.nodes] == [n.name for n in graph.nodes]


def test_equalized_channels_have_alike_ranges() -> None:
    graph = imported()
    result, _ = equalize(graph, EQUALIZE)

    def spread(graph: Graph) -> float:
        """The largest ratio between what two channels of a pair weigh on both sides."""
        worst = 1.0
        for front, behind in equalizable_pairs(graph):
            weights = np.abs(graph.call(front).constant(1))
            axes = tuple(i for i in range(weights.ndim) if i != OUTPUT_AXIS[front.op])
            before = weights.max(axis=axes)
            readers = np.abs(graph.call(behind).constant(1))
            if behind.op == "depthwise_conv2d":
                after = readers[0].max(axis=(0, 1))
            elif behind.op == "fully_connected":
                after = readers.max(axis=0)
            else:
                grouped = readers.reshape(len(before) // readers.shape[3], -1, *readers.shape[1:])
                after = grouped.max(axis=(1, 2, 3)).reshape(-1)
            ratio = before / after
            worst = max(worst, float(ratio.max() / ratio.min()))
        return worst

    assert spread(graph) > 100
    assert spread(result) < 1.1


def test_equalization_regains_what_unequal_channels_lose() -> None:
    graph = imported()
    samples, tested = noise_samples(graph, 16, 0), noise_samples(graph, 8, 9)
    plain = sqnr_db(graph, QuantizeOptions(), samples, tested)
    equalized = sqnr_db(graph, EQUALIZE, samples, tested)
    assert equalized > plain + 6


def test_bounds_that_do_not_scale_stay_unequal() -> None:
    graph = imported(nn.ReLU6)
    pairs = [(front.op, behind.op) for front, behind in equalizable_pairs(graph)]
    assert pairs == [("conv2d", "conv2d")]  # the only ones without a bound between them


def test_layers_may_be_left_unequal() -> None:
    graph = imported()
    first = graph.nodes[0].name
    keep = QuantizeOptions(equalize=True, layers=((first, LayerOptions(equalize=False)),))
    result, pairs = equalize(graph, keep)
    assert len(pairs) == 3
    np.testing.assert_array_equal(
        result.call(result.nodes[0]).constant(1), graph.call(graph.nodes[0]).constant(1)
    )


def test_what_another_reader_sees_is_not_equalized() -> None:
    class Shortcut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Conv2d(4, 4, 1)
            self.b = nn.Conv2d(4, 4, 1)

        def forward(self, x: Any) -> Any:
            y = torch.relu(self.a(x))
            return self.b(y), y.mean((2, 3))

    graph = legalize(import_torch_module(Shortcut().eval(), torch.zeros(1, 4, 5, 5)))
    assert equalizable_pairs(graph) == []


def test_bias_correction_restores_the_mean_of_every_channel() -> None:
    graph = imported()
    samples = noise_samples(graph, 24, 0)

    def shifts(options: QuantizeOptions) -> Any:
        exact = exact_outputs(graph, samples)
        return np.abs(
            (outputs(quantize_model(graph, samples, options).graph, samples) - exact).mean(0)
        )

    plain, corrected = shifts(QuantizeOptions()), shifts(QuantizeOptions(bias_correction=True))
    result = quantize_model(graph, samples, QuantizeOptions()).graph
    scale = result.tensors[result.outputs[0].tensor].quantization
    assert scale is not None
    assert plain.max() > scale.scale
    # The last layer's means are restored up to the rounding of outputs: half a step at most.
    assert corrected.max() <= scale.scale / 2


def test_learned_rounding_beats_the_nearest_integers() -> None:
    graph = imported()
    samples, tested = noise_samples(graph, 48, 0), noise_samples(graph, 16, 9)
    base = QuantizeOptions(equalize=True)
    learned = QuantizeOptions(equalize=True, rounding="learned")
    before, after = (sqnr_db(graph, o, samples, tested) for o in (base, learned))
    assert after > before


def problem(groups: int = 3, inputs: int = 12, channels: int = 4) -> RoundingProblem:
    random = np.random.default_rng(1)
    mix = random.standard_normal((groups, inputs, inputs)) / inputs**0.5
    rows = np.maximum(random.standard_normal((groups, 500, inputs)) @ mix + 0.3, 0.0)
    weights = random.uniform(-126, 126, (groups, inputs, channels))
    return RoundingProblem(weights, np.swapaxes(rows, 1, 2) @ rows)


def test_learned_rounding_is_near_the_best_of_all() -> None:
    """Against every combination of up and down of eight weights."""
    small = problem(groups=1, inputs=8, channels=3)
    floor = np.floor(small.weights)
    ups = np.array(list(itertools.product((0, 1), repeat=8)), float)
    every = floor[0][np.newaxis] + ups[:, :, np.newaxis]
    errors = np.stack([small.errors(candidate[np.newaxis])[0] for candidate in every])
    nearest = np.rint(small.weights)
    learned = small.errors(learn_rounding(small, nearest))[0]
    assert (learned >= errors.min(axis=0) * (1 - 1e-9)).all()
    # It finds local optima; for these numbers they are the best of all, or nearly so.
    assert (learned <= errors.min(axis=0) * 1.05).all()
    assert (small.errors(nearest)[0] > errors.min(axis=0) * 1.2).all()


def test_learned_integers_are_neighbours_and_keep_the_ends() -> None:
    large = problem()
    weights = large.weights.copy()
    weights[0, 0, 0], weights[1, 3, 2] = 126.9999999, -127.0
    large = RoundingProblem(weights, large.moments)
    nearest = np.rint(weights)
    learned = learn_rounding(large, nearest)
    assert (np.abs(learned - weights) < 1).all()
    assert (learned[0, 0, 0], learned[1, 3, 2]) == (127, -127)
    assert (large.errors(learned) <= large.errors(nearest)).all()


def test_adjusted_weights_stay_on_their_grid() -> None:
    """Quantization gives exactly the learned integers, next to the real weights."""
    graph = imported()
    samples = noise_samples(graph, 8, 0)
    plain, learned = (
        quantize_model(graph, samples, QuantizeOptions(rounding=rounding)).graph
        for rounding in ("nearest", "learned")
    )
    changed = 0
    for one, other in zip(plain.calls(), learned.calls(), strict=True):
        if one.node.op in OUTPUT_AXIS:
            difference = one.constant(1).astype(int) - other.constant(1)
            assert np.abs(difference).max() <= 1
            changed += int(np.count_nonzero(difference))
            assert one.node.arithmetic.shifts == other.node.arithmetic.shifts
            ratio = np.divide(one.node.arithmetic.multipliers, other.node.arithmetic.multipliers)
            np.testing.assert_allclose(ratio, 1.0, rtol=1e-6)
    assert changed > 0


def test_adjusting_twice_gives_the_same_bytes() -> None:
    graph = imported()
    samples = noise_samples(graph, 8, 0)
    options = QuantizeOptions(equalize=True, bias_correction=True, rounding="learned")
    first, second = (quantize_model(graph, samples, options).graph for _ in range(2))
    assert first.nodes == second.nodes
    for name, tensor in first.tensors.items():
        if tensor.data is not None:
            other = second.tensors[name].data
            assert other is not None
            assert tensor.data.tobytes() == other.tobytes()
