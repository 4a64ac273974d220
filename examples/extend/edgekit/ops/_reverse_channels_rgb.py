# SPDX-License-Identifier: Apache-2.0
"""The kernel of reverse_channels for three channels."""

from __future__ import annotations

from edgekit.ir import Call
from edgekit.kernel import Binding, CStruct, Kernel, WriteBehind, flat_features


def _accepts(call: Call) -> str | None:
    return None if call.output.shape[3] == 3 else "only three channels"


def _pack(call: Call, binding: Binding) -> CStruct:
    return CStruct("ek_reverse_channels_s8", {"channels": 3})


DSP_RGB = Kernel(
    symbol="ek_reverse_channels_s8__dsp_rgb",
    isa="dsp",
    kind="rows",
    pack=_pack,
    accepts=_accepts,
    write_behind=WriteBehind(grain=1, buffered=True),
    flat=True,
    features=flat_features,
    stack_bytes=64,
)
