# SPDX-License-Identifier: Apache-2.0
"""What a TFLite file holds, as plain records: tensors, operators by index, and the ports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgekit.ir import Array, Shape

ABSENT = -1
"""The tensor index of an optional input that is not there."""


@dataclass(frozen=True, eq=False)
class TensorRecord:
    """A tensor as the file declares it; ``data`` is a read-only view of the file, or None.

    ``type`` is the schema's name, ``shape`` has 1 for a dynamic batch and -1 for other dynamic
    dimensions. ``scales`` and ``zero_points`` have one entry, one per index of ``channel_axis``, or
    none; they are neither counted nor judged here. ``open_batch``: the file leaves dimension 0 open,
    and the 1 that stands for it may be wrong behind a RESHAPE.
    """

    index: int
    name: str
    type: str
    shape: Shape
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    channel_axis: int = 0
    data: Array | None = None
    peculiarity: str = ""
    open_batch: bool = False

    @property
    def title(self) -> str:
        """The name for people: of fused operators, which the converter joins by ;, the first."""
        return self.name.split(";")[0] or self.name

    def __str__(self) -> str:
        return f"tensor '{self.title}'"


@dataclass(frozen=True)
class OperatorRecord:
    """An operator call by the indices of its tensors; ``name`` is the schema's, as CONV_2D."""

    index: int
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, int | float | bool] = field(default_factory=dict)


@dataclass(frozen=True)
class PortRecord:
    """An input or output of the model."""

    name: str
    tensor: int


@dataclass(frozen=True)
class ModelRecord:
    """The main subgraph of a file; operators in execution order, all indices inside ``tensors``."""

    name: str
    tensors: tuple[TensorRecord, ...]
    operators: tuple[OperatorRecord, ...]
    inputs: tuple[PortRecord, ...]
    outputs: tuple[PortRecord, ...]
