# SPDX-License-Identifier: Apache-2.0
"""The models that the tests convert, by name: shared files, hand-made graphs, PyTorch networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import edgekit
from edgekit.artifact import Artifact
from edgekit.converters.load import Imported
from edgekit.ir import QGraph
from edgekit.pipeline import ConvertOptions, convert_model, to_integers
from edgekit.target import load_target
from support.graphs import GRAPHS

SHARED = ("kws_int8", "vww_96_int8", "mcunet_vww")
TORCH = ("mobilenet_v2", "resnet8")


def convert_named(
    name: str,
    shared_model: Callable[[str], Path],
    *,
    target: str = "cortex-m4",
    prefix: str = "model",
) -> Artifact:
    """Convert a model of SHARED, TORCH or support.graphs.GRAPHS."""
    if name in GRAPHS:
        return convert_graph(GRAPHS[name](), target=target, prefix=prefix)
    if name in TORCH:
        module, inputs = _torch_model(name)
        calibration = _calibration(inputs)
        return edgekit.convert(module, inputs, calibration=calibration, target=target, name=prefix)
    return edgekit.convert(shared_model(name), target=target, name=prefix)


def convert_graph(
    graph: QGraph, *, target: str = "cortex-m4", prefix: str = "model", kernels: str = "auto"
) -> Artifact:
    """Convert an integer model that was made by hand."""
    options = ConvertOptions(load_target(target), name=prefix, kernels=kernels)
    return Artifact(convert_model(to_integers(Imported(graph), None), options))


def _torch_model(name: str) -> tuple[Any, tuple[Any, ...]]:
    from support import torch_models

    if name == "mobilenet_v2":
        return torch_models.mobilenet_v2(width=0.35, resolution=96, classes=100)
    return torch_models.resnet8()


def _calibration(inputs: tuple[Any, ...]) -> list[Any]:
    """Four samples of noise in the shape of the example."""
    from support.torch_models import noise

    return [noise(*inputs[0].shape, seed=seed) for seed in range(4)]
