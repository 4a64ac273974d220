# SPDX-License-Identifier: Apache-2.0
"""What a network costs on a target: layers, MACs, weights, RAM per schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from edgekit.converters.load import Imported
from edgekit.emit.sources import EmitOptions, emit
from edgekit.ir import Array
from edgekit.manifest import DeadChannels
from edgekit.pipeline import ConvertOptions, plan, to_integers
from edgekit.program import Image, Step
from edgekit.target import Target
from edgekit.version import VERSION


class AnalyzedLayer(msgspec.Struct, frozen=True, kw_only=True):
    """One layer; ``live_bytes`` are the arena bytes in use while it runs."""

    index: int
    name: str
    source: str
    op: str
    kernel: str
    output_shape: tuple[int, ...]
    macs: int
    weight_bytes: int
    live_bytes: int


class AnalyzedSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """The memory of one schedule."""

    schedule: str
    arena_bytes: int
    arena_lower_bound_bytes: int
    ram_bytes: int
    macs_executed: int


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """What ``analyze --json`` prints; ``fits`` is None for a target without memory sizes."""

    target: str
    operators: dict[str, int]
    macs_network: int
    macs_legalized: int
    flash_bytes: int
    layers: tuple[AnalyzedLayer, ...]
    schedules: tuple[AnalyzedSchedule, ...]
    dead_channels: tuple[DeadChannels, ...]
    fits: bool | None

    def to_json(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=2)


def analyze_model(
    imported: Imported,
    target: Target,
    samples: Iterable[tuple[Array, ...]] | None,
    *,
    progress: Callable[[str], None] = lambda text: None,
    warn: Callable[[str], None] = lambda text: None,
) -> Analysis:
    """Plan a network for a target without writing anything.

    Raises:
        UnsupportedError: a layer has no kernel.
    """
    model = to_integers(imported, samples, progress=progress, warn=warn)
    image = plan(model, ConvertOptions(target))
    manifest = emit(image, EmitOptions("model", target, VERSION, model.macs_network), {}).manifest
    counts: dict[str, int] = {}
    for node in model.graph.nodes:
        counts[node.op] = counts.get(node.op, 0) + 1
    return Analysis(
        target=target.name,
        operators=dict(sorted(counts.items())),
        macs_network=manifest.macs_network,
        macs_legalized=manifest.macs_legalized,
        flash_bytes=manifest.flash_bytes,
        layers=tuple(_layer(image, i, step) for i, step in enumerate(image.program.steps)),
        schedules=(
            AnalyzedSchedule(
                schedule="layerwise",
                arena_bytes=manifest.arena_bytes,
                arena_lower_bound_bytes=manifest.arena_lower_bound_bytes,
                ram_bytes=manifest.ram_bytes,
                macs_executed=manifest.macs_executed,
            ),
        ),
        dead_channels=model.dead_channels,
        fits=_fits(target, manifest.ram_bytes, manifest.flash_bytes),
    )


def _fits(target: Target, ram_bytes: int, flash_bytes: int) -> bool | None:
    if target.sram_bytes is None and target.flash_bytes is None:
        return None
    within_ram = target.sram_bytes is None or ram_bytes <= target.sram_bytes
    return within_ram and (target.flash_bytes is None or flash_bytes <= target.flash_bytes)


def _layer(image: Image, index: int, step: Step) -> AnalyzedLayer:
    graph = image.program.graph
    node = next((n for n in graph.nodes if n.name == step.layer), None)
    constants = [graph.tensors[name] for name in node.inputs] if node else []
    live = [b for b in image.program.buffers if b.first <= index <= b.last]
    return AnalyzedLayer(
        index=index,
        name=step.layer,
        source=step.source,
        op=step.op,
        kernel=step.kernel.symbol if step.kernel else "memcpy",
        output_shape=graph.tensors[step.output.tensor].shape,
        macs=step.macs,
        weight_bytes=sum(t.bytes for t in constants if t.is_constant),
        live_bytes=_extent(image, [b.name for b in live], {b.name: b.bytes for b in live}),
    )


def _extent(image: Image, names: list[str], sizes: dict[str, int]) -> int:
    """Bytes covered by buffers that may overlap."""
    covered = end = 0
    for name in sorted(names, key=lambda n: image.offsets[n]):
        start, stop = image.offsets[name], image.offsets[name] + sizes[name]
        covered += max(0, stop - max(start, end))
        end = max(end, stop)
    return covered
