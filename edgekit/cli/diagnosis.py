# SPDX-License-Identifier: Apache-2.0
"""What ``edgekit quantize --explain`` prints: losses of layers, gains of remedies, and what to do."""

from __future__ import annotations

import typer

from edgekit.cli.console import print_json, print_table
from edgekit.converters.quantize.doctor import Diagnosis, Trial
from edgekit.converters.quantize.measure import Measured

WORST_LAYERS = 12


def print_diagnosis(diagnosis: Diagnosis, *, json: bool) -> None:
    """The tables, or one JSON object."""
    if json:
        import msgspec

        print_json(msgspec.json.format(msgspec.json.encode(_as_json(diagnosis)), indent=2))
        return
    _print_layers(diagnosis)
    _print_remedies(diagnosis)
    for line in advice(diagnosis):
        typer.echo(line)


def _print_layers(diagnosis: Diagnosis) -> None:
    worst = sorted(diagnosis.layers, key=lambda layer: layer.alone.sqnr_db)[:WORST_LAYERS]
    shown = [layer for layer in diagnosis.layers if layer in worst]
    title = f"layers against float, {diagnosis.samples} samples"
    if len(shown) < len(diagnosis.layers):
        title += f" (the {len(shown)} of {len(diagnosis.layers)} that lose most by themselves)"
    print_table(
        title,
        ["layer", "op", "SQNR dB", "cosine", "alone, SQNR dB"],
        [
            [
                layer.source or layer.name,
                layer.op,
                layer.distance.sqnr_db,
                f"{layer.distance.cosine:.5f}",
                layer.alone.sqnr_db,
            ]
            for layer in shown
        ],
    )


def _print_remedies(diagnosis: Diagnosis) -> None:
    rows: list[list[object]] = [
        ["-", "as it is", *_figures(diagnosis, diagnosis.before), "", "", ""]
    ]
    for trial in diagnosis.trials:
        rows.append(
            [
                str(trial.round),
                trial.remedy.name,
                *_figures(diagnosis, trial.measured),
                f"{trial.gain_db:+.2f}",
                "applied" if trial.applied else "",
                trial.remedy.cost,
            ]
        )
    for layer in diagnosis.float_layers:
        name = f"{layer.source or layer.name} in float"
        empty = [""] * (len(rows[0]) - 5)
        gain = f"{layer.gain_db:+.2f}"
        rows.append(["-", name, *empty, gain, "", "no integer kernel; for comparison"])
    columns = ["round", "remedy", "SQNR dB"]
    if diagnosis.float_top1 is not None:
        columns.append("top-1")
    print_table("remedies", [*columns, "gain dB", "", "cost"], rows)


def _figures(diagnosis: Diagnosis, measured: Measured) -> list[object]:
    figures: list[object] = [f"{measured.distance.sqnr_db:.2f}"]
    if diagnosis.float_top1 is not None:
        assert measured.top1 is not None
        figures.append(f"{100 * measured.top1:.2f}%")
    return figures


def advice(diagnosis: Diagnosis) -> list[str]:
    """What to do, in a few lines."""
    lines = []
    applied = [trial for trial in diagnosis.trials if trial.applied]
    if applied:
        names = ", ".join(trial.remedy.name for trial in applied)
        flags = " ".join(_flags(applied))
        gain = diagnosis.after.distance.sqnr_db - diagnosis.before.distance.sqnr_db
        lines.append(f"best: {names} ({gain:+.2f} dB): {flags}")
    else:
        lines.append("no remedy gains anything: quantization is as good as it gets here")
    if diagnosis.half_the_data_db is not None:
        lines.append(
            f"calibration data: half of them lose {diagnosis.half_the_data_db:.2f} dB; "
            + ("give more" if diagnosis.half_the_data_db > 0.5 else "more would hardly help")
        )
    if diagnosis.float_top1 is not None and diagnosis.after.top1 is not None:
        drop = 100 * (diagnosis.float_top1 - diagnosis.after.top1)
        lines.append(f"top-1 {100 * diagnosis.float_top1:.2f}% in float, {drop:+.2f} points lost")
    if diagnosis.target_met is not None:
        lines.append("the target is met" if diagnosis.target_met else "the target is NOT met")
    return lines


def _flags(applied: list[Trial]) -> list[str]:
    """The flags of the remedies; of two methods the last one holds."""
    flags: dict[str, str] = {}
    for trial in applied:
        flags[trial.remedy.flag.split()[0]] = trial.remedy.flag
    return list(flags.values())


def _as_json(diagnosis: Diagnosis) -> dict[str, object]:
    def figures(measured: Measured) -> dict[str, object]:
        return {
            "sqnr_db": measured.distance.sqnr_db,
            "cosine": measured.distance.cosine,
            "top1": measured.top1,
        }

    return {
        "samples": diagnosis.samples,
        "float_top1": diagnosis.float_top1,
        "before": figures(diagnosis.before),
        "after": figures(diagnosis.after),
        "target_met": diagnosis.target_met,
        "half_the_data_db": diagnosis.half_the_data_db,
        "layers": [
            {
                "name": layer.name,
                "source": layer.source,
                "op": layer.op,
                "sqnr_db": layer.distance.sqnr_db,
                "cosine": layer.distance.cosine,
                "alone_sqnr_db": layer.alone.sqnr_db,
            }
            for layer in diagnosis.layers
        ],
        "remedies": [
            {
                "round": trial.round,
                "name": trial.remedy.name,
                "flag": trial.remedy.flag,
                "cost": trial.remedy.cost,
                "gain_db": trial.gain_db,
                "applied": trial.applied,
                **figures(trial.measured),
            }
            for trial in diagnosis.trials
        ],
        "float_layers": [
            {"name": layer.name, "source": layer.source, "gain_db": layer.gain_db}
            for layer in diagnosis.float_layers
        ],
    }
