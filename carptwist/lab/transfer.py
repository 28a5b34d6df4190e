"""A TCP connection that carries a stream whose every octet is known, so that a gap, a swap or a repetition shows.

::

    server                                    client
    the numbers 0, 1, 2 ... as 8 octets  ---> each octet is compared with what belongs there
    SHA-256 of what was sent                  SHA-256 of what came

The server sends at a steady pace until it is told to end. Reads and writes happen on two threads; the sockets are the
hosts' own. All times are seconds since the epoch.
"""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
import time
from dataclasses import dataclass

from carptwist.lab.host import Host

#: The stream is made, sent and compared in pieces of so many octets.
PIECE = 8192
_NUMBERS = struct.Struct(f">{PIECE // 8}Q")

#: A side that hears nothing for so long gives up.
PATIENCE_SECONDS = 60.0


def piece(number: int) -> bytes:
    """The octets from ``PIECE * number`` on."""
    first = number * (PIECE // 8)
    return _NUMBERS.pack(*range(first, first + PIECE // 8))


class Arrived:
    """What has come of a stream so far."""

    def __init__(self) -> None:
        self.octets = 0
        self.digest = hashlib.sha256()

    def take(self, octets: bytes) -> bool:
        """Whether these are the next ones; if not, nothing is taken."""
        first, offset = divmod(self.octets, PIECE)
        last = (self.octets + len(octets) - 1) // PIECE
        expected = b"".join(piece(number) for number in range(first, last + 1))
        if octets != expected[offset : offset + len(octets)]:
            return False
        self.digest.update(octets)
        self.octets += len(octets)
        return True


@dataclass(frozen=True)
class Outcome:
    """How a transfer ended. ``sent`` and ``received`` are octets; ``complaints`` is what went wrong on either side."""

    sent: int
    received: int
    sent_sha256: str
    received_sha256: str
    complaints: tuple[str, ...]

    @property
    def good(self) -> bool:
        """All of it has come, in order and once, and nothing else."""
        return not self.complaints and self.sent == self.received > 0 and self.sent_sha256 == self.received_sha256


class Transfer:
    """One connection from a client to an address of a server, begun at once.

    :param seen_as: the address that the server must see the client at; None for any.
    :raises OSError: if the connection cannot be made.
    """

    def __init__(
        self,
        server: Host,
        client: Host,
        address: str,
        *,
        port: int = 5001,
        octets_per_second: int = 2_000_000,
        seen_as: str | None = None,
    ) -> None:
        self._interval_seconds = PIECE / octets_per_second
        self._ending = threading.Event()
        self._complaints: list[str] = []
        self._sent = 0
        self._sent_digest = hashlib.sha256()
        self._arrived = Arrived()
        self._pauses: list[tuple[float, float]] = []  # of more than 50 ms: from, to
        self._last_arrival = time.time()
        self._in = client.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._in.settimeout(PATIENCE_SECONDS)
        with server.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
            listening.settimeout(10)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((address, port))
            listening.listen()
            try:
                self._in.connect((address, port))
                self._out, (self.peer, _) = listening.accept()
            except OSError:
                self._in.close()
                raise
        self._out.settimeout(PATIENCE_SECONDS)
        if seen_as not in (None, self.peer):
            self._complaints.append(f"the server sees {self.peer}, not {seen_as}")
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._send, self._receive)]
        for thread in self._threads:
            thread.start()

    @property
    def received(self) -> int:
        """Octets that have come so far."""
        return self._arrived.octets

    @property
    def broken(self) -> bool:
        """Whether something went wrong already."""
        return bool(self._complaints)

    def pause(self, since: float) -> float:
        """The longest time between two arrivals, in seconds, of those that ended after ``since``; the one that goes on
        included, and 0 if it is not worth mentioning."""
        now = time.time()
        pauses = [until - begin for begin, until in self._pauses if until > since]
        going_on = now - self._last_arrival
        return max([*pauses, going_on if going_on > 0.05 else 0.0])

    def finish(self, limit: float = PATIENCE_SECONDS) -> Outcome:
        """End the stream, and wait until the client has seen its end, or ``limit`` seconds."""
        self._ending.set()
        deadline = time.monotonic() + limit
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                self._complaints.append(f"the end of the stream has not come within {limit:g} s")
        self.close()
        return Outcome(
            self._sent,
            self._arrived.octets,
            self._sent_digest.hexdigest(),
            self._arrived.digest.hexdigest(),
            tuple(self._complaints),
        )

    def close(self) -> None:
        """Drop it, whatever state it is in."""
        self._ending.set()
        for end in (self._in, self._out):
            end.close()
        for thread in self._threads:
            thread.join(5)

    def _send(self) -> None:
        due = time.monotonic()
        try:
            while not self._ending.is_set():
                octets = piece(self._sent // PIECE)
                self._out.sendall(octets)
                self._sent_digest.update(octets)
                self._sent += len(octets)
                due = max(due + self._interval_seconds, time.monotonic() - 1.0)
                time.sleep(max(0.0, due - time.monotonic()))
            self._out.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._complaints.append(f"the server, after {self._sent} octets: {error}")

    def _receive(self) -> None:
        try:
            while octets := self._in.recv(65536):
                now = time.time()
                if now - self._last_arrival > 0.05:
                    self._pauses.append((self._last_arrival, now))
                self._last_arrival = now
                if not self._arrived.take(octets):
                    self._complaints.append(f"the octets from {self.received} on are not what belongs there")
                    return
        except OSError as error:
            self._complaints.append(f"the client, after {self.received} octets: {error}")
