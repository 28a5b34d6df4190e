"""A host with an address that a guard may take away, and what a guard does there."""

from __future__ import annotations

import socket
import time
from ipaddress import ip_address

from twisted.trial.unittest import SkipTest, TestCase

from carptwist.interfaces import Will
from carptwist.lab.laboratory import Lab
from carptwist.lab.namespaces import why_not
from carptwist.planes.messages import take_address

ADDRESSES = {"1@em0": "192.0.2.1", "2@em0": "2001:db8:2::1"}
_ETHERTYPE = 0x88B5  # IEEE 802: local experiments


class GuardedHost(TestCase):
    """em0 of ``here`` has an address for each of two vhids; what leaves through it is heard at ``client``."""

    timeout = 60

    def setUp(self) -> None:
        refused = why_not()
        if refused is not None:
            raise SkipTest(refused)
        self.lab = Lab()
        self.addCleanup(self.lab.close)
        lan = self.lab.lan()
        self.here, self.client = self.lab.host("here"), self.lab.host("client")
        lan.connect(
            self.here, addresses=["192.0.2.7/24", *(f"{text}/128" for text in ADDRESSES.values() if ":" in text)]
        )
        lan.connect(self.client, addresses=["192.0.2.9/24"])
        self.index = self.here.index("em0")
        self.here.namespace.route.addr("add", index=self.index, address="192.0.2.1", prefixlen=32)
        self.ear = self.client.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETHERTYPE))
        self.addCleanup(self.ear.close)
        self.ear.settimeout(5)
        self.note = self.here.directory / "guard.txt"

    def will(self, name: str = "1@em0") -> Will:
        """It takes the address of a vhid away, and sends one frame that says whose."""
        address = ip_address(ADDRESSES[name])
        message = take_address(self.index, address, address.max_prefixlen)
        message.encode()
        frame = b"\xff" * 6 + b"\2\0\0\0\0\7" + _ETHERTYPE.to_bytes(2, "big") + name.encode().ljust(46)
        return Will((bytes(message.data),), self.index, (frame,))

    def reachable(self, name: str = "1@em0") -> bool:
        return ip_address(ADDRESSES[name]) in self.here.addresses()

    def heard(self) -> str:
        """The next farewell, as the client hears it."""
        return self.ear.recv(100)[14:].decode().strip()

    def silent(self) -> bool:
        """Whether no farewell was heard."""
        self.ear.setblocking(False)
        try:
            self.ear.recv(100)
        except BlockingIOError:
            return True
        finally:
            self.ear.settimeout(5)
        return False

    def await_taken(self, name: str = "1@em0") -> None:
        """Wait until an address has gone."""
        deadline = time.monotonic() + 10
        while self.reachable(name):
            self.assertLess(time.monotonic(), deadline, f"the address of {name} is still there")
            time.sleep(0.005)
