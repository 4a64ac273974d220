# SPDX-License-Identifier: Apache-2.0
"""What every test may use: the shared models, the programs of this machine, and no silent skips."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

from edgekit.runners.qemu import EMULATORS
from edgekit.target import load_target

pytest_plugins = ("support.hypothesis_cases",)

REPOSITORY = Path(__file__).resolve().parents[1]
SKIPS_FAIL = os.environ.get("EDGEKIT_NO_SKIP") == "1"

PACKAGE_OF_PROGRAM = {
    "arm-none-eabi-g++": "gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "arm-none-eabi-gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "cc": "gcc libc6-dev",
    "clang": "clang",
    "clang++": "clang",
    "clang-format": "clang-format",
    "g++": "g++",
    "gcc": "gcc libc6-dev",
    "git": "git",
    "qemu-system-arm": "qemu-system-arm",
    "qemu-system-riscv32": "qemu-system-misc",
    "riscv64-unknown-elf-gcc": "gcc-riscv64-unknown-elf",
}

hypothesis.settings.register_profile("local", deadline=None, print_blob=True)
hypothesis.settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True)
hypothesis.settings.load_profile("ci" if SKIPS_FAIL or os.environ.get("CI") else "local")


def pytest_collection_finish() -> None:
    """Modules and tests live as long as the session: the garbage collector need not look at them."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the source tree."""
    return REPOSITORY


@pytest.fixture(scope="session", autouse=True)
def object_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """C files that were compiled before in this session, also by other workers, are not again."""
    from support.object_cache import ObjectCache

    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with ObjectCache(folder / "objects").patched():
        yield


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder beside the repository with models and data that are too large for it."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip("there is no ../shared beside the repository (models, data)")
    return folder


@pytest.fixture(scope="session")
def shared_model(shared_dir: Path) -> Callable[[str], Path]:
    """``shared_model("kws_int8")`` is the path of that TFLite file, or a skip."""

    def path_of(name: str) -> Path:
        path = shared_dir / "models" / f"{name}.tflite"
        if not path.is_file():
            pytest.skip(f"{path.name} is not in ../shared/models")
        return path

    return path_of


@pytest.fixture(scope="session")
def require_program() -> Callable[[str], str]:
    """``require_program("qemu-system-arm")`` is the path of that program, or a skip."""

    def path_of(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            package = PACKAGE_OF_PROGRAM.get(name, name)
            pytest.skip(f"{name} is not installed; run: sudo apt-get install {package}")
        return path

    return path_of


@pytest.fixture(scope="session")
def require_emulator(require_program: Callable[[str], str]) -> Callable[[str], None]:
    """``require_emulator("cortex-m4")`` skips where programs for that core cannot be built and run."""

    def check(core: str) -> None:
        target = load_target(core)
        assert target.compiler is not None
        require_program(f"{target.compiler.prefix}gcc")
        require_program(EMULATORS[target.architecture])

    return check


@pytest.fixture(scope="session")
def converted(
    shared_model: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """``converted(name)`` is a model of tests/support/models.py converted for cortex-m4.

    The folder is shared by all tests of the session: copy it before changing it.
    """
    from support.models import convert_named

    folders: dict[str, Path] = {}

    def folder_of(name: str) -> Path:
        if name not in folders:
            folder = tmp_path_factory.mktemp(name) / "model"
            folders[name] = convert_named(name, shared_model).save(folder)
        return folders[name]

    return folder_of


@pytest.fixture(scope="module")
def modules_exported_once() -> Iterator[None]:
    """The tests of a file share what torch.export makes of a module; they must not change it."""
    from support.exported_once import exported_once

    with exported_once():
        yield


@pytest.fixture
def edgekit(capsys: pytest.CaptureFixture[str]) -> Callable[..., object]:
    """The command line inside this process; no run may end in a traceback."""
    from support.command_line import Result

    from edgekit.cli import main

    def run(*arguments: object) -> Result:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Result(code, captured.out, captured.err)

    return run


def skip_reason(longrepr: object) -> str:
    """The text of a skip, which pytest keeps as (path, line, reason)."""
    return str(longrepr[2]) if isinstance(longrepr, tuple) else str(longrepr)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under EDGEKIT_NO_SKIP=1 a test that skips itself fails (an expected failure does not)."""
    report = yield
    if SKIPS_FAIL and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"EDGEKIT_NO_SKIP=1, and the test skips: {skip_reason(report.longrepr)}"
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a whole file that skips while it is collected (importorskip)."""
    report = yield
    if SKIPS_FAIL and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"EDGEKIT_NO_SKIP=1, and the file skips: {skip_reason(report.longrepr)}"
    return report
