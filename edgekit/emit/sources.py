# SPDX-License-Identifier: Apache-2.0
"""All files of a converted model as path -> bytes, and the manifest that describes them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edgekit.emit.interface import CTensor, Interface, header_text, interface_of
from edgekit.emit.model_c import ModelSource, model_source
from edgekit.emit.project import cmake_text, example_text
from edgekit.emit.runtime_files import runtime_files
from edgekit.ir import Quantization
from edgekit.manifest import (
    MANIFEST_NAME,
    BufferEntry,
    DeadChannels,
    LayerEntry,
    Manifest,
    Role,
    SegmentEntry,
    TensorEntry,
)
from edgekit.ops import operator_of
from edgekit.program import ARENA_ALIGN, Image, Operand, Step
from edgekit.target import Target

MODEL_RUN_STACK_BYTES = 160
ROW_DRIVER_STACK_BYTES = 384
"""Upper bounds of the frames of <name>_run and ek_run_rows on all targets; tests measure them."""


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


def emit(image: Image, options: EmitOptions, reference: Mapping[str, bytes]) -> Sources:
    """Emit the project; ``reference`` are files that go to reference/ as they are."""
    graph = image.program.graph
    interface = interface_of(graph, options.name)
    model = model_source(image, interface, version=options.version)
    header = header_text(
        interface,
        arena_bytes=image.arena_bytes,
        version=options.version,
        title=graph.name,
        target=options.target.name,
    )
    kernels = sorted({s.kernel.symbol for s in image.program.steps if s.kernel})
    runtime = runtime_files(kernels, ["ek_status.h", "ek_hook.h", "ek_rows.h"])
    texts = {f"{options.name}.c": model.text, interface.header: header, **runtime}
    c_files = tuple(sorted(name for name in texts if name.endswith(".c")))
    texts["CMakeLists.txt"] = cmake_text(interface, c_files)
    texts["example/main.c"] = example_text(interface)
    files = {name: text.encode() for name, text in texts.items()}
    files |= {f"reference/{name}": data for name, data in reference.items()}
    manifest = _manifest(image, options, interface, model, c_files, _content_hash(files))
    files[MANIFEST_NAME] = manifest.to_json()
    return Sources(manifest, dict(sorted(files.items())))


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
    c_files: tuple[str, ...],
    content_hash: str,
) -> Manifest:
    steps = image.program.steps
    input_bytes = sum(t.tensor.bytes for t in interface.inputs)
    output_bytes = sum(t.tensor.bytes for t in interface.outputs)
    macs = sum(operator_of(call.node).macs(call) for call in image.program.graph.calls())
    return Manifest(
        edgekit_version=options.version,
        name=options.name,
        target=options.target.name,
        input_mode="resident",
        arena_bytes=image.arena_bytes,
        arena_align=ARENA_ALIGN,
        arena_lower_bound_bytes=image.arena_lower_bound_bytes,
        input_bytes=input_bytes,
        output_bytes=output_bytes,
        ram_bytes=image.arena_bytes + input_bytes + output_bytes,
        stack_bytes=_stack_bytes(steps),
        flash_bytes=model.flash_bytes,
        macs_network=options.macs_network,
        macs_legalized=macs,
        macs_executed=sum(step.macs for step in steps),
        inputs=tuple(_tensor_entry(t) for t in interface.inputs),
        outputs=tuple(_tensor_entry(t) for t in interface.outputs),
        schedule=tuple(
            SegmentEntry(primitive=s.primitive, layers=tuple(range(s.first, s.last + 1)))
            for s in image.program.segments
        ),
        layers=tuple(_layer_entry(image, index, step) for index, step in enumerate(steps)),
        sources=c_files,
        content_hash=content_hash,
        dead_channels=options.dead_channels,
    )


def _stack_bytes(steps: Iterable[Step]) -> int:
    """The static bound from the frames that each kernel declares."""
    frames = [
        step.kernel.stack_bytes + (ROW_DRIVER_STACK_BYTES if step.loop else 0)
        for step in steps
        if step.kernel
    ]
    return MODEL_RUN_STACK_BYTES + max(frames, default=0)


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
        kernel=step.kernel.symbol if step.kernel else "memcpy",
        macs=step.macs,
        buffers=tuple(entry for entry in buffers if entry is not None),
    )


def _buffer_entry(image: Image, role: Role, operand: Operand) -> BufferEntry:
    layout = operand.layout
    planar = f":{layout.pad_left}:{layout.channel_stride}" if layout.kind != "nhwc" else ""
    return BufferEntry(
        role=role,
        tensor=operand.tensor,
        place=operand.place,
        index=operand.index,
        offset=image.offsets[operand.buffer] if operand.place == "arena" else 0,
        bytes=operand.bytes,
        layout=f"{layout.kind}{planar}",
    )
