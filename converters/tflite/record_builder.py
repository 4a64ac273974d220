# SPDX-License-Identifier: Apache-2.0
"""Writes operators of a model record anew: new tensors, new operators, the file's indices kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from edgekit.converters.tflite.records import ModelRecord, OperatorRecord, TensorRecord
from edgekit.ir import Array, Shape

Options = Mapping[str, int | float | bool]


class RecordBuilder:
    """The operators so far in execution order, and the tensors that join the file's."""

    def __init__(self, model: ModelRecord) -> None:
        self._model = model
        self.tensors = list(model.tensors)
        self.operators: list[OperatorRecord] = []
        self._next_index = 1 + max((operator.index for operator in model.operators), default=0)

    def model(self) -> ModelRecord:
        return dataclasses.replace(
            self._model, tensors=tuple(self.tensors), operators=tuple(self.operators)
        )

    def add(
        self,
        name: str,
        inputs: Sequence[int],
        *,
        like: TensorRecord,
        shape: Shape,
        options: Options | None = None,
    ) -> int:
        """An operator, and the index of its result, which is named and quantized as ``like``."""
        result = dataclasses.replace(
            like, index=len(self.tensors), shape=shape, data=None, open_batch=False
        )
        self.tensors.append(result)
        self.finish(name, inputs, result=result.index, options=options)
        return result.index

    def finish(
        self, name: str, inputs: Sequence[int], *, result: int, options: Options | None = None
    ) -> None:
        """An operator that computes a tensor that exists."""
        record = OperatorRecord(self._next_index, name, tuple(inputs), (result,), options or {})
        self.operators.append(record)
        self._next_index += 1

    def constant(self, values: Sequence[int] | Sequence[Sequence[int]], *, name: str) -> int:
        """A tensor of indices or sizes."""
        data: Array = np.array(values, np.int32)
        data.setflags(write=False)
        self.tensors.append(TensorRecord(len(self.tensors), name, "INT32", data.shape, data=data))
        return len(self.tensors) - 1
