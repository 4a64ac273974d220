# SPDX-License-Identifier: Apache-2.0
"""PyTorch calls that take tensors apart, join and search them: as PyTorch computes, and in C."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing; run: pip install 'edgekit[torch]'")

from support.torch_checks import Function, assert_same_function  # noqa: E402
from support.torch_models import randomize  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

import edgekit  # noqa: E402
from edgekit.converters.from_torch import import_torch_module  # noqa: E402
from edgekit.errors import UnsupportedError  # noqa: E402

pytestmark = pytest.mark.usefixtures("modules_exported_once")


def behind_stem(function: Callable[..., Any]) -> Function:
    """A function of 12 channels, and the constants that the functions below use."""
    return Function(
        function,
        channels=(3, 12),
        constant=torch.linspace(-1.0, 1.5, 12 * 30).reshape(1, 12, 5, 6),
        matrices=torch.linspace(-1.0, 1.0, 48).reshape(1, 1, 6, 8),
    )


def shuffled(y: torch.Tensor, groups: int) -> torch.Tensor:
    n, c, h, w = y.shape
    return y.view(n, groups, c // groups, h, w).transpose(1, 2).contiguous().view(n, c, h, w)


def attention(y: torch.Tensor) -> torch.Tensor:
    tokens = y.flatten(2)
    return (tokens.transpose(1, 2) @ tokens).softmax(-1)


def heads(y: torch.Tensor) -> torch.Tensor:
    q = y.flatten(2).reshape(1, 3, 4, 30)
    return q.transpose(2, 3) @ q


OPERATORS: dict[str, Callable[..., Any]] = {
    "cat_channels": lambda m, y: torch.cat([y, torch.relu(y)], 1),
    "cat_rows": lambda m, y: torch.cat([y, y * 3], 2),
    "cat_columns": lambda m, y: torch.cat([y[..., :2], y, y[..., 4:]], dim=-1),
    "cat_same_tensor": lambda m, y: torch.cat([y, y, y], 1),
    "cat_constant": lambda m, y: torch.cat([m.constant, y], 1),
    "cat_vectors": lambda m, y: torch.cat([y.mean((2, 3)), y.flatten(1)], 1),
    "cat_rank_3": lambda m, y: torch.cat([y.flatten(2), y.flatten(2)], 2),
    "stack_last": lambda m, y: torch.stack([y.flatten(2), y.flatten(2) * 2], -1),
    "stack_vectors": lambda m, y: torch.stack([y.mean((2, 3)), y.mean((2, 3)) + 1], 1),
    "slice_channels": lambda m, y: y[:, 3:9],
    "slice_strided": lambda m, y: y[:, ::3, 1::2, ::2],
    "slice_negative": lambda m, y: y[:, -4:, :-1],
    "slice_vector": lambda m, y: y.flatten(1)[:, 7:90:5],
    "select_row": lambda m, y: y[:, :, -1],
    "select_channel": lambda m, y: y[:, 5],
    "narrow": lambda m, y: torch.narrow(y, 1, 2, 5),
    "index_reversed": lambda m, y: y[:, [11, 9, 7, 0, 0, 1, 2]],
    "index_select": lambda m, y: torch.index_select(y, 3, torch.tensor([0, 2, 4, 5])),
    "flip": lambda m, y: torch.flip(y, [1, 3]),
    "roll": lambda m, y: torch.roll(y, (2, -1), (2, 1)),
    "chunk_channels": lambda m, y: torch.chunk(y, 2, 1)[1] * torch.chunk(y, 2, 1)[0],
    "chunk_uneven": lambda m, y: torch.cat(torch.chunk(y, 5, 1)[::-1], 1),
    "split_one_size": lambda m, y: torch.cat(torch.split(y, 5, 1)[::-1], 1),
    "split_sizes": lambda m, y: torch.split(y, [2, 7, 3], 1),
    "unbind_rows": lambda m, y: torch.unbind(y, 2)[3],
    "channel_shuffle": lambda m, y: functional_shuffle(y, 3),
    "channel_shuffle_by_hand": lambda m, y: shuffled(y, 4),
    "channel_shuffle_rank_4": lambda m, y: y.view(1, 3, 4, 30).transpose(1, 2).reshape(y.shape),
    "rank_6_view": lambda m, y: (
        y.view(1, 2, 3, 2, 5, 6).permute(0, 3, 1, 2, 4, 5).reshape(1, 12, 5, 6)
    ),
    "split_rows_to_channels": lambda m, y: y.reshape(1, 12, 5, 2, 3).flatten(1, 2),
    "flatten_in_the_middle": lambda m, y: y.flatten(2).reshape(1, 12, 6, 5),
    "matmul_attention": lambda m, y: attention(y),
    "matmul_heads": lambda m, y: heads(y),
    "matmul_constant": lambda m, y: y @ m.matrices,
    "bmm": lambda m, y: torch.bmm(y.flatten(2), y.flatten(2).transpose(1, 2)),
    "expand_vector": lambda m, y: y.mean((2, 3), keepdim=True).expand(1, 12, 4, 7) * 2,
    "repeat": lambda m, y: y.repeat(1, 2, 1, 2),
    "sum_map": lambda m, y: y.sum((2, 3)),
    "sum_channels": lambda m, y: y.sum(1, keepdim=True),
    "amax_map": lambda m, y: y.amax((2, 3)),
    "amax_channels": lambda m, y: y.amax(1, keepdim=True),
    "max_of_channels": lambda m, y: y - y.max(1, keepdim=True)[0],
    "max_of_rows": lambda m, y: y.max(2).values,
    "min_of_channels": lambda m, y: y.min(1)[0],
    "max_of_all": lambda m, y: y - y.max(),
    "mean_channels": lambda m, y: y.mean(1, keepdim=True),
    "mean_channels_last": lambda m, y: y.permute(0, 2, 3, 1).mean((1, 2)),
    "amax_channels_last": lambda m, y: y.permute(0, 2, 3, 1).amax((1, 2), keepdim=True),
    "sum_channels_and_rows": lambda m, y: y.sum((1, 2)),
    "gated_channels_last": lambda m, y: gated_channels_last(y),
    "split_pooled": lambda m, y: torch.cat([y.amax(1, True), y.mean(1, True)], 1),
}


def gated_channels_last(y: torch.Tensor) -> torch.Tensor:
    """Channels in three parts, one of which is the gate, as in networks of gated blocks."""
    gate, first, second = torch.split(y.permute(0, 2, 3, 1), [6, 4, 2], -1)
    return (functional.silu(gate) * torch.cat([first, second], -1)).permute(0, 3, 1, 2)


def functional_shuffle(y: torch.Tensor, groups: int) -> torch.Tensor:
    return nn.functional.channel_shuffle(y, groups)


@functools.cache
def prepared(function: Callable[..., Any]) -> tuple[nn.Module, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    return randomize(behind_stem(function)), torch.randn(1, 3, 5, 6, generator=generator)


@pytest.mark.parametrize("name", OPERATORS)
def test_operator_is_what_pytorch_computes(name: str) -> None:
    module, x = prepared(OPERATORS[name])
    assert_same_function(module, (x,))


@pytest.mark.parametrize("name", ["mean_channels_last", "gated_channels_last"])
def test_a_map_with_its_channels_last_is_not_moved(name: str) -> None:
    """It is stored so anyway, whatever is done to it in between."""
    module, x = prepared(OPERATORS[name])
    graph = assert_same_function(module, (x,))
    assert "transpose" not in [node.op for node in graph.nodes]


@pytest.mark.parametrize("name", OPERATORS)
def test_quantized_operator_is_equal_in_c(name: str) -> None:
    module, x = prepared(OPERATORS[name])
    artifact = edgekit.convert(
        module, x, calibration=[x, -x, x.flip(2)], target="host", kernels="reference"
    )
    report = artifact.validate(samples=3).assert_ok()
    assert report.float is not None
    assert report.float.sqnr_db is not None
    assert report.float.sqnr_db > 20.0


SEARCHES: dict[str, Callable[..., Any]] = {
    "classes": lambda m, y: y.flatten(1).argmax(1),
    "channels": lambda m, y: y.argmax(1),
    "rows": lambda m, y: y.argmax(2),
    "columns_kept": lambda m, y: y.argmax(3, keepdim=True),
    "everything": lambda m, y: y.argmax(),
    "least": lambda m, y: y.argmin(1),
    "viewed": lambda m, y: y.argmax(1).flatten(1),
    "places_of_max": lambda m, y: y.max(1)[1],
    "places_of_min": lambda m, y: y.min(2, keepdim=True).indices,
}


@pytest.mark.parametrize("name", SEARCHES)
def test_indices_are_int32_and_equal_in_c(name: str) -> None:
    module, x = prepared(SEARCHES[name])
    assert_same_function(module, (x,))
    artifact = edgekit.convert(module, x, calibration=[x], target="host", kernels="reference")
    assert artifact.manifest.outputs[0].dtype == "int32"
    artifact.validate(samples=3).assert_ok()
    with torch.no_grad():
        expected = module(x).numpy()
    found = np.asarray(artifact.run(x))
    expected = expected.transpose(0, 2, 3, 1) if expected.ndim == 4 else expected
    assert found.shape == expected.shape
    assert (found == expected).mean() > 0.8  # neighbours may swap where quantization joins them


def test_channel_shuffle_is_one_transpose_of_three_axes() -> None:
    for function in (lambda m, y: shuffled(y, 4), lambda m, y: functional_shuffle(y, 4)):
        module, x = prepared(function)
        graph = assert_same_function(module, (x,))
        moves = [node.attributes for node in graph.nodes if node.op == "transpose"]
        assert [move.permutation for move in moves] == [(0, 1, 3, 2)]


REFUSED: dict[str, tuple[Callable[..., Any], str]] = {
    "rank_5_sum": (lambda m, y: y.view(1, 3, 4, 5, 6).sum(1), "sum .*rank 5"),
    "mask": (lambda m, y: y[:, torch.tensor([True, False] * 6)], "index .*shape is dynamic"),
    "many_indices": (
        lambda m, y: y.flatten(1)[:, [i * i * 7 % 360 for i in range(40)]],
        "index .*slices; at most",
    ),
    "index_arithmetic": (lambda m, y: y.argmax(1) + 1, "add .*int64"),
    "uneven_view": (lambda m, y: y.view(1, 8, 9, 5, 1).transpose(1, 2), "view .*unevenly"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusal_names_the_call(name: str) -> None:
    function, message = REFUSED[name]
    module, x = prepared(function)
    with pytest.raises(UnsupportedError, match=message):
        import_torch_module(module, x)
