"""One interface: there or not, up or not, with a voice or not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_interface

from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from carptwist.config.schema import Knobs, VirtualHostConfig
from carptwist.election.state import State
from carptwist.interfaces import ILinkMonitor, IVoice, LinkState
from carptwist.vhost.attachment import RETRY_SECONDS, Attachment
from carptwist.vhost.roster import Roster
from carptwist.vhost.virtualhost import VirtualHost
from tests.vhost.fakes import ABSENT, DOWN, UP, WrittenPlane, WrittenVoice


@implementer(ILinkMonitor)
class OneLink:
    """A monitor of one interface, which changes when the test says so."""

    def __init__(self) -> None:
        self.link = ABSENT
        self.watchers: list[Callable[[LinkState], object]] = []

    def change(self, link: LinkState) -> None:
        self.link = link
        for watcher in tuple(self.watchers):
            watcher(link)

    def state(self, name: str) -> LinkState:
        return self.link

    def names(self) -> list[str]:
        return ["lo", "eth0"]

    def watch(self, name: str, changed: Callable[[LinkState], object]) -> Callable[[], None]:
        self.watchers.append(changed)
        return lambda: self.watchers.remove(changed)

    def watch_routes(self, changed: Callable[[], object]) -> Callable[[], None]:
        return lambda: None


class AttachmentTests(SynchronousTestCase):
    """A vhid 1@em0 behind an attachment."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.monitor = OneLink()
        self.voices: list[WrittenVoice] = []
        self.refusing: OSError | None = None
        self.roster = Roster(Knobs(), self.clock)
        config = VirtualHostConfig(1, "em0", (ip_interface("192.0.2.1/24"),))
        plane = WrittenPlane([], bytes(6))
        self.vhost = VirtualHost(config, roster=self.roster, plane=plane, clock=self.clock, draw=lambda: 5)
        self.roster.add(self.vhost)
        self.attachment = Attachment(
            "em0", self.roster.on("em0"), monitor=self.monitor, clock=self.clock, open_voice=self.open_voice
        )
        self.logged: list[str] = []
        globalLogPublisher.addObserver(self._observe)
        self.addCleanup(globalLogPublisher.removeObserver, self._observe)

    def _observe(self, event: dict[str, object]) -> None:
        self.logged.append(str(event.get("log_format", "")).format(**event))

    def open_voice(self, link: LinkState) -> IVoice:
        if self.refusing is not None:
            raise self.refusing
        self.voices.append(WrittenVoice([]))
        return self.voices[-1]

    def start(self) -> None:
        self.attachment.start()
        self.vhost.start()

    def test_promises(self) -> None:
        """The fake keeps them."""
        verifyObject(ILinkMonitor, self.monitor)

    def test_an_interface_that_is_there(self) -> None:
        """Gets a voice, and its vhids take part; nobody is told that it was waited for."""
        self.monitor.link = UP
        self.start()
        self.assertIs(self.vhost.state, State.BACKUP)
        self.assertEqual(len(self.voices), 1)
        self.assertFalse([line for line in self.logged if "is there" in line])

    def test_an_interface_that_is_not_there_is_waited_for(self) -> None:
        """Until it is there."""
        self.start()
        self.assertTrue(self.attachment.waiting)
        self.assertEqual(self.voices, [])
        self.assertIs(self.vhost.state, State.INIT)
        self.monitor.change(UP)
        self.assertFalse(self.attachment.waiting)
        self.assertIn("carp: interface em0 is there", self.logged)
        self.assertIs(self.vhost.state, State.BACKUP)

    def test_a_link_that_goes_down_keeps_its_voice(self) -> None:
        """The sockets stay good."""
        self.monitor.link = UP
        self.start()
        self.monitor.change(DOWN)
        self.assertFalse(self.voices[0].closed)
        self.assertIs(self.vhost.state, State.INIT)

    def test_another_device_gets_another_voice(self) -> None:
        """A socket is bound to a device, not to a name."""
        self.monitor.link = UP
        self.start()
        self.monitor.change(replace(UP, index=7))
        self.assertEqual([voice.closed for voice in self.voices], [True, False])
        self.monitor.change(ABSENT)
        self.assertEqual([voice.closed for voice in self.voices], [True, True])

    def test_sockets_that_cannot_be_opened_are_tried_again(self) -> None:
        """Until then the vhids do not take part."""
        self.monitor.link = UP
        self.refusing = OSError(24, "Too many open files")
        self.start()
        self.assertIs(self.vhost.state, State.INIT)
        self.assertTrue([line for line in self.logged if "Too many open files" in line])
        self.refusing = None
        self.clock.advance(RETRY_SECONDS)
        self.assertIs(self.vhost.state, State.BACKUP)

    def test_stopping_leaves_nothing(self) -> None:
        """No voice, no watcher, no timer."""
        self.monitor.link = UP
        self.start()
        self.successResultOf(self.vhost.stop())
        self.attachment.stop()
        self.assertTrue(self.voices[0].closed)
        self.assertEqual(self.monitor.watchers, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])
