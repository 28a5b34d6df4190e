"""News of addresses, as a real kernel tells it."""

from __future__ import annotations

import socket
import time
from ipaddress import ip_address, ip_interface

from twisted.trial.unittest import SkipTest, TestCase

from carptwist.lab.laboratory import Lab
from carptwist.lab.namespaces import NetworkNamespace, why_not
from carptwist.links.placing import read
from carptwist.planes import own_news
from carptwist.planes.marks import PROTOCOL
from carptwist.planes.messages import put_address, take_address
from carptwist.planes.upkeep import datagrams

_ADDRESS_NEWS = 0x10 | 0x100
_PERMANENT = 0x80


class PlacingTests(TestCase):
    """An address is put on a device, refreshed, and taken off."""

    def setUp(self) -> None:
        refused = why_not()
        if refused is not None:
            raise SkipTest(refused)
        lab = Lab()
        self.addCleanup(lab.close)
        self.namespace = lab.host("here").namespace
        self.ear = self.listening(self.namespace)
        self.mouth = self.namespace.socket(socket.AF_NETLINK, socket.SOCK_RAW)
        self.addCleanup(self.mouth.close)

    def listening(self, namespace: NetworkNamespace) -> socket.socket:
        ear = namespace.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK)
        self.addCleanup(ear.close)
        ear.bind((0, _ADDRESS_NEWS))
        return ear

    def say(self, *requests: object) -> None:
        for datagram in datagrams(requests):
            self.mouth.send(datagram)

    def heard(self, ear: socket.socket, least: int = 0) -> list[bytes]:
        """What has come, once there are so many: IPv6 tells of new addresses at its leisure."""
        found: list[bytes] = []
        deadline = time.monotonic() + 10
        while True:
            try:
                found.append(ear.recv(65536))
            except BlockingIOError:
                if len(found) >= least:
                    return found
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.01)

    def test_read(self) -> None:
        """All that it says is understood; a removal is something else."""
        for text in ("192.0.2.1/24", "2001:db8::1/64"):
            address = ip_interface(text)
            self.say(put_address(1, address, lifetime=2))
            (datagram,) = self.heard(self.ear, 1)
            news = read(datagram)
            assert news is not None
            self.assertEqual(news[:3], (1, ip_address(text.split("/")[0]), address.network.prefixlen))
            self.assertEqual(news.protocol, PROTOCOL)
            self.assertFalse(news.flags & _PERMANENT)
            self.say(take_address(1, address.ip, address.network.prefixlen))
            (gone,) = self.heard(self.ear, 1)
            self.assertIsNone(read(gone))
            self.assertIsNone(read(datagram + datagram))

    def test_own_news(self) -> None:
        """A socket that ignores our own addresses hears of those of others, and of ours when they go."""
        deaf = self.listening(self.namespace)
        own_news.ignore(deaf)
        for text in ("192.0.2.1/24", "2001:db8::1/64"):
            address = ip_interface(text)
            self.say(put_address(1, address))
            self.heard(self.ear, 1)
            self.say(put_address(1, address, lifetime=9))
            self.heard(self.ear, 1)
            self.assertEqual(self.heard(deaf), [])
            self.say(take_address(1, address.ip, address.network.prefixlen))
            self.heard(deaf, 1)
            self.heard(self.ear, 1)
        self.namespace.route.addr("add", index=1, address="192.0.2.9", prefixlen=24)
        self.heard(deaf, 1)
