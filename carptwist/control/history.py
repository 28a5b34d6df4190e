"""What has happened on this host, and why: bounded, kept across restarts, and told to whoever listens.

::

    state changes, demotions, refusals, conflicts, changes by operators
        --> Event 17, 18, 19 ... --> the newest :data:`MOST_KEPT` in memory, and :data:`MOST_BY_OTHERS`
                                     of refusals and conflicts
                                 --> subscribers, each at once
                                 --> a notebook, a line of JSON each, at most once in FLUSH_SECONDS

A change of state has the advertisement that was heard last before it, and how it compared: that is what led to the
decision. Refusals, which anybody on the LAN can cause, are at most :data:`MOST_REFUSALS` a second; the rest is counted.
They and conflicts have a place of their own: a neighbour with a wrong pass phrase must not drive out by the morning
what happened at night.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from heapq import merge
from ipaddress import ip_address
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from carptwist.election.effects import Became
from carptwist.interfaces import INotebook
from carptwist.vhost.alarm import Alarm
from carptwist.vhost.roster import Occurrence
from carptwist.vhost.virtualhost import VirtualHost

Event = dict[str, Any]
Subscriber = Callable[[Event], object]

MOST_KEPT = 2000
MOST_BY_OTHERS = 500
MOST_REFUSALS = 20
FLUSH_SECONDS = 1.0
#: The kinds of events that anybody on the LAN can cause.
_BY_OTHERS = ("refusal", "conflict")
#: So many events are appended before the notebook is written anew with those that are kept.
MOST_APPENDED = 4000


class History:
    """The events of one daemon and its predecessors.

    :param wall: seconds since the epoch.
    """

    def __init__(self, notebook: INotebook, *, clock: IReactorTime, wall: Callable[[], float]) -> None:
        self._notebook = notebook
        self._clock = clock
        self._wall = wall
        self._kept: deque[Event] = deque(maxlen=MOST_KEPT)
        self._caused: deque[Event] = deque(maxlen=MOST_BY_OTHERS)
        self._subscribers: list[Subscriber] = []
        self._unwritten: list[Event] = []
        self._appended = MOST_APPENDED  # the first writing replaces: what is there may have a torn end
        self._flush = Alarm(clock, self._write)
        self._second = 0
        self._refusals = 0
        self._unsaid = 0

    @property
    def last(self) -> int:
        """The number of the newest event; 0 before the first."""
        return max((int(events[-1]["number"]) for events in (self._kept, self._caused) if events), default=0)

    def recall(self) -> Deferred[None]:
        """Take in what former daemons have written; fires when that is done, or cannot be."""
        return self._notebook.read().addCallbacks(self._recalled, lambda _: None)

    def finish(self) -> None:
        """Write what is unwritten."""
        self._flush.cancel()
        self._write()

    def after(self, number: int, most: int, vhid: str | None = None) -> list[Event]:
        """The newest ``most`` events with a higher number, oldest first; of one vhid, or of all and the host."""
        found = [event for event in self._all() if event["number"] > number and concerns(event, vhid)]
        return found[-most:] if most > 0 else []

    def knows(self, vhid: str) -> bool:
        """Whether anything is kept about a virtual host."""
        return any(event["vhid"] == vhid for event in self._all())

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call ``subscriber`` with each new event, which must not raise; the value stops that."""
        self._subscribers.append(subscriber)

        def stop() -> None:
            if subscriber in self._subscribers:
                self._subscribers.remove(subscriber)

        return stop

    # What happens

    def changed(self, vhost: VirtualHost, became: Became) -> None:
        """A vhid has changed its state: for :meth:`carptwist.vhost.roster.Roster.observe`."""
        text = f"{became.previous.value} -> {became.state.value} ({became.reason})"
        self.note(
            "state",
            vhost.name,
            text,
            state=became.state.value,
            heard=self._heard(vhost),
            own_interval=vhost.machine.own_interval / 256,
        )

    def occurred(self, occurrence: Occurrence) -> None:
        """For :meth:`carptwist.vhost.roster.Roster.witness`."""
        if occurrence.kind != "refusal":
            self.note(occurrence.kind, occurrence.vhid, occurrence.text)
            return
        second = int(self._clock.seconds())
        if second != self._second:
            self._second, self._refusals = second, 0
        self._refusals += 1
        if self._refusals > MOST_REFUSALS:
            self._unsaid += 1
            return
        unsaid, self._unsaid = self._unsaid, 0
        self.note("refusal", occurrence.vhid, occurrence.text, **({"unsaid": unsaid} if unsaid else {}))

    def note(self, kind: str, vhid: str, text: str, **details: Any) -> None:
        """One more event."""
        event: Event = {
            "number": self.last + 1,
            "time": datetime.fromtimestamp(self._wall(), UTC).isoformat(timespec="milliseconds"),
            "kind": kind,
            "vhid": vhid or None,
            "text": text,
            **details,
        }
        self._keep(event)
        self._unwritten.append(event)
        if len(self._unwritten) > MOST_KEPT:
            del self._unwritten[0]
        if len(self._unwritten) == 1:
            self._flush.set(self._clock.seconds() + FLUSH_SECONDS)
        for subscriber in tuple(self._subscribers):
            subscriber(event)

    def _keep(self, event: Event) -> None:
        (self._caused if event.get("kind") in _BY_OTHERS else self._kept).append(event)

    def _all(self) -> Iterable[Event]:
        return merge(self._kept, self._caused, key=lambda event: int(event["number"]))

    def _heard(self, vhost: VirtualHost) -> dict[str, Any] | None:
        """The advertisement that was heard last, which is what a decision rests on."""
        last = vhost.peers.last
        if last is None:
            return None
        return {
            "source": str(ip_address(last.hearing.source)),
            "advbase": last.hearing.advbase,
            "advskew": last.hearing.advskew,
            "demote": last.hearing.demote,
            "interval": last.hearing.advbase + last.hearing.advskew / 256,
            "counter": last.hearing.counter,
            "seconds_ago": round(self._clock.seconds() - last.last_heard, 3),
        }

    # The notebook

    def _recalled(self, octets: bytes) -> None:
        former: list[Event] = []
        for line in octets.splitlines():
            try:
                event = json.loads(line)
                number, _ = int(event["number"]), str(event["text"])
            except (ValueError, KeyError, TypeError):
                continue  # torn by a crash
            if not former or number > former[-1]["number"]:
                former.append(event)
        new = list(self._all())
        self._kept.clear()
        self._caused.clear()
        for event in former:
            self._keep(event)
        for event in new:
            # The unwritten ones are these very objects.
            event["number"] = self.last + 1
            self._keep(event)

    def _write(self) -> None:
        if not self._unwritten:
            return
        unwritten, self._unwritten = self._unwritten, []
        if self._appended + len(unwritten) > MOST_APPENDED:
            self._appended = 0
            kept = tuple(self._all())
            self._notebook.replace(lambda: _lines(kept)).addErrback(self._failed)
        else:
            self._appended += len(unwritten)
            appending = self._notebook.append(_lines(unwritten))
            if appending is not None:
                appending.addErrback(self._failed)

    def _failed(self, _: object) -> None:
        # The notebook has told why. Whatever is in it now, the next time it is written anew.
        self._appended = MOST_APPENDED


def concerns(event: Event, vhid: str | None) -> bool:
    """Whether an event is about a vhid, or about the host and so about every vhid."""
    return vhid is None or event["vhid"] in (None, vhid)


def _lines(events: Any) -> bytes:
    return b"".join(json.dumps(event, ensure_ascii=False).encode() + b"\n" for event in events)
