"""Every zope Interface of the package: what the parts promise one another.

``links`` and ``planes`` implement these, ``vhost`` and ``protocols`` use them, and
``tap.py``/``service.py`` put implementations together. Each has a fake in ``carptwist/simulation`` that passes the same
contract tests as the real thing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from carptwist.config.health import CheckConfig
from carptwist.config.reactions import HookConfig
from carptwist.config.schema import LinkConfig, VirtualHostConfig
from carptwist.election.counter import Counter
from carptwist.election.effects import Advertise
from carptwist.election.memory import Room
from carptwist.election.replay import Replay

if TYPE_CHECKING:
    from carptwist.checks.health import Result
    from carptwist.hooks.script import Change


@dataclass(frozen=True, slots=True)
class LinkState:
    """What is known of one interface of this host.

    An interface that does not exist has index 0. ``own4`` and ``own6`` are the addresses that the
    interface carries, primary one first, each family in the kernel's order; tentative and failed
    IPv6 addresses are left out. ``networks`` has the same addresses with the lengths of their prefixes.
    ``mac`` is empty where the device has no 48-bit one. ``hardware`` is the ARPHRD_* type (1: Ethernet).

    :ivar name: of the interface
    :ivar index: the kernel's, 0 where there is none
    :ivar up: administratively
    :ivar carrier: whether it has a link
    :ivar mac: 6 octets, or none
    :ivar mtu: octets
    :ivar hardware: ARPHRD_*
    :ivar own4: its IPv4 addresses
    :ivar own6: its IPv6 addresses that can be used
    :ivar networks: both with their prefixes
    """

    name: str
    index: int = 0
    up: bool = False
    carrier: bool = False
    mac: bytes = b""
    mtu: int = 0
    hardware: int = 0
    own4: tuple[IPv4Address, ...] = ()
    own6: tuple[IPv6Address, ...] = ()
    networks: tuple[IPv4Interface | IPv6Interface, ...] = ()

    @property
    def exists(self) -> bool:
        return self.index != 0

    @property
    def usable(self) -> bool:
        """Administratively up and with a link: frames go out and come in."""
        return self.exists and self.up and self.carrier


class Hearing(NamedTuple):
    """A valid advertisement, as far as the rules and the operator want to know of it.

    ``source`` is the packed network source, 4 or 16 octets; ``implementation`` what the sender was
    recognised as from all that was heard of it; ``phrase`` which of the configured pass phrases it signs with, 0 the
    first.

    :ivar family: 4 or 6
    :ivar source: packed, 4 or 16 octets
    :ivar implementation: in words
    :ivar advbase: seconds
    :ivar advskew: 1/256 s
    :ivar demote: as the sender says it
    :ivar counter: of 64 bits
    :ivar phrase: its place, 0 the first
    """

    family: int
    source: bytes
    implementation: str
    advbase: int
    advskew: int
    demote: int
    counter: int
    phrase: int = 0


class ILinkMonitor(Interface):
    """Knows the interfaces of this host and tells of their changes."""

    def state(name: str) -> LinkState:
        """The state of an interface now; for one that does not exist, ``LinkState(name)``."""

    def names() -> list[str]:
        """The interfaces that there are, loopback included, sorted by index."""

    def watch(name: str, changed: Callable[[LinkState], object]) -> Callable[[], None]:
        """Call ``changed`` with the new state after each change of the interface, never before this
        returns. The value stops the watching. An exception of ``changed`` is logged, and stops
        neither the other watchers nor the monitor."""

    def watch_routes(changed: Callable[[], object]) -> Callable[[], None]:
        """Call ``changed`` a moment after a route of the main table was changed by anybody else, or a routing rule
        removed. The value stops the watching."""


class IFrameReceiver(Interface):
    """A protocol that whole Ethernet frames are delivered to."""

    def connected(port: IFramePort) -> None:
        """The port that frames come from and go to is open."""

    def frame_received(frame: bytes) -> None:
        """One frame, from the destination MAC on, without FCS and never with an 802.1Q tag. The
        octets are valid during and after the call. Must not raise, whatever they say."""

    def disconnected() -> None:
        """The port is closed: the interface has gone, or we closed it."""


class IFramePort(Interface):
    """Where frames enter and leave: a packet socket on one interface, or its like in memory."""

    interface: str = Attribute("The name of the interface.")

    def send(frame: bytes, until: float = inf) -> None:
        """Put one whole Ethernet frame on the wire, at once, unless ``until`` has come on the reactor's clock.

        Nothing but the system call comes after the look at the clock: who is stopped between deciding and sending
        (SIGSTOP, a machine that is moved) would otherwise say it when he goes on, long after it was true.

        :raises OSError: the kernel did not take it (link down, no buffer, no such device); ETIME: it is too late.
        """

    def close() -> None:
        """Stop receiving and sending. A second call does nothing."""


class IPlane(Interface):
    """How a MASTER holds the addresses of one vhid.

    The calls of one plane never overlap: a caller waits for one to fire before it makes the next.
    Each Deferred fires with None, or fails with :class:`carptwist.planes.PlaneError`, whose text
    names what could not be done and the remedy. Nothing that somebody else has configured is
    ever touched.
    """

    link_address: bytes = Attribute(
        "The MAC that the shared addresses are announced with, 6 octets: the virtual one, or the interface's own. "
        "Empty where it is not known: then nothing is announced, or answered by us."
    )
    ending: tuple[bytes, ...] = Attribute(
        "What anybody may send to the kernel to end a hold, each a datagram of rtnetlink(7). Known when prepared."
    )
    answers: bool = Attribute("Whether our responders answer for the addresses (True) or the kernel does.")

    def adopt(config: VirtualHostConfig) -> None:
        """From the next :meth:`prepare` on these addresses, of the same vhid on the same interface. What is held by
        then of them stays reachable without a gap; what is new becomes so with the next :meth:`hold`, and what is no
        longer there is not reachable any more when ``prepare`` has fired."""

    def prepare() -> Deferred[None]:
        """Do beforehand all that can be done while BACKUP. Nothing becomes reachable. Idempotent: also
        mends what somebody else has damaged since."""

    def hold() -> Deferred[None]:
        """The addresses are reachable on this host when this fires, and what the host sends from them leaves with
        ``link_address``.

        Of an address that several vhids balance this holds: what comes to ``link_address`` reaches it. What the
        host sends from it leaves by the interface itself, with the interface's MAC; but no ARP packet and no neighbour
        solicitation or advertisement of the kernel's has it for a sender, or tells a MAC for it."""

    def refresh(seconds: int, until: float) -> None:
        """What is held will be gone by itself after so many seconds, unless this is called again before; it stays for
        good until the first call. Comes too late, and does nothing, at ``until``, in seconds of the reactor's clock. To
        be called with each advertisement; disturbs no route and no connection."""

    def release() -> Deferred[None]:
        """None of the addresses is reachable on this host any more when this fires, unless another vhid holds the same
        one; nor does anything come to ``link_address``. Prepared for the next hold."""

    def withdraw() -> Deferred[None]:
        """Nothing that the plane ever made or changed on this host is left."""


class IVoice(Interface):
    """Speaks on one interface for the vhids that run there."""

    def advertise(vhost: IVirtualHost, family: int, what: Advertise) -> None:
        """Send one advertisement of one family (4 or 6), signed, with the vhid's next counter.

        :raises OSError: it did not leave this host.
        """

    def farewell(vhost: IVirtualHost, family: int, what: Advertise) -> tuple[bytes, ...]:
        """The frames that :meth:`advertise` would send now, for somebody else to send later or never: their counter is
        one that no advertisement has."""

    def announce(vhost: IVirtualHost) -> None:
        """Tell the neighbours the link address of every shared address of the vhid.

        :raises OSError: not everything left this host.
        """

    def link_changed(link: LinkState) -> None:
        """The interface's own addresses, of which the sources are taken, are these now."""

    def close() -> None:
        """Fall silent and deaf for good."""


class Will(NamedTuple):
    """What ends a MASTER in good order without its daemon, all of it ready-made.

    ``requests`` are rtnetlink(7) messages, each field one datagram, that take the addresses away; what they find gone
    does not matter. ``farewell`` are whole frames, signed, that leave through the device of index ``interface``.
    Their counters are random ones that no other advertisement bears: the others may refuse what they have heard before.

    :ivar requests: datagrams of rtnetlink(7)
    :ivar interface: its index
    :ivar farewell: whole Ethernet frames
    """

    requests: tuple[bytes, ...]
    interface: int
    farewell: tuple[bytes, ...]


class IGuard(Interface):
    """Ends what the daemon is MASTER of, when the daemon does not do it itself: because it has died, or does not run.

    A will is carried out at most once, and then forgotten. A guard that ends itself is replaced, and its successor
    knows all that it knew.
    """

    def start() -> Deferred[None]:
        """Fires when there is a guard, or it is known that there is none for now; never fails."""

    def stop() -> Deferred[None]:
        """The daemon ends in good order: no will is carried out any more. Fires when no guard is left."""

    def entrust(name: str, will: Will, until: float, ended: Callable[[str, float], object]) -> None:
        """Keep the will of a vhid, in the place of a former one. It is carried out when the daemon has ended, and at
        ``until``, in seconds of the reactor's clock, unless renewed. Its farewell counts only after a first
        :meth:`renew`: before that nobody has heard of this master.

        :param ended: called with why, and with when that was, in seconds of the reactor's clock, if it was carried out
            and the daemon is there to hear of it; it may have been away since.
        """

    def renew(name: str, until: float) -> None:
        """The vhid has advertised: the will is not carried out before ``until``, as long as the daemon lives."""

    def forget(name: str) -> None:
        """The vhid is not MASTER any more. Without a will of that name nothing happens."""


class IVirtualHost(Interface):
    """What ``protocols`` and planes' users may know of a virtual host."""

    config: VirtualHostConfig = Attribute("The settings in force.")
    plane: IPlane = Attribute("How its addresses are held.")
    counter: Counter = Attribute("The counter of its advertisements.")
    replay: Replay = Attribute("Which advertisements were seen before, its own ones included.")
    holding: bool = Attribute("Whether it is MASTER and its addresses are reachable here, now.")
    until: float = Attribute("When it counts as replaced unless it speaks, on the reactor's clock; for ever if never.")

    def heard(hearing: Hearing) -> None:
        """A valid advertisement of another node arrived."""

    def refused(cause: str, source: bytes, diagnose: Callable[[], str]) -> None:
        """An advertisement for this vhid was refused: it is counted and remembered, and nothing else happens.

        :param source: the packed network source, empty if there is none.
        :param diagnose: gives the likeliest reason as a phrase about the sender, or nothing; for when somebody asks.
        """


class INotebook(Interface):
    """Octets that outlive the daemon. What is asked of one is done in the order of asking."""

    def read() -> Deferred[bytes]:
        """All that is written; nothing if nothing is. Fails with OSError."""

    def append(octets: bytes) -> Deferred[None] | None:
        """Write these behind what is there; None: it is done. Whatever becomes of the daemon meanwhile, what was there
        stays, and of these there is nothing, all, or what they begin with. Fails with OSError: then the same holds."""

    def replace(whole: Callable[[], bytes]) -> Deferred[int]:
        """Have these octets instead of what is there: all of the ones or all of the others. They are asked for on
        whatever thread there is for that. Fires with how many they were; fails with OSError."""

    def patch(pieces: Callable[[], Iterable[tuple[int, bytes]]]) -> Deferred[None]:
        """Have these octets from these places on, beside all that is there; what was never written in between reads as
        zeros. They are asked for on whatever thread there is for that. Fails with OSError."""


class IAuthority(Interface):
    """Signs and verifies the advertisements of one interface."""

    def phrase_of(config: VirtualHostConfig, counter: int, digest: bytes) -> int | None:
        """Which of a vhid's pass phrases an advertisement is signed with, 0 the first; None if with none of them."""

    def sign(config: VirtualHostConfig, counter: int) -> bytes:
        """The digest, 20 octets, of an advertisement of ours."""


class ISurroundings(Interface):
    """Sees what a node cannot work out by itself: what it is told from outside, and what it asks."""

    machine: Callable[..., Any] = Attribute("Makes the rules of a vhid: :class:`carptwist.election.machine.Machine`.")

    def command(
        subject: object, name: str, arguments: tuple[Any, ...], named: Mapping[str, Any], work: Callable[[], Any]
    ) -> Any:
        """``subject`` is told by a method of this name to do something, which ``work`` does; gives what that gives."""

    def outside(work: Callable[[], Any]) -> Deferred[None]:
        """Have somebody else do something. Fires when it is done; an exception of ``work`` is that of the Deferred."""

    def memory(room: Room) -> Replay:
        """What remembers the advertisements of one vhid."""

    def authority(interface: str, authority: IAuthority) -> IAuthority:
        """Who signs and verifies on an interface, seen or in the place of this one."""

    def aside(clock: Any) -> Any:
        """A clock for what decides nothing, such as when notebooks are written."""


class ISystem(Interface):
    """The host that a service runs on: the real one, or its like in memory."""

    monitor: ILinkMonitor = Attribute("The interfaces of this host; of use between start and stop.")

    def start() -> Deferred[None]:
        """Get ready, and remove what a predecessor that died has left behind.

        The Deferred fails with an exception whose text is for the operator, if this host cannot be worked with.
        """

    def stop() -> Deferred[None]:
        """Let go of the host. The service has put back what it changed before it calls this."""

    def plane(config: VirtualHostConfig, damaged: Callable[[str], object], balances: Callable[[bytes], bool]) -> IPlane:
        """A plane for one vhid; ``damaged`` is called with a text when somebody else has interfered with it.
        ``balances`` tells of a packed address of the vhid whether others balance it with this one, now."""

    def guard(lacking: Callable[[str | None], object]) -> IGuard:
        """The guard of this host; ``lacking`` is called with why there is none, and with None when there is one again.
        It is started after the system, and stopped before."""

    def open_port(interface: str, program: bytes, receiver: IFrameReceiver) -> IFramePort:
        """Open a port on an interface that exists, for the frames that a filter accepts: :func:`carptwist.api.accepts`.

        :raises OSError: it could not be opened.
        """

    def join(link: LinkState) -> Callable[[], None]:
        """Become a member of the multicast groups of CARP on an interface, and keep the kernel from refusing CARP that
        is sent to this host alone; the value ends both."""

    def forwards(interface: str) -> bool:
        """Whether this host is an IPv6 router on the interface."""

    def notebook(name: str) -> INotebook:
        """Where to write what a restart must not forget, under a name that is good for a file. Of use between start and
        stop; all that was written is safe when stop has fired."""

    def recording() -> INotebook:
        """Where the flight recorder writes; of use between start and stop, and safe when stop has fired."""

    def draw() -> int:
        """A random number below 2**64 that nobody can guess."""


# What others may plug in. Everything is called in the reactor's thread, and must not block it.


class ILink(Interface):
    """How frames enter and leave one interface of this host, in the place of its packet sockets.

    What is known of the interface itself, that it is there and up, its MAC and its addresses, is the kernel's as ever.
    """

    def open_port(program: bytes, receiver: IFrameReceiver) -> IFramePort:
        """Open one more port; there are three at a time.

        :param program: a classic BPF program: of the frames that come in the port delivers those that it accepts, as
            the kernel or :func:`carptwist.api.accepts` says, and none that this host has sent.
        :param receiver: whom they are delivered to, whole, from the destination MAC on. ``receiver.connected(port)`` is
            called before this returns, and ``receiver.disconnected()`` when the port is closed, by whomever.
        :raises OSError: it could not be opened. It is tried again every 5 seconds.
        """


class IHook(Interface):
    """Reacts when a vhid changes its state: somebody is told, something is switched over."""

    def changed(change: Change) -> Deferred[None] | None:
        """A vhid has entered a state.

        The hooks of one vhid run one after the other: the next one, and the next change, wait until the Deferred fires.
        It is cancelled after the ``timeout`` of the section. With None nobody waits. An exception, or a Deferred that
        fails, is logged and counted, and that is all.

        :param change: all its fields are text: ``vhid``, ``interface``, ``previous``, ``state``, ``reason``; its
            ``subsystem`` is ``VHID@INTERFACE``.
        """

    def stop() -> Deferred[None] | None:
        """Nothing more comes: the section is gone, while a change may still be under way, or the daemon ends, which
        waits for the Deferred for ``timeout`` seconds at most."""


class IDemotionSource(Interface):
    """Knows whether this host is fit to be MASTER. While it says that it is not, the host is demoted by the ``demote``
    of its section, after ``fall`` bad answers in a row, until ``rise`` good ones in a row."""

    def look() -> Deferred[Result] | Result:
        """How it is now. Asked every ``interval`` seconds, and never again before the Deferred has fired or was
        cancelled, which happens after ``timeout`` seconds and counts as bad. So does an exception: a bug in what looks
        after a service must not pass for its health; it is logged and counted as well.
        """

    def stop() -> None:
        """It is asked no more: the section is gone, or the daemon ends. A look may still be under way; it has been
        cancelled."""


class ICarpPlugin(Interface):
    """Something that a module in ``twisted/plugins`` has, for configurations to name.

    It provides ``twisted.plugin.IPlugin`` as well. :class:`carptwist.api.PlanePlugin`, ``LinkPlugin``,
    ``HookPlugin`` and ``DemotionPlugin`` are ready-made ones.
    """

    name: str = Attribute(
        "What configurations call it: 1 to 32 letters, digits, dots, hyphens and underscores, a letter or digit first; "
        "no other plug-in of the same kind has it."
    )

    def load() -> None:
        """Import all that it needs. Called, maybe several times and on a thread, when a configuration that names it is
        read; if this raises, the configuration is refused with what the exception says."""


class IPlanePlugin(ICarpPlugin):
    """Another way for a MASTER to hold its addresses: ``plane = plugin`` and ``plugin = NAME`` in ``[vhid]``."""

    def plane(config: VirtualHostConfig, reactor: Any, damaged: Callable[[str], object]) -> IPlane:
        """The plane of one vhid.

        What it raises, and what the plane's Deferreds fail with, is for the operator: the vhid stays in INIT, and
        after 5 seconds and more it is tried again. Each step of the plane has 30 seconds.

        :param config: of the vhid; ``config.argument`` is what the section says after ``argument``, a text a line.
        :param reactor: that the daemon runs on.
        :param damaged: to be called with a text when somebody else has interfered: the plane is prepared again.
        :returns: one that is used for this vhid alone.
        :raises PlaneError: it cannot be, and why.
        """


class ILinkPlugin(ICarpPlugin):
    """Another way for frames to enter and leave: ``plugin = NAME`` in ``[link]``."""

    def link(config: LinkConfig, reactor: Any) -> ILink:
        """The link of one interface, ``config.name``; made when its first port is opened.

        :raises OSError: it cannot be, and why. It is tried again every 5 seconds.
        """


class IHookPlugin(ICarpPlugin):
    """Another reaction to changes of state: ``plugin = NAME`` in ``[hook]``."""

    def hook(config: HookConfig, reactor: Any) -> IHook:
        """The hook of one section, ``config.name``; made when it is first needed, and again with the next change if
        this raises anything."""


class IDemotionPlugin(ICarpPlugin):
    """Another reason to give the addresses away: ``plugin = NAME`` in ``[check]``."""

    def source(config: CheckConfig, reactor: Any) -> IDemotionSource:
        """The source of one section, ``config.name``; made when it is first asked, and again with the next look if this
        raises anything. The host is demoted meanwhile."""
