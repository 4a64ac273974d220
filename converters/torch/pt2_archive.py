# SPDX-License-Identifier: Apache-2.0
"""Looks into a .pt2 file before PyTorch does, because ``torch.export.load`` trusts what it reads.

PyTorch's loader unpickles any object where a file asks for it, evaluates symbolic shapes with
``sympify`` and loads compiled libraries. What ``torch.export.save`` writes for a plain module
needs none of that: weights are raw bytes, the graph is JSON. So a file that asks for more is refused
here, and ``weights_only`` unpickling is forced for the one pickle that every file has, its sample
inputs.
"""

from __future__ import annotations

import contextlib
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgekit.errors import BadInputError, EdgekitError, UnsupportedError
from edgekit.limits import MAX_FILE_BYTES, MAX_JSON_BYTES

REMEDY = "write it with torch.export.save(torch.export.export(module.eval(), inputs), path)"
SYMBOLIC_KEYS = {"as_expr", "expr_str", "as_sym_int", "as_sym_bool", "as_sym_float"}
SAFE_TARGETS = ("torch.ops.aten.", "torch.ops.quantized_decomposed.", "_operator.getitem")


def screen_archive(path: Path) -> None:
    """Raise where a .pt2 file is no archive of one static graph of ATen operators.

    PyTorch's operators that quantize and dequantize are let through as well.

    Raises:
        BadInputError: it is no such archive, or loading it would execute what it contains.
        UnsupportedError: it calls other operators, or its shapes are dynamic.
    """
    if not path.is_file():
        raise BadInputError(f"{path}: there is no such file")
    try:
        with zipfile.ZipFile(path) as archive:
            _screen(path, archive)
    except EdgekitError:
        raise
    except Exception as error:  # damaged archives and JSON of another shape
        raise BadInputError(f"{path}: this is not a torch.export file; {REMEDY}") from error


@contextlib.contextmanager
def without_pickled_objects() -> Iterator[None]:
    """Make every torch.load refuse arbitrary pickles while the context lasts."""
    variable = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(variable)
    os.environ[variable] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before


def _screen(path: Path, archive: zipfile.ZipFile) -> None:
    models = []
    if len(set(archive.namelist())) != len(archive.namelist()):
        raise BadInputError(f"{path}: it has two entries of one name; {REMEDY}")
    unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > MAX_FILE_BYTES:
        raise BadInputError(
            f"{path}: its entries have {unpacked} bytes unpacked; up to {MAX_FILE_BYTES} are read"
        )
    for entry in archive.infolist():
        name = entry.filename.partition("/")[2]  # below the archive's own folder
        base = name.rpartition("/")[2]
        legacy = name.startswith(("data/weights/", "data/constants/")) and name.endswith(".pt")
        if legacy or base.startswith(("custom_obj_", "opaque_obj_")):
            raise BadInputError(f"{path}: '{base}' holds pickled objects; {REMEDY}")
        if name.startswith("data/aotinductor/"):
            raise BadInputError(f"{path}: it holds compiled code (AOTInductor); {REMEDY}")
        if name.startswith("models/"):
            models.append(entry)
        if name.endswith("_config.json"):
            _screen_payloads(path, _read_json(path, archive, entry))
    if [entry.filename.partition("/")[2] for entry in models] != ["models/model.json"]:
        raise BadInputError(f"{path}: it does not hold exactly one exported model; {REMEDY}")
    _screen_model(path, _read_json(path, archive, models[0]))


def _read_json(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Any:
    if entry.file_size > MAX_JSON_BYTES:
        raise BadInputError(
            f"{path}: '{entry.filename}' has {entry.file_size} bytes; up to "
            f"{MAX_JSON_BYTES} are read"
        )
    return json.loads(archive.read(entry))


def _screen_payloads(path: Path, config: Any) -> None:
    for name, payload in config["config"].items():
        if payload["use_pickle"]:
            raise BadInputError(f"{path}: tensor '{name}' is pickled; {REMEDY}")


def _screen_model(path: Path, model: Any) -> None:
    if model.get("range_constraints") or model.get("guards_code") or _is_symbolic(model):
        raise UnsupportedError(
            f"{path}: dynamic shapes are not supported; export at batch 1 without dynamic_shapes"
        )
    targets = {node["target"] for node in model["graph_module"]["graph"]["nodes"]}
    foreign = sorted(t for t in targets if not t.startswith(SAFE_TARGETS))
    if foreign:
        raise UnsupportedError(*(f"{path}: {target}: {_remedy(target)}" for target in foreign))


def _remedy(target: str) -> str:
    if target.startswith("torch.ops.torchao."):
        return "not supported; quantize with prepare_pt2e and convert_pt2e"
    return "it is not an ATen operator; write the module with torch.nn layers"


def _is_symbolic(tree: Any) -> bool:
    pending = [tree]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            if SYMBOLIC_KEYS & item.keys():
                return True
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
    return False
