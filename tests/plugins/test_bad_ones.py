"""What a plug-in does wrong is told and counted, and takes nothing down."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from twisted.internet.defer import Deferred, fail, inlineCallbacks, succeed
from twisted.internet.task import Clock
from twisted.plugin import IPlugin
from zope.interface import implementer
from zope.interface.verify import verifyObject

from carptwist.api import Change, LinkConfig, Result, State
from carptwist.config.health import CheckConfig
from carptwist.config.reactions import HookConfig
from carptwist.config.schema import PlaneKind, VirtualHostConfig
from carptwist.interfaces import (
    IDemotionPlugin,
    IDemotionSource,
    IFramePort,
    IFrameReceiver,
    IHook,
    IHookPlugin,
    ILink,
    ILinkPlugin,
    IPlane,
    IPlanePlugin,
    ISystem,
)
from carptwist.planes import PlaneError
from carptwist.plugins.accounts import Account
from carptwist.plugins.link import Ear, PluggedPort
from carptwist.plugins.plane import STEP_SECONDS, PluggedPlane
from carptwist.simulation.plane import Hold, MemoryPlane
from tests.plugins.support import catalogue
from tests.service_support import QUICK, ServiceTestCase, Step


class Oops(Exception):
    """A bug of a plug-in."""


def oops(*arguments: object) -> Any:
    raise Oops("on purpose")


@implementer(IPlugin, IPlanePlugin, ILinkPlugin, IHookPlugin, IDemotionPlugin)
class Anything:
    """Is a plug-in of every kind, and makes what the test says."""

    name = "it"

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    def load(self) -> None:
        pass

    def plane(self, config: VirtualHostConfig, reactor: Any, damaged: Callable[[str], object]) -> IPlane:
        made: IPlane = self._make()
        return made

    def link(self, config: LinkConfig, reactor: Any) -> ILink:
        made: ILink = self._make()
        return made

    def hook(self, config: HookConfig, reactor: Any) -> IHook:
        made: IHook = self._make()
        return made

    def source(self, config: CheckConfig, reactor: Any) -> IDemotionSource:
        made: IDemotionSource = self._make()
        return made


@implementer(IHook)
class Hook:
    """Does what the test says."""

    def __init__(self, changed: Callable[[Change], Any], stop: Callable[[], Any] = lambda: None) -> None:
        self._changed = changed
        self._stop = stop

    def changed(self, change: Change) -> Deferred[None] | None:
        answer: Deferred[None] | None = self._changed(change)
        return answer

    def stop(self) -> Deferred[None] | None:
        answer: Deferred[None] | None = self._stop()
        return answer


@implementer(IDemotionSource)
class Source:
    """Finds what the test says."""

    def __init__(self, look: Callable[[], Any]) -> None:
        self._look = look
        self.stopped = False

    def look(self) -> Deferred[Result] | Result:
        found: Deferred[Result] | Result = self._look()
        return found

    def stop(self) -> None:
        self.stopped = True
        oops()


class BadHookTests(ServiceTestCase):
    text = QUICK + "[hook shop]\nplugin = it\ntimeout = 1\n"

    @inlineCallbacks
    def test_all_that_can_go_wrong_with_a_hook(self) -> Step:
        """It cannot be made, raises, fails, is late, cannot even be stopped: the vhid becomes MASTER and goes, the
        daemon ends, and the next hook has seen everything."""
        seen: list[str] = []
        good = Hook(lambda change: seen.append(change.state))
        for make, error in (
            (oops, "being made: Oops: on purpose"),
            (lambda: object(), "is no complete IHook"),
            (lambda: Hook(oops, oops), "changed: Oops: on purpose"),
            (lambda: Hook(lambda change: fail(Oops("later"))), "changed: Oops: later"),
            (lambda: Hook(lambda change: Deferred()), "changed: TimeoutError: not done within 1 s"),
        ):
            seen.clear()
            plugins = catalogue(Anything(make), _named("good", lambda: good))
            service = self.service(self.text + "[hook good]\nplugin = good\n", plugins=plugins)
            service.startService()
            yield self.until(lambda service=service: service.states() == {"1@em0": State.MASTER})
            yield self.until(lambda: "MASTER" in seen)
            yield service.stopService()
            self.assertEqual(seen[-1], "INIT")
            account = next(each for each in service.status()["plugins"] if each["plugin"] == "it")
            self.assertGreaterEqual(account["errors"], 2)
            self.assertEqual(account["section"], "hook shop")
            if "stop" not in account["last_error"]:
                self.assertIn(error, account["last_error"])
        self.assertGreaterEqual(len(self.flushLoggedErrors()), 5)

    @inlineCallbacks
    def test_one_that_is_replaced(self) -> Step:
        """A reload stops the former one, and leaves alone what stays."""
        stopped: list[int] = []
        plugins = catalogue(Anything(lambda: Hook(lambda change: None, lambda: stopped.append(1))))
        service = self.service(self.text, plugins=plugins)
        service.startService()
        yield self.until(lambda: service.status()["plugins"] != [] and service.status()["plugins"][0]["calls"] > 1)
        same = service.configuration
        yield service.adopt(same)
        self.assertEqual(stopped, [])
        from dataclasses import replace

        yield service.adopt(replace(same, hooks=()))
        self.assertEqual(stopped, [1])
        yield service.stopService()
        self.assertEqual(stopped, [1])


def _named(name: str, make: Callable[..., Any]) -> Anything:
    plugin = Anything(make)
    plugin.name = name
    return plugin


class BadSourceTests(ServiceTestCase):
    text = QUICK + "[check shop]\nplugin = it\ndemote = 30\n"

    @inlineCallbacks
    def test_all_that_can_go_wrong_with_a_demotion_source(self) -> Step:
        """It does not pass for health: the host is demoted, and says why."""
        for make, error in (
            (oops, "being made: Oops: on purpose"),
            (lambda: object(), "is no complete IDemotionSource"),
            (lambda: Source(oops), "look: Oops: on purpose"),
            (lambda: Source(lambda: fail(Oops("later"))), "look: Oops: later"),
            (lambda: Source(lambda: True), "look gives True, which is no Result"),
        ):
            service = self.service(self.text, plugins=catalogue(Anything(make)))
            service.startService()
            yield self.until(lambda service=service: "failing" in [e["state"] for e in service.status()["checks"]])
            (entry,) = service.status()["ledger"]
            self.assertEqual((entry["owner"], entry["value"]), ("check shop", 30))
            self.assertIn(error, entry["reason"])
            self.assertEqual(service.status()["plugins"][0]["errors"], 1)
            yield service.stopService()
        self.assertGreaterEqual(len(self.flushLoggedErrors()), 4)

    @inlineCallbacks
    def test_one_that_never_answers(self) -> Step:
        """Is late as any check is, which is no bug; it is told that it is asked no more."""
        made = Source(Deferred)
        service = self.service(self.text + "timeout = 1\n", plugins=catalogue(Anything(lambda: made)))
        service.startService()
        yield self.until(lambda: "failing" in [each["state"] for each in service.status()["checks"]])
        self.assertIn("no answer within", service.status()["checks"][0]["result"])
        self.assertEqual(service.status()["plugins"][0]["errors"], 0)
        yield service.stopService()
        self.assertTrue(made.stopped)
        self.assertEqual(len(self.flushLoggedErrors(Oops)), 1)

    @inlineCallbacks
    def test_one_that_fails_all_the_time(self) -> Step:
        """Is told of once."""
        service = self.service(self.text + "interval = 1\n", plugins=catalogue(Anything(lambda: Source(oops))))
        service.startService()
        yield self.until(lambda: service.status()["plugins"] and service.status()["plugins"][0]["errors"] >= 2)
        self.assertEqual(len(self.flushLoggedErrors(Oops)), 1)
        yield service.stopService()
        self.flushLoggedErrors(Oops)


@implementer(ILink)
class Link:
    """Opens what the test says."""

    def __init__(self, opens: Callable[[bytes, IFrameReceiver], Any]) -> None:
        self._opens = opens

    def open_port(self, program: bytes, receiver: IFrameReceiver) -> IFramePort:
        port: IFramePort = self._opens(program, receiver)
        return port


@implementer(IFramePort)
class Port:
    """Fails in everything."""

    interface = "em0"

    def send(self, frame: bytes, until: float = inf) -> None:
        oops()

    def close(self) -> None:
        oops()


class BadLinkTests(ServiceTestCase):
    text = QUICK + "[link em0]\nplugin = it\n"

    @inlineCallbacks
    def test_one_that_opens_nothing(self) -> Step:
        """As where no packet socket can be opened, the vhid waits in INIT; the daemon runs and ends."""
        for make in (oops, object, lambda: Link(oops), lambda: Link(lambda program, receiver: object())):
            service = self.service(self.text, plugins=catalogue(Anything(make)))
            service.startService()
            yield service.when_started()
            self.assertEqual(service.states(), {"1@em0": State.INIT})
            self.assertIn("no packet socket on em0", service.status()["vhids"][0]["reason"])
            self.assertEqual(service.status()["plugins"][0]["errors"], 1)
            yield service.stopService()
        self.assertGreaterEqual(len(self.flushLoggedErrors(Oops)), 2)

    @inlineCallbacks
    def test_one_that_sends_nothing(self) -> Step:
        """Its errors are those of sending: the host is demoted for them, and the daemon ends in good order."""

        def opens(program: bytes, receiver: IFrameReceiver) -> Port:
            port = Port()
            receiver.connected(port)
            return port

        service = self.service(self.text, plugins=catalogue(Anything(lambda: Link(opens))))
        service.startService()
        yield self.until(lambda: [each["owner"] for each in service.status()["ledger"]] == ["senderr 1@em0"])
        yield service.stopService()
        self.assertGreaterEqual(len(self.flushLoggedErrors(Oops)), 1)

    def test_what_is_between(self) -> None:
        """Is what it stands for; frames that come when the port is closed go nowhere."""
        account = Account("link em0", "it")
        verifyObject(IFramePort, PluggedPort("em0", Port(), account))
        heard: list[object] = []

        class Receiver:
            def connected(self, port: IFramePort) -> None:
                heard.append("connected")

            def frame_received(self, frame: bytes) -> None:
                heard.append(frame)

            def disconnected(self) -> None:
                heard.append("disconnected")

        ear = Ear("em0", Receiver(), account)  # type: ignore[arg-type]
        verifyObject(IFrameReceiver, ear)
        ear.frame_received(b"early")
        ear.connected(Port())
        ear.frame_received(bytearray(b"frame"))
        ear.disconnected()
        ear.disconnected()
        ear.frame_received(b"late")
        self.assertEqual(heard, ["connected", b"frame", "disconnected"])


@implementer(IPlane)
class Plane:
    """Does everything at once, but for what the test says."""

    link_address: Any = bytes(6)
    answers = True
    ending: Any = (b"down",)

    def __init__(self, **does: Any) -> None:
        self.__dict__.update(does)
        self.asked: list[object] = []

    def adopt(self, config: VirtualHostConfig) -> None:
        self.asked.append("adopt")

    def prepare(self) -> Deferred[None]:
        return succeed(None)

    def hold(self) -> Deferred[None]:
        return succeed(None)

    def refresh(self, seconds: int, until: float) -> None:
        self.asked.append(("refresh", seconds, until))

    def release(self) -> Deferred[None]:
        return succeed(None)

    def withdraw(self) -> Deferred[None]:
        return succeed(None)


class BadPlaneTests(ServiceTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        self.account = Account("vhid 1@em0", "it")
        config = VirtualHostConfig(1, "em0", (), plane=PlaneKind.PLUGIN, plugin="it")
        self.beneath = MemoryPlane(config, link_address=b"")
        self.config = config

    def plane(self, make: Callable[[VirtualHostConfig], Any]) -> PluggedPlane:
        plane = PluggedPlane(self.config, self.beneath, make, self.account, self.clock)
        verifyObject(IPlane, plane)
        return plane

    def refusal(self, doing: Deferred[None]) -> str:
        return str(self.failureResultOf(doing, PlaneError).value)

    def test_a_good_one(self) -> None:
        """Is asked for everything, and what is beneath as well."""
        made = Plane()
        plane = self.plane(lambda config: made)
        self.assertEqual((plane.link_address, plane.ending, plane.answers), (b"", (), False))
        self.successResultOf(plane.prepare())
        self.assertEqual((plane.link_address, plane.ending, plane.answers), (bytes(6), (b"down",), True))
        self.successResultOf(plane.hold())
        self.assertIs(self.beneath.stands, Hold.HELD)
        plane.refresh(2, 5.0)
        plane.adopt(self.config)
        self.successResultOf(plane.release())
        self.successResultOf(plane.withdraw())
        self.assertIs(self.beneath.stands, Hold.NOTHING)
        self.assertEqual(made.asked, [("refresh", 2, 5.0), "adopt"])
        self.assertEqual((self.account.calls, self.account.errors), (4, 0))

    def test_one_that_cannot_be_made(self) -> None:
        """Is tried again with the next preparation; before that there is nothing to take away."""
        made = iter([oops, lambda: object(), lambda: _refuse(), Plane])
        plane = self.plane(lambda config: next(made)())
        self.assertIn("being made: Oops: on purpose", self.refusal(plane.prepare()))
        self.assertIn("is no complete IPlane", self.refusal(plane.prepare()))
        self.assertEqual(self.refusal(plane.prepare()), "not on this host")  # in good order: no bug
        self.assertEqual(self.account.errors, 2)
        plane.refresh(2, 5.0)
        self.successResultOf(plane.release())
        self.successResultOf(plane.withdraw())
        self.successResultOf(plane.prepare())
        self.assertEqual(len(self.flushLoggedErrors(Oops)), 1)

    def test_one_that_fails(self) -> None:
        """In whatever step: a PlaneError that names it. What is beneath ends all the same."""
        for name in ("prepare", "hold", "release", "withdraw"):
            for does in (oops, lambda: fail(Oops("later"))):
                made = Plane(**{name: does})
                plane = self.plane(lambda config, made=made: made)
                self.account.last_error = None
                if name != "prepare":
                    self.successResultOf(plane.prepare())
                text = self.refusal(getattr(plane, name)())
                self.assertRegex(text, f"^plug-in it failed: {name}: Oops: ")
                if name == "withdraw":
                    self.assertIs(self.beneath.stands, Hold.NOTHING)
        self.assertEqual(len(self.flushLoggedErrors(Oops)), 8)

    def test_one_that_refuses_in_good_order(self) -> None:
        """Says what it says, and nobody calls it a bug."""
        plane = self.plane(lambda config: Plane(hold=lambda: fail(PlaneError("the cloud is closed"))))
        self.successResultOf(plane.prepare())
        self.assertEqual(self.refusal(plane.hold()), "the cloud is closed")
        self.assertEqual(self.account.errors, 0)

    def test_one_that_never_ends(self) -> None:
        """Is given up: a vhid can stop."""
        plane = self.plane(lambda config: Plane(release=Deferred))
        self.successResultOf(plane.prepare())
        doing = plane.release()
        self.clock.advance(STEP_SECONDS)
        self.assertIn("release: TimeoutError: not done within 30 s", self.refusal(doing))
        self.flushLoggedErrors()

    def test_attributes_and_small_calls(self) -> None:
        """What is not what it should be counts for nothing."""
        made = Plane(link_address="em0", ending=["x"], refresh=oops, adopt=oops)
        plane = self.plane(lambda config: made)
        self.successResultOf(plane.prepare())
        self.assertEqual((plane.link_address, plane.ending, plane.answers), (b"", (), False))
        plane.refresh(1, 2.0)
        plane.adopt(self.config)
        self.assertEqual(self.account.errors, 5)
        self.successResultOf(plane.prepare())  # made anew
        self.flushLoggedErrors()

    @inlineCallbacks
    def test_in_a_daemon(self) -> Step:
        """A vhid whose plane has bugs stays in INIT or comes and goes; the other one serves, and the daemon ends."""
        plugins = catalogue(Anything(lambda: Plane(hold=oops, withdraw=oops)))
        other = QUICK.replace("1@", "2@").replace("2.1/", "2.2/")
        service = self.service(QUICK + "plane = plugin\nplugin = it\n" + other, plugins=plugins)
        verifyObject(ISystem, service.node._system)
        service.startService()
        yield self.until(lambda: service.states()["2@em0"] is State.MASTER)
        yield self.until(lambda: service.status()["plugins"][0]["errors"])
        self.assertTrue(self.systems["a"].holds("2@em0"))
        yield service.stopService()
        self.assertGreaterEqual(len(self.flushLoggedErrors(Oops)), 1)
        self.flushLoggedErrors(PlaneError)


def _refuse() -> None:
    raise PlaneError("not on this host")
