# SPDX-License-Identifier: Apache-2.0
"""Networks that torch.onnx.export wrote, with both of its exporters, compared with onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="onnx is missing; run: pip install 'edgekit[onnx]'")
pytest.importorskip("onnxruntime", reason="run: pip install 'edgekit[oracle]'")
torch = pytest.importorskip("torch", reason="PyTorch is missing; run: pip install 'edgekit[torch]'")

from support import torch_models  # noqa: E402
from support.onnx_checks import assert_same_function, export  # noqa: E402
from support.torch_zoo import ZOO  # noqa: E402

import edgekit  # noqa: E402
from edgekit.converters.from_onnx import import_onnx  # noqa: E402

NOT_WRITTEN = ("shuffle_net_v2", "generated_weights")
"""Networks with operators that the TorchScript exporter does not know."""
DYNAMO = ("temporal", "mobile_net_v3", "detector", *NOT_WRITTEN)
"""Networks whose graphs differ most between the exporters; an export takes seconds."""


@pytest.mark.parametrize("name", [name for name in ZOO if name not in NOT_WRITTEN])
def test_network_of_the_torchscript_exporter(name: str, tmp_path: Path) -> None:
    module, inputs = ZOO[name]()
    path = export(module, inputs, tmp_path / "model.onnx", dynamo=False)
    assert_same_function(path, [value.numpy() for value in inputs])


@pytest.mark.parametrize("name", DYNAMO)
def test_network_of_the_dynamo_exporter(name: str, tmp_path: Path) -> None:
    module, inputs = ZOO[name]()
    path = export(module, inputs, tmp_path / "model.onnx", dynamo=True)
    assert_same_function(path, [value.numpy() for value in inputs])


@pytest.mark.parametrize("opset", [11, 13, 18])
def test_standard_network_at_early_opsets(opset: int, tmp_path: Path) -> None:
    module, inputs = torch_models.resnet8()
    path = export(module, inputs, tmp_path / "model.onnx", dynamo=False, opset_version=opset)
    assert_same_function(path, [value.numpy() for value in inputs])


def test_open_batch_becomes_one_and_says_so(tmp_path: Path) -> None:
    module, inputs = torch_models.ds_cnn()
    path = export(
        module,
        inputs,
        tmp_path / "model.onnx",
        dynamo=False,
        input_names=["features"],
        dynamic_axes={"features": {0: "N"}},
    )
    result = import_onnx(path)
    assert result.graph.inputs[0].source_shape == (1, 1, 25, 10)
    (line,) = result.warnings
    assert line.startswith("input 'features': its batch is open")
    assert_same_function(path, [value.numpy() for value in inputs])


def test_converted_network_is_exact_and_close_to_the_float_model(tmp_path: Path) -> None:
    module, inputs = torch_models.ds_cnn()
    path = export(module, inputs, tmp_path / "model.onnx", dynamo=False)
    samples = [torch_models.noise(1, 25, 10, seed=seed).numpy() for seed in range(8)]
    artifact = edgekit.convert(path, calibration=[np.stack(samples)], target="cortex-m4")
    report = artifact.validate(on=("host",), samples=4).assert_ok()
    assert report.float is not None and report.float.sqnr_db is not None
    assert report.float.sqnr_db > 20.0  # int8 layers of noise; a wrong rule ends below 10
