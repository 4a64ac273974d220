# SPDX-License-Identifier: Apache-2.0
"""Compares what is imported from PyTorch with PyTorch, and its C with the integer reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

import edgekit
from edgekit.converters.from_torch import import_torch_module
from edgekit.converters.legalize import legalize
from edgekit.interpret import interpret_float
from edgekit.ir import Graph
from support import torch_models

# Both sides round float32 sums of up to a few thousand products, in another order; errors grow
# through up to 53 layers, so this is relative to the largest output: 2^-24 * sqrt(1e3) * 53 = 1e-4.
TOLERANCE = 1e-4


class Function(nn.Module):
    """A function behind a 3x3 convolution, so that layouts matter.

    It is called with this module, whose ``constants`` it may use as attributes, and the map.
    """

    def __init__(
        self, function: Callable[..., Any], *, channels: tuple[int, int], **constants: torch.Tensor
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(*channels, 3, padding=1)
        self.function = function
        for name, value in constants.items():
            self.register_parameter(name, nn.Parameter(value))

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(self, self.stem(x))


def float_outputs(graph: Graph, inputs: tuple[torch.Tensor, ...]) -> list[np.ndarray[Any, Any]]:
    """The outputs of a float graph in PyTorch's order of axes."""
    arrays = []
    for port, value in zip(graph.inputs, inputs, strict=True):
        array = value.numpy()
        arrays.append(array.transpose(0, 2, 3, 1) if port.layout == "NCHW" else array)
    results = interpret_float(graph, arrays)
    outputs = []
    for port in graph.outputs:
        result = results[port.tensor]
        outputs.append(result.transpose(0, 3, 1, 2) if port.layout == "NCHW" else result)
        assert outputs[-1].shape == port.source_shape
    return outputs


def assert_same_function(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> Graph:
    """Import, legalize, and compare both graphs with PyTorch; the legalized graph."""
    graph = import_torch_module(module, inputs)
    legal = legalize(graph)
    with torch.no_grad():
        expected = module.eval()(*inputs)
    expected = expected if isinstance(expected, tuple) else (expected,)
    for candidate in (graph, legal):
        results = float_outputs(candidate, inputs)
        assert len(results) == len(expected)
        for result, wanted in zip(results, expected, strict=True):
            bound = TOLERANCE * max(1.0, float(wanted.abs().max()))
            np.testing.assert_allclose(result, wanted.numpy(), rtol=0, atol=bound)
    return legal


def assert_converts(
    module: nn.Module, inputs: tuple[torch.Tensor, ...], *, least_sqnr_db: float = 20.0
) -> edgekit.Artifact:
    """Quantize over noise and compare the C with the reference (==), and the integers with floats.

    int8 layers of noise reach 30 dB or more; a wrong quantization rule ends far below 20.
    """
    samples = [
        tuple(torch_models.noise(*value.shape, seed=seed)[0] for value in inputs)
        for seed in range(4)
    ]
    artifact = edgekit.convert(module, inputs, calibration=samples, target="cortex-m4")
    report = artifact.validate().assert_ok()
    assert report.float is not None and report.float.sqnr_db is not None
    assert report.float.sqnr_db >= least_sqnr_db
    return artifact
