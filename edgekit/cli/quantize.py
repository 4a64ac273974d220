# SPDX-License-Identifier: Apache-2.0
"""edgekit quantize: write the integer model as a file of another tool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from edgekit.cli.console import progress
from edgekit.cli.options import (
    BiasCorrection,
    Calibration,
    Config,
    Equalize,
    Json,
    Method,
    Model,
    Rounding,
    quantize_options,
)


def quantize(
    model: Model,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="OUT.onnx|OUT.tflite", help="The file to write."),
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
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Print what every layer loses and what every remedy gains."),
    ] = False,
    target_sqnr: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            metavar="DB",
            help="Apply remedies, the best first, until the outputs have this "
            "signal-to-quantization-noise ratio.",
        ),
    ] = None,
    max_drop: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            metavar="POINTS",
            help="Apply remedies until top-1 drops no further than this; needs labels in the .npz.",
        ),
    ] = None,
    examined: Annotated[
        int,
        typer.Option("--samples", min=1, help="Samples that --explain looks at, the first ones."),
    ] = 32,
    json: Json = False,
) -> None:
    """Quantize a float network after its training, and write it for other tools.

    The reference kernels of TensorFlow Lite compute of a .tflite what edgekit's reference
    computes, bit for bit; what has no exact form there is refused (exit code 3). An .onnx has float
    operators between QuantizeLinear and DequantizeLinear; onnxruntime rounds at most
    0.5% of the elements of a layer to the next step.

    With --explain, remedies are tried one after the other and the table shows what each gains. They
    are applied to the file only where --target-sqnr or --max-drop asks for it.

    Example: edgekit quantize net.pt2 --calib images.npz -o net.tflite --method mse --equalize
    """
    from edgekit.cli.diagnosis import print_diagnosis
    from edgekit.converters.load import load_model
    from edgekit.converters.quantize.doctor import Diagnosis, Goal
    from edgekit.converters.samples import load_samples
    from edgekit.errors import BadInputError
    from edgekit.pipeline import (
        check_format,
        explain_float,
        integer_graph,
        model_bytes,
        write_whole,
    )

    if scheme != "int8":
        raise BadInputError(f"--scheme {scheme}: use int8")
    check_format(output)
    options = quantize_options(
        config,
        method=method,
        equalize=equalize,
        bias_correction=bias_correction,
        rounding=rounding,
    )
    goal = Goal(target_sqnr, max_drop)
    diagnosis: Diagnosis | None = None
    with progress("quantize") as show:
        show("import")
        imported = load_model(model)
        if explain or goal != Goal():
            show("explain")
            diagnosis = explain_float(
                imported, calib, options, goal=goal, count=examined, progress=show
            )
            if goal != Goal():
                options = diagnosis.options
    if diagnosis is not None:  # it holds, whether or not the file format has all the operators
        print_diagnosis(diagnosis, json=json)
    with progress("quantize") as show:
        samples = None if calib is None else load_samples(calib, imported.graph.inputs)
        graph = integer_graph(imported, samples, options, progress=show)
        show("write")
        write_whole(output, model_bytes(graph, output))
    if not json:
        typer.echo(f"{output}: {len(graph.nodes)} layers, {output.stat().st_size:,} bytes")
