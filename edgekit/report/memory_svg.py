# SPDX-License-Identifier: Apache-2.0
"""Memory over time as an SVG: layer by layer, and as planned, at the same scale and enlarged."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from edgekit.program import Image, Segment
from edgekit.report.memory import (
    INPUT_LABEL,
    Kind,
    Peak,
    buffer_kinds,
    find_peak,
    lives,
    step_labels,
)
from edgekit.report.svg import document, element, label, number, rectangles

WIDTH, HEIGHT = 1200, 990
TOP_HEIGHT, BOTTOM_HEIGHT = 300, 330
SIDE, GAP = 66, 84
CHARACTER = 6.4
"""Width of a character of the labels, a little more than fonts have."""

KINDS: tuple[tuple[Kind, str], ...] = (
    ("map", "whole map"),
    ("ring", "ring of rows"),
    ("kept", "kept rows of a pair"),
    ("tile", "tile of a pair"),
    ("scratch", "scratch, sums"),
    ("cursor", "cursor"),
)
LIGHT = {
    "paper": "#ffffff",
    "ink": "#1c2530",
    "faint": "#d5dbe3",
    "quiet": "#5b6878",
    "band": "#fdebea",
    "map": "#7fa9e8",
    "map2": "#a9c6f2",
    "ring": "#2f9e8f",
    "kept": "#f0a13c",
    "tile": "#f4d35e",
    "scratch": "#b58bd9",
    "cursor": "#98a2ae",
    "peak": "#d1242f",
    "bound": "#1a7f37",
    "word": "#0d1b2a",
}
DARK = {
    "paper": "#0f151d",
    "ink": "#e6edf3",
    "faint": "#2b3542",
    "quiet": "#9aa7b5",
    "band": "#331a1d",
    "map": "#4f7fc7",
    "map2": "#3b639f",
    "ring": "#3fb6a6",
    "kept": "#d98c2b",
    "tile": "#d9b93f",
    "scratch": "#9a6cc4",
    "cursor": "#7a8592",
    "peak": "#ff7b72",
    "bound": "#56d364",
    "word": "#f4f8fc",
}


Box = tuple[float, float, float, float]
"""x, y, width, height."""


@dataclass(frozen=True)
class Frame:
    """A panel: its plot's place, and the bytes that its height stands for."""

    x: float
    y: float
    width: float
    height: float
    bytes: int

    def at(self, address: float) -> float:
        return self.y + self.height * (1 - address / self.bytes)


@dataclass(frozen=True, eq=False)
class Timeline:
    """Where the positions of a script lie on a panel; position n ends where n + 1 begins."""

    edges: tuple[float, ...]

    @staticmethod
    def of(image: Image, frame: Frame) -> Timeline:
        """A segment is as wide as the root of its firings: long ones do not hide the short ones."""
        edges, segments = [0.0], image.program.segments
        for segment in segments:
            count = segment.script_end - segment.script_begin
            begin, width = edges[-1], (count + 3) ** 0.5 if count > 1 else 1.5
            edges += [begin + width * (i + 1) / count for i in range(count)]
        scale = frame.width / max(edges[-1], 1.0)
        return Timeline(tuple(frame.x + scale * edge for edge in edges))


def memory_svg(before: Image, after: Image, *, title: str, plan: str) -> str:
    """``before`` on the left, ``after`` on the right and below it enlarged.

    title: the model and its target. plan: how ``after`` is called. Both may be any text.
    """
    most = max(before.arena_bytes, after.arena_bytes, 1)
    half = (WIDTH - 2 * SIDE - GAP) / 2
    left = Frame(SIDE, 104, half, TOP_HEIGHT, most)
    right = Frame(SIDE + half + GAP, 104, half, TOP_HEIGHT, most)
    below = Frame(SIDE, 544, WIDTH - 2 * SIDE, BOTTOM_HEIGHT, max(after.arena_bytes, 1))
    percent = round(100 * (after.arena_bytes / max(before.arena_bytes, 1) - 1))
    text = f"{_size(before.arena_bytes)} → {_size(after.arena_bytes)} ({percent:+d}%)"
    body = [
        element("rect", width=WIDTH, height=HEIGHT, class_="paper"),
        label(SIDE, 34, title, "title", most=90),
        label(
            SIDE,
            56,
            f"Arena over time: {text}. Address upwards; time to the right, row by row where "
            "layers advance together (not to scale).",
            "quiet",
            most=200,
        ),
        *Panel(before, left, "layer by layer", "left").elements(),
        *Panel(after, right, f"{plan.removeprefix('--schedule ')}, same scale", "right").elements(),
        *Panel(after, below, f"{plan}, enlarged", "below").elements(),
        *_legend(HEIGHT - 28),
    ]
    return document(title, WIDTH, HEIGHT, f"{_style()}\n{_patterns()}", body)


class Panel:
    """One picture of one image."""

    def __init__(self, image: Image, frame: Frame, title: str, name: str) -> None:
        self._image, self._frame, self._title, self._name = image, frame, title, name
        self._program = image.program
        self._edges = Timeline.of(image, frame).edges
        self._labels = step_labels(image.program)
        self._peak = find_peak(image)

    def elements(self) -> Iterator[str]:
        frame = self._frame
        yield label(frame.x, frame.y - 12, self._title, "head", most=60)
        yield from self._band()
        yield from self._grid()
        yield from self._buffers()
        yield from self._layers()
        yield from self._sizes()
        if self._peak is not None:
            yield from self._marked(self._peak)

    def _band(self) -> Iterator[str]:
        if self._peak is None:
            return
        at = self._peak.position
        for segment in self._program.segments:
            if segment.script_begin <= at < segment.script_end:
                x, stop = self._edges[segment.script_begin], self._edges[segment.script_end]
                y, height = self._frame.y, self._frame.height
                yield element("rect", x=x, y=y, width=stop - x, height=height, class_="band")

    def _grid(self) -> Iterator[str]:
        frame = self._frame
        step = 64
        while frame.bytes / step > 6:
            step *= 2
        for address in range(0, frame.bytes + 1, step):
            y = frame.at(address)
            yield element(
                "path", d=f"M{number(frame.x)} {number(y)}h{frame.width:.0f}", class_="grid"
            )
            size = f"{address // 1024} KiB" if step >= 1024 else f"{address} B"
            yield element("text", size, x=frame.x - 6, y=y + 4, class_="tick", text_anchor="end")
        for segment in self._program.segments[1:]:
            x = number(self._edges[segment.script_begin])
            yield element("path", d=f"M{x} {number(frame.y + frame.height)}v6", class_="mark")

    def _buffers(self) -> Iterator[str]:
        """A box for every buffer and life; that of the peak is outlined."""
        kinds = buffer_kinds(self._program)
        shades = itertools.cycle(("map", "map map2"))
        drawn: list[tuple[str, Box]] = []
        occupied: list[Box] = []
        for buffer in sorted(self._program.buffers, key=lambda b: kinds[b.name] != "map"):
            offset, kind = self._image.offsets[buffer.name], kinds[buffer.name]
            spans = lives(buffer)
            boxes = [self._box(offset, buffer.bytes, *span) for span in spans]
            occupied += boxes
            class_ = next(shades) if kind == "map" else kind
            tip = f"{buffer.name}: {kind}, {buffer.bytes:,} bytes at {offset:,}"
            now = [kind != "cursor" and self._is_peak(span) for span in spans]
            for high, suffix in ((False, ""), (True, " high")):
                chosen = [box for box, is_now in zip(boxes, now, strict=True) if is_now == high]
                if chosen:
                    yield rectangles(chosen, class_ + suffix, tip)
            x, y, _, height = boxes[0]
            width = boxes[-1][0] + boxes[-1][2] - x
            if kind != "cursor" and sum(box[2] for box in boxes) > 0.9 * width:
                text = f"{self._owner(buffer.name, kind)}: {buffer.bytes:,} B"
                drawn.append((text, (x, y, width, height)))
        for text, box in drawn:
            yield _word(text, box, occupied)

    def _is_peak(self, span: tuple[int, int]) -> bool:
        return self._peak is not None and span[0] <= self._peak.position <= span[1]

    def _box(self, offset: int, size: int, first: int, last: int) -> Box:
        y, x = self._frame.at(offset + size), self._edges[first]
        return x, y, self._edges[last + 1] - x, self._frame.at(offset) - y

    def _owner(self, name: str, kind: Kind) -> str:
        """What a buffer holds, in a few words."""
        for pair in self._program.pairs:
            if name in (pair.kept, pair.tile):
                return f"{kind} {self._labels[pair.consumer]}"
        if kind == "scratch":
            return "scratch"
        for index, step in enumerate(self._program.steps):
            if step.output.buffer == name and self._labels[index] != INPUT_LABEL:
                return f"layer {self._labels[index]}"
        return "input"

    def _layers(self) -> Iterator[str]:
        """Numbers of the layers, and which of them advance together, as far as there is room."""
        y = self._frame.y + self._frame.height
        free_from = self._frame.x - 8
        for segment in self._program.segments:
            x = self._middle(segment)
            width = self._edges[segment.script_end] - self._edges[segment.script_begin]
            for text in self._spans_of(segment, width):
                begin = x - len(text) * CHARACTER / 2
                if begin >= free_from:
                    class_ = "tick" if segment.primitive == "L" else "joint"
                    yield element("text", text, x=x, y=y + 18, class_=class_, text_anchor="middle")
                    free_from = begin + len(text) * CHARACTER + 6
                    break

    def _spans_of(self, segment: Segment, width: float) -> Iterator[str]:
        """The layers of a segment in fewer and fewer words."""
        first, last = self._labels[segment.first], self._labels[segment.last]
        if first == last:
            yield first
            return
        count = sum(segment.first <= p.consumer <= segment.last for p in self._program.pairs)
        pairs = f", {count} pair{'s' if count > 1 else ''}" if count else ""
        what = {"H": f"{segment.parts} strips", "B": "patches"}.get(segment.primitive, "rows")
        for text in (f"{what} of {first}-{last}{pairs}", f"{what} of {first}-{last}"):
            if len(text) * CHARACTER <= width:
                yield text
        yield f"{first}-{last}"

    def _middle(self, segment: Segment) -> float:
        return (self._edges[segment.script_begin] + self._edges[segment.script_end]) / 2

    def _sizes(self) -> Iterator[str]:
        """The arena's size and the lower bound, as lines; one where they are equal."""
        frame, arena = self._frame, self._image.arena_bytes
        bound = self._image.arena_lower_bound_bytes
        text = f"arena {_size(arena)}"
        text += " = lower bound" if bound == arena else f", lower bound {bound:,} B"
        line = f"M{number(frame.x)} {{}}h{number(frame.width)}"
        if bound != arena:
            yield element("path", d=line.format(number(frame.at(bound))), class_="bound")
        yield element("path", d=line.format(number(frame.at(arena))), class_="arena")
        x = frame.x + frame.width
        yield element("text", text, x=x, y=frame.y - 12, class_="size", text_anchor="end")

    def _marked(self, peak: Peak) -> Iterator[str]:
        frame = self._frame
        step = self._program.steps[peak.step]
        x = (self._edges[peak.position] + self._edges[peak.position + 1]) / 2
        base = frame.y + frame.height
        yield element("path", d=f"M{number(x)} {number(frame.y)}V{number(base)}", class_="line")
        triangle = f"M{number(x)} {number(base + 1)}l5 8h-10z"
        yield element("path", d=triangle, class_="triangle")
        text = f"peak: {peak.bytes:,} B in layer {self._labels[peak.step]}, {step.op}"
        text += f" '{step.source or step.layer}'"
        if self._labels[peak.step] == INPUT_LABEL:
            text = f"peak: {peak.bytes:,} B while the input comes"
        most = int(frame.width / CHARACTER) - 4
        yield label(frame.x + 14, base + 54, text, "peak", most=most)
        yield element(
            "path", d=f"M{number(frame.x + 5)} {number(base + 45)}l5 8h-10z", class_="triangle"
        )


def _word(text: str, box: Box, occupied: list[Box]) -> str:
    """A text in a box, if it fits in front of the next box that covers its place."""
    x, y, width, height = box
    if height < 13:
        return ""
    base = y + min(height / 2 + 4, 16)
    room = min(
        (left - x for left, top, _, tall in occupied if left > x and top < base < top + tall + 9),
        default=width,
    )
    for short in (text, text.partition(":")[0], text.partition(":")[0].partition(" ")[2]):
        if short and len(short) * CHARACTER + 6 <= min(room, width):
            return label(x + 4, base, short, "word")
    return ""


def _legend(y: float) -> Iterator[str]:
    x: float = SIDE
    for kind, text in KINDS:
        yield element("rect", x=x, y=y - 11, width=16, height=13, class_=kind)
        yield label(x + 22, y, text, "quiet")
        x += 22 + len(text) * CHARACTER + 18
    yield element("rect", x=x, y=y - 11, width=16, height=13, class_="high empty")
    yield label(x + 22, y, "in use at the peak", "quiet")
    x += 22 + 18 * CHARACTER + 18
    yield element("path", d=f"M{number(x)} {number(y - 4)}h20", class_="bound")
    yield label(x + 26, y, "lower bound", "quiet")


def _size(size: int) -> str:
    return f"{size:,} B" if size < 1024 else f"{size:,} B ({size / 1024:.1f} KiB)"


def _patterns() -> str:
    hatch = element("path", d="M0 7L7 0M-1 1L1 -1M6 8L8 6", class_="hatch")
    ground = element("rect", width=7, height=7, class_="ground")
    pattern = element(
        "pattern", ground + hatch, id="rows", width=7, height=7, patternUnits="userSpaceOnUse"
    )
    return element("defs", pattern)


def _style() -> str:
    light, dark = _rules(LIGHT), _rules(DARK)
    shared = (
        "text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}"
        ".title{font-size:18px;font-weight:600}.head,.size{font-size:13px;font-weight:600}"
        ".peak{font-weight:600}.tick{font-size:11px}.joint{font-size:11px;font-weight:600}"
        ".word{font-size:11px;pointer-events:none}"
        "path,rect{stroke-width:1}.line{stroke-width:1.5;stroke-dasharray:2 2;fill:none}"
        ".bound{stroke-width:2;stroke-dasharray:6 4;fill:none}.arena{stroke-width:1.5;fill:none}"
        ".hatch{stroke-width:1.6;fill:none}.ground{fill-opacity:.3}.ring{fill:url(#rows)}"
        ".grid,.mark,.empty{fill:none}.high{stroke-width:1.6}"
    )
    return f"<style>{shared}{light}@media(prefers-color-scheme:dark){{{dark}}}</style>"


def _rules(colors: dict[str, str]) -> str:
    fills = "".join(
        f".{name}{{fill:{colors[name]};stroke:{colors['paper']}}}"
        for name in ("map", "kept", "tile", "scratch", "cursor")
    )
    c = colors
    return (
        f"{fills}.map2{{fill:{c['map2']}}}.ring{{stroke:{c['ring']}}}.ground{{fill:{c['ring']}}}"
        f".hatch{{stroke:{c['ring']}}}.paper{{fill:{c['paper']}}}.band{{fill:{c['band']}}}"
        f"text{{fill:{c['ink']}}}.quiet,.tick{{fill:{c['quiet']}}}.word{{fill:{c['word']}}}"
        f".grid{{stroke:{c['faint']}}}.mark,.arena{{stroke:{c['quiet']}}}"
        f".bound{{stroke:{c['bound']}}}.high,.line{{stroke:{c['peak']}}}"
        f".peak,.triangle{{fill:{c['peak']}}}"
    )
