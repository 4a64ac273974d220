# SPDX-License-Identifier: Apache-2.0
"""Errors that reach the user: one line each, with the exit code of the command line.

An error names the node, the fact and the remedy:
``conv2d 'stem/conv': groups=4 is not supported; use 1 or 32 (depthwise)``.
"""

from __future__ import annotations


class EdgekitError(Exception):
    """Base of every error that the command line prints without a traceback."""

    exit_code = 1

    @property
    def lines(self) -> tuple[str, ...]:
        """The messages to print, one per line."""
        return (str(self),)


class BadInputError(EdgekitError):
    """A file, an array or an argument is not what it must be (exit code 2)."""

    exit_code = 2


class UnsupportedError(EdgekitError):
    """Operators or a kind of model that edgekit does not support (exit code 3).

    Holds every problem that was found, not just the first one.
    """

    exit_code = 3

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self._problems = problems

    @property
    def lines(self) -> tuple[str, ...]:
        return self._problems


class DoesNotFitError(EdgekitError):
    """The model needs more memory than the target or the budget has (exit code 4)."""

    exit_code = 4


class ValidationError(EdgekitError):
    """A rung of the validation computed something else than the reference (exit code 5)."""

    exit_code = 5


class MissingProgramError(EdgekitError):
    """A program that the command needs is not installed (exit code 6)."""

    exit_code = 6
