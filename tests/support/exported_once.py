# SPDX-License-Identifier: Apache-2.0
"""Export PyTorch modules once for several tests: that takes longer than what they test."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

from edgekit.converters import from_torch


@contextlib.contextmanager
def exported_once() -> Iterator[None]:
    """Importing the same module with the same tensors again gives the graph of the first time.

    For tests that change no module between its imports.
    """
    known: dict[tuple[int, ...], tuple[Any, Any, from_torch.TorchImport]] = {}
    export = from_torch.read_torch_module

    def read(module: Any, example_inputs: Any) -> from_torch.TorchImport:
        inputs = example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)
        key = (id(module), *map(id, inputs))
        if key not in known:  # what an id belongs to must stay alive
            known[key] = (module, inputs, export(module, example_inputs))
        return known[key][2]

    with mock.patch.object(from_torch, "read_torch_module", read):
        yield
