# SPDX-License-Identifier: Apache-2.0
"""Whole networks compared with PyTorch: the imported graph, and a conversion over noise."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils import _pytree

import edgekit
from edgekit.artifact import Artifact
from edgekit.converters.from_torch import import_torch_module
from edgekit.converters.legalize import legalize
from edgekit.converters.load import Imported
from edgekit.converters.samples import samples_of
from edgekit.ir import Graph
from edgekit.pipeline import ConvertOptions, convert_model, to_integers
from edgekit.target import load_target
from support.torch_checks import TOLERANCE, float_outputs
from support.torch_models import noise

SAMPLES = 8


def assert_graph_is_the_module(
    graph: Graph, module: nn.Module, inputs: tuple[torch.Tensor, ...]
) -> None:
    """Compare an imported graph, as it is and legalized, with PyTorch."""
    with torch.no_grad():
        expected = _pytree.tree_leaves(module(*(value.clone() for value in inputs)))
    for candidate in (graph, legalize(graph)):
        results = float_outputs(candidate, inputs)
        for result, wanted in zip(results, expected, strict=True):
            bound = TOLERANCE * max(1.0, float(wanted.abs().max()))
            np.testing.assert_allclose(result, wanted.numpy(), rtol=0, atol=bound)


def calibration(inputs: tuple[torch.Tensor, ...]) -> list[tuple[torch.Tensor, ...]]:
    """Samples of standard normal noise, another one for every input."""
    return [
        tuple(noise(*value.shape, seed=100 * sample + i) for i, value in enumerate(inputs))
        for sample in range(SAMPLES)
    ]


def convert_checked(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> Artifact:
    """Compare the graph and convert it: one export for both, which takes longer than the rest."""
    graph = import_torch_module(module, inputs)
    assert_graph_is_the_module(graph, module, inputs)
    samples = samples_of(calibration(inputs), graph.inputs, where="calibration")
    integers = to_integers(Imported(graph), samples)
    return Artifact(convert_model(integers, ConvertOptions(load_target("cortex-m4"))))


def convert(model: Any, inputs: tuple[torch.Tensor, ...], **options: Any) -> Artifact:
    """Convert a module, or the file of one, for Cortex-M4."""
    options.setdefault("calibration", calibration(inputs))
    example_inputs = None if isinstance(model, Path) else inputs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=FutureWarning)  # of torch.export about itself
        return edgekit.convert(model, example_inputs, target="cortex-m4", **options)
