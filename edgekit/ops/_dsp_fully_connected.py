# SPDX-License-Identifier: Apache-2.0
"""The DSP kernels of fully connected layers: packed-lane weights, whole rows or equal parts of one."""

from __future__ import annotations

import dataclasses

from edgekit.ir import Array, Call
from edgekit.kernel import Binding, CStruct, Features, Kernel, input_rows
from edgekit.ops._dsp_pairs import (
    GENERAL_SCRATCH_BYTES,
    LANES_BYTES,
    arrange_segments,
    lane_bound,
    paired_layer,
    pairs_struct,
    row_features,
    sums_refusal,
    windows_struct,
)
from edgekit.ops._dsp_parts import parted_layer, parts_struct
from edgekit.ops._weighted import INPUT, WEIGHTS

_ROW_LANES_BYTES = 8
"""Scratch for a group of 4 inputs of a single row."""
_MOST_PART_INPUTS = 2048
_SURE_PART_INPUTS = 512
"""The sums of so many inputs fit two channels, whatever their weights are."""


def _inputs(call: Call) -> int:
    return call.inputs[WEIGHTS].shape[1]


def _outputs(call: Call) -> int:
    return call.inputs[WEIGHTS].shape[0]


def _rows(call: Call) -> int:
    return call.inputs[INPUT].elements // _inputs(call)


def _groups(inputs: int) -> int:
    return -(-inputs // 4)


def _arranged(matrix: Array) -> Array:
    return arrange_segments(matrix[:, None, :])


def _accepts(call: Call) -> str | None:
    if call.inputs[INPUT].dtype != "int8" or call.output.dtype != "int8":
        return "only int8"
    return sums_refusal(call)


def _accepts_rows(call: Call) -> str | None:
    return _accepts(call) or (None if _inputs(call) >= 4 else "only 4 inputs or more")


def _pack_rows(call: Call, binding: Binding) -> CStruct:
    inputs = _inputs(call)
    return CStruct(
        "ek_fully_connected_s8_packed",
        {
            "pairs": pairs_struct(call, binding, paired_layer(call), _arranged),
            "windows": windows_struct(inputs, pixel_step=inputs),
            "rows": _rows(call),
            "output_channels": _outputs(call),
        },
    )


def _rows_scratch_bytes(call: Call, binding: Binding) -> int:
    lanes = _ROW_LANES_BYTES if _rows(call) == 1 else LANES_BYTES
    general = GENERAL_SCRATCH_BYTES * paired_layer(call).is_general
    return lanes * _groups(_inputs(call)) + general


def _rows_features(call: Call) -> Features:
    pixels, channels = _rows(call), _outputs(call)
    groups = _groups(_inputs(call))
    row = row_features(paired_layer(call), pixels=pixels, channels=channels, groups=groups)
    return {"layers": 1, **row}


def _accepts_parts(call: Call) -> str | None:
    return _accepts(call) or (f"its input has {_rows(call)} rows" if _rows(call) > 1 else None)


def _resident_parts(call: Call) -> int:
    """The fewest equal parts whose lanes are few and whose sums fit two channels, else 1."""
    inputs = _inputs(call)
    if not parted_layer(call, inputs).is_paired:
        return 1  # a pair of weights does not fit its lane, whatever the parts
    least, most = -(-inputs // _MOST_PART_INPUTS), -(-inputs // _SURE_PART_INPUTS)
    candidates = (parts for parts in range(least, 2 * most + 1) if inputs % parts == 0)
    return next((parts for parts in candidates if parted_layer(call, parts).is_paired), 1)


def _parts_struct(call: Call, parts: int) -> CStruct:
    part = _inputs(call) // parts
    return CStruct(
        "ek_fully_connected_s8_parts",
        {
            "sums": parts_struct(call, parted_layer(call, parts), _arranged),
            "windows": windows_struct(part, pixel_step=part),
            "part_bytes": part,
            "parts": parts,
            "output_channels": _outputs(call),
        },
    )


def _parts_of(call: Call, binding: Binding) -> int:
    parts = input_rows(call, binding)
    assert _inputs(call) % parts == 0, f"{call.node}: its inputs are not {parts} equal parts"
    return parts


def _parts_scratch_bytes(call: Call, parts: int) -> int:
    return 8 * parted_layer(call, parts).pairs + _ROW_LANES_BYTES * _groups(_inputs(call) // parts)


def _parts_features(call: Call, parts: int) -> Features:
    """Pairs of each part, their sums, and what finishes them."""
    outputs, groups = _outputs(call), _groups(_inputs(call) // parts)
    pairs = parted_layer(call, parts).pairs
    return {
        "layers": 1,
        "parts": parts,
        "part_groups": parts * groups,
        "pairs": parts * pairs,
        "groups_1": parts * pairs * groups,
        "part_outputs": parts * outputs,
        "batches": parts * -(-pairs // 2),
        "outputs": outputs,
    }


DSP_ROWS = Kernel(
    symbol="ek_fully_connected_s8_packed__dsp_4x2",
    isa="dsp",
    kind="map",
    pack=_pack_rows,
    accepts=_accepts_rows,
    lane_bound=lambda call: lane_bound(paired_layer(call)),
    features=_rows_features,
    scratch_bytes=_rows_scratch_bytes,
    stack_bytes=448,
)
DSP_PARTS = Kernel(
    symbol="ek_fully_connected_s8_parts__dsp",
    isa="dsp",
    kind="map",
    pack=lambda call, binding: _parts_struct(call, _resident_parts(call)),
    accepts=_accepts_parts,
    lane_bound=lambda call: parted_layer(call, _resident_parts(call)).lane_bound,
    features=lambda call: _parts_features(call, _resident_parts(call)),
    scratch_bytes=lambda call, binding: _parts_scratch_bytes(call, _resident_parts(call)),
    stack_bytes=448,
)
DSP_ACCUMULATING = dataclasses.replace(
    DSP_PARTS,
    symbol="ek_fully_connected_s8_parts__dsp_accumulating",
    lane_bound=lambda call: parted_layer(call, _parts_of(call, Binding(()))).lane_bound,
    kind="rows",
    pack=lambda call, binding: _parts_struct(call, _parts_of(call, binding)),
    features=lambda call: _parts_features(call, _parts_of(call, Binding(()))),
    scratch_bytes=lambda call, binding: _parts_scratch_bytes(call, _parts_of(call, binding)),
    accumulates=True,
)
