# SPDX-License-Identifier: Apache-2.0
"""profile: the picture of instructions per MAC, and two profiles side by side."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import pytest
from support.command_line import Edgekit
from support.graphs import residual
from support.planned import convert_planned

from edgekit.report.waterline_svg import Bar, floor_of, waterline_svg
from edgekit.runners.profile import LayerProfile, Profile
from edgekit.runners.profile_compare import compare_profiles

BARS = (
    Bar("first", "conv2d", 300, 900),
    Bar("second", "conv2d", 100, 100),
    Bar("sum <&", "add", 0, 50),
    Bar("glue", "", 0, 7),
)
BOX = re.compile(r"M([\d.]+) ([\d.]+)h([\d.]+)v([\d.]+)h-([\d.]+)z")


def boxes(svg: str) -> dict[str, tuple[float, float]]:
    """(width, height) of every box by the name in its tooltip."""
    root = ElementTree.fromstring(svg)
    space = "{http://www.w3.org/2000/svg}"
    found = {}
    for path in root.iter(f"{space}path"):
        title = path.find(f"{space}title")
        if title is not None and title.text is not None:
            match = BOX.fullmatch(path.attrib["d"])
            assert match
            found[title.text.split(" (")[0]] = (float(match[3]), float(match[4]))
    return found


def test_areas_are_instructions() -> None:
    found = boxes(waterline_svg(BARS, floor=0.5, title="<net> & core"))
    assert set(found) == {"first", "second", "sum <&", "glue"}
    areas = {name: width * height for name, (width, height) in found.items()}
    assert areas["first"] / areas["second"] == pytest.approx(9, rel=0.01)  # a decimal in the file
    assert found["first"][0] / found["second"][0] == pytest.approx(3, rel=0.01)
    assert found["sum <&"][0] / found["glue"][0] == pytest.approx(50 / 7, rel=0.01)


def test_models_without_macs_have_a_picture() -> None:
    assert set(boxes(waterline_svg(BARS[2:], floor=1.0, title="t"))) == {"sum <&", "glue"}
    assert boxes(waterline_svg((), floor=1.0, title="t")) == {}


def test_floors() -> None:
    assert floor_of(("mve", "dsp", "c", "ref")) == 1 / 16
    assert floor_of(("dsp", "ref")) == 0.5
    assert floor_of(("c", "ref")) == 1.0


def profile_of(*layers: LayerProfile) -> Profile:
    total = sum(layer.instructions for layer in layers)
    return Profile("cortex-m4", "gcc", "-O2", total, None, layers, ())


def layer(name: str, instructions: int, kernel: str = "k") -> LayerProfile:
    return LayerProfile(name, "conv2d", kernel, 10, instructions, None)


def test_layers_are_compared_by_name() -> None:
    ours = profile_of(layer("a", 30), layer("a", 30), layer("b", 5), layer("glue", 1, ""))
    theirs = profile_of(layer("input", 4, ""), layer("a", 40, "other"), layer("glue", 1, ""))
    found = compare_profiles(ours, theirs)
    rows = {c.name: (c.instructions, c.other_instructions, c.ratio) for c in found.layers}
    assert list(rows) == ["a", "b", "glue", "input"]
    assert rows["a"] == (60, 40, 1.5)
    assert rows["b"] == (5, None, None)
    assert rows["input"] == (None, 4, None)
    assert found.ratio == 66 / 45
    assert sum(c.instructions or 0 for c in found.layers) == ours.total_instructions


def test_kernels_sum_their_layers() -> None:
    profile = profile_of(
        layer("a", 30), layer("b", 5), layer("c", 50, "other"), layer("glue", 1, "")
    )
    assert [(k.name, k.layers, k.macs, k.instructions) for k in profile.kernels] == [
        ("other", 1, 10, 50),
        ("k", 2, 20, 35),
    ]


def test_command(edgekit: Edgekit, tmp_path: Path, require_program: Callable[[str], str]) -> None:
    require_program("qemu-system-arm")
    require_program("arm-none-eabi-gcc")
    folders = [tmp_path / mode for mode in ("resident", "stream")]
    for folder in folders:
        convert_planned(residual(), folder.name).save(folder)  # type: ignore[arg-type]
    picture = tmp_path / "waterline.svg"
    arguments = ("--compare", folders[1], "-o", picture, "--functions", "--json")
    result = edgekit("profile", folders[0], *arguments)
    assert result.code == 0, result.err
    document = json.loads(result.out)
    comparison = document["compare"]
    assert comparison["total_instructions"] == document["total_instructions"]
    ours = [row for row in comparison["layers"] if row["instructions"] is not None]
    assert sum(row["instructions"] for row in ours) == document["total_instructions"]
    assert sum(f["instructions"] for f in document["functions"]) == document["total_instructions"]
    drawn = boxes(picture.read_text("utf-8"))
    counted = [row for row in document["layers"] if row["instructions"]]
    assert set(drawn) == {row["name"] for row in counted}
    refused = edgekit("profile", folders[0], "-o", tmp_path / "waterline.png")
    assert (refused.code, "ending in .svg" in refused.error) == (2, True)
