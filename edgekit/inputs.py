# SPDX-License-Identifier: Apache-2.0
"""Inputs of a converted model: seeded ones with the extremes, or arrays from a .npz or .npy file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgekit.arith import round_half_away
from edgekit.errors import BadInputError
from edgekit.ir import INTEGER_RANGE, Array
from edgekit.manifest import Manifest, TensorEntry

LABELS_KEY = "labels"
Sample = tuple[Array, ...]


@dataclass(frozen=True)
class InputSet:
    """Samples as the generated C takes them; ``labels`` has one class index per sample, or is None."""

    samples: tuple[Sample, ...]
    labels: Array | None = None

    def __post_init__(self) -> None:
        if not self.samples:
            raise BadInputError("inputs: there are no samples; give at least one")


def seeded_samples(entries: Sequence[TensorEntry], count: int, *, seed: int) -> tuple[Sample, ...]:
    """``count`` samples: all lowest, all highest, zero point, alternating extremes, then noise."""
    random = np.random.default_rng(seed)
    return tuple(tuple(_seeded(entry, i, random) for entry in entries) for i in range(count))


def _seeded(entry: TensorEntry, index: int, random: np.random.Generator) -> Array:
    low, high = INTEGER_RANGE[entry.dtype]
    noise = random.integers(low, high + 1, entry.shape)
    constants = {0: low, 1: high, 2: entry.zero_point}
    if index in constants:
        noise = np.full(entry.shape, constants[index])
    elif index == 3:
        noise = np.where(noise < (low + high) / 2, low, high)
    element: Array = noise.astype(entry.dtype)
    return element


def load_inputs(path: Path, manifest: Manifest) -> InputSet:
    """Read samples from a ``.npz`` (one array per input, N first; optional labels) or ``.npy``.

    An array is taken for an input by its name in the manifest, or for the only input whatever its
    name. Float arrays are quantized; arrays of the source's NCHW shape are transposed.

    Raises:
        BadInputError: the file is not readable, or an array does not fit its input.
    """
    arrays = dict(read_arrays(path))
    labels = arrays.pop(LABELS_KEY, None)
    columns = [_pick(path, arrays, entry, len(manifest.inputs)) for entry in manifest.inputs]
    if len({len(column) for column in columns}) != 1:
        raise BadInputError(f"{path}: its arrays have different numbers of samples")
    if labels is not None and labels.shape != (len(columns[0]),):
        raise BadInputError(
            f"{path}: labels have shape {labels.shape}; give one class index per sample"
        )
    return InputSet(tuple(zip(*columns, strict=True)), labels)


def read_arrays(path: Path) -> Mapping[str, Array]:
    """The arrays of a ``.npz``, or the one of a ``.npy`` under the name "input"; never unpickles.

    Raises:
        BadInputError: there is no such file, or it is something else.
    """
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            return {"input": loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    except FileNotFoundError:
        raise BadInputError(f"{path}: no such file") from None
    except Exception as error:
        detail = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInputError(f"{path}: not a .npz or .npy file of numbers ({detail})") from None


def _pick(path: Path, arrays: Mapping[str, Array], entry: TensorEntry, count: int) -> list[Array]:
    if entry.name in arrays:
        array = arrays[entry.name]
    elif count == 1 and len(arrays) == 1:
        array = next(iter(arrays.values()))
    else:
        names = ", ".join(sorted(arrays)) or "none"
        raise BadInputError(f"{path}: no array for input '{entry.name}' (it has: {names})")
    return [_convert(path, entry, sample) for sample in _split(path, entry, array)]


def _split(path: Path, entry: TensorEntry, array: Array) -> list[Array]:
    """One array per sample in the shape of the C interface."""
    first = 1 if entry.source_shape[:1] == (1,) else 0  # some tensors have no batch
    shape, source = tuple(entry.shape[first:]), tuple(entry.source_shape[first:])
    for given in (array.shape[1:], array.shape[2:] if array.shape[1:2] == (1,) else None):
        if given == source and entry.layout == "NCHW":
            return list(array.reshape(-1, *source).transpose(0, 2, 3, 1)[:, None])
        if given == shape:
            return list(array.reshape(-1, *entry.shape))
    raise BadInputError(
        f"{path}: input '{entry.name}' has shape {array.shape}; it must be (N, "
        f"{', '.join(map(str, shape))})"
        + (f" or (N, {', '.join(map(str, source))})" if entry.layout == "NCHW" else "")
    )


def _convert(path: Path, entry: TensorEntry, sample: Array) -> Array:
    """The integers of one sample."""
    low, high = INTEGER_RANGE[entry.dtype]
    if np.issubdtype(sample.dtype, np.floating):
        if not np.isfinite(sample).all():
            raise BadInputError(f"{path}: input '{entry.name}' holds NaN or Inf")
        return quantize_array(sample, entry)
    if not np.issubdtype(sample.dtype, np.integer):
        raise BadInputError(f"{path}: input '{entry.name}' has element type {sample.dtype}")
    if sample.min() < low or sample.max() > high:
        raise BadInputError(
            f"{path}: input '{entry.name}' has integers outside {entry.dtype}; give {entry.dtype} "
            "values, or real values as float32"
        )
    return np.ascontiguousarray(sample.astype(entry.dtype))


def quantize_array(values: Array, entry: TensorEntry) -> Array:
    """The integers of real values, halves away from zero, saturating."""
    low, high = INTEGER_RANGE[entry.dtype]
    scaled = round_half_away(values.astype(np.float64) / entry.scale) + entry.zero_point
    return np.clip(scaled, low, high).astype(entry.dtype)


def dequantize_array(integers: Array, entry: TensorEntry) -> Array:
    """The real values of integers, as float32."""
    return ((integers.astype(np.float64) - entry.zero_point) * entry.scale).astype(np.float32)
