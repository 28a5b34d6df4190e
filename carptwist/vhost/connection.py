"""An interface as one virtual host on it sees it: whether it can take part there, and what this host pays if not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carptwist.interfaces import IVoice, LinkState
from carptwist.vhost.hardware import hardware_fault
from carptwist.vhost.outlook import Outlook
from carptwist.vhost.sources import source_fault

if TYPE_CHECKING:
    from carptwist.vhost.roster import Roster
    from carptwist.vhost.virtualhost import VirtualHost


class Connection:
    """``link`` is the interface's state, and ``voice`` speaks on it, None if nothing can."""

    def __init__(self, vhost: VirtualHost, roster: Roster, outlook: Outlook) -> None:
        self.link = LinkState(vhost.config.interface)
        self.voice: IVoice | None = None
        self._vhost = vhost
        self._roster = roster
        self._outlook = outlook

    @property
    def carries(self) -> bool:
        """Whether a farewell can be said."""
        return self.voice is not None and self.link.usable

    @property
    def obstacle(self) -> str | None:
        """Why nothing can be said or heard there, or None."""
        link = self.link
        if not link.exists:
            return f"no interface {link.name}"
        fault = hardware_fault(link)
        if fault is not None:
            return fault
        if not link.usable:
            return f"interface down {link.name}"
        if self.voice is None:
            # Deaf, it would take every master for dead.
            return f"no packet socket on {link.name}"
        # From another address its peers would not believe it, and it would be MASTER beside the one that there is.
        return self._source_fault()

    def change(self, link: LinkState, voice: IVoice | None) -> LinkState:
        """It is so from now on; what it was before."""
        before, self.link = self.link, link
        self.voice = voice
        if link.usable:
            self._outlook.tell(self._vhost.config, link, self._source_fault())
        return before

    def account(self) -> None:
        """Demote this host for a link that does not carry, and take it back when it does."""
        obstacle = self.obstacle
        if obstacle is None:
            self.forgive(f"interface up {self.link.name}")
            return
        self._roster.demote(self._owner, self._roster.knobs.ifdown_demotion_factor, obstacle)
        # What could not be sent has its cause now; as BACKUP there would be no good send to take it back.
        self._vhost.sending.forget(obstacle)

    def forgive(self, reason: str) -> None:
        """Take back what it has cost."""
        self._roster.undemote(self._owner, reason)

    @property
    def _owner(self) -> str:
        return f"ifdown {self._vhost.name}"

    def _source_fault(self) -> str | None:
        config = self._vhost.config
        if not (config.peers or config.peers6 or config.sources):
            return None  # as for nearly all; who shares what need not be gathered for that
        sharing = (self._vhost, *self._roster.on(config.interface).values())
        shared = {address.ip for vhost in sharing for address in vhost.config.addresses}
        return source_fault(config, self.link, shared)
