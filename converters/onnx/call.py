# SPDX-License-Identifier: Apache-2.0
"""One node as its mapping sees it: inputs and attributes under the names of the operator's schema."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgekit.converters.nchw.graph import Activation, Parameter, RefusalError, SourceCall
from edgekit.errors import BadInputError
from edgekit.ir import Array


@dataclass(frozen=True)
class OnnxCall(SourceCall):
    """``version`` is that of the operator's schema; ``outputs`` says which results are used."""

    version: int = 0
    outputs: tuple[bool, ...] = (True,)

    def fail(self, fact: str) -> BadInputError:
        """An error of the file, that names this node."""
        return BadInputError(f"{self.op} '{self.builder.source or self.builder.name}': {fact}")

    def value(self, *names: str) -> Any:
        """The first of ``names`` that the version of the operator has; None where it is left out."""
        return next((self.arguments[name] for name in names if name in self.arguments), None)

    def operand(self, *names: str) -> Activation | Parameter:
        value = self.value(*names)
        if not isinstance(value, Activation | Parameter):
            raise RefusalError(f"its input '{names[0]}' is missing")
        return value

    def integers(self, *names: str) -> list[int] | None:
        """Axes, sizes or amounts: an attribute, or a constant input in later opsets."""
        value = self.value(*names)
        if value is None or isinstance(value, list):
            return value
        if isinstance(value, int):
            return [value]
        if not isinstance(value, Parameter):
            raise RefusalError(f"its '{names[0]}' must be constant")
        if value.data.dtype.kind not in "iu":
            raise RefusalError(f"its '{names[0]}' must be integers")
        return [int(entry) for entry in value.data.reshape(-1)]

    def floats(self, *names: str) -> list[float] | None:
        """As :meth:`integers`, for numbers."""
        value = self.value(*names)
        if value is None or isinstance(value, list):
            return value
        if isinstance(value, int | float):
            return [float(value)]
        if not isinstance(value, Parameter):
            raise RefusalError(f"its '{names[0]}' must be constant")
        return [float(entry) for entry in value.data.reshape(-1)]

    def number(self, *names: str) -> float | None:
        """One number, or None where it is left out."""
        values = self.floats(*names)
        if values is not None and len(values) != 1:
            raise RefusalError(f"its '{names[0]}' has {len(values)} values; it must be one")
        return None if values is None else values[0]

    def floating(self, *names: str) -> Array:
        """A constant vector."""
        value = self.operand(*names)
        if not isinstance(value, Parameter):
            raise RefusalError(f"its input '{names[0]}' must be constant")
        return value.data

    def axes(self, rank: int, *names: str) -> list[int] | None:
        """Axes counted from the front."""
        values = self.integers(*names)
        return None if values is None else [self._normal_axis(axis, rank) for axis in values]

    def axis(self, rank: int, default: int) -> int:
        value = self.arguments.get("axis")
        return self._normal_axis(default if value is None else int(value), rank)

    def _normal_axis(self, axis: int, rank: int) -> int:
        if not -rank <= axis < rank:
            raise self.fail(f"axis {axis} is outside rank {rank}")
        return axis % rank

    def attribute(self, name: str, default: Sequence[int]) -> list[int]:
        """A list attribute with as many entries as ``default``."""
        value = self.arguments.get(name)
        values = list(default) if not value else [int(entry) for entry in value]
        if len(values) != len(default):
            raise self.fail(f"its {name} {values} must have {len(default)} entries")
        return values
