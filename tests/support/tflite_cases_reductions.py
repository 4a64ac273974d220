# SPDX-License-Identifier: Apache-2.0
"""One-operator TFLite models that make one element of many: over any axes, the batch among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from edgekit.ir import Shape
from support.tflite_writer import ModelSpec, OperatorSpec, TensorSpec, constant_spec

MAP: Shape = (1, 5, 4, 3)


def reduction(
    name: str,
    shape: Shape,
    axes: Sequence[int],
    *,
    keep: bool = False,
    scales: tuple[float, float] = (0.05, 0.05),
    zero_points: tuple[int, int] = (-9, -9),
) -> ModelSpec:
    """MEAN, REDUCE_MAX or REDUCE_MIN over constant axes."""
    reduced = {axis % len(shape) for axis in axes}
    sizes = [1 if axis in reduced else size for axis, size in enumerate(shape)]
    result = tuple(size for axis, size in enumerate(sizes) if keep or axis not in reduced)
    x, y = (
        TensorSpec(label, size, scale, zero_point)
        for label, size, scale, zero_point in zip(
            "xy", (shape, result), scales, zero_points, strict=True
        )
    )
    indices = constant_spec("axes", np.array(axes, np.int32))
    operator = OperatorSpec(name, ["x", "axes"], ["y"], {"KeepDims": keep})
    return ModelSpec([x, indices, y], [operator], ["x"], ["y"])


AXES: dict[str, tuple[Shape, tuple[int, ...]]] = {
    "map": (MAP, (1, 2)),
    "rows": (MAP, (-3,)),
    "channels": (MAP, (3,)),
    "columns_and_channels": (MAP, (2, 3)),
    "rows_and_channels": (MAP, (3, 1)),
    "everything": (MAP, (0, 1, 2, 3)),
    "batch_and_map": (MAP, (0, 1, 2)),
    "batch_and_channels": (MAP, (0, -1)),
    "twice_the_same_axis": (MAP, (2, -2)),
    "one_column": ((1, 5, 1, 3), (1, 3)),
    "rank_3": ((1, 6, 5), (1,)),
    "vector": ((1, 7), (1,)),
    "batch_of_vector": ((1, 7), (0,)),
    "one_element": ((1, 1, 1, 1), (1, 2)),
}
"""Name -> shape and axes."""


def reduction_cases() -> Iterator[tuple[str, ModelSpec]]:
    """Every case by name."""
    for label, (shape, axes) in AXES.items():
        for name in ("REDUCE_MAX", "REDUCE_MIN"):
            yield f"{name.lower()}_{label}", reduction(name, shape, axes)
            yield f"{name.lower()}_{label}_keep_dims", reduction(name, shape, axes, keep=True)
        yield f"mean_over_{label}", reduction("MEAN", shape, axes)
        for keep in (False, True):
            rescaled = reduction(
                "MEAN", shape, axes, keep=keep, scales=(0.05, 0.023), zero_points=(-9, 3)
            )
            yield f"mean_over_{label}_rescaled{'_keep_dims' if keep else ''}", rescaled
