# SPDX-License-Identifier: Apache-2.0
"""Lays out the package as it is installed, in symlinks, because mypy cannot follow package-dir.

Usage: ``python tools/mypy_tree.py FOLDER``, then ``MYPYPATH=FOLDER mypy -p edgekit``.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REPOSITORY = Path(__file__).resolve().parents[1]


def moved_packages(pyproject: Path) -> dict[str, Path]:
    """Dotted package name -> source folder, for the packages that lie outside ``edgekit/``."""
    setuptools = tomllib.loads(pyproject.read_text(encoding="utf-8"))["tool"]["setuptools"]
    return {name: pyproject.parent / folder for name, folder in setuptools["package-dir"].items()}


def make_tree(tree: Path) -> None:
    """Replaces ``tree`` by a folder whose ``edgekit`` package holds a symlink to every part."""
    shutil.rmtree(tree, ignore_errors=True)
    package = tree / "edgekit"
    package.mkdir(parents=True)
    for source in sorted((REPOSITORY / "edgekit").iterdir()):
        if source.name != "__pycache__":
            (package / source.name).symlink_to(source)
    for name, source in moved_packages(REPOSITORY / "pyproject.toml").items():
        (tree / Path(*name.split("."))).symlink_to(source)


if __name__ == "__main__":
    make_tree(Path(sys.argv[1]))
