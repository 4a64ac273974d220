# SPDX-License-Identifier: Apache-2.0
"""Rules of the source tree: who may import whom, licence lines, kernels named as their files."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from source_tree import REPOSITORY, module_name, source_files

# Part of the package -> the parts that it may import; a part may always import itself. Data goes
# one way: core <- stages <- top. A new part is added here, with as few entries as it can have.
DATA = ("runtime_c", "targets")
CORE = (
    "arith",
    "column_blocks",
    "costs",
    "errors",
    "interpret",
    "input_modes",
    "ir",
    "kernel",
    "layout",
    "limits",
    "manifest",
    "ops",
    "program",
    "quiet",
    "serialize",
    "target",
    "version",
    "window",
)
SHARED = ("converters.axis_moves", "converters.given_scales", "converters.index_runs")
CONVERTERS = (
    *SHARED,
    "converters.nchw",
    "converters.onnx",
    "converters.tflite",
    "converters.torch",
    "converters.legalize",
    "converters.channels",
    "converters.quantize",
    "converters.export",
)
STAGES = ("converters", *CONVERTERS, "emit", "build", "runners")
FILES_OF_DIR = ("inputs", "reference")
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(DATA, ()),
    **dict.fromkeys(CORE, CORE + DATA),
    **dict.fromkeys(SHARED, CORE),
    "converters.tflite": CORE + SHARED,
    "converters.nchw": CORE + SHARED,
    "converters.onnx": (*CORE, *SHARED, "converters.nchw"),
    "converters.torch": (*CORE, *SHARED, "converters.nchw"),
    "converters.legalize": CORE + SHARED,
    "converters.channels": (*CORE, "converters.legalize"),
    "converters.quantize": CORE + SHARED,
    "converters.export": (*CORE, "converters.tflite"),
    "converters": CORE + DATA + CONVERTERS,
    "emit": CORE + DATA,
    "process": CORE,
    "inputs": CORE,
    "reference": CORE,
    "build": (*CORE, *DATA, "process"),
    "runners": (*CORE, *DATA, "process", "build", "inputs"),
    "pipeline": (*CORE, *DATA, *STAGES, *FILES_OF_DIR),
    "report": CORE,
    "advice": (*CORE, "converters", "report"),
    "analysis": (*CORE, *STAGES, "pipeline", "report", "advice"),
    "validate": (*CORE, "runners", *FILES_OF_DIR),
    "outputs": (*CORE, "runners", *FILES_OF_DIR),
    "artifact": (*CORE, "emit", "runners", "validate", *FILES_OF_DIR),
    "api": (*CORE, *STAGES, "pipeline", "artifact"),
    "environment": (*CORE, "build", "process"),
    "cli": (
        *CORE,
        "converters",
        "converters.quantize",
        "runners",
        "pipeline",
        "analysis",
        "validate",
        "outputs",
    )
    + ("artifact", "api", "environment", "report"),
}
TOP = "__init__"  # edgekit/__init__.py, the public face: it may import every part

COMMENTED_SUFFIXES = {".S", ".c", ".h", ".in", ".ld", ".py", ".sh", ".toml", ".yml"}
SPDX = "SPDX-License-Identifier: Apache-2.0"

FILES = source_files()
MODULES = {name: path for path in FILES if (name := module_name(path)) is not None}
KERNELS = tuple(
    path
    for path in FILES
    if re.fullmatch(r"ek_\w+__(ref|c|dsp|mve|neon\w*)(_\w+)?\.c", path.name)
    and path.with_name(f"{path.name.split('__')[0]}__portable.c") not in FILES
)
"""Inner routines, which have a portable form beside them, are no kernels."""


def part_of(module: str) -> str:
    """``edgekit.ops.conv2d`` belongs to the part ``ops``; stages of the converters are parts too."""
    names = module.split(".")[1:]
    if not names:
        return TOP
    inner = ".".join(names[:2])
    return inner if inner in MAY_IMPORT else names[0]


def imported_modules(source: str, module: str, is_package: bool) -> set[str]:
    """Absolute names of everything that a module imports, wherever in it the import stands."""
    package = module if is_package else module.rpartition(".")[0]
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            ancestor = package.rsplit(".", node.level - 1)[0] if node.level else ""
            base = ".".join(filter(None, (ancestor, node.module)))
            names.update(f"{base}.{alias.name}" for alias in node.names)
    return names


def forbidden_imports(source: str, module: str, is_package: bool) -> list[str]:
    """The imports of a module that the table does not allow."""
    part = part_of(module)
    found = []
    for name in sorted(imported_modules(source, module, is_package)):
        root = name.split(".")[0]
        if root in ("converters", "runtime_c", "targets"):
            found.append(f"{name}: write edgekit.{root}, which exists in a wheel too")
        elif root == "edgekit" and part != TOP:
            other = part_of(name)
            if other != part and other not in MAY_IMPORT[part]:
                found.append(f"{name}: edgekit.{part} may not import edgekit.{other}")
    return found


@pytest.mark.parametrize("module", sorted(MODULES))
def test_module_imports_only_what_its_part_may(module: str) -> None:
    part = part_of(module)
    assert part == TOP or part in MAY_IMPORT, f"give edgekit.{part} its place in MAY_IMPORT"
    path = REPOSITORY / MODULES[module]
    found = forbidden_imports(
        path.read_text(encoding="utf-8"), module, is_package=path.name == "__init__.py"
    )
    assert not found


@pytest.mark.parametrize(
    ("module", "source", "forbidden"),
    [
        ("edgekit.ir", "import edgekit.pipeline", "edgekit.pipeline"),
        ("edgekit.ir", "from edgekit import cli", "edgekit.cli"),
        ("edgekit.ir", "def f():\n    from edgekit.emit.model import emit", "edgekit.emit"),
        ("edgekit.ops.add", "from ..converters import lower", "edgekit.converters"),
        ("edgekit.converters.lowering.lower", "from edgekit.build import host", "edgekit.build"),
        (
            "edgekit.converters.tflite.mapping",
            "from edgekit.converters.legalize import legalize",
            "edgekit.converters.legalize",
        ),
        (
            "edgekit.converters.legalize.moves",
            "from edgekit.converters.nchw.graph import GraphBuilder",
            "edgekit.converters.nchw",
        ),
        ("edgekit.emit.model", "from converters.lower import lower", "converters.lower"),
    ],
)
def test_rule_notices_a_forbidden_import(module: str, source: str, forbidden: str) -> None:
    (found,) = forbidden_imports(source, module, is_package=False)
    assert forbidden in found


def test_table_goes_one_way() -> None:
    """Outside the core, whose files are one layer, no part reaches itself through others."""
    for part, allowed in MAY_IMPORT.items():
        if part not in CORE:
            assert not [other for other in allowed if part in MAY_IMPORT[other]]


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.suffix in COMMENTED_SUFFIXES], ids=str
)
def test_licence_line_is_on_top(path: Path) -> None:
    lines = (REPOSITORY / path).read_text(encoding="utf-8").splitlines()
    if lines and lines[0].startswith("#!"):
        lines = lines[1:]
    assert lines, "an empty file needs the line too"
    assert SPDX in lines[0]


@pytest.mark.parametrize("path", KERNELS, ids=lambda path: path.stem)
def test_kernel_defines_the_function_named_as_its_file(path: Path) -> None:
    text = (REPOSITORY / path).read_text(encoding="utf-8")
    without_comments = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)
    definitions = re.findall(
        r"^(?!static\b)[a-z][\w\s*]*?\b(\w+)\s*\([^;{}]*\)\s*\{", without_comments, re.MULTILINE
    )
    assert definitions == [path.stem], "one external function per kernel file"
