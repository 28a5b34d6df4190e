"""What becomes of advertisements that were heard before."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from carptwist.config.schema import Configuration, Knobs, ReplayMode
from carptwist.control.status import StatusReport
from carptwist.election.state import State
from carptwist.protocols.repetition import REPLAY_LOG_SECONDS
from carptwist.vhost.virtualhost import VirtualHost
from carptwist.wire import carp
from carptwist.wire.advertisement import Heard, frame4, frame6, read
from carptwist.wire.authentication import Authenticator
from tests.protocols.support import OTHER4, OTHER6, OWN4, PHRASE, NodeCase

THIRD4 = ip_address("192.0.2.77").packed
SIGN = Authenticator(PHRASE, 1, [ip_address("192.0.2.1")]).sign


def said(
    counter: int,
    *,
    advskew: int = 0,
    advbase: int = 1,
    demote: int = 0,
    source: bytes = OTHER4,
    dscp: int = 56,
) -> bytes:
    """A frame with a right digest. All but the counter is what an attacker may choose as well."""
    advertisement = carp.Advertisement(
        vhid=1, advskew=advskew, advbase=advbase, demote=demote, counter=counter, digest=SIGN(counter)
    )
    make = frame4 if len(source) == 4 else frame6
    return make(advertisement, source_mac=carp.virtual_mac(1), source=source, dscp=dscp)


class RepetitionCase(NodeCase):
    """A vhid with one replay mode."""

    mode = ReplayMode.ENFORCE
    knobs = Knobs(preempt=True)

    def setUp(self) -> None:
        super().setUp()
        self.vhost = self.vhid(1, "192.0.2.1/24")
        self.vhost.config = replace(self.vhost.config, replay=self.mode)
        self.logged.clear()

    @property
    def counted(self) -> int:
        return self.roster.counters.refused["replay"]

    def sent(self) -> list[Heard]:
        return [each for each in map(read, self.frames()) if isinstance(each, Heard)]

    def counters(self) -> list[int]:
        return [each.advertisement.counter for each in self.sent()]

    def peers(self) -> dict[str, str]:
        report = StatusReport(
            self.roster, host="node", seconds=self.clock.seconds, wall=lambda: 0.0, loaded=Configuration
        )
        (vhid,) = report.snapshot()["vhids"]
        return {peer["source"]: peer["replay_protection"] for peer in vhid["peers"]}

    def follow(self, vhost: VirtualHost, counters: range) -> None:
        """The master of the group speaks once a second."""
        for counter in counters:
            self.hear(said(counter))
            self.clock.advance(1)
        self.assertIs(vhost.state, State.BACKUP)


class EnforceTests(RepetitionCase):
    """A replay is refused."""

    def test_a_dead_masters_advertisements_hold_nobody_down(self) -> None:
        """A thousand of them at their own pace: the backup takes over in time, to the tick."""
        self.follow(self.vhost, range(1000, 2000))
        died = self.clock.seconds() - 1
        due = self.vhost.machine.deadline
        assert due is not None
        for counter in range(1000, 2000):
            self.hear(said(counter))
            if self.vhost.state is State.MASTER:
                break
            self.assertEqual(self.vhost.machine.deadline, due)
            self.clock.advance(min(1, max(0.0, due - self.clock.seconds())))
        self.assertIs(self.vhost.state, State.MASTER)
        self.assertLess(self.clock.seconds() - died, 3 + 100 / 256 + 0.01)
        for counter in range(1000, 2000):
            self.hear(said(counter))
            self.clock.advance(1)
            self.assertIs(self.vhost.state, State.MASTER)

    def test_whatever_they_claim(self) -> None:
        """Source, family, DSCP, advbase, advskew and demote are forged at will; a master stays master."""
        self.follow(self.vhost, range(5))
        self.clock.pump([0.1] * 35)
        self.assertIs(self.vhost.state, State.MASTER)
        received, peers = self.vhost.received, self.peers()
        for counter in range(5):
            for source in (OTHER4, OTHER6, THIRD4, OWN4.packed):
                for dscp in (56, 4, 0):
                    self.hear(said(counter, source=source, dscp=dscp, advbase=0, advskew=0, demote=255))
        self.assertIs(self.vhost.state, State.MASTER)
        self.assertEqual((self.vhost.received, self.peers()), (received, peers))
        self.assertEqual(self.counted, 5 * 4 * 3)
        self.assertEqual(self.vhost.refusals, {"replay": 60})

    def test_a_replayed_bow_out_dethrones_nobody(self) -> None:
        """A backup that hears it again stays BACKUP while the master speaks."""
        self.hear(said(1, advbase=255, advskew=255))
        self.assertIs(self.vhost.state, State.MASTER)
        self.hear(said(50))
        self.assertIs(self.vhost.state, State.BACKUP)
        self.hear(said(1, advbase=255, advskew=255))
        self.assertIs(self.vhost.state, State.BACKUP)

    def test_our_own_mirrored_back(self) -> None:
        """Nothing comes of them, except that the next counter is a random one."""
        self.follow(self.vhost, range(100, 102))
        self.clock.pump([0.1] * 35)
        (mirrored,) = self.counters()
        for passed in list(self.segment.passed):
            if passed.station == "node":
                self.hear(passed.frame)
        self.assertIs(self.vhost.state, State.MASTER)
        self.clock.advance(1.4)
        self.clock.advance(1.4)
        first, second = self.counters()[1:3]
        self.assertNotEqual(first, mirrored + 1)
        self.assertEqual(second, first + 1)
        self.assertIn("advertisement of our own heard from 192.0.2.2: refused", self.logged[-1])

    def test_masters_in_lock_step(self) -> None:
        """Both send the same counters: the next of ours is new to the other one, which so hears us again."""
        self.follow(self.vhost, range(10, 12))
        self.clock.pump([0.1] * 35)
        self.hear(said(self.counters()[-1]))
        self.assertIs(self.vhost.state, State.MASTER)
        self.clock.advance(1.4)
        ours = self.counters()[-1]
        self.hear(said(ours + 1))
        self.assertIs(self.vhost.state, State.BACKUP)

    def test_our_own_never_repeat(self) -> None:
        """What comes next was used by somebody else: it is passed over."""
        self.hear(said(500))
        self.hear(said(501))
        self.hear(said(499))
        self.clock.pump([0.1] * 35)
        self.assertEqual(len(set(self.counters()) & {499, 500, 501}), 0)

    def test_it_is_told_once_in_a_while(self) -> None:
        """One line for each kind, however many sources it claims."""
        self.follow(self.vhost, range(3))
        for number in range(50):
            self.hear(said(1, source=ip_address(f"192.0.2.{number + 10}").packed))
        (line,) = self.logged
        self.assertEqual(line, "carp: 1@em0: advertisement that was heard before from 192.0.2.10: refused")
        self.clock.advance(REPLAY_LOG_SECONDS)
        self.hear(said(1))
        self.assertIn("refused (49 more like it unsaid)", self.logged[-1])

    def test_a_counter_that_never_changes(self) -> None:
        """OpenBSD's is believed again and again, from the source that introduced it, and it says so."""
        for _ in range(4):
            self.hear(said(4711, dscp=4))
            self.clock.advance(1)
        self.assertEqual(self.vhost.received, 4)
        self.assertEqual((self.counted, self.peers()), (0, {"192.0.2.3": "cannot be protected"}))
        (line,) = self.logged
        self.assertIn("192.0.2.3 never changes, as OpenBSD's: it cannot be protected", line)
        self.hear(said(4711, dscp=56))
        self.hear(said(4711, dscp=4, source=THIRD4))
        self.assertEqual((self.vhost.received, self.counted), (4, 2))

    def test_a_counter_that_never_changes_over_both_families(self) -> None:
        """OpenBSD has one for both: neither family's timeout fires."""
        vhost = self.vhid(2, "192.0.2.9/24", "2001:db8::9/64")
        vhost.config = replace(vhost.config, replay=self.mode)
        sign = Authenticator(PHRASE, 2, [ip_address("192.0.2.9"), ip_address("2001:db8::9")]).sign
        one = carp.Advertisement(vhid=2, advskew=0, advbase=1, demote=0, counter=4711, digest=sign(4711))
        for _ in range(10):
            self.hear(frame4(one, source_mac=carp.virtual_mac(2), source=OTHER4, dscp=4))
            self.hear(frame6(one, source_mac=carp.virtual_mac(2), source=OTHER6, dscp=0))
            self.clock.advance(1)
        self.assertIs(vhost.state, State.BACKUP)
        self.assertEqual((vhost.received, vhost.refusals), (20, {}))

    def test_what_moves_does_not_pass_for_constant(self) -> None:
        """A dead FreeBSD's last advertisement, dressed up as OpenBSD's, is refused."""
        self.follow(self.vhost, range(3))
        self.hear(said(2, dscp=4))
        self.assertEqual((self.counted, self.peers()), (1, {"192.0.2.3": "protected"}))

    def test_ipv4_and_ipv6_are_one_sequence(self) -> None:
        """What was heard over one is a replay over the other."""
        self.hear(said(1))
        self.hear(said(2, source=OTHER6))
        self.hear(said(1, source=OTHER6))
        self.assertEqual((self.vhost.received, self.counted), (2, 1))


class ObserveTests(RepetitionCase):
    """A replay is counted and told, and believed."""

    mode = ReplayMode.OBSERVE

    def test_a_dead_masters_advertisements_hold_us_down(self) -> None:
        """As they do the kernels; but it is known."""
        self.follow(self.vhost, range(10))
        self.follow(self.vhost, range(10))
        self.assertEqual((self.counted, self.vhost.replays, self.vhost.refusals), (10, 10, {}))
        self.assertEqual(self.vhost.received, 20)
        self.assertIn("believed all the same", self.logged[0])
        self.assertEqual(self.peers(), {"192.0.2.3": "not enforced"})


class OffTests(RepetitionCase):
    """Counters are not looked at."""

    mode = ReplayMode.OFF

    def test_nothing_is_counted_and_nothing_remembered(self) -> None:
        """Neither what is heard nor what is sent."""
        self.follow(self.vhost, range(5))
        self.follow(self.vhost, range(5))
        self.clock.pump([0.1] * 35)
        self.assertIs(self.vhost.state, State.MASTER)
        self.assertEqual((self.counted, self.vhost.replays, self.logged[1:]), (0, 0, []))
        self.assertEqual(self.vhost.replay.memory.octets, 0)


class SilentTests(RepetitionCase):
    """log = 0."""

    knobs = Knobs(log=0)

    def test_nothing_is_told(self) -> None:
        """Neither of replays nor of constant counters."""
        for dscp in (56, 4):
            for _ in range(3):
                self.hear(said(dscp, dscp=dscp, source=OTHER4 if dscp == 56 else THIRD4))
        self.assertEqual((self.counted, self.logged), (2, []))
        self.assertEqual(self.peers()["192.0.2.77"], "cannot be protected")


class DetailedTests(RepetitionCase):
    """log = 2."""

    knobs = Knobs(log=2)

    def test_each_source_is_told(self) -> None:
        """Once in a while."""
        self.hear(said(1))
        for source in (OTHER4, OTHER4, THIRD4):
            self.hear(said(1, source=source))
        self.assertEqual(
            [line.split(" from ")[1] for line in self.logged], ["192.0.2.3: refused", "192.0.2.77: refused"]
        )
