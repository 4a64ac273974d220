# SPDX-License-Identifier: Apache-2.0
"""Mutants of .pt2 archives: JSON fields of the exported graph, weights, and members of the zip."""

from __future__ import annotations

import copy
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from fuzz import values

Members = dict[str, bytes]


def small_modules() -> list[tuple[Any, tuple[Any, ...]]]:
    """Modules with their inputs: between them most of the mapped operators."""
    import torch
    from torch import nn

    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> tuple[Any, ...]:
        return (torch.randn(shape, generator=generator),)

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False)
            self.norm = nn.BatchNorm2d(4)
            self.second = nn.Conv2d(4, 4, 3, padding=1, groups=4)
            self.head = nn.Linear(4, 5)

        def forward(self, x: Any) -> Any:
            x = torch.relu(self.norm(self.first(x)))
            x = x + self.second(x) * 0.5
            return torch.softmax(self.head(x.mean((2, 3))), dim=1)

    class Shapes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("scale", torch.linspace(0.5, 1.5, 6).reshape(1, 6, 1, 1))

        def forward(self, x: Any) -> Any:
            y = nn.functional.pad(x * self.scale, (1, 0, 0, 1))
            y = nn.functional.max_pool2d(nn.functional.hardtanh(y), 2)
            z = nn.functional.avg_pool2d(y, 3, stride=1, padding=1)
            return (z - y).permute(0, 2, 3, 1).flatten(1), z.clamp(0.1, 0.5)

    class Norms(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.groups = nn.GroupNorm(2, 4)
            self.layer = nn.LayerNorm(4)

        def forward(self, x: Any) -> Any:
            y = self.layer(self.groups(x).flatten(2).transpose(1, 2))
            heads = y.reshape(1, 6, 2, 1, 2).permute(2, 0, 3, 1, 4).unbind(0)
            y = nn.functional.scaled_dot_product_attention(heads[0], heads[1], heads[1])
            return nn.functional.normalize(y, dim=-1)

    stack = nn.Sequential(
        nn.Conv2d(1, 3, (3, 1), padding="same", dilation=(2, 1)),
        nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(3, 2),
    )
    return [
        (Residual().eval(), noise(1, 3, 8, 8)),
        (Shapes().eval(), noise(1, 6, 5, 6)),
        (Norms().eval(), noise(1, 4, 2, 3)),
        (stack.eval(), noise(1, 1, 9, 4)),
        (_quantized_module(), noise(1, 3, 6, 6)),
    ]


def _quantized_module() -> Any:
    """As convert_pt2e writes them: int8 and uint8 levels, weights per channel and per tensor."""
    import importlib

    import torch
    from torch import nn

    importlib.import_module("torch.ao.quantization.fx._decomposed")  # defines the operators
    library = torch.ops.quantized_decomposed

    def through(x: Any, scale: float, zero_point: int, *levels: Any) -> Any:
        x = library.quantize_per_tensor(x, scale, zero_point, *levels)
        return library.dequantize_per_tensor(x, scale, zero_point, *levels)

    class Quantized(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            integers = torch.arange(-54, 54).reshape(4, 3, 3, 3)
            self.register_buffer("levels", integers.to(torch.int8))
            self.register_buffer("scales", torch.linspace(0.01, 0.04, 4))
            self.register_buffer("zeros", torch.zeros(4, dtype=torch.int64))
            self.register_buffer("bias", torch.arange(-200, 200, 100, dtype=torch.int32))
            self.register_buffer("scale", torch.tensor(0.0625))
            self.register_buffer("zero", torch.tensor(-4))
            self.head = nn.Linear(4, 3)

        def forward(self, x: Any) -> Any:
            int8, uint8 = (-128, 127, torch.int8), (0, 255, torch.uint8)
            x = through(x, 0.05, 130, *uint8)
            weights = library.dequantize_per_channel(
                self.levels, self.scales, self.zeros, 0, -127, 127, torch.int8
            )
            bias = library.dequantize_per_channel(
                self.bias, self.scales * 0.05, self.zeros, 0, -(2**31), 2**31 - 1, torch.int32
            )
            y = torch.relu(nn.functional.conv2d(x, weights, bias, padding=1))
            y = through(y, 0.07, 10, 10, 127, torch.uint8)
            y = library.quantize_per_tensor.tensor(y.mean((2, 3)), self.scale, self.zero, *int8)
            y = library.dequantize_per_tensor.tensor(y, self.scale, self.zero, *int8)
            weights = library.quantize_per_tensor(self.head.weight, 0.01, 0, -127, 127, torch.int8)
            weights = library.dequantize_per_tensor(weights, 0.01, 0, -127, 127, torch.int8)
            return through(nn.functional.linear(y, weights, self.head.bias), 0.02, 3, *int8)

    return Quantized().eval()


class Pt2Mutants:
    """``mutant(random)`` is the bytes of a mutated archive."""

    suffix = ".pt2"

    def __init__(self) -> None:
        import torch

        torch.set_num_threads(1)
        self._archives: list[Members] = []
        for module, inputs in small_modules():
            file = io.BytesIO()
            torch.export.save(torch.export.export(module, inputs), file)
            with zipfile.ZipFile(io.BytesIO(file.getvalue())) as archive:
                self._archives.append({name: archive.read(name) for name in archive.namelist()})

    def intact(self) -> list[bytes]:
        return [_packed(members) for members in self._archives]

    def mutant(self, random: Random) -> bytes:
        members = dict(random.choice(self._archives))
        kinds: tuple[Callable[[Members, Random], bytes], ...] = (
            _changed_json,
            self._changed_members,
            _changed_weights,
            _damaged,
        )
        return random.choices(kinds, (75, 10, 5, 10))[0](members, random)

    def _changed_members(self, members: Members, random: Random) -> bytes:
        name = random.choice(sorted(members))
        kind = random.randrange(6)
        if kind == 0:
            del members[name]
        elif kind == 1:
            other = random.choice(self._archives)
            members[name] = other[random.choice(sorted(other))]
        elif kind == 2:
            members[random.choice((f"{name}x", f"../{name}", f"/{name}", "m/models/b.json"))] = (
                b"{}"
            )
        elif kind == 3:
            folder = name.partition("/")[0]
            extra = random.choice(("data/weights/a.pt", "data/constants/custom_obj_0", "version"))
            members[f"{folder}/{extra}"] = random.randbytes(40)
        elif kind == 4:
            members[name] = random.randbytes(random.choice((0, 1, 100)))
        else:
            members[name] = members[name] + b"\0" * random.choice((1, 4096, 2**22))
        return _packed(members, compress=random.random() < 0.3)


def _changed_json(members: Members, random: Random) -> bytes:
    documents = [name for name in sorted(members) if name.endswith(".json")]
    models = [name for name in documents if "/models/" in name]
    name = random.choice(models if random.random() < 0.85 else documents)
    tree = json.loads(members[name])
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        _change(tree, random)
    members[name] = json.dumps(tree).encode()
    return _packed(members)


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a JSON tree."""
    pending = [tree]
    while pending:
        item = pending.pop()
        if isinstance(item, dict | list):
            for key in item if isinstance(item, dict) else range(len(item)):
                yield item, key
                pending.append(item[key])


def _change(tree: Any, random: Random) -> None:
    """One value becomes another of its kind; sometimes it goes, doubles, or changes its kind."""
    places = list(_places(tree))
    if not places:
        return
    leaves = [(c, k) for c, k in places if not isinstance(c[k], dict | list)]
    container, key = random.choice(leaves if leaves and random.random() < 0.8 else places)
    old = container[key]
    kind = random.random()
    if kind < 0.06:
        del container[key]
    elif kind < 0.12:
        other, other_key = random.choice(places)
        container[key] = copy.deepcopy(other[other_key])
    elif kind < 0.16 and isinstance(container, list):
        container.insert(key, copy.deepcopy(old))
    elif kind < 0.2:
        container[key] = random.choice((None, True, [], {}, "", 0, -1, 1e400, "torch.ops.aten.x"))
    elif isinstance(old, bool):
        container[key] = not old
    elif isinstance(old, int):
        container[key] = values.integer(random, old)
    elif isinstance(old, float):
        container[key] = values.real(random, old)
    elif isinstance(old, str):
        strings = [c[k] for c, k in places if isinstance(c[k], str)]
        container[key] = random.choice(strings if random.random() < 0.7 else values.NAMES)


def _changed_weights(members: Members, random: Random) -> bytes:
    names = [name for name in sorted(members) if "/data/weights/weight" in name]
    name = random.choice(names or sorted(members))
    data = bytearray(members[name])
    for _ in range(random.choice((1, 4, 32))):
        if data:
            data[random.randrange(len(data))] = random.choice((0, 127, 128, 255))
    members[name] = bytes(data if random.random() < 0.7 else data[: len(data) // 2])
    return _packed(members)


def _damaged(members: Members, random: Random) -> bytes:
    data = bytearray(_packed(members))
    start = random.randrange(len(data))
    if random.random() < 0.4:
        return bytes(data[:start])
    for _ in range(random.choice((1, 2, 8, 64))):
        data[random.randrange(len(data))] = random.randrange(256)
    return bytes(data)


def _packed(members: Members, *, compress: bool = False) -> bytes:
    file = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return file.getvalue()
