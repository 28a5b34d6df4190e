"""conf/examples/plugins, each through a daemon on a host in memory."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks
from twisted.internet.interfaces import IReactorTCP
from twisted.internet.protocol import Factory, Protocol

from carptwist.api import State
from tests.plugins.support import examples
from tests.service_support import QUICK, ServiceTestCase, Step


class _Kept(Protocol):
    """Writes down what it hears."""

    def dataReceived(self, data: bytes) -> None:
        self.factory.heard.append(data.decode())  # type: ignore[union-attr]


class ExampleTests(ServiceTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.plugins = examples()

    @inlineCallbacks
    def test_plane(self) -> Step:
        """The commands are run with the addresses: down at the start, up as MASTER, and down at the end."""
        log = self.directory / "log"
        script = self.directory / "address"
        script.write_text(f'#!/bin/sh\necho "$@" >> {log}\n')
        script.chmod(0o755)
        service = self.service(
            QUICK + f"plane = plugin\nplugin = commands\nargument = {script} up\n  {script} down\n",
            plugins=self.plugins,
        )
        service.startService()
        yield self.until(lambda: service.states() == {"1@em0": State.MASTER} and "up" in _text(log))
        self.assertEqual(service.status()["vhids"][0]["plane"], "plugin")
        yield service.stopService()
        self.assertEqual(_text(log).splitlines(), ["down 192.0.2.1/24", "up 192.0.2.1/24", "down 192.0.2.1/24"])

    @inlineCallbacks
    def test_plane_that_does_not_work(self) -> Step:
        """The vhid stays in INIT, and says why."""
        service = self.service(
            QUICK + "plane = plugin\nplugin = commands\nargument = /bin/false up\n  /bin/false down\n",
            plugins=self.plugins,
        )
        service.startService()
        yield service.when_started()
        yield self.until(lambda: "exit code 1" in service.status()["vhids"][0]["reason"])
        self.assertEqual(service.states(), {"1@em0": State.INIT})

    @inlineCallbacks
    def test_link(self) -> Step:
        """Two daemons that have nothing in common but the tunnel elect one MASTER; without it both would be."""
        ports = _free_ports(2)
        services = []
        for name, own, other in (("a", *ports), ("b", *reversed(ports))):
            text = QUICK.replace("advskew = 1", "advskew = 40" if name == "b" else "advskew = 20")
            text += f"[link em0]\nplugin = tunnel\nargument = 127.0.0.1:{own} 127.0.0.1:{other}\n"
            services.append(self.service(text, name=name, plugins=self.plugins))
        for service in services:
            service.startService()
        a, b = services
        yield self.until(lambda: a.states() == {"1@em0": State.MASTER})
        yield self.until(lambda: b.status()["vhids"][0]["master"] is not None)
        self.assertEqual(b.states(), {"1@em0": State.BACKUP})
        self.assertEqual(self.segment.passed, [])
        yield a.stopService()
        yield self.until(lambda: b.states() == {"1@em0": State.MASTER})

    @inlineCallbacks
    def test_hook(self) -> Step:
        """Each change is a line to the server."""
        factory = Factory.forProtocol(_Kept)
        heard: list[str] = []
        factory.heard = heard  # type: ignore[attr-defined]
        listening = IReactorTCP(reactor).listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(listening.stopListening)
        number = listening.getHost().port
        service = self.service(
            QUICK + f"[hook graphite]\nplugin = graphite\nargument = 127.0.0.1:{number}\ntype = MASTER|INIT\n",
            plugins=self.plugins,
        )
        service.startService()
        yield self.until(lambda: len(heard) == 1)
        yield service.stopService()
        yield self.until(lambda: len(heard) == 2)
        self.assertEqual([line.split()[:2] for line in heard], [["carp.1_em0.master", "1"], ["carp.1_em0.master", "0"]])
        (account,) = service.status()["plugins"]
        self.assertEqual(
            account, {"section": "hook graphite", "plugin": "graphite", "calls": 2, "errors": 0, "last_error": None}
        )

    @inlineCallbacks
    def test_demotion_source(self) -> Step:
        """The host is demoted where the load is more than it may be, and else is not."""
        load = os.getloadavg()[0]
        service = self.service(
            QUICK
            + f"[check busy]\nplugin = load\nargument = {load - 1000}\ndemote = 70\n"
            + f"[check idle]\nplugin = load\nargument = {load + 1000}\n",
            plugins=self.plugins,
        )
        service.startService()
        yield self.until(lambda: {each["state"] for each in service.status()["checks"]} == {"passing", "failing"})
        (entry,) = service.status()["ledger"]
        self.assertEqual((entry["owner"], entry["value"]), ("check busy", 70))
        self.assertIn("check busy: load average", entry["reason"])


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _free_ports(count: int) -> list[int]:
    from socket import AF_INET, SOCK_DGRAM, socket

    made = [socket(AF_INET, SOCK_DGRAM) for _ in range(count)]
    for each in made:
        each.bind(("127.0.0.1", 0))
    numbers = [each.getsockname()[1] for each in made]
    for each in made:
        each.close()
    return numbers
