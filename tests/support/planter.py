# SPDX-License-Identifier: Apache-2.0
"""Integer models with planted dead channels, and the check that nothing else changes without them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgekit.converters.channels.dead import dead_channels, remove_dead_channels
from edgekit.interpret import interpret
from edgekit.ir import QGraph, constant
from edgekit.ops import operator_of
from support.graphs import GraphBuilder


def macs(graph: QGraph) -> int:
    return sum(operator_of(call.node).macs(call) for call in graph.calls())


def assert_same_outputs(before: QGraph, after: QGraph, *, samples: int = 3) -> None:
    random = np.random.default_rng(0)
    for number in range(samples):
        x = []
        for port in before.inputs:
            shape = before.tensors[port.tensor].shape
            noise = random.integers(-128, 128, shape)
            x.append((np.full(shape, (-128, 127)[number]) if number < 2 else noise).astype(np.int8))
        old = interpret(before, x, outputs_only=True)
        new = interpret(after, x, outputs_only=True)
        for port, live in zip(before.outputs, after.outputs, strict=True):
            np.testing.assert_array_equal(new[live.tensor], old[port.tensor])


def without_dead(graph: QGraph) -> QGraph:
    """The smaller model, checked against the given one."""
    live = remove_dead_channels(graph)
    assert_same_outputs(graph, live)
    assert macs(live) <= macs(graph)
    report = dead_channels(graph, live)
    assert sum(e.macs_before - e.macs_after for e in report) == macs(graph) - macs(live)
    return live


class Planter(GraphBuilder):
    """A builder whose layers can be given dead rows (outputs) and dead columns (inputs)."""

    def layer(
        self,
        op: str,
        attributes: Any,
        x: str,
        outputs: int,
        *,
        zero_rows: Sequence[int] = (),
        zero_columns: Sequence[int] = (),
        bias: dict[int, float] | None = None,
    ) -> str:
        """conv2d, depthwise_conv2d or fully_connected with some weights set to 0."""
        inputs = self.shape(x)[-1]
        if op == "fully_connected":
            shape: tuple[int, ...] = (outputs, int(np.prod(self.shape(x))))
        else:
            taps = (attributes.window.height.kernel, attributes.window.width.kernel)
            shape = (1, *taps, outputs) if op == "depthwise_conv2d" else (outputs, *taps, inputs)
        weights = np.array(self.constant(shape, scale=1.2 / float(np.prod(shape[1:])) ** 0.5).data)
        biases = np.array(self.constant((outputs,)).data)
        if op == "depthwise_conv2d":
            weights[..., list(zero_rows)] = 0
        else:
            weights[list(zero_rows)] = 0
            weights[..., list(zero_columns)] = 0
        for channel, value in (bias or {}).items():
            biases[channel] = value
        named = constant(f"w{len(self._nodes)}", weights), constant(f"b{len(self._nodes)}", biases)
        return self.node(op, attributes, x, *named)
