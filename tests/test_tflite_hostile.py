# SPDX-License-Identifier: Apache-2.0
"""Whatever the bytes of a TFLite file: a graph or an EdgekitError, soon, and in little memory."""

from __future__ import annotations

import dataclasses
import random
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.tflite_cases import cases, operator_model
from support.tflite_writer import TensorSpec, Writer, write_tflite

from edgekit.converters.from_tflite import import_tflite
from edgekit.errors import EdgekitError

CASES = cases()
BYTE_FLIPS = 250
CORPUS = ("conv_relu", "add_constant_channels", "mean_rank_3", "padv2_map", "average_pool_same")


def refusal(data: bytes, path: Path) -> tuple[str, ...]:
    """The printable lines with which the bytes are refused; none where they are a model."""
    path.write_bytes(data)
    try:
        import_tflite(path)
    except EdgekitError as error:
        lines = error.lines
    else:
        lines = ()
    assert all(line and line.isprintable() for line in lines)
    return lines


@pytest.mark.parametrize("case", CORPUS)
def test_every_truncation_is_refused(case: str, tmp_path: Path) -> None:
    data = write_tflite(CASES[case])
    unread_bytes = 8  # the empty buffer 0 at the end, which no tensor uses
    for length in range(0, len(data) - unread_bytes, 3):
        assert refusal(data[:length], tmp_path / "model.tflite"), length


@pytest.mark.parametrize("case", CORPUS)
def test_damaged_bytes_never_raise_anything_else(case: str, tmp_path: Path) -> None:
    """Whatever the bytes: a graph or an EdgekitError of printable lines, and no numpy warning."""
    original = write_tflite(CASES[case])
    source = random.Random(case)
    path = tmp_path / "model.tflite"
    refused = 0
    for _ in range(BYTE_FLIPS):
        data = bytearray(original)
        for _ in range(source.choice((1, 1, 2, 6))):
            data[source.randrange(len(data))] = source.choice((0, 1, 127, 128, 255))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            refused += bool(refusal(bytes(data), path))
    assert refused > BYTE_FLIPS // 10


class _SharingWriter(Writer):
    """Lists the first tensor, or the only operator, of a model very often."""

    copies = 100_000

    def _tables(self, offsets: Sequence[int]) -> int:
        if len(offsets) == len(self._model.tensors):
            offsets = [*offsets, *[offsets[0]] * self.copies]
        return super()._tables(offsets)


@pytest.mark.parametrize("scales", [1, 100_000])
def test_tables_that_share_their_bytes_cost_little(scales: int, tmp_path: Path) -> None:
    wide = TensorSpec("wide", (1, scales), [0.1] * scales)
    base = CASES["add_none"]
    data = _SharingWriter(dataclasses.replace(base, tensors=[wide, *base.tensors])).file()
    assert len(data) > 400_000
    started = time.process_time()
    (line,) = refusal(data, tmp_path / "model.tflite")
    assert "share so much data" in line
    assert time.process_time() - started < 5.0


def test_huge_activations_cost_nothing_to_import(tmp_path: Path) -> None:
    """2^31 - 1 elements are within the limits; importing must not allocate them."""
    shape = (1, 2**31 - 1, 1, 1)
    x, y = TensorSpec("x", shape, 0.05, 0), TensorSpec("y", shape, 0.05, 0)
    options = {"FilterHeight": 1, "FilterWidth": 1, "StrideH": 1, "StrideW": 1}
    model = operator_model("AVERAGE_POOL_2D", [x], y, options)
    path = tmp_path / "model.tflite"
    path.write_bytes(write_tflite(model))
    started = time.process_time()
    assert import_tflite(path).nodes[0].op == "average_pool2d"
    assert time.process_time() - started < 2.0
