"""How the plug-ins that are in use have fared: calls, and those that failed, for the log and for status."""

from __future__ import annotations

from typing import Any

from twisted.logger import Logger
from twisted.python.failure import Failure


class Account:
    """One use of a plug-in: ``section`` is ``hook pager``, ``vhid 1@em0``, ``link em0`` or ``check load``."""

    _log = Logger()

    def __init__(self, section: str, plugin: str) -> None:
        self.section = section
        self.plugin = plugin
        self.calls = 0
        self.errors = 0
        self.last_error: str | None = None

    def called(self) -> None:
        """It is asked for something."""
        self.calls += 1

    def failed(self, failure: Failure, doing: str) -> str:
        """It has failed; gives that in words. One that fails as it did before is told of once."""
        self.errors += 1
        before = self.last_error
        self.last_error = f"{doing}: {type(failure.value).__name__}: {failure.getErrorMessage()}"
        if self.last_error != before:
            self._log.failure(
                "carp: [{section}] plug-in {plugin} failed: {error}; its author is to mend that, or its plugin line is "
                "to go",
                failure,
                section=self.section,
                plugin=self.plugin,
                error=self.last_error,
            )
        return f"plug-in {self.plugin} failed: {self.last_error}"

    def lacks(self, what: str) -> str:
        """What it has made is not what it should be; gives that in words."""
        self.errors += 1
        before, self.last_error = self.last_error, what
        if what != before:
            self._log.error(
                "carp: [{section}] what plug-in {plugin} makes {what}; its author is to mend that",
                section=self.section,
                plugin=self.plugin,
                what=what,
            )
        return f"what plug-in {self.plugin} makes {what}"


class Accounts:
    """All of them, for as long as the daemon runs."""

    def __init__(self) -> None:
        self._accounts: dict[tuple[str, str], Account] = {}

    def of(self, section: str, plugin: str) -> Account:
        """The account of a plug-in in a section."""
        return self._accounts.setdefault((section, plugin), Account(section, plugin))

    def snapshot(self) -> list[dict[str, Any]]:
        """Every use as JSON-able values."""
        return [
            {
                "section": each.section,
                "plugin": each.plugin,
                "calls": each.calls,
                "errors": each.errors,
                "last_error": each.last_error,
            }
            for each in self._accounts.values()
        ]
