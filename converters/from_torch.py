# SPDX-License-Identifier: Apache-2.0
"""PyTorch modules and .pt2 files to graphs, through torch.export and its ATen operators.

The module is only read: it is exported in inference mode and put back. All operators that cannot be
mapped are reported together. A model that went through torchao's PT2E flow has its scales in the
graph: it becomes an integer model by them (converters/quantize/given.py), without calibration.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgekit.converters.quantize.given import judged_levels, quantize_as_given
from edgekit.converters.torch.program import ProgramReader
from edgekit.converters.torch.pt2_archive import screen_archive, without_pickled_objects
from edgekit.converters.user_code import load_function, user_error
from edgekit.errors import BadInputError, EdgekitError, MissingProgramError
from edgekit.ir import Graph
from edgekit.quiet import quiet


@dataclass(frozen=True)
class TorchImport:
    """The graph of a program (a QGraph where it is quantized), and what its judge needs.

    ``program`` is a quantized program as ``torch.export.save`` writes it, and ``levels`` has its
    name for the integers of a tensor of the graph, where both are computed from the same integers.
    """

    graph: Graph
    levels: Mapping[str, str] = field(default_factory=dict)
    program: bytes | None = None


def import_torch_module(module: Any, example_inputs: Any) -> Graph:
    """The graph alone of :func:`read_torch_module`."""
    return read_torch_module(module, example_inputs).graph


def import_pt2(path: Path) -> Graph:
    """The graph alone of :func:`read_pt2`."""
    return read_pt2(path).graph


def read_torch_module(module: Any, example_inputs: Any) -> TorchImport:
    """An ``nn.Module``, exported at batch 1; it is quantized where convert_pt2e made it.

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
    if any(hasattr(part, "calculate_qparams") for part in module.modules()):
        raise BadInputError(
            f"module {name}: it still has the observers of prepare_pt2e; call convert_pt2e first"
        )
    with _inference_mode(module), quiet(), torch.no_grad():
        try:
            program = torch.export.export(module, inputs, strict=False)
        except Exception as error:  # torch.export documents no list of what it raises
            raise user_error(f"module {name}: torch.export", error) from error
        return _import_program(torch, program, name)


def read_exported_program(program: Any) -> TorchImport:
    """A ``torch.export.ExportedProgram``.

    Raises:
        BadInputError: it is something else, or its graph is not valid.
        UnsupportedError: operators that cannot be mapped, all of them.
    """
    torch = _torch()
    if not isinstance(program, torch.export.ExportedProgram):
        raise BadInputError(f"{type(program).__name__}: this is not a torch.export.ExportedProgram")
    with quiet(), torch.no_grad():
        return _import_program(torch, program, "model")


def read_pt2(path: Path) -> TorchImport:
    """A file that ``torch.export.save`` wrote.

    Raises:
        BadInputError: the file is not one, or loading it would execute what it contains.
        UnsupportedError: operators that cannot be mapped, all of them, or dynamic shapes.
    """
    path = Path(path)
    screen_archive(path)
    torch = _torch()
    with quiet(), torch.no_grad(), without_pickled_objects():
        _register_quantized_operators()
        try:
            with path.open("rb") as file:
                program = torch.export.load(file)
        except Exception as error:  # whatever a damaged file makes PyTorch's reader raise
            raise user_error(f"{path}: torch.export.load", error) from error
        return _import_program(torch, program, path.stem)


def read_torch_function(path: Path, function_name: str) -> TorchImport:
    """The module that a user's function returns with its example inputs.

    It may return a ``torch.export.ExportedProgram`` instead.

    Raises:
        BadInputError: no such file or function, it fails, or it returns something else.
        UnsupportedError: operators that cannot be mapped, all of them.
    """
    function = load_function(Path(path), function_name)
    try:
        result = function()
    except (Exception, SystemExit) as error:
        raise user_error(f"{path}:{function_name}", error) from error
    if is_exported_program(result):
        return read_exported_program(result)
    if not isinstance(result, tuple) or len(result) != 2:
        raise BadInputError(f"{path}:{function_name}: it must return (nn.Module, example_inputs)")
    return read_torch_module(*result)


def is_exported_program(model: Any) -> bool:
    """Whether ``model`` is a ``torch.export.ExportedProgram``; torch is not imported to find out."""
    return any(
        (kind.__module__.partition(".")[0], kind.__name__) == ("torch", "ExportedProgram")
        for kind in type(model).__mro__
    )


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        raise MissingProgramError(
            "PyTorch is not installed; run: pip install 'edgekit[torch]'"
        ) from None
    return torch


def _register_quantized_operators() -> None:
    """Define the library quantized_decomposed, which torch.export.load looks operators up in."""
    with contextlib.suppress(ImportError):  # then files that need it are refused
        import torch.ao.quantization.fx._decomposed  # noqa: F401


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
    with contextlib.suppress(NotImplementedError):  # exported modules have one mode, and say so
        module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def _import_program(torch: Any, program: Any, name: str) -> TorchImport:
    try:
        program = program.run_decompositions({})  # in-place updates become plain operators
    except Exception as error:  # as for torch.export
        raise user_error(f"{name}: run_decompositions", error) from error
    try:
        graph, given = ProgramReader(torch, program, name).run()
        if not given:
            return TorchImport(graph)
        quantized = quantize_as_given(graph, given)
        return TorchImport(quantized, judged_levels(graph, given), _saved(torch, program))
    except EdgekitError:
        raise
    except Exception as error:  # a graph that is not what its schemas say: a damaged file
        raise user_error(f"{name}: the exported graph is not valid", error) from error


def _saved(torch: Any, program: Any) -> bytes:
    """A program of our own as a file, without the lines of source code that it came from."""
    for node in program.graph.nodes:
        node.meta = {key: value for key, value in node.meta.items() if key == "val"}
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()
