"""Membership in the groups, as the kernel sees it."""

from __future__ import annotations

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from carptwist.lab.laboratory import Lab
from carptwist.lab.namespaces import why_not
from carptwist.links import membership


class MembershipTests(SynchronousTestCase):
    """em0 of one host."""

    def setUp(self) -> None:
        refused = why_not()
        if refused is not None:
            raise SkipTest(refused)
        lab = Lab()
        self.addCleanup(lab.close)
        self.host = lab.host("here")
        lab.lan().connect(self.host)

    def groups(self) -> tuple[bool, bool]:
        """Whether em0 is in the IPv4 group, and in the IPv6 one."""
        with self.host.namespace:
            with open("/proc/thread-self/net/igmp") as file:
                four = "120000E0" in file.read()
            with open("/proc/thread-self/net/igmp6") as file:
                six = any(line.split()[1:3] == ["em0", "ff020000000000000000000000000012"] for line in file)
        return four, six

    def join(self) -> object:
        with self.host.namespace:
            return membership.join("em0", self.host.index("em0"))

    def test_join_and_leave(self) -> None:
        """Of both groups, or of none."""
        self.assertEqual(self.groups(), (False, False))
        leave = self.join()
        self.assertEqual(self.groups(), (True, True))
        assert callable(leave)
        leave()
        self.assertEqual(self.groups(), (False, False))

    def test_one_family_only(self) -> None:
        """Where there is no IPv6 the IPv4 group is joined all the same."""
        self.host.namespace.sysctl("ipv6.conf.em0.disable_ipv6", 1)
        leave = self.join()
        self.assertTrue(self.groups()[0])
        assert callable(leave)
        leave()

    def test_no_such_interface(self) -> None:
        """It is logged, and leaving does nothing."""
        with self.host.namespace:
            leave = membership.join("em9", 99)
        self.assertEqual(self.groups(), (False, False))
        leave()
