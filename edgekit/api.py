# SPDX-License-Identifier: Apache-2.0
"""``edgekit.convert``: from a module or a model file to an Artifact."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast, get_args

from edgekit.artifact import Artifact
from edgekit.converters.load import Imported, imported_from_torch, load_model
from edgekit.converters.plan_model import Budget, Schedule
from edgekit.converters.quantize.config import options_of
from edgekit.converters.samples import load_samples, samples_of
from edgekit.converters.schedule.plan_file import read_plan
from edgekit.errors import BadInputError
from edgekit.ir import Array, Graph
from edgekit.pipeline import ConvertOptions, convert_model, to_integers
from edgekit.program import InputMode
from edgekit.target import load_target

MOST_EXTRA_MACS = 10_000
_UNITS = {"": 1, "K": 1024, "M": 1024 * 1024}


def parse_bytes(size: int | str) -> int:
    """Bytes of "65536", "64K" (KiB) or "1M" (MiB).

    Raises:
        BadInputError: it is not a size.
    """
    match = re.fullmatch(r"([0-9]+)([KM]?)(?:i?B)?", str(size).strip(), re.IGNORECASE)
    if match is None or int(match[1]) == 0:
        raise BadInputError(f"size '{size}': give a number of bytes such as 65536 or 64K")
    return int(match[1]) * _UNITS[match[2].upper()]


def parse_budget(
    *,
    schedule: str,
    input_mode: str,
    max_ram: int | str | None,
    max_extra_macs: float | None,
    stream_output: bool = False,
    plan: str | Path | None = None,
) -> Budget:
    """The budget behind the options of ``convert``.

    Raises:
        BadInputError: one of them has no such value.
    """
    for option, value, values in (
        ("--schedule", schedule, get_args(Schedule)),
        ("--input", input_mode, get_args(InputMode)),
    ):
        if value not in values:
            raise BadInputError(f"{option} {value}: use {' or '.join(values)}")
    if plan is not None:
        given = (schedule, input_mode, max_extra_macs, stream_output)
        if given != ("auto", "resident", None, False):
            raise BadInputError(
                f"--plan {plan}: it says how the model runs; leave out --schedule, --input, "
                "--max-extra-macs and --stream-output"
            )
        content = read_plan(Path(plan))
        return Budget(
            input_mode=content.input_mode,
            output_mode=content.output_mode,
            max_ram_bytes=None if max_ram is None else parse_bytes(max_ram),
            plan=content,
        )
    if max_extra_macs is not None and not 0 <= max_extra_macs <= MOST_EXTRA_MACS:
        raise BadInputError(
            f"--max-extra-macs {max_extra_macs}: give percent from 0 to {MOST_EXTRA_MACS}"
        )
    return Budget(
        schedule=cast(Schedule, schedule),
        input_mode=cast(InputMode, input_mode),
        output_mode="stream" if stream_output else "resident",
        max_ram_bytes=None if max_ram is None else parse_bytes(max_ram),
        max_extra_macs=max_extra_macs,
    )


def convert_to_artifact(
    model: Any,
    example_inputs: Any,
    *,
    calibration: Iterable[Any] | str | Path | None,
    quantization: Mapping[str, Any] | None,
    target: str,
    max_ram: int | str | None,
    max_extra_macs: float | None,
    schedule: str,
    input_mode: str,
    stream_output: bool,
    plan: str | Path | None,
    name: str,
    kernels: str,
) -> Artifact:
    """What :func:`edgekit.convert` does, once it is called."""
    imported = _import(model, example_inputs)
    options = ConvertOptions(
        target=load_target(target),
        name=name,
        kernels=kernels,
        budget=parse_budget(
            schedule=schedule,
            input_mode=input_mode,
            max_ram=max_ram,
            max_extra_macs=max_extra_macs,
            stream_output=stream_output,
            plan=plan,
        ),
    )
    integers = to_integers(
        imported,
        _samples(imported.graph, calibration),
        options_of({"quant": dict(quantization or {})}, where="quantization"),
        warn=_warn,
    )
    return Artifact(convert_model(integers, options))


def _warn(text: str) -> None:
    """Warn at the line of the caller, whichever function of edgekit has something to say."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals["__name__"].split(".")[0] == "edgekit":
        level, frame = level + 1, frame.f_back
    warnings.warn(text, stacklevel=level)


def _import(model: Any, example_inputs: Any) -> Imported:
    if isinstance(model, str | Path):
        if example_inputs is not None:
            raise BadInputError(f"{model}: example_inputs go with a torch.nn.Module, not a file")
        return load_model(str(model))
    from edgekit.converters.from_torch import (
        is_exported_program,
        read_exported_program,
        read_torch_module,
    )

    if is_exported_program(model):
        if example_inputs is not None:
            raise BadInputError("example_inputs: an ExportedProgram has its own; leave them out")
        return imported_from_torch(read_exported_program(model))
    if example_inputs is None:
        raise BadInputError("example_inputs: give a tensor, or a tuple of them, for the module")
    return imported_from_torch(read_torch_module(model, example_inputs))


def _samples(
    graph: Graph, calibration: Iterable[Any] | str | Path | None
) -> Iterable[tuple[Array, ...]] | None:
    if calibration is None:
        return None
    if isinstance(calibration, str | Path):
        return load_samples(calibration, graph.inputs)
    return samples_of(calibration, graph.inputs, where="calibration")
