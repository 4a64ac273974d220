# SPDX-License-Identifier: Apache-2.0
"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

Model = Annotated[
    str,
    typer.Argument(
        help="An int8 .tflite, an .onnx, a .pt2 of torch.export.save, or file.py:function, where the "
        "function returns (nn.Module, example_inputs).",
        metavar="MODEL",
    ),
]
Directory = Annotated[
    Path, typer.Argument(help="A folder that `edgekit convert` wrote.", metavar="DIR")
]
TargetName = Annotated[
    str,
    typer.Option(
        "-t", "--target", help="A core or board (see `edgekit targets`), or a target's .toml file."
    ),
]
Calibration = Annotated[
    Optional[str],  # noqa: UP045 - typer evaluates it on Python 3.10
    typer.Option(
        "--calib",
        metavar="DATA",
        help="Inputs that quantization measures ranges on: .npz or .npy (samples first), or "
        "file.py:function that yields inputs. Only for float models.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout instead of tables.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the generated inputs.")]
