# SPDX-License-Identifier: Apache-2.0
"""Networks of timm: those of convolutions convert and are exact; the others name what they need."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing; run: pip install 'edgekit[torch]'")
if importlib.util.find_spec("timm") is None:
    pytest.skip("timm is missing; run: pip install --no-deps timm", allow_module_level=True)

from support.timm_models import create  # noqa: E402
from support.torch_networks import convert  # noqa: E402

from edgekit.converters.from_torch import import_torch_module  # noqa: E402
from edgekit.errors import UnsupportedError  # noqa: E402

CONVERTED = (
    "convnext_atto",
    "edgenext_xx_small",
    "efficientnet_lite0",
    "fbnetc_100",
    "ghostnet_050",
    "inception_next_atto",
    "lcnet_035",
    "mixnet_s",
    "mnasnet_small",
    "mobilenetv2_050",
    "mobilenetv3_small_050",
    "mobileone_s0",
    "repvgg_a0",
    "resnet10t",
    "semnasnet_075",
    "tinynet_e",
)
EMULATED = ("lcnet_035", "mnasnet_small", "tinynet_e")
REFUSED = {"mobilevit_xxs": ("view 'stages/2/1'", "unbind 'stages/2/1/transformer/0/attn'")}
# Up to 100 layers of 8 bits have 20 dB and more. RepVGG and MobileOne have less: the identity branch
# makes one weight of every kernel far larger than the others. A wrong range anywhere ends near 0.
LEAST_SQNR_DB = 12.0


@pytest.mark.parametrize("name", CONVERTED)
def test_network_is_exact(name: str) -> None:
    report = convert(*create(name)).validate(on=("host",), samples=20).assert_ok()
    assert report.float is not None and report.float.sqnr_db is not None
    assert report.float.sqnr_db > LEAST_SQNR_DB


@pytest.mark.parametrize("name", EMULATED)
def test_network_is_exact_on_an_emulated_core(
    name: str, require_program: Callable[[str], str]
) -> None:
    require_program("qemu-system-arm")
    convert(*create(name)).validate(on=("qemu",), samples=1).assert_ok()


@pytest.mark.parametrize("name", REFUSED)
def test_network_is_refused_with_every_operator_and_its_module(name: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        import_torch_module(*create(name))
    lines = caught.value.lines
    for start in REFUSED[name]:
        assert any(line.startswith(start) for line in lines), start
    assert all("\n" not in line and "'" in line for line in lines)
