"""MAC addresses: of groups, and as people write them."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from carptwist.wire.ethernet import checked_mac, format_mac, is_group, multicast_mac, parse_mac


@pytest.mark.parametrize(
    ("group", "mac"),
    [
        ("224.0.0.18", "01:00:5e:00:00:12"),
        # 23 bits of the group alone make it (RFC 1112).
        ("239.255.255.250", "01:00:5e:7f:ff:fa"),
        ("ff02::12", "33:33:00:00:00:12"),
        ("ff02::1:ff34:5678", "33:33:ff:34:56:78"),
    ],
)
def test_multicast(group: str, mac: str) -> None:
    """A group's MAC is computed as RFC 1112 and RFC 2464 say."""
    assert format_mac(multicast_mac(ip_address(group).packed)) == mac
    assert is_group(parse_mac(mac))


@pytest.mark.parametrize("octets", [ip_address("192.0.2.1").packed, ip_address("2001:db8::1").packed, b"", b"\xe0"])
def test_unicast_has_no_multicast_mac(octets: bytes) -> None:
    """Only a group has one: a peer's MAC must be known."""
    with pytest.raises(ValueError, match="not a packed multicast address"):
        multicast_mac(octets)


@pytest.mark.parametrize("text", ["00:00:5e:00:01:07", "0:0:5E:0:1:7", "00-00-5e-00-01-07"])
def test_parse(text: str) -> None:
    """What ifconfig(8), ip(8) and Windows write is read."""
    mac = parse_mac(text)
    assert mac == bytes.fromhex("00005e000107")
    assert not is_group(mac)
    assert format_mac(mac) == "00:00:5e:00:01:07"


@pytest.mark.parametrize(
    "text", ["", "00:00:5e:00:01", "00:00:5e:00:01:07:08", "00:00-5e:00:01:07", "00005e000107", "g0:00:5e:00:01:07"]
)
def test_not_a_mac(text: str) -> None:
    """Anything else is refused, with what it was."""
    with pytest.raises(ValueError, match="not a MAC address"):
        parse_mac(text)


def test_length() -> None:
    """A MAC of another length is misuse, and named."""
    assert checked_mac("peer", bytes(6)) == bytes(6)
    with pytest.raises(ValueError, match="peer: 5 octets"):
        checked_mac("peer", bytes(5))
