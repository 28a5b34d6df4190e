"""An observer in the switch: reads every frame at the port where it comes in, and so knows which host sent it.

It keeps the advertisements, and the frames from and about shared addresses and virtual MACs, with the kernel's
times; :mod:`carptwist.lab.rules` judges them. What an isolated port drops is seen here all the same.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import NamedTuple

from carptwist.lab.kerneltime import ANCILLARY_OCTETS, ask_for_times, received_at
from carptwist.lab.lan import Lan
from carptwist.pcap import Capture
from carptwist.wire import advertisement, arp, neighbor
from carptwist.wire.advertisement import Heard
from carptwist.wire.arp import Arp
from carptwist.wire.ethernet import ETHERTYPE_IPV4, ETHERTYPE_IPV6, format_mac
from carptwist.wire.neighbor import NeighborAdvertisement, Solicitation

Address = IPv4Address | IPv6Address

# linux/if_packet.h, linux/if_ether.h
_ETH_P_ALL = 0x0003
_SOL_PACKET = 263
_PACKET_STATISTICS = 6
_PACKET_IGNORE_OUTGOING = 23
_SO_RCVBUFFORCE = 33
_BUFFER_OCTETS = 16 << 20

_VIRTUAL_MACS = b"\x00\x00\x5e\x00\x01"


class Advertised(NamedTuple):
    """One advertisement on the wire: when, from which host, and what it said. ``at`` is in seconds since the epoch,
    ``interval`` in seconds; ``family`` is 4 or 6."""

    at: float
    host: str
    vhid: int
    family: int
    source: Address
    advbase: int
    advskew: int
    demote: int
    counter: int
    source_mac: str

    @property
    def interval(self) -> float:
        return self.advbase + self.advskew / 256

    @property
    def bows_out(self) -> bool:
        return self.advbase == 255 and self.advskew == 255


class Sighting(NamedTuple):
    """A frame whose Ethernet source is the virtual MAC of a vhid."""

    at: float
    host: str
    vhid: int
    what: str


class Claim(NamedTuple):
    """A frame that ties an address to a MAC, and by which of its fields."""

    at: float
    host: str
    address: Address
    mac: str
    field: str

    def __str__(self) -> str:
        return f"{self.host} tied {self.address} to {self.mac} by the {self.field}"


class Watcher:
    """Watches a LAN within a ``with`` block, in a thread of its own. ``shared`` are the addresses whose claims are
    kept; advertisements are kept of all vhids. With ``pcap`` all frames are written to that file."""

    def __init__(self, lan: Lan, shared: Iterable[str | Address] = (), *, pcap: Path | str | None = None) -> None:
        self.lan = lan
        self.shared = {ip_address(str(each)) for each in shared}
        self._shared = {address.packed: address for address in self.shared}
        self.advertisements: list[Advertised] = []
        self.sightings: list[Sighting] = []
        self.claims: list[Claim] = []
        self.frames = 0
        self._dropped = 0
        self._failure: BaseException | None = None
        self._capture = None if pcap is None else Capture(pcap)
        self._until = float("inf")
        # Given a protocol and not bound, it hears all interfaces of its namespace.
        self._socket = lan.namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        self._socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        ask_for_times(self._socket)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_OCTETS)
        with contextlib.suppress(PermissionError):
            # Root of a user namespace has to live with the machine's limit (net.core.rmem_max).
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_OCTETS)
        self._socket.settimeout(0.1)
        self._thread = threading.Thread(target=self._work, name="watcher", daemon=True)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Stop; all that was sent before is seen. A second call does nothing."""
        if self._until < float("inf"):
            return
        self._until = time.time()
        self._thread.join()
        self._count_dropped()
        self._socket.close()
        if self._capture is not None:
            self._capture.close()

    @property
    def dropped(self) -> int:
        """How many frames the kernel had no room to show. A rule that holds with some dropped has not been proved.

        :raises RuntimeError: if the watching itself has failed.
        """
        if self._failure is not None:
            raise RuntimeError("the watcher has failed") from self._failure
        if self._until == float("inf"):
            self._count_dropped()
        return self._dropped

    def heard(self, host: str | None = None, vhid: int | None = None, since: float = 0.0) -> list[Advertised]:
        """The advertisements of a host and a vhid, from ``since`` on, in the order of their times."""
        return [
            each
            for each in self.advertisements
            if each.at >= since and host in (None, each.host) and vhid in (None, each.vhid)
        ]

    def last(self, host: str, vhid: int | None = None, *, family: int | None = None) -> Advertised | None:
        """The newest advertisement of a host that is no bow-out."""
        for each in reversed(self.advertisements):
            if each.host == host and vhid in (None, each.vhid) and family in (None, each.family) and not each.bows_out:
                return each
        return None

    def master(self, vhid: int) -> str | None:
        """The host that was the last to advertise a vhid, unless it has bowed out since, or has been silent for
        longer than three of its intervals."""
        for each in reversed(self.advertisements):
            if each.vhid == vhid:
                if each.bows_out or time.time() - each.at > 3 * each.interval + 0.1:
                    return None
                return each.host
        return None

    def _count_dropped(self) -> None:
        _, dropped = struct.unpack("=II", self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
        self._dropped += dropped  # reading sets the kernel's counter to zero

    def _work(self) -> None:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), -10)
        hosts: dict[str, str] = {}
        try:
            while True:
                try:
                    frame, extras, _, sender = self._socket.recvmsg(65536, ANCILLARY_OCTETS)
                except TimeoutError:
                    if self._until < float("inf"):
                        return
                    continue
                at = received_at(extras)
                if at > self._until:
                    return
                port = sender[0]
                if port not in hosts:
                    hosts.update({each.name: host for host, each in self.lan.ports.items()})
                host = hosts.get(port)
                # The bridge shows what it passes up to its own stack a second time.
                if host is not None:
                    self._note(at, host, frame)
        except BaseException as error:
            self._failure = error
            raise

    def _note(self, at: float, host: str, frame: bytes) -> None:
        self.frames += 1
        if self._capture is not None:
            self._capture.write(at, frame)
        said = advertisement.read(frame)
        if isinstance(said, Heard):
            body = said.advertisement
            self.advertisements.append(
                Advertised(
                    at,
                    host,
                    body.vhid,
                    said.family,
                    ip_address(said.source),
                    body.advbase,
                    body.advskew,
                    body.demote,
                    body.counter,
                    format_mac(said.source_mac),
                )
            )
        if frame[6:11] == _VIRTUAL_MACS:
            what = "an advertisement" if isinstance(said, Heard) else f"a frame of type {frame[12:14].hex()}"
            self.sightings.append(Sighting(at, host, frame[11], what))
        for address, mac, field in claims_in(frame):
            known = self._shared.get(address)
            if known is not None:
                self.claims.append(Claim(at, host, known, format_mac(mac), field))


def claims_in(frame: bytes) -> list[tuple[bytes, bytes, str]]:
    """What a frame says about who has which address: packed address, MAC, and the field that says so."""
    source_mac = frame[6:12]
    ethertype = int.from_bytes(frame[12:14], "big")
    if ethertype == ETHERTYPE_IPV4:
        return [(frame[26:30], source_mac, "Ethernet source of an IPv4 packet")]
    asked = arp.read(frame)
    if isinstance(asked, Arp):
        found = [
            (asked.sender, asked.sender_mac, "sender of an ARP packet"),
            (asked.sender, source_mac, "Ethernet source of an ARP packet"),
        ]
        if asked.is_announcement and asked.target_mac not in (bytes(6), b"\xff" * 6):
            found.append((asked.target, asked.target_mac, "target of an ARP announcement"))
        return found
    if ethertype != ETHERTYPE_IPV6:
        return []
    found = [(frame[22:38], source_mac, "Ethernet source of an IPv6 packet")]
    told = neighbor.read(frame)
    if isinstance(told, Solicitation) and told.link_address:
        found.append((told.source, told.link_address, "source link-layer option of a solicitation"))
    elif isinstance(told, NeighborAdvertisement):
        found.append((told.target, source_mac, "Ethernet source of a neighbour advertisement"))
        if told.link_address:
            found.append((told.target, told.link_address, "target link-layer option of an advertisement"))
    return found
