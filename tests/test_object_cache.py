# SPDX-License-Identifier: Apache-2.0
"""The tests' own cache of objects: nothing stale, and the compiler's complaints every time."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import pytest
from support.object_cache import ObjectCache

from edgekit.process import ProgramFailedError

FLAGS = ("-std=c99", "-O1", "-Wall", "-fPIC")


@pytest.fixture
def cache(tmp_path: Path, require_program: Callable[[str], str]) -> ObjectCache:
    require_program("gcc")
    for name, text in {
        "value.h": '#include "digit.h"\n',
        "digit.h": "#define DIGIT 1\n",
        "one.c": '#include "value.h"\nint one(void) { return DIGIT; }\n',
        "two.c": "int one(void);\nint two(void) { return 2 * one(); }\n",
    }.items():
        (tmp_path / name).write_text(text, "ascii")
    return ObjectCache(tmp_path / "objects")


def two(cache: ObjectCache, folder: Path, name: str, *flags: str) -> int:
    """What a library of both sources says."""
    command = ["gcc", *FLAGS, *flags, "-shared", "-o", name, "one.c", "two.c"]
    cache.run(command, cwd=folder, timeout_seconds=60)
    return int(ctypes.CDLL(str(folder / name)).two())


def test_a_library_is_linked_from_known_objects(cache: ObjectCache, tmp_path: Path) -> None:
    assert [two(cache, tmp_path, name) for name in ("a.so", "b.so")] == [2, 2]
    assert cache.compiled == 2


def test_a_header_of_a_header_counts(cache: ObjectCache, tmp_path: Path) -> None:
    two(cache, tmp_path, "a.so")
    (tmp_path / "digit.h").write_text("#define DIGIT 3\n", "ascii")
    assert two(cache, tmp_path, "b.so") == 6
    assert cache.compiled == 3


def test_flags_count(cache: ObjectCache, tmp_path: Path) -> None:
    two(cache, tmp_path, "a.so")
    two(cache, tmp_path, "b.so", "-O2")
    assert cache.compiled == 4


def test_the_language_counts(cache: ObjectCache, tmp_path: Path) -> None:
    names = []
    for flags in ((), ("-x", "c++"), ("-x", "c++")):
        command = ["gcc", *flags, "-c", "two.c", "-o", "two.o"]
        cache.run(command, cwd=tmp_path, timeout_seconds=60)
        names.append(b"_Z3twov" in (tmp_path / "two.o").read_bytes())
    assert (names, cache.compiled) == ([False, True, True], 2)


def test_stack_usage_comes_with_the_object(cache: ObjectCache, tmp_path: Path) -> None:
    for name in ("a", "b"):
        command = ["gcc", *FLAGS, "-fstack-usage", "-c", tmp_path / "two.c", "-o", f"{name}.o"]
        cache.run(command, cwd=tmp_path, timeout_seconds=60)
        assert "two" in (tmp_path / f"{name}.su").read_text("ascii")
    assert cache.compiled == 1


def test_warnings_and_errors_come_again(cache: ObjectCache, tmp_path: Path) -> None:
    command = ["gcc", *FLAGS, "-c", "one.c", "-o", "one.o"]
    (tmp_path / "one.c").write_text("int one(void) { int unused; return 1; }\n", "ascii")
    for _ in range(2):
        completed = cache.run(command, cwd=tmp_path, timeout_seconds=60)
        assert "unused" in completed.stderr
    (tmp_path / "one.c").write_text("int one(void) { return }\n", "ascii")
    for _ in range(2):
        with pytest.raises(ProgramFailedError, match="expected expression"):
            cache.run(command, cwd=tmp_path, timeout_seconds=60)
