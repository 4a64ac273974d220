# SPDX-License-Identifier: Apache-2.0
"""Small files that ask for absurd work: refused in one line that states the limit, and soon."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from support.command_line import Edgekit
from support.graphs import GRAPHS
from support.tflite_writer import (
    ModelSpec,
    OperatorSpec,
    TensorSpec,
    constant_spec,
    write_tflite,
)

from edgekit.converters import allocate
from edgekit.converters.load import load_model
from edgekit.errors import BadInputError
from edgekit.limits import (
    MAX_FILE_BYTES,
    MAX_FLOAT_MACS,
    MAX_INPUT_ELEMENTS,
    MAX_JSON_BYTES,
    MAX_LENGTH,
    MAX_NODES,
    MAX_ROWS,
    MAX_TENSOR_ELEMENTS,
    check_float_work,
)
from edgekit.program import Buffer

CPU_SECONDS = 5.0


def chain(*shapes: tuple[int, ...], operators: list[OperatorSpec] | None = None) -> ModelSpec:
    """Activations t0, t1, ... of the given shapes, one RESHAPE between each two unless given."""
    tensors = [TensorSpec(f"t{i}", shape, 0.1, 0) for i, shape in enumerate(shapes)]
    last = len(shapes) - 1
    reshapes = [OperatorSpec("RESHAPE", [f"t{i}"], [f"t{i + 1}"]) for i in range(last)]
    return ModelSpec(tensors, operators or reshapes, ["t0"], [f"t{last}"])


def pool(name: str, kernel: int) -> OperatorSpec:
    options = {"StrideH": 1, "StrideW": 1, "FilterHeight": kernel, "FilterWidth": kernel}
    return OperatorSpec(name, ["t0"], ["t1"], options)


def _padded() -> ModelSpec:
    amounts = constant_spec("p", np.array([[0, 0], [8000, 8000], [8000, 8000], [0, 0]], np.int32))
    model = chain((1, 1, 1, 1), (1, 16001, 16001, 1))
    return ModelSpec(
        [*model.tensors, amounts], [OperatorSpec("PAD", ["t0", "p"], ["t1"])], ["t0"], ["t1"]
    )


ABSURD: Mapping[str, tuple[Callable[[], ModelSpec], int]] = {
    "two_gigabyte_map": (
        lambda: chain(
            *[(1, 2**15, 2**15, 1)] * 2, operators=[pool("AVERAGE_POOL_2D", 1)]
        ),
        MAX_TENSOR_ELEMENTS,
    ),
    "two_gigabyte_row": (lambda: chain((1, 2**31 - 1), (1, 2**31 - 1, 1)), MAX_TENSOR_ELEMENTS),
    "padded_to_gigabytes": (_padded, MAX_TENSOR_ELEMENTS),
    "long_row": (lambda: chain((1, MAX_LENGTH + 1), (1, MAX_LENGTH + 1, 1)), MAX_LENGTH),
    "tall_maps": (
        lambda: chain(
            *[(1, MAX_ROWS // 2 + 1, 2, 1)] * 2, operators=[pool("AVERAGE_POOL_2D", 1)]
        ),
        MAX_ROWS,
    ),
    "large_input": (lambda: chain((1, 2**10, 2**11 + 1, 1), (1, 2**11 + 1, 2**10, 1)), MAX_INPUT_ELEMENTS),
    "thousands_of_operators": (lambda: chain(*[(1, 4)] * (MAX_NODES + 2)), MAX_NODES),
}  # fmt: skip


@pytest.mark.parametrize("name", ABSURD)
def test_absurd_models_are_refused_at_once(name: str, edgekit: Edgekit, tmp_path: Path) -> None:
    make, limit = ABSURD[name]
    path = tmp_path / "absurd.tflite"
    path.write_bytes(write_tflite(make()))
    if name != "thousands_of_operators":
        assert path.stat().st_size < 1000
    started = time.process_time()
    result = edgekit("convert", path, "-t", "cortex-m4", "-o", tmp_path / "out")
    assert time.process_time() - started < CPU_SECONDS
    assert result.code == 2
    assert str(limit) in result.error
    assert not (tmp_path / "out").exists()


def test_the_largest_models_still_convert(edgekit: Edgekit, tmp_path: Path) -> None:
    path = tmp_path / "large.tflite"
    path.write_bytes(write_tflite(chain((1, 2**10, 2**11, 1), (1, 2**9, 2**12, 1))))
    result = edgekit("convert", path, "-t", "cortex-m4", "-o", tmp_path / "out")
    assert result.code == 0, result.err


def test_huge_files_are_not_read(tmp_path: Path) -> None:
    for suffix in (".tflite", ".pt2"):
        path = tmp_path / f"huge{suffix}"
        with path.open("wb") as file:
            file.truncate(MAX_FILE_BYTES + 1)  # a hole: it takes no space
        with pytest.raises(BadInputError, match=str(MAX_FILE_BYTES)):
            load_model(str(path))


@pytest.mark.parametrize(
    ("entry", "size", "limit"),
    [
        ("net/data/weights/weight_0", MAX_FILE_BYTES + 1, MAX_FILE_BYTES),
        ("net/models/model.json", MAX_JSON_BYTES + 1, MAX_JSON_BYTES),
    ],
    ids=["weights", "json"],
)
def test_zip_bombs_are_not_unpacked(entry: str, size: int, limit: int, tmp_path: Path) -> None:
    path = tmp_path / "bomb.pt2"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(entry, "w", force_zip64=True) as file,
    ):
        block = bytes(2**20)
        for _ in range(size // 2**20):
            file.write(block)
        file.write(b"0")
    assert path.stat().st_size < 2**22
    with pytest.raises(BadInputError, match=str(limit)):
        load_model(str(path))


def test_float_models_of_absurd_work_are_not_calibrated() -> None:
    graph = GRAPHS["residual"]()
    check_float_work(graph, MAX_FLOAT_MACS)
    with pytest.raises(BadInputError, match=f"{MAX_FLOAT_MACS + 1} multiply-accumulates"):
        check_float_work(graph, MAX_FLOAT_MACS + 1)


def test_placement_of_many_buffers_ends() -> None:
    """Six hundred buffers with long lives: the searches stop after a fixed amount of work."""
    random = np.random.default_rng(0)
    count = 600
    firsts = random.integers(0, count, count)
    buffers = tuple(
        Buffer(f"b{i}", int(random.integers(1, 4000)), int(f), int(min(count - 1, f + 200)))
        for i, f in enumerate(firsts)
    )
    problem = allocate._problem(buffers, [])
    started = time.process_time()
    offsets, peak = allocate._best_greedy(problem)
    offsets, peak = allocate._squeaky_wheel(problem, offsets, peak)
    assert time.process_time() - started < 4 * CPU_SECONDS
    assert peak >= problem.bound
