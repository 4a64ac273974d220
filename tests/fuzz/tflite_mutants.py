# SPDX-License-Identifier: Apache-2.0
"""Mutants of TFLite files: fields overwritten in place, specs rebuilt, bytes cut and spliced."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from support.tflite_writer import OPTION_KINDS, ModelSpec, OperatorSpec, TensorSpec, Writer

from fuzz import values
from fuzz.fields import Field, fields_of, patch
from fuzz.specs import case_specs, random_network, spec_of

SHARED_SHARE = 0.03
"""How many mutants start from a shared model: they are a hundred times larger."""
TYPES = ("INT8", "INT16", "INT32", "UINT8", "FLOAT32", "FLOAT16", "INT64", "INT4", "BOOL", "STRING")
OPERATORS = (
    *sorted(OPTION_KINDS),
    *("PAD", "PADV2", "RESHAPE", "RELU", "RELU6", "QUANTIZE", "DEQUANTIZE", "TRANSPOSE", "SQUEEZE"),
    *("CONCATENATION", "LOGISTIC", "TANH", "STRIDED_SLICE", "PACK", "SPLIT", "SVDF", "CUSTOM:Warp"),
    *("TRANSPOSE_CONV", "RESIZE_BILINEAR", "DEPTH_TO_SPACE", "LEAKY_RELU", "PRELU", "ARG_MAX"),
)


class MutantWriter(Writer):
    """Writes wrong specs too: "#7" is the tensor 7, whether or not there is one."""

    def _indices(self, names: Sequence[str]) -> int:
        indices = [
            int(n[1:]) if n.startswith("#") and n[1:].isdigit() else self._index.get(n, -1)
            for n in names
        ]
        return self._vector(indices, "int32")


class TfliteMutants:
    """``mutant(random)`` is the bytes of a mutated file; the same random gives the same bytes."""

    suffix = ".tflite"

    def __init__(self, shared: Path | None = None) -> None:
        self._specs = case_specs()
        found = sorted(shared.glob("*_int8.tflite")) if shared is not None else []
        self._shared = [path.read_bytes() for path in found]
        self._fields: dict[bytes, tuple[Field, ...]] = {}

    def intact(self) -> list[bytes]:
        """The files that the mutants are made of, as far as they are listed."""
        return [MutantWriter(spec).file() for spec in self._specs] + self._shared

    def mutant(self, random: Random) -> bytes:
        kinds: tuple[Callable[[Random], bytes], ...] = (self._patched, self._rebuilt, self._damaged)
        return random.choices(kinds, (45, 45, 10))[0](random)

    def _base(self, random: Random) -> bytes:
        if self._shared and random.random() < SHARED_SHARE:
            return random.choice(self._shared)
        return MutantWriter(self._spec(random)).file()

    def _spec(self, random: Random) -> ModelSpec:
        if self._shared and random.random() < SHARED_SHARE / 2:
            return spec_of(random.choice(self._shared))
        return random_network(random) if random.random() < 0.6 else random.choice(self._specs)

    def _patched(self, random: Random) -> bytes:
        data = bytearray(base := self._base(random))
        if len(base) > 2**15 and base not in self._fields:
            self._fields[base] = fields_of(base)
        fields = self._fields.get(base) or fields_of(base)
        for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
            patch(data, random.choice(fields), random)
        return bytes(data)

    def _rebuilt(self, random: Random) -> bytes:
        spec = self._spec(random)
        try:
            for _ in range(random.choice((1, 1, 2, 3))):
                spec = random.choice(SPEC_MUTATIONS)(spec, random, self._specs)
            return MutantWriter(spec).file()
        except (ArithmeticError, ValueError, TypeError, AttributeError, LookupError, struct.error):
            return self._damaged(random)  # the builder refuses what no file can hold

    def _damaged(self, random: Random) -> bytes:
        data = bytearray(self._base(random))
        kind = random.randrange(5)
        start = random.randrange(len(data))
        end = min(len(data), start + random.choice((1, 4, 16, 256)))
        if kind == 0:
            return bytes(data[:start])
        if kind == 1:
            del data[start:end]
        elif kind == 2:
            data[start:start] = data[random.randrange(len(data)) :][: end - start]
        elif kind == 3:
            other = self._base(random)
            return bytes(data[:start] + other[min(start, len(other)) :])
        else:
            for _ in range(random.choice((1, 2, 8, 64))):
                data[random.randrange(len(data))] = random.choice((0, 1, 127, 128, 255))
        return bytes(data)


def _replace(items: Sequence[Any], position: int, **changes: Any) -> list[Any]:
    changed = list(items)
    changed[position] = dataclasses.replace(changed[position], **changes)
    return changed


def _resize_everywhere(spec: ModelSpec, random: Random, _: Any) -> ModelSpec:
    """One size becomes another in all shapes, data included: often still a valid model."""
    sizes = sorted({int(size) for tensor in spec.tensors for size in tensor.shape})
    if not sizes:
        return spec
    old, new = random.choice(sizes), values.integer(random, 8) % 2**31
    tensors = []
    for tensor in spec.tensors:
        shape = [new if size == old else size for size in tensor.shape]
        data, scale = tensor.data, tensor.scale
        if data is not None and shape != list(tensor.shape):
            if min(shape) < 0 or np.prod(shape, dtype=float) > 2**16:
                return spec
            data = np.resize(data, shape)
        if isinstance(scale, np.ndarray) and scale.size == old and new <= 2**12:
            scale = np.resize(scale, new)
        tensors.append(dataclasses.replace(tensor, shape=shape, data=data, scale=scale))
    return dataclasses.replace(spec, tensors=tensors)


def _change_tensor(spec: ModelSpec, random: Random, _: Any) -> ModelSpec:
    position = random.randrange(len(spec.tensors))
    tensor: TensorSpec = spec.tensors[position]
    changes = random.choice(TENSOR_CHANGES)(tensor, random)
    if "name" in changes:
        return _renamed(spec, tensor.name, changes["name"])
    return dataclasses.replace(spec, tensors=_replace(spec.tensors, position, **changes))


def _renamed(spec: ModelSpec, old: str, new: str) -> ModelSpec:
    def names(given: Sequence[str]) -> list[str]:
        return [new if name == old else name for name in given]

    return dataclasses.replace(
        spec,
        tensors=[dataclasses.replace(t, name=new) if t.name == old else t for t in spec.tensors],
        operators=[
            dataclasses.replace(o, inputs=names(o.inputs), outputs=names(o.outputs))
            for o in spec.operators
        ],
        inputs=names(spec.inputs),
        outputs=names(spec.outputs),
    )


def _new_shape(tensor: TensorSpec, random: Random) -> dict[str, Any]:
    shape = [int(size) for size in tensor.shape]
    kind = random.randrange(4)
    if kind == 0 or not shape:
        shape.insert(random.randint(0, len(shape)), random.choice((0, 1, 2, 5)))
    elif kind == 1:
        del shape[random.randrange(len(shape))]
    else:
        axis = random.randrange(len(shape))
        value = values.integer(random, shape[axis])
        shape[axis] = max(min(value, 2**31 - 1), -(2**31))
    return {"shape": shape}


def _new_scale(tensor: TensorSpec, random: Random) -> dict[str, Any]:
    old = np.atleast_1d(np.asarray(0.1 if tensor.scale is None else tensor.scale, float))
    if random.random() < 0.3:
        return {"scale": random.choice((None, [], old[:-1], np.append(old, 0.1), old[:1]))}
    changed = old.copy()
    if changed.size:
        changed[random.randrange(changed.size)] = values.real(random, float(changed[0]))
    return {"scale": changed}


def _new_zero_point(tensor: TensorSpec, random: Random) -> dict[str, Any]:
    value = max(min(values.integer(random, 127), 2**63 - 1), -(2**63))
    return {"zero_point": random.choice((value, value, [], [value], [0, value]))}


def _new_data(tensor: TensorSpec, random: Random) -> dict[str, Any]:
    generator = np.random.default_rng(random.randrange(2**32))
    if tensor.data is None:
        count = min(int(np.prod(np.abs(tensor.shape), dtype=float)), 2**12)
        return {"data": generator.integers(-128, 128, max(count, 1)).astype(np.int8)}
    flat = np.array(tensor.data).reshape(-1)
    kind = random.randrange(5)
    if kind == 0:
        return {"data": None}
    if kind == 1:
        return {"data": flat[: flat.size // 2]}
    if kind == 2:
        return {"data": np.append(flat, flat[:1])}
    limits = np.iinfo(flat.dtype) if flat.dtype.kind in "iu" else np.finfo(flat.dtype)
    if kind == 3:
        return {"data": np.full_like(flat, random.choice((limits.min, limits.max, 0, 1)))}
    if flat.size:
        flat[random.randrange(flat.size)] = random.choice((limits.min, limits.max, 0))
    return {"data": flat}


def _new_signature(tensor: TensorSpec, random: Random) -> dict[str, Any]:
    signature = [int(size) for size in tensor.shape]
    if signature:
        signature[random.randrange(len(signature))] = random.choice((-1, -1, -2, 0, 7))
    return {"signature": signature if random.random() < 0.8 else signature[1:]}


TENSOR_CHANGES: tuple[Callable[[TensorSpec, Random], dict[str, Any]], ...] = (
    _new_shape,
    _new_scale,
    _new_scale,
    _new_zero_point,
    _new_data,
    _new_data,
    _new_signature,
    lambda tensor, random: {"type": random.choice(TYPES)},
    lambda tensor, random: {"axis": values.integer(random, 0) % 2**31},
    lambda tensor, random: {"is_variable": True},
    lambda tensor, random: {"name": random.choice(values.NAMES)},
)


def _change_operator(spec: ModelSpec, random: Random, _: Any) -> ModelSpec:
    if not spec.operators:
        return spec
    position = random.randrange(len(spec.operators))
    operator: OperatorSpec = spec.operators[position]
    kind = random.randrange(5)
    changes: dict[str, Any] = {}
    if kind == 0:
        changes = {"name": random.choice(OPERATORS)}
        if OPTION_KINDS.get(changes["name"]) != OPTION_KINDS.get(operator.name):
            changes["options"] = {}
    elif kind == 1 and operator.options:
        option = random.choice(sorted(operator.options))
        old = operator.options[option]
        new: Any = values.integer(random, int(old)) if not isinstance(old, float) else 0.0
        if isinstance(old, float):
            new = values.real(random, old)
        changes = {"options": {**operator.options, option: new}}
    elif kind == 2:
        changes = {"options": random.choice((None, {}))}
    else:
        side = random.choice(("inputs", "outputs"))
        names = list(getattr(operator, side))
        everything = [t.name for t in spec.tensors] + ["", "#99", "#4294967"]
        if names and random.random() < 0.7:
            names[random.randrange(len(names))] = random.choice(everything)
        elif names and random.random() < 0.5:
            names.pop()
        else:
            names.append(random.choice(everything))
        changes = {side: names}
    return dataclasses.replace(spec, operators=_replace(spec.operators, position, **changes))


def _change_order(spec: ModelSpec, random: Random, _: Any) -> ModelSpec:
    operators = list(spec.operators)
    kind = random.randrange(3)
    if operators and kind == 0:
        operators.pop(random.randrange(len(operators)))
    elif operators and kind == 1:
        operators.append(random.choice(operators))
    else:
        random.shuffle(operators)
    return dataclasses.replace(spec, operators=operators)


def _change_ports(spec: ModelSpec, random: Random, _: Any) -> ModelSpec:
    side = random.choice(("inputs", "outputs"))
    names = list(getattr(spec, side))
    kind = random.randrange(4)
    if kind == 0 and names:
        names.pop()
    elif kind == 1:
        names.append(random.choice(spec.tensors).name)
    elif kind == 2:
        names = [random.choice(spec.tensors).name]
    else:
        port = random.choice([*spec.inputs, *spec.outputs] or [""])
        return dataclasses.replace(spec, signature={random.choice(values.NAMES): port})
    return dataclasses.replace(spec, **{side: names})


def _splice(spec: ModelSpec, random: Random, others: Sequence[ModelSpec]) -> ModelSpec:
    """Another model behind this one, reading its output where it had its input."""
    other = random.choice(others)
    for tensor in other.tensors:
        other = _renamed(other, tensor.name, f"{tensor.name}'{len(spec.tensors)}")
    if spec.outputs and other.inputs:
        other = _renamed(other, other.inputs[0], spec.outputs[0])
    known = {tensor.name for tensor in spec.tensors}
    return dataclasses.replace(
        spec,
        tensors=[*spec.tensors, *(t for t in other.tensors if t.name not in known)],
        operators=[*spec.operators, *other.operators],
        inputs=[*spec.inputs, *(n for n in other.inputs if n not in known)],
        outputs=[*other.outputs],
    )


def _wrong_version(spec: ModelSpec, random: Random, _: Any) -> ModelSpec:
    return dataclasses.replace(spec, version=random.choice((0, 1, 2, 4, 2**32 - 1)))


SPEC_MUTATIONS = (
    *(_resize_everywhere,) * 4,
    *(_change_tensor,) * 6,
    *(_change_operator,) * 4,
    *(_change_order, _change_ports, _splice, _splice),
    _wrong_version,
)
