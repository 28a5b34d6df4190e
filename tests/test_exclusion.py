"""What the services of one process have in common."""

from __future__ import annotations

import os
import socket

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from carptwist import exclusion
from carptwist.config.belongings import of_configuration, of_vhid
from carptwist.configuration import configuration_of_text
from carptwist.exclusion import AlreadyRunningError, Share, TakenError
from carptwist.lab.namespaces import NetworkNamespace, why_not

TEXT = """
[carp]
state_dir = /var/lib/shop
[vhid 1@em0]
address = 192.0.2.1/24
          fe80::1/64
pass = mekmitasdigoat
[sync nat]
unix = /run/shop/sync.sock
[devd]
[control]
unix = /run/shop/control.sock
"""


class BelongingsTests(SynchronousTestCase):
    """What a configuration takes for itself."""

    def test_all(self) -> None:
        """A link-local address is one of its link."""
        configuration = configuration_of_text(TEXT)
        self.assertEqual(of_vhid(configuration.vhids[0]), {"1@em0", "192.0.2.1", "fe80::1%em0"})
        self.assertEqual(
            of_configuration(configuration),
            {
                "state_dir /var/lib/shop",
                "socket /run/shop/control.sock",
                "socket /run/shop/sync.sock",
                "socket /run/carptwist/devd.pipe",
            },
        )


class ShareTests(SynchronousTestCase):
    """In a network namespace that nobody else is in."""

    def setUp(self) -> None:
        refused = why_not()
        if refused is not None:
            raise SkipTest(refused)
        self.namespace = NetworkNamespace()
        self.addCleanup(self.namespace.close)

    def share(self) -> Share:
        with self.namespace:
            share = exclusion.join()
        self.addCleanup(share.close)
        return share

    def test_two_have_nothing_in_common(self) -> None:
        """Nothing is taken where one thing of several is another's; what is given up may be taken."""
        one, two = self.share(), self.share()
        one.take("1@em0", ["1@em0", "192.0.2.1"])
        with self.assertRaises(TakenError) as raised:
            two.take("2@em0", ["2@em0", "192.0.2.1"])
        self.assertIn("another CarpService of this process has 192.0.2.1 already", str(raised.exception))
        one.take("2@em0", ["2@em0"])
        one.keep("1@em0", ["1@em0"])
        two.take("3@em0", ["192.0.2.1"])
        one.close()
        two.take("2@em0", ["2@em0", "1@em0"])

    def test_one_has_something_twice(self) -> None:
        """Two vhids of a service may balance one address: it is the service's until both have given it up."""
        one, two = self.share(), self.share()
        for name in ("1@em0", "2@em0"):
            one.take(name, [name, "192.0.2.1"])
        one.keep("1@em0", [])
        self.assertRaises(TakenError, two.take, "3@em0", ["192.0.2.1"])
        one.keep("2@em0", [])
        two.take("3@em0", ["192.0.2.1"])

    def test_the_lock_is_the_process(self) -> None:
        """As long as any service has its share, another process is refused, by name; the last one lets go."""
        one, two = self.share(), self.share()
        one.close()
        self.assertEqual(self.another(), f"another carptwist daemon runs on this host (process {os.getpid()})")
        two.close()
        two.close()
        self.assertEqual(self.another(), "")

    def another(self) -> str:
        """What somebody who is not of this process is told."""
        try:
            with self.namespace:
                exclusion._claim().close()
        except AlreadyRunningError as error:
            return str(error).partition(":")[0]
        return ""

    def test_another_namespace(self) -> None:
        """Is another host: the same things are there as well."""
        elsewhere = NetworkNamespace()
        self.addCleanup(elsewhere.close)
        self.share().take("1@em0", ["1@em0"])
        with elsewhere:
            theirs = exclusion.join()
        theirs.take("1@em0", ["1@em0"])
        theirs.close()

    def test_leftovers_go_once(self) -> None:
        """Whoever comes while they do waits, and does not do it again; unless it has failed."""
        one, two, three = self.share(), self.share(), self.share()
        works: list[Deferred[list[str]]] = []

        def work() -> Deferred[list[str]]:
            works.append(Deferred())
            return works[-1]

        first, second = one.clean(work), two.clean(work)
        self.assertEqual(len(works), 1)
        works[0].errback(OSError("no"))
        self.failureResultOf(first, OSError)
        self.assertEqual(len(works), 2)
        works[1].callback(["device carp2-1"])
        self.assertEqual(self.successResultOf(second), ["device carp2-1"])
        self.assertIsNone(self.successResultOf(three.clean(lambda: succeed(self.fail("a second time")))))

    def test_a_lock_that_cannot_be_asked(self) -> None:
        """Whoever holds it without listening is somebody as well."""
        with self.namespace:
            mute = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            mute.bind(exclusion._NAME)
        self.addCleanup(mute.close)
        self.assertEqual(self.another(), "another carptwist daemon runs on this host")
