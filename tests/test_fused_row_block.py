# SPDX-License-Identifier: Apache-2.0
"""A residual bottleneck runs row by row from rings, with the kernels and layer structs of lowering."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from support.dsp_cases import noise, weighted_call
from support.kernel_trials import (
    HOST_COMPILERS,
    build_for_core,
    count_on_core,
    run_on_core,
    run_on_host,
    write_program,
)

from edgekit.emit.c_tables import TableSet, initializer, struct_text
from edgekit.ir import Array, Call, Quantization, Tensor
from edgekit.kernel import Binding, Kernel
from edgekit.layout import NHWC, Layout
from edgekit.ops import add, conv2d, depthwise_conv2d, operator_of, operators
from edgekit.ops._dsp_depthwise import DSP_3X3S1
from edgekit.ops._dsp_pointwise import DSP_4X2
from edgekit.ops._operator import case_graph
from edgekit.target import load_target
from edgekit.window import Axis, Window

RequireProgram = Callable[[str], str]

INPUT_ZERO_POINT, EXPANDED_ZERO_POINT, PROJECTED_ZERO_POINT = -11, -128, -7
KERNEL_SETS: dict[str, tuple[Kernel, Kernel, Kernel]] = {
    "ref": (conv2d.REF, depthwise_conv2d.REF, conv2d.REF),
    "dsp": (DSP_4X2, DSP_3X3S1, DSP_4X2),
}
SHAPES = {
    "even": ((8, 12, 8), 48),
    "odd": ((7, 9, 5), 13),
    "one_row": ((1, 6, 8), 16),
    "two_rows": ((2, 4, 7), 18),
    "one_column": ((5, 1, 8), 24),
    "wide": ((6, 33, 4), 8),
}
"""Name -> (input height, width, channels) and the number of expanded channels."""


@dataclass(frozen=True, eq=False)
class Block:
    """The calls of one bottleneck, its input, and what the layers compute one after the other."""

    name: str
    expand: Call
    depthwise: Call
    project: Call
    add: Call
    x: Array

    def expected(self) -> Array:
        value = self.x
        for call in (self.expand, self.depthwise, self.project):
            value = _evaluate(call, value)
        return _evaluate(self.add, value, self.x)


def _evaluate(call: Call, *activations: Array) -> Array:
    constants = [tensor.data for tensor in call.inputs if tensor.data is not None]
    return operator_of(call.node).evaluate(call, [*activations, *constants])


def _weighted(
    op: str, shape: tuple[int, int, int], outputs: int, *, zero_point: int, clamp: str, seed: int
) -> Call:
    random = np.random.default_rng(seed)
    is_conv = op == "conv2d"
    axis = Axis(1) if is_conv else Axis(3, 1, 1, 1, 1)
    weights_shape = (outputs, 1, 1, shape[2]) if is_conv else (1, 3, 3, outputs)
    return weighted_call(
        op,
        shape,
        random.integers(-127, 128, weights_shape),
        window=Window(axis, axis),
        bias=random.integers(-2000, 9000, outputs),
        shifts=[-8 - int(s) for s in random.integers(0, 2, outputs)],
        clamp=clamp,
        input_zero_point=zero_point,
    )


def _add_call(shape: tuple[int, int, int]) -> Call:
    tensors = [
        Tensor("a", (1, *shape), "int8", Quantization(0.1, PROJECTED_ZERO_POINT)),
        Tensor("b", (1, *shape), "int8", Quantization(0.05, INPUT_ZERO_POINT)),
    ]
    arithmetic = add.AddArithmetic(
        left_shift=20,
        zero_points=(PROJECTED_ZERO_POINT, INPUT_ZERO_POINT),
        multipliers=(2**30, 0x51EB851F),
        shifts=(0, -1),
        output_multiplier=0x6A09E667,
        output_shift=-18,
        output_zero_point=4,
        minimum=-128,
        maximum=127,
    )
    graph = case_graph(
        "add",
        inputs=tensors,
        output=Tensor("y", (1, *shape), "int8", Quantization(0.1, 4)),
        attributes=add.Add(),
        arithmetic=arithmetic,
        name="add",
    )
    return graph.call(graph.nodes[0])


def _block(name: str) -> Block:
    shape, expanded = SHAPES[name]
    wide = (*shape[:2], expanded)
    fused = {"clamp": "at_zero_point"}
    expand = _weighted("conv2d", shape, expanded, zero_point=INPUT_ZERO_POINT, seed=1, **fused)
    depthwise = _weighted(
        "depthwise_conv2d", wide, expanded, zero_point=EXPANDED_ZERO_POINT, seed=2, **fused
    )
    project = _weighted(
        "conv2d", wide, shape[2], zero_point=EXPANDED_ZERO_POINT, clamp="linear", seed=3
    )
    return Block(name, expand, depthwise, project, _add_call(shape), noise(expand, 4))


class _Program:
    """fused_row_block_data.c, block by block."""

    def __init__(self) -> None:
        self._tables = TableSet("ALIGNED")
        self._layers: list[str] = []
        self._entries: list[str] = []
        self._headers: set[str] = set()

    def add(self, block: Block, kernels: tuple[Kernel, Kernel, Kernel]) -> None:
        prefix = f"block_{len(self._entries)}"
        (expanded_layout,) = kernels[1].input_layouts(block.depthwise)
        steps = [
            ("expand", kernels[0], block.expand, Binding((NHWC,), expanded_layout)),
            ("depthwise", kernels[1], block.depthwise, Binding((expanded_layout,))),
            ("project", kernels[2], block.project, Binding((NHWC,))),
            ("add", add.REF, block.add, Binding((NHWC, NHWC))),
        ]
        members = {"name": f'"{block.name}_{kernels[0].isa}"'}
        for step, kernel, call, binding in steps:
            assert kernel.accepts(call) is None
            layer = f"{prefix}_{step}"
            self._layers.append(struct_text(layer, kernel.pack(call, binding), self._tables))
            self._headers.add(kernel.header)
            members[step] = f"{{{kernel.symbol}, &{layer}, {call.output.shape[3]}}}"
        members |= self._sizes(block, expanded_layout)
        scratch = max(kernel.scratch_bytes(call, binding) for _, kernel, call, binding in steps)
        members["scratch_bytes"] = str(scratch)
        members["padding_row"] = "0"
        if kernels[1].needs_padding_row:
            row_bytes = int(members["expanded_row_bytes"])
            padding = np.full(row_bytes, EXPANDED_ZERO_POINT, np.int8)
            members["padding_row"] = self._tables.add(f"{prefix}_padding", padding)
        members["input"] = self._tables.add(f"{prefix}_input", block.x)
        members["expected"] = self._tables.add(f"{prefix}_expected", block.expected())
        text = initializer("row_block", prefix, members)
        self._entries.append(text[text.index("{") : text.rindex(";")])

    @staticmethod
    def _sizes(block: Block, expanded_layout: Layout) -> dict[str, str]:
        _, height, width, channels = block.x.shape
        expanded = block.expand.output.shape[3]
        row_bytes = expanded_layout.row_bytes(width, expanded)
        return {
            "height": str(height),
            "width": str(width),
            "row_bytes": str(width * channels),
            "expanded_row_bytes": str(row_bytes),
            "depthwise_row_bytes": str(width * expanded),
            "expanded_zero_point": str(EXPANDED_ZERO_POINT),
        }

    def text(self) -> str:
        return "\n".join(
            [
                '/* generated */\n#include "fused_row_block.h"',
                *(f'#include "{header}"' for header in sorted(self._headers)),
                "#define ALIGNED __attribute__((aligned(4)))",
                *self._tables.texts(),
                *self._layers,
                "const row_block row_blocks[] = {\n" + ",\n".join(self._entries) + "};",
                "const int32_t row_block_count = sizeof row_blocks / sizeof row_blocks[0];\n",
            ]
        )


def _write(folder: Path, kernel_set: str, platform: str) -> list[Path]:
    program = _Program()
    kernels = KERNEL_SETS[kernel_set]
    for name in SHAPES:
        program.add(_block(name), kernels)
    return write_program(
        folder,
        [*dict.fromkeys(kernels), add.REF],
        sources=["fused_row_block.c", f"platform_{platform}.c"],
        generated={"fused_row_block_data.c": program.text()},
    )


@pytest.mark.parametrize("name", SHAPES)
def test_block_output_is_varied(name: str) -> None:
    """Neither saturated nor constant: else equal bytes would prove little."""
    values, counts = np.unique(_block(name).expected(), return_counts=True)
    assert len(values) > 10
    assert counts.max() < 0.5 * counts.sum()


@pytest.mark.parametrize("compiler", HOST_COMPILERS)
@pytest.mark.parametrize("kernel_set", KERNEL_SETS)
def test_block_from_rings_equals_layers_on_host(
    kernel_set: str, compiler: str, tmp_path: Path, require_program: RequireProgram
) -> None:
    require_program(compiler)
    assert run_on_host(_write(tmp_path, kernel_set, "host"), compiler=compiler) == ["done"]


@pytest.mark.parametrize("kernel_set", KERNEL_SETS)
def test_block_from_rings_equals_layers_on_cortex_m4(
    kernel_set: str, tmp_path: Path, require_program: RequireProgram
) -> None:
    require_program("qemu-system-arm")
    require_program("arm-none-eabi-gcc")
    target = load_target("cortex-m4")
    elf = build_for_core(_write(tmp_path, kernel_set, "emulated"), target)
    assert run_on_core(elf, target) == ["done"]
    counts = count_on_core(elf, target)
    for number, name in enumerate(SHAPES):
        block = _block(name)
        calls = (block.expand, block.depthwise, block.project)
        macs = sum(operators()[call.node.op].macs(call) for call in calls)
        per_mac = counts.layers[number].instructions / macs
        print(f"{name} with {kernel_set} kernels: {per_mac:.2f} instructions per MAC")
