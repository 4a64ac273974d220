# SPDX-License-Identifier: Apache-2.0
"""The parts of examples/cifar10 that need no training: images, shifted copies, unequal channels."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is missing; run: pip install 'edgekit[torch]'")
pil_image = pytest.importorskip("PIL.Image", reason="Pillow is missing; run: pip install pillow")

FOLDER = Path(__file__).parents[1] / "examples" / "cifar10"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The modules of the example, which import each other by name."""
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in ("networks", "training"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import networks
    import training

    for name in ("networks", "training"):
        monkeypatch.delitem(sys.modules, name)
    return networks, training


def jpeg(color: tuple[int, int, int]) -> bytes:
    data = io.BytesIO()
    pil_image.new("RGB", (32, 32), color).save(data, "JPEG", quality=95)
    return data.getvalue()


def test_images_are_decoded_and_normalized(example: Any, tmp_path: Path) -> None:
    _, training = example
    files = [jpeg((255, 0, 128)), jpeg((0, 64, 255))]
    offsets = np.cumsum([0, *map(len, files)])
    np.savez(
        tmp_path / "data.npz",
        test_jpeg=np.frombuffer(b"".join(files), np.uint8),
        test_offsets=offsets,
        test_labels=np.array([3, 1], np.uint8),
    )
    found = training.load_images(tmp_path / "data.npz", "test")
    assert found.images.shape == (2, 3, 32, 32)
    assert found.labels.tolist() == [3, 1]
    real = found.images * training.DEVIATION + training.MEAN
    # JPEG is lossy: a color of one area comes back within a few of 255 steps.
    np.testing.assert_allclose(real[0].mean((1, 2)) * 255, (255, 0, 128), atol=4)
    np.testing.assert_allclose(real[1].mean((1, 2)) * 255, (0, 64, 255), atol=4)


def test_copies_are_shifted_and_mirrored(example: Any) -> None:
    _, training = example
    images = np.arange(2 * 3 * 32 * 32, dtype=np.float32).reshape(2, 3, 32, 32)
    padded = np.pad(images, ((0, 0), (0, 0), (4, 4), (4, 4)))
    random = np.random.default_rng(0)
    for _ in range(4):
        for image, copy in zip(padded, training._cropped(padded, random), strict=True):
            places = [
                image[:, top : top + 32, left : left + 32] for top in range(9) for left in range(9)
            ]
            either = [*places, *(place[:, :, ::-1] for place in places)]
            assert any(np.array_equal(copy, place) for place in either)


def test_unequal_channels_compute_the_same(example: Any) -> None:
    networks, _ = example
    torch.manual_seed(0)
    network = networks.ResNet8().eval()
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        before = network(x)
        weights = network.blocks[0].bn1.weight.clone()
        after = networks.unbalance(network, factor=100.0, seed=0)(x)
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-4)
    ratios = (network.blocks[0].bn1.weight / weights).tolist()
    assert sorted({round(ratio) for ratio in ratios}) == [1, 100]


def test_mobilenet_has_logits_for_small_images(example: Any) -> None:
    networks, _ = example
    with torch.inference_mode():
        assert networks.MobileNetV2().eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 10)
