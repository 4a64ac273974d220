# SPDX-License-Identifier: Apache-2.0
"""What post-training quantization can be told, for the whole model and for single layers."""

from __future__ import annotations

import dataclasses
import fnmatch
import math
from dataclasses import dataclass
from typing import Literal, get_args

from edgekit.errors import BadInputError
from edgekit.ir import Graph, Node

Method = Literal["minmax", "moving_average", "percentile", "mse", "entropy"]
Rounding = Literal["nearest", "learned"]
METHODS: tuple[Method, ...] = get_args(Method)
ROUNDINGS: tuple[Rounding, ...] = get_args(Rounding)


@dataclass(frozen=True)
class LayerOptions:
    """How one layer is quantized; None: as the model.

    ``range`` is that of the layer's output, in place of what was calibrated; ``equalize`` False keeps
    the channels of its output as they are.
    """

    method: Method | None = None
    percentile: float | None = None
    range: tuple[float, float] | None = None
    equalize: bool | None = None
    bias_correction: bool | None = None
    rounding: Rounding | None = None


@dataclass(frozen=True)
class QuantizeOptions:
    """How a float model becomes integers.

    ``layers`` has pairs of a pattern (as in a shell) and what differs for the layers whose name or
    source matches it; a later pair wins. ``adjust_samples`` is the number of samples that bias
    correction and learned rounding look at.
    """

    method: Method = "minmax"
    percentile: float = 99.99
    equalize: bool = False
    bias_correction: bool = False
    rounding: Rounding = "nearest"
    adjust_samples: int = 64
    layers: tuple[tuple[str, LayerOptions], ...] = ()

    def verify(self) -> QuantizeOptions:
        """Raise BadInputError where a value is none that can be used."""
        if self.adjust_samples < 1:
            raise BadInputError(f"adjust_samples {self.adjust_samples}: give at least 1")
        everything: list[tuple[str, QuantizeOptions | LayerOptions]] = [("quant", self)]
        everything += [(f"layers '{pattern}'", layer) for pattern, layer in self.layers]
        for where, options in everything:
            _verify_choice(f"{where}: method", options.method, METHODS)
            _verify_choice(f"{where}: rounding", options.rounding, ROUNDINGS)
            percentile = options.percentile
            if percentile is not None and not 50.0 < percentile <= 100.0:
                raise BadInputError(f"{where}: percentile {percentile} is not in (50, 100]")
        for pattern, layer in self.layers:
            if layer.range is not None and not _is_range(layer.range):
                raise BadInputError(f"layers '{pattern}': range {list(layer.range)} is not one")
        return self

    def of(self, node: Node) -> LayerOptions:
        """What holds for one layer; every field but ``range`` is set."""
        chosen = LayerOptions(
            method=self.method,
            percentile=self.percentile,
            equalize=self.equalize,
            bias_correction=self.bias_correction,
            rounding=self.rounding,
        )
        for pattern, layer in self.layers:
            if matches(pattern, node):
                given = {k: v for k, v in vars(layer).items() if v is not None}
                chosen = dataclasses.replace(chosen, **given)
        return chosen

    def check_patterns(self, graph: Graph) -> None:
        """Raise BadInputError where a pattern matches no layer of the model."""
        for pattern, _ in self.layers:
            if not any(matches(pattern, node) for node in graph.nodes):
                names = ", ".join(dict.fromkeys(node.source or node.name for node in graph.nodes))
                raise BadInputError(f"layers '{pattern}': no layer matches; there are {names}")

    @property
    def needs_histograms(self) -> bool:
        methods = {self.method, *(layer.method for _, layer in self.layers)}
        return not methods <= {"minmax", "moving_average", None}

    @property
    def needs_equalizing(self) -> bool:
        return self.equalize or any(layer.equalize for _, layer in self.layers)

    @property
    def needs_adjusting(self) -> bool:
        """Whether some layer's weights or bias are adjusted on samples."""
        everything: tuple[QuantizeOptions | LayerOptions, ...] = (
            self,
            *(layer for _, layer in self.layers),
        )
        return any(o.bias_correction or o.rounding == "learned" for o in everything)


def matches(pattern: str, node: Node) -> bool:
    """Whether a pattern names a layer, by its source in the model or by its own name."""
    return any(fnmatch.fnmatchcase(name, pattern) for name in (node.source, node.name) if name)


def _verify_choice(where: str, value: str | None, choices: tuple[str, ...]) -> None:
    if value is not None and value not in choices:
        raise BadInputError(f"{where} {value}: use {' or '.join(choices)}")


def _is_range(bounds: tuple[float, float]) -> bool:
    return all(math.isfinite(bound) for bound in bounds) and bounds[0] < bounds[1]
