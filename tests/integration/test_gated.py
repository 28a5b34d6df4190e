"""Services that run where a virtual host is MASTER."""

from __future__ import annotations

from twisted.application.service import Service
from twisted.internet.defer import Deferred

from carptwist.api import CarpGatedService
from tests.integration.support import CompanionTestCase


class Job(Service):
    """Takes as long to stop as it is told."""

    def __init__(self, name: str) -> None:
        self.setName(name)  # type: ignore[no-untyped-call]
        self.starts = 0
        self.stopping: Deferred[None] | None = None

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]
        self.starts += 1

    def stopService(self) -> Deferred[None] | None:  # type: ignore[override]
        super().stopService()  # type: ignore[no-untyped-call]
        return self.stopping


class Broken(Job):
    """Cannot be started."""

    def startService(self) -> None:
        raise ValueError("cannot be started")


class GatedServiceTests(CompanionTestCase):
    """With one child."""

    def setUp(self) -> None:
        super().setUp()
        self.service = CarpGatedService(
            self.clock, "1@em0", control=self.endpoint, settle_seconds=0.0, boottime=self.boottime
        )
        self.job = Job("a")
        self.job.setServiceParent(self.service)
        self.service.privilegedStartService()
        self.service.startService()
        self.addCleanup(self.end)
        self.settle()

    def end(self) -> None:
        if self.service.running:
            self.got(self.service.stopService())

    def test_children_run_on_the_master_alone(self) -> None:
        """Again and again; the service itself runs all the time."""
        self.assertEqual((self.service.running, self.job.running), (1, 0))
        for starts in (1, 2):
            self.become("MASTER")
            self.assertEqual((self.job.running, self.job.starts), (1, starts))
            self.assertTrue(self.service.is_open)
            self.become("BACKUP")
            self.assertEqual((self.job.running, self.job.starts), (0, starts))

    def test_the_addresses_stay_until_the_children_have_stopped(self) -> None:
        """So that no other host is told before."""
        self.become("MASTER")
        self.job.stopping = Deferred()
        self.become("BACKUP")
        self.assertTrue(self.holds())
        self.job.stopping.callback(None)
        self.settle()
        self.assertFalse(self.holds())

    def test_children_that_come_and_go(self) -> None:
        """Are started if children run now, and stopped if they do."""
        early, late = Job("early"), Job("late")
        early.setServiceParent(self.service)
        self.assertEqual(early.running, 0)
        self.become("MASTER")
        late.setServiceParent(self.service)
        self.assertEqual((early.starts, late.starts), (1, 1))
        late.disownServiceParent()
        self.become("BACKUP")
        self.assertIsNone(self.successResultOf(self.service.removeService(early)))
        self.assertEqual((early.running, late.running, self.service.services), (0, 0, [self.job]))
        self.assertTrue(self.service.running)

    def test_it_stops_with_its_parent(self) -> None:
        """When the last child has stopped."""
        self.become("MASTER")
        self.job.stopping = Deferred()
        stopping = self.service.stopService()
        self.settle()
        self.assertNoResult(stopping)
        self.job.stopping.callback(None)
        self.got(stopping)
        self.become("BACKUP")
        self.become("MASTER")
        self.assertEqual((self.job.running, self.job.starts), (0, 1))

    def test_a_child_that_fails_to_start(self) -> None:
        """Keeps none from running."""
        broken = Broken("broken")
        broken.setServiceParent(self.service)
        late = Job("late")
        late.setServiceParent(self.service)
        self.become("MASTER")
        self.assertEqual((self.job.running, late.running), (1, 1))
        self.become("BACKUP")
        self.assertEqual((self.job.running, late.running), (0, 0))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_what_is_no_virtual_host(self) -> None:
        """Is told at once."""
        for vhid, control in (("em0", "/run/c.sock"), ("0@em0", "/run/c.sock"), ("1@em0", ""), ("1@em0", "nosuch:1")):
            self.assertRaises(ValueError, CarpGatedService, self.clock, vhid, control=control)

    def test_a_child_that_fails_to_stop(self) -> None:
        """Keeps nobody from stopping."""
        self.become("MASTER")
        self.job.stopping = Deferred()
        self.job.stopping.errback(ValueError("stays"))
        self.become("BACKUP")
        self.assertFalse(self.holds())
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
