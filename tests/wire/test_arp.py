"""ARP, against scapy's: what is read, what is refused, what is sent."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

from carptwist.wire import arp
from carptwist.wire.arp import Arp
from carptwist.wire.refusal import Cause, Refusal

MAC = bytes.fromhex("00005e000107")
CLIENT_MAC = bytes.fromhex("020000000005")
SHARED = bytes((192, 0, 2, 1))
CLIENT = bytes((192, 0, 2, 5))


def question(**fields: Any) -> Packet:
    """A client asks for the shared address."""
    asked = {"op": 1, "hwsrc": "02:00:00:00:00:05", "psrc": "192.0.2.5", "hwdst": "00:00:00:00:00:00"}
    return Ether(src="02:00:00:00:00:05", dst="ff:ff:ff:ff:ff:ff") / ARP(**{**asked, "pdst": "192.0.2.1", **fields})


def test_read() -> None:
    """A request as scapy writes it is read, padded to Ethernet's shortest frame or not."""
    asked = Arp(arp.REQUEST, CLIENT_MAC, CLIENT, bytes(6), SHARED, b"\xff" * 6, CLIENT_MAC)
    assert arp.read(bytes(question())) == asked
    assert arp.read(bytes(question()) + bytes(18)) == asked
    assert not asked.is_probe
    assert not asked.is_announcement
    assert arp.pack(asked) == bytes(question())


def test_reply() -> None:
    """The answer goes to the asker alone, from the MAC that it names."""
    asked = arp.read(bytes(question()))
    assert isinstance(asked, Arp)
    theirs = Ether(src="00:00:5e:00:01:07", dst="02:00:00:00:00:05") / ARP(
        op=2, hwsrc="00:00:5e:00:01:07", psrc="192.0.2.1", hwdst="02:00:00:00:00:05", pdst="192.0.2.5"
    )
    assert arp.reply(asked, MAC, SHARED) == bytes(theirs)


def test_probe() -> None:
    """A probe, from 0.0.0.0, is answered like any question: that defends the address."""
    probe = arp.read(arp.request(SHARED, CLIENT_MAC))
    assert probe == arp.read(bytes(question(psrc="0.0.0.0")))
    assert isinstance(probe, Arp)
    assert probe.is_probe
    answer = arp.read(arp.reply(probe, MAC, SHARED))
    assert answer == Arp(arp.REPLY, MAC, SHARED, CLIENT_MAC, bytes(4), CLIENT_MAC, MAC)


def test_request() -> None:
    """A question of our own is scapy's."""
    assert arp.request(SHARED, CLIENT_MAC, CLIENT) == bytes(question())


def test_gratuitous() -> None:
    """An announcement is a request for oneself, to everybody, from the MAC that it announces."""
    theirs = Ether(src="00:00:5e:00:01:07", dst="ff:ff:ff:ff:ff:ff") / ARP(
        op=1, hwsrc="00:00:5e:00:01:07", psrc="192.0.2.1", hwdst="00:00:00:00:00:00", pdst="192.0.2.1"
    )
    assert arp.gratuitous(SHARED, MAC) == bytes(theirs)
    said = arp.read(arp.gratuitous(SHARED, MAC))
    assert isinstance(said, Arp)
    assert said.is_announcement


@pytest.mark.parametrize("frame", [b"", bytes(13), bytes(42), bytes(question())[:12] + b"\x08\x00" + bytes(28)])
def test_none_of_ours(frame: bytes) -> None:
    """Everything that is not ARP is nobody's to count."""
    assert arp.read(frame) is None


WRONG_KIND = Refusal(Cause.HDROPS, "ARP is not for IPv4 over Ethernet")


@pytest.mark.parametrize(
    ("frame", "refusal"),
    [
        (bytes(question())[:14], Refusal(Cause.HDROPS, "ARP packet cut short")),
        (bytes(question())[:41], Refusal(Cause.HDROPS, "ARP packet cut short")),
        (bytes(question(hwtype=6)), WRONG_KIND),
        (bytes(question())[:16] + b"\x86\xdd" + bytes(question())[18:], WRONG_KIND),
        (bytes(question())[:18] + b"\x08" + bytes(question())[19:], WRONG_KIND),
        (bytes(question())[:19] + b"\x10" + bytes(question())[20:], WRONG_KIND),
        (bytes(question(op=0)), Refusal(Cause.HDROPS, "ARP is neither request nor reply", CLIENT)),
        (bytes(question(op=3)), Refusal(Cause.HDROPS, "ARP is neither request nor reply", CLIENT)),
        (bytes(question(hwsrc="ff:ff:ff:ff:ff:ff")), Refusal(Cause.HDROPS, "ARP sender MAC is a group", CLIENT)),
        (bytes(question(hwsrc="01:00:5e:00:00:12")), Refusal(Cause.HDROPS, "ARP sender MAC is a group", CLIENT)),
    ],
)
def test_refusals(frame: bytes, refusal: Refusal) -> None:
    """What is cut short, not IPv4 over Ethernet, of another operation, or from a group is refused."""
    assert arp.read(frame) == refusal


@pytest.mark.parametrize(("address", "mac"), [(bytes(16), MAC), (SHARED, bytes(5))])
def test_misuse(address: bytes, mac: bytes) -> None:
    """Addresses of another size are never sent."""
    with pytest.raises(ValueError, match="octets"):
        arp.gratuitous(address, mac)
