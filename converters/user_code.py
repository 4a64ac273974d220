# SPDX-License-Identifier: Apache-2.0
"""A function of the user's own Python file (``file.py:function``), loaded with one-line errors."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgekit.errors import BadInputError


def split_function_spec(spec: str) -> tuple[Path, str] | None:
    """(file, function) of ``file.py:function``; None where ``spec`` is a plain path."""
    path, colon, function_name = str(spec).rpartition(":")
    if not colon or not path.endswith(".py") or not function_name.isidentifier():
        return None
    return Path(path), function_name


def load_function(path: Path, function_name: str) -> Callable[[], Any]:
    """The function ``function_name`` of the Python file ``path``, which is executed for it.

    Modules beside the file can be imported by it, as when Python runs the file itself.

    Raises:
        BadInputError: there is no such file or function, or the file raises an exception.
    """
    if not path.is_file():
        raise BadInputError(f"{path}: there is no such file")
    name = f"_edgekit_user_{path.stem}"
    module_spec = importlib.util.spec_from_file_location(name, path)
    if module_spec is None or module_spec.loader is None:
        raise BadInputError(f"{path}: this is not a Python file; name it .py")
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[name] = module  # dataclasses and pickle look their module up by name
    sys.path.insert(0, str(path.resolve().parent))
    try:
        module_spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise user_error(str(path), error) from error
    finally:
        sys.path.remove(str(path.resolve().parent))
    function = getattr(module, function_name, None)
    if not callable(function):
        raise BadInputError(f"{path}: there is no function '{function_name}'")
    return function  # type: ignore[no-any-return]


def user_error(where: str, error: BaseException) -> BadInputError:
    """One line for an exception of the user's code (or of a library that reads the user's file)."""
    lines = str(error).strip().splitlines()
    return BadInputError(f"{where}: {type(error).__name__}: {lines[0] if lines else 'no message'}")
