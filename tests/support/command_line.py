# SPDX-License-Identifier: Apache-2.0
"""What a run of the edgekit command inside the test process leaves behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The only error line, where nothing else is on stderr."""
        (line,) = self.err.splitlines()
        assert line.startswith("error: ")
        return line


Edgekit = Callable[..., Result]
"""``edgekit("validate", folder, "--json")``, the fixture of tests/conftest.py."""
