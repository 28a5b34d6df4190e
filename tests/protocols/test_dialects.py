"""The dialects of OpenBSD and of ucarp, on the wire."""

from __future__ import annotations

from ipaddress import ip_address

from carptwist.config.schema import Dialect
from carptwist.election.state import State
from carptwist.wire import carp
from carptwist.wire.advertisement import Heard, frame4, read
from carptwist.wire.authentication import Authenticator
from tests.protocols.support import OTHER4, PHRASE, NodeCase

ADDRESSES = "192.0.2.1/24", "fe80::1/64"
SHARED = [ip_address("192.0.2.1"), ip_address("fe80::1")]


class OpenbsdTests(NodeCase):
    """Link-local addresses are not signed; demotion is a count."""

    dialect = Dialect.OPENBSD

    def sent(self) -> list[Heard]:
        return [said for said in map(read, self.frames()) if isinstance(said, Heard)]

    def peer(self, *, link_local: bool, demote: int = 0, counter: int = 9, advbase: int = 1, advskew: int = 0) -> bytes:
        digest = Authenticator(PHRASE, 1, SHARED, link_local=link_local).sign(counter)
        said = carp.Advertisement(1, advskew, advbase, demote, counter, digest)
        return frame4(said, source_mac=carp.virtual_mac(1), source=OTHER4)

    def test_it_signs_without_link_local_addresses(self) -> None:
        """As OpenBSD does."""
        self.vhid(1, *ADDRESSES)
        self.clock.advance(3.5)
        without = Authenticator(PHRASE, 1, SHARED, link_local=False)
        self.assertEqual(len(self.sent()), 2)
        for said in self.sent():
            self.assertTrue(without.verify(said.advertisement.counter, said.advertisement.digest))

    def test_it_believes_both(self) -> None:
        """A peer that signs link-local addresses as well is no stranger."""
        vhost = self.vhid(1, *ADDRESSES)
        self.hear(self.peer(link_local=False))
        self.hear(self.peer(link_local=True, counter=10))
        self.assertEqual(vhost.received, 2)

    def test_demotion_travels_in_octet_4(self) -> None:
        """And leaves advskew alone."""
        self.vhid(1, *ADDRESSES)
        self.roster.demote("operator", 7, "testing")
        self.clock.advance(3.5)
        self.assertEqual({(said.advertisement.advskew, said.advertisement.demote) for said in self.sent()}, {(100, 7)})

    def test_the_second_half_of_a_farewell(self) -> None:
        """The first one has made us MASTER; the other is nobody to yield to, though we are demoted more."""
        vhost = self.vhid(1, *ADDRESSES)
        self.hear(self.peer(link_local=False))
        self.roster.demote("operator", 7, "testing")
        for counter in (10, 11):
            self.hear(self.peer(link_local=False, counter=counter, advbase=255, advskew=255))
            self.assertIs(vhost.state, State.MASTER)

    def test_a_demoted_master_is_relieved(self) -> None:
        """Its octet 4 is obeyed, without preempt."""
        vhost = self.vhid(1, *ADDRESSES)
        self.hear(self.peer(link_local=False, demote=1))
        self.assertIs(vhost.state, State.MASTER)


class UcarpTests(NodeCase):
    """One IPv4 address, another virtual MAC."""

    dialect = Dialect.UCARP

    def test_it_sends_from_ucarps_mac(self) -> None:
        """00:00:5e:00:00:VHID."""
        self.vhid(9, "192.0.2.1/24")
        self.clock.advance(3.5)
        (said,) = [said for said in map(read, self.frames()) if isinstance(said, Heard)]
        self.assertEqual(said.source_mac, bytes.fromhex("00005e000009"))

    def test_it_shares_exactly_one_ipv4_address(self) -> None:
        """Whoever builds a configuration by hand is told as well."""
        with self.assertRaises(ValueError) as raised:
            self.vhid(9, "192.0.2.1/24", "192.0.2.2/24")
        self.assertIn("exactly one IPv4 address", str(raised.exception))
