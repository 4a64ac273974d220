# SPDX-License-Identifier: Apache-2.0
"""All files of a converted model as path -> bytes, and the manifest that describes them."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from edgekit.emit.example import example_text
from edgekit.emit.header import header_text
from edgekit.emit.interface import CTensor, Interface, interface_of
from edgekit.emit.model_c import ModelSource, model_source
from edgekit.emit.project import cmake_text
from edgekit.emit.runtime_files import runtime_files
from edgekit.emit.slices import slices_of
from edgekit.emit.stack import stack_bytes
from edgekit.ir import Quantization
from edgekit.layout import map_size
from edgekit.manifest import (
    MANIFEST_NAME,
    BufferEntry,
    Completes,
    DeadChannels,
    LayerEntry,
    Manifest,
    PairEntry,
    PairPrimitive,
    RegionEntry,
    Role,
    SegmentEntry,
    TensorEntry,
)
from edgekit.ops import operator_of
from edgekit.program import (
    ARENA_ALIGN,
    INPUT_STEP,
    OUTPUT_STEP,
    Image,
    Operand,
    Pair,
    Program,
    Segment,
    Step,
)
from edgekit.target import Target
from edgekit.window import Axis, Region


@dataclass(frozen=True)
class Sources:
    """The files of DIR by relative path, the manifest among them."""

    manifest: Manifest
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class EmitOptions:
    """What the manifest says about the conversion besides the image itself."""

    name: str
    target: Target
    version: str
    macs_network: int
    dead_channels: tuple[DeadChannels, ...] = ()
    macs_legalized: int | None = None
    """Where the schedule computes layers of the model twice: without the second ones."""


def emit(image: Image, options: EmitOptions, reference: Mapping[str, bytes]) -> Sources:
    """Emit the project; ``reference`` are files that go to reference/ as they are."""
    graph = image.program.graph
    interface = interface_of(
        graph,
        options.name,
        input_mode=image.program.input_mode,
        output_mode=image.program.output_mode,
    )
    slices = slices_of(image.program)
    model = model_source(image, interface, slices, version=options.version)
    header = header_text(
        interface,
        arena_bytes=image.arena_bytes,
        slice_macs=slices.macs,
        input_offsets=_input_offsets(image),
        version=options.version,
        title=graph.name,
        target=options.target.name,
    )
    kernels = sorted({s.kernel.symbol for s in image.program.steps if s.kernel})
    runtime = runtime_files(kernels, ["ek_position.h", "ek_hook.h", *model.headers])
    texts = {f"{options.name}.c": model.text, interface.header: header, **runtime}
    c_files = tuple(sorted(name for name in texts if name.endswith(".c")))
    texts["CMakeLists.txt"] = cmake_text(interface, c_files, options.target)
    texts["example/main.c"] = example_text(interface)
    files = {name: text.encode() for name, text in texts.items()}
    files |= {f"reference/{name}": data for name, data in reference.items()}
    manifest = _manifest(
        image, options, interface, model, slices.macs, c_files, _content_hash(files)
    )
    files[MANIFEST_NAME] = manifest.to_json()
    return Sources(manifest, dict(sorted(files.items())))


def _input_offsets(image: Image) -> tuple[int, ...]:
    """Where the inputs lie that the run overwrites."""
    if image.program.input_mode != "overwrite":
        return ()
    return tuple(image.offsets[port.tensor] for port in image.program.graph.inputs)


def _content_hash(files: Mapping[str, bytes]) -> str:
    """SHA-256 over names and contents of all files but the manifest."""
    digest = hashlib.sha256()
    for name, data in sorted(files.items()):
        digest.update(f"{name}\0{len(data)}\0".encode())
        digest.update(data)
    return digest.hexdigest()


def _manifest(
    image: Image,
    options: EmitOptions,
    interface: Interface,
    model: ModelSource,
    slice_macs: int,
    c_files: tuple[str, ...],
    content_hash: str,
) -> Manifest:
    steps = image.program.steps
    input_bytes = sum(t.tensor.bytes for t in interface.inputs)
    output_bytes = sum(t.tensor.bytes for t in interface.outputs)
    held_bytes = input_bytes if interface.input_mode == "resident" else 0
    held_bytes += output_bytes if interface.output_mode == "resident" else 0
    macs = options.macs_legalized
    if macs is None:
        macs = sum(operator_of(call.node).macs(call) for call in image.program.graph.calls())
    return Manifest(
        edgekit_version=options.version,
        name=options.name,
        target=options.target.name,
        input_mode=interface.input_mode,
        output_mode=interface.output_mode,
        arena_bytes=image.arena_bytes,
        arena_align=ARENA_ALIGN,
        arena_lower_bound_bytes=image.arena_lower_bound_bytes,
        input_bytes=input_bytes,
        output_bytes=output_bytes,
        ram_bytes=image.arena_bytes + held_bytes,
        stack_bytes=stack_bytes(image.program),
        flash_bytes=model.flash_bytes,
        macs_network=options.macs_network,
        macs_legalized=macs,
        macs_executed=image.program.macs_executed,
        slice_macs=slice_macs,
        inputs=_input_entries(image, interface),
        outputs=tuple(_tensor_entry(t) for t in interface.outputs),
        schedule=tuple(_segment_entry(image.program, s) for s in image.program.segments),
        layers=tuple(_layer_entry(image, index, step) for index, step in enumerate(steps)),
        sources=c_files,
        content_hash=content_hash,
        dead_channels=options.dead_channels,
    )


def _segment_entry(program: Program, segment: Segment) -> SegmentEntry:
    return SegmentEntry(
        primitive=segment.primitive,
        parts=segment.parts,
        layers=tuple(range(segment.first, segment.last + 1)),
        pairs=tuple(
            PairEntry(
                primitive=_pair_primitive(program, pair),
                producer=pair.producer,
                consumer=pair.consumer,
                block_channels=pair.block_channels,
                block_columns=pair.columns.columns if pair.columns else 0,
            )
            for pair in program.pairs
            if segment.first <= pair.consumer <= segment.last
        ),
    )


def _pair_primitive(program: Program, pair: Pair) -> PairPrimitive:
    if pair.whole_map:
        return "E"
    if pair.columns is not None:
        return "D"
    loop = program.steps[pair.consumer].loop
    assert loop is not None and isinstance(loop.rows, Axis)
    # Windows that do not overlap need no kept rows, and compute nothing again.
    return "F" if pair.kept_rows or loop.rows.kernel <= loop.rows.stride else "R"


def _input_entries(image: Image, interface: Interface) -> tuple[TensorEntry, ...]:
    entries = [_tensor_entry(tensor) for tensor in interface.inputs]
    offsets = _input_offsets(image) or [None for _ in entries]
    pairs = zip(entries, offsets, strict=True)
    return tuple(msgspec.structs.replace(entry, arena_offset=offset) for entry, offset in pairs)


def _tensor_entry(tensor: CTensor) -> TensorEntry:
    quantization = tensor.tensor.quantization or Quantization(1.0, 0)
    assert tensor.tensor.dtype in ("int8", "int16", "int32")
    return TensorEntry(
        name=tensor.identifier,
        shape=tensor.tensor.shape,
        source_shape=tensor.port.source_shape,
        layout=tensor.port.layout,
        dtype=tensor.tensor.dtype,
        scale=quantization.scale,
        zero_point=quantization.zero_point,
        bytes=tensor.tensor.bytes,
    )


def _layer_entry(image: Image, index: int, step: Step) -> LayerEntry:
    buffers = [_buffer_entry(image, "input", operand) for operand in step.operands]
    buffers.append(_buffer_entry(image, "output", step.output))
    if step.scratch:
        scratch = Operand(step.scratch, "arena", step.scratch, bytes=step.scratch_bytes)
        buffers.append(_buffer_entry(image, "scratch", scratch))
    return LayerEntry(
        index=index,
        name=step.layer,
        source=step.source,
        op=step.op,
        kernel=_kernel_name(image.program, step),
        macs=step.macs,
        buffers=tuple(buffers),
        completes=_completes(image, index),
        rows=_rows(image, step),
        accumulator_bound=_accumulator_bound(step),
        lane_bound=None
        if step.call is None or step.kernel is None
        else step.kernel.lane_bound(step.call),
        region=_region_entry(step.output.region),
    )


def _region_entry(region: Region | None) -> RegionEntry | None:
    return RegionEntry(**dataclasses.asdict(region)) if region else None


def _accumulator_bound(step: Step) -> int | None:
    """What the sums of a layer can reach; a copy of rows has none."""
    return None if step.call is None else operator_of(step.call.node).accumulator_bound(step.call)


def _kernel_name(program: Program, step: Step) -> str:
    if step.kernel is not None:
        return step.kernel.symbol
    pulled = step.op == INPUT_STEP and program.input_mode == "pull"
    return "callback" if pulled or step.op == OUTPUT_STEP else "memcpy"


def _completes(image: Image, index: int) -> Completes:
    """What of a step's output is there behind each of its firings."""
    step = image.program.steps[index]
    if any(pair.producer == index for pair in image.program.pairs):
        return "nothing"
    if any(pair.consumer == index and pair.whole_map for pair in image.program.pairs):
        return "map"
    if step.kernel is not None and step.kernel.accumulates:
        return "map_at_end"
    if not step.copies_rows and (step.loop is None or step.binding.flat):
        return "map"
    return "row_from_bottom" if index in image.bottom_up else "row"


def _rows(image: Image, step: Step) -> int:
    """Rows that a step's firings count when they compute its output once."""
    if step.copies_rows:
        shape = image.program.graph.tensors[step.output.tensor].shape
        return step.output.region.height if step.output.region else map_size(shape)[0]
    return step.loop.output_height if step.loop is not None else 1


def _offset(image: Image, operand: Operand) -> int:
    return image.offsets[operand.buffer] if operand.place == "arena" else 0


def _buffer_entry(image: Image, role: Role, operand: Operand) -> BufferEntry:
    layout = operand.layout
    planar = f":{layout.pad_left}:{layout.channel_stride}" if layout.kind != "nhwc" else ""
    return BufferEntry(
        role=role,
        tensor=operand.tensor,
        place=operand.place,
        index=operand.index,
        offset=operand.skip_bytes + _offset(image, operand),
        bytes=operand.bytes - operand.skip_bytes,
        layout=f"{layout.kind}{planar}",
        row_bytes=operand.row_bytes,
        ring_rows=operand.ring_rows,
    )
