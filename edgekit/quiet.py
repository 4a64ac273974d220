# SPDX-License-Identifier: Apache-2.0
"""Frameworks that log and warn about themselves while they work for a user who cannot mend it."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No log lines and no warnings while the context lasts; errors still raise."""
    was_disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(was_disabled)
