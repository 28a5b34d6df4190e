"""What systemd is told of the daemon, by the protocol of sd_notify(3).

::

    started:  READY=1  STATUS=2 vhids: 1 MASTER, 1 BACKUP       and from then on WATCHDOG=1, twice an interval
    a change of state:  STATUS=...
    SIGHUP:  RELOADING=1  MONOTONIC_USEC=...  -- the reload --  READY=1  STATUS=...
    the end begins:  STOPPING=1

One datagram for each, of lines NAME=VALUE, to the UNIX socket that $NOTIFY_SOCKET names; a leading @ stands for the NUL
of the abstract namespace. The heartbeats come from the reactor: one that stands still sends none, and systemd puts an
end to the process. Without $NOTIFY_SOCKET nothing is ever sent.
"""

from __future__ import annotations

import errno
import socket
from collections import Counter
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from carptwist.election.state import State

#: systemd's socket takes so many datagrams that it has not read; then it is tried again after so many seconds.
RETRY_SECONDS = 0.1

_FULL = (errno.EAGAIN, errno.ENOBUFS)


class Request(NamedTuple):
    """What systemd wants of this process. ``watchdog_seconds`` is None where no heartbeat is wanted."""

    address: str
    watchdog_seconds: float | None


def request(environment: MutableMapping[str, str], pid: int) -> Request | None:
    """Read what systemd wants, and take it out of the environment: it is not meant for hooks and other children.

    None where there is no socket, or one of a kind that is no UNIX socket.
    """
    address = environment.pop("NOTIFY_SOCKET", "")
    interval = environment.pop("WATCHDOG_USEC", "")
    watched = environment.pop("WATCHDOG_PID", str(pid))
    if len(address) < 2 or address[0] not in "/@":
        return None
    beats = watched == str(pid) and interval.isascii() and interval.isdigit() and int(interval) > 0
    return Request(address, int(interval) / 1e6 if beats else None)


def status(states: Iterable[State]) -> str:
    """One line for ``systemctl status``: ``2 vhids: 1 MASTER, 1 BACKUP``."""
    counted = Counter(states)
    parts = [f"{counted[state]} {state.value}" for state in (State.MASTER, State.BACKUP, State.INIT) if counted[state]]
    count = counted.total()
    return f"{count} vhid{'' if count == 1 else 's'}" + (f": {', '.join(parts)}" if parts else "")


class Channel:
    """The way to systemd. What cannot be delivered because systemd has not read the former ones is kept; nothing waits.

    :raises OSError: no socket can be made.
    """

    _log = Logger()

    def __init__(self, address: str, clock: Any) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._clock = clock
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        self._kept: list[bytes] = []
        self._retry: Any = None
        self._has_complained = False

    def tell(self, *lines: str, keep: bool = True) -> None:
        """Send lines as one datagram. With ``keep`` false it is dropped where it cannot be sent at once."""
        datagram = "\n".join(lines).encode()
        if self._kept:
            if keep:
                self._kept.append(datagram)
        elif not self._send(datagram) and keep:
            self._kept.append(datagram)
            self._retry = self._clock.callLater(RETRY_SECONDS, self._again)

    def close(self) -> None:
        """Send nothing any more."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._kept.clear()
        self._socket.close()

    def _again(self) -> None:
        self._retry = None
        while self._kept:
            if not self._send(self._kept[0]):
                self._retry = self._clock.callLater(RETRY_SECONDS, self._again)
                return
            del self._kept[0]

    def _send(self, datagram: bytes) -> bool:
        """Whether there is nothing more to be done about it."""
        try:
            self._socket.sendto(datagram, self._address)
        except OSError as error:
            if error.errno in _FULL:
                return False
            if not self._has_complained:
                self._has_complained = True
                self._log.warn("carp: systemd cannot be told anything: {why}", why=error.strerror)
        return True


class Supervision:
    """What one service says over a channel.

    :param states: the states of all vhids, now.
    :param monotonic: CLOCK_MONOTONIC in seconds, whatever clock the delayed calls run on.
    """

    def __init__(
        self,
        channel: Channel,
        clock: Any,
        *,
        watchdog_seconds: float | None,
        states: Callable[[], Iterable[State]],
        monotonic: Callable[[], float],
    ) -> None:
        self._channel = channel
        self._clock = clock
        self._watchdog_seconds = watchdog_seconds
        self._states = states
        self._monotonic = monotonic
        self._is_ready = False
        self._told = ""
        self._soon: Any = None
        self._heartbeat = LoopingCall(self._beat)
        self._heartbeat.clock = clock

    def ready(self) -> None:
        """The service has started, or has done a reload."""
        self._is_ready = True
        self._told = status(self._states())
        self._channel.tell("READY=1", f"STATUS={self._told}")
        if self._watchdog_seconds is not None and not self._heartbeat.running:
            self._heartbeat.start(self._watchdog_seconds / 2)

    def changed(self) -> None:
        """Some vhid has another state. Of a storm only what comes of it is told."""
        if self._is_ready and self._soon is None:
            self._soon = self._clock.callLater(0, self._tell_status)

    def reloading(self, reload: Callable[[], Deferred[Any]]) -> Deferred[Any]:
        """Do a reload, and tell of its beginning and its end, whatever comes of it."""
        if not self._is_ready:
            return reload()  # systemd still waits for the start
        self._channel.tell("RELOADING=1", f"MONOTONIC_USEC={int(self._monotonic() * 1e6)}")

        def over(result: Any) -> Any:
            if self._is_ready:
                self.ready()
            return result

        return reload().addBoth(over)

    def stopping(self) -> None:
        """The end begins. The heartbeats go on meanwhile."""
        self._is_ready = False
        self._channel.tell("STOPPING=1")

    def close(self) -> None:
        """The end: nothing is sent any more."""
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        if self._heartbeat.running:
            self._heartbeat.stop()
        self._channel.close()

    def _tell_status(self) -> None:
        self._soon = None
        now = status(self._states())
        if now != self._told:
            self._told = now
            self._channel.tell(f"STATUS={now}")

    def _beat(self) -> None:
        self._channel.tell("WATCHDOG=1", keep=False)
