# SPDX-License-Identifier: Apache-2.0
"""torch.flip over the channels of an NCHW map."""

from __future__ import annotations

from edgekit.converters.nchw.graph import Activation, RefusalError, SourceCall
from edgekit.ops.reverse_channels import ReverseChannels


def flip(call: SourceCall) -> Activation:
    """flip(x, dims)."""
    x = call.activation("self", rank=4)
    if [int(axis) % 4 for axis in call["dims"]] != [1]:
        raise RefusalError(f"dims={list(call['dims'])} is not supported; flip the channels, [1]")
    return call.node("reverse_channels", [x.tensor], ReverseChannels())
