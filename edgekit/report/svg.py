# SPDX-License-Identifier: Apache-2.0
"""Elements of an SVG as text; whatever comes from a model's file is escaped here."""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape, quoteattr

from edgekit.errors import one_line


def number(value: float) -> str:
    """One decimal, without a trailing zero: short, and the same on every machine."""
    text = f"{value:.1f}"
    return text[:-2] if text.endswith(".0") else text


def safe(text: str, *, most: int = 80) -> str:
    """Printable text of bounded length on one line, escaped for the inside of an element."""
    line = one_line(text)
    return escape(line if len(line) <= most else f"{line[: most - 1]}…")


def element(name: str, content: str = "", **attributes: str | float) -> str:
    """An element around ``content``, which must be escaped; ``class_`` stands for ``class``."""
    parts = [name]
    for key, value in attributes.items():
        shown = value if isinstance(value, str) else number(value)
        parts.append(f"{key.rstrip('_').replace('_', '-')}={quoteattr(shown)}")
    opening = " ".join(parts)
    return f"<{opening}>{content}</{name}>" if content else f"<{opening}/>"


def label(x: float, y: float, text: str, class_: str, *, most: int = 80) -> str:
    """A line of text at its baseline."""
    return element("text", safe(text, most=most), x=x, y=y, class_=class_)


def document(title: str, width: int, height: int, definitions: str, body: Iterable[str]) -> str:
    """A whole SVG; ``definitions`` and ``body`` are elements, ``title`` may be any text."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img">\n<title>{safe(title)}</title>\n{definitions}\n'
        + "\n".join(body)
        + "\n</svg>\n"
    )


def rectangles(boxes: Iterable[tuple[float, float, float, float]], class_: str, tip: str) -> str:
    """Boxes (x, y, width, height) of one thing as one path, with a tooltip."""
    outline = "".join(
        f"M{number(x)} {number(y)}h{number(w)}v{number(h)}h{number(-w)}z" for x, y, w, h in boxes
    )
    return element("path", element("title", safe(tip, most=160)), d=outline, class_=class_)
