"""What holds for every test run."""

from __future__ import annotations

import os

import pytest


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In continuous integration nothing is skipped: a test that could not run there has failed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not os.environ.get("CI") or exitstatus != 0:
        return
    if reporter.stats.get("skipped"):
        reporter.write_line("tests were skipped, which continuous integration does not accept", red=True)
        session.exitstatus = 1
