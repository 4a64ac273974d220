# SPDX-License-Identifier: Apache-2.0
"""PyTorch models that went through torchao's PT2E flow."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

import edgekit
from edgekit.quiet import quiet
from support.torch_models import noise

Inputs = tuple[torch.Tensor, ...]


def flow() -> Any:
    """torchao's functions; its import logs which of its binaries do not fit."""
    with quiet():
        from torchao.quantization.pt2e import quantize_pt2e
    return quantize_pt2e


def prepared(module: nn.Module, inputs: Inputs, quantizer: Any = None) -> Any:
    """The module with observers."""
    exported = torch.export.export(module.eval(), inputs).module()
    return flow().prepare_pt2e(exported, quantizer or edgekit.EdgekitQuantizer())


def calibrated(model: Any, inputs: Inputs, *, count: int = 4) -> Any:
    """A prepared model that has seen noise of the shapes of ``inputs``."""
    with torch.no_grad():
        for seed in range(count):
            model(*(noise(*value.shape, seed=seed + 10 * i) for i, value in enumerate(inputs)))
    return model


def quantized(
    module: nn.Module, inputs: Inputs, quantizer: Any = None, **options: Any
) -> torch.fx.GraphModule:
    """The module, quantized over noise."""
    model = calibrated(prepared(module, inputs, quantizer), inputs)
    return flow().convert_pt2e(model, **options)


def program(module: nn.Module, inputs: Inputs, quantizer: Any = None, **options: Any) -> Any:
    """The quantized module as an exported program."""
    return torch.export.export(quantized(module, inputs, quantizer, **options), inputs)
