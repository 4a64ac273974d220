# SPDX-License-Identifier: Apache-2.0
"""Lowering: chase distances that are safe and tight, layouts, kernel choice, views, refusals."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.graphs import HALF_3, SAME_3, GraphBuilder, residual, square, two_by_two

from edgekit.converters.choose import MODEL_ERROR, choose
from edgekit.converters.lowering import chase as chase_module
from edgekit.converters.lowering.lower import lower
from edgekit.converters.schedule.layerwise import layerwise
from edgekit.converters.schedule.plan import Plan, PlannedSegment
from edgekit.costs import load_costs
from edgekit.errors import UnsupportedError
from edgekit.ir import QGraph
from edgekit.layout import NHWC
from edgekit.ops import operators
from edgekit.ops.add import Add
from edgekit.ops.max_pool2d import MaxPool2d
from edgekit.ops.mean import Mean
from edgekit.ops.mul import Mul
from edgekit.ops.requantize import Requantize
from edgekit.ops.transpose import Transpose
from edgekit.program import MAX_ROWS, Overlap, Program, Step
from edgekit.target import load_target
from edgekit.window import Axis, Window


def lowered(graph: QGraph, *, kernels: str = "reference") -> Program:
    return lower(layerwise(graph), choose(graph, load_target("cortex-m4"), kernels=kernels))


def between_arena_buffers(b: GraphBuilder, x: str, *, build: str, attributes: object) -> Program:
    """A node whose input and output both lie in the arena."""
    return lowered(b.graph(b.conv2d(b.node(build, attributes, x), 1)))


def only_overlap(program: Program) -> Overlap | None:
    assert len(program.overlaps) <= 1
    return program.overlaps[0] if program.overlaps else None


def overwrites_unread_rows(step: Step, distance: int, *, bottom_up: bool = False) -> bool:
    """Replay a row kernel whose input starts ``distance`` bytes above its output (or below it).

    Every byte has an owner; a row that is still to be read, or is read by the row in work, must
    own all of its bytes.
    """
    loop = step.loop
    assert loop is not None
    read, written = step.operands[0].bytes // loop.input_height, step.output.bytes
    written //= loop.output_height
    size = max(distance, 0) + step.operands[0].bytes + step.output.bytes + max(-distance, 0)
    memory = np.zeros(size, np.int64)
    output, source = max(-distance, 0), max(distance, 0)
    for row in range(loop.input_height):
        memory[source + row * read : source + (row + 1) * read] = row + 1
    order = list(range(loop.output_height))[:: -1 if bottom_up else 1]
    for done, y in enumerate(order):
        memory[output + y * written : output + (y + 1) * written] = -1
        for later in order[done:]:
            for row in loop.rows_of(later):
                held = memory[source + row * read : source + (row + 1) * read]
                if (held != row + 1).any():
                    return True
    return False


def rows_read(step: Step) -> set[int]:
    """The rows inside the map that any output row needs; a window may see padding alone."""
    loop = step.loop
    assert loop is not None
    return {row for y in range(loop.output_height) for row in loop.rows_of(y)}


@st.composite
def row_programs(draw: st.DrawFn) -> Program:
    """A max pool or convolution by rows, over random windows, between two arena buffers."""

    def axis(size: int) -> Axis:
        kernel, stride, dilation = (draw(st.integers(1, top)) for top in (5, 4, 3))
        found = Axis(kernel, stride, dilation, draw(st.integers(0, 6)), draw(st.integers(0, 6)))
        assume(found.output_size(size) >= 1)
        return found

    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 4))
    window = Window(axis(height), axis(width))
    assume(not window.is_pointwise)
    b = GraphBuilder()
    x = b.conv2d(b.input("x", (1, height, width, 1)), draw(st.integers(1, 5)))
    y = b.conv2d(x, draw(st.integers(1, 6)), window)
    return lowered(b.graph(b.conv2d(y, 1)))


@settings(max_examples=150)
@given(program=row_programs())
def test_row_kernel_never_overwrites_unread_rows_and_no_byte_is_given_away(
    program: Program,
) -> None:
    overlap = only_overlap(program)
    assert overlap is not None
    step = program.steps[1]
    for more in range(6):
        assert not overwrites_unread_rows(step, overlap.distance + more)
    if rows_read(step):
        assert overwrites_unread_rows(step, overlap.distance - 1)


@settings(max_examples=150)
@given(program=row_programs())
def test_rows_computed_bottom_up_are_as_safe_and_as_tight(program: Program) -> None:
    overlap = only_overlap(program)
    assert overlap is not None
    step, distance = program.steps[1], overlap.distance_bottom_up
    assert step.loop is not None
    if distance is None:
        assert step.loop.output_height == 1
        return
    for more in range(6):
        assert not overwrites_unread_rows(step, -distance - more, bottom_up=True)
    if rows_read(step):
        assert overwrites_unread_rows(step, -distance + 1, bottom_up=True)


@pytest.mark.parametrize(
    ("axis", "rows", "expected"),
    [
        (SAME_3, 6, 2),  # the row above stays readable
        (Axis(1), 6, 1),
        (HALF_3, 6, 1),  # moves twice as fast as it writes
        (Axis(3, 1, 1, 2, 0), 6, 3),
        (Axis(2, 3, 1, 1, 0), 6, 1),
        (Axis(3, 2, 3, 3, 3), 6, 2),  # padding between the taps of a dilated kernel
    ],
    ids=["same", "pointwise_by_row", "stride_2", "causal", "stride_above_kernel", "dilated"],
)
def test_row_distance_by_name(axis: Axis, rows: int, expected: int) -> None:
    """In rows, for rows of equal size."""
    b = GraphBuilder()
    x = b.conv2d(b.input("x", (1, rows, 4, 2)), 3)
    program = lowered(b.graph(b.conv2d(b.conv2d(x, 3, Window(axis, SAME_3)), 1)))
    assert program.overlaps[0].distance == expected * 4 * 3


def overwrites_unread_pixels(
    distance: int, *, pixels: int, read: int, written: int, grain: int, buffered: bool
) -> bool:
    """Replay a kernel that goes over pixels, ``grain`` at a time."""
    taken = np.arange(pixels * read).reshape(pixels, read) + distance
    for start in range(0, pixels, grain):
        end = min(start + grain, pixels)
        dirty = range(end * written)
        unread = taken[end if buffered else start :].ravel()
        if any(address in dirty for address in unread.tolist()):
            return True
    return False


@given(
    pixels=st.integers(1, 12),
    read=st.integers(1, 5),
    written=st.integers(1, 5),
    grain=st.integers(1, 5),
    buffered=st.booleans(),
)
def test_pixel_kernel_never_overwrites_unread_pixels_and_no_byte_is_given_away(
    pixels: int, read: int, written: int, grain: int, buffered: bool
) -> None:
    distance = chase_module._pixel_distance(pixels, written, read, grain, buffered)
    replay = {
        "pixels": pixels,
        "read": read,
        "written": written,
        "grain": grain,
        "buffered": buffered,
    }
    for more in range(6):
        assert not overwrites_unread_pixels(distance + more, **replay)
    if not (buffered and grain >= pixels):  # else all is read before anything is written
        assert overwrites_unread_pixels(distance - 1, **replay)


def test_elementwise_kernel_works_in_place() -> None:
    b = GraphBuilder()
    x = b.conv2d(b.input("x", (1, 5, 7, 2)), 3)
    program = between_arena_buffers(b, x, build="requantize", attributes=Requantize(0.0, None))
    overlap = only_overlap(program)
    assert overlap is not None
    assert overlap.distance <= 0


def test_both_operands_of_a_sum_may_be_overwritten() -> None:
    b = GraphBuilder()
    image = b.input("x", (1, 5, 7, 2))
    first, second = b.conv2d(image, 3), b.conv2d(image, 3)
    program = lowered(b.graph(b.conv2d(b.node("add", Add(), first, second), 1)))
    assert {(o.input, o.distance <= 0) for o in program.overlaps} == {(first, True), (second, True)}


@pytest.mark.parametrize("shape", [(1, 1, 1, 3), (1, 1, 7, 3), (1, 1, 1, 1)])
def test_operand_that_repeats_is_not_overwritten(shape: tuple[int, ...]) -> None:
    """Every row or pixel of the output reads it again."""
    b = GraphBuilder()
    full = b.conv2d(b.input("x", (1, 5, 7, 2)), 3)
    repeated = b.conv2d(b.input("r", (*shape[:3], 2)), shape[3])
    program = lowered(b.graph(b.conv2d(b.node("mul", Mul(), full, repeated), 1)))
    assert repeated not in {overlap.input for overlap in program.overlaps}


def test_buffer_that_is_read_twice_in_one_step_needs_both_distances() -> None:
    """x + view of x, where the view repeats: x must survive the whole step."""
    b = GraphBuilder()
    x = b.conv2d(b.input("x", (1, 4, 1, 2)), 3)
    total = b.node("add", Add(), x, b.reshape(x, (1, 1, 4, 3)))
    program = lowered(b.graph(b.conv2d(total, 1)))
    assert program.steps[1].operands[0].buffer == program.steps[1].operands[1].buffer
    assert only_overlap(program) is None


def test_input_that_lives_on_is_not_overwritten() -> None:
    b = GraphBuilder()
    x = b.conv2d(b.input("x", (1, 5, 7, 2)), 3)
    y = b.node("requantize", Requantize(0.0, None), x)
    program = lowered(b.graph(b.conv2d(b.node("add", Add(), x, y), 1)))
    assert all(overlap.output != y for overlap in program.overlaps)


@pytest.mark.parametrize(
    ("op", "attributes"), [("mean", Mean((1,), True)), ("transpose", Transpose((0, 3, 2, 1)))]
)
def test_kernel_that_jumps_about_gets_no_overlap(op: str, attributes: object) -> None:
    b = GraphBuilder()
    x = b.conv2d(b.input("x", (1, 5, 7, 2)), 3)
    assert only_overlap(between_arena_buffers(b, x, build=op, attributes=attributes)) is None


def separable(height: int = 24, width: int = 24) -> QGraph:
    """Pointwise, depthwise 3x3, pointwise: what the row-planar kernels are for."""
    b = GraphBuilder()
    x = b.conv2d(b.input("x", (1, height, width, 8)), 16)
    x = b.conv2d(b.depthwise(x, square(SAME_3)), 8)
    return b.graph(b.conv2d(x, 4))


def test_reference_kernels_are_all_nhwc() -> None:
    program = lowered(separable())
    for step in program.steps:
        assert step.kernel is not None
        assert step.kernel.isa == "ref"
        assert {operand.layout for operand in (*step.operands, step.output)} == {NHWC}
        assert step.fill is None


def test_core_with_simd_gets_its_kernels_and_one_without_does_not() -> None:
    plan = layerwise(separable())
    isas = {}
    for name in ("cortex-m3", "cortex-m4"):
        program = lower(plan, choose(plan.graph, load_target(name)))
        isas[name] = {step.kernel.isa for step in program.steps if step.kernel}
    assert isas["cortex-m3"] <= {"c", "ref"}
    assert "dsp" in isas["cortex-m4"]


def test_cheapest_accepting_kernel_is_chosen() -> None:
    program, costs = lowered(separable(), kernels="auto"), load_costs(load_target("cortex-m4"))
    for step, call in zip(program.steps, program.graph.calls(), strict=True):
        assert step.kernel is not None
        rivals = [
            kernel
            for kernel in operators()[step.op].kernels
            if kernel.isa in load_target("cortex-m4").isa
            and kernel.refusal(call) is None
            and set(kernel.input_layouts(call)) == {NHWC}
        ]
        best = min(costs.instructions(kernel, call) for kernel in rivals)
        assert costs.instructions(step.kernel, call) <= (1 + MODEL_ERROR) * best


def test_writer_and_reader_agree_on_the_planar_layout_and_its_pads() -> None:
    program = lowered(separable(), kernels="auto")
    writer, reader = program.steps[0], program.steps[1]
    assert writer.output.layout.kind == "row_planar"
    assert writer.output.layout == reader.operands[0].layout == writer.binding.output
    assert writer.output.bytes == reader.operands[0].bytes
    tensor = program.graph.tensors[writer.output.tensor]
    assert tensor.quantization is not None
    assert writer.fill == reader.padding_value == tensor.quantization.zero_point


def test_row_that_is_filled_with_pads_first_spares_the_row_that_it_is_computed_from() -> None:
    """A pointwise kernel reads a tile before it writes it, but the pads of the row come earlier."""
    b = GraphBuilder()
    x = b.conv2d(b.input("x", (1, 24, 24, 8)), 8)
    x = b.depthwise(b.conv2d(x, 16), square(SAME_3))
    program = lowered(b.graph(b.conv2d(x, 4)), kernels="auto")
    step = program.steps[1]
    assert step.fill is not None
    (distance,) = (o.distance for o in program.overlaps if o.output == step.output.buffer)
    assert not overwrites_unread_rows(step, distance)
    assert overwrites_unread_rows(step, distance - 1)


def test_map_with_a_second_reader_stays_nhwc() -> None:
    b = GraphBuilder()
    x = b.conv2d(b.input("x", (1, 24, 24, 8)), 16)
    y = b.node("add", Add(), x, b.depthwise(x, square(SAME_3)))
    program = lowered(b.graph(b.conv2d(y, 4)), kernels="auto")
    assert program.steps[0].output.layout == NHWC


def test_view_shares_the_memory_of_its_source() -> None:
    b = GraphBuilder()
    x = b.conv2d(b.input("x", (1, 2, 3, 2)), 4)
    program = lowered(b.graph(b.fully_connected(b.reshape(x, (1, 24)), 2)))
    assert [step.op for step in program.steps] == ["conv2d", "fully_connected"]
    assert program.steps[1].operands[0].buffer == program.steps[0].output.buffer == x
    assert [buffer.name for buffer in program.buffers] == [x]


def test_reshape_of_an_input_into_an_output_is_a_copy() -> None:
    b = GraphBuilder()
    program = lowered(b.graph(b.reshape(b.input("x", (1, 2, 3, 2)), (1, 12))))
    (step,) = program.steps
    assert step.kernel is None
    assert (step.operands[0].place, step.output.place) == ("model_input", "model_output")
    assert step.operands[0].bytes == step.output.bytes == 12
    assert program.buffers == ()


def test_outputs_consumed_viewed_repeated_and_passed_through() -> None:
    """The first output of a memory is written in place, the others are copied at the end."""
    program = lowered(two_by_two())
    total, classes, *copies = program.steps
    assert (total.output.place, total.output.index) == ("model_output", 0)
    operand = classes.operands[0]
    assert (operand.place, operand.index) == ("model_output", 0)
    assert (classes.output.place, classes.output.index) == ("model_output", 1)
    assert [(c.operands[0].place, c.operands[0].index, c.output.index) for c in copies] == [
        ("model_output", 0, 2),
        ("model_input", 1, 3),
    ]
    assert all(copy.kernel is None for copy in copies)


def test_output_rows_wait_just_for_the_end_of_the_input() -> None:
    """A dense output of a streamed model: the rows that come before the last one pushed are kept,
    copied as soon as there is no more input, and the later ones at once."""
    b = GraphBuilder("dense")
    graph = b.graph(b.conv2d(b.input("image", (1, 12, 5, 2)), 3, square(Axis(5, 1, 1, 2, 2))))
    names = tuple(node.name for node in graph.nodes)
    plan = Plan(graph, (PlannedSegment("C", names),), "stream")
    program = lower(plan, choose(graph, load_target("host"), kernels="reference"))
    arrival, layer, copy = (
        [(at, f.row, f.count) for at, f in enumerate(program.script) if f.step == step]
        for step in range(3)
    )
    end = arrival[-1][0]
    before = sum(count for at, _, count in layer if at < end)
    assert before == 12 - 3, "the windows of the last three rows see the last row of the input"
    assert program.steps[2].operands[0].ring_rows == before
    assert copy[0] == (end + 1, 0, before)
    assert [row for _, row, _ in copy[1:]] == [9, 10, 11]
    assert program.finish_entry() == end + 1


def test_a_layer_may_be_called_like_the_copy_of_an_output() -> None:
    """Both are steps of the one segment in which rows flow."""
    b = GraphBuilder("dense")
    graph = b.graph(b.conv2d(b.input("image", (1, 12, 5, 2)), 3, square(SAME_3)))
    node = dataclasses.replace(graph.nodes[0], name="copy_to_output_0")
    graph = dataclasses.replace(graph, nodes=(node,))
    plan = Plan(graph, (PlannedSegment("C", (node.name,)),), "stream")
    program = lower(plan, choose(graph, load_target("host"), kernels="reference"))
    assert len({step.layer for step in program.steps}) == len(program.steps) == 3
    assert program.steps[1].kernel is not None
    assert program.steps[2].operands[0].ring_rows == 12 - 2


def test_segments_cover_all_steps_in_order() -> None:
    for graph in (residual(), two_by_two()):
        program = lowered(graph)
        steps = [i for s in program.segments for i in range(s.first, s.last + 1)]
        assert steps == list(range(len(program.steps)))


def test_life_of_a_buffer_ends_with_its_last_reader() -> None:
    program = lowered(residual())
    for buffer in program.buffers:
        users = [
            index
            for index, step in enumerate(program.steps)
            if buffer.name in (step.scratch, *(o.buffer for o in (*step.operands, step.output)))
        ]
        assert (buffer.first, buffer.last) == (users[0], users[-1])


def test_all_layers_without_a_kernel_are_named_at_once() -> None:
    b = GraphBuilder()
    x = b.input("x", (1, MAX_ROWS + 8, 1, 2))
    tall = square(Axis(MAX_ROWS + 1))
    tall = dataclasses.replace(tall, width=Axis(1))
    x = b.conv2d(x, 2, tall)
    pooled = Window(Axis(MAX_ROWS + 2, 1, 1, MAX_ROWS, MAX_ROWS), Axis(1))
    graph = b.graph(b.conv2d(b.conv2d(x, 2), 3, pooled))
    with pytest.raises(UnsupportedError) as caught:
        lowered(graph, kernels="auto")
    lines = caught.value.lines
    assert len(lines) == 2
    assert lines[0].startswith("conv2d 'net/conv2d_0': ")
    assert lines[1].startswith("conv2d 'net/conv2d_2': ")
    assert all(str(MAX_ROWS) in line for line in lines)


def test_tallest_kernel_that_the_driver_holds_is_accepted() -> None:
    b = GraphBuilder()
    x = b.input("x", (1, MAX_ROWS, 1, 2))
    y = b.node("max_pool2d", MaxPool2d(Window(Axis(MAX_ROWS), Axis(1))), x)
    assert lowered(b.graph(y)).steps[0].loop is not None


def test_channel_that_repeats_over_an_operand_is_not_overwritten() -> None:
    """(1, H, W, 1) * (1, H, W, C): every element of the first is read C times."""
    b = GraphBuilder()
    one = b.conv2d(b.input("x", (1, 3, 4, 2)), 1)
    many = b.conv2d(b.input("y", (1, 3, 4, 2)), 5)
    program = lowered(b.graph(b.conv2d(b.node("mul", Mul(), one, many), 2)))
    step = next(step for step in program.steps if step.op == "mul")
    names = {operand.buffer for operand in step.operands if operand.bytes == step.output.bytes}
    assert {o.input for o in program.overlaps if o.output == step.output.buffer} == names


@pytest.mark.parametrize("name", ["cursor", "pair/scratch", "first/scratch"])
def test_tensors_may_be_called_like_working_memory(name: str) -> None:
    b = GraphBuilder()
    graph = b.graph(b.conv2d(b.conv2d(b.input(name, (1, 4, 8, 4)), 8), 3))
    plan = layerwise(graph, input_mode="stream")
    program = lower(plan, choose(graph, load_target("cortex-m4")))
    names = [buffer.name for buffer in program.buffers]
    assert name in names
    assert len(set(names)) == len(names)
