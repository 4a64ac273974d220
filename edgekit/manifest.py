# SPDX-License-Identifier: Apache-2.0
"""manifest.json: what a converted model needs and how it was built."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from edgekit.errors import BadInputError

DType = Literal["int8", "int16", "int32"]
Role = Literal["input", "output", "scratch"]
Place = Literal["arena", "model_input", "model_output", "constant"]

MANIFEST_NAME = "manifest.json"


class TensorEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One input or output of the generated C, in the order of its arguments.

    ``shape`` is what the C code sees (NHWC, batch first); ``source_shape`` and ``layout`` are what
    the imported model declared (``layout`` is "NHWC", "NCHW" or "" when rank < 4).
    real value = scale * (integer - zero_point).
    """

    name: str
    shape: tuple[int, ...]
    source_shape: tuple[int, ...]
    layout: str
    dtype: DType
    scale: float
    zero_point: int
    bytes: int


class BufferEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A buffer of a layer. ``place`` says which memory ``offset`` counts from.

    ``index`` is the position among the model's inputs or outputs; ``layout`` is "nhwc" or
    "row_planar:<pad_left>:<channel_stride>" (edgekit/layout.py).
    """

    role: Role
    tensor: str
    place: Place
    index: int
    offset: int
    bytes: int
    layout: str


class LayerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One kernel call of the layer list; ``index`` is the argument of EK_LAYER_HOOK."""

    index: int
    name: str
    source: str
    op: str
    kernel: str
    macs: int
    buffers: tuple[BufferEntry, ...]


class SegmentEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A run of layers that one scheduling primitive executes."""

    primitive: str
    layers: tuple[int, ...]


class DeadChannels(msgspec.Struct, frozen=True, kw_only=True):
    """What a layer lost because output or input channels were constant or unread.

    ``channels`` are those of its output; a layer that went as a whole has 0 left.
    """

    layer: str
    source: str
    channels_before: int
    channels_after: int
    macs_before: int
    macs_after: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of manifest.json; sizes in bytes."""

    edgekit_version: str
    name: str
    target: str
    input_mode: str
    arena_bytes: int
    arena_align: int
    arena_lower_bound_bytes: int
    input_bytes: int
    output_bytes: int
    ram_bytes: int
    stack_bytes: int
    flash_bytes: int
    macs_network: int
    macs_legalized: int
    macs_executed: int
    inputs: tuple[TensorEntry, ...]
    outputs: tuple[TensorEntry, ...]
    schedule: tuple[SegmentEntry, ...]
    layers: tuple[LayerEntry, ...]
    sources: tuple[str, ...]
    content_hash: str
    dead_channels: tuple[DeadChannels, ...] = ()

    def to_json(self) -> bytes:
        """The text of manifest.json, the same bytes on every machine."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def load_manifest(directory: Path) -> Manifest:
    """Read ``directory/manifest.json``.

    Raises:
        BadInputError: there is none, or it is not one of edgekit's.
    """
    path = directory / MANIFEST_NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise BadInputError(
            f"{directory}: no {MANIFEST_NAME}; give a folder that `edgekit convert` wrote"
        ) from None
    except (OSError, msgspec.MsgspecError) as error:
        raise BadInputError(f"{path}: {error}; convert the model again") from None
