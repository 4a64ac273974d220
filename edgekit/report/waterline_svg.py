# SPDX-License-Identifier: Apache-2.0
"""Where the instructions go, as an SVG: MACs against instructions per MAC, with the core's floor.

Every layer is a box as wide as its MACs and as high as its instructions per MAC, so that its area is
its instructions; what lies above the water (the floor) is what a perfect kernel would not need.
Layers without MACs are bars below, on a scale of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgekit.report.svg import document, element, label, number, rectangles

WIDTH = 1200
SIDE = 66
TOP, HEIGHT = 96, 330
BAR_HEIGHT, BAR_GAP, NAME_WIDTH = 16, 6, 330
MOST_BARS = 24
HEADROOM = 1.15
CHARACTER = 6.4
"""Width of a character of the labels, a little more than fonts have."""

FLOORS = {"mve": 1 / 16, "dsp": 1 / 2}
"""Instructions per MAC by instruction set, were there nothing but multiply-accumulates: VMLADAVA.S8
does 16, SMLAD 2, MLA 1."""

LIGHT = {
    "paper": "#ffffff",
    "ink": "#1c2530",
    "quiet": "#5b6878",
    "faint": "#d5dbe3",
    "even": "#7fa9e8",
    "odd": "#a9c6f2",
    "rest": "#b58bd9",
    "floor": "#1a7f37",
}
DARK = {
    "paper": "#0f151d",
    "ink": "#e6edf3",
    "quiet": "#9aa7b5",
    "faint": "#2b3542",
    "even": "#4f7fc7",
    "odd": "#3b639f",
    "rest": "#9a6cc4",
    "floor": "#56d364",
}


@dataclass(frozen=True)
class Bar:
    """One layer: its name, operator, MACs and instructions."""

    name: str
    op: str
    macs: int
    instructions: int

    @property
    def per_mac(self) -> float:
        return self.instructions / self.macs

    @property
    def tip(self) -> str:
        text = f"{self.name} ({self.op}): {self.instructions:,} instructions"
        return f"{text}, {self.macs:,} MACs, {self.per_mac:.2f} per MAC" if self.macs else text


def floor_of(isa: Sequence[str]) -> float:
    """The least instructions per MAC of a core with these kernel families."""
    return min((FLOORS[name] for name in isa if name in FLOORS), default=1.0)


def waterline_svg(bars: Sequence[Bar], *, floor: float, title: str) -> str:
    """The layers in execution order; ``floor`` is in instructions per MAC. ``title`` may be any text."""
    layers = [bar for bar in bars if bar.macs]
    others = sorted(
        (bar for bar in bars if not bar.macs and bar.instructions),
        key=lambda bar: (-bar.instructions, bar.name),
    )[:MOST_BARS]
    total = sum(bar.instructions for bar in bars)
    macs = sum(bar.macs for bar in layers)
    height = TOP + HEIGHT + 92 + len(others) * (BAR_HEIGHT + BAR_GAP) + 24
    share = f", {floor * macs / total:.0%} of them at the floor" if total else ""
    body = [
        element("rect", width=WIDTH, height=height, class_="paper"),
        label(SIDE, 34, title, "title", most=90),
        label(SIDE, 56, f"{total:,} instructions for {macs:,} MACs{share}.", "quiet", most=160),
        *_waterline(layers, floor),
        *_bars(others, total, TOP + HEIGHT + 92),
    ]
    return document(title, WIDTH, height, _style(), body)


def _waterline(layers: Sequence[Bar], floor: float) -> Iterator[str]:
    width = WIDTH - 2 * SIDE
    macs = max(sum(bar.macs for bar in layers), 1)
    most = HEADROOM * max([floor, *(bar.per_mac for bar in layers)])
    yield label(SIDE, TOP - 12, "Instructions per MAC; a box is as wide as its MACs", "head")
    step = _grid_step(most)
    for number_of_line in range(int(most / step) + 1):
        y = _y(number_of_line * step, most)
        yield element("path", d=f"M{SIDE} {number(y)}h{width}", class_="grid")
        text = f"{number_of_line * step:g}"
        yield element("text", text, x=SIDE - 6, y=y + 4, class_="tick", text_anchor="end")
    done = 0
    for index, bar in enumerate(layers):
        x, wide = SIDE + width * done / macs, width * bar.macs / macs
        y = _y(bar.per_mac, most)
        yield rectangles([(x, y, wide, TOP + HEIGHT - y)], ("even", "odd")[index % 2], bar.tip)
        if wide > 5 * CHARACTER:
            room = int(wide / CHARACTER)
            yield label(x + 3, y - 4, f"{bar.per_mac:.2f}", "word", most=room)
            yield label(x + 3, TOP + HEIGHT + 16, bar.op, "tick", most=room)
        done += bar.macs
    y = _y(floor, most)
    yield element("path", d=f"M{SIDE} {number(y)}h{width}", class_="floor")
    text = f"green: {floor:g}, the floor of the core"
    yield element("text", text, x=SIDE + width, y=TOP - 12, class_="floorword", text_anchor="end")


def _y(per_mac: float, most: float) -> float:
    return TOP + HEIGHT * (1 - per_mac / most)


def _grid_step(most: float) -> float:
    """A round step with at most 8 lines."""
    for step in (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 25.0, 50.0):
        if most / step <= 8:
            return step
    return most


def _bars(bars: Sequence[Bar], total: int, top: float) -> Iterator[str]:
    if not bars:
        return
    yield label(SIDE, top - 14, "Layers without MACs, and calls between layers", "head")
    room = WIDTH - 2 * SIDE - NAME_WIDTH - 190
    for index, bar in enumerate(bars):
        y = top + index * (BAR_HEIGHT + BAR_GAP)
        x = SIDE + NAME_WIDTH
        wide = max(room * bar.instructions / bars[0].instructions, 1)
        name = f"{bar.name} {bar.op}".strip()
        yield label(SIDE, y + 12, name, "tick", most=int(NAME_WIDTH / CHARACTER) - 1)
        yield rectangles([(x, y, wide, BAR_HEIGHT)], "rest", bar.tip)
        share = f"{bar.instructions:,} ({bar.instructions / total:.1%})"
        yield label(x + wide + 6, y + 12, share, "tick")


def _style() -> str:
    def colors(theme: dict[str, str]) -> str:
        fills = "".join(
            f".{name}{{fill:{theme[name]}}}" for name in ("paper", "even", "odd", "rest")
        )
        return (
            f"{fills}text{{fill:{theme['ink']}}}.quiet,.tick{{fill:{theme['quiet']}}}"
            f".grid{{stroke:{theme['faint']}}}.floor{{stroke:{theme['floor']}}}"
            f".floorword{{fill:{theme['floor']}}}"
        )

    return (
        "<style>text{font:12px system-ui,sans-serif}.title{font-size:19px;font-weight:600}"
        ".head{font-weight:600}.tick,.word,.floorword{font-size:11px}.floor{stroke-width:2}"
        f"{colors(LIGHT)}@media (prefers-color-scheme:dark){{{colors(DARK)}}}</style>"
    )
