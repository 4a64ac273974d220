# SPDX-License-Identifier: Apache-2.0
"""Mutants of .onnx files: fields of the protobuf, shapes, constants, and raw bytes.

The places of a file come from the descriptors of its messages, so no field is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from fuzz import values
from fuzz.onnx_models import intact_models

STRINGS = (
    *("", "ai.onnx", "com.microsoft", "Conv", "QLinearConv", "If", "Loop", "LSTM", "Resize"),
    *("Reshape", "Constant", "DequantizeLinear", "SAME_UPPER", "linear", "wrap", "x", "y"),
)


@dataclass(frozen=True)
class Place:
    """A value of a message: of a field, at an index where the field is repeated."""

    message: Any
    field: Any
    index: int | None

    @property
    def value(self) -> Any:
        found = getattr(self.message, self.field.name)
        return found if self.index is None else found[self.index]

    def set(self, value: Any) -> None:
        if self.index is None:
            setattr(self.message, self.field.name, value)
        else:
            getattr(self.message, self.field.name)[self.index] = value


def places_of(message: Any) -> Iterator[Place]:
    """Every value that is set, messages and what is inside them included."""
    for field, content in message.ListFields():
        repeated = hasattr(content, "add") or hasattr(content, "append")
        items = list(enumerate(content)) if repeated else [(None, content)]
        for index, item in items:
            yield Place(message, field, index)
            if field.message_type is not None:
                yield from places_of(item)


class OnnxMutants:
    """``mutant(random)`` is the bytes of a mutated file."""

    suffix = ".onnx"

    def __init__(self) -> None:
        self._models = [model.SerializeToString() for model in intact_models()]

    def intact(self) -> list[bytes]:
        return list(self._models)

    def mutant(self, random: Random) -> bytes:
        import onnx

        data = random.choice(self._models)
        if random.random() < 0.12:
            return _damaged(data, random)
        model = onnx.ModelProto.FromString(data)
        kinds: tuple[Callable[[Any, Random], None], ...] = (
            _change_value,
            _change_structure,
            _change_constant,
            _change_shape,
        )
        for _ in range(random.choice((1, 1, 1, 2, 4))):
            random.choices(kinds, (60, 15, 15, 10))[0](model, random)
        mutated: bytes = model.SerializeToString()
        return mutated


def _change_value(model: Any, random: Random) -> None:
    """A number, a text or raw bytes become others."""
    leaves = [place for place in places_of(model) if place.field.message_type is None]
    if leaves:
        place = random.choice(leaves)
        try:
            place.set(_other(place, random))
        except (ValueError, TypeError):  # outside the type of the field
            return


def _other(place: Place, random: Random) -> Any:
    old = place.value
    if isinstance(old, bool):
        return not old
    if isinstance(old, int):
        return values.integer(random, old)
    if isinstance(old, float):
        return values.real(random, old)
    if isinstance(old, bytes):
        return _other_bytes(old, random)
    if random.random() < 0.6:
        return random.choice(STRINGS)
    return random.choice(values.NAMES).encode("utf-8", "replace").decode()


def _other_bytes(old: bytes, random: Random) -> bytes:
    data = bytearray(old)
    kind = random.randrange(4)
    if kind == 0:
        return bytes(data[: random.randrange(len(data) + 1)])
    if kind == 1:
        return bytes(data) + random.randbytes(random.choice((1, 4, 100)))
    for _ in range(random.choice((1, 4, 32))):
        if data:
            data[random.randrange(len(data))] = random.choice((0, 1, 127, 128, 192, 255))
    return bytes(data)


def _change_structure(model: Any, random: Random) -> None:
    """A message or an entry goes, doubles, moves, or takes the content of another of its type."""
    repeated = [place for place in places_of(model) if place.index is not None]
    if not repeated:
        return
    place = random.choice(repeated)
    content = getattr(place.message, place.field.name)
    kind = random.randrange(4)
    if kind == 0:
        del content[place.index]
    elif kind == 1 and place.field.message_type is None:
        content.append(place.value)
    elif kind == 1:
        content.add().CopyFrom(place.value)
    elif kind == 2:
        same = [p for p in repeated if p.field.full_name == place.field.full_name]
        other = random.choice(same).value
        if place.field.message_type is None:
            place.set(other)
        else:
            copied = type(other)()
            copied.CopyFrom(other)
            place.value.CopyFrom(copied)
    elif place.field.message_type is not None:
        place.message.ClearField(random.choice(list(place.message.DESCRIPTOR.fields)).name)


def _change_constant(model: Any, random: Random) -> None:
    """Type, dims, data or place of a constant."""
    if not model.graph.initializer:
        return
    tensor = random.choice(model.graph.initializer)
    kind = random.randrange(6)
    if kind == 0:
        tensor.data_type = random.randrange(-1, 27)
    elif kind == 1:
        tensor.dims.append(random.choice((0, 1, 2, -1, 2**31)))
    elif kind == 2 and tensor.dims:
        position = random.randrange(len(tensor.dims))
        tensor.dims[position] = _int64(values.integer(random, tensor.dims[position]))
    elif kind == 3:
        tensor.data_location = 1
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", random.choice(("weights.bin", "../x", "/etc/passwd"))
    elif kind == 4:
        tensor.raw_data = _other_bytes(tensor.raw_data, random)
    else:
        tensor.ClearField("raw_data")
        tensor.float_data.extend([values.real(random)] * random.choice((0, 1, 5)))


def _change_shape(model: Any, random: Random) -> None:
    """A size of an input or output."""
    infos = [*model.graph.input, *model.graph.output]
    info = random.choice(infos) if infos else None
    if info is None or not info.type.tensor_type.shape.dim:
        return
    dims = info.type.tensor_type.shape.dim
    dim = random.choice(dims)
    kind = random.randrange(4)
    if kind == 0:
        dim.dim_param = random.choice(("N", "", "batch"))
    elif kind == 1:
        dims.add().dim_value = random.choice((1, 2, 5))
    elif kind == 2:
        info.type.tensor_type.elem_type = random.randrange(0, 24)
    else:
        dim.dim_value = _int64(values.integer(random, dim.dim_value))


def _int64(value: int) -> int:
    return max(-(2**63), min(2**63 - 1, value))


def _damaged(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    start = random.randrange(len(changed))
    if random.random() < 0.3:
        return bytes(changed[:start])
    if random.random() < 0.2:
        return bytes(changed[:start] + changed[start : start + 40] * 3 + changed[start:])
    for _ in range(random.choice((1, 2, 8, 64))):
        changed[random.randrange(len(changed))] = random.randrange(256)
    return bytes(changed)
