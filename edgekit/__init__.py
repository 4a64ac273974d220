# SPDX-License-Identifier: Apache-2.0
"""edgekit: convolutional networks on microcontrollers, bit-exact from Python to the board."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.version import VERSION

if TYPE_CHECKING:
    from edgekit.artifact import Artifact
    from edgekit.converters.torch_quantizer import EdgekitQuantizer

__all__ = ["EdgekitQuantizer", "convert"]
__version__ = VERSION


def __getattr__(name: str) -> Any:
    """EdgekitQuantizer is for those who have PyTorch; it is imported when somebody asks for it."""
    if name == "EdgekitQuantizer":
        from edgekit.converters.torch_quantizer import EdgekitQuantizer

        return EdgekitQuantizer
    raise AttributeError(f"module 'edgekit' has no attribute '{name}'")


def convert(
    model: Any,
    example_inputs: Any = None,
    *,
    calibration: Iterable[Any] | str | Path | None = None,
    quantization: Mapping[str, Any] | None = None,
    target: str = "cortex-m4",
    max_ram: int | str | None = None,
    max_extra_macs: float | None = None,
    schedule: str = "auto",
    input_mode: str = "resident",
    stream_output: bool = False,
    plan: str | Path | None = None,
    name: str = "model",
    kernels: str = "auto",
) -> Artifact:
    """Convert a network for a target; the result runs, validates and saves itself.

    Args:
        model: a ``torch.nn.Module`` (with ``example_inputs``, a tensor or a tuple of them at batch
            1), a ``torch.export.ExportedProgram``, the path of a ``.tflite``, ``.onnx`` or ``.pt2``
            file, or ``file.py:function``.
        calibration: samples for post-training quantization: a path as for ``--calib``, or an
            iterable of inputs (a tensor or a tuple per sample, batch 1, in the model's own layout).
            Without it the ranges come from seeded noise, with a warning.
        quantization: options of quantization by name, as in the [quant] table of an edgekit.toml:
            ``{"method": "mse", "equalize": True}``.
        target: a core or board (``edgekit targets``), or the path of a target's .toml file.
        max_ram: bytes that arena, input and output may take together, as a number or "64K".
        max_extra_macs: percent of multiply-accumulates that may be computed again to save RAM.
        schedule: "auto" searches, "layerwise" runs one layer after the other, "patch" the first
            layers in a grid of patches, "stream" searches without strips of columns.
        input_mode: how the input comes: "resident", "stream", "pull" or "overwrite".
        plan: the reference/plan.json of a converted model, to run this one in the same way.
        stream_output: hand the rows of the output to a callback instead of holding all of it.
        name: prefix of the generated C.
        kernels: "auto", or "reference" for the plain C kernels.

    Raises:
        EdgekitError: its subclasses in :mod:`edgekit.errors` say what is wrong.
    """
    from edgekit.api import convert_to_artifact

    return convert_to_artifact(
        model,
        example_inputs,
        calibration=calibration,
        quantization=quantization,
        target=target,
        max_ram=max_ram,
        max_extra_macs=max_extra_macs,
        schedule=schedule,
        input_mode=input_mode,
        stream_output=stream_output,
        plan=plan,
        name=name,
        kernels=kernels,
    )
