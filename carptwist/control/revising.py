"""``carpctl reload``, ``plan`` and ``save``: their answers, as JSON-able values.

``steps`` has one object per step: ``action`` (keep, change, restart, add, remove, set, later), ``subject``, ``text``,
``undoes`` (a change made at run time), and for a reload ``trouble`` (null, or why it failed). A plan has ``forecast``
as well, one object per vhid: ``name``, ``master_before``, ``master_after`` (null where nobody knows), ``text``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from ipaddress import ip_address
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks

from carptwist.config.reload import described
from carptwist.config.schema import Configuration, VirtualHostConfig
from carptwist.configuration import ConfigurationError
from carptwist.control.commands import RefusedError
from carptwist.control.revision_commands import BadConfigurationError
from carptwist.election.machine import Settings
from carptwist.election.precedence import is_bow_out
from carptwist.election.state import State
from carptwist.revision import Outcome, Revision
from carptwist.vhost.forecast import THIS_HOST, Contender, contender, foresee, precedence_change
from carptwist.vhost.peers import Peer
from carptwist.vhost.roster import Roster
from carptwist.vhost.virtualhost import VirtualHost

#: Plans that may wait for their files at a time: one that is on a server which does not answer has a thread of its own.
MOST_PLANS = 4
#: Errors of a configuration that an answer has room for, in characters.
_MOST_TEXT = 15_000


class Revising:
    """Answers for one daemon.

    :param reload: see :meth:`carptwist.service.CarpService.reload`.
    """

    def __init__(
        self,
        revision: Revision,
        roster: Roster,
        reload: Callable[[str], Deferred[list[Outcome]]],
        seconds: Callable[[], float],
    ) -> None:
        self._revision = revision
        self._roster = roster
        self._reload = reload
        self._seconds = seconds
        self._planning = 0

    @inlineCallbacks
    def reload(self, who: str) -> Generator[Deferred[Any], Any, dict[str, Any]]:
        """Read the file again for ``who``, do what it says, and tell.

        :raises BadConfigurationError: with every error; nothing was changed.
        :raises RefusedError: there is no file, or the daemon is stopping.
        """
        try:
            outcomes: list[Outcome] = yield self._reload(who)
        except ConfigurationError as error:
            raise _bad(error) from None
        except ValueError as error:
            raise RefusedError(str(error)) from None
        return {"steps": [{**described(outcome.step), "trouble": outcome.trouble} for outcome in outcomes]}

    @inlineCallbacks
    def plan(self, path: str) -> Generator[Deferred[Any], Any, dict[str, Any]]:
        """What a reload would do, were ``path`` the configuration file; the empty path stands for the file that it is.

        :raises BadConfigurationError: with every error.
        :raises RefusedError: there is no file, or too many are waited for.
        """
        if self._planning >= MOST_PLANS:
            raise RefusedError(f"{MOST_PLANS} plans are being made already, whose files cannot be read to their ends")
        self._planning += 1
        try:
            reading = yield self._revision.read(path)
        except ConfigurationError as error:
            raise _bad(error) from None
        except ValueError as error:
            raise RefusedError(str(error)) from None
        finally:
            self._planning -= 1
        wanted = reading.configuration
        return {
            "steps": [described(step) for step in self._revision.plan(wanted)],
            "forecast": list(self._forecasts(wanted)),
        }

    @inlineCallbacks
    def save(self, who: str) -> Generator[Deferred[Any], Any, dict[str, Any]]:
        """Write what was changed at run time into the configuration file; ``written`` has a line for each change.

        :raises RefusedError: it cannot be written; the file is as before.
        """
        try:
            written: list[str] = yield self._revision.save(who)
        except ValueError as error:
            raise RefusedError(str(error)) from None
        return {"path": self._revision.path, "written": written}

    def _forecasts(self, wanted: Configuration) -> Generator[dict[str, Any], None, None]:
        running = self._revision.running
        now = {vhost.name: vhost for vhost in self._roster.all()}
        then = {config.name: config for config in wanted.vhids}
        for name in dict.fromkeys([*now, *then]):
            yield {"name": name, **self._forecast(running, wanted, now.get(name), then.get(name))}

    def _forecast(
        self, running: Configuration, wanted: Configuration, vhost: VirtualHost | None, config: VirtualHostConfig | None
    ) -> dict[str, Any]:
        demotion = self._roster.ledger.sum
        before = contender(THIS_HOST, running, None if vhost is None else vhost.config, demotion)
        after = contender(THIS_HOST, wanted, config, demotion)
        change = precedence_change(before, after)
        if vhost is None:
            return {"master_before": None, "master_after": None, "text": change}
        if vhost.state is State.INIT:
            text = f"INIT ({vhost.machine.reason}): no part in the election now"
            return {"master_before": None, "master_after": None, "text": text}
        peers = _known(vhost)
        others = [_as_heard(peer, before) for peer in peers]
        master = THIS_HOST
        if vhost.state is State.BACKUP:
            if not peers:
                return {"master_before": None, "master_after": None, "text": f"no MASTER heard; {change}"}
            master = _name(max(peers, key=lambda peer: peer.last_heard))
        foreseen = foresee(before, after, others, master)._replace(before=master)
        if foreseen.after is None:
            return {"master_before": master, "master_after": None, "text": change}
        text = foreseen.text
        if foreseen.after not in (THIS_HOST, master):
            age = min(self._seconds() - peer.last_heard for peer in peers if _name(peer) == foreseen.after)
            text += f", if it is as it was when it was heard last, {age:.0f} s ago"
        if change != "as before" and config is not None:
            # Of the hosts that are BACKUP nothing is to be heard.
            text += f"; {change}"
        return {"master_before": master, "master_after": foreseen.after, "text": text}


def _known(vhost: VirtualHost) -> list[Peer]:
    """The other nodes that were heard and have not bowed out; of one that speaks both families, IPv4."""
    there = [peer for peer in vhost.peers.all() if not is_bow_out(peer.hearing.advbase, peer.hearing.advskew)]
    return [peer for peer in there if peer.hearing.family == 4] or there


def _name(peer: Peer) -> str:
    return str(ip_address(peer.hearing.source))


def _as_heard(peer: Peer, ours: Contender) -> Contender:
    """A node as it was when it was heard last. Whether it preempts nobody can hear: as we do."""
    heard = peer.hearing
    families: tuple[int, ...] = (4, 6)
    counts = False
    if ours.settings is not None:
        families, counts = ours.settings.families, ours.settings.counts_demotion
    # Without a count of its own the demotion is within the advskew that was heard.
    demotion = heard.demote if counts else 0
    return Contender(_name(peer), Settings(heard.advbase, heard.advskew, families, counts), ours.preempt, demotion)


def _bad(error: ConfigurationError) -> BadConfigurationError:
    text = str(error)
    if len(text) > _MOST_TEXT:
        text = f"{text[:_MOST_TEXT]} ..."
    return BadConfigurationError(text)
