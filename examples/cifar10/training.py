# SPDX-License-Identifier: Apache-2.0
"""Training on CIFAR-10: images out of JPEG bytes, a plain loop, weights kept in a cache.

The data is a .npz with ``train_jpeg`` (the bytes of all images), ``train_offsets`` (where each
begins, and the end), ``train_labels``, and the same for ``test``.
"""

from __future__ import annotations

import io
import itertools
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from networks import MobileNetV2, ResNet8
from PIL import Image
from torch import nn

BATCH = 128
PAD = 4
WEIGHT_DECAY = 5e-4
MEAN = np.array([0.4914, 0.4822, 0.4465], np.float32)[:, None, None]
DEVIATION = np.array([0.2470, 0.2435, 0.2616], np.float32)[:, None, None]


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: the peak of a one-cycle learning rate, and the passes over the data."""

    network: type[nn.Module]
    epochs: int
    peak_rate: float


RECIPES = {
    "resnet8": Recipe(ResNet8, epochs=12, peak_rate=0.2),
    "mobilenet_v2": Recipe(MobileNetV2, epochs=15, peak_rate=0.2),
}


@dataclass(frozen=True)
class Images:
    """Normalized images (N, 3, 32, 32), float32, and their labels."""

    images: np.ndarray
    labels: np.ndarray


def load_images(path: Path, part: str) -> Images:
    """The ``train`` or ``test`` part of the data."""
    with np.load(path, allow_pickle=False) as arrays:
        data, offsets = arrays[f"{part}_jpeg"].tobytes(), arrays[f"{part}_offsets"]
        labels = arrays[f"{part}_labels"].astype(np.int64)
    pixels = np.stack(
        [
            np.asarray(Image.open(io.BytesIO(data[start:end])).convert("RGB"))
            for start, end in itertools.pairwise(offsets)
        ]
    )
    scaled = pixels.transpose(0, 3, 1, 2).astype(np.float32) / 255
    return Images((scaled - MEAN) / DEVIATION, labels)


def trained(name: str, seed: int, data: Path, cache: Path) -> nn.Module:
    """The network of a recipe, from the cache or trained and put there."""
    recipe = RECIPES[name]
    torch.manual_seed(seed)
    network = recipe.network()
    path = cache / f"{name}_{seed}_{recipe.epochs}.pt"
    if path.is_file():
        network.load_state_dict(torch.load(path, weights_only=True))
        return network.eval()
    _train(network, recipe, load_images(data, "train"), seed)
    cache.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}")
    torch.save(network.state_dict(), part)
    part.replace(path)
    return network.eval()


def _train(network: nn.Module, recipe: Recipe, data: Images, seed: int) -> None:
    random = np.random.default_rng(seed)
    count = len(data.images) // BATCH
    optimizer = torch.optim.SGD(
        network.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=WEIGHT_DECAY
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.peak_rate, epochs=recipe.epochs, steps_per_epoch=count, pct_start=0.25
    )
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.05)
    network.to(memory_format=torch.channels_last).train()
    padded = np.pad(data.images, ((0, 0), (0, 0), (PAD, PAD), (PAD, PAD)))
    for epoch in range(recipe.epochs):
        started, total = time.monotonic(), 0.0
        order = random.permutation(len(data.images))
        for batch in range(count):
            chosen = order[batch * BATCH : (batch + 1) * BATCH]
            images = _cropped(padded[chosen], random)
            x = torch.from_numpy(images).contiguous(memory_format=torch.channels_last)
            loss = loss_of(network(x), torch.from_numpy(data.labels[chosen]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        seconds = time.monotonic() - started
        print(f"  epoch {epoch + 1}: loss {total / count:.3f}, {seconds:.0f} s", flush=True)


def _cropped(padded: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Each image shifted by up to PAD pixels, and mirrored or not."""
    size = padded.shape[-1] - 2 * PAD
    tops, lefts = random.integers(0, 2 * PAD + 1, (2, len(padded)))
    rows = tops[:, None] + np.arange(size)
    mirrored = random.integers(0, 2, len(padded)).astype(bool)
    columns = np.where(mirrored[:, None], np.arange(size)[::-1], np.arange(size)) + lefts[:, None]
    which = np.arange(len(padded))[:, None, None]
    return np.ascontiguousarray(
        padded[which, :, rows[:, :, None], columns[:, None, :]].transpose(0, 3, 1, 2)
    )


def logits(network: nn.Module, images: np.ndarray) -> np.ndarray:
    """The outputs of a network in evaluation."""
    with torch.inference_mode():
        parts = [network(torch.from_numpy(part)) for part in np.array_split(images, 10)]
    return torch.cat(parts).numpy()


def top1(outputs: np.ndarray, labels: np.ndarray) -> float:
    """The share of images, in percent, whose largest output is their label."""
    return 100.0 * float((outputs.argmax(axis=1) == labels).mean())
