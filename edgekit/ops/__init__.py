# SPDX-License-Identifier: Apache-2.0
"""One file per operator; this package finds them, so adding the file adds the operator."""

from __future__ import annotations

import functools
import importlib
import pkgutil

from edgekit.errors import BadInputError
from edgekit.ir import Node
from edgekit.ops._operator import Case, Operator

__all__ = ["Case", "Operator", "operator_of", "operators"]


@functools.cache
def operators() -> dict[str, Operator]:
    """Every operator by name, in alphabetical order."""
    found: dict[str, Operator] = {}
    for module_info in pkgutil.iter_modules(__path__):
        if not module_info.name.startswith("_"):
            module = importlib.import_module(f"{__name__}.{module_info.name}")
            found[module.OPERATOR.name] = module.OPERATOR
    return found


def operator_of(node: Node) -> Operator:
    """The operator that a node calls.

    Raises:
        BadInputError: there is no such operator.
    """
    try:
        return operators()[node.op]
    except KeyError:
        raise BadInputError(f"{node}: there is no operator '{node.op}'") from None
