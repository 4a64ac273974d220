# SPDX-License-Identifier: Apache-2.0
"""Errors that reach the user: one line each, with the exit code of the command line.

An error names the node, the fact and the remedy:
``conv2d 'stem/conv': groups=4 is not supported; use 1 or 32 (depthwise)``.
"""

from __future__ import annotations

MAX_LINE_LENGTH = 4000


def one_line(text: str) -> str:
    """``text`` as one printable line of bounded length: names of a file may hold anything."""
    words = " ".join(text.split())
    clean = "".join(c if c.isprintable() else "?" for c in words[: MAX_LINE_LENGTH + 1])
    return clean if len(clean) <= MAX_LINE_LENGTH else f"{clean[: MAX_LINE_LENGTH - 3]}..."


class EdgekitError(Exception):
    """Base of every error that the command line prints without a traceback.

    Holds one message or several; each becomes one printable line.
    """

    exit_code = 1

    def __init__(self, *messages: str) -> None:
        self._lines = tuple(one_line(message) for message in messages)
        super().__init__("\n".join(self._lines))

    @property
    def lines(self) -> tuple[str, ...]:
        """The messages to print, one per line."""
        return self._lines


class BadInputError(EdgekitError):
    """A file, an array or an argument is not what it must be (exit code 2)."""

    exit_code = 2


class UnsupportedError(EdgekitError):
    """Operators or a kind of model that edgekit does not support (exit code 3).

    Holds every problem that was found, not just the first one.
    """

    exit_code = 3


class DoesNotFitError(EdgekitError):
    """The model needs more memory than the target or the budget has (exit code 4)."""

    exit_code = 4


class ValidationError(EdgekitError):
    """A rung of the validation computed something else than the reference (exit code 5)."""

    exit_code = 5


class MissingProgramError(EdgekitError):
    """A program that the command needs is not installed (exit code 6)."""

    exit_code = 6
