# SPDX-License-Identifier: Apache-2.0
"""Which ports of a model are channels-last: TensorFlow's converters turn them in front of the layers.

ONNX does not say what the axes of a tensor mean. An input of rank 4 that is transposed to channels
first before anything but element-wise arithmetic reads it is (1, H, W, C); so is an output behind
the opposite transpose. All others count as (1, C, H, W).
"""

from __future__ import annotations

from collections.abc import Iterable

from edgekit.converters.onnx.records import ModelRecord, OperatorRecord

TO_CHANNELS_FIRST, TO_CHANNELS_LAST = [0, 3, 1, 2], [0, 2, 3, 1]
PASSED = frozenset(
    {
        *("Add", "Cast", "Clip", "DequantizeLinear", "Div", "Identity", "Mul", "QuantizeLinear"),
        *("Relu", "Sub"),
    }
)
"""Operators that work on axes of any order."""


def channels_last_inputs(model: ModelRecord) -> frozenset[str]:
    """The inputs that are transposed to channels first."""
    readers: dict[str, list[OperatorRecord]] = {}
    for record in model.operators:
        for name in record.inputs:
            readers.setdefault(name, []).append(record)

    def turned(names: Iterable[str]) -> bool:
        pending, seen = list(names), set(names)
        while pending:
            behind = readers.get(pending.pop(), [])
            for record in behind:
                if _turns(record, TO_CHANNELS_FIRST):
                    continue
                if record.op not in PASSED:
                    return False
                fresh = set(record.outputs) - seen
                seen |= fresh
                pending += fresh
            if not behind:
                return False
        return True

    return frozenset(
        port.name for port in model.inputs if len(port.shape) == 4 and turned([port.name])
    )


def channels_last_outputs(model: ModelRecord) -> frozenset[str]:
    """The outputs that are transposed to channels last."""
    producers = {name: record for record in model.operators for name in record.outputs}

    def turned(name: str) -> bool:
        record = producers.get(name)
        while record is not None and record.op in PASSED and record.inputs:
            record = producers.get(record.inputs[0])
        return record is not None and _turns(record, TO_CHANNELS_LAST)

    return frozenset(name for name in model.outputs if turned(name))


def _turns(record: OperatorRecord, order: list[int]) -> bool:
    return record.op == "Transpose" and record.attributes.get("perm") == order
