# SPDX-License-Identifier: Apache-2.0
"""edgekit quantize: write the integer model as a file of another tool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgekit.cli.console import progress
from edgekit.cli.options import (
    BiasCorrection,
    Calibration,
    Config,
    Equalize,
    Method,
    Model,
    Rounding,
    quantize_options,
)


def quantize(
    model: Model,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="OUT.tflite", help="The file to write."),
    ],
    calib: Calibration = None,
    scheme: Annotated[
        str, typer.Option(help="int8: weights per channel, activations per tensor.")
    ] = "int8",
    method: Method = None,
    equalize: Equalize = None,
    bias_correction: BiasCorrection = None,
    rounding: Rounding = None,
    config: Config = None,
) -> None:
    """Quantize a float network after its training, and write it for other tools.

    The reference kernels of TensorFlow Lite compute of the .tflite what edgekit's reference
    computes, bit for bit. What has no exact form in the format is refused (exit code 3).

    Example: edgekit quantize net.pt2 --calib images.npz -o net.tflite --method mse --equalize
    """
    from edgekit.converters.load import load_model
    from edgekit.converters.samples import load_samples
    from edgekit.errors import BadInputError
    from edgekit.pipeline import integer_graph, model_bytes, write_whole

    if scheme != "int8":
        raise BadInputError(f"--scheme {scheme}: use int8")
    options = quantize_options(
        config,
        method=method,
        equalize=equalize,
        bias_correction=bias_correction,
        rounding=rounding,
    )
    with progress("quantize") as show:
        show("import")
        imported = load_model(model)
        samples = None if calib is None else load_samples(calib, imported.graph.inputs)
        graph = integer_graph(imported, samples, options, progress=show)
        show("write")
        write_whole(output, model_bytes(graph, output))
    typer.echo(f"{output}: {len(graph.nodes)} layers, {output.stat().st_size:,} bytes")
