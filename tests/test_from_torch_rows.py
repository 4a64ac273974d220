# SPDX-License-Identifier: Apache-2.0
"""PyTorch's operators over rows of an axis (softmax, norms, attention): as it computes, and in C."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing; run: pip install 'edgekit[torch]'")

from support.torch_checks import Function, assert_same_function  # noqa: E402
from support.torch_models import randomize  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

import edgekit  # noqa: E402
from edgekit.converters.from_torch import import_torch_module  # noqa: E402
from edgekit.errors import BadInputError, EdgekitError, UnsupportedError  # noqa: E402

pytestmark = pytest.mark.usefixtures("modules_exported_once")

Case = Callable[..., Any]


def tokens(y: torch.Tensor) -> torch.Tensor:
    """(1, pixels, channels)."""
    return y.flatten(2).transpose(1, 2)


def heads(y: torch.Tensor) -> torch.Tensor:
    """(1, 3 heads, 30 tokens, 4 channels)."""
    return tokens(y).reshape(1, 30, 3, 4).transpose(1, 2)


def layer_norm_by_hand(m: Any, y: torch.Tensor) -> torch.Tensor:
    """Over the channels of a map, as ConvNeXt's first code has it."""
    mean = y.mean(1, keepdim=True)
    variance = (y - mean).pow(2).mean(1, keepdim=True)
    normalized = (y - mean) / torch.sqrt(variance + 1e-6)
    return m.gamma[:, None, None] * normalized + m.beta[:, None, None]


def deviation_by_hand(m: Any, y: torch.Tensor) -> torch.Tensor:
    """Over the width, and the factor in front."""
    deviation = y - y.mean(-1, keepdim=True)
    return torch.rsqrt((deviation * deviation).mean(-1, keepdim=True) + 1e-3) * deviation


def attention(scale: float | None = None, **options: Any) -> Case:
    def of_heads(m: Any, y: torch.Tensor) -> torch.Tensor:
        parts = (heads(y), heads(y) * 0.5, heads(y) * 2)
        return functional.scaled_dot_product_attention(*parts, scale=scale, **options)

    return of_heads


def cross_covariance(m: Any, y: torch.Tensor) -> torch.Tensor:
    """EdgeNeXt's attention: queries, keys and values of 2 heads out of one packed tensor."""
    packed = tokens(y).reshape(1, 30, 3, 2, 2)
    query, key, value = packed.permute(2, 0, 3, 4, 1).unbind(0)
    query, key = (functional.normalize(part, dim=-1) for part in (query, key))
    scores = query @ key.transpose(-2, -1) * m.gamma[:2].reshape(2, 1, 1)
    return (scores.softmax(-1) @ value).permute(0, 3, 1, 2).reshape(1, 30, 4)


IN_C: dict[str, tuple[Case, list[str] | None]] = {
    "log_softmax_channels": (lambda m, y: functional.log_softmax(y, dim=1), ["log_softmax"]),
    "log_softmax_rank_3": (lambda m, y: y.flatten(2).log_softmax(1), None),
    "amin_channels": (lambda m, y: y.amin(1, keepdim=True), ["reduce_min"]),
    "amin_columns": (lambda m, y: y.amin(3), None),
    "layer_norm_channels_last": (
        lambda m, y: functional.layer_norm(
            y.permute(0, 2, 3, 1), (12,), m.gamma, m.beta
        ).permute(0, 3, 1, 2),
        ["layer_normalization"],
    ),
    "layer_norm_by_hand": (layer_norm_by_hand, ["layer_normalization"]),
    "group_norm": (lambda m, y: functional.group_norm(y, 4, m.gamma, m.beta), None),
    "attention": (attention(), None),
    "cross_covariance": (cross_covariance, None),
}  # fmt: skip
"""Name -> function, and the operators behind the stem where all of them matter."""

AS_PYTORCH: dict[str, tuple[Case, list[str] | None]] = {
    **IN_C,
    "log_softmax_classes": (lambda m, y: y.mean((2, 3)).log_softmax(-1), None),
    "log_softmax_rows": (lambda m, y: y.log_softmax(2), None),
    "amin_map": (lambda m, y: y.amin((2, 3)), None),
    "layer_norm_tokens": (
        lambda m, y: functional.layer_norm(tokens(y), (12,), m.gamma, m.beta),
        ["reshape", "layer_normalization"],
    ),
    "layer_norm_without_affine": (lambda m, y: functional.layer_norm(y, (6,)), None),
    "layer_norm_weight": (lambda m, y: functional.layer_norm(y, (6,), m.gamma[:6]), None),
    "layer_norm_two_axes": (lambda m, y: functional.layer_norm(y, (5, 6)), None),
    "layer_norm_all_axes": (lambda m, y: functional.layer_norm(y, (12, 5, 6), eps=0.1), None),
    "layer_norm_vector": (
        lambda m, y: functional.layer_norm(y.mean((2, 3)), (12,), m.gamma, m.beta),
        ["mean", "layer_normalization"],
    ),
    "layer_norm_of_zeros": (
        lambda m, y: functional.layer_norm(tokens(y), (12,), m.gamma * 0, m.beta) + y.mean(),
        None,
    ),
    "layer_norm_epsilon_0": (lambda m, y: functional.layer_norm(tokens(y), (12,), eps=0.0), None),
    "native_layer_norm": (
        lambda m, y: torch.native_layer_norm(tokens(y), (12,), m.gamma, m.beta, 1e-5)[0],
        ["reshape", "layer_normalization"],
    ),
    "deviation_by_hand": (deviation_by_hand, ["transpose", "layer_normalization", "transpose"]),
    "mean_of_other_axis": (
        lambda m, y: (y - y.mean(1, keepdim=True))
        / ((y - y.mean(1, keepdim=True)).square().mean(2, keepdim=True) + 1e-3).sqrt(),
        ["mean", "sub", "mean", "sub", "lookup", "mean", "add", "lookup", "lookup", "mul"],
    ),
    "root_mean_square": (
        lambda m, y: y / (y.square().mean(1, keepdim=True) + 1e-3).sqrt(),
        ["lookup", "mean", "add", "lookup", "lookup", "mul"],
    ),
    "group_norm_of_one": (lambda m, y: functional.group_norm(y, 1), None),
    "instance_norm": (
        lambda m, y: functional.instance_norm(y, weight=m.gamma, bias=m.beta), None,
    ),
    "instance_norm_sequence": (lambda m, y: functional.instance_norm(y.flatten(2)), None),
    "instance_norm_of_statistics": (
        lambda m, y: functional.instance_norm(
            y, m.beta, m.gamma, use_input_stats=False, eps=0.1
        ),
        [],
    ),
    "normalize_channels": (lambda m, y: functional.normalize(y, dim=1), ["l2_normalization"]),
    "normalize_rows": (
        lambda m, y: functional.normalize(y, dim=2),
        ["transpose", "l2_normalization", "transpose"],
    ),
    "normalize_with_epsilon": (
        lambda m, y: functional.normalize(y, dim=1, eps=0.5),
        ["lookup", "sum", "lookup", "requantize", "tile", "lookup", "mul"],
    ),
    "length_of_pixels": (lambda m, y: torch.linalg.vector_norm(y, dim=1), None),
    "length_of_channels": (lambda m, y: y.norm(dim=(2, 3)), None),
    "attention_of_scale": (attention(0.3), None),
    "addcmul": (lambda m, y: torch.addcmul(y, y, m.gamma[:, None, None], value=0.5), None),
    "addcmul_constants": (
        lambda m, y: torch.addcmul(y, m.beta[:, None, None], m.gamma[:, None, None]), [],
    ),
    "one_of_six_axes": (
        lambda m, y: y.view(1, 2, 3, 2, 5, 6).permute(0, 3, 1, 2, 4, 5).select(1, 1).flatten(1, 2),
        ["slice"],
    ),
    "first_of_six_axes": (
        lambda m, y: y.view(1, 2, 3, 2, 5, 6).select(1, 1).flatten(1, 2), ["slice"],
    ),
}  # fmt: skip
"""As IN_C; they convert to what the others convert to."""


@functools.cache
def prepared(function: Case) -> tuple[nn.Module, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    vectors = {"gamma": torch.linspace(0.5, 1.7, 12), "beta": torch.linspace(-0.4, 0.9, 12)}
    module = randomize(Function(function, channels=(3, 12), **vectors))
    return module, torch.randn(1, 3, 5, 6, generator=generator)


@pytest.mark.parametrize("name", AS_PYTORCH)
def test_operator_is_what_pytorch_computes(name: str) -> None:
    function, expected = AS_PYTORCH[name]
    module, x = prepared(function)
    graph = assert_same_function(module, (x,))
    assert expected is None or [node.op for node in graph.nodes][1:] == expected


@pytest.mark.parametrize("name", IN_C)
def test_quantized_operator_is_equal_in_c(name: str) -> None:
    module, x = prepared(IN_C[name][0])
    artifact = edgekit.convert(
        module, x, calibration=[x, -x, x.flip(2)], target="host", kernels="reference"
    )
    report = artifact.validate(samples=3).assert_ok()
    assert report.float is not None
    assert report.float.sqnr_db is not None
    assert report.float.sqnr_db > 20.0


REFUSED: dict[str, tuple[Case, type[EdgekitError], str]] = {
    "mean_of_native": (
        lambda m, y: torch.native_layer_norm(tokens(y), (12,), m.gamma, m.beta, 1e-5)[1],
        UnsupportedError,
        "only the first result is supported",
    ),
    "negative_epsilon": (
        lambda m, y: functional.layer_norm(y, (6,), eps=-1e-3), BadInputError,
        "layer_normalization '.*': epsilon -0.001 must be a number, 0 or more",
    ),
    "epsilon_nan": (
        lambda m, y: functional.layer_norm(y, (6,), eps=float("nan")), BadInputError, "epsilon",
    ),
    "computed_weight": (
        lambda m, y: functional.layer_norm(y, (6,), y.mean((0, 1, 2))), UnsupportedError,
        "'weight' must be a constant of the model",
    ),
    "other_length": (
        lambda m, y: torch.linalg.vector_norm(y, 1, dim=1), UnsupportedError,
        "ord=1 is not supported; use 2",
    ),
    "masked_attention": (
        attention(attn_mask=torch.ones(30, 30).bool()), UnsupportedError, "attn_mask is not",
    ),
    "causal_attention": (attention(is_causal=True), UnsupportedError, "is_causal is not"),
    "attention_of_negative_scale": (
        attention(-0.3), UnsupportedError, "scale=-0.3 is not supported; use a number above 0",
    ),
    "two_of_six_axes": (
        lambda m, y: y.view(1, 2, 3, 2, 5, 6)[:, :, 1:].flatten(1, 3), UnsupportedError,
        "slice '.*': it works on rank 6",
    ),
    "middle_of_six_axes": (
        lambda m, y: y.view(1, 2, 3, 2, 5, 6).select(2, 1).flatten(1, 2), UnsupportedError,
        "select '.*': it takes 1 of dim=2 of rank 6",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_integer_form_is_refused(name: str) -> None:
    function, error, message = REFUSED[name]
    with pytest.raises(error, match=message) as caught:
        import_torch_module(*prepared(function))
    assert all("\n" not in line for line in caught.value.lines)
