# SPDX-License-Identifier: Apache-2.0
"""Layers that run together for a region of the last one's output: strips and patches.

From the last layer to the first, each computes just the region that those behind it see; at inner
borders neighbouring regions overlap (the halo, computed once for each of them), and padding remains
only where a map ends. (Patches: Lin et al., MCUNetV2, 2021.)
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from edgekit.converters.choose import Choice
from edgekit.converters.lowering.narrow import narrow_call
from edgekit.converters.lowering.storage import Storage
from edgekit.converters.schedule.plan import PlannedSegment
from edgekit.ir import Call, QGraph
from edgekit.kernel import Binding
from edgekit.layout import NHWC, Layout, map_size
from edgekit.window import Region

MOST_TILED_STEPS = 10_000
"""Strips or patches of a segment times its layers: each is a step with tables of its own."""


@dataclass(frozen=True, eq=False)
class Tile:
    """Layers for one region of the output of the last of them.

    calls, choices: the narrowed layers in order, with the layouts of their maps. seen: the region of
    a map that a layer reads, by (layer, tensor). stored: the region of every map that the layers
    hand on, and of the input where its rows arrive from outside. layouts: those of such maps.
    """

    output: str
    region: Region
    calls: Mapping[str, Call]
    choices: Mapping[str, Choice]
    seen: Mapping[tuple[str, str], Region]
    stored: Mapping[str, Region]
    layouts: Mapping[str, Layout]


def spans(size: int, parts: int) -> Iterator[tuple[int, int]]:
    """[begin, end) of so many nearly equal parts, the longer ones first."""
    bounds = [-(-size * number // parts) for number in range(parts + 1)]
    yield from itertools.pairwise(bounds)


def column_strips(graph: QGraph, output: str, parts: int) -> list[Region]:
    """Regions of all rows and some columns that make up a map, left to right."""
    height, width, _ = map_size(graph.tensors[output].shape)
    return [Region(0, height, *columns) for columns in spans(width, parts)]


def patches(graph: QGraph, output: str, parts: int) -> list[Region]:
    """The cells of a grid of parts x parts over a map, row after row."""
    height, width, _ = map_size(graph.tensors[output].shape)
    return [Region(*r, *c) for r in spans(height, parts) for c in spans(width, parts)]


def tiles_of(
    planned: PlannedSegment,
    storage: Storage,
    choices: Mapping[str, Choice],
    *,
    arriving: Iterable[str] = (),
) -> list[Tile] | None:
    """The strips or patches of a segment; None where a layer of it cannot run in parts.

    Its layers hand on their maps among themselves alone, but for the last one, which is not a view.
    arriving: inputs whose rows come from outside, which no other segment reads.
    """
    calls = [call for call in storage.graph.calls() if call.node.name in set(planned.nodes)]
    calls = [call for call in calls if call.node.name in choices]
    if not calls or not _stand_alone(calls, storage, choices, arriving):
        return None
    output = calls[-1].output
    height, width, _ = map_size(output.shape)
    if planned.parts > (width if planned.primitive == "H" else min(height, width)):
        return None
    tiles = planned.parts if planned.primitive == "H" else planned.parts**2
    if tiles * len(calls) > MOST_TILED_STEPS:
        return None
    cut = column_strips if planned.primitive == "H" else patches
    found = []
    for region in cut(storage.graph, output.name, planned.parts):
        tile = tile_of(calls, choices, region, arriving=frozenset(arriving))
        if tile is None:
            return None
        found.append(tile)
    return found


def _stand_alone(
    calls: Sequence[Call],
    storage: Storage,
    choices: Mapping[str, Choice],
    arriving: Iterable[str],
) -> bool:
    """Whether nothing but the last map is read from outside, and none through a view."""
    nodes = frozenset(call.node.name for call in calls)
    inner = [call.output.name for call in calls[:-1]]
    read = [tensor.name for call in calls for tensor in call.activations]
    if choices[calls[-1].node.name].binding.output != NHWC:
        return False  # a row-planar map has no columns that lie side by side
    return all(storage.root_of(name) == name for name in read) and all(
        storage.in_arena(name) and not storage.outlives(name, nodes) for name in (*inner, *arriving)
    )


def tile_of(
    calls: Sequence[Call],
    choices: Mapping[str, Choice],
    region: Region,
    *,
    arriving: frozenset[str] = frozenset(),
) -> Tile | None:
    """Layers for a region of the last one's output; None where one of them has no such form.

    calls: in order; the maps that they hand on are read by them alone. arriving: inputs whose rows
    come from outside, of which only the region in use is stored.
    """
    output = calls[-1].output.name
    made = {call.output.name for call in calls}
    needed, seen = {output: region}, {}
    narrowed: dict[str, Call] = {}
    for call in reversed(calls):
        name = call.node.name
        found = None
        if choices[name].kernel.kind == "rows" and call.output.name in needed:
            found = narrow_call(call, needed[call.output.name])
        if found is None:
            return None
        narrowed[name] = found.call
        for tensor, part in found.seen.items():
            seen[name, tensor] = part
            needed[tensor] = needed[tensor].union(part) if tensor in needed else part
    if needed[output] != region:
        return None
    stored = {t: r for t, r in needed.items() if (t in made and t != output) or t in arriving}
    layouts = _layouts(narrowed, choices, seen, stored)
    if layouts is None:
        return None
    bound = _choices(narrowed, choices, layouts)
    if bound is None:
        return None
    ordered = {call.node.name: narrowed[call.node.name] for call in calls}
    return Tile(output, region, ordered, bound, seen, stored, layouts)


def _layouts(
    narrowed: Mapping[str, Call],
    choices: Mapping[str, Choice],
    seen: Mapping[tuple[str, str], Region],
    stored: Mapping[str, Region],
) -> dict[str, Layout] | None:
    """The layouts of the stored maps: planar ones fit the window of their only reader."""
    layouts = dict.fromkeys(stored, NHWC)
    for name, call in narrowed.items():
        choice = choices[name]
        wanted = choice.kernel.input_layouts(call)
        bound = choice.binding.inputs
        for tensor, layout, before in zip(call.activations, wanted, bound, strict=True):
            if before == NHWC:
                continue
            if stored.get(tensor.name) != seen[name, tensor.name]:
                return None
            layouts[tensor.name] = layout
    return layouts


def _choices(
    narrowed: Mapping[str, Call], choices: Mapping[str, Choice], layouts: Mapping[str, Layout]
) -> dict[str, Choice] | None:
    found = {}
    for name, call in narrowed.items():
        kernel = choices[name].kernel
        if kernel.refusal(call) is not None:
            return None
        inputs = tuple(layouts.get(tensor.name, NHWC) for tensor in call.activations)
        binding = Binding(inputs, layouts.get(call.output.name, NHWC))
        found[name] = dataclasses.replace(choices[name], binding=binding, accumulating=None)
    return found
