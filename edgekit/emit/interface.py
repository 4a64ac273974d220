# SPDX-License-Identifier: Apache-2.0
"""The C interface of a generated model: names, types and prototypes."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from edgekit.emit.c_tables import C_TYPES, c_identifier
from edgekit.errors import BadInputError
from edgekit.input_modes import check_input_mode, check_output_mode
from edgekit.ir import Port, QGraph, Tensor
from edgekit.layout import map_size
from edgekit.manifest import port_structs
from edgekit.program import InputMode, OutputMode

_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
_RESERVED_WORDS = (
    "auto break case char const continue default do double else enum extern float for goto if "
    "inline int long register restrict return short signed sizeof static struct switch "
    "typedef union unsigned void volatile while asm bool catch class delete explicit export "
    "false friend mutable namespace new operator private protected public template this throw "
    "true try typeid typename using virtual wchar_t and or not xor main ek memory arena in "
    "out alignas alignof and_eq bitand bitor char16_t char32_t compl concept const_cast "
    "constexpr decltype dynamic_cast export noexcept not_eq nullptr or_eq reinterpret_cast "
    "requires static_assert static_cast thread_local typeof xor_eq linux unix "
    "int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t"
)
_RESERVED = frozenset(_RESERVED_WORDS.split(" "))
_HEADERS_AND_CMAKE_TARGETS = (
    "alloca assert complex ctype endian errno features fenv inttypes iso646 limits locale malloc "
    "math newlib setjmp signal stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib "
    "stdnoreturn string strings tgmath threads time uchar unistd wchar wctype "
    "all clean depend edit_cache help install package preinstall rebuild_cache test"
)
_TAKEN_FILES = frozenset(_HEADERS_AND_CMAKE_TARGETS.split(" "))
"""<name>.h must not hide a header of the compiler, nor the library a target that CMake defines."""


@dataclass(frozen=True, eq=False)
class CTensor:
    """An input or output of the C interface, with an identifier of its own."""

    identifier: str
    port: Port
    tensor: Tensor

    @property
    def c_type(self) -> str:
        return C_TYPES[self.tensor.dtype]


@dataclass(frozen=True, eq=False)
class Interface:
    """What model.h declares. Many tensors go through structs, one input and output directly."""

    name: str
    inputs: tuple[CTensor, ...]
    outputs: tuple[CTensor, ...]
    input_mode: InputMode = "resident"
    output_mode: OutputMode = "resident"

    @property
    def macro(self) -> str:
        return self.name.upper()

    @property
    def header(self) -> str:
        return f"{self.name}.h"

    @property
    def takes_rows(self) -> bool:
        """Whether the only input comes row by row, pushed or pulled."""
        return self.input_mode in ("stream", "pull")

    @property
    def has_input_struct(self) -> bool:
        return self._port_structs[0]

    @property
    def has_output_struct(self) -> bool:
        return self._port_structs[1]

    @property
    def _port_structs(self) -> tuple[bool, bool]:
        modes = (self.input_mode, self.output_mode)
        return port_structs(*modes, inputs=len(self.inputs), outputs=len(self.outputs))

    @property
    def input_rows(self) -> int:
        return map_size(self.inputs[0].tensor.shape)[0]

    @property
    def input_row_bytes(self) -> int:
        return self.inputs[0].tensor.bytes // self.input_rows

    @property
    def output_rows(self) -> int:
        return map_size(self.outputs[0].tensor.shape)[0]

    @property
    def output_row_bytes(self) -> int:
        return self.outputs[0].tensor.bytes // self.output_rows

    def prototypes(self) -> tuple[str, ...]:
        """The functions of the model, in the order in which a caller needs them."""
        name, output = self.name, self._output_parameter()
        sink = f", {output}" if self.output_mode == "stream" else ""
        if self.input_mode == "stream":
            rows = f"void *arena, const {self.inputs[0].c_type} *rows, uint32_t row_count{sink}"
            return (
                f"void {name}_begin(void *arena)",
                f"ek_status {name}_push_rows({rows})",
                f"ek_status {name}_finish(void *arena, {output})",
                f"ek_status {name}_step(void *arena, {output})",
            )
        tensors = f"{self._input_parameter()}, {output}, void *arena"
        return (
            f"ek_status {name}_run({tensors})",
            f"ek_status {name}_step({tensors}, ek_position *position)",
        )

    def _input_parameter(self) -> str:
        if self.input_mode == "pull":
            return f"const {self.name}_source *source"
        if self.has_input_struct:
            return f"const {self.name}_inputs *in"
        return f"const {self.inputs[0].c_type} *input"

    def _output_parameter(self) -> str:
        if self.output_mode == "stream":
            return f"const {self.name}_sink *sink"
        if self.has_output_struct:
            return f"const {self.name}_outputs *out"
        return f"{self.outputs[0].c_type} *output"

    def input_pointer(self, index: int) -> str:
        """The memory of an input that the caller holds."""
        return f"in->{self.inputs[index].identifier}" if self.has_input_struct else "input"

    def output_pointer(self, index: int) -> str:
        """What the maps of the script refer to an output by: its memory, or the sink of its rows."""
        if self.output_mode == "stream":
            return "(uintptr_t)sink"
        return f"out->{self.outputs[index].identifier}" if self.has_output_struct else "output"


def interface_of(
    graph: QGraph,
    name: str,
    *,
    input_mode: InputMode = "resident",
    output_mode: OutputMode = "resident",
) -> Interface:
    """The C interface of a model under a prefix.

    Raises:
        BadInputError: the prefix is not a lower-case C identifier, or is reserved, or the model
            cannot take its input, or give its output, in that mode.
    """
    check_input_mode(graph, input_mode)
    check_output_mode(graph, output_mode)
    if not _NAME.fullmatch(name) or name in _RESERVED or name.startswith("ek_"):
        raise BadInputError(
            f"--name '{name}': it must be a lower-case C identifier of at most 41 characters, "
            "not a keyword and not starting with ek_; use for example 'model'"
        )
    if name in _TAKEN_FILES:
        raise BadInputError(
            f"--name '{name}': a header of the compiler or a target of CMake has that name; "
            f"use for example '{name}_model'"
        )
    taken: set[str] = set()
    inputs = _c_tensors(graph, graph.inputs, taken)
    outputs = _c_tensors(graph, graph.outputs, taken)
    return Interface(name, inputs, outputs, input_mode, output_mode)


def _c_tensors(graph: QGraph, ports: Sequence[Port], taken: set[str]) -> tuple[CTensor, ...]:
    """An input and an output never share an identifier, so that a caller can use both as names."""
    found = []
    for port in ports:
        base = c_identifier(port.name)[:40]
        candidates = (base if n == 0 else f"{base}_{n}" for n in itertools.count())
        word = next(c for c in candidates if c not in taken and c not in _RESERVED)
        taken.add(word)
        found.append(CTensor(word, port, graph.tensors[port.tensor]))
    return tuple(found)


def label_of(kind: str, tensor: CTensor, tensors: Sequence[CTensor]) -> str:
    """INPUT, or INPUT_<identifier> where there are several; the same for OUTPUT."""
    return kind if len(tensors) == 1 else f"{kind}_{tensor.identifier.upper()}"
