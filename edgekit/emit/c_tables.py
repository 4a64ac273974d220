# SPDX-License-Identifier: Apache-2.0
"""C text of constant tables and layer structs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from edgekit.ir import Array
from edgekit.kernel import CStruct

C_TYPES = {
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "uint16": "uint16_t",
    "int32": "int32_t",
    "uint32": "uint32_t",
    "int64": "int64_t",
    "float32": "float",
}
_VALUES_PER_LINE = 24
_POINTER_BYTES = 4
_INT32_MIN_TEXT = "(-2147483647 - 1)"


class TableSet:
    """The static tables of one model.c; equal tables are emitted once.

    ``section`` is the macro that lets the user place them.
    """

    def __init__(self, section: str) -> None:
        self._section = section
        self._names: dict[tuple[str, bytes], str] = {}
        self._texts: list[str] = []
        self.bytes = 0

    def add(self, name: str, array: Array) -> str:
        """The name of the table that holds ``array``: ``name``, or an equal one's."""
        key = (array.dtype.name, array.tobytes())
        if key not in self._names:
            self._names[key] = name
            self.bytes += array.nbytes
            declaration = f"static const {C_TYPES[array.dtype.name]} {name}[{array.size}]"
            self._texts.append(f"{declaration} {self._section} = {{\n{_values(array)}\n}};\n")
        return self._names[key]

    def texts(self) -> Iterable[str]:
        return self._texts


def _values(array: Array) -> str:
    values = array.ravel().tolist()
    words = [_INT32_MIN_TEXT if v == -(2**31) else str(v) for v in values]
    lines = (words[i : i + _VALUES_PER_LINE] for i in range(0, len(words), _VALUES_PER_LINE))
    return ",\n".join("  " + ", ".join(line) for line in lines)


def struct_text(name: str, struct: CStruct, tables: TableSet) -> str:
    """The definition of a layer struct; its arrays go to ``tables`` as <name>_<member>.

    The members must be in the order of the C type.
    """
    return initializer(struct.type, name, _member_texts(name, struct, tables))


def _member_texts(name: str, struct: CStruct, tables: TableSet) -> dict[str, str]:
    members = {}
    for member, value in struct.members.items():
        if isinstance(value, CStruct):
            inner = _member_texts(f"{name}_{member}", value, tables)
            members[member] = f"{{{', '.join(f'EK_MEMBER({m}) {v}' for m, v in inner.items())}}}"
        elif isinstance(value, int):
            members[member] = _INT32_MIN_TEXT if value == -(2**31) else str(value)
        elif isinstance(value, str):
            members[member] = value
        else:
            members[member] = tables.add(f"{name}_{member}", value)
    return members


def initializer(type_name: str, name: str, members: Mapping[str, str]) -> str:
    """``static const type name = {EK_MEMBER(member) value, ...};``

    The members must be in the order of the C type: C++20 refuses another one, and C++17 goes by
    the order alone (EK_MEMBER of runtime_c/ek_member.h).
    """
    lines = "".join(f"  EK_MEMBER({member}) {value},\n" for member, value in members.items())
    return f"static const {type_name} {name} = {{\n{lines}}};\n"


def struct_bytes(struct: CStruct) -> int:
    """Flash bytes of a layer struct on a 32-bit core."""
    return sum(
        struct_bytes(value) if isinstance(value, CStruct) else _POINTER_BYTES
        for value in struct.members.values()
    )


def comment_text(text: str) -> str:
    """Text from a model file that is safe inside a C comment."""
    return re.sub(r"[^A-Za-z0-9_.: -]+", "_", text)[:80]


def c_identifier(text: str) -> str:
    """A lower-case C identifier that resembles ``text``."""
    word = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "tensor"
    return word if word[0].isalpha() else f"t_{word}"
