# SPDX-License-Identifier: Apache-2.0
"""SPACE_TO_BATCH_ND -> convolution -> BATCH_TO_SPACE_ND is one dilated convolution, and is read as such.

TensorFlow writes dilated convolutions so: the pixels of one residue modulo the dilation form a map of
their own in the batch, over which a plain convolution runs. The TFLite converter finds most of these
itself, but not those with a dynamic batch. Padding becomes a PAD and cropping a SLICE around it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgekit.converters.tflite.operation import VALID
from edgekit.converters.tflite.record_builder import RecordBuilder
from edgekit.converters.tflite.records import ModelRecord, OperatorRecord, TensorRecord
from edgekit.ir import MAX_ELEMENTS, Array, Shape

SPACE_TO_BATCH, BATCH_TO_SPACE = "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"
_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_VIEWS = ("RESHAPE", "EXPAND_DIMS", "SQUEEZE")


def with_dilated_convolutions(model: ModelRecord) -> ModelRecord:
    """The same model, with the convolutions between the two operators dilated."""
    found = [chain for chain in map(_Finder(model).chain, model.operators) if chain is not None]
    if not found:
        return model
    inner = {operator.index for chain in found for operator in chain.operators[:-1]}
    by_last = {chain.operators[-1].index: chain for chain in found}
    build = RecordBuilder(model)
    for operator in model.operators:
        if operator.index in by_last:
            by_last[operator.index].write(build)
        elif operator.index not in inner:
            build.operators.append(operator)
    return build.model()


@dataclass(frozen=True)
class _Chain:
    """The operators from SPACE_TO_BATCH_ND to BATCH_TO_SPACE_ND, and what they are told."""

    operators: tuple[OperatorRecord, ...]
    block: tuple[int, ...]
    paddings: tuple[tuple[int, ...], ...]
    crops: tuple[tuple[int, ...], ...]
    spread: tuple[int, ...]
    """The axes of the convolution's map, 1 or 2, that the block's sizes belong to."""

    @property
    def convolution(self) -> OperatorRecord:
        return next(op for op in self.operators if op.name in _CONVOLUTIONS)

    def write(self, build: RecordBuilder) -> None:
        """PAD, dilated convolution, SLICE, with views where the map has rank 3."""
        first, convolution, last = self.operators[0], self.convolution, self.operators[-1]
        x = build.tensors[first.inputs[0]]
        place, shape = _padded(build, x, self.paddings)
        computed = build.tensors[convolution.outputs[0]]
        place = self._viewed(build, place, x, self._map_shape(shape))
        sizes = self._dilated_shape(build, self._map_shape(shape), computed.shape[3])
        options = {**convolution.options, **self._dilations()}
        inputs = (place, *convolution.inputs[1:])
        place = build.add(convolution.name, inputs, like=computed, shape=sizes, options=options)
        shape = (1, *(sizes[axis] for axis in self.spread), sizes[3])
        place = self._viewed(build, place, computed, shape)
        _crop(build, place, shape, self.crops, last.outputs[0])

    def _viewed(self, build: RecordBuilder, place: int, like: TensorRecord, shape: Shape) -> int:
        if build.tensors[place].shape == shape:
            return place
        return build.add("RESHAPE", (place,), like=like, shape=shape)

    def _map_shape(self, shape: Shape) -> Shape:
        """(1, H, W, C) of a padded input."""
        sizes = [1, 1, 1, shape[-1]]
        for axis, size in zip(self.spread, shape[1:-1], strict=True):
            sizes[axis] = size
        return tuple(sizes)

    def _dilations(self) -> Mapping[str, int]:
        names = {1: "DilationHFactor", 2: "DilationWFactor"}
        pairs = zip(self.spread, self.block, strict=True)
        return {names[axis]: size for axis, size in pairs}

    def _dilated_shape(self, build: RecordBuilder, shape: Shape, channels: int) -> Shape:
        kernel = build.tensors[self.convolution.inputs[1]].shape
        sizes = [1, shape[1] - kernel[1] + 1, shape[2] - kernel[2] + 1, channels]
        for axis, size in zip(self.spread, self.block, strict=True):
            sizes[axis] = shape[axis] - (kernel[axis] - 1) * size
        return tuple(sizes)


def _padded(
    build: RecordBuilder, x: TensorRecord, paddings: Sequence[tuple[int, ...]]
) -> tuple[int, Shape]:
    pairs = [(0, 0), *paddings, (0, 0)]
    shape = tuple(
        size + before + after for size, (before, after) in zip(x.shape, pairs, strict=True)
    )
    if shape == x.shape:
        return x.index, shape
    told = build.constant(pairs, name=f"{x.name}/paddings")
    return build.add("PAD", (x.index, told), like=x, shape=shape), shape


def _crop(
    build: RecordBuilder, place: int, shape: Shape, crops: Sequence[tuple[int, ...]], result: int
) -> None:
    pairs = [(0, 0), *crops, (0, 0)]
    begins = [begin for begin, _ in pairs]
    sizes = [size - begin - end for size, (begin, end) in zip(shape, pairs, strict=True)]
    if tuple(sizes) == shape:
        build.finish("RESHAPE", (place,), result=result)
        return
    name = build.tensors[result].name
    inputs = (
        place,
        build.constant(begins, name=f"{name}/begins"),
        build.constant(sizes, name=f"{name}/sizes"),
    )
    build.finish("SLICE", inputs, result=result)


class _Finder:
    """Follows the only reader of each tensor."""

    def __init__(self, model: ModelRecord) -> None:
        self._tensors = model.tensors
        self._ports = {port.tensor for port in (*model.inputs, *model.outputs)}
        self._readers: dict[int, list[OperatorRecord]] = {}
        for operator in model.operators:
            for index in operator.inputs:
                self._readers.setdefault(index, []).append(operator)

    def chain(self, first: OperatorRecord) -> _Chain | None:
        """The chain that begins with an operator, or None."""
        if first.name != SPACE_TO_BATCH:
            return None
        operators = [first]
        wanted: tuple[tuple[str, ...], ...] = (_VIEWS, _CONVOLUTIONS, _VIEWS, (BATCH_TO_SPACE,))
        for names in wanted:
            following = self._only_reader(operators[-1])
            if following is None:
                return None
            if following.name in names:
                operators.append(following)
            elif names is not _VIEWS:
                return None
        return self._checked(tuple(operators))

    def _only_reader(self, operator: OperatorRecord) -> OperatorRecord | None:
        if len(operator.outputs) != 1 or operator.outputs[0] in self._ports:
            return None
        readers = self._readers.get(operator.outputs[0], [])
        return readers[0] if len(readers) == 1 else None

    def _checked(self, operators: tuple[OperatorRecord, ...]) -> _Chain | None:
        """The chain, if the parameters at both of its ends belong together and all sizes are known."""
        first, last = operators[0], operators[-1]
        convolution = next(op for op in operators if op.name in _CONVOLUTIONS)
        told = [self._values(op, i) for op in (first, last) for i in (1, 2)]
        if not self._is_plain(convolution) or len(last.outputs) != 1:
            return None
        block, paddings, block_behind, crops = told
        if block is None or paddings is None or block_behind is None or crops is None:
            return None
        x = self._tensors[first.inputs[0]].shape
        spread = self._spread(x, self._tensors[convolution.inputs[0]].shape)
        axes = len(x) - 2
        fits = block.shape == (axes,) and paddings.shape == crops.shape == (axes, 2)
        if spread is None or not fits or block.tolist() != block_behind.tolist():
            return None
        smallest = min(block.min(), paddings.min() + 1, crops.min() + 1)
        largest = max(value.max() for value in (block, paddings, crops))
        if smallest < 1 or largest > MAX_ELEMENTS or -1 in x:
            return None
        return _Chain(
            operators,
            tuple(block.tolist()),
            tuple(tuple(pair) for pair in paddings.tolist()),
            tuple(tuple(pair) for pair in crops.tolist()),
            spread,
        )

    def _values(self, operator: OperatorRecord, position: int) -> Array | None:
        if len(operator.inputs) != 3 or min(operator.inputs) < 0:
            return None
        tensor = self._tensors[operator.inputs[position]]
        if tensor.data is None or tensor.type not in ("INT32", "INT64") or not tensor.data.size:
            return None
        return tensor.data

    def _is_plain(self, convolution: OperatorRecord) -> bool:
        """Whether it has stride 1, no dilation, no padding, and weights of rank 4."""
        options = convolution.options
        ones = ("StrideH", "StrideW", "DilationHFactor", "DilationWFactor")
        if any(options[name] != 1 for name in ones) or options["Padding"] != VALID:
            return False
        indices = convolution.inputs[:2]
        shapes = [self._tensors[i].shape for i in indices if i >= 0]
        return len(shapes) == 2 and all(len(shape) == 4 for shape in shapes)

    def _spread(self, x: Shape, of_map: Shape) -> tuple[int, ...] | None:
        """The axes of the map that the input's are: both, or of rank 3 the one that is not 1."""
        if len(x) == 4:
            return 1, 2
        if len(x) != 3 or 1 not in of_map[1:3]:
            return None
        return (2,) if of_map[1] == 1 else (1,)
