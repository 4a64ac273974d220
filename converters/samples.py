# SPDX-License-Identifier: Apache-2.0
"""Samples for calibration: from .npz and .npy files, from a user's function, or seeded noise.

Samples come in the layout that the model's source declares (NCHW for PyTorch) and leave as tuples
of float32 arrays, NHWC with the batch dimension 1.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.converters.user_code import load_function, split_function_spec, user_error
from edgekit.errors import BadInputError
from edgekit.ir import Array, Graph, Port

Sample = tuple[Array, ...]


def load_samples(spec: str | Path, ports: Sequence[Port]) -> Iterator[Sample]:
    """The samples behind DATA for the inputs of a model.

    ``spec`` is a .npz (arrays under the names of the inputs, or x, or the first one), a .npy, both
    with the sample count first, or ``file.py:function`` (see :func:`samples_of`).

    Raises:
        BadInputError: no such data, or wrong shapes, types or values; while iterating, too.
    """
    if (function_spec := split_function_spec(str(spec))) is not None:
        path, function_name = function_spec
        function = load_function(path, function_name)
        try:
            produced = function()
        except (Exception, SystemExit) as error:
            raise user_error(str(spec), error) from error
        return samples_of(produced, ports, where=str(spec))
    path = Path(spec)
    if path.suffix not in (".npz", ".npy"):
        raise BadInputError(f"{path}: samples must be a .npz, a .npy or file.py:function")
    return samples_of([_load_arrays(path, ports)], ports, where=str(path))


def samples_of(batches: Iterable[Any], ports: Sequence[Port], *, where: str) -> Iterator[Sample]:
    """The single samples of batches, in order.

    A batch is an array or a torch tensor, or for several inputs a tuple of them; the first
    dimension counts samples, and it may be left out.

    Raises:
        BadInputError: while iterating: wrong shapes, types or values, or no sample at all.
    """
    count = 0
    iterator = _guarded(batches, where)
    for batch in iterator:
        arrays = batch if isinstance(batch, tuple | list) else (batch,)
        if len(arrays) != len(ports):
            raise BadInputError(
                f"{where}: {len(arrays)} arrays for {len(ports)} inputs of the model"
            )
        stacks = [_checked(a, port, where) for a, port in zip(arrays, ports, strict=True)]
        if len({len(stack) for stack in stacks}) != 1:
            raise BadInputError(f"{where}: the inputs have different numbers of samples")
        for index in range(len(stacks[0])):
            yield tuple(
                _to_nhwc(stack[index].reshape(port.source_shape), port)
                for stack, port in zip(stacks, ports, strict=True)
            )
            count += 1
    if count == 0:
        raise BadInputError(f"{where}: it holds no samples")


def load_labels(spec: str | Path) -> tuple[int, ...] | None:
    """The class of every sample: the integers of ``labels`` in a .npz; None where there are none."""
    path = Path(spec)
    if path.suffix != ".npz" or not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as loaded:
            labels = loaded["labels"] if "labels" in loaded.files else None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise BadInputError(f"{path}: this is not an array file of numbers ({error})") from error
    if labels is None:
        return None
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise BadInputError(f"{path}: labels must be one integer for every sample")
    return tuple(int(label) for label in labels)


def noise_samples(graph: Graph, count: int, seed: int) -> list[Sample]:
    """``count`` samples of standard normal noise, the same for the same seed."""
    random = np.random.default_rng(seed)
    shapes = [graph.tensors[port.tensor].shape for port in graph.inputs]
    return [
        tuple(random.standard_normal(shape).astype(np.float32) for shape in shapes)
        for _ in range(count)
    ]


def _guarded(batches: Any, where: str) -> Iterator[Any]:
    """Iterate over what the user's code yields; its exceptions become one line."""
    if not isinstance(batches, Iterable) or isinstance(batches, str | bytes):
        kind = type(batches).__name__
        raise BadInputError(f"{where}: it must yield arrays, not return {kind}")
    try:
        yield from batches
    except BadInputError:
        raise
    except Exception as error:
        raise user_error(where, error) from error


def _load_arrays(path: Path, ports: Sequence[Port]) -> tuple[Any, ...]:
    if not path.is_file():
        raise BadInputError(f"{path}: there is no such file")
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return (loaded,)
        with loaded:
            return _by_name({name: loaded[name] for name in loaded.files}, ports, path)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise BadInputError(f"{path}: this is not an array file of numbers ({error})") from error


def _by_name(arrays: Mapping[str, Any], ports: Sequence[Port], path: Path) -> tuple[Any, ...]:
    if all(port.name in arrays for port in ports):
        return tuple(arrays[port.name] for port in ports)
    others = [array for name, array in arrays.items() if name != "labels"]
    if len(ports) == 1 and others:
        return (arrays["x"] if "x" in arrays else others[0],)
    names = ", ".join(port.name for port in ports)
    raise BadInputError(f"{path}: it needs one array for each input of the model: {names}")


def _checked(values: Any, port: Port, where: str) -> Array:
    """float32 samples (N, ...) of one input."""
    array = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
    if array.dtype.kind != "f":
        raise BadInputError(
            f"{where}: input '{port.name}' is {array.dtype}; give float32, "
            "preprocessed as the model expects it"
        )
    has_batch = port.source_shape[0] == 1
    shape = port.source_shape[1:] if has_batch else port.source_shape
    if array.shape == shape:
        array = array[None]
    if array.shape[1:] != shape:
        wanted = ", ".join(str(size) for size in shape)
        layout = f" ({port.layout})" if port.layout else ""
        raise BadInputError(
            f"{where}: input '{port.name}' has shape {array.shape}; give (N, {wanted}){layout}"
        )
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise BadInputError(f"{where}: input '{port.name}' holds NaN or Inf")
    return array


def _to_nhwc(array: Array, port: Port) -> Array:
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1)) if port.layout == "NCHW" else array
