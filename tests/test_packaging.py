# SPDX-License-Identifier: Apache-2.0
"""A wheel built from the tree holds the whole package, and works where there is no tree."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from source_tree import REPOSITORY, installed_path, module_name, source_files

PACKAGE_FILES = {
    place: path for path in source_files() if (place := installed_path(path)) is not None
}
MODULES = sorted(name for path in source_files() if (name := module_name(path)) is not None)


def run(*command: str | Path, cwd: Path) -> str:
    """Standard output of a command that must succeed, far from the variables of this process."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    result = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the sources: setuptools would ship what an old build/ still holds."""
    folder = tmp_path_factory.mktemp("wheel")
    for path in source_files():
        copy = folder / "tree" / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(REPOSITORY / path, copy)
    pip_wheel = ("-m", "pip", "wheel", "--no-deps", "--no-index", "--no-build-isolation")
    run(sys.executable, *pip_wheel, "-w", folder, folder / "tree", cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` folder of a fresh environment that has the wheel, and this one's dependencies."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False, symlinks=True)
    scripts = folder / "bin"
    pip_install = ("install", "--no-deps", "--no-index", "--no-compile", str(wheel))
    run(sys.executable, "-m", "pip", "--python", scripts / "python", *pip_install, cwd=folder)
    # Only now: pip must not see, and uninstall, the editable install of this environment. A folder
    # named in a .pth file is searched, but its own .pth files, the editable ones, are not read.
    (site_packages,) = folder.glob("lib/python*/site-packages")
    dependencies = sysconfig.get_path("purelib")
    (site_packages / "dependencies.pth").write_text(f"{dependencies}\n", encoding="utf-8")
    return scripts


def test_wheel_holds_exactly_the_files_of_the_tree(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        shipped = {Path(name) for name in archive.namelist() if ".dist-info/" not in name}
        different = [
            place
            for place in sorted(shipped & PACKAGE_FILES.keys())
            if archive.read(str(place)) != (REPOSITORY / PACKAGE_FILES[place]).read_bytes()
        ]
    assert sorted(map(str, PACKAGE_FILES.keys() - shipped)) == [], "not in the wheel"
    assert sorted(map(str, shipped - PACKAGE_FILES.keys())) == [], "not in the tree"
    assert different == []


def test_wheel_carries_licence_and_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (entry_points,) = (name for name in names if name.endswith("/entry_points.txt"))
        assert "edgekit = edgekit.cli:main" in archive.read(entry_points).decode()
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_every_module_imports_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    program = (
        "import importlib, json, sys\n"
        "files = [importlib.import_module(name).__file__ for name in json.loads(sys.argv[1])]\n"
        "print(json.dumps(files))"
    )
    files = json.loads(run(installed / "python", "-c", program, json.dumps(MODULES), cwd=tmp_path))
    outside = [file for file in files if not Path(file).is_relative_to(installed.parent)]
    assert len(files) == len(MODULES)
    assert outside == []


def test_installed_command_lists_the_shipped_targets(installed: Path, tmp_path: Path) -> None:
    listing = run(installed / "edgekit", "targets", cwd=tmp_path)
    names = [path.stem for path in PACKAGE_FILES if path.match("edgekit/targets/*.toml")]
    assert "cortex-m4" in names
    assert [name for name in names if name not in listing] == []


def test_installed_command_converts_and_validates(
    installed: Path,
    tmp_path: Path,
    shared_model: Callable[[str], Path],
    require_program: Callable[[str], str],
) -> None:
    """The C sources, targets and templates are found where only the wheel is."""
    require_program("cc")
    edgekit, model = installed / "edgekit", shared_model("kws_int8")
    run(edgekit, "convert", model, "-t", "cortex-m4", "-o", "out", cwd=tmp_path)
    report = json.loads(run(edgekit, "validate", "out", "--on", "host", "--json", cwd=tmp_path))
    host = next(rung for rung in report["rungs"] if rung["name"] == "host")
    assert host["equal"]
    assert host["samples"] > 0
