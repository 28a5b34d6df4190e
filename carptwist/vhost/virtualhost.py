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
from ipaddress import ip_address
from typing import TYPE_CHECKING, assert_never

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from carptwist.config.schema import Dialect, VirtualHostConfig
from carptwist.election.bearing import Bearing
from carptwist.election.counter import Counter
from carptwist.election.effects import Advertise, Announce, Became, Effect, Hold, Release
from carptwist.election.group import Order
from carptwist.election.machine import Machine, Settings
from carptwist.election.memory import fair_share
from carptwist.election.precedence import (
    BOW_OUT,
    interval_seconds,
    is_bow_out,
    lease_seconds,
    master_down_seconds,
)
from carptwist.election.replay import Replay
from carptwist.election.state import State
from carptwist.guard.unguarded import Unguarded
from carptwist.interfaces import (
    Hearing,
    IGuard,
    IPlane,
    ISurroundings,
    IVirtualHost,
    IVoice,
    LinkState,
    Will,
)
from carptwist.vhost.agenda import Agenda
from carptwist.vhost.deadline import Deadline
from carptwist.vhost.hardware import ETHERNET, hardware_fault
from carptwist.vhost.outlook import Outlook
from carptwist.vhost.peers import Peers
from carptwist.vhost.sending import SendAccount
from carptwist.vhost.sources import source_fault
from carptwist.vhost.surroundings import commanded
from carptwist.vhost.tenure import Tenure
from carptwist.vhost.turned_away import TurnedAway

if TYPE_CHECKING:
    from carptwist.vhost.roster import Roster

#: After a plane that failed: the next attempt, and twice as long after each further failure.
RETRY_SECONDS = 5.0
LONGEST_RETRY_SECONDS = 60.0


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
        self.replay: Replay = roster.surroundings.memory(lambda: fair_share(roster.size))
        self.peers = Peers()
        self.shared = _packed(config)
        self.conflicts = 0
        self.transitions = 0
        self.received = 0
        self.replays = 0
        self.sending = SendAccount(config.name, config.interface, roster)
        self.refusals: dict[str, int] = {}
        self.turned_away = TurnedAway()
        self.machine: Machine = roster.surroundings.machine(
            clock.seconds(),
            _settings(config),
            preempt=roster.knobs.preempt,
            demotion=roster.ledger.sum,
            last_resort=roster.last_resort,
        )
        self.order = Order(Bearing.FREE)  # of its group
        self.tenants = roster.tenants(config.name)
        self._roster = roster
        self._clock = clock
        self._voice: IVoice | None = None
        self._link = LinkState(config.interface)
        self._obstacles: dict[str, str] = {"start": "not started", "link": f"no interface {config.interface}"}
        self._deadline = Deadline(clock, self._tick)
        self._retry = Deadline(clock, self._prepare)
        self._agenda = Agenda(self._plane_failed)
        self._holds = False
        self._tenure = Tenure(
            config.name,
            guard=guard or Unguarded(),
            plane=plane,
            clock=clock,
            expires=roster.knobs.expire,
            ended=self._ended_by_guard,
        )
        self._has_spoken = False  # since it became MASTER
        self._retry_seconds = RETRY_SECONDS
        self._outlook = Outlook()

    @property
    def surroundings(self) -> ISurroundings:
        return self._roster.surroundings

    @property
    def state(self) -> State:
        return self.machine.state

    @property
    def holding(self) -> bool:
        # Whoever was away does not answer the questions that have waited meanwhile.
        return self._holds and not self._tenure.is_lapsed

    @property
    def obstacles(self) -> tuple[str, ...]:
        """Why this vhid does not take part; empty when it does."""
        return tuple(self._obstacles.values())

    @property
    def plane_trouble(self) -> str | None:
        """Why the host cannot carry the addresses, or None."""
        return self._obstacles.get("plane")

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
        self._retry.cancel()
        self._agenda.add("withdraw", self._withdraw)
        self._agenda.work()
        self._roster.undemote(f"ifdown {self.name}", f"{self.name} stopped")
        self.sending.forget(f"{self.name} stopped")
        return self._agenda.when_idle()

    def reconfigure(self, config: VirtualHostConfig) -> Deferred[None]:
        """Run with other settings from now on; state and timers go on. Only the plane has to stay the same.

        Fires when they are in force. Fails with :class:`carptwist.planes.PlaneError` if the host cannot carry the
        addresses, and ValueError if this vhid is being stopped: then the former settings stay.
        """
        if not config.addresses:
            self.obstruct("addresses", "no address")  # first: the farewell is signed with what the others know
        done: Deferred[None] = Deferred()
        self._agenda.add("reconfigure", lambda: self._reconfigure(config, done))
        self._agenda.work()
        return done

    @commanded
    def settled(self) -> Deferred[None]:
        """Fires when all that is to be done now is done."""
        return self._agenda.when_idle()

    def knobs_changed(self) -> None:
        """The host-wide settings are others now."""
        knobs = self._roster.knobs
        self.machine.preempt = knobs.preempt
        if "start" in self._obstacles or "stop" in self._obstacles:
            return
        self._obey_allow()
        if self._link_obstacle() is not None:
            self.account_for_link()
        self.sending.weigh()

    def _obey_allow(self) -> None:
        if self._roster.knobs.allow:
            self.clear("allow")
        else:
            self.obstruct("allow", "not allowed (net.inet.carp.allow = 0)")

    def obstruct(self, kind: str, reason: str) -> None:
        """Keep this vhid from taking part, until the same kind is cleared."""
        self._obstacles[kind] = reason
        carries = self._voice is not None and self._link.usable
        self._perform(self.machine.obstructed(self._clock.seconds(), reason, link_carries=carries))

    def clear(self, kind: str) -> None:
        """One obstacle is gone."""
        if self._obstacles.pop(kind, None) is None:
            return
        if self._obstacles:
            self.machine.obstructed(self._clock.seconds(), next(iter(self._obstacles.values())), link_carries=False)
        else:
            self._perform(self.machine.ready(self._clock.seconds()))

    # What happens to it

    def link_changed(self, link: LinkState, voice: IVoice | None) -> None:
        """The interface is in this state now; ``voice`` speaks on it, None if nothing can."""
        before, self._link = self._link, link
        self._voice = voice
        if link.usable:
            self._outlook.tell(self.config, link, self._source_fault())
        if self._tenure.is_on:
            self._tenure.begin(self._will())  # the farewell has other sources now, or none
        obstacle = self._link_obstacle()
        if before.exists and before.index != link.index:
            # Another device under the same name, or none: what was prepared on the former one is not there.
            self.obstruct("link", obstacle or f"interface replaced {link.name}")
        if link.index != before.index and link.hardware == ETHERNET:
            self._prepare()
        if obstacle is not None:
            self.obstruct("link", obstacle)
        else:
            self.clear("link")

    def account_for_link(self) -> None:
        """Demote this host for a link that does not carry, and take it back when it does.

        Apart from :meth:`link_changed`, because all vhids of the interface must have heard of that first.
        """
        if "stop" in self._obstacles:
            return  # nobody would take it back
        obstacle = self._link_obstacle()
        owner = f"ifdown {self.name}"
        if obstacle is None:
            self._roster.undemote(owner, f"interface up {self._link.name}")
            return
        self._roster.demote(owner, self._roster.knobs.ifdown_demotion_factor, obstacle)
        # What could not be sent has its cause now; as BACKUP there would be no good send to take it back.
        self.sending.forget(obstacle)

    def _link_obstacle(self) -> str | None:
        link = self._link
        if not link.exists:
            return f"no interface {link.name}"
        fault = hardware_fault(link)
        if fault is not None:
            return fault
        if not link.usable:
            return f"interface down {link.name}"
        if self._voice is None:
            # Deaf, it would take every master for dead.
            return f"no packet socket on {link.name}"
        # From another address its peers would not believe it, and it would be MASTER beside the one that there is.
        return self._source_fault()

    def _source_fault(self) -> str | None:
        if not (self.config.peers or self.config.peers6 or self.config.sources):
            return None  # as for nearly all; who shares what need not be gathered for that
        sharing = (self, *self._roster.on(self.config.interface).values())
        shared = {address.ip for vhost in sharing for address in vhost.config.addresses}
        return source_fault(self.config, self._link, shared)

    def heard(self, hearing: Hearing) -> None:
        now = self._clock.seconds()
        self.received += 1
        self.counter.heard(hearing.counter)
        if self.peers.note(now, hearing):
            self._tell_phrase(hearing)
        machine = self.machine
        if machine.state is not State.MASTER:
            self._agenda.forget("bow-out")  # it would dethrone whoever was heard
        if machine.state is State.INIT:
            return
        if machine.state is State.MASTER and is_bow_out(hearing.advbase, hearing.advskew):
            # Of a farewell over two families the second half comes when the first has made us MASTER. OpenBSD's kernel
            # yields to it where it is demoted more than whoever leaves, and nobody is MASTER then.
            return
        effects = machine.heard(now, hearing.family, hearing.advbase, hearing.advskew, hearing.demote)
        if effects:
            self._perform(effects)
        else:
            self._deadline.set(machine.deadline)

    def refused(self, cause: str, source: bytes = b"", diagnose: Callable[[], str] = str) -> None:
        self.refusals[cause] = self.refusals.get(cause, 0) + 1
        self.turned_away.note(self._clock.seconds(), cause, source, diagnose)

    def demoted(self, demotion: int) -> None:
        """The host-wide demotion has changed."""
        self._perform(self.machine.demoted(self._clock.seconds(), demotion))

    def resort(self, last: bool) -> None:
        """This node is the last resort from now on, or no longer: see :meth:`Machine.resort`."""
        self._perform(self.machine.resort(self._clock.seconds(), last))

    def bear(self, order: Order) -> None:
        """Its group wants this of it."""
        before, self.order = self.order, order
        if order.bearing is not before.bearing:
            self._perform(self.machine.bear(self._clock.seconds(), order.bearing, f"group: {order.why}"))

    @commanded
    def asked(self, state: State) -> None:
        """The operator wants this state, BACKUP or MASTER."""
        self._perform(self.machine.asked(self._clock.seconds(), state))

    def disputed(self, what: str) -> None:
        """Somebody else claims one of its addresses."""
        self._roster.occurred("conflict", self.name, what)

    def damaged(self, what: str) -> None:
        """Somebody else has changed what the plane had set up."""
        if "stop" in self._obstacles:
            return
        self._roster.occurred("conflict", self.name, what)
        self._log.warn("carp: {name}: {what}: putting it back", name=self.name, what=what)
        self._prepare()
        if self.state is State.MASTER:
            self._perform([Hold(), Announce()])

    def balance_changed(self) -> None:
        """Which of its addresses other vhids of the interface have as well may be others now, or whether their clients
        are divided (``arpbalance``, ``ndbalance``): the plane holds them in another way then."""
        if "start" in self._obstacles or not self._link.exists:
            return  # what prepares it then finds the new order of things
        self._prepare()
        if self.state is State.MASTER:
            self._perform([Hold(), Announce()])

    def _tell_phrase(self, hearing: Hearing) -> None:
        number = len(self.config.phrases)
        if self._roster.knobs.log >= 1 and number > 1:
            self._log.info(
                "carp: {name}: {source} signs with pass phrase {phrase} of {number}",
                name=self.name,
                source=ip_address(hearing.source),
                phrase=hearing.phrase + 1,
                number=number,
            )

    # Effects

    def _tick(self) -> None:
        now = self._clock.seconds()
        if self.state is State.BACKUP:
            patience = master_down_seconds(self.config.advbase, self.config.advskew)
            heard = self.peers.heard_since(now - patience)
            self._outlook.compare_families(now, self.name, heard, self.machine.settings.families)
        self._perform(self.machine.tick(now))

    def _perform(self, effects: list[Effect]) -> None:
        self._deadline.set(self.machine.deadline)  # first: no timer is lost, whatever becomes of the effects
        in_good_order = any(isinstance(effect, Advertise) and _is_farewell(effect) for effect in effects)
        for effect in effects:
            if isinstance(effect, Became):
                self._became(effect)
            elif isinstance(effect, Hold):
                self._agenda.add("hold", self._hold)
            elif isinstance(effect, Release):
                self._holds = False  # from now on nobody answers, even if the plane is still at work
                self._agenda.forget("speech")
                # Whoever serves there is somebody else's business, but for the time that it takes.
                emptied = self.surroundings.outside(partial(self.tenants.end, in_good_order=in_good_order))
                self._agenda.add("release", partial(self._release, emptied))
            elif isinstance(effect, Advertise):
                if _is_farewell(effect):
                    self._agenda.add("bow-out", partial(self._bow_out, effect, self._tenure.until))
                else:
                    self._agenda.add("speech", partial(self._advertise, effect))
            elif isinstance(effect, Announce):
                self._agenda.add("speech", self._announce)
            else:
                assert_never(effect)
        self._agenda.work()

    def _became(self, change: Became) -> None:
        self.transitions += 1
        if change.state is State.MASTER:
            self._has_spoken = False
            self.counter.begin()
        if self._roster.knobs.log >= 1:
            self._log.info(
                "carp: {name}: {previous} -> {state} ({reason})",
                name=self.name,
                previous=change.previous.value,
                state=change.state.value,
                reason=change.reason,
            )
        self._roster.changed(self, change)

    # The plane

    def _prepare(self) -> None:
        if "stop" in self._obstacles:
            return  # nothing may be made any more
        if "plane" not in self._obstacles and self.state is State.INIT:
            self._obstacles["plane"] = "setting up"
        self._agenda.add("prepare", lambda: maybeDeferred(self.plane.prepare).addCallback(self._prepared))
        self._agenda.work()

    def _prepared(self, _: None) -> None:
        self.clear("plane")

    def _reconfigure(self, config: VirtualHostConfig, done: Deferred[None]) -> Deferred[None] | None:
        if "stop" in self._obstacles:
            done.errback(ValueError(f"{self.name} is being removed"))
            return None
        self.plane.adopt(config)
        if config.addresses == self.config.addresses or not self._link.exists or "plane" in self._obstacles:
            # Nothing to prepare; or it could not be prepared so far, and maybe now it can.
            self._adopt(config)
            done.callback(None)
            if "plane" in self._obstacles and self._link.exists:
                self._prepare()
            return None
        preparing = maybeDeferred(self.plane.prepare)
        preparing.addCallback(lambda _: self._adopt(config))
        return preparing.addCallbacks(done.callback, lambda failure: self._cannot_adopt(failure, done))

    def _cannot_adopt(self, why: Failure, done: Deferred[None]) -> Deferred[None]:
        self.plane.adopt(self.config)
        again = maybeDeferred(self.plane.prepare).addErrback(self._plane_failed)
        if self.config.addresses:
            again.addCallback(lambda _: self.clear("addresses"))  # it has them still
        return again.addCallback(lambda _: done.errback(why))

    def _adopt(self, config: VirtualHostConfig) -> None:
        others = config.addresses != self.config.addresses
        self.config = config
        before, self.shared = self.shared, _packed(config)
        effects = self.machine.reconfigured(self._clock.seconds(), _settings(config))
        if others and self.state is State.MASTER:
            effects = [Hold(), *effects, Announce()]
        elif self._tenure.is_on:
            self._tenure.begin(self._will())  # signed as the others expect it from now on
        self._perform(effects)
        if config.addresses:
            self.clear("addresses")
        self._roster.sharing_changed(self, before ^ self.shared)
        # What the peers can be sent from is another question now.
        self.link_changed(self._link, self._voice)
        self.account_for_link()

    def _hold(self) -> Deferred[None] | None:
        if self.state is not State.MASTER:
            return None  # it was over before it began; a release follows
        self._tenure.begin(self._will())
        return maybeDeferred(self.plane.hold).addCallback(self._held)

    def _held(self, _: None) -> None:
        self._retry_seconds = RETRY_SECONDS
        self._holds = self.state is State.MASTER

    def _release(self, emptied: Deferred[None]) -> Deferred[None]:
        self._holds = False  # again: a hold before it may have ended while this was already the next MASTER
        # Who serves there may still have answers to send from the addresses.
        return emptied.addCallback(lambda _: self._give_up())

    def _give_up(self) -> Deferred[None]:
        # The guard may have been at it as well, and does not leave things as a release does.
        mend = self._tenure.is_lapsed or not self._tenure.is_on
        releasing = maybeDeferred(self.plane.release).addCallback(lambda _: self._tenure.end())
        return releasing.addCallback(lambda _: self.plane.prepare()) if mend else releasing

    def _withdraw(self) -> Deferred[None]:
        return maybeDeferred(self.plane.withdraw).addCallback(lambda _: self._tenure.close())

    def _will(self) -> Will:
        """What ends this MASTER without us."""
        farewell = Advertise(BOW_OUT, BOW_OUT, self.machine.demote)
        voice, families = self._voice, self.machine.settings.families
        frames: list[bytes] = []
        if voice is not None:
            for family in families:
                frames += voice.farewell(self, family, farewell)
        return Will(self.plane.ending, self._link.index, tuple(frames))

    def _ended_by_guard(self, why: str) -> None:
        self._log.warn("carp: {name}: the guard has ended it: {why}", name=self.name, why=why)
        self._perform(self.machine.replaced(self._clock.seconds(), "ended by the guard"))

    def _plane_failed(self, failure: Failure) -> None:
        if "stop" in self._obstacles:
            self._log.warn("carp: {name}: on leaving: {why}", name=self.name, why=failure.getErrorMessage())
            return
        why = failure.getErrorMessage()
        if self._obstacles.get("plane") != why:
            self._log.warn("carp: {name}: {why}", name=self.name, why=why)
        self.obstruct("plane", why)
        self._retry.set(self._clock.seconds() + self._retry_seconds)
        self._retry_seconds = min(2 * self._retry_seconds, LONGEST_RETRY_SECONDS)

    # The voice

    def _bow_out(self, farewell: Advertise, until: float) -> None:
        """:param until: when the others count on no master any more."""
        if self._has_spoken and self._clock.seconds() < until:
            self._advertise(farewell)
        # Else nobody takes us for the master, or nobody any more: a farewell would dethrone the one that there is.

    def _advertise(self, effect: Advertise) -> None:
        if self.state is not State.MASTER and not _is_farewell(effect):
            return  # whoever observed that it became MASTER has already asked for something else
        if self.state is State.MASTER and self._tenure.is_lapsed:
            # It waited for too long behind a plane at work.
            self._perform(self.machine.replaced(self._clock.seconds(), "was held up"))
            return
        failure: OSError | None = None
        has_left = False
        for family in self.machine.settings.families:
            try:
                if self._voice is None:
                    raise OSError(f"nothing can be sent on {self.config.interface}")
                self._voice.advertise(self, family, effect)
                self.sending.sent += 1
                self._has_spoken = has_left = True
            except OSError as error:
                failure = error
        if self.state is State.MASTER:
            self._renew(has_left)
        if failure is None:
            self.sending.succeeded()
        else:
            self.sending.failed(failure)

    def _renew(self, has_left: bool) -> None:
        advbase, advskew, *_ = self.machine.settings
        effective = self.machine.effective_advskew
        interval = interval_seconds(advbase, effective)
        if self.config.peers or self.config.peers6:
            self._tenure.begin(self._will())  # more of them may be known by now
        lease = lease_seconds(advbase, advskew, effective)
        self._tenure.spoke(advbase, interval, lease)
        if has_left and self.holding:
            self.tenants.renew(self._clock.seconds() + lease)

    def _announce(self) -> None:
        if not self.holding or self._voice is None:
            return
        try:
            self._voice.announce(self)
        except OSError as error:
            self._log.warn("carp: {name}: announcing the addresses: {error}", name=self.name, error=error)


def _is_farewell(effect: Advertise) -> bool:
    return is_bow_out(effect.advbase, effect.advskew)


def _packed(config: VirtualHostConfig) -> frozenset[bytes]:
    return frozenset(address.ip.packed for address in config.addresses)


def _settings(config: VirtualHostConfig) -> Settings:
    families = tuple(sorted({address.version for address in config.addresses}))
    return Settings(config.advbase, config.advskew, families, config.dialect is Dialect.OPENBSD)
