"""What a configuration says, as values: frozen, checked, and free of the operating system.

The defaults are those of FreeBSD's ``net.inet.carp`` sysctls and of ifconfig(8). A value of these
classes is always complete and within its ranges: :mod:`carptwist.config.reader` refuses everything
else, and an embedding program that builds one by hand gets a ``ValueError`` that names the field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Final, NamedTuple

from carptwist.config.shells import ManholeConfig
from carptwist.config.unicast import HostAddress, faults, host_fault

AddressWithPrefix = IPv4Interface | IPv6Interface

DEFAULT_STATE_DIR = "/var/lib/carptwist"
DEFAULT_CONTROL_SOCKET = "/run/carptwist/control.sock"
DEFAULT_DEVD_SOCKET = "/run/carptwist/devd.pipe"
DEFAULT_SYNC_SOCKET = "/run/carptwist/sync.sock"

#: Octets of the HMAC key. A longer phrase is refused, a phrase of exactly this length warned about.
LONGEST_PHRASE = 20

#: Octets of an interface's name: the kernel's IFNAMSIZ without the closing zero.
LONGEST_INTERFACE_NAME = 15

#: Lowest and highest value of every number.
RANGES: Final[Mapping[str, tuple[int, int]]] = {
    "vhid": (1, 255),
    "advbase": (0, 255),
    "advskew": (0, 254),
    "dscp": (0, 63),
    "log": (0, 7),
    "ifdown_demotion_factor": (0, 255),
    "senderr_demotion_factor": (0, 255),
    "recorder": (0, 4096),
    "timeout": (1, 3600),
    "demote": (0, 255),
    "startup": (0, 3600),
    "interval": (1, 3600),
    "rise": (1, 100),
    "fall": (1, 100),
}


class PlaneKind(Enum):
    """How a MASTER holds its addresses.

    :cvar MACVLAN: on a device of their own, with the virtual MAC
    :cvar INTERFACE: on the interface itself, with its own MAC
    :cvar NONE: not at all
    :cvar PLUGIN: as a plug-in does it
    """

    MACVLAN = "macvlan"
    INTERFACE = "interface"
    NONE = "none"
    PLUGIN = "plugin"


class Dialect(Enum):
    """Whose CARP the other nodes of a vhid speak.

    :cvar FREEBSD: FreeBSD's, also of pfSense, OPNsense, NetBSD and carptwist
    :cvar OPENBSD: OpenBSD's: demotion is compared before anything else
    :cvar UCARP: that of ucarp, with exactly one IPv4 address
    """

    FREEBSD = "freebsd"
    OPENBSD = "openbsd"
    UCARP = "ucarp"


class ReplayMode(Enum):
    """What becomes of an advertisement that was heard before.

    :cvar OFF: it is not noticed
    :cvar OBSERVE: it is counted and told
    :cvar ENFORCE: it is refused
    """

    OFF = "off"
    OBSERVE = "observe"
    ENFORCE = "enforce"


@dataclass(frozen=True)
class Phrase:
    """A pass phrase, at most 20 octets. It never shows itself, whoever prints it.

    :ivar octets: as they sign, at most 20; shorter ones are filled up with zeros
    """

    octets: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.octets) > LONGEST_PHRASE:
            raise ValueError(f"pass: {len(self.octets)} octets: at most {LONGEST_PHRASE}")

    def __str__(self) -> str:
        return "Phrase(…)"


def _within(**numbers: int) -> None:
    for name, value in numbers.items():
        lowest, highest = RANGES[name]
        if not lowest <= value <= highest:
            raise ValueError(f"{name} = {value}: must be {lowest} to {highest}")


def interface_name_fault(name: str) -> str | None:
    """Why no network device can have this name, or None: the kernel's ``dev_valid_name``, and nothing invisible."""
    if not name:
        return "the name of the interface is missing"
    if name in (".", "..") or any(character in "/:" or character.isspace() for character in name):
        return "an interface's name holds no slash, colon or space, and is not a dot or two"
    if not name.isprintable():
        return "an interface's name holds printable characters only"
    if len(name.encode()) > LONGEST_INTERFACE_NAME:
        return f"an interface's name has at most {LONGEST_INTERFACE_NAME} characters"
    return None


def group_name_fault(name: str) -> str | None:
    """Why no group of virtual hosts can have this name, or None."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}", name):
        return "must be 1 to 32 letters, digits, dots, hyphens and underscores, a letter or digit first"
    return None


def plugin_name_fault(name: str) -> str | None:
    """Why no plug-in can have this name, or None."""
    return group_name_fault(name)


def plugin_fault(plugin: str | None, argument: tuple[str, ...]) -> str | None:
    """Why a plug-in cannot be asked for like this, with the key before a colon, or None."""
    if plugin is None:
        return "argument: of use with plugin alone, which is missing" if argument else None
    fault = plugin_name_fault(plugin)
    return f"plugin = {plugin}: {fault}" if fault is not None else None


def plane_fault(plane: PlaneKind, plugin: str | None) -> str | None:
    """Why a plane and the name of a plug-in do not go together, with the key before a colon, or None."""
    if plane is PlaneKind.PLUGIN and plugin is None:
        return "plane = plugin: plugin is missing: the name of the one that holds the addresses"
    if plane is not PlaneKind.PLUGIN and plugin is not None:
        return f"plugin = {plugin}: of use with plane = plugin alone"
    return None


@dataclass(frozen=True)
class Knobs:
    """The host-wide settings, under the names of the sysctls ``net.inet.carp.*``.

    :ivar allow: whether anything is sent, heard and held at all
    :ivar preempt: whether a BACKUP takes over from a slower master that is well
    :ivar dscp: of the IP header of advertisements, 0 to 63
    :ivar log: 0 to 7: nothing, changes of state and demotion, from 2 on what is refused as well
    :ivar ifdown_demotion_factor: added to the demotion for each vhid whose interface is down, 0 to 255
    :ivar senderr_demotion_factor: added after three advertisements in a row that could not be sent, 0 to 255
    :ivar state_dir: the directory of what outlives the process, from the root on
    :ivar arpbalance: whether several vhids of an interface may divide the clients of an IPv4 address
    :ivar ndbalance: the same with IPv6
    :ivar guard: whether a small process bows out if this one dies or hangs
    :ivar expire: whether the addresses of a MASTER expire unless they are refreshed
    :ivar recorder: how long the file of the flight recorder becomes at most, in MiB, 0 to 4096; 0: there is none
    """

    allow: bool = True
    preempt: bool = False
    dscp: int = 56
    log: int = 1
    ifdown_demotion_factor: int = 240
    senderr_demotion_factor: int = 240
    state_dir: str = DEFAULT_STATE_DIR
    arpbalance: bool = False
    ndbalance: bool = False
    guard: bool = True
    expire: bool = True
    recorder: int = 16

    def __post_init__(self) -> None:
        _within(
            dscp=self.dscp,
            log=self.log,
            ifdown_demotion_factor=self.ifdown_demotion_factor,
            senderr_demotion_factor=self.senderr_demotion_factor,
            recorder=self.recorder,
        )


def dialect_fault(dialect: Dialect, addresses: tuple[AddressWithPrefix, ...]) -> str | None:
    """Why these addresses cannot be shared in a dialect, or None."""
    if dialect is Dialect.UCARP and [address.version for address in addresses] != [4]:
        return "ucarp shares exactly one IPv4 address in each virtual host"
    return None


@dataclass(frozen=True)
class VirtualHostConfig:
    """One ``[vhid N@IF]`` section.

    advbase is in seconds, advskew in 1/256 s. ``phrases``: the first signs, all verify; without any
    the key is twenty zero octets, as in the kernels. With ``peers`` (IPv4) or ``peers6`` the advertisements of
    that family go to those hosts alone, and come from them alone. ``sources``: the own addresses to send from, one
    of each family at most. ``group``: the vhids of a host that have the same one move together. ``plugin`` names what
    holds the addresses where ``plane`` is PLUGIN, and ``argument`` is what that is told, a text a line.

    :ivar vhid: 1 to 255, the same on all hosts that share the addresses
    :ivar interface: on whose LAN the hosts are; one that is not there yet is waited for
    :ivar addresses: with the lengths of their networks' prefixes, IPv4 and IPv6
    :ivar phrases: the first signs, all verify
    :ivar advbase: seconds, 0 to 255
    :ivar advskew: 1/256 s, 0 to 254; above 240 it counts as 240
    :ivar plane: how a MASTER holds the addresses
    :ivar dialect: whose CARP the others speak
    :ivar replay: what becomes of advertisements that were heard before
    :ivar group: a name, or None
    :ivar peers: unicast IPv4, none for multicast
    :ivar peers6: unicast IPv6, none for multicast
    :ivar sources: own addresses to send from, one of each family at most
    :ivar plugin: of the plane, with PlaneKind.PLUGIN alone
    :ivar argument: of the plug-in, a text a line
    """

    vhid: int
    interface: str
    addresses: tuple[AddressWithPrefix, ...]
    phrases: tuple[Phrase, ...] = ()
    advbase: int = 1
    advskew: int = 0
    plane: PlaneKind = PlaneKind.MACVLAN
    dialect: Dialect = Dialect.FREEBSD
    replay: ReplayMode = ReplayMode.ENFORCE
    group: str | None = None
    peers: tuple[IPv4Address, ...] = ()
    peers6: tuple[IPv6Address, ...] = ()
    sources: tuple[HostAddress, ...] = ()
    plugin: str | None = None
    argument: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _within(vhid=self.vhid, advbase=self.advbase, advskew=self.advskew)
        fault = interface_name_fault(self.interface)
        if fault is not None:
            raise ValueError(f"interface = {self.interface}: {fault}")
        fault = dialect_fault(self.dialect, self.addresses)
        if fault is not None:
            raise ValueError(f"dialect = {self.dialect.value}: {fault}")
        fault = group_name_fault(self.group) if self.group is not None else None
        if fault is not None:
            raise ValueError(f"group = {self.group}: {fault}")
        fault = plugin_fault(self.plugin, self.argument) or plane_fault(self.plane, self.plugin)
        if fault is not None:
            raise ValueError(fault)
        for key, given in (("peer", self.peers), ("peer6", self.peers6), ("source", self.sources)):
            for each in given:
                fault = host_fault(each)
                if fault is not None:
                    raise ValueError(f"{key} = {each}: {fault}")
        for wrong in faults(self.addresses, self.peers, self.peers6, self.sources):
            raise ValueError(f"{wrong.key}: {wrong.reason}")

    def peers_of(self, family: int) -> tuple[HostAddress, ...]:
        """The peers of a family, 4 or 6; without any, advertisements of it go to the multicast group."""
        return self.peers if family == 4 else self.peers6

    def source_of(self, family: int) -> HostAddress | None:
        """The own address that advertisements of a family must leave from; None: any."""
        return next((source for source in self.sources if source.version == family), None)

    @property
    def name(self) -> str:
        """``VHID@INTERFACE``, as devd(8) calls the subsystem."""
        return f"{self.vhid}@{self.interface}"


@dataclass(frozen=True)
class LinkConfig:
    """One ``[link INTERFACE]`` section: by which plug-in frames enter and leave there, and what that is told. Without
    one they do by packet sockets of this host.

    :ivar name: of the interface
    :ivar plugin: by which frames enter and leave; None: packet sockets
    :ivar argument: of the plug-in, a text a line
    """

    name: str
    plugin: str | None = None
    argument: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        fault = interface_name_fault(self.name) or plugin_fault(self.plugin, self.argument)
        if fault is not None:
            raise ValueError(fault)


@dataclass(frozen=True)
class HookConfig:
    """One ``[hook NAME]`` section: exactly one of ``action`` and ``plugin``.

    ``match`` and ``type`` are regular expressions.

    :ivar name: of the section
    :ivar action: a command's words, or with ``shell`` one text
    :ivar match: over all of ``VHID@INTERFACE``
    :ivar type: over all of the new state
    :ivar timeout: seconds, 1 to 3600
    :ivar shell: whether /bin/sh reads the action
    :ivar plugin: that reacts instead
    :ivar argument: of the plug-in, a text a line
    """

    name: str
    action: tuple[str, ...] = ()
    match: str = ".*"
    type: str = ".*"
    timeout: int = 10
    shell: bool = False
    plugin: str | None = None
    argument: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _within(timeout=self.timeout)
        if self.plugin is not None and (self.action or self.shell):
            raise ValueError(f"{'action' if self.action else 'shell'}: together with plugin: leave one of them")
        fault = plugin_fault(self.plugin, self.argument)
        if fault is not None:
            raise ValueError(fault)
        if self.plugin is None and (not self.action or not self.action[0]):
            raise ValueError("action: there is no command")


@dataclass(frozen=True)
class SyncConfig:
    """One ``[sync NAME]`` section: a program that synchronises state tables.

    ``demote`` is in 1/256 s, as demotion is; ``startup`` in seconds, 0: the host does not begin demoted.

    :ivar name: what the program calls itself
    :ivar unix: the path of the socket, from the root on
    :ivar demote: 1/256 s, 0 to 255
    :ivar startup: seconds, 0 to 3600
    """

    name: str
    unix: str = DEFAULT_SYNC_SOCKET
    demote: int = 240
    startup: int = 60

    def __post_init__(self) -> None:
        _within(demote=self.demote, startup=self.startup)


class TlsListen(NamedTuple):
    """Where to listen for TLS: ``ssl:port=8112:interface=192.0.2.2``; the empty interface stands for all.

    :ivar port: 1 to 65535
    :ivar interface: an own IP address, or the empty text for all
    """

    port: int
    interface: str = ""

    def __str__(self) -> str:
        escaped = self.interface.replace(":", "\\:")
        return f"ssl:port={self.port}" + (f":interface={escaped}" if escaped else "")


def control_fault(given: Mapping[str, object]) -> str | None:
    """Why these keys of ``[control]`` cannot be together, or None."""
    files = ("certificate", "key", "clients")
    if given.get("tls") is None:
        alone = [name for name in files if given.get(name)]
        return f"{alone[0]}: of use with tls alone, which is missing" if alone else None
    missing = [name for name in files if not given.get(name)]
    if missing:
        return f"tls: {', '.join(missing)} missing: `carptwist certs` makes them all"
    return None


class StatusRange(NamedTuple):
    """The HTTP status codes that are good, both ends included. It prints as one writes it: ``200-299``, or ``204``.

    :ivar lowest: 100 to 599
    :ivar highest: not below ``lowest``
    """

    lowest: int
    highest: int

    def __str__(self) -> str:
        return str(self.lowest) if self.lowest == self.highest else f"{self.lowest}-{self.highest}"


DEFAULT_STATUS = StatusRange(200, 299)

#: Key of a [check NAME] -> the keys that have a meaning only beside it.
CHECK_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "url": ("status", "body", "redirects", "ca_file"),
    "command": (),
    "interface": ("address",),
    "file": ("content",),
    "plugin": ("argument",),
}


@dataclass(frozen=True)
class CheckConfig:
    """One ``[check NAME]`` section: exactly one of ``url``, ``command`` (its words), ``interface``, ``file`` and
    ``plugin``.

    ``interval`` and ``timeout`` are in seconds, ``rise`` and ``fall`` in results in a row, ``demote`` in 1/256 s.
    ``body`` and ``content`` are regular expressions that must be found somewhere. ``authorities`` are the certificates,
    as PEM text, that are believed instead of the host's own ones.

    :ivar name: of the section
    :ivar url: that is asked by GET
    :ivar status: of answers that are good
    :ivar body: that must be found in the first 64 KiB of an answer
    :ivar redirects: whether they are followed
    :ivar command: whose exit code 0 is good
    :ivar interface: that must have a link
    :ivar address: that the interface must have
    :ivar file: that must be there
    :ivar content: that must be found in the first 64 KiB of the file
    :ivar plugin: that looks instead
    :ivar argument: of the plug-in, a text a line
    :ivar interval: seconds, 1 to 3600
    :ivar timeout: seconds, 1 to 3600
    :ivar rise: good looks in a row, 1 to 100
    :ivar fall: bad looks in a row, 1 to 100
    :ivar demote: 1/256 s, 0 to 255
    :ivar authorities: PEM; None: this host's
    """

    name: str
    url: str | None = None
    status: StatusRange = DEFAULT_STATUS
    body: str | None = None
    redirects: bool = False
    command: tuple[str, ...] | None = None
    interface: str | None = None
    address: HostAddress | None = None
    file: str | None = None
    content: str | None = None
    plugin: str | None = None
    argument: tuple[str, ...] = ()
    interval: int = 2
    timeout: int = 1
    rise: int = 2
    fall: int = 3
    demote: int = 100
    authorities: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        _within(interval=self.interval, timeout=self.timeout, rise=self.rise, fall=self.fall, demote=self.demote)
        if len(self._kinds) != 1:
            raise ValueError(
                f"{' and '.join(self._kinds) or 'it'}: a check has exactly one of {', '.join(CHECK_KINDS)}"
            )
        if self.command is not None and not (self.command and self.command[0]):
            raise ValueError("command: there is no command")
        fault = plugin_fault(self.plugin, self.argument)
        if fault is not None:
            raise ValueError(fault)

    @property
    def _kinds(self) -> tuple[str, ...]:
        return tuple(kind for kind in CHECK_KINDS if getattr(self, kind) is not None)

    @property
    def kind(self) -> str:
        """Which of them it is, by its key."""
        return self._kinds[0]


@dataclass(frozen=True)
class Hidden:
    """A text that only its receiver is to see. It never shows itself, whoever prints it.

    :ivar text: what it is
    """

    text: str = field(repr=False)

    def __str__(self) -> str:
        return "Hidden(…)"


@dataclass(frozen=True)
class WebhookConfig:
    """One ``[webhook NAME]`` section.

    ``match`` and ``type`` are as in a hook, and ``demotion`` whether changes of the demotion are told as well. With
    ``latest`` what is not true any more is not told. ``body`` is a JSON template. With ``secret`` each body is signed.
    ``retries`` are statuses after which it is tried again, besides those that everybody means so. ``timeout`` is in
    seconds, ``authorities`` are certificates as PEM text.

    :ivar name: of the section
    :ivar url: http or https
    :ivar match: over all of ``VHID@INTERFACE``
    :ivar type: over all of the new state
    :ivar demotion: whether changes of it are told as well
    :ivar latest: whether what is not true any more is left out
    :ivar body: JSON with ``$name`` in its strings; None: all that is known
    :ivar headers: names and values
    :ivar secret: that signs what is sent, or None
    :ivar retries: statuses after which it is tried again, besides those that everybody means so
    :ivar timeout: seconds, 1 to 3600
    :ivar authorities: PEM; None: this host's
    """

    name: str
    url: Hidden
    match: str = ".*"
    type: str = ".*"
    demotion: bool = True
    latest: bool = False
    body: str | None = None
    headers: tuple[tuple[str, Hidden], ...] = ()
    secret: Hidden | None = None
    retries: tuple[StatusRange, ...] = ()
    timeout: int = 10
    authorities: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        _within(timeout=self.timeout)


@dataclass(frozen=True)
class ControlConfig:
    """The ``[control]`` section. With ``tls``, ``clients`` is the file of the CA that signs clients' certificates.

    :ivar unix: the path of the socket, from the root on
    :ivar tls: where to listen for other hosts, or None
    :ivar certificate: path of the own one
    :ivar key: path of its key
    :ivar clients: path of the CA's
    """

    unix: str = DEFAULT_CONTROL_SOCKET
    tls: TlsListen | None = None
    certificate: str | None = None
    key: str | None = None
    clients: str | None = None

    def __post_init__(self) -> None:
        fault = control_fault({name: getattr(self, name) for name in ("tls", "certificate", "key", "clients")})
        if fault is not None:
            raise ValueError(fault)


class FileMode(int):
    """Who may use a file, as chmod(1) has it: it prints as four octal digits."""

    def __str__(self) -> str:
        return f"{self:04o}"


#: What devd(8) gives to its pipe.
DEFAULT_DEVD_MODE = FileMode(0o666)


@dataclass(frozen=True)
class DevdConfig:
    """The ``[devd]`` section. ``mode`` is that of the socket; connecting takes the right to write.

    :ivar unix: the path of the socket, from the root on
    :ivar mode: as chmod(1) has it
    """

    unix: str = DEFAULT_DEVD_SOCKET
    mode: FileMode = DEFAULT_DEVD_MODE


@dataclass(frozen=True)
class Configuration:
    """A whole configuration file.

    :ivar knobs: of the host
    :ivar vhids: as many as wanted
    :ivar control: where carpctl comes in
    :ivar hooks: commands and plug-ins
    :ivar devd: None: no such socket
    :ivar manhole: shells, off by default
    :ivar syncs: programs that synchronise tables
    :ivar checks: what demotes while it fails
    :ivar webhooks: servers that are told
    :ivar links: interfaces with a plug-in
    """

    knobs: Knobs = Knobs()
    vhids: tuple[VirtualHostConfig, ...] = ()
    control: ControlConfig = ControlConfig()
    hooks: tuple[HookConfig, ...] = ()
    devd: DevdConfig | None = None
    manhole: ManholeConfig = field(default_factory=ManholeConfig)
    syncs: tuple[SyncConfig, ...] = ()
    checks: tuple[CheckConfig, ...] = ()
    webhooks: tuple[WebhookConfig, ...] = ()
    links: tuple[LinkConfig, ...] = ()
