"""Waiting for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable

from carptwist.lab.namespaces import LabError


def wait_until(condition: Callable[[], bool], what: str, limit: float = 30.0) -> None:
    """Wait for a condition, asking every 2 ms.

    :raises LabError: if it does not hold after ``limit`` seconds; ``what`` names it.
    """
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            raise LabError(f"not within {limit:g} s: {what}")
        time.sleep(0.002)
