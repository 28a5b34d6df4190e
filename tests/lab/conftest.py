"""Every test of this directory is marked ``lab``, and skipped with the reason where there can be no lab."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

import pytest

from carptwist.lab.namespaces import LabError, enter, why_not

# Who is started in the background by a shell ignores SIGINT, and so would all that the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Only a process with a single thread may enter a user namespace: now, before any test has started another one.
if why_not() is None:
    with contextlib.suppress(LabError):
        enter()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = why_not()
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.lab)
            if reason is not None:
                item.add_marker(pytest.mark.skip(reason=f"no lab here: {reason}"))
