# SPDX-License-Identifier: Apache-2.0
"""Whole PyTorch networks: the graph computes what PyTorch does, and the C what the integers say."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing; run: pip install 'edgekit[torch]'")

from hypothesis import HealthCheck, given, settings  # noqa: E402
from support.random_networks import NetworkSpec, build, network_specs  # noqa: E402
from support.torch_models import noise  # noqa: E402
from support.torch_networks import (  # noqa: E402
    assert_graph_is_the_module,
    calibration,
    convert,
    convert_checked,
)
from support.torch_zoo import ZOO, Built  # noqa: E402

from edgekit.artifact import Artifact  # noqa: E402
from edgekit.converters.from_torch import import_torch_module  # noqa: E402
from edgekit.converters.legalize import legalize  # noqa: E402

pytestmark = pytest.mark.usefixtures("modules_exported_once")
# 8-bit layers of noise have 35 to 45 dB each; a wrong rule for a range or a multiplier ends below 10.
LEAST_SQNR_DB = 20.0
EMULATED = ("unet_transposed", "odd_shapes", "temporal", "shuffle_net_v2", "detector")
FILES = ("unet_bilinear", "super_resolution", "mobile_net_v3", "two_cameras", "generated_weights")


@functools.cache
def built(name: str) -> Built:
    return ZOO[name]()


@functools.cache
def converted(name: str) -> Artifact:
    return convert(*built(name))


@pytest.mark.parametrize("name", ZOO)
def test_network_computes_what_pytorch_does(name: str) -> None:
    module, inputs = built(name)
    assert_graph_is_the_module(import_torch_module(module, inputs), module, inputs)


@pytest.mark.parametrize("name", ZOO)
def test_converted_network_is_exact_and_close_to_the_module(name: str) -> None:
    artifact = converted(name)
    report = artifact.validate(on=("host",)).assert_ok()
    assert report.float is not None
    for output in report.float.outputs:
        assert output.sqnr_db is not None
        assert output.sqnr_db > LEAST_SQNR_DB, output.name


@pytest.mark.parametrize("name", EMULATED)
def test_converted_network_is_exact_on_an_emulated_core(
    name: str, require_program: Callable[[str], str]
) -> None:
    require_program("qemu-system-arm")
    converted(name).validate(on=("qemu",), samples=1).assert_ok()


@pytest.mark.parametrize("name", FILES)
def test_pt2_file_converts_to_the_same_bytes(name: str, tmp_path: Path) -> None:
    module, inputs = built(name)
    path = tmp_path / f"{name}.pt2"
    torch.export.save(torch.export.export(module, inputs), path)
    from_file = convert(path, inputs).files
    from_module = converted(name).files
    assert from_file["model.c"] == from_module["model.c"]


def test_weights_shared_between_maps_are_stored_once() -> None:
    """The head of a pyramid runs on three maps; its weights are one tensor."""
    graph = legalize(import_torch_module(*built("shared_head")))
    readers = [node for node in graph.nodes if node.source.startswith("head/1")]
    assert len(readers) == 3
    assert len({node.inputs[1] for node in readers}) == 1


def test_parallel_branches_and_generated_weights_cost_nothing_at_run_time() -> None:
    for name in ("reparametrized", "generated_weights"):
        graph = legalize(import_torch_module(*built(name)))
        assert {node.op for node in graph.nodes} <= {"conv2d", "depthwise_conv2d"}, name


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(spec=network_specs())
def test_random_networks_are_exact(spec: NetworkSpec) -> None:
    """Import, legalize, quantize, generate, compile: floats as PyTorch's, integers with ==."""
    convert_checked(*build(spec)).validate(on=("host",), samples=6).assert_ok()


def test_calibration_samples_differ_between_inputs() -> None:
    """Equal inputs would hide a swap of two."""
    first, second = calibration((noise(1, 4), noise(1, 4)))[0]
    assert not torch.equal(first, second)
