"""The service as a program sees it that it is embedded in."""

from __future__ import annotations

import subprocess
from dataclasses import replace

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, fail, inlineCallbacks
from twisted.trial.unittest import SynchronousTestCase

from carptwist.api import (
    BadRequestError,
    Change,
    ConfigurationError,
    NotFoundError,
    State,
    configuration_of_file,
    configuration_of_text,
)
from carptwist.privileges import missing_privileges
from carptwist.simulation.system import MemorySystem
from tests.lab.support import environment, unprivileged_pythons
from tests.service_support import QUICK, ServiceTestCase, Step


class _Ruin(MemorySystem):
    """A host that cannot be worked with."""

    def start(self) -> Deferred[None]:
        return fail(OSError("the host is made of paper"))


class EmbeddedServiceTests(ServiceTestCase):
    """In a program with other services."""

    @inlineCallbacks
    def test_life(self) -> Step:
        """It starts and stops with its parent, and tells of each change of state."""
        program = MultiService()
        service = self.service()
        changes: list[Change] = []
        service.observe(changes.append)
        service.setServiceParent(program)
        program.startService()
        started = yield service.when_started()
        self.assertTrue(started)
        self.assertIsNone(service.trouble)
        yield self.until(lambda: service.states() == {"1@em0": State.MASTER})
        self.assertEqual(service.status()["vhids"][0]["state"], "MASTER")
        yield program.stopService()
        self.assertEqual([change.state for change in changes], ["BACKUP", "MASTER", "INIT"])
        self.assertFalse(self.systems["a"].holds("1@em0"))
        with self.assertRaisesRegex(ValueError, "build another one"):
            program.startService()

    @inlineCallbacks
    def test_an_observer_that_fails_or_leaves(self) -> Step:
        """Stops nobody; is not told any more."""
        service = self.service()
        told: list[Change] = []

        def fails(change: Change) -> None:
            raise RuntimeError("on purpose")

        service.observe(fails)
        service.observe(told.append)()
        service.startService()
        yield self.until(lambda: State.MASTER in service.states().values())
        yield service.stopService()
        self.assertEqual(told, [])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 3)

    @inlineCallbacks
    def test_demotion(self) -> Step:
        """Is in the ledger, in the status and in what the others hear, until it is taken back."""
        service = self.service()
        service.startService()
        yield service.when_started()
        self.assertEqual(service.demote(100, "shop", "the shelves are empty"), 100)
        (entry,) = service.status()["ledger"]
        self.assertEqual((entry["owner"], entry["value"]), ("shop", 100))
        self.assertEqual(service.undemote("shop"), 0)
        with self.assertRaises(NotFoundError):
            service.undemote("shop")
        with self.assertRaises(BadRequestError):
            service.demote(100, "check web", "not mine")

    @inlineCallbacks
    def test_another_configuration(self) -> Step:
        """From an object: what is the same goes on, what is new joins; one that is wrong changes nothing."""
        service = self.service()
        with self.assertRaises(ValueError):
            service.adopt(service.configuration)
        service.startService()
        yield self.until(lambda: service.states() == {"1@em0": State.MASTER})
        more = configuration_of_text(QUICK + QUICK.replace("1@em0", "2@em0").replace("2.1/", "2.2/"))
        outcomes = yield service.adopt(replace(service.configuration, vhids=more.vhids))
        self.assertEqual([each.text for each in outcomes], ["1@em0: unchanged", "2@em0: added with 192.0.2.2/24"])
        yield self.until(lambda: set(service.states().values()) == {State.MASTER})
        with self.assertRaisesRegex(ConfigurationError, "a second time"):
            service.adopt(replace(service.configuration, vhids=more.vhids * 2))
        self.assertEqual(len(service.states()), 2)

    def test_what_does_not_go_together(self) -> None:
        """Is refused before anything is made of it."""
        with self.assertRaises(ConfigurationError):
            self.service(QUICK + QUICK)

    @inlineCallbacks
    def test_a_start_that_fails(self) -> Step:
        """Tells whoever asked, once, and why; nobody else is disturbed, and it can be stopped."""
        gave_up: list[str] = []
        service = self.service(host=_Ruin, gave_up=lambda: gave_up.append("so"))
        service.startService()
        started = yield service.when_started()
        self.assertFalse(started)
        self.assertEqual((gave_up, service.trouble), (["so"], "the host is made of paper"))
        yield service.stopService()

    @inlineCallbacks
    def test_two_in_one_process(self) -> Step:
        """Each has its own ledger, and its own observers; one that stops leaves the other one where it is."""
        one, two = self.service(), self.service(QUICK.replace("1@", "2@").replace("2.1/", "2.2/"), name="b")
        told: list[str] = []
        one.observe(lambda change: told.append(change.subsystem))
        for service in (one, two):
            service.startService()
        yield self.until(lambda: {*one.states().values(), *two.states().values()} == {State.MASTER})
        one.demote(50, "shop", "ill")
        self.assertEqual((one.status()["demotion"], two.status()["demotion"]), (50, 0))
        yield one.stopService()
        self.assertEqual(two.states(), {"2@em0": State.MASTER})
        self.assertTrue(self.systems["b"].holds("2@em0"))
        self.assertEqual(set(told), {"1@em0"})


_UNPRIVILEGED = f"""
from twisted.internet.task import react
from carptwist.api import CarpService, configuration_of_text, run_on_monotonic_time

async def main(reactor):
    run_on_monotonic_time(reactor)
    service = CarpService(configuration_of_text({QUICK!r} + "[carp]\\nrecorder = 0"), reactor=reactor)
    service.startService()
    print(await service.when_started(), service.trouble)
    await service.stopService()

react(main, [])
"""


class LinuxTests(SynchronousTestCase):
    """On this host."""

    def test_without_privileges(self) -> None:
        """The service says which it needs, has changed nothing, and can be stopped."""
        for python, become in unprivileged_pythons():
            done = subprocess.run(
                [python, "-c", _UNPRIVILEGED],
                preexec_fn=become,
                env=environment(),
                cwd="/",
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            self.assertEqual(
                done.stdout.strip(),
                f"False {missing_privileges(configuration_of_text(QUICK), 0)}",
                done.stderr,
            )


class ConfigurationTests(ServiceTestCase):
    """From a text, from a file."""

    def test_the_same(self) -> None:
        path = self.directory / "carp.ini"
        path.write_text(QUICK)
        self.assertEqual(configuration_of_file(str(path)), configuration_of_text(QUICK))

    def test_errors(self) -> None:
        """Name their place."""
        with self.assertRaises(ConfigurationError) as raised:
            configuration_of_text("[vhid 1@em0]\naddress = 192.0.2.1/24\nadvskew = 300\n", "shop")
        self.assertEqual(str(raised.exception), "shop:3: [vhid 1@em0] advskew = 300: must be 0 to 254")
