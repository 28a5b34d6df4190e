"""What a vhid knows of counters, kept over restarts.

::

    Replay --(something is new)--> at most a second later --> INotebook.append, or replace when enough was appended
    Replay <-- all of it <-- INotebook.read        before the vhid takes part

A daemon that is killed forgets what was new in its last second.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from carptwist.election import record
from carptwist.election.replay import Replay
from carptwist.interfaces import INotebook
from carptwist.vhost.alarm import Alarm
from carptwist.vhost.rounds import Rounds

#: What is new waits so long for more of it.
WRITE_SECONDS = 1.0
#: After a notebook that could not be written.
RETRY_SECONDS = 60.0
#: As many octets, and an eighth of the last whole one, are appended before it is written anew.
APPENDED_OCTETS = 32768


class Recollection:
    """Keeps the memory of one vhid in a notebook.

    :param rounds: of all vhids of the host, each :data:`WRITE_SECONDS` long.
    """

    _log = Logger()

    def __init__(self, name: str, replay: Replay, notebook: INotebook, clock: IReactorTime, rounds: Rounds) -> None:
        self._name = name
        self._replay = replay
        self._notebook = notebook
        self._clock = clock
        self._writing = rounds.errand(self._write)
        self._retry = Alarm(clock, self._write_again)
        self._room = 0  # how many octets may still be appended
        self._unwritten = False  # something that is not new any more
        self._finished = False
        replay.take_news()

    def recall(self) -> Deferred[None]:
        """Know what was known before; fires in any case. From then on what is new is written down."""
        return self._notebook.read().addCallbacks(self._recalled, lambda _: None).addCallback(self._begin)

    def finish(self) -> None:
        """Write down what is new, and no more after it."""
        self._finished = True
        self._wait_for_nothing()
        self._writing.forget()
        self._retry.cancel()
        self._write()

    def _recalled(self, octets: bytes) -> None:
        if not octets:
            return
        recalled = record.read(octets)
        if recalled.damage:
            self._log.warn(
                "carp: {name}: what was written down of former advertisements is damaged, and what is damaged is left "
                "out: {damage}",
                name=self._name,
                damage=recalled.damage,
            )
        record.restore(self._replay, recalled)

    def _begin(self, _: None) -> None:
        if not self._finished:
            self._wait()

    def _wait(self) -> None:
        self._replay.when_changed = self._writing.ask

    def _wait_for_nothing(self) -> None:
        self._replay.when_changed = _nothing

    def _write_again(self) -> None:
        self._wait()
        self._write()

    def _write(self) -> None:
        news, habits_changed = self._replay.take_news()
        if not (news or habits_changed or self._unwritten):
            return
        self._unwritten = False
        octets = record.appendix(news, self._replay.constancy.habits if habits_changed else {})
        room = self._room - len(octets)
        if room >= 0:
            self._room = room
            appending = self._notebook.append(octets)
            if appending is not None:
                appending.addErrback(self._failed)
        else:
            self._room = APPENDED_OCTETS
            self._notebook.replace(record.snapshot(self._replay)).addCallbacks(self._replaced, self._failed)

    def _replaced(self, length: int) -> None:
        self._room += length // 8

    def _failed(self, _: Failure) -> None:
        # The notebook has told why. Whatever is in it now, the next time it is written anew.
        self._room = 0
        self._unwritten = True
        if self._finished:
            return
        self._wait_for_nothing()
        self._writing.forget()
        self._retry.set(self._clock.seconds() + RETRY_SECONDS)


def _nothing() -> None:
    """What is new is written later, together with everything else; or not at all."""
