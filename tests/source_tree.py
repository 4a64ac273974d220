# SPDX-License-Identifier: Apache-2.0
"""The files of the repository, and how they map to the installed package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REPOSITORY = Path(__file__).resolve().parents[1]
BUILT_FOLDERS = {"build", "dist"}


def source_files() -> tuple[Path, ...]:
    """Every file that is in the repository or would be added to it, relative to its root."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode == 0:
        names = {Path(name) for name in listing.stdout.split("\0") if name}
        return tuple(sorted(name for name in names if (REPOSITORY / name).is_file()))
    return tuple(sorted(_walk(REPOSITORY)))  # an unpacked archive


def _walk(root: Path) -> list[Path]:
    found = []
    for path in root.rglob("*"):
        parts = path.relative_to(root).parts
        hidden = any(part.startswith(".") for part in parts)
        built = parts[0] in BUILT_FOLDERS or "__pycache__" in parts or ".egg-info" in parts[0]
        if path.is_file() and not hidden and not built:
            found.append(path.relative_to(root))
    return found


def _setuptools_table() -> dict[str, dict[str, str]]:
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    table: dict[str, dict[str, str]] = tomllib.loads(text)["tool"]["setuptools"]
    return table


def installed_path(source: Path) -> Path | None:
    """Where a source file lies below site-packages; None for what is not part of the package."""
    if source.parts[0] == "edgekit":
        return source
    for package, folder in _setuptools_table()["package-dir"].items():
        if source.is_relative_to(folder):
            return Path(*package.split(".")) / source.relative_to(folder)
    return None


def module_name(source: Path) -> str | None:
    """The dotted name that a source file has once installed; None for what is not a module."""
    installed = installed_path(source)
    if installed is None or installed.suffix != ".py":
        return None
    parts = installed.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
