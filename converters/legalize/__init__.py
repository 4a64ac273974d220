# SPDX-License-Identifier: Apache-2.0
"""The same function with fewer operators: a file of rules for each family, and one engine."""

from __future__ import annotations

import functools

from edgekit.converters.legalize.activations import (
    FLOAT_ACTIVATION_RULES,
    integer_activation_rules,
)
from edgekit.converters.legalize.boundary import with_nhwc_inputs
from edgekit.converters.legalize.branches import BRANCH_RULES
from edgekit.converters.legalize.clamps import CLAMP_RULES
from edgekit.converters.legalize.concat import CONCAT_RULES
from edgekit.converters.legalize.constants import fold_constant_nodes
from edgekit.converters.legalize.dense import DENSE_RULES
from edgekit.converters.legalize.identities import FLOAT_IDENTITY_RULES, INTEGER_IDENTITY_RULES
from edgekit.converters.legalize.layout import FLATTEN_RULES, LAYOUT_RULES
from edgekit.converters.legalize.moves import MOVE_RULES
from edgekit.converters.legalize.normalizations import NORMALIZATION_RULES
from edgekit.converters.legalize.pads import PAD_RULES
from edgekit.converters.legalize.reductions import INDEX_RULES, REDUCTION_RULES
from edgekit.converters.legalize.rewrite import Rules, merged, rewrite
from edgekit.converters.legalize.scales import SCALE_RULES
from edgekit.converters.legalize.sink import sink_rules
from edgekit.converters.legalize.tall_windows import TALL_WINDOW_RULES
from edgekit.ir import Graph, QGraph

__all__ = ["legalize", "legalize_integer"]


def legalize(graph: Graph) -> Graph:
    """The same float function; folding scales into weights changes float rounding only."""
    return rewrite(fold_constant_nodes(graph), _float_rules()).verify()


def legalize_integer(graph: QGraph) -> QGraph:
    """The same integer function, bit for bit; an NCHW input may become NHWC (boundary.py)."""
    return with_nhwc_inputs(fold_constant_nodes(graph), _rewritten).verify()


def _rewritten(graph: QGraph) -> QGraph:
    return rewrite(graph, _integer_rules())


@functools.cache
def _float_rules() -> Rules:
    return merged(
        LAYOUT_RULES,
        FLATTEN_RULES,
        DENSE_RULES,
        NORMALIZATION_RULES,
        PAD_RULES,
        SCALE_RULES,
        BRANCH_RULES,
        CLAMP_RULES,
        FLOAT_IDENTITY_RULES,
        FLOAT_ACTIVATION_RULES,
        CONCAT_RULES,
        MOVE_RULES,
        REDUCTION_RULES,
        sink_rules(),
    )


@functools.cache
def _integer_rules() -> Rules:
    return merged(
        LAYOUT_RULES,
        PAD_RULES,
        INTEGER_IDENTITY_RULES,
        integer_activation_rules(),
        MOVE_RULES,
        REDUCTION_RULES,
        INDEX_RULES,
        sink_rules(),
        TALL_WINDOW_RULES,
    )
