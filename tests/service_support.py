"""A whole daemon in this process, on a host in memory and the real reactor."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from carptwist.config.reader import read
from carptwist.interfaces import LinkState
from carptwist.plugins.catalogue import INSTALLED, Catalogue
from carptwist.service import CarpService
from carptwist.simulation.segment import Segment
from carptwist.simulation.system import MemorySystem

Step = Generator[Deferred[Any], Any, None]

UP = LinkState("em0", index=2, up=True, carrier=True, mac=bytes.fromhex("020000000101"), mtu=1500, hardware=1)

#: MASTER 12 ms after the start: 3 x 1/256 s.
QUICK = """
[vhid 1@em0]
address = 192.0.2.1/24
pass = mekmitasdigoat
advbase = 0
advskew = 1
"""


class ServiceTestCase(TestCase):
    """em0 of each service's host is on one segment."""

    timeout = 30

    def setUp(self) -> None:
        self.segment = Segment(reactor)  # type: ignore[arg-type]
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.directory = Path(temporary.name)
        self.systems: dict[str, MemorySystem] = {}

    def service(
        self,
        text: str = QUICK,
        *,
        name: str = "a",
        host: type[MemorySystem] = MemorySystem,
        plugins: Catalogue = INSTALLED,
        **options: Any,
    ) -> CarpService:
        """One that is not started yet. It is stopped at the end of the test."""
        whole = f"[carp]\nrecorder = 0\n{text}\n[control]\nunix = {self.directory}/{name}.sock\n"
        system = self.systems[name] = host(
            name,
            clock=reactor,  # type: ignore[arg-type]
            segments={"em0": self.segment},
            links={"em0": replace(UP, mac=UP.mac[:-1] + name.encode()[:1])},
            random=Random(1),
        )
        configuration = read(whole, "carp.ini", str, plugins.fault).configuration
        service = CarpService(configuration, reactor=reactor, system=system, plugins=plugins, **options)
        self.addCleanup(lambda: service.stopService() if service.running else None)
        return service

    @inlineCallbacks
    def until(self, condition: Callable[[], object], limit: float = 10.0) -> Step:
        """Wait until something holds."""
        for _ in range(int(limit / 0.005)):
            if condition():
                return
            yield deferLater(reactor, 0.005, lambda: None)  # type: ignore[arg-type]
        self.fail("it does not come true")
