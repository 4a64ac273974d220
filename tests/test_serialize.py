# SPDX-License-Identifier: Apache-2.0
"""Integer models as files: exact round trips, the same bytes twice, every damage noticed."""

from __future__ import annotations

import hashlib
import itertools
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import BadInputError
from edgekit.ir import Node, Port, QGraph, Quantization, Tensor, constant
from edgekit.ops import Case, operators
from edgekit.ops.add import Add, AddArithmetic
from edgekit.ops.requantize import Requantize, RequantizeArithmetic
from edgekit.serialize import CONSTANTS_NAME, GRAPH_NAME, load_qgraph, save_qgraph

CASES = [
    pytest.param(case, id=f"{name}-{case.name}")
    for name, operator in operators().items()
    for case in operator.cases()
]


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def assert_same(a: QGraph, b: QGraph) -> None:
    """Every field of two models, the constants by their bytes."""
    assert (a.name, a.nodes, a.inputs, a.outputs) == (b.name, b.nodes, b.inputs, b.outputs)
    assert set(a.tensors) == set(b.tensors)
    for name, tensor in a.tensors.items():
        other = b.tensors[name]
        assert (tensor.name, tensor.shape, tensor.dtype) == (other.name, other.shape, other.dtype)
        assert tensor.quantization == other.quantization
        assert (tensor.data is None) == (other.data is None)
        if tensor.data is not None and other.data is not None:
            assert tensor.data.dtype == other.data.dtype
            assert tensor.data.tobytes() == other.data.tobytes()
            assert not other.data.flags.writeable


def types_of(value: Any) -> Any:
    """The classes inside a node's parameters: 1 == 1.0 and equal fields would hide a wrong type."""
    if hasattr(value, "__dataclass_fields__"):
        return type(value), {name: types_of(getattr(value, name)) for name in vars(value)}
    if isinstance(value, tuple):
        return tuple(types_of(item) for item in value)
    return type(value)


@pytest.mark.parametrize("case", CASES)
def test_round_trip_of_every_operator(case: Case, tmp_path: Path) -> None:
    files = save_qgraph(case.graph)
    loaded = load_qgraph(write(tmp_path, files))
    assert_same(loaded, case.graph)
    for node, original in zip(loaded.nodes, case.graph.nodes, strict=True):
        assert types_of(node.attributes) == types_of(original.attributes)
        assert types_of(node.arithmetic) == types_of(original.arithmetic)
    assert save_qgraph(loaded) == files


def small_graph() -> QGraph:
    """Two nodes, a constant of each integer type, an awkward name and scale."""
    scale = Quantization(0.1 + 0.2, -3)
    shape = (1, 2, 3, 2)
    table = np.arange(12, dtype=np.int8).reshape(2, 3, 2)
    tensors = [
        Tensor('in "put"\n\u00e9', shape, "int8", scale),
        constant("table", table, quantization=Quantization(1e-30, 127)),
        constant("wide", np.array([-(2**31), 2**31 - 1, 5], np.int32)),
        constant("middle", np.array([[-32768], [32767]], np.int16)),
        Tensor("sum", shape, "int8", scale),
        Tensor("out", shape, "int8", scale),
    ]
    sums = AddArithmetic(20, (-3, 127), (2**30, 2**30), (0, -9), 2**30, -17, -3, -128, 127)
    clip = RequantizeArithmetic(-3, -3, 2**30, 1, -3, 100)
    nodes = (
        Node("a", "add", (tensors[0].name, "table"), ("sum",), Add(None, 1 / 3), sums, "net.0"),
        Node("b", "requantize", ("sum",), ("out",), Requantize(0.0, 6.0), clip),
    )
    return QGraph(
        {tensor.name: tensor for tensor in tensors},
        nodes,
        (Port("image", tensors[0].name, (1, 2, 2, 3), "NCHW"),),
        (Port("result", "out", shape, "NHWC"), Port("sum too", "sum", shape)),
        name="small",
    ).verify()


def test_round_trip_of_a_whole_model(tmp_path: Path) -> None:
    graph = small_graph()
    assert_same(load_qgraph(write(tmp_path, save_qgraph(graph))), graph)


def test_bytes_do_not_depend_on_the_order_of_the_tensors() -> None:
    graph = small_graph()
    shuffled = QGraph(
        dict(reversed(list(graph.tensors.items()))),
        graph.nodes,
        graph.inputs,
        graph.outputs,
        name=graph.name,
    )
    assert save_qgraph(shuffled) == save_qgraph(graph)


def test_constants_are_little_endian_one_behind_the_other() -> None:
    big_endian = np.array([1, -2], ">i4").astype(np.int32)
    graph = small_graph()
    tensors = {**graph.tensors, "wide": constant("wide", big_endian)}
    content = save_qgraph(
        QGraph(tensors, graph.nodes, graph.inputs, graph.outputs, name=graph.name)
    )[CONSTANTS_NAME]
    # sorted by name: middle, table, wide
    assert content.hex() == "0080ff7f" + bytes(range(12)).hex() + "01000000feffffff"


@pytest.mark.parametrize("name", [GRAPH_NAME, CONSTANTS_NAME])
def test_every_damaged_byte_is_noticed(name: str, tmp_path: Path) -> None:
    files = save_qgraph(small_graph())
    write(tmp_path, files)
    for position in range(len(files[name])):
        content = bytearray(files[name])
        content[position] ^= 1 << position % 8
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadInputError):
            load_qgraph(tmp_path)
    write(tmp_path, files)
    load_qgraph(tmp_path)  # and the undamaged files are fine


@pytest.mark.parametrize("name", [GRAPH_NAME, CONSTANTS_NAME])
@pytest.mark.parametrize("damage", ["missing", "empty", "shorter", "longer", "folder"])
def test_damaged_files_are_refused(name: str, damage: str, tmp_path: Path) -> None:
    path = write(tmp_path, save_qgraph(small_graph())) / name
    content = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage != "missing":
        path.write_bytes({"empty": b"", "shorter": content[:-1], "longer": content + b"1"}[damage])
    with pytest.raises(BadInputError) as caught:
        load_qgraph(tmp_path)
    assert len(str(caught.value).splitlines()) == 1


def _tensor(graph: dict[str, Any], name: str) -> dict[str, Any]:
    (tensor,) = (t for t in graph["tensors"] if t["name"] == name)
    found: dict[str, Any] = tensor
    return found


FORGERIES: dict[str, Callable[[dict[str, Any]], object]] = {
    "unknown operator": lambda g: g["nodes"][0].update(op="addition"),
    "missing arithmetic": lambda g: g["nodes"][0].update(arithmetic=None),
    "arithmetic of another operator": lambda g: g["nodes"][0].update(
        arithmetic=g["nodes"][1]["arithmetic"]
    ),
    "fraction in place of an integer": lambda g: g["nodes"][1]["arithmetic"].update(shift=0.5),
    "shift outside its range": lambda g: g["nodes"][1]["arithmetic"].update(shift=31),
    "negative offset": lambda g: _tensor(g, "table").update(offset=-1),
    "offset outside": lambda g: _tensor(g, "table").update(offset=17),
    "larger shape": lambda g: _tensor(g, "wide").update(shape=[9]),
    "negative shape": lambda g: _tensor(g, "wide").update(shape=[-3]),
    "huge shape": lambda g: _tensor(g, "out").update(shape=[2**40, 2**40]),
    "unknown type": lambda g: _tensor(g, "out").update(dtype="int4"),
    "scale of zero": lambda g: _tensor(g, "out")["quantization"].update(scale=0.0),
    "zero point outside": lambda g: _tensor(g, "out")["quantization"].update(zero_point=128),
    "tensor listed twice": lambda g: g["tensors"].append(g["tensors"][0]),
    "tensor that is missing": lambda g: g["tensors"].remove(_tensor(g, "sum")),
    "node in the wrong order": lambda g: g["nodes"].reverse(),
    "one operand": lambda g: g["nodes"][0]["inputs"].pop(),
    "operand of another shape": lambda g: g["nodes"][0]["inputs"].__setitem__(1, "wide"),
    "no outputs": lambda g: g.update(outputs=[]),
    "unknown field": lambda g: g.update(extra=1),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
def test_forged_models_are_refused(
    forge: Callable[[dict[str, Any]], object], tmp_path: Path
) -> None:
    """A right checksum does not make a model right."""
    files = save_qgraph(small_graph())
    file = json.loads(files[GRAPH_NAME])
    assert _with_checksum(file, files[CONSTANTS_NAME]) == files[GRAPH_NAME]
    forge(file["graph"])
    forged = _with_checksum(file, files[CONSTANTS_NAME])
    write(tmp_path, {**files, GRAPH_NAME: forged})
    with pytest.raises(BadInputError) as caught:
        load_qgraph(tmp_path)
    assert "checksum" not in str(caught.value)


def _with_checksum(file: dict[str, Any], constants: bytes) -> bytes:
    """graph.json written by hand, as docs of the format would have it."""
    body = json.dumps(file["graph"], separators=(",", ":"), ensure_ascii=False).encode()
    digest = hashlib.sha256(len(body).to_bytes(8, "little") + body + constants).hexdigest()
    return b'{"format":1,"sha256":"%s","graph":%s}' % (digest.encode(), body)


def test_other_versions_are_refused(tmp_path: Path) -> None:
    files = save_qgraph(small_graph())
    newer = files[GRAPH_NAME].replace(b'"format":1', b'"format":2', 1)
    with pytest.raises(BadInputError, match="format 2"):
        load_qgraph(write(tmp_path, {**files, GRAPH_NAME: newer}))


_names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
_scales = st.floats(min_value=1e-300, max_value=1e300)
_bounds = st.none() | st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def chains(draw: st.DrawFn) -> QGraph:
    """Requantize nodes behind one another, with any names, scales, bounds and integers."""
    shape = (1, *draw(st.lists(st.integers(1, 9), max_size=3)))
    names = draw(st.lists(_names, min_size=2, max_size=5, unique=True))
    zero_points = st.integers(-128, 127)
    tensors = {
        name: Tensor(name, shape, "int8", Quantization(draw(_scales), draw(zero_points)))
        for name in names
    }
    nodes = []
    for source, result in itertools.pairwise(names):
        low, high = sorted((draw(zero_points), draw(zero_points)))
        arithmetic = RequantizeArithmetic(
            input_zero_point=draw(zero_points),
            output_zero_point=draw(zero_points),
            multiplier=draw(st.integers(0, 2**31 - 1)),
            shift=draw(st.integers(-31, 30)),
            minimum=low,
            maximum=high,
        )
        attributes = Requantize(draw(_bounds), draw(_bounds))
        label = draw(_names)
        nodes.append(Node(label, "requantize", (source,), (result,), attributes, arithmetic, label))
    return QGraph(
        tensors,
        tuple(nodes),
        (Port(draw(_names), names[0], shape),),
        (Port(draw(_names), names[-1], shape),),
        name=draw(_names),
    ).verify()


@given(chains())
def test_any_chain_survives_the_round_trip(graph: QGraph) -> None:
    files = save_qgraph(graph)
    with tempfile.TemporaryDirectory() as folder:
        loaded = load_qgraph(write(Path(folder), files))
    assert_same(loaded, graph)
    assert save_qgraph(loaded) == files
