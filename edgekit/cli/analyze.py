# SPDX-License-Identifier: Apache-2.0
"""edgekit analyze: operators, MACs, weights and RAM of a network, before converting it."""

from __future__ import annotations

from edgekit.cli.console import kib, print_json, print_table, progress, warn
from edgekit.cli.options import Calibration, Json, Model, TargetName


def analyze(
    model: Model, target: TargetName = "cortex-m4", calib: Calibration = None, json: Json = False
) -> None:
    """Show the layers of a network, its MACs, weights and RAM, and whether it fits TARGET."""
    from edgekit.analysis import analyze_model
    from edgekit.converters.load import load_model
    from edgekit.converters.samples import load_samples
    from edgekit.target import load_target

    with progress("analyze") as show:
        show("import")
        imported = load_model(model)
        samples = None if calib is None else load_samples(calib, imported.graph.inputs)
        # Ranges do not change sizes, so missing calibration data is nothing to warn about here.
        quiet = (lambda text: None) if samples is None else warn
        analysis = analyze_model(imported, load_target(target), samples, progress=show, warn=quiet)
    if json:
        print_json(analysis.to_json())
        return
    print_table(
        f"{model} on {analysis.target}",
        ["#", "operator", "source", "output", "MACs", "weight bytes", "live bytes", "kernel"],
        [
            [
                layer.index,
                layer.op,
                layer.source,
                "x".join(map(str, layer.output_shape)),
                layer.macs,
                layer.weight_bytes,
                layer.live_bytes,
                layer.kernel,
            ]
            for layer in analysis.layers
        ],
    )
    if analysis.dead_channels:
        print_table(
            "constant and unread channels that were removed",
            ["source", "channels", "left", "MACs", "left"],
            [
                [
                    d.source or d.layer,
                    d.channels_before,
                    d.channels_after,
                    d.macs_before,
                    d.macs_after,
                ]
                for d in analysis.dead_channels
            ],
        )
    fits = {True: "yes", False: "no", None: "the target states no memory size"}
    rows = [
        ["MACs, as imported", f"{analysis.macs_network:,}"],
        ["MACs", f"{analysis.macs_legalized:,}"],
        ["weights and tables", kib(analysis.flash_bytes)],
        *([f"RAM, {s.schedule}", kib(s.ram_bytes)] for s in analysis.schedules),
        *([f"arena, {s.schedule}", kib(s.arena_bytes)] for s in analysis.schedules),
        ["fits", fits[analysis.fits]],
    ]
    print_table("", ["figure", "value"], rows)
