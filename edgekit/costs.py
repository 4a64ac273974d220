# SPDX-License-Identifier: Apache-2.0
"""The cost model: instructions of a kernel on a core, from coefficients that were fitted to counts.

A kernel states counts of a layer (``Kernel.features``); ``targets/costs/<core>.json`` has what each
of them costs. ``benchmarks/fit_costs.py`` writes these files.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

import msgspec

from edgekit.errors import BadInputError
from edgekit.ir import Call
from edgekit.kernel import Kernel
from edgekit.target import Target

_FOLDER = "costs"
ANY_CORE = "cortex-m4"
"""The core whose table a core takes that has none."""
UNFITTED: Mapping[str, float] = {"ref": 20.0, "c": 10.0}
"""What every count of a kernel is taken to cost that no table has, by its family."""
UNFITTED_FAST = 5.0
"""The same where the family has instructions of its own."""

Coefficients = Mapping[str, float]


class CostTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The coefficients of one core, by kernel and feature, and what they were measured with.

    ``otherwise``: the core whose table has the kernels that this one lacks.
    """

    core: str
    compiler: str
    flags: str
    otherwise: str | None = None
    kernels: Mapping[str, Coefficients]

    def problems(self) -> list[str]:
        """Coefficients that are no cost."""
        return [
            f"{symbol}: {name} costs {value}"
            for symbol, coefficients in self.kernels.items()
            for name, value in coefficients.items()
            if not 0 <= value < float("inf")
        ]


@dataclass(frozen=True, eq=False)
class Costs:
    """The coefficients of a target: of its own core first."""

    kernels: Mapping[str, Coefficients]
    _known: dict[Hashable, tuple[Call, tuple[float, float]]] = field(default_factory=dict)
    """Estimates, with the calls that they are of: while these live, so do the identities in the keys."""

    def instructions(self, kernel: Kernel, call: Call) -> float:
        """Estimated instructions of one whole layer, without the driver's calls."""
        return self.in_blocks(kernel, call)[0]

    def in_blocks(self, kernel: Kernel, call: Call) -> tuple[float, float]:
        """Those of one whole layer, and what each block of channels but one adds to them."""
        inputs = (id(t) if t.is_constant else t.shape for t in call.inputs)
        key = (kernel.symbol, id(call.node), call.output.shape, *inputs)
        if key not in self._known:
            self._known[key] = call, self._estimate(kernel, call)
        return self._known[key][1]

    def _estimate(self, kernel: Kernel, call: Call) -> tuple[float, float]:
        features = kernel.features(call)
        coefficients = self.kernels.get(kernel.costs_as or kernel.symbol)
        if coefficients is None:
            each = UNFITTED.get(kernel.isa, UNFITTED_FAST)
            coefficients = dict.fromkeys(features, each)
        costs = {name: coefficients.get(name, 0.0) * count for name, count in features.items()}
        again = sum(cost for name, cost in costs.items() if name in kernel.shared)
        return sum(costs.values()), again


def load_costs(target: Target) -> Costs:
    """The costs of a target's kernels.

    Raises:
        BadInputError: a table is not valid.
    """
    table = load_table(target.costs or target.core) or load_table(ANY_CORE)
    kernels: dict[str, Coefficients] = {}
    visited: set[str] = set()
    while table is not None and table.core not in visited:
        visited.add(table.core)
        kernels = {**table.kernels, **kernels}
        table = load_table(table.otherwise) if table.otherwise else None
    return Costs(kernels)


def load_table(core: str) -> CostTable | None:
    """The table of a core, or None where there is none.

    Raises:
        BadInputError: it is not valid.
    """
    folder = importlib.resources.files("edgekit.targets") / _FOLDER
    path = folder / f"{core}.json"
    if not path.is_file():
        return None
    try:
        table = msgspec.json.decode(path.read_bytes(), type=CostTable)
    except msgspec.MsgspecError as error:
        raise BadInputError(f"{path.name}: not a table of costs: {error}; make costs") from None
    for problem in table.problems():
        raise BadInputError(f"{path.name}: {problem}; make costs")
    return table
