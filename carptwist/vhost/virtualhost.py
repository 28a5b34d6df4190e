"""One virtual host on one interface: an election with a clock, a voice and a plane.

::

      link, operator, plane           advertisements              clock
             | obstruct/clear              | heard                  | deadline
             v                             v                        v
      +-------------------------- election.Machine ----------------------------+
             | effects, strictly in order, one at a time
             v
      Became: log, observers   Hold/Release: plane   Advertise/Announce: voice

A vhid takes part while nothing obstructs it. Obstacles have names, so that each is cleared by
whoever put it. Effects that take time (a plane at work) hold back the ones behind them; once the
vhid is no longer MASTER, whatever it still wanted to say as MASTER is left unsaid.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, assert_never

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from carptwist.config.schema import VirtualHostConfig
from carptwist.election.bearing import Bearing
from carptwist.election.counter import Counter
from carptwist.election.effects import Advertise, Announce, Became, Effect, Hold, Release
from carptwist.election.group import Order
from carptwist.election.machine import Machine
from carptwist.election.precedence import is_bow_out
from carptwist.election.replay import Replay
from carptwist.election.state import State
from carptwist.guard.unguarded import Unguarded
from carptwist.interfaces import Hearing, IGuard, IPlane, ISurroundings, IVirtualHost, IVoice, LinkState
from carptwist.vhost.agenda import Agenda
from carptwist.vhost.connection import Connection
from carptwist.vhost.custody import Custody
from carptwist.vhost.deadline import Deadline
from carptwist.vhost.hardware import ETHERNET
from carptwist.vhost.outlook import Outlook
from carptwist.vhost.peers import Peers
from carptwist.vhost.reconfiguration import Reconfiguration, packed, settings
from carptwist.vhost.sending import SendAccount
from carptwist.vhost.speech import Speech, is_farewell
from carptwist.vhost.surroundings import commanded
from carptwist.vhost.turned_away import TurnedAway

if TYPE_CHECKING:
    from carptwist.vhost.roster import Roster

_INIT, _BACKUP, _MASTER = State  # in Python 3.11 an attribute of an Enum costs as much as a call


@implementer(IVirtualHost)
class VirtualHost:
    """A vhid that this node takes part in.

    :param draw: gives a random 64-bit number, for the counter.
    :param guard: ends it when the daemon cannot.
    """

    _log = Logger()

    def __init__(
        self,
        config: VirtualHostConfig,
        *,
        roster: Roster,
        plane: IPlane,
        clock: IReactorTime,
        draw: Callable[[], int],
        guard: IGuard | None = None,
    ) -> None:
        self.config = config
        self.name = config.name
        self.plane = plane
        self.counter = Counter(draw)
        self.replay: Replay = roster.surroundings.memory(roster.room)
        self.peers = Peers()
        self.shared = packed(config)
        self.conflicts = 0
        self.transitions = 0
        self.received = 0
        self.replays = 0
        self.sending = SendAccount(config.name, config.interface, roster)
        self.refusals: dict[str, int] = {}
        self.turned_away = TurnedAway()
        self.machine: Machine = roster.surroundings.machine(
            clock.seconds(),
            settings(config),
            preempt=roster.knobs.preempt,
            demotion=roster.ledger.sum,
            last_resort=roster.last_resort,
        )
        self.order = Order(Bearing.FREE)  # of its group
        self.tenants = roster.tenants(config.name)
        self._roster = roster
        self._clock = clock
        self._obstacles: dict[str, str] = {"start": "not started", "link": f"no interface {config.interface}"}
        self._deadline = Deadline(clock, self._tick)
        self.custody = Custody(self, plane, clock=clock, guard=guard or Unguarded(), expires=roster.knobs.expire)
        self.agenda = Agenda(self.custody.failed)
        self._outlook = Outlook()
        self.connection = Connection(self, roster, self._outlook)
        self.speech = Speech(self, clock)

    @property
    def surroundings(self) -> ISurroundings:
        return self._roster.surroundings

    @property
    def state(self) -> State:
        return self.machine.state

    @property
    def holding(self) -> bool:
        # Whoever was away does not answer the questions that have waited meanwhile.
        return self.custody.held and not self.custody.tenure.is_lapsed

    @property
    def until(self) -> float:
        return min(self.custody.tenure.until, self.speech.until)

    @property
    def obstacles(self) -> tuple[str, ...]:
        """Why this vhid does not take part; empty when it does."""
        return tuple(self._obstacles.values())

    @property
    def plane_trouble(self) -> str | None:
        """Why the host cannot carry the addresses, or None."""
        return self._obstacles.get("plane")

    @property
    def is_leaving(self) -> bool:
        """Whether it takes part no more, for good."""
        return "stop" in self._obstacles

    # Life

    def start(self) -> None:
        """Take part as soon as nothing is in the way any more."""
        if not self.config.addresses:
            self.obstruct("addresses", "no address")
        self._obey_allow()
        self.clear("start")

    def stop(self) -> Deferred[None]:
        """Leave in good order: bow out as MASTER, and leave nothing behind on this host."""
        self.obstruct("stop", "stopped")
        self._deadline.cancel()
        self.custody.close()
        self.speech.close()
        self.agenda.add("withdraw", self.custody.withdraw)
        self.agenda.work()
        self.connection.forgive(f"{self.name} stopped")
        self.sending.forget(f"{self.name} stopped")
        return self.agenda.when_idle()

    def reconfigure(self, config: VirtualHostConfig) -> Deferred[None]:
        """Run with other settings from now on; state and timers go on. Only the plane has to stay the same.

        Fires when they are in force. Fails with :class:`carptwist.planes.PlaneError` if the host cannot carry the
        addresses, and ValueError if this vhid is being stopped: then the former settings stay.
        """
        if not config.addresses:
            self.obstruct("addresses", "no address")  # first: the farewell is signed with what the others know
        change = Reconfiguration(self, config, self._roster, self._clock)
        self.agenda.add("reconfigure", change.begin)
        self.agenda.work()
        return change.done

    @commanded
    def settled(self) -> Deferred[None]:
        """Fires when all that is to be done now is done."""
        return self.agenda.when_idle()

    def knobs_changed(self) -> None:
        """The host-wide settings are others now."""
        knobs = self._roster.knobs
        self.machine.preempt = knobs.preempt
        if "start" in self._obstacles or self.is_leaving:
            return
        self._obey_allow()
        if self.connection.obstacle is not None:
            self.connection.account()
        self.sending.weigh()

    def _obey_allow(self) -> None:
        if self._roster.knobs.allow:
            self.clear("allow")
        else:
            self.obstruct("allow", "not allowed (net.inet.carp.allow = 0)")

    def obstruct(self, kind: str, reason: str) -> None:
        """Keep this vhid from taking part, until the same kind is cleared."""
        self._obstacles[kind] = reason
        self.perform(self.machine.obstructed(self._clock.seconds(), reason, link_carries=self.connection.carries))

    def put_off(self, kind: str, reason: str) -> None:
        """The same for one that does not take part anyway, and so loses nothing by it."""
        self._obstacles[kind] = reason

    def clear(self, kind: str) -> None:
        """One obstacle is gone."""
        if self._obstacles.pop(kind, None) is None:
            return
        if self._obstacles:
            self.machine.obstructed(self._clock.seconds(), next(iter(self._obstacles.values())), link_carries=False)
        else:
            self.perform(self.machine.ready(self._clock.seconds()))

    # What happens to it

    def link_changed(self, link: LinkState, voice: IVoice | None) -> None:
        """The interface is in this state now; ``voice`` speaks on it, None if nothing can."""
        before = self.connection.change(link, voice)
        self.custody.changed()
        obstacle = self.connection.obstacle
        if before.exists and before.index != link.index:
            # Another device under the same name, or none: what was prepared on the former one is not there.
            self.obstruct("link", obstacle or f"interface replaced {link.name}")
        if link.index != before.index and link.hardware == ETHERNET:
            self.custody.prepare()
        if obstacle is not None:
            self.obstruct("link", obstacle)
        else:
            self.clear("link")

    def account_for_link(self) -> None:
        """Demote this host for a link that does not carry, and take it back when it does.

        Apart from :meth:`link_changed`, because all vhids of the interface must have heard of that first.
        """
        if not self.is_leaving:  # else nobody would take it back
            self.connection.account()

    def heard(self, hearing: Hearing) -> None:
        family, _, _, advbase, advskew, demote, counter, _ = hearing
        now = self._clock.seconds()
        self.received += 1
        self.counter.heard(counter)
        if self.peers.note(now, hearing) and self._roster.knobs.log >= 1:
            self._outlook.tell_phrase(self.config, hearing)
        machine = self.machine
        state = machine.state
        if state is not _MASTER:
            self.agenda.forget("bow-out")  # it would dethrone whoever was heard
        if state is _INIT:
            return
        if state is _MASTER and is_bow_out(advbase, advskew):
            # Of a farewell over two families the second half comes when the first has made us MASTER. OpenBSD's kernel
            # yields to it where it is demoted more than whoever leaves, and nobody is MASTER then.
            return
        effects = machine.heard(now, family, advbase, advskew, demote)
        if effects:
            self.perform(effects)
        else:
            self._deadline.set(machine.deadline)

    def refused(self, cause: str, source: bytes = b"", diagnose: Callable[[], str] = str) -> None:
        self.refusals[cause] = self.refusals.get(cause, 0) + 1
        self.turned_away.note(self._clock.seconds(), cause, source, diagnose)

    def demoted(self, demotion: int) -> None:
        """The host-wide demotion has changed."""
        self.perform(self.machine.demoted(self._clock.seconds(), demotion))

    def lose(self, reason: str) -> None:
        """Others count on no master any more, or on another one."""
        is_mute = self.speech.is_mute
        self.perform(self.machine.replaced(self._clock.seconds(), reason))
        if is_mute:
            self.sending.despair()

    def resort(self, last: bool) -> None:
        """This node is the last resort from now on, or no longer: see :meth:`Machine.resort`."""
        self.perform(self.machine.resort(self._clock.seconds(), last))

    def bear(self, order: Order) -> None:
        """Its group wants this of it."""
        before, self.order = self.order, order
        if order.bearing is not before.bearing:
            self.perform(self.machine.bear(self._clock.seconds(), order.bearing, f"group: {order.why}"))

    @commanded
    def asked(self, state: State) -> None:
        """The operator wants this state, BACKUP or MASTER."""
        self.perform(self.machine.asked(self._clock.seconds(), state))

    def disputed(self, what: str) -> None:
        """Somebody else claims one of its addresses."""
        self._roster.occurred("conflict", self.name, what)

    def damaged(self, what: str) -> None:
        """Somebody else has changed what the plane had set up."""
        if self.is_leaving:
            return
        self._roster.occurred("conflict", self.name, what)
        self._log.warn("carp: {name}: {what}: putting it back", name=self.name, what=what)
        self._prepare_anew()

    def balance_changed(self) -> None:
        """Which of its addresses other vhids of the interface have as well may be others now, or whether their clients
        are divided (``arpbalance``, ``ndbalance``): the plane holds them in another way then."""
        if "start" in self._obstacles or not self.connection.link.exists:
            return  # what prepares it then finds the new order of things
        self._prepare_anew()

    def _prepare_anew(self) -> None:
        self.custody.prepare()
        if self.state is State.MASTER:
            self.perform([Hold(), Announce()])

    # Effects

    def _tick(self) -> None:
        now = self._clock.seconds()
        if self.machine.state is _BACKUP:
            self._outlook.compare_families(now, self.config, self.peers)
        self.perform(self.machine.tick(now))

    def perform(self, effects: list[Effect]) -> None:
        """Do what the rules want done, in this order, behind what is being done already."""
        self._deadline.set(self.machine.deadline)  # first: no timer is lost, whatever becomes of the effects
        for effect in effects:
            if isinstance(effect, Became):
                self._became(effect)
            elif isinstance(effect, Hold):
                self.agenda.add("hold", self.custody.hold)
            elif isinstance(effect, Release):
                self.custody.held = False  # from now on nobody answers, even if the plane is still at work
                self.agenda.forget("speech")
                in_good_order = any(isinstance(each, Advertise) and is_farewell(each) for each in effects)
                # Whoever serves there is somebody else's business, but for the time that it takes.
                emptied = self.surroundings.outside(partial(self.tenants.end, in_good_order=in_good_order))
                self.agenda.add("release", partial(self.custody.release, emptied))
            elif isinstance(effect, Advertise):
                if is_farewell(effect):
                    self.agenda.add("bow-out", partial(self.speech.bow_out, effect, self.custody.tenure.until))
                else:
                    self.agenda.add("speech", partial(self.speech.advertise, effect))
            elif isinstance(effect, Announce):
                self.agenda.add("speech", self.speech.announce)
            else:
                assert_never(effect)
        self.agenda.work()

    def _became(self, change: Became) -> None:
        self.transitions += 1
        if change.state is State.MASTER:
            self.speech.begin()
            self.counter.begin()
        else:
            self.speech.end()
        if self._roster.knobs.log >= 1:
            self._log.info(
                "carp: {name}: {previous} -> {state} ({reason})",
                name=self.name,
                previous=change.previous.value,
                state=change.state.value,
                reason=change.reason,
            )
        self._roster.changed(self, change)
