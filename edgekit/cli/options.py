# SPDX-License-Identifier: Apache-2.0
"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

if TYPE_CHECKING:
    from edgekit.converters.quantize.options import QuantizeOptions

Model = Annotated[
    str,
    typer.Argument(
        help="A .tflite, an .onnx, a .pt2 of torch.export.save, or file.py:function, where the "
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
Method = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--method",
        help="How ranges are found: minmax, moving_average, percentile, mse, entropy. "
        "Default: minmax.",
    ),
]
Equalize = Annotated[
    Optional[bool],  # noqa: UP045
    typer.Option(
        "--equalize/--no-equalize", help="Equalize the ranges of channels between layers."
    ),
]
BiasCorrection = Annotated[
    Optional[bool],  # noqa: UP045
    typer.Option(
        "--bias-correction/--no-bias-correction",
        help="Correct the mean of every channel over calibration samples.",
    ),
]
Rounding = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="Weights: nearest, or learned (AdaRound) over calibration samples."),
]
Config = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        "--config",
        metavar="EDGEKIT.TOML",
        help="Options of quantization, for single layers too; the command line wins.",
    ),
]
StreamOutput = Annotated[
    bool,
    typer.Option(
        "--stream-output",
        help="Hand the rows of the output to a callback as they are computed, instead of "
        "holding all of it: for segmentation and super-resolution.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout instead of tables.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the generated inputs.")]


def quantize_options(
    config: Path | None,
    *,
    method: str | None,
    equalize: bool | None,
    bias_correction: bool | None,
    rounding: str | None,
) -> QuantizeOptions:
    """The options of a file and of the command line together."""
    from edgekit.converters.quantize.config import load_options
    from edgekit.converters.quantize.options import QuantizeOptions

    every = {
        "method": method,
        "equalize": equalize,
        "bias_correction": bias_correction,
        "rounding": rounding,
    }
    given: dict[str, Any] = {name: value for name, value in every.items() if value is not None}
    if config is not None:
        return load_options(config, given)
    return QuantizeOptions(**given).verify()
