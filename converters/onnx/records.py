# SPDX-License-Identifier: Apache-2.0
"""What the importer takes from an ONNX file: plain values, checked, without protobuf around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgekit.ir import Array, Shape

ONNX, MICROSOFT = "", "com.microsoft"
"""Domains: the standard operators, and those of onnxruntime."""


@dataclass(frozen=True, eq=False)
class OperatorRecord:
    """A node of the file; an input that is left out has the name ''."""

    op: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def __str__(self) -> str:
        label = self.op if self.domain == ONNX else f"{self.domain}.{self.op}"
        return f"{label} '{self.name or next(iter(self.outputs), '')}'"


@dataclass(frozen=True, eq=False)
class BranchRecord:
    """A branch of If: it has no inputs of its own, but sees the values in front of it."""

    operators: tuple[OperatorRecord, ...]
    outputs: tuple[str, ...]
    constants: Mapping[str, Array]


@dataclass(frozen=True)
class InputRecord:
    """An input of the model and its numpy type."""

    name: str
    shape: Shape
    dtype: str


@dataclass(frozen=True, eq=False)
class ModelRecord:
    """The graph of a file; ``versions`` has the version of the operators of every domain."""

    name: str
    versions: Mapping[str, int]
    inputs: tuple[InputRecord, ...]
    outputs: tuple[str, ...]
    operators: tuple[OperatorRecord, ...]
    constants: Mapping[str, Array]
    warnings: tuple[str, ...] = ()
