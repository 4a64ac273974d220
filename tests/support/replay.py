# SPDX-License-Identifier: Apache-2.0
"""Executes a placed program on a byte arena in numpy: the oracle for its values and for its memory.

Every byte knows which byte of which buffer it holds. A row is computed by the operator's reference
from the rows that are found in memory; whoever finds a byte of something else has read a row that
was overwritten, or that was never there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.converters.lowering.chase import in_place_elementwise
from edgekit.ir import DTYPE_BYTES, Array, Tensor
from edgekit.layout import map_size
from edgekit.program import (
    CURSOR_BYTES,
    INPUT_STEP,
    Image,
    Operand,
    Pair,
    Step,
    cursor_name,
)
from edgekit.window import Region
from support.replay_columns import ColumnPairReplay
from support.replay_values import evaluate, noise, row_of, to_bytes
from support.tagged_memory import NOTHING, PAINT, Memory, Part, ReplayError


@dataclass(frozen=True)
class Replayed:
    """The outputs in order, and the highest arena byte that was written plus one."""

    outputs: tuple[Array, ...]
    touched_bytes: int


def replay(image: Image, sample: Sequence[Array]) -> Replayed:
    """Run a program on one array for each input.

    Raises:
        ReplayError: a step reads what is not there, or leaves its memory.
    """
    run = _Replay(image, sample)
    program = image.program
    paired = {pair.consumer: pair for pair in program.pairs}
    ahead = {pair.producer: pair for pair in program.pairs}
    columns = {
        pair.consumer: ColumnPairReplay(run, pair, pair.columns)
        for pair in program.pairs
        if pair.columns
    }
    columns_ahead = {found.pair.producer: found for found in columns.values()}
    for firings in program.script:
        for row in range(firings.row, firings.row + firings.count):
            if firings.step in columns:
                columns[firings.step].fire(row)
            elif firings.step in columns_ahead:
                columns_ahead[firings.step].fire_ahead(row)
            elif firings.step in paired:
                run.fire_pair(paired[firings.step], row)
            elif firings.step in ahead:
                run.fire_ahead(ahead[firings.step], row)
            else:
                run.fire(firings.step, row)
    return run.result()


class _Replay:
    def __init__(self, image: Image, sample: Sequence[Array]) -> None:
        self.image, self._program, self._graph = image, image.program, image.program.graph
        self.arena = Memory(image.arena_bytes)
        self._inputs = [Memory(array.nbytes) for array in sample]
        self._outputs = [Memory(self._graph.tensors[p.tensor].bytes) for p in self._graph.outputs]
        self._sums: dict[int, list[Array]] = {}
        for port, memory, array in zip(self._graph.inputs, self._inputs, sample, strict=True):
            if image.program.input_mode == "overwrite":
                place, memory = image.offsets[port.tensor], self.arena
            else:
                place = 0
            part = Part(memory, place, port.tensor, 0, array.nbytes)
            memory.write(part, np.ascontiguousarray(array))
        self._cursor: Part | None = None
        cursor = cursor_name(self._graph)
        if cursor in image.offsets:
            self._cursor = Part(self.arena, image.offsets[cursor], cursor, 0, CURSOR_BYTES)
            self.arena.write(self._cursor, np.zeros(CURSOR_BYTES, np.uint8))

    def result(self) -> Replayed:
        if self._cursor:
            self.arena.check(self._cursor, "the caller")
        outputs = []
        for port, memory in zip(self._graph.outputs, self._outputs, strict=True):
            if (memory.tags == NOTHING).any():
                raise ReplayError(f"output '{port.name}' is not complete")
            tensor = self._graph.tensors[port.tensor]
            outputs.append(memory.bytes.view(tensor.dtype).reshape(tensor.shape))
        touched = np.flatnonzero(self.arena.tags != NOTHING)
        return Replayed(tuple(outputs), int(touched[-1]) + 1 if touched.size else 0)

    def row_values(self, step: Step, row: int) -> Array:
        """A row (1, W, C) of a step, from where its input rows lie."""
        assert step.loop is not None
        rows = step.loop.rows_of(row)
        operands = [o for o in step.operands if o.place != "constant"]
        return self.row_values_of(step, row, {o.tensor: self._map(step, o, rows) for o in operands})

    def row_values_of(self, step: Step, row: int, maps: Mapping[str, Array]) -> Array:
        """A row (1, W, C) of a step from maps."""
        self._trash_scratch(step)
        return row_of(self._evaluate(step, maps), row)

    def row_parts(self, step: Step, row: int) -> list[Part]:
        """Where the input rows of a row lie."""
        assert step.loop is not None
        operands = [o for o in step.operands if o.place != "constant"]
        return [self._row(o, r) for o in operands for r in step.loop.rows_of(row)]

    def write_row(self, step: Step, row: int, values: Array) -> None:
        part = self._row(step.output, row)
        part.memory.write(part, to_bytes(values, step))

    def noise_map(self, name: str) -> Array:
        """Noise in place of what must not be read."""
        return noise(self._graph.tensors[name])

    def fire(self, index: int, row: int) -> None:
        step = self._program.steps[index]
        if step.kernel is None:
            self._copy(step, row)
        elif step.kernel.accumulates:
            self._accumulate(index, step, row)
        elif step.loop is None or step.binding.flat:
            self._compute_whole(step)
        else:
            y = step.loop.output_height - 1 - row if index in self.image.bottom_up else row
            self._compute_row(step, y)

    def _copy(self, step: Step, row: int) -> None:
        (source,) = step.operands
        if step.op == INPUT_STEP:
            tensor = self._graph.tensors[source.tensor]
            height, width, channels = map_size(tensor.shape)
            window = step.output.region or Region(0, height, 0, width)
            pixel = channels * DTYPE_BYTES[tensor.dtype]
            start = ((window.top + row) * width + window.left) * pixel
            size = window.width * pixel
            part = Part(self._inputs[source.index], start, source.tensor, start, size)
            self.arena.write(self._row(step.output, row), part.memory.read(part, step.layer))
        elif step.copies_rows:
            values, row_out = self._row(source, row), self._row(step.output, row)
            row_out.memory.write(row_out, values.memory.read(values, step.layer))
        else:
            values = self._whole(source)
            values.memory.check(values, step.layer)
            whole = self._whole(step.output)
            whole.memory.write(whole, values.memory.read(values, step.layer))

    def _part(self, operand: Operand, address: int, begin: int, size: int) -> Part:
        address, begin = address + operand.skip_bytes, begin + operand.skip_bytes
        if operand.place == "arena":
            offset = self.image.offsets[operand.buffer]
            return Part(self.arena, offset + address, self._key(operand), begin, size)
        memories = self._inputs if operand.place == "model_input" else self._outputs
        return Part(memories[operand.index], address, self._root(operand), begin, size)

    def _key(self, operand: Operand) -> str:
        """The name of what lies in a buffer; that of one strip is not that of another."""
        if operand.region is None:
            return operand.buffer
        rows, columns = divmod(operand.skip_bytes, operand.row_bytes or operand.bytes)
        left = operand.region.left - columns // max(self._pixel_bytes(operand), 1)
        begin = (operand.region.top - rows, left)
        return operand.buffer if begin == (0, 0) else f"{operand.buffer} from {begin}"

    def _pixel_bytes(self, operand: Operand) -> int:
        tensor = self._graph.tensors[operand.tensor]
        return map_size(tensor.shape)[2] * DTYPE_BYTES[tensor.dtype]

    def _root(self, operand: Operand) -> str:
        """The key of a port's memory, whose views share it."""
        if operand.place == "model_input":
            return self._graph.inputs[operand.index].tensor
        return f"output {operand.index}"

    def _row(self, operand: Operand, row: int) -> Part:
        if operand.row_bytes == 0:
            return self._whole(operand)
        size = operand.row_bytes
        place, begin = row % operand.ring_rows * size, row * size
        return self._part(operand, place, begin, self._seen_bytes(operand))

    def _seen_bytes(self, operand: Operand) -> int:
        """Bytes of a row, or of the columns that a strip or patch sees."""
        if operand.region is None or operand.layout.kind != "nhwc":
            return operand.row_bytes or operand.bytes
        return operand.region.width * self._pixel_bytes(operand)

    def _whole(self, operand: Operand) -> Part:
        size = self._seen_bytes(operand) if operand.region else operand.bytes
        return self._part(operand, 0, 0, size)

    def _trash_scratch(self, step: Step) -> None:
        if step.scratch:
            part = Part(
                self.arena, self.image.offsets[step.scratch], step.scratch, 0, step.scratch_bytes
            )
            self.arena.write(part, np.full(part.size, PAINT, np.uint8))

    def _compute_whole(self, step: Step) -> None:
        self._trash_scratch(step)
        operands = [operand for operand in step.operands if operand.place != "constant"]
        parts = [self._whole(operand) for operand in operands]
        maps = {o.tensor: self._map(step, o, range(self._height(o))) for o in operands}
        values = self._evaluate(step, maps)
        output = self._whole(step.output)
        data = to_bytes(values, step)
        behind = step.kernel.write_behind if step.kernel else None
        if behind is None or behind.grain is None:
            output.memory.write(output, data)
            self._check_all(parts, step)
            return
        pixels = step.output.pixels if step.loop else step.output.bytes
        for start in range(0, pixels, behind.grain):
            end = min(start + behind.grain, pixels)
            self._write_pixels(output, data, (start, end), pixels)
            unread = end if behind.buffered else start
            for part in parts:
                if part.size % pixels == 0:
                    begin = unread * (part.size // pixels)
                    rest = Part(
                        part.memory, part.address + begin, part.key, begin, part.size - begin
                    )
                    part.memory.check(rest, step.layer)
                else:  # it repeats, so all of it is read again
                    part.memory.check(part, step.layer)

    def _write_pixels(self, output: Part, data: Array, span: tuple[int, int], pixels: int) -> None:
        size = output.size // pixels
        begin, end = span[0] * size, span[1] * size
        part = Part(output.memory, output.address + begin, output.key, begin, end - begin)
        part.memory.write(part, data.view(np.uint8).ravel()[begin:end])

    def _check_all(self, parts: Sequence[Part], step: Step) -> None:
        for part in parts:
            part.memory.check(part, f"{step.layer} when it has written")

    def _compute_row(self, step: Step, y: int) -> None:
        assert step.loop is not None
        self._trash_scratch(step)
        rows = step.loop.rows_of(y)
        maps, output = {}, self._row(step.output, y)
        safe: list[Part] = []
        for operand in step.operands:
            if operand.place == "constant":
                continue
            maps[operand.tensor] = self._map(step, operand, rows)
            parts = [self._row(operand, row) for row in rows]
            if in_place_elementwise(step, operand):
                safe += [
                    p for p in parts if p.address < output.address or p.memory != output.memory
                ]
            else:
                safe += parts
        values = row_of(self._evaluate(step, maps), y)
        output.memory.write(output, to_bytes(values, step))
        self._check_all(safe, step)

    def _map(self, step: Step, operand: Operand, rows: Sequence[int]) -> Array:
        """A map in which everything but the rows that are in memory is noise."""
        tensor = _tensor_of(step, operand)
        height, width, channels = map_size(tensor.shape)
        found = noise(tensor)
        if operand.row_bytes == 0 and rows:
            part = self._whole(operand)
            found[:] = self._decode(operand, part, tensor).reshape(height, width, channels)
        for row in rows if operand.row_bytes else ():
            found[row] = self._decode(operand, self._row(operand, row), tensor)
        return found

    def _height(self, operand: Operand) -> int:
        return map_size(self._graph.tensors[operand.tensor].shape)[0]

    def _decode(self, operand: Operand, part: Part, tensor: Tensor) -> Array:
        data = part.memory.read(part, f"'{operand.tensor}'").view(tensor.dtype)
        _, width, channels = map_size(tensor.shape)
        if operand.layout.kind == "nhwc":
            return data.reshape(-1, width, channels)
        rows = data.reshape(-1, operand.layout.row_bytes(width, channels))
        return operand.layout.from_memory(rows, width=width, channels=channels)

    def _evaluate(self, step: Step, maps: Mapping[str, Array]) -> Array:
        """The output (H, W, C) for maps by tensor name."""
        assert step.call is not None
        return evaluate(step.call, maps)

    def _accumulate(self, index: int, step: Step, row: int) -> None:
        assert step.loop is not None
        (operand,) = step.operands
        part = self._row(operand, row)
        rows = self._sums.setdefault(index, [])
        scratch = None
        if step.scratch:
            offset = self.image.offsets[step.scratch]
            scratch = Part(self.arena, offset, step.scratch, 0, step.scratch_bytes)
            if row > 0:
                self.arena.check(scratch, step.layer)
            self.arena.write(scratch, np.full(scratch.size, PAINT, np.uint8))
        rows.append(part.memory.read(part, step.layer))
        if row + 1 == step.loop.output_height:
            tensor = self._graph.tensors[operand.tensor]
            data = np.concatenate(rows).view(tensor.dtype).reshape(map_size(tensor.shape))
            values = self._evaluate(step, {operand.tensor: data})
            output = self._whole(step.output)
            output.memory.write(output, to_bytes(values, step))
            self._check_all([part, *([scratch] if scratch else [])], step)
            del self._sums[index]

    def fire_ahead(self, pair: Pair, row: int) -> None:
        """ek_run_pair_ahead"""
        producer = self._program.steps[pair.producer]
        for block in _blocks(pair):
            self._produce(pair, producer, row, block, self._slot(pair, block, row))

    def fire_pair(self, pair: Pair, row: int) -> None:
        """ek_run_pair_row, or ek_run_pair_map"""
        consumer = self._program.steps[pair.consumer]
        assert consumer.loop is not None
        rows = range(consumer.loop.output_height) if pair.whole_map else [row]
        read: list[Part] = []
        done: dict[int, Array] = {}
        for block in _blocks(pair):
            for y in rows:
                values = self._run_block(pair, block, y, read)
                done.setdefault(y, np.zeros((1, *values.shape[1:]), values.dtype))
                done[y][..., slice(*block)] = values[..., slice(*block)]
        for y, values in done.items():
            part = self._row(consumer.output, y)
            part.memory.write(part, to_bytes(values, consumer))
        self._check_all(read, consumer)

    def _slot(self, pair: Pair, block: tuple[int, int], row: int) -> Part:
        assert row >= 0
        number = block[0] // pair.block_channels
        place = number * pair.kept_block_bytes + row % pair.kept_rows * pair.block_row_bytes
        return self._block_part(pair, self.image.offsets[pair.kept] + place, block, row)

    def _block_part(self, pair: Pair, address: int, block: tuple[int, int], row: int) -> Part:
        key = f"{pair.kept or pair.tile} block {block[0]}"
        size = pair.block_row_bytes
        return Part(self.arena, address, key, row * size, size)

    def _produce(
        self, pair: Pair, producer: Step, row: int, block: tuple[int, int], place: Part
    ) -> list[Part]:
        """Compute a row of the map between; what was read for it."""
        values = self.row_values(producer, row)[..., slice(*block)]
        data = np.full(place.size, PAINT, np.uint8)
        encoded = to_bytes(values, producer).view(np.uint8).ravel()
        data[: encoded.size] = encoded
        self.arena.write(place, data)
        parts = self.row_parts(producer, row)
        self._check_all(parts, producer)
        return parts

    def _run_block(self, pair: Pair, block: tuple[int, int], y: int, read: list[Part]) -> Array:
        """run_block of runtime_c/ek_pair.c"""
        producer, consumer = (self._program.steps[i] for i in (pair.producer, pair.consumer))
        assert consumer.loop is not None
        places = self._gather(pair, block, y, read, producer)
        self._trash_scratch(consumer)
        tensor = _tensor_of(consumer, consumer.operands[0])
        _, width, _ = map_size(tensor.shape)
        known = noise(tensor)
        layout, channels = producer.output.layout, block[1] - block[0]
        for row, part in places.items():
            data = self.arena.read(part, consumer.layer)[: layout.row_bytes(width, channels)]
            rows = data.view(np.int8).reshape(1, -1)
            known[row, :, slice(*block)] = layout.from_memory(rows, width=width, channels=channels)
        values = row_of(self._evaluate(consumer, {tensor.name: known}), y)
        self._keep(pair, block, y, places)
        return values

    def _rows_before(self, pair: Pair, y: int) -> int:
        axis = self._program.steps[pair.consumer].loop.rows  # type: ignore[union-attr]
        if pair.kept_rows == 0:
            return 0
        if y == 0:
            return pair.first_rows
        return max((y - 1) * axis.stride - axis.pad_before + axis.kernel, 0)  # type: ignore[union-attr]

    def _gather(
        self, pair: Pair, block: tuple[int, int], y: int, read: list[Part], producer: Step
    ) -> dict[int, Part]:
        loop = self._program.steps[pair.consumer].loop
        assert loop is not None
        before, tiles = self._rows_before(pair, y), 0
        window = loop.rows_of(y)
        needed = max(loop.rows.first_input(y), 0)  # type: ignore[union-attr]
        places = {}
        for row in window:
            if row < before:
                places[row] = self._slot(pair, block, row)
                continue
            if pair.kept_rows and row - pair.kept_rows < needed:
                places[row] = self._slot(pair, block, row)
            else:
                address = self.image.offsets[pair.tile] + tiles * pair.block_row_bytes
                places[row] = self._block_part(pair, address, block, row)
                tiles += 1
            read += self._produce(pair, producer, row, block, places[row])
        if tiles > pair.tile_rows:
            raise ReplayError(f"{producer.layer}: {tiles} rows in a tile of {pair.tile_rows}")
        return places

    def _keep(self, pair: Pair, block: tuple[int, int], y: int, places: Mapping[int, Part]) -> None:
        """Rows of the tile that later windows need move to their slots."""
        loop = self._program.steps[pair.consumer].loop
        assert loop is not None
        before = self._rows_before(pair, y)
        following = loop.rows.first_input(y + 1)  # type: ignore[union-attr]
        for row, part in places.items():
            if pair.kept_rows and row >= before and row >= following:
                slot = self._slot(pair, block, row)
                self.arena.write(slot, self.arena.read(part, "tile"))


def _blocks(pair: Pair) -> Iterator[tuple[int, int]]:
    """[begin, end) of the channels of each block."""
    for begin in range(0, pair.channels, pair.block_channels):
        yield begin, min(begin + pair.block_channels, pair.channels)


def _tensor_of(step: Step, operand: Operand) -> Tensor:
    """What a step sees of a tensor."""
    assert step.call is not None
    return next(tensor for tensor in step.call.inputs if tensor.name == operand.tensor)
