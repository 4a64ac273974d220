# SPDX-License-Identifier: Apache-2.0
"""Where the numbers of a TFLite file lie: every scalar and vector length of its tables, by path."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random

from fuzz.values import integer, real

# Table -> (field of the vtable, its name, its kind). A kind is a struct format, [format] for a
# vector of scalars, or the table that is referred to, in brackets for a vector of tables.
SCHEMA: Mapping[str, tuple[tuple[int, str, str], ...]] = {
    "Model": (
        (0, "version", "I"),
        (1, "operator_codes", "[OperatorCode]"),
        (2, "subgraphs", "[SubGraph]"),
        (4, "buffers", "[Buffer]"),
        (7, "signatures", "[Signature]"),
    ),
    "OperatorCode": (
        (0, "deprecated_code", "b"),
        (1, "custom_code", "[B]"),
        (2, "version", "i"),
        (3, "code", "i"),
    ),
    "SubGraph": (
        (0, "tensors", "[Tensor]"),
        (1, "inputs", "[i]"),
        (2, "outputs", "[i]"),
        (3, "operators", "[Operator]"),
    ),
    "Tensor": (
        (0, "shape", "[i]"),
        (1, "type", "b"),
        (2, "buffer", "I"),
        (3, "name", "[B]"),
        (4, "quantization", "Quantization"),
        (5, "is_variable", "b"),
        (7, "shape_signature", "[i]"),
    ),
    "Quantization": (
        (2, "scale", "[f]"),
        (3, "zero_point", "[q]"),
        (4, "details_type", "B"),
        (6, "dimension", "i"),
    ),
    "Operator": (
        (0, "opcode_index", "I"),
        (1, "inputs", "[i]"),
        (2, "outputs", "[i]"),
        (3, "options_type", "B"),
        (4, "options", "Options"),
    ),
    "Buffer": ((0, "data", "[B]"), (1, "offset", "Q"), (2, "size", "Q")),
    "Signature": ((0, "inputs", "[TensorMap]"), (1, "outputs", "[TensorMap]")),
    "TensorMap": ((0, "name", "[B]"), (1, "tensor", "I")),
}
MOST_SCALARS_OF_A_VECTOR = 6
FLOAT32_MAX = (2.0 - 2.0**-23) * 2.0**127


@dataclass(frozen=True)
class Field:
    """A number at ``offset``; ``path`` is as subgraphs.0.tensors.2.shape.1."""

    path: str
    offset: int
    format: str

    @property
    def size(self) -> int:
        return struct.calcsize(f"<{self.format}")


def fields_of(data: bytes) -> tuple[Field, ...]:
    """The fields of a valid file; of long vectors only the first elements."""
    return tuple(_table(data, struct.unpack_from("<I", data, 0)[0], "Model", ""))


def patch(data: bytearray, field: Field, random: Random) -> None:
    """Write another value into a field."""
    (old,) = struct.unpack_from(f"<{field.format}", data, field.offset)
    if field.format == "f":
        value = real(random, old)
        if FLOAT32_MAX < abs(value) < math.inf:
            value = math.copysign(FLOAT32_MAX, value)
        struct.pack_into("<f", data, field.offset, value)
        return
    changed = integer(random, old) % 2 ** (8 * field.size)
    data[field.offset : field.offset + field.size] = changed.to_bytes(field.size, "little")


def _entry(data: bytes, table: int, number: int) -> int:
    """The offset of a field of a table, 0 where it is not stored."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    if 4 + 2 * number >= struct.unpack_from("<H", data, vtable)[0]:
        return 0
    distance = struct.unpack_from("<H", data, vtable + 4 + 2 * number)[0]
    return table + distance if distance else 0


def _target(data: bytes, offset: int) -> int:
    return offset + int(struct.unpack_from("<I", data, offset)[0])


def _table(data: bytes, table: int, kind: str, path: str) -> Iterator[Field]:
    if kind == "Options":
        yield from _options(data, table, path)
        return
    for number, name, type_ in SCHEMA[kind]:
        offset = _entry(data, table, number)
        if not offset:
            continue
        label = f"{path}.{name}" if path else name
        if type_.startswith("["):
            yield from _vector(data, _target(data, offset), type_[1:-1], label)
        elif len(type_) == 1:
            yield Field(label, offset, type_)
        else:
            yield from _table(data, _target(data, offset), type_, label)


def _vector(data: bytes, start: int, kind: str, path: str) -> Iterator[Field]:
    count = struct.unpack_from("<I", data, start)[0]
    yield Field(f"{path}.length", start, "I")
    if len(kind) > 1:
        for i in range(count):
            element = start + 4 + 4 * i
            yield from _table(data, _target(data, element), kind, f"{path}.{i}")
        return
    size = struct.calcsize(f"<{kind}")
    for i in range(min(count, MOST_SCALARS_OF_A_VECTOR)):
        yield Field(f"{path}.{i}", start + 4 + size * i, kind)


def _options(data: bytes, table: int, path: str) -> Iterator[Field]:
    """The fields of an options table, whose schema depends on the operator: bytes and words."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    for number in range((struct.unpack_from("<H", data, vtable)[0] - 4) // 2):
        if offset := _entry(data, table, number):
            yield Field(f"{path}.{number}", offset, "i" if offset % 4 == 0 else "B")
