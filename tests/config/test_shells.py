"""[manhole]: what is refused before anybody listens anywhere."""

from __future__ import annotations

import pytest

from carptwist.config.reader import ConfigurationError, read
from carptwist.config.shells import ManholeConfig, Place, place

BASE = "[vhid 1@em0]\naddress = 192.0.2.1/24\npass = x\n[manhole]\n"
TELNET = "passwd = /etc/carptwist/passwd\n"
SSH = "authorized_keys = /etc/carptwist/keys\nhost_key = /etc/carptwist/key\n"


def refusal(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(BASE + text, "carp.ini", str)
    return [str(error) for error in caught.value.errors]


def test_off_unless_configured() -> None:
    """Without the section, and without a place in it."""
    assert read(BASE, "carp.ini", str).configuration.manhole == ManholeConfig()
    assert read(BASE + TELNET + SSH, "carp.ini", str).configuration.manhole.telnet is None


@pytest.mark.parametrize(
    "where",
    ["tcp:6023:interface=127.0.0.1", "tcp:6023:interface=127.1.2.3", r"tcp:6023:interface=\:\:1", "unix:/run/x"],
)
def test_telnet_stays_on_this_host(where: str) -> None:
    """Loopback, or a UNIX socket."""
    told = read(f"{BASE}telnet = {where}\n{TELNET}", "carp.ini", str).configuration.manhole.telnet
    assert str(told) == where


@pytest.mark.parametrize(
    "where", ["tcp:6023", "tcp:6023:interface=192.0.2.1", "tcp:6023:interface=0.0.0.0", r"tcp:6023:interface=\:\:"]
)
def test_telnet_is_refused_on_anything_else(where: str) -> None:
    """With the line and the remedy; a program that builds its own configuration is refused as well."""
    (error,) = refusal(f"telnet = {where}\n{TELNET}")
    assert error.startswith(f"carp.ini:5: [manhole] telnet = {where}: telnet carries pass phrases in the clear: only ")
    with pytest.raises(ValueError, match="must be on loopback or a UNIX socket"):
        ManholeConfig(telnet=place(where), passwd="/x")


@pytest.mark.parametrize(
    "where",
    ["6022", "tcp:0", "tcp:65536", "tcp:x", "tcp:22:interface=host", "ssl:22", "unix:relative", "tcp:22:backlog=5", ""],
)
def test_what_is_no_place(where: str) -> None:
    """Each with its reason."""
    with pytest.raises(ValueError, match=r"must be|UNIX socket"):
        place(where)


def test_places() -> None:
    """SSH may be anywhere."""
    assert place("tcp:6022") == Place("tcp:6022", port=6022)
    assert place("tcp:6022:interface=192.0.2.1").interface == "192.0.2.1"
    assert place(r"tcp:6022:interface=2001\:db8\:\:1").interface == "2001:db8::1"
    assert place("unix:/run/x").path == "/run/x"
    assert not place("tcp:6022").stays_here


def test_what_a_place_needs() -> None:
    """Who may come, and whom they find."""
    assert refusal("telnet = unix:/run/x\n") == [
        "carp.ini:4: [manhole] telnet needs passwd: the file with names and pass phrases, which carptwist passwd makes"
    ]
    assert refusal("ssh = tcp:6022\nhost_key = /x\n") == [
        "carp.ini:4: [manhole] ssh needs authorized_keys and host_key: who may come, and whom they find"
    ]
    # One mistake is told once.
    assert len(refusal("ssh = tcp:6022\nhost_key = x\nauthorized_keys = /x\n")) == 1


@pytest.mark.parametrize("path", ["/etc/passwd", "/etc/shadow", "/etc//passwd", "//etc/passwd"])
def test_never_the_systems_own_pass_phrases(path: str) -> None:
    """Whatever the key is."""
    (error,) = refusal(f"telnet = unix:/run/x\npasswd = {path}\n")
    assert "the pass phrases of the operating system are not asked for here" in error
