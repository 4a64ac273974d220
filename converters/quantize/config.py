# SPDX-License-Identifier: Apache-2.0
"""The ``[quant]`` table of an edgekit.toml: options of quantization, for all layers and for some."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgekit.converters.quantize.options import LayerOptions, QuantizeOptions
from edgekit.errors import BadInputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_NUMBER = (int, float)
_TYPES: Mapping[str, tuple[type, ...]] = {
    "method": (str,),
    "percentile": _NUMBER,
    "equalize": (bool,),
    "bias_correction": (bool,),
    "rounding": (str,),
    "adjust_samples": (int,),
    "range": (list,),
}


def load_options(path: Path, given: Mapping[str, Any]) -> QuantizeOptions:
    """The options of a file; what is ``given`` on the command line wins.

    Raises:
        BadInputError: the file cannot be read, or says something that is not an option.
    """
    try:
        text = path.read_text(encoding="utf-8")
        tables = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInputError(f"{path}: it cannot be read ({error})") from None
    return options_of(tables, where=str(path), given=given)


def options_of(
    tables: Mapping[str, Any], *, where: str, given: Mapping[str, Any] | None = None
) -> QuantizeOptions:
    """The options of tables as a file has them; ``where`` they come from, for messages.

    Raises:
        BadInputError: something is not an option.
    """
    for name in tables:
        if name != "quant":
            raise BadInputError(f"{where}: there is no table [{name}]; use [quant]")
    table = tables.get("quant", {})
    if not isinstance(table, dict):
        raise BadInputError(f"{where}: quant must be a table")
    values = _checked(where, "quant", table, QuantizeOptions)
    layers = values.pop("layers", {})
    if not isinstance(layers, dict) or not all(isinstance(v, dict) for v in layers.values()):
        raise BadInputError(f"{where}: quant.layers must have a table for every pattern")
    pairs = tuple(
        (pattern, _layer_options(where, pattern, layer)) for pattern, layer in layers.items()
    )
    return QuantizeOptions(**{**values, **(given or {})}, layers=pairs).verify()


def _layer_options(where: str, pattern: str, table: Mapping[str, Any]) -> LayerOptions:
    values = _checked(where, f"quant.layers.'{pattern}'", table, LayerOptions)
    bounds = values.pop("range", None)
    if bounds is not None:
        if len(bounds) != 2 or not all(_is(bound, _NUMBER) for bound in bounds):
            raise BadInputError(f"{where}: range of layers '{pattern}' must be two numbers")
        values["range"] = (float(bounds[0]), float(bounds[1]))
    return LayerOptions(**values)


def _checked(
    where: str, name_of_table: str, table: Mapping[str, Any], options: type
) -> dict[str, Any]:
    """The values of a table, each the name and type of an option."""
    known = {field.name for field in dataclasses.fields(options)}
    for name, value in table.items():
        if name not in known:
            raise BadInputError(
                f"{where}: {name_of_table} has no option '{name}'; use {', '.join(sorted(known))}"
            )
        if name in _TYPES and not _is(value, _TYPES[name]):
            raise BadInputError(f"{where}: {name_of_table}.{name} = {value!r} is of a wrong type")
    return dict(table)


def _is(value: object, types: tuple[type, ...]) -> bool:
    return isinstance(value, types) and (bool in types or not isinstance(value, bool))
