# SPDX-License-Identifier: Apache-2.0
"""timm's network definitions, without what timm needs besides them, with seeded weights.

timm is installed without its dependencies: importing it executes `timm.data` (loaders, which need
torchvision and Pillow) and asks torchvision for one class. Networks need the constants of the
former and never an instance of the latter.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import torch
from torch import nn

RESOLUTION = 96
CLASSES = 10


def create(name: str) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """(module, example inputs) of a network of timm, as if trained: its activations are normal."""
    models = load_timm()
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = models.create_model(name, num_classes=CLASSES)
        images = torch.randn(8, 3, RESOLUTION, RESOLUTION, generator=generator)
        settle(module, images, generator)
    return module.eval(), (images[:1],)


def settle(module: nn.Module, images: torch.Tensor, generator: torch.Generator) -> None:
    """Random affine parameters for the norms, and the running statistics of ``images``.

    Layer scales, which start at 1e-6, and temperatures of attention leave their neutral values too.
    """
    module.train()
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.split(".")[-1] in ("gamma", "gamma_xca", "temperature"):
                parameter.copy_(torch.rand(parameter.shape, generator=generator) + 0.3)
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d):
                part.momentum = 1.0
                part.weight.copy_(torch.rand(part.weight.shape, generator=generator) * 0.8 + 0.6)
                part.bias.copy_(torch.rand(part.bias.shape, generator=generator) + 0.3)
            if isinstance(part, nn.LayerNorm):
                part.weight.copy_(torch.rand(part.weight.shape, generator=generator) + 0.5)
                part.bias.copy_(torch.rand(part.bias.shape, generator=generator) - 0.5)
        module(images)


def load_timm() -> Any:
    """The package timm.models, whose import touches neither torchvision nor timm's loaders."""
    spec = importlib.util.find_spec("timm")
    if spec is None or spec.origin is None:
        raise ImportError("timm is missing; run: pip install --no-deps timm")
    if "timm.models" not in sys.modules:
        data = Path(spec.origin).parent / "data"
        frozen = type("FrozenBatchNorm2d", (nn.Module,), {})
        for name in ("torchvision", "torchvision.ops"):
            _add_module(name, {}, path=())
        _add_module("torchvision.ops.misc", {"FrozenBatchNorm2d": frozen})
        loader = importlib.machinery.SourceFileLoader(
            "timm.data.constants", str(data / "constants.py")
        )
        constants = types.ModuleType(loader.name)
        loader.exec_module(constants)
        _add_module("timm.data", vars(constants), path=(str(data),))
    return importlib.import_module("timm.models")


def _add_module(name: str, contents: dict[str, Any], path: tuple[str, ...] | None = None) -> None:
    module = types.ModuleType(name)
    module.__dict__.update({key: v for key, v in contents.items() if not key.startswith("__")})
    if path is not None:
        module.__path__ = list(path)
    sys.modules.setdefault(name, module)
