"""The words of ifconfig(8) and sysctl(8) that are about CARP, as values.

::

    vhid 1 advskew 100 pass PHRASE 192.168.1.1/24     ->  IfconfigChange(vhid=1, advskew=100, …)
    net.inet.carp.preempt=1                           ->  Assignment("preempt", "1")

Pure: nothing here knows a host, a daemon or the time. The words are those of FreeBSD's ifconfig(8) since 10, in any
order, as it takes them. What belongs to the carp(4) pseudo-interface of before is answered with the modern form.

No reason that is given ever repeats a word which may be a pass phrase, or a piece of one: once ``pass`` was among the
words, a word that is not understood is told by its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, ip_address
from typing import Any, NamedTuple

from carptwist.config import values
from carptwist.config.ranges import interface_name_fault
from carptwist.config.schema import AddressWithPrefix, Phrase
from carptwist.election.state import State

PREFIX = "net.inet.carp."

_PSEUDO_INTERFACE = re.compile(r"carp[0-9]+")
_NUMBERS = ("vhid", "advbase", "advskew")
_OLD_WORDS = ("create", "destroy", "carpdev", "carppeer", "carpnodes", "balancing")
_SAID = {"phrase": "pass", "peers": "peer", "peers6": "peer6"}
_STATES = {"master": State.MASTER, "backup": State.BACKUP}


class GrammarError(ValueError):
    """These are not words of ifconfig(8) or sysctl(8) for CARP. The text says what is wrong, and never a phrase."""


@dataclass(frozen=True)
class IfconfigChange:
    """What the words want changed; None or empty is what they are silent about.

    ``remove``: the whole vhid goes. ``removed``: addresses that go, of whichever vhid has them if ``vhid`` is None.
    """

    vhid: int | None = None
    remove: bool = False
    addresses: tuple[AddressWithPrefix, ...] = ()
    removed: tuple[IPv4Address | IPv6Address, ...] = ()
    advbase: int | None = None
    advskew: int | None = None
    phrase: Phrase | None = None
    state: State | None = None
    peers: tuple[IPv4Address, ...] | None = None
    peers6: tuple[IPv6Address, ...] | None = None

    def settings(self) -> dict[str, Any]:
        """What is to change, under the names of :class:`carptwist.config.schema.VirtualHostConfig`, but for addresses
        and phrase."""
        given = {name: getattr(self, name) for name in ("advbase", "advskew", "peers", "peers6")}
        return {name: value for name, value in given.items() if value is not None}


class Assignment(NamedTuple):
    """``NAME`` or ``NAME=VALUE``. ``name`` is short: without ``net.inet.carp.``."""

    name: str
    value: str | None


def ifconfig(interface: str, words: Sequence[str]) -> IfconfigChange:
    """What ``ifconfig INTERFACE WORDS`` wants; there is at least one word.

    :raises GrammarError: it cannot be understood, or asks for nothing.
    """
    if _PSEUDO_INTERFACE.fullmatch(interface) or any(word in _OLD_WORDS for word in words):
        raise GrammarError(_modern_form(interface, words))
    fault = interface_name_fault(interface)
    if fault is not None:
        raise GrammarError(f"interface {interface!r}: {fault}")
    reader = _Reader(words)
    while reader.more:
        reader.take()
    return reader.finish()


def sysctl(word: str) -> Assignment:
    """``net.inet.carp.preempt`` or ``net.inet.carp.preempt=1``.

    :raises GrammarError: it names nothing of CARP.
    """
    name, equals, value = word.partition("=")
    name = name.strip()
    if not name.startswith(PREFIX) or name == PREFIX:
        raise GrammarError(f"unknown oid '{name}': what is known begins with {PREFIX} (sysctl -a lists it)")
    if equals and not value.strip():
        raise GrammarError(f"{name}= has no value")
    return Assignment(name.removeprefix(PREFIX), value.strip() if equals else None)


def virtual_host_name(text: str) -> tuple[int, str]:
    """The number and the interface of ``VHID@INTERFACE``.

    :raises GrammarError: it is none.
    """
    number, at, interface = text.partition("@")
    if not at or interface_name_fault(interface) is not None:
        raise GrammarError(f"{text!r} names no virtual host: write VHID@INTERFACE, as 1@em0")
    try:
        return values.number("vhid")(number), interface
    except ValueError as error:
        raise GrammarError(f"{text!r}: the vhid {error}") from None


class _Reader:
    """Takes words from the left, and gathers what they want."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = list(words)
        self._at = 0
        self._change = IfconfigChange()
        self._given: list[tuple[AddressWithPrefix | None, IPv4Address | IPv6Address]] = []
        self._why_not_shared: list[str] = []
        self._delete = False
        self._secret = False

    @property
    def more(self) -> bool:
        return self._at < len(self._words)

    def take(self) -> None:
        word = self._next()
        if word in _NUMBERS:
            self._set(word, self._understand(word, values.number(word)))
        elif word == "-vhid":
            self._set("vhid", self._understand("-vhid", values.number("vhid")))
            self._change = replace(self._change, remove=True)
        elif word == "pass":
            self._secret = True
            self._set("phrase", self._understand("pass", values.phrase))
        elif word == "state":
            self._set("state", self._understand("state", _state))
        elif word == "peer":
            self._set("peers", (self._understand("peer", _ipv4),))
        elif word == "peer6":
            self._set("peers6", (self._understand("peer6", _ipv6),))
        elif word in ("mcast", "mcast6"):
            self._set("peers6" if word == "mcast6" else "peers", ())
        elif word in ("-alias", "delete", "remove"):
            self._delete = True
        elif word in ("add", "alias"):
            pass
        elif word in ("inet", "inet6"):
            self._address(self._argument(word))
        elif word in ("up", "down"):
            raise GrammarError(
                f"{word}: carptwist does not set interfaces up or down: ip link set dev INTERFACE {word}"
            )
        elif word == "-k":
            raise GrammarError("-k: pass phrases are never shown")
        else:
            self._address(word)

    def finish(self) -> IfconfigChange:
        change = self._change
        if self._delete and not self._given:
            if change.vhid is None:
                raise GrammarError("delete: name an address, or a virtual host as vhid NUMBER")
            change = replace(change, remove=True)
        elif self._delete:
            change = replace(change, removed=tuple(ip for _, ip in self._given))
        else:
            if self._why_not_shared:
                raise GrammarError(self._why_not_shared[0])
            change = replace(change, addresses=tuple(shared for shared, _ in self._given if shared is not None))
        others = replace(change, vhid=None, remove=False, removed=())
        if change.remove and (others != IfconfigChange() or change.removed):
            raise GrammarError("a virtual host that is removed can be given nothing else")
        if change.vhid is None and others != IfconfigChange():
            raise GrammarError("vhid NUMBER is missing: which virtual host is meant?")
        if change == IfconfigChange():
            raise GrammarError("vhid NUMBER is missing: which virtual host is meant?")
        if change.state is not None and replace(others, state=None) != IfconfigChange():
            raise GrammarError("state: give it alone, with vhid NUMBER")
        return change

    def _next(self) -> str:
        word = self._words[self._at]
        self._at += 1
        return word

    def _argument(self, of: str) -> str:
        if not self.more:
            raise GrammarError(f"{of}: what is to follow it is missing")
        return self._next()

    def _understand(self, word: str, parse: Any) -> Any:
        text = self._argument(word)
        try:
            return parse(text)
        except ValueError as error:
            shown = "" if word == "pass" else f" {text}"
            raise GrammarError(f"{word}{shown}: {error}") from None

    def _set(self, name: str, value: Any) -> None:
        if getattr(self._change, name) is not None:
            raise GrammarError(f"{_SAID.get(name, name)} is given twice")
        self._change = replace(self._change, **{name: value})

    def _address(self, text: str) -> None:
        host, slash, length = text.partition("/")
        place = self._at
        try:
            plain = ip_address(host)
        except ValueError:
            if self._secret:
                raise GrammarError(
                    f"word {place} is not understood (a pass phrase with blanks needs quotation marks)"
                ) from None
            raise GrammarError(
                f"{text!r} is not understood: expected vhid, advbase, advskew, pass, state, peer, peer6, mcast, "
                "mcast6, -vhid, delete, or an address as 192.168.1.1/24"
            ) from None
        if isinstance(plain, IPv6Address) and plain.scope_id is not None:
            plain = IPv6Address(host.partition("%")[0])
        if self.more and self._words[self._at] in ("netmask", "prefixlen") and not slash:
            length = _length(self._next(), self._argument("netmask or prefixlen"), plain)
        if self.more and self._words[self._at] == "broadcast":
            self._next()
            self._argument("broadcast")
        try:
            self._given.append((values.address(f"{plain}/{length}" if length else str(plain)), plain))
        except ValueError as error:
            self._given.append((None, plain))
            self._why_not_shared.append(f"{text}: {error}")


def _state(text: str) -> State:
    try:
        return _STATES[text.lower()]
    except KeyError:
        raise ValueError("must be master or backup") from None


def _ipv4(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except ValueError:
        raise ValueError("is no IPv4 address") from None


def _ipv6(text: str) -> IPv6Address:
    try:
        return IPv6Address(text)
    except ValueError:
        raise ValueError("is no IPv6 address") from None


def _length(word: str, text: str, ip: IPv4Address | IPv6Address) -> str:
    """The prefix length of ``netmask 255.255.255.0``, ``netmask 0xffffff00`` or ``prefixlen 64``."""
    try:
        if word == "prefixlen":
            return str(int(text))
        mask = str(IPv4Address(int(text, 16))) if text.lower().startswith("0x") else text
        return str(IPv4Interface(f"{ip}/{mask}").network.prefixlen)
    except ValueError:
        raise GrammarError(f"{word} {text}: is none") from None


def _modern_form(interface: str, words: Sequence[str]) -> str:
    """The words of 2005, ``ifconfig carp0 …``, as they are said today."""
    kept = dict(_pairs(words))
    device = kept.get("carpdev", "em0" if _PSEUDO_INTERFACE.fullmatch(interface) else interface)
    said = [f"carpctl ifconfig {device} vhid {kept.get('vhid', '1')}"]
    said += [f"{word} {kept[word]}" for word in ("advbase", "advskew") if word in kept]
    if "pass" in kept or "vhid" not in kept:
        said.append("pass PHRASE")
    said += kept.get("addresses", "192.168.1.1/24").split()
    if "destroy" in words:
        said = [f"carpctl ifconfig {device} -vhid {kept.get('vhid', '1')}"]
    return (
        f"{interface}: there is no carp(4) pseudo-interface any more, as in FreeBSD since 10: name the interface on "
        f"whose LAN the addresses are, as in: {' '.join(said)}"
    )


def _pairs(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    addresses = []
    rest = iter(words)
    for word in rest:
        if word == "pass":
            next(rest, None)
            yield word, ""
        elif word in (*_NUMBERS, "carpdev"):
            argument = next(rest, "")
            if argument.isalnum():
                yield word, argument
        else:
            try:
                ip_address(word.partition("/")[0])
            except ValueError:
                continue
            addresses.append(word)
    if addresses:
        yield "addresses", " ".join(addresses)
