# SPDX-License-Identifier: Apache-2.0
"""PyTorch modules and .pt2 files to float graphs, through torch.export and its ATen operators.

The module is only read: it is exported in inference mode and put back. All operators that cannot be
mapped are reported together.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgekit.converters.torch.program import ProgramReader
from edgekit.converters.torch.pt2_archive import screen_archive, without_pickled_objects
from edgekit.converters.user_code import load_function, user_error
from edgekit.errors import BadInputError, EdgekitError, MissingProgramError
from edgekit.ir import Graph


def import_torch_module(module: Any, example_inputs: Any) -> Graph:
    """The float graph of an ``nn.Module``, exported at batch 1.

    ``example_inputs`` is a tensor or a tuple of tensors, as the module's forward takes them; of a
    larger batch the first sample is used.

    Raises:
        BadInputError: the module is not a module, or torch.export cannot trace it.
        UnsupportedError: operators that cannot be mapped, all of them.
    """
    torch = _torch()
    if not isinstance(module, torch.nn.Module):
        raise BadInputError(f"{type(module).__name__}: this is not a torch.nn.Module")
    inputs = _first_samples(torch, example_inputs)
    name = type(module).__name__
    with _inference_mode(module), _quiet(), torch.no_grad():
        try:
            program = torch.export.export(module, inputs, strict=False)
        except Exception as error:  # torch.export documents no list of what it raises
            raise user_error(f"module {name}: torch.export", error) from error
        return _import_program(torch, program, name)


def import_pt2(path: Path) -> Graph:
    """The float graph of a file that ``torch.export.save`` wrote.

    Raises:
        BadInputError: the file is not one, or loading it would execute what it contains.
        UnsupportedError: operators that cannot be mapped, all of them, or dynamic shapes.
    """
    path = Path(path)
    screen_archive(path)
    torch = _torch()
    with _quiet(), torch.no_grad(), without_pickled_objects():
        try:
            with path.open("rb") as file:
                program = torch.export.load(file)
        except Exception as error:  # whatever a damaged file makes PyTorch's reader raise
            raise user_error(f"{path}: torch.export.load", error) from error
        return _import_program(torch, program, path.stem)


def import_torch_function(path: Path, function_name: str) -> Graph:
    """The float graph of the module that a user's function returns with its example inputs.

    Raises:
        BadInputError: no such file or function, it fails, or it returns something else.
        UnsupportedError: operators that cannot be mapped, all of them.
    """
    function = load_function(Path(path), function_name)
    try:
        result = function()
    except (Exception, SystemExit) as error:
        raise user_error(f"{path}:{function_name}", error) from error
    if not isinstance(result, tuple) or len(result) != 2:
        raise BadInputError(f"{path}:{function_name}: it must return (nn.Module, example_inputs)")
    return import_torch_module(*result)


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        raise MissingProgramError(
            "PyTorch is not installed; run: pip install 'edgekit[torch]'"
        ) from None
    return torch


def _first_samples(torch: Any, example_inputs: Any) -> tuple[Any, ...]:
    inputs = example_inputs if isinstance(example_inputs, tuple | list) else (example_inputs,)
    tensors = [value for value in inputs if isinstance(value, torch.Tensor)]
    if not tensors or any(tensor.ndim < 2 for tensor in tensors):
        raise BadInputError(
            "example_inputs: they must be tensors that start with a batch dimension"
        )
    batches = {int(tensor.shape[0]) for tensor in tensors}
    if len(batches) > 1 or 0 in batches:
        raise BadInputError(f"example_inputs: batch sizes {sorted(batches)}; use 1 for all of them")
    return tuple(v[:1] if isinstance(v, torch.Tensor) else v for v in inputs)


@contextlib.contextmanager
def _inference_mode(module: Any) -> Iterator[None]:
    """eval(), and every submodule's own mode again afterwards."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """PyTorch's exporter logs tracebacks and warns of its own deprecations; errors still raise."""
    was_disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(was_disabled)


def _import_program(torch: Any, program: Any, name: str) -> Graph:
    try:
        program = program.run_decompositions({})  # in-place updates become plain operators
    except Exception as error:  # as for torch.export
        raise user_error(f"{name}: run_decompositions", error) from error
    try:
        return ProgramReader(torch, program, name).run()
    except EdgekitError:
        raise
    except Exception as error:  # a graph that is not what its schemas say: a damaged file
        raise user_error(f"{name}: the exported graph is not valid", error) from error
