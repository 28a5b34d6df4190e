"""The account of what a vhid could and could not send, which demotes the host when too much fails.

After three failures in a row the host is demoted by ``senderr_demotion_factor``; three successes in a
row take that back. Source: CARP_SENDAD_MAX_ERRORS and CARP_SENDAD_MIN_SUCCESS of the kernels. A MASTER that has lost
its lease because of them counts as having failed three times: it would take the addresses back at once otherwise.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from twisted.logger import Logger

if TYPE_CHECKING:
    from carptwist.vhost.roster import Roster

ERRORS_TO_DEMOTE = 3
SENDS_TO_RECOVER = 3


class SendAccount:
    """What became of the advertisements of one vhid."""

    _log = Logger()

    def __init__(self, name: str, interface: str, roster: Roster) -> None:
        self.sent = 0
        self.errors = 0
        self._name = name
        self._interface = interface
        self._roster = roster
        self._errors_in_a_row = 0
        self._sends_in_a_row = 0
        self._trouble = ""

    @property
    def _demotes(self) -> bool:
        return self._errors_in_a_row >= ERRORS_TO_DEMOTE

    def failed(self, error: OSError) -> None:
        """An advertisement did not leave this host in every family."""
        self.errors += 1
        if error.errno in (errno.ENOBUFS, errno.ENOMEM):
            self._roster.counters.refused["nomem"] += 1
        self._errors_in_a_row += 1
        self._sends_in_a_row = 0
        self._trouble = str(error)
        if self._errors_in_a_row == ERRORS_TO_DEMOTE:
            self._complain()

    def despair(self) -> None:
        """Nothing could be sent for so long that this is no MASTER any more: there may be no third time."""
        if 0 < self._errors_in_a_row < ERRORS_TO_DEMOTE:
            self._errors_in_a_row = ERRORS_TO_DEMOTE
            self._complain()

    def _complain(self) -> None:
        self._log.warn("carp: {name}: cannot send advertisements: {error}", name=self._name, error=self._trouble)
        self.weigh()

    def succeeded(self) -> None:
        """An advertisement left this host in every family."""
        if self._demotes:
            self._sends_in_a_row += 1
            if self._sends_in_a_row < SENDS_TO_RECOVER:
                return
            self.forget(f"send ok {self._interface}")
        self._errors_in_a_row = 0

    def weigh(self) -> None:
        """Demote by the factor that is in force now, if anything is to be demoted for."""
        if self._demotes:
            factor = self._roster.knobs.senderr_demotion_factor
            self._roster.demote(self._owner, factor, f"send error {self._interface}")

    def forget(self, reason: str) -> None:
        """Begin anew: what could not be sent is over, or has another cause by now."""
        self._errors_in_a_row = self._sends_in_a_row = 0
        self._roster.undemote(self._owner, reason)

    @property
    def _owner(self) -> str:
        return f"senderr {self._name}"
