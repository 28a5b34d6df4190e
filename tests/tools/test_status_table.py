"""``carpctl status`` for people, as far as replays are concerned."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from carptwist.config.schema import Configuration, ReplayMode
from carptwist.control.status import StatusReport
from carptwist.election.bearing import Bearing
from carptwist.election.group import Order
from carptwist.tools.status_table import render
from carptwist.wire import carp
from carptwist.wire.advertisement import frame4
from carptwist.wire.authentication import Authenticator
from tests.protocols.support import OTHER4, PHRASE, NodeCase


class StatusTableTests(NodeCase):
    def text(self, mode: ReplayMode, *, dscp: int = 56) -> str:
        """What is shown after one advertisement was heard three times."""
        vhost = self.vhid(1, "192.0.2.1/24")
        vhost.config = replace(vhost.config, replay=mode)
        digest = Authenticator(PHRASE, 1, [ip_address("192.0.2.1")]).sign(7)
        said = carp.Advertisement(vhid=1, advskew=0, advbase=1, demote=0, counter=7, digest=digest)
        for _ in range(3):
            self.hear(frame4(said, source_mac=carp.virtual_mac(1), source=OTHER4, dscp=dscp))
        report = StatusReport(
            self.roster, host="node", seconds=self.clock.seconds, wall=lambda: 0.0, loaded=Configuration
        )
        return render(report.snapshot())

    def test_refused(self) -> None:
        """They are among what was refused."""
        shown = self.text(ReplayMode.ENFORCE)
        self.assertIn("refused: replay 2 (carpctl explain 1@em0 tells whose, and what that means)", shown)
        self.assertNotIn("believed", shown)

    def test_observed(self) -> None:
        """They are not, and it says so."""
        shown = self.text(ReplayMode.OBSERVE)
        self.assertIn("heard before, and believed all the same (replay = observe): 2", shown)
        self.assertNotIn("refused", shown)

    def test_held_back(self) -> None:
        """Whoever its group keeps from what it would do is told of, with the reason, and in the JSON as well."""
        vhost = self.vhid(1, "192.0.2.1/24")
        report = StatusReport(
            self.roster, host="node", seconds=self.clock.seconds, wall=lambda: 0.0, loaded=Configuration
        )
        self.assertIsNone(report.snapshot()["vhids"][0]["held_back"])
        self.assertNotIn("held back", render(report.snapshot()))
        vhost.config = replace(vhost.config, group="edge")
        why = "2@em1 is not able to be MASTER here (interface down em1)"
        for bearing, held in ((Bearing.YIELDING, why), (Bearing.MODEST, why), (Bearing.INSISTING, None)):
            vhost.bear(Order(bearing, why))
            told = report.snapshot()["vhids"][0]
            self.assertEqual((told["group"], told["held_back"]), ("edge", held))
            shown = " ".join(render(report.snapshot()).split())
            self.assertEqual(f"1@em0: held back: group edge: {why}" in shown, held is not None)

    def test_unprotected(self) -> None:
        """A peer that repeats itself is named."""
        shown = self.text(ReplayMode.ENFORCE, dscp=4)
        self.assertIn("1@em0: 192.0.2.3 cannot be protected from replays", shown)
        self.assertNotIn("refused", shown)
