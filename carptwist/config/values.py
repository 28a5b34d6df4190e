"""One value of a setting: text -> number, switch, address, phrase, path.

Each function takes the text without blanks around it and raises ``ValueError`` with the reason and
the remedy alone: the caller knows the place, the key, and whether the text may be shown.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from enum import Enum
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address
from typing import TypeVar

from carptwist.config.ranges import RANGES, StatusRange, group_name_fault, interface_name_fault, plugin_name_fault
from carptwist.config.reactions import FileMode, Hidden
from carptwist.config.schema import LONGEST_PHRASE, AddressWithPrefix, Dialect, Phrase, PlaneKind, ReplayMode, TlsListen

#: What an address on the web may be made of (RFC 3986), without the fragment, which never leaves the client.
_URL = re.compile(r"(https?)://([0-9a-z._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?([/?][!-~]*)?", re.IGNORECASE)
_STATUS = re.compile(r"([1-5][0-9][0-9])(?:\s*-\s*([1-5][0-9][0-9]))?")

#: Octets of a UNIX socket's path: sun_path without the closing zero.
LONGEST_SOCKET_PATH = 107

E = TypeVar("E", bound=Enum)

_SWITCH = {"yes": True, "on": True, "true": True, "1": True, "no": False, "off": False, "false": False, "0": False}
_NUMBER = re.compile(r"[+-]?[0-9]+")
_MASK_OF_DOTS = re.compile(r"[0-9]+(\.[0-9]+){3}")
_NO_NUMBER_IS_LONGER = 9


def switch(text: str) -> bool:
    """yes, on, true, 1 or no, off, false, 0, in any case."""
    try:
        return _SWITCH[text.lower()]
    except KeyError:
        raise ValueError("must be yes or no") from None


def number(name: str) -> Callable[[str], int]:
    """What reads the number ``name``, within its range in the schema."""
    lowest, highest = RANGES[name]

    def parse(text: str) -> int:
        if not _NUMBER.fullmatch(text):
            raise ValueError(f"must be a whole number, {lowest} to {highest}")
        # int() itself refuses thousands of digits, with a remedy that is none for an operator.
        if len(text.lstrip("+-0")) > _NO_NUMBER_IS_LONGER or not lowest <= int(text) <= highest:
            raise ValueError(f"must be {lowest} to {highest}")
        return int(text)

    return parse


def one_of(names: type[E]) -> Callable[[str], E]:
    """What reads one of the names of an enumeration."""

    def parse(text: str) -> E:
        try:
            return names(text)
        except ValueError:
            *others, last = (member.value for member in names)
            raise ValueError(f"must be {', '.join(others)} or {last}") from None

    return parse


plane = one_of(PlaneKind)
dialect = one_of(Dialect)
replay = one_of(ReplayMode)


def group(text: str) -> str:
    """The name of a group: a word that fits into a log line."""
    fault = group_name_fault(text)
    if fault is not None:
        raise ValueError(fault)
    return text


def plugin(text: str) -> str:
    """The name of a plug-in."""
    fault = plugin_name_fault(text)
    if fault is not None:
        raise ValueError(fault)
    return text


def text(text: str) -> str:
    """What somebody else understands: any characters that can be seen."""
    if not text.isprintable():
        raise ValueError("holds a control character")
    return text


def pattern(text: str) -> str:
    """A regular expression."""
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    return text


def url(text: str) -> str:
    """Where HTTP is spoken, such as https://[2001:db8::1]:8000/healthz."""
    if not re.match("https?://", text, re.IGNORECASE):
        raise ValueError("must begin with http:// or https://")
    if "#" in text:
        raise ValueError("what follows a # is never sent: leave it out")
    if "@" in text.split("/")[2]:
        raise ValueError("no user or password stands in the address: they would be sent to nobody")
    found = _URL.fullmatch(text)
    if found is None:
        raise ValueError("is no address such as http://127.0.0.1:8000/healthz, of ASCII characters without blanks")
    if found[3] and not 1 <= int(found[3][1:]) <= 65535:
        raise ValueError("the port must be 1 to 65535")
    return text


def hidden_url(text: str) -> Hidden:
    """An address on the web that is a secret itself."""
    return Hidden(url(text))


def hidden(text: str) -> Hidden:
    """A secret. No reason repeats any of it."""
    if not text.isprintable():
        raise ValueError("holds a control character")
    return Hidden(text)


def header(text: str) -> tuple[str, Hidden]:
    """A header of HTTP, ``Name: value``; its value is secret."""
    found = re.fullmatch(r"([A-Za-z0-9-]+): *([ -~]+)", text)
    if found is None:
        raise ValueError("must be a header such as Authorization: Bearer TOKEN, of ASCII characters")
    if found[1].lower() in ("host", "content-length", "content-type", "transfer-encoding", "connection"):
        raise ValueError("is a header that is set already")
    return found[1], Hidden(found[2])


def template(text: str) -> str:
    """JSON, in which variables will be replaced."""
    try:
        json.loads(text)
    except ValueError as error:
        raise ValueError(f"is no JSON: {error}") from None
    return text


def status(text: str) -> StatusRange:
    """HTTP status codes: one, or a range of them."""
    found = _STATUS.fullmatch(text)
    if found is None:
        raise ValueError("must be a status code, or two with a dash between them, such as 200-299")
    lowest, highest = int(found[1]), int(found[2] or found[1])
    if lowest > highest:
        raise ValueError(f"the lower one comes first: {highest}-{lowest}")
    return StatusRange(lowest, highest)


def interface(text: str) -> str:
    """The name of a network device."""
    fault = interface_name_fault(text)
    if fault is not None:
        raise ValueError(fault)
    return text


def path(text: str) -> str:
    """Any path. A zero octet would end it early for the kernel."""
    if "\0" in text:
        raise ValueError("a path holds no zero octet")
    return text


def command(text: str) -> str:
    """A command line, whose words :func:`words` takes apart."""
    if "\0" in text:
        raise ValueError("a command holds no zero octet")
    return text


def words(text: str) -> tuple[str, ...]:
    """The words of a command line, quoted as for sh(1).

    :raises ValueError: a quotation is not closed.
    """
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise ValueError(f"{str(error)[:1].lower()}{str(error)[1:]}") from None


def absolute_path(text: str) -> str:
    """A path that means the same wherever the daemon was started."""
    if not text.startswith("/"):
        raise ValueError("must be a whole path, from the first slash on")
    return path(text)


def socket_path(text: str) -> str:
    octets = len(absolute_path(text).encode(errors="replace"))
    if octets > LONGEST_SOCKET_PATH:
        raise ValueError(f"{octets} octets: the path of a UNIX socket has at most {LONGEST_SOCKET_PATH}")
    return text


def mode(text: str) -> FileMode:
    """Who may use a file: three octal digits, with a zero before them or without."""
    if not re.fullmatch("0?[0-7]{3}", text):
        raise ValueError("must be a mode as chmod(1) has it, such as 0660")
    return FileMode(int(text, 8))


def tls(text: str) -> TlsListen:
    """``ssl:port=8112:interface=192.0.2.2`` or ``ssl:8112``; a colon within a value has a backslash before it."""
    kind, *parts = re.split(r"(?<!\\):", text)
    given: dict[str, str] = {}
    for number, part in enumerate(parts):
        name, equals, value = part.partition("=")
        if not equals and number == 0:
            name, value = "port", part
        if name not in ("port", "interface") or name in given:
            raise ValueError("must be ssl:port=NUMBER or ssl:port=NUMBER:interface=ADDRESS")
        given[name] = value.replace("\\:", ":")
    port = given.get("port", "")
    if kind != "ssl" or not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise ValueError("must be ssl:port=NUMBER or ssl:port=NUMBER:interface=ADDRESS, the number 1 to 65535")
    interface = given.get("interface", "")
    if interface:
        try:
            interface = str(ip_address(interface))
        except ValueError:
            raise ValueError("interface= is an own address of this host, an IPv6 one with \\: for each colon") from None
    return TlsListen(int(port), interface)


def phrase(text: str) -> Phrase:
    """A pass phrase: at most 20 octets of UTF-8, none of them a control character. No reason repeats any of it."""
    if any((character < " " and character != "\t") or character == "\x7f" for character in text):
        raise ValueError("holds a control character")
    try:
        octets = text.encode()
    except UnicodeEncodeError:
        raise ValueError("is not text") from None
    if len(octets) > LONGEST_PHRASE:
        raise ValueError(
            f"{len(octets)} octets: a pass phrase has at most {LONGEST_PHRASE} (what follows it on the line, such as "
            "a comment, belongs to it)"
        )
    return Phrase(octets)


def address(text: str) -> AddressWithPrefix:
    """A shared address with the length of its network's prefix, such as 192.168.1.1/24 or 2001:db8:1::1/64."""
    if any(character in ", \t" for character in text):
        raise ValueError("one address: each further one has an indented line below to itself")
    host, slash, length = text.partition("/")
    if "%" in host:
        raise ValueError("the interface stands in the section's name: leave out the % and what follows it")
    ip = _ip(host)
    bits = ip.max_prefixlen
    if not slash:
        usual = 24 if ip.version == 4 else 64
        raise ValueError(f"no prefix length: write {ip}/{usual}, if {usual} is what the interface's own address has")
    if ip.version == 4 and _MASK_OF_DOTS.fullmatch(length):
        raise ValueError(_instead_of_mask(ip, length))
    if not re.fullmatch("[0-9]{1,3}", length) or not 1 <= int(length) <= bits:
        raise ValueError(f"the prefix length must be 1 to {bits}")
    whole = IPv4Interface(f"{ip}/{int(length)}") if ip.version == 4 else IPv6Interface(f"{ip}/{int(length)}")
    fault = address_fault(whole)
    if fault is not None:
        raise ValueError(fault)
    return whole


def address_fault(shared: AddressWithPrefix) -> str | None:
    """Why hosts cannot share this address, or None."""
    ip = shared.ip
    if ip.is_unspecified:
        return "the unspecified address belongs to nobody"
    if ip.is_loopback:
        return "a loopback address never leaves its host"
    if ip.is_multicast:
        return "a multicast address names a group, no host"
    if isinstance(ip, IPv4Address):
        if ip == IPv4Address("255.255.255.255"):
            return "the broadcast address belongs to everybody"
        # RFC 3021: a /31 has two hosts and neither a network nor a broadcast address.
        if shared.network.prefixlen <= 30:
            if ip == shared.network.network_address:
                return f"the address of the network {shared.network} itself, not of a host in it"
            if ip == shared.network.broadcast_address:
                return f"the broadcast address of the network {shared.network}"
    else:
        if ip.ipv4_mapped is not None:
            return f"an IPv4 address in IPv6 clothes: write {ip.ipv4_mapped}"
        # RFC 4291 2.6.1; RFC 6164 takes the /127 out.
        if shared.network.prefixlen <= 126 and ip == shared.network.network_address:
            return f"the anycast address of all routers of {shared.network} (RFC 4291 2.6.1)"
    return None


def _ip(text: str) -> IPv4Address | IPv6Address:
    try:
        return IPv6Address(text) if ":" in text else IPv4Address(text)
    except AddressValueError:
        raise ValueError(
            "no IPv4 or IPv6 address with its prefix length, such as 192.168.1.1/24 or 2001:db8:1::1/64"
        ) from None


def _instead_of_mask(ip: IPv4Address | IPv6Address, mask: str) -> str:
    try:
        length = IPv4Interface(f"{ip}/{mask}").network.prefixlen
    except ValueError:
        return "the prefix length must be 1 to 32"
    return f"a mask instead of a prefix length: write {ip}/{length}"
