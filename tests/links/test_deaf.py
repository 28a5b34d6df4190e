"""What the kernel says of CARP that is sent to its host alone, with and without somebody to take it."""

from __future__ import annotations

import socket
import time
from ipaddress import ip_address

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from carptwist.lab.host import Host
from carptwist.lab.laboratory import Lab
from carptwist.lab.namespaces import why_not
from carptwist.lab.waiting import wait_until
from carptwist.links import deaf
from carptwist.wire import arp, carp, neighbor
from carptwist.wire.advertisement import frame4, frame6

HERE = {4: "192.0.2.1", 6: "2001:db8::1"}
THERE = {4: "192.0.2.2", 6: "2001:db8::2"}
HERE_MAC = bytes.fromhex("020000000101")
THERE_MAC = bytes.fromhex("020000000201")
SAID = carp.Advertisement(1, 0, 1, 0, 77, bytes(20))

#: ICMP destination unreachable, protocol unreachable; ICMPv6 parameter problem, unrecognized next header.
COMPLAINTS = {4: b"\x03\x02", 6: b"\x04\x01"}


class DeafTests(SynchronousTestCase):
    """A host ``here`` that a host ``there`` sends advertisements to."""

    def setUp(self) -> None:
        refused = why_not()
        if refused is not None:
            raise SkipTest(refused)
        lab = Lab()
        self.addCleanup(lab.close)
        self.here, self.there = lab.host("here"), lab.host("there")
        lan = lab.lan()
        for host, own in ((self.here, HERE), (self.there, THERE)):
            lan.connect(host, "em0", [f"{own[4]}/24", f"{own[6]}/64"])
        # Else it would complain once a second only.
        self.here.namespace.sysctl("ipv4.icmp_ratelimit", 0)
        self.here.namespace.sysctl("ipv6.icmp.ratelimit", 0)
        self.port = self.there.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.port.bind(("em0", 3))
        self.port.settimeout(10)
        self.addCleanup(self.port.close)

    def complaints(self) -> dict[int, bool]:
        """Whether ``here`` complains about an advertisement of each family. An echo request behind the advertisement
        shows that it has been through with it."""
        return {family: self._complains(family) for family in (4, 6)}

    def _complains(self, family: int) -> bool:
        frame = frame4 if family == 4 else frame6
        self.port.send(
            frame(
                SAID,
                source_mac=THERE_MAC,
                source=ip_address(THERE[family]).packed,
                destination=ip_address(HERE[family]).packed,
                destination_mac=HERE_MAC,
            )
        )
        # ICMP errors are made when the packet comes in: what is asked afterwards is answered afterwards.
        target = ip_address(HERE[family]).packed
        if family == 4:
            self.port.send(arp.request(target, THERE_MAC, ip_address(THERE[4]).packed))
        else:
            self.port.send(
                neighbor.solicitation(
                    target, source=ip_address(THERE[6]).packed, source_mac=THERE_MAC, link_address=THERE_MAC
                )
            )
        complained = answered = False
        deadline = time.monotonic() + 10
        while not answered and time.monotonic() < deadline:
            received = self.port.recv(2048)
            if received[6:12] != HERE_MAC:
                continue
            if family == 4:
                is_icmp = received[12:14] == b"\x08\x00" and received[23] == 1
                complained |= is_icmp and received[34:36] == COMPLAINTS[4]
                heard = arp.read(received)
                answered = isinstance(heard, arp.Arp) and heard.operation == arp.REPLY and heard.sender == target
            else:
                is_icmp = received[12:14] == b"\x86\xdd" and received[20] == 58
                complained |= is_icmp and received[54:56] == COMPLAINTS[6]
                told = neighbor.read(received)
                answered = isinstance(told, neighbor.NeighborAdvertisement) and told.solicited
        self.assertTrue(answered)
        return complained

    def claim(self, host: Host, interface: str = "em0") -> object:
        with host.namespace:
            return deaf.claim_protocol(interface)

    def test_the_kernel_is_quiet_while_somebody_takes_it(self) -> None:
        """And complains before and after: of both families."""
        self.meet()
        self.assertEqual(self.complaints(), {4: True, 6: True})
        let_go = self.claim(self.here)
        self.assertEqual(self.complaints(), {4: False, 6: False})
        assert callable(let_go)
        let_go()
        self.assertEqual(self.complaints(), {4: True, 6: True})

    def meet(self) -> None:
        """Have ``here`` know the MAC of ``there``, so that it can complain at once."""
        with self.here.namespace:
            for family, kind in ((4, socket.AF_INET), (6, socket.AF_INET6)):
                with socket.socket(kind, socket.SOCK_DGRAM) as knock:
                    knock.sendto(b"", (THERE[family], 9))
        known = {ip_address(address) for address in THERE.values()}
        wait_until(lambda: known <= self.here.neighbors().keys(), "here knows there", 10.0)

    def test_nothing_waits_in_it(self) -> None:
        """Thousands of advertisements leave the sockets empty."""
        let_go = self.claim(self.here)
        advertisement = frame4(
            SAID,
            source_mac=THERE_MAC,
            source=ip_address(THERE[4]).packed,
            destination=ip_address(HERE[4]).packed,
            destination_mac=HERE_MAC,
        )
        for _ in range(3000):
            self.port.send(advertisement)
        self.assertTrue(self._complains(4) is False)
        with self.here.namespace, open("/proc/thread-self/net/raw") as file:
            (line,) = file.read().splitlines()[1:]
        # tx_queue:rx_queue
        self.assertEqual(line.split()[4], "00000000:00000000")
        assert callable(let_go)
        let_go()

    def test_no_such_interface(self) -> None:
        """It is logged, and letting go does nothing."""
        let_go = self.claim(self.here, "em9")
        with self.here.namespace, open("/proc/thread-self/net/raw") as file:
            self.assertEqual(len(file.read().splitlines()), 1)
        assert callable(let_go)
        let_go()
