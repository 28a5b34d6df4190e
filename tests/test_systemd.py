"""What systemd is told, over a real datagram socket."""

from __future__ import annotations

import configparser
import os
import re
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from carptwist.config.health import SyncConfig
from carptwist.config.schema import Configuration, ControlConfig, Knobs, VirtualHostConfig
from carptwist.election.state import State
from carptwist.privileges import missing_privileges
from carptwist.systemd import RETRY_SECONDS, Channel, Supervision, request, status
from carptwist.tap import DEFAULT_CONFIG


class RequestTests(SynchronousTestCase):
    def test_nothing_is_wanted(self) -> None:
        """Without a socket, or with one that is no UNIX socket, there is nobody to tell."""
        for address in (None, "", "/", "@", "vsock:2:1234", "relative"):
            environment = {} if address is None else {"NOTIFY_SOCKET": address}
            self.assertIsNone(request(environment, 7), address)

    def test_readiness_alone(self) -> None:
        """A socket and no interval, or one that is meant for another process or is nonsense: no heartbeats."""
        for more in (
            {},
            {"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "8"},
            {"WATCHDOG_USEC": "0"},
            {"WATCHDOG_USEC": "-5"},
            {"WATCHDOG_USEC": "soon"},
        ):
            self.assertEqual(request({"NOTIFY_SOCKET": "/run/notify", **more}, 7), ("/run/notify", None))

    def test_heartbeats(self) -> None:
        """The interval is in microseconds, and meant for us where no process is named."""
        for more in ({}, {"WATCHDOG_PID": "7"}):
            found = request({"NOTIFY_SOCKET": "@notify", "WATCHDOG_USEC": "30000000", **more}, 7)
            self.assertEqual(found, ("@notify", 30.0))

    def test_children_are_not_asked(self) -> None:
        """Nothing of it is left in the environment, which hooks and the guard inherit."""
        environment = {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "7", "HOME": "/"}
        request(environment, 7)
        self.assertEqual(environment, {"HOME": "/"})


class StatusTests(SynchronousTestCase):
    def test_lines(self) -> None:
        """How many vhids, and how many of them are what, the masters first."""
        master, backup, init = State.MASTER, State.BACKUP, State.INIT
        self.assertEqual(status([]), "0 vhids")
        self.assertEqual(status([init]), "1 vhid: 1 INIT")
        self.assertEqual(status([backup, master]), "2 vhids: 1 MASTER, 1 BACKUP")
        self.assertEqual(status([init, backup, master, backup]), "4 vhids: 1 MASTER, 2 BACKUP, 1 INIT")


class Systemd:
    """The other end of the socket."""

    def __init__(self, case: SynchronousTestCase, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        case.addCleanup(self.socket.close)
        self.socket.bind(address)

    def read(self) -> list[str]:
        """All that has come since the last time."""
        heard = []
        while True:
            try:
                heard.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return heard


class UnitTests(SynchronousTestCase):
    """conf/systemd/carptwist.service agrees with the daemon."""

    def setUp(self) -> None:
        path = Path(__file__).parents[1] / "conf/systemd/carptwist.service"
        parser = configparser.RawConfigParser(strict=False, interpolation=None)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read_string(path.read_text())
        self.service = parser["Service"]

    def test_capabilities(self) -> None:
        """Those that the daemon asks for, and no others."""
        vhid = VirtualHostConfig(1, "em0", addresses=())
        missing = missing_privileges(Configuration(vhids=(vhid,)), effective=0)
        wanted = set(re.findall(r"CAP_\w+", missing or ""))
        for key in ("AmbientCapabilities", "CapabilityBoundingSet"):
            self.assertEqual(set(self.service[key].split()), wanted)

    def test_directories(self) -> None:
        """The daemon's defaults lie in what systemd makes for it."""
        self.assertEqual(str(Path(ControlConfig().unix).parent), f"/run/{self.service['RuntimeDirectory']}")
        self.assertEqual(str(Path(SyncConfig("x").unix).parent), f"/run/{self.service['RuntimeDirectory']}")
        self.assertEqual(Knobs().state_dir, f"/var/lib/{self.service['StateDirectory']}")
        self.assertIn(f"--config {DEFAULT_CONFIG}", self.service["ExecStart"])

    def test_what_must_not_be_hardened(self) -> None:
        """What the daemon and its guard do would be refused."""
        self.assertEqual(self.service["KillMode"], "control-group")
        self.assertEqual(self.service["ProtectKernelTunables"], "no")
        self.assertNotIn("RestrictRealtime", self.service)
        self.assertNotIn("ProcSubset", self.service)
        families = {"AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET"}
        self.assertEqual(set(self.service["RestrictAddressFamilies"].split()), families)


class SupervisedCase(SynchronousTestCase):
    watchdog_seconds: float | None = None

    def setUp(self) -> None:
        self.clock = Clock()
        self.states = [State.INIT, State.INIT]
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = str(Path(directory.name, "notify"))
        self.systemd = Systemd(self, self.path)
        self.channel = Channel(self.path, self.clock)
        self.supervision = Supervision(
            self.channel,
            self.clock,
            watchdog_seconds=self.watchdog_seconds,
            states=lambda: self.states,
            monotonic=lambda: 12.5,
        )
        self.addCleanup(self.supervision.close)

    def become(self, *states: State) -> None:
        self.states = list(states)
        self.supervision.changed()

    def begin(self) -> None:
        self.supervision.ready()
        self.systemd.read()


class SupervisionTests(SupervisedCase):
    def test_not_before_the_start(self) -> None:
        """Changes of state while the service starts are not told; then it is ready, with its state."""
        self.become(State.BACKUP, State.INIT)
        self.clock.advance(1)
        self.assertEqual(self.systemd.read(), [])
        self.supervision.ready()
        self.clock.advance(100)
        self.assertEqual(self.systemd.read(), ["READY=1\nSTATUS=2 vhids: 1 BACKUP, 1 INIT"])

    def test_changes(self) -> None:
        """Each change is told; of several at once what comes of them; and what changes nothing is not told."""
        self.begin()
        self.become(State.BACKUP, State.BACKUP)
        self.clock.advance(0)
        self.become(State.MASTER, State.BACKUP)
        self.become(State.MASTER, State.MASTER)
        self.clock.advance(0)
        self.become(State.MASTER, State.MASTER)
        self.clock.advance(0)
        self.assertEqual(self.systemd.read(), ["STATUS=2 vhids: 2 BACKUP", "STATUS=2 vhids: 2 MASTER"])

    def test_reload(self) -> None:
        """Its beginning, with the time, and its end are told; whoever asked for it gets its result."""
        self.begin()
        reload: Deferred[list[str]] = Deferred()
        result = self.supervision.reloading(lambda: reload)
        self.assertEqual(self.systemd.read(), ["RELOADING=1\nMONOTONIC_USEC=12500000"])
        self.states.append(State.BACKUP)
        reload.callback(["done"])
        self.assertEqual(self.successResultOf(result), ["done"])
        self.assertEqual(self.systemd.read(), ["READY=1\nSTATUS=3 vhids: 1 BACKUP, 2 INIT"])

    def test_a_reload_that_is_refused(self) -> None:
        """The daemon goes on as before, and so is ready; the failure is the caller's."""
        self.begin()
        result = self.supervision.reloading(lambda: fail(ValueError("no")))
        self.failureResultOf(result, ValueError)
        self.assertEqual([each.partition("\n")[0] for each in self.systemd.read()], ["RELOADING=1", "READY=1"])

    def test_a_reload_before_the_start_has_ended(self) -> None:
        """Is done, and systemd goes on waiting for the start."""
        result = self.supervision.reloading(lambda: Deferred())
        self.assertNoResult(result)
        self.assertEqual(self.systemd.read(), [])

    def test_the_end(self) -> None:
        """It is told, and afterwards nothing but the end of a reload that goes on would be, which is not either."""
        self.begin()
        reload: Deferred[None] = Deferred()
        self.supervision.reloading(lambda: reload)
        self.supervision.stopping()
        reload.callback(None)
        self.become(State.INIT)
        self.clock.advance(10)
        self.assertEqual([each.partition("\n")[0] for each in self.systemd.read()], ["RELOADING=1", "STOPPING=1"])

    def test_close(self) -> None:
        """Leaves no delayed call behind, whatever was under way."""
        self.begin()
        self.become(State.MASTER)
        self.supervision.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.systemd.read(), [])


class HeartbeatTests(SupervisedCase):
    watchdog_seconds = 30.0

    def test_heartbeats(self) -> None:
        """From readiness on, twice in each interval, also while it stops; a reload does not double them."""
        self.clock.advance(60)
        self.assertEqual(self.systemd.read(), [])
        self.supervision.ready()
        self.assertEqual(self.systemd.read()[1:], ["WATCHDOG=1"])
        self.supervision.reloading(lambda: Deferred()).addErrback(lambda failure: None)
        self.supervision.ready()
        self.systemd.read()
        for _ in range(4):
            self.clock.advance(15)
            self.assertEqual(self.systemd.read(), ["WATCHDOG=1"])
        self.supervision.stopping()
        self.clock.advance(15)
        self.assertEqual(self.systemd.read(), ["STOPPING=1", "WATCHDOG=1"])


class ChannelTests(SynchronousTestCase):
    def channel(self, address: str) -> tuple[Channel, Clock]:
        clock = Clock()
        channel = Channel(address, clock)
        self.addCleanup(channel.close)
        return channel, clock

    def test_the_abstract_namespace(self) -> None:
        """A leading @ stands for NUL."""
        name = f"carptwist-test-{os.getpid()}-{id(self)}"
        systemd = Systemd(self, f"\0{name}")
        channel, _ = self.channel(f"@{name}")
        channel.tell("READY=1", "STATUS=x")
        self.assertEqual(systemd.read(), ["READY=1\nSTATUS=x"])

    def test_nobody_there(self) -> None:
        """Is logged once, and disturbs nothing."""
        warnings: list[Any] = []
        channel, clock = self.channel("/nowhere/notify")
        self.observe(warnings.append)
        channel.tell("READY=1")
        channel.tell("STATUS=x")
        self.assertEqual(clock.getDelayedCalls(), [])
        self.assertEqual([each["why"] for each in warnings], ["No such file or directory"])

    def observe(self, observer: Callable[[Any], None]) -> None:
        from twisted.logger import globalLogPublisher

        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def test_a_systemd_that_does_not_read(self) -> None:
        """What must arrive arrives later, in order; heartbeats are not kept; the caller never waits."""
        with tempfile.TemporaryDirectory() as directory:
            path = str(Path(directory, "notify"))
            systemd = Systemd(self, path)
            channel, clock = self.channel(path)
            sent = 0
            while not clock.getDelayedCalls():
                channel.tell(f"STATUS={sent}")
                sent += 1
            channel.tell("WATCHDOG=1", keep=False)
            channel.tell("READY=1")
            clock.advance(RETRY_SECONDS)  # still full
            heard = systemd.read()
            self.assertEqual(heard, [f"STATUS={number}" for number in range(sent - 1)])
            clock.advance(RETRY_SECONDS)
            self.assertEqual(systemd.read(), [f"STATUS={sent - 1}", "READY=1"])
            self.assertEqual(clock.getDelayedCalls(), [])
