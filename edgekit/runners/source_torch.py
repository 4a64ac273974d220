# SPDX-License-Identifier: Apache-2.0
"""Run the imported quantized program in PyTorch, compared at the int8 boundary and layer by layer.

Between quantize and dequantize, PyTorch computes in float32; source_layers.py says where its results
differ from the reference's, and what is judged.
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgekit.errors import MissingProgramError
from edgekit.inputs import dequantize_array
from edgekit.ir import Array, QGraph
from edgekit.manifest import Manifest
from edgekit.quiet import quiet
from edgekit.runners.source import SourceRefusedError, in_source_order
from edgekit.runners.source_layers import (
    QuantizedSource,
    SourceRun,
    activation_levels,
    port_levels,
)


def torch_installed() -> bool:
    """Whether PyTorch can be imported."""
    return importlib.util.find_spec("torch") is not None


def run_torch(
    source: QuantizedSource, manifest: Manifest, graph: QGraph, samples: Sequence[Sequence[Array]]
) -> tuple[SourceRun, ...]:
    """Outputs of PyTorch as the integers of the manifest, and its activations.

    Raises:
        MissingProgramError: PyTorch is not installed.
        SourceRefusedError: it cannot run the program.
    """
    try:
        import torch
        import torch.ao.quantization.fx._decomposed  # the operators that quantize
    except ImportError:
        raise MissingProgramError(
            "PyTorch: not installed; install it with: pip install 'edgekit[torch]'"
        ) from None
    levels = {name: level for name, level in source.levels.items() if name in graph.tensors}
    try:
        with quiet(), torch.no_grad():
            module = torch.export.load(io.BytesIO(source.model)).module()
            runs = [_run(torch, module, manifest, levels, sample) for sample in samples]
    except Exception as error:  # its exceptions have no common base
        fact = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SourceRefusedError(f"PyTorch refuses the program: {fact}") from None
    return tuple(
        SourceRun(
            run.outputs,
            {n: a for n, a in run.levels.items() if a.shape == graph.tensors[n].shape},
        )
        for run in runs
    )


def _run(
    torch: Any,
    module: Any,
    manifest: Manifest,
    levels: Mapping[str, str],
    sample: Sequence[Array],
) -> SourceRun:
    feeds = [
        torch.from_numpy(
            np.ascontiguousarray(in_source_order(dequantize_array(array, entry), entry)).reshape(
                entry.source_shape
            )
        )
        for array, entry in zip(sample, manifest.inputs, strict=True)
    ]
    found: dict[str, Array] = {}
    wanted = set(levels.values())

    class Recorder(torch.fx.Interpreter):  # type: ignore[misc]
        """Keeps the results of quantize calls."""

        def run_node(self, n: Any) -> Any:
            result = super().run_node(n)
            if n.name in wanted:
                found[n.name] = result.numpy()
            return result

    results = Recorder(module).run(*feeds)
    results = [
        value
        for value in torch.utils._pytree.tree_leaves(results)
        if isinstance(value, torch.Tensor)
    ]
    outputs = tuple(
        port_levels(value.numpy(), entry)
        for value, entry in zip(results, manifest.outputs, strict=True)
    )
    kept = {name: activation_levels(found[level]) for name, level in levels.items()}
    return SourceRun(outputs, kept)
