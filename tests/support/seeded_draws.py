# SPDX-License-Identifier: Apache-2.0
"""Values of hypothesis strategies outside of tests: the same ones for the same seed."""

from __future__ import annotations

from random import Random
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.control import BuildContext
from hypothesis.errors import StopTest, UnsatisfiedAssumption
from hypothesis.internal.conjecture.data import ConjectureData

Value = TypeVar("Value")


def drawn(strategy: st.SearchStrategy[Value], random: Random) -> Value | None:
    """A value of the strategy, or None where it rejects what it has drawn.

    Hypothesis has no public way to draw from a seed: this is what runs inside its tests.
    """
    data = ConjectureData(random=random)
    try:
        with BuildContext(data, wrapped_test=drawn):
            return data.draw(strategy)
    except (StopTest, UnsatisfiedAssumption):
        return None
