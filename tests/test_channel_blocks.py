# SPDX-License-Identifier: Apache-2.0
"""Which kernels take blocks of channels for which calls, and the blocks that they are tried on."""

from __future__ import annotations

import pytest
from support.conformance import only_call
from support.kernels import uneven_blocks

from edgekit.kernel import Kernel
from edgekit.ops import average_pool2d, conv2d, depthwise_conv2d, max_pool2d, operators
from edgekit.ops._dsp_depthwise import DSP_3X3S1, DSP_3X3S2, DSP_7X7S2
from edgekit.ops._dsp_depthwise_nhwc import DSP_NHWC
from edgekit.ops._dsp_pointwise import DSP_4X2

MULTIPLES: dict[tuple[Kernel, str], int] = {
    (conv2d.REF, "odd_channels_3_to_5"): 1,
    (conv2d.REF, "two_groups"): 0,
    (conv2d.S16, "int16_odd_channels_3_to_5"): 0,
    (DSP_4X2, "pointwise_8_to_12"): 2,
    (depthwise_conv2d.REF, "kernel_5x5"): 1,
    (depthwise_conv2d.REF, "channel_multiplier_2"): 0,
    (depthwise_conv2d.REF, "multiplier_8_of_one_channel"): 0,
    (depthwise_conv2d.S16, "int16_kernel_5x5"): 0,
    (DSP_3X3S1, "kernel_3x3_same"): 1,
    (DSP_3X3S2, "stride_2_odd_map"): 1,
    (DSP_7X7S2, "kernel_7x7_stride_2"): 1,
    (DSP_NHWC, "dilation_2"): 4,
    (DSP_NHWC, "channel_multiplier_2"): 0,
    (average_pool2d.REF, "odd_channels"): 1,
    (average_pool2d.S16, "int16_odd_channels"): 0,
    (max_pool2d.REF, "odd_channels"): 1,
    (max_pool2d.S16, "int16_odd_channels"): 0,
}
"""What a kernel answers for an edge case of its operator."""


@pytest.mark.parametrize(
    ("kernel", "name", "multiple"),
    [(kernel, name, multiple) for (kernel, name), multiple in MULTIPLES.items()],
    ids=[f"{kernel.symbol}-{name}" for kernel, name in MULTIPLES],
)
def test_kernel_takes_blocks_where_the_call_lets_it(
    kernel: Kernel, name: str, multiple: int
) -> None:
    (operator,) = (o for o in operators().values() if kernel in o.kernels)
    (case,) = (case for case in operator.cases() if case.name == name)
    call = only_call(case.graph)
    assert kernel.refusal(call) is None
    assert kernel.channel_blocks(call) == multiple


@pytest.mark.parametrize("multiple", [0, 1, 2, 4])
@pytest.mark.parametrize("channels", range(1, 20))
def test_blocks_are_all_channels_in_order(channels: int, multiple: int) -> None:
    blocks = uneven_blocks(channels, multiple)
    assert [c for begin, end in blocks for c in range(begin, end)] == list(range(channels))
    assert all(multiple == 0 or begin % multiple == 0 for begin, _ in blocks)
    sizes = {end - begin for begin, end in blocks}
    assert len(blocks) == 1 or len(sizes) > 1 or channels == 2 * multiple
    assert len(blocks) <= 3
    assert (len(blocks) > 1) == (0 < multiple < channels)
