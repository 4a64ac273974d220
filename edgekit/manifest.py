# SPDX-License-Identifier: Apache-2.0
"""manifest.json: what a converted model needs and how it was built."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from edgekit.errors import BadInputError
from edgekit.program import InputMode, OutputMode

DType = Literal["int8", "int16", "int32"]
Role = Literal["input", "output", "scratch"]
Place = Literal["arena", "model_input", "model_output", "constant"]
Completes = Literal["map", "row", "row_from_bottom", "map_at_end", "nothing"]
PairPrimitive = Literal["F", "R", "E", "D"]

MANIFEST_NAME = "manifest.json"


def port_structs(
    input_mode: InputMode, output_mode: OutputMode, *, inputs: int, outputs: int
) -> tuple[bool, bool]:
    """Whether the generated C takes its inputs, and its outputs, through a struct of pointers.

    One input and one output go directly; rows that are pushed, pulled or handed over are no
    pointers to a tensor.
    """
    if input_mode in ("stream", "pull"):
        return False, outputs != 1
    several = inputs != 1 or outputs != 1
    return several, several and output_mode == "resident"


class TensorEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One input or output of the generated C, in the order of its arguments.

    ``shape`` is what the C code sees (NHWC, batch first); ``source_shape`` and ``layout`` are what
    the imported model declared (``layout`` is "NHWC", "NCHW" or "" when rank < 4).
    real value = scale * (integer - zero_point). ``arena_offset`` is the place of an input that the
    run overwrites (input mode "overwrite").
    """

    name: str
    shape: tuple[int, ...]
    source_shape: tuple[int, ...]
    layout: str
    dtype: DType
    scale: float
    zero_point: int
    bytes: int
    arena_offset: int | None = None


class BufferEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A buffer of a layer. ``place`` says which memory ``offset`` counts from.

    ``index`` is the position among the model's inputs or outputs; ``layout`` is "nhwc" or
    "row_planar:<pad_left>:<channel_stride>" (edgekit/layout.py). Row r of the map lies at
    r % ``ring_rows``, ``row_bytes`` apart; ``row_bytes`` 0: as a whole, or one row serves all.
    ``bytes`` reach from ``offset``, where a strip or patch begins, to the end of the map.
    """

    role: Role
    tensor: str
    place: Place
    index: int
    offset: int
    bytes: int
    layout: str
    row_bytes: int = 0
    ring_rows: int = 1


class RegionEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Rows [top, bottom) and columns [left, right) of a map."""

    top: int
    bottom: int
    left: int
    right: int


class LayerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One layer; ``index`` is the argument of EK_LAYER_HOOK.

    ``completes`` says what of the output is there behind each firing (EK_FIRED_HOOK): "map": all of
    it, "row": row `row`, "row_from_bottom": row `row` counted from the last one, "map_at_end": all
    of it behind the last row, nothing before, "nothing": its rows pass to the next layer block by
    block and never lie in memory together. ``rows`` are those of the firings that compute it once.
    ``accumulator_bound`` is the largest magnitude that its sums can reach, proven from its weights
    for every input (below 2^31 behind int8); ``lane_bound`` the same for the sums that share a
    register with others, where its kernel packs weights so (below 2^23).
    ``region``: the part of the output map that it computes; a layer that runs in strips or patches has
    an entry for each of them.
    """

    index: int
    name: str
    source: str
    op: str
    kernel: str
    macs: int
    buffers: tuple[BufferEntry, ...]
    completes: Completes = "map"
    rows: int = 1
    accumulator_bound: int | None = None
    lane_bound: int | None = None
    region: RegionEntry | None = None


class PairEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Two layers, by index, that share rows in blocks of ``block_channels`` channels.

    ``primitive``: "F" keeps the rows that the next window needs, "R" computes them again, "E" runs
    over the whole map for one block before the next; "D" keeps the rows that the next window needs
    as well, but takes blocks of ``block_columns`` columns of the consumer's rows, all channels each.
    """

    primitive: PairPrimitive
    producer: int
    consumer: int
    block_channels: int
    block_columns: int = 0


class SegmentEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A run of layers that one scheduling primitive executes, and the pairs among them.

    ``parts``: strips of columns (primitive H) or patches (B), one after the other.
    """

    primitive: str
    layers: tuple[int, ...]
    pairs: tuple[PairEntry, ...] = ()
    parts: int = 1


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
    """The whole of manifest.json; sizes in bytes.

    ``input_bytes`` and ``output_bytes`` are those of the tensors; ``ram_bytes`` counts the arena, and
    of the tensors what the caller must hold: an input that is streamed, pulled or overwritten in
    the arena is not held, nor is an output whose rows go to a callback. ``slice_macs``:
    multiply-accumulates of one call of <name>_step at most.
    """

    edgekit_version: str
    name: str
    target: str
    input_mode: InputMode
    output_mode: OutputMode
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
    slice_macs: int
    inputs: tuple[TensorEntry, ...]
    outputs: tuple[TensorEntry, ...]
    schedule: tuple[SegmentEntry, ...]
    layers: tuple[LayerEntry, ...]
    sources: tuple[str, ...]
    content_hash: str
    dead_channels: tuple[DeadChannels, ...] = ()

    @property
    def port_structs(self) -> tuple[bool, bool]:
        """Whether inputs, and outputs, go through a struct of pointers."""
        modes = (self.input_mode, self.output_mode)
        return port_structs(*modes, inputs=len(self.inputs), outputs=len(self.outputs))

    @property
    def entry_points(self) -> tuple[str, ...]:
        """The C functions of the model, in the order in which a caller needs them."""
        streamed = ("begin", "push_rows", "finish")
        words = (*(streamed if self.input_mode == "stream" else ("run",)), "step")
        return tuple(f"{self.name}_{word}" for word in words)

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
