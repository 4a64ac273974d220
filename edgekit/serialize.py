# SPDX-License-Identifier: Apache-2.0
"""An integer model as two files, the same bytes on every machine, that notice any damage.

``graph.json`` holds everything but the constants, which lie in ``constants.bin``, little-endian,
one behind the other. A SHA-256 over both is checked on reading.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgekit.errors import BadInputError
from edgekit.ir import DTYPE_BYTES, DType, Node, Port, QGraph, Quantization, Tensor, constant
from edgekit.ops import operators

GRAPH_NAME = "graph.json"
CONSTANTS_NAME = "constants.bin"
FORMAT = 1


class _TensorEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``offset`` is the place of a constant in constants.bin, None for an activation."""

    name: str
    shape: tuple[int, ...]
    dtype: DType
    quantization: Quantization | None
    offset: int | None


class _NodeEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The types of ``attributes`` and ``arithmetic`` are those that the operator declares."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: msgspec.Raw
    arithmetic: msgspec.Raw
    source: str


class _GraphEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    tensors: tuple[_TensorEntry, ...]
    nodes: tuple[_NodeEntry, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """graph.json; the digest is over the bytes of ``graph`` and those of constants.bin."""

    format: int
    sha256: str
    graph: msgspec.Raw


def save_qgraph(graph: QGraph) -> dict[str, bytes]:
    """The files of a model: relative name -> content. The order of ``tensors`` does not matter."""
    entries: list[_TensorEntry] = []
    constants = bytearray()
    for name in sorted(graph.tensors):
        tensor = graph.tensors[name]
        offset = None if tensor.data is None else len(constants)
        if tensor.data is not None:
            constants += tensor.data.astype(tensor.data.dtype.newbyteorder("<")).tobytes()
        entries.append(_TensorEntry(name, tensor.shape, tensor.dtype, tensor.quantization, offset))
    nodes = tuple(
        _NodeEntry(
            node.name,
            node.op,
            node.inputs,
            node.outputs,
            msgspec.Raw(msgspec.json.encode(node.attributes)),
            msgspec.Raw(msgspec.json.encode(node.arithmetic)),
            node.source,
        )
        for node in graph.nodes
    )
    body = msgspec.json.encode(
        _GraphEntry(graph.name, tuple(entries), nodes, graph.inputs, graph.outputs)
    )
    file = _File(FORMAT, _digest(body, constants), msgspec.Raw(body))
    return {GRAPH_NAME: msgspec.json.encode(file), CONSTANTS_NAME: bytes(constants)}


def load_qgraph(directory: Path) -> QGraph:
    """The model whose files lie in ``directory``, verified.

    Raises:
        BadInputError: a file is missing, damaged, of another version, or holds no valid model.
    """
    path = directory / GRAPH_NAME
    text, constants = _read(path), _read(directory / CONSTANTS_NAME)
    file = _decode(text, _File, path)
    if file.format != FORMAT:
        raise BadInputError(
            f"{path}: format {file.format} is not {FORMAT}; convert the model again"
        )
    body = bytes(file.graph)
    if file.sha256 != _digest(body, constants):
        raise _damaged(path, f"it and {CONSTANTS_NAME} do not match their checksum")
    entry = _decode(body, _GraphEntry, path)
    tensors = {t.name: _tensor(t, constants, path) for t in entry.tensors}
    if len(tensors) != len(entry.tensors):
        raise _damaged(path, "a tensor is listed twice")
    nodes = tuple(_node(node, path) for node in entry.nodes)
    return QGraph(tensors, nodes, entry.inputs, entry.outputs, name=entry.name).verify()


def _digest(body: bytes, constants: bytes | bytearray) -> str:
    return hashlib.sha256(len(body).to_bytes(8, "little") + body + constants).hexdigest()


def _damaged(path: Path, fact: str) -> BadInputError:
    return BadInputError(f"{path}: damaged: {fact}; convert the model again")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInputError(f"{path}: {error.strerror}; convert the model again") from None


def _decode(content: bytes | msgspec.Raw, kind: type[Any], path: Path) -> Any:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _damaged(path, str(error)) from None


def _tensor(entry: _TensorEntry, constants: bytes, path: Path) -> Tensor:
    tensor = Tensor(entry.name, entry.shape, entry.dtype, entry.quantization)
    if entry.offset is None:
        return tensor
    if any(size <= 0 for size in entry.shape):
        raise _damaged(path, f"tensor '{entry.name}' has shape {entry.shape}")
    end = entry.offset + tensor.elements * DTYPE_BYTES[entry.dtype]
    if entry.offset < 0 or end > len(constants):
        raise _damaged(path, f"constant '{entry.name}' lies outside {CONSTANTS_NAME}")
    little_endian = np.dtype(entry.dtype).newbyteorder("<")
    values = np.frombuffer(constants[entry.offset : end], little_endian)
    data = values.reshape(entry.shape).astype(entry.dtype)
    return constant(entry.name, data, quantization=entry.quantization)


def _node(entry: _NodeEntry, path: Path) -> Node:
    operator = operators().get(entry.op)
    if operator is None:
        raise BadInputError(f"{path}: there is no operator '{entry.op}'; update edgekit")
    return Node(
        entry.name,
        entry.op,
        entry.inputs,
        entry.outputs,
        _decode(entry.attributes, operator.attributes, path),
        _decode(entry.arithmetic, operator.arithmetic, path),
        entry.source,
    )
