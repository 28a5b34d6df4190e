"""What a configuration says, as values: frozen, checked, and free of the operating system.

The defaults are those of FreeBSD's ``net.inet.carp`` sysctls and of ifconfig(8). A value of these
classes is always complete and within its ranges: :mod:`carptwist.config.reader` refuses everything
else, and an embedding program that builds one by hand gets a ``ValueError`` that names the field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import NamedTuple

from carptwist.config.health import CheckConfig, SyncConfig
from carptwist.config.ranges import group_name_fault, interface_name_fault, plugin_fault, within
from carptwist.config.reactions import DevdConfig, HookConfig, WebhookConfig
from carptwist.config.shells import ManholeConfig
from carptwist.config.unicast import HostAddress, faults, host_fault

AddressWithPrefix = IPv4Interface | IPv6Interface

DEFAULT_STATE_DIR = "/var/lib/carptwist"
DEFAULT_CONTROL_SOCKET = "/run/carptwist/control.sock"

#: Octets of the HMAC key. A longer phrase is refused, a phrase of exactly this length warned about.
LONGEST_PHRASE = 20


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
        within(
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
        within(vhid=self.vhid, advbase=self.advbase, advskew=self.advskew)
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
