"""A client that never stops asking: echo requests at a steady pace, and what came back when.

Every ``interval_seconds`` one ICMP or ICMPv6 echo request goes to each address (RFC 792, RFC 4443). The time of a
reply is the kernel's, not that of our reading it. The client's kernel resolves neighbours as for any other program,
and nothing here disturbs its caches: that they hold the virtual MAC, and so survive a takeover, is what is measured.

All times are seconds since the epoch, as :func:`time.time` has them.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from carptwist.lab.host import Host
from carptwist.lab.kerneltime import ANCILLARY_OCTETS, ask_for_times, received_at
from carptwist.wire.internet import checksum

Address = IPv4Address | IPv6Address

INTERVAL_SECONDS = 0.01
#: A request without a reply for so long is lost.
PATIENCE_SECONDS = 1.0

# linux/icmp.h, linux/icmpv6.h
_SOL_RAW = 255
_ICMP_FILTER = 1
_ICMP6_FILTER = 1
_ECHO_REPLY4, _ECHO_REQUEST4 = 0, 8
_ECHO_REPLY6, _ECHO_REQUEST6 = 129, 128

_ECHO = struct.Struct(">BBHHHQ")  # type, code, checksum, identifier, sequence; our whole sequence number as data


@dataclass(frozen=True)
class Outage:
    """A run of requests to one address that nobody answered.

    ``last_reply`` is when the request before the run was answered, ``first_reply`` when the one after it was; None
    where there is none. ``first_lost`` and ``last_lost`` are when the first and the last of the ``lost`` ones left.
    """

    address: Address
    last_reply: float | None
    first_lost: float
    last_lost: float
    first_reply: float | None
    lost: int

    @property
    def seconds(self) -> float:
        """How long the address was silent: from the last reply before to the first one after it."""
        begin = self.first_lost if self.last_reply is None else self.last_reply
        return (float("inf") if self.first_reply is None else self.first_reply) - begin


class _Target:
    """One address, its socket, and the requests to it: ``sent[n]`` is when number n left."""

    def __init__(self, host: Host, address: Address, identifier: int) -> None:
        self.address = address
        self.identifier = identifier
        self.sent: list[float] = []
        self.replies: dict[int, float] = {}
        self.last_reply: float | None = None
        if address.version == 4:
            self.socket = host.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
            self.socket.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", 0xFFFFFFFF & ~(1 << _ECHO_REPLY4)))
        else:
            self.socket = host.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
            blocked = [0xFFFFFFFF] * 8
            blocked[_ECHO_REPLY6 >> 5] &= ~(1 << (_ECHO_REPLY6 & 31))
            self.socket.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, struct.pack("=8I", *blocked))
        ask_for_times(self.socket)
        self.socket.setblocking(False)
        self.socket.connect((str(address), 0))

    def ask(self) -> None:
        number = len(self.sent)
        kind = _ECHO_REQUEST4 if self.address.version == 4 else _ECHO_REQUEST6
        message = _ECHO.pack(kind, 0, 0, self.identifier, number & 0xFFFF, number)
        if self.address.version == 4:
            # The kernel fills in the one of ICMPv6.
            message = message[:2] + checksum(message).to_bytes(2, "big") + message[4:]
        self.sent.append(time.time())
        # A request that cannot leave (no route, no neighbour, or the news of an earlier one's end) is a lost one.
        with contextlib.suppress(OSError):
            self.socket.send(message)

    def listen(self) -> None:
        """Take all replies that have come."""
        while True:
            try:
                packet, extras, _, _ = self.socket.recvmsg(256, ANCILLARY_OCTETS)
            except BlockingIOError:
                return
            except OSError:
                # The pending error of an unanswered request; the next call reads on.
                continue
            if self.address.version == 4:
                packet = packet[(packet[0] & 0x0F) * 4 :]
            if len(packet) < _ECHO.size:
                continue
            kind, _, _, identifier, _, number = _ECHO.unpack_from(packet)
            expected = _ECHO_REPLY4 if self.address.version == 4 else _ECHO_REPLY6
            if kind == expected and identifier == self.identifier and number < len(self.sent):
                self.last_reply = self.replies.setdefault(number, received_at(extras))


class Prober:
    """Asks each address, from a host, in a thread of its own, within a ``with`` block."""

    def __init__(
        self,
        host: Host,
        addresses: Iterable[str | Address],
        *,
        interval_seconds: float = INTERVAL_SECONDS,
    ) -> None:
        self.interval_seconds = interval_seconds
        identifier = int.from_bytes(os.urandom(2), "big")
        self._targets = {
            address: _Target(host, address, identifier) for address in (ip_address(str(each)) for each in addresses)
        }
        self._delays: list[tuple[float, float]] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="prober", daemon=True)

    @property
    def addresses(self) -> list[Address]:
        return list(self._targets)

    def __enter__(self) -> Prober:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stopping.set()
        self._thread.join()
        for target in self._targets.values():
            target.socket.close()

    def answered(self, address: str | Address, since: float) -> bool:
        """Whether a request that was sent at ``since`` or later has been answered."""
        target = self._target(address)
        for number in range(len(target.sent) - 1, -1, -1):
            if target.sent[number] < since:
                return False
            if number in target.replies:
                return True
        return False

    def flowing(self, address: str | Address, for_seconds: float = 0.2) -> bool:
        """Whether every request of the last ``for_seconds`` has been answered, but for what is on its way."""
        target = self._target(address)
        now = time.time()
        asked = False
        for number in range(len(target.sent) - 1, -1, -1):
            age = now - target.sent[number]
            if age > for_seconds:
                break
            if age > 0.05:
                asked = True
                if number not in target.replies:
                    return False
        return asked

    def last_reply(self, address: str | Address) -> float | None:
        """When the newest reply came."""
        return self._target(address).last_reply

    def outages(self, address: str | Address, since: float = 0.0, until: float = float("inf")) -> list[Outage]:
        """The runs of lost requests of which the first left between ``since`` and ``until``. A request that nobody has
        answered yet is lost if one after it was answered, or when its patience is over."""
        target = self._target(address)
        found: list[Outage] = []
        run: list[float] = []
        last_reply: float | None = None
        now = time.time()

        def end(first_reply: float | None) -> None:
            if run and since <= run[0] <= until:
                found.append(Outage(target.address, last_reply, run[0], run[-1], first_reply, len(run)))
            run.clear()

        for number, sent in enumerate(target.sent):
            reply = target.replies.get(number)
            if reply is not None and reply - sent <= PATIENCE_SECONDS:
                end(reply)
                last_reply = reply
            else:
                run.append(sent)
        while run and now - run[-1] < PATIENCE_SECONDS:
            run.pop()
        end(None)
        return found

    def lost(self, address: str | Address, since: float = 0.0, until: float = float("inf")) -> int:
        return sum(outage.lost for outage in self.outages(address, since, until))

    def late(self, since: float = 0.0, until: float = float("inf")) -> float:
        """The longest time, in seconds, by which requests left later than their pace wants, because this machine was
        busy with something else: what was measured then is uncertain by as much."""
        return max((delay for at, delay in self._delays if since <= at <= until), default=0.0)

    def _target(self, address: str | Address) -> _Target:
        return self._targets[ip_address(str(address))]

    def _work(self) -> None:
        # What is measured is the others, not how long this thread waits for a processor.
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), -15)
        due = time.monotonic()
        with selectors.DefaultSelector() as ready:
            for target in self._targets.values():
                ready.register(target.socket, selectors.EVENT_READ, target)
            while not self._stopping.is_set():
                now = time.monotonic()
                if now >= due:
                    if now - due > self.interval_seconds:
                        self._delays.append((time.time(), now - due))
                    for target in self._targets.values():
                        target.ask()
                    # What was missed is not made up for: a burst would measure nothing.
                    due = max(due + self.interval_seconds, now)
                for key, _ in ready.select(max(0.0, due - time.monotonic())):
                    key.data.listen()
