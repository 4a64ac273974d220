# SPDX-License-Identifier: Apache-2.0
"""The C interface of a generated model: names, macros, prototypes and model.h."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.emit.c_tables import C_TYPES, c_identifier, comment_text
from edgekit.errors import BadInputError
from edgekit.ir import INTEGER_RANGE, Port, QGraph, Tensor
from edgekit.program import ARENA_ALIGN

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

    @property
    def macro(self) -> str:
        return self.name.upper()

    @property
    def header(self) -> str:
        return f"{self.name}.h"

    @property
    def is_single(self) -> bool:
        return len(self.inputs) == 1 and len(self.outputs) == 1

    def run_prototype(self) -> str:
        if self.is_single:
            source, result = self.inputs[0].c_type, self.outputs[0].c_type
            arguments = f"const {source} *input, {result} *output, void *arena"
        else:
            arguments = f"const {self.name}_inputs *in, const {self.name}_outputs *out, void *arena"
        return f"ek_status {self.name}_run({arguments})"

    def input_pointer(self, index: int) -> str:
        return "input" if self.is_single else f"in->{self.inputs[index].identifier}"

    def output_pointer(self, index: int) -> str:
        return "output" if self.is_single else f"out->{self.outputs[index].identifier}"

    def pointers(self) -> list[str]:
        """Every pointer that must not be NULL, in an order in which they can be tested."""
        containers = [] if self.is_single else ["in", "out"]
        inputs = [self.input_pointer(i) for i in range(len(self.inputs))]
        outputs = [self.output_pointer(i) for i in range(len(self.outputs))]
        return [*containers, *inputs, *outputs]


def interface_of(graph: QGraph, name: str) -> Interface:
    """The C interface of a model under a prefix.

    Raises:
        BadInputError: the prefix is not a lower-case C identifier, or is reserved.
    """
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
    return Interface(name, inputs, _c_tensors(graph, graph.outputs, taken))


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


def header_text(
    interface: Interface, *, arena_bytes: int, version: str, title: str, target: str
) -> str:
    """The text of model.h."""
    macro, guard = interface.macro, f"{interface.macro}_H"
    return f"""/* SPDX-License-Identifier: Apache-2.0 */
/* {comment_text(title)} for {comment_text(target)}. Generated by edgekit {version}. */
#ifndef {guard}
#define {guard}

#include <stdint.h>

#include "ek_status.h"

#ifdef __cplusplus
extern "C" {{
#endif

#define {macro}_ARENA_BYTES {arena_bytes} /* the only RAM besides the stack */
#define {macro}_ARENA_ALIGN {ARENA_ALIGN}

/* Define it to place the constant tables, e.g. as __attribute__((section(".weights"))). */
#ifndef {macro}_WEIGHTS_SECTION
#define {macro}_WEIGHTS_SECTION
#endif

{_ports_text(interface)}
{_structs_text(interface)}/* Runs the model once. The arena holds all state: {macro}_ARENA_BYTES
 * bytes, aligned to {macro}_ARENA_ALIGN; its content need not be kept between runs. Inputs, outputs
 * and arena must not overlap. Returns EK_BAD_ARGUMENT for a NULL pointer or an arena that is not
 * aligned. */
EK_WARN_UNUSED {interface.run_prototype()};

{_quantize_functions(interface)}
#ifdef __cplusplus
}}
#endif

#endif
"""


def _ports_text(interface: Interface) -> str:
    lines = []
    for kind, tensors in (("INPUT", interface.inputs), ("OUTPUT", interface.outputs)):
        for tensor in tensors:
            label = _label(interface, kind, tensor, len(tensors))
            shape = " x ".join(str(size) for size in tensor.tensor.shape)
            order = " (NHWC)" if len(tensor.tensor.shape) == 4 else ""
            lines.append(f"/* {comment_text(tensor.port.name)}: {shape}{order} {tensor.c_type} */")
            lines.append(f"#define {interface.macro}_{label}_BYTES {tensor.tensor.bytes}")
            if kind == "INPUT" and _takes_camera_bytes(tensor.tensor):
                lines.append(
                    "/* A camera byte 0..255 (0.0 to 1.0) becomes an element by ^ 0x80. */"
                )
    return "\n".join(lines) + "\n"


def _takes_camera_bytes(tensor: Tensor) -> bool:
    """Whether real = byte / 255 or byte / 256 means element = byte - 128."""
    q = tensor.quantization
    if q is None or tensor.dtype != "int8" or q.zero_point != -128:
        return False
    return any(abs(q.scale * full - 1.0) < 1e-4 for full in (255.0, 256.0))


def _label(interface: Interface, kind: str, tensor: CTensor, count: int) -> str:
    return kind if count == 1 else f"{kind}_{tensor.identifier.upper()}"


def _structs_text(interface: Interface) -> str:
    if interface.is_single:
        return ""
    inputs = "".join(f"  const {t.c_type} *{t.identifier};\n" for t in interface.inputs)
    outputs = "".join(f"  {t.c_type} *{t.identifier};\n" for t in interface.outputs)
    return (
        f"typedef struct {{\n{inputs}}} {interface.name}_inputs;\n\n"
        f"typedef struct {{\n{outputs}}} {interface.name}_outputs;\n\n"
    )


def _quantize_functions(interface: Interface) -> str:
    texts = []
    real_inputs, real_outputs = (
        [tensor for tensor in tensors if tensor.tensor.quantization is not None]
        for tensors in (interface.inputs, interface.outputs)
    )
    for tensor in real_inputs:
        suffix = _label(interface, "INPUT", tensor, len(interface.inputs)).lower()
        texts.append(_quantize_text(f"{interface.name}_quantize_{suffix}", tensor))
    for tensor in real_outputs:
        suffix = _label(interface, "OUTPUT", tensor, len(interface.outputs)).lower()
        texts.append(_dequantize_text(f"{interface.name}_dequantize_{suffix}", tensor))
    return "\n".join(texts)


def _float_literal(value: float) -> str:
    text = repr(float(np.float32(value)))
    return f"{text}f" if any(c in text for c in ".en") else f"{text}.0f"


def _quantize_text(function: str, tensor: CTensor) -> str:
    q = tensor.tensor.quantization
    assert q is not None
    low, high = INTEGER_RANGE[tensor.tensor.dtype]
    span = 2.0 * (high - low + 1)
    c_type, top, half = tensor.c_type, f"{span:.1f}f", "0.5f"
    return f"""/* value / {q.scale!r} + {q.zero_point}, halves away from zero, saturating. */
static inline {c_type} {function}(float value) {{
  const float scaled = value / {_float_literal(q.scale)};
  const float floor = scaled > -{top} ? scaled : -{top};
  const float bounded = floor < {top} ? floor : {top};
  const float shifted = bounded < 0.0f ? bounded - {half} : bounded + {half};
  const int32_t element = (int32_t)shifted + ({q.zero_point});
  return ({c_type})(element < {low} ? {low} : element > {high} ? {high} : element);
}}
"""


def _dequantize_text(function: str, tensor: CTensor) -> str:
    q = tensor.tensor.quantization
    assert q is not None
    return f"""/* The real value of an element: {q.scale!r} * (element - {q.zero_point}). */
static inline float {function}({tensor.c_type} element) {{
  return {_float_literal(q.scale)} * (float)(element - ({q.zero_point}));
}}
"""
