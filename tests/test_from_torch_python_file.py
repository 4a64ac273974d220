# SPDX-License-Identifier: Apache-2.0
"""Models that a function of a Python file returns."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="PyTorch is missing; run: pip install 'edgekit[torch]'")

from edgekit.converters.from_torch import read_torch_function
from edgekit.errors import BadInputError

USER_FILE = """
import torch
from helper import CHANNELS

def model():
    return torch.nn.Conv2d(CHANNELS, 2, 1), torch.zeros(1, CHANNELS, 4, 4)

def wrong():
    return torch.nn.ReLU()

def failing():
    raise RuntimeError("no weights here\\nsecond line")
"""


def test_models_of_a_python_file(tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    path.write_text(USER_FILE)
    (tmp_path / "helper.py").write_text("CHANNELS = 3\n")
    assert [n.op for n in read_torch_function(path, "model").graph.nodes] == ["conv2d"]
    with pytest.raises(BadInputError, match=r"return \(nn\.Module, example_inputs\)"):
        read_torch_function(path, "wrong")
    with pytest.raises(BadInputError, match=r"failing: RuntimeError: no weights here$"):
        read_torch_function(path, "failing")
    with pytest.raises(BadInputError, match="no function 'absent'"):
        read_torch_function(path, "absent")
    with pytest.raises(BadInputError, match="no such file"):
        read_torch_function(tmp_path / "absent.py", "model")
