"""The recorder of a node on a host in memory: what is in its file, and what never is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha1
from ipaddress import ip_address, ip_interface
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyClass, verifyObject

from carptwist.config.schema import Configuration, Dialect, Knobs, Phrase, PlaneKind, ReplayMode, VirtualHostConfig
from carptwist.election.state import State
from carptwist.interfaces import (
    IAuthority,
    IFramePort,
    IFrameReceiver,
    IGuard,
    ILinkMonitor,
    INotebook,
    IPlane,
    ISurroundings,
    ISystem,
)
from carptwist.node import Node
from carptwist.protocols.authority import Authority
from carptwist.recorder import plain, recording, replaying
from carptwist.recorder.blanking import blanked
from carptwist.recorder.flight import MOST_UNWRITTEN, FlightRecorder
from carptwist.recorder.records import Decision, Input
from carptwist.recorder.replayer import Outcome, Replayer
from carptwist.recorder.ring import parts
from carptwist.simulation.notebook import MemoryNotebook
from carptwist.simulation.segment import Segment
from carptwist.simulation.system import MemorySystem
from carptwist.simulation.world import World
from carptwist.vhost.surroundings import ORDINARY
from carptwist.vhost.tenants import Lease
from carptwist.wire import arp
from carptwist.wire.advertisement import Heard, read
from tests.protocols.support import LINK, OTHER4, OTHER_MAC, PHRASE

OCTETS = 1 << 20
CONFIG = VirtualHostConfig(
    1, "em0", (ip_interface("192.0.2.1/24"), ip_interface("2001:db8::1/64")), (Phrase(PHRASE), Phrase(b"the next one"))
)


class Unwritable(MemoryNotebook):
    """A disk that takes its time: ``let_go`` does what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Callable[[], object]] = []
        self.slow = False

    def patch(self, pieces: Callable[[], Any]) -> Deferred[None]:
        if not self.slow:
            return super().patch(pieces)
        doing: Deferred[None] = Deferred()
        self.waiting.append(lambda: super(Unwritable, self).patch(pieces).chainDeferred(doing))
        return doing

    def let_go(self) -> None:
        self.slow = False
        for each in self.waiting:
            each()
        self.waiting.clear()


class FlightTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.segment = Segment(self.clock)
        self.notebook = Unwritable()
        self.system = MemorySystem(
            "node",
            clock=self.clock,
            segments={"em0": self.segment},
            links={"em0": LINK},
            random=Random(1),
            notebooks={"flight": self.notebook},
        )
        self.recorder = FlightRecorder(
            self.clock, self.system, octets=OCTETS, host="node", wall=lambda: 1_000_000 + self.clock.seconds()
        )
        self.logged: list[str] = []
        globalLogPublisher.addObserver(self._observe)
        self.addCleanup(globalLogPublisher.removeObserver, self._observe)

    def _observe(self, event: dict[str, object]) -> None:
        self.logged.append(str(event.get("log_format", "")).format(**event))

    def start(self, *configs: VirtualHostConfig) -> Node:
        node = self.recorder.node(Knobs())
        node.start(configs)
        self.run_for(0.1)
        self.addCleanup(self.clear)
        return node

    def clear(self) -> None:
        for call in self.clock.getDelayedCalls():
            call.cancel()

    def run_for(self, seconds: float) -> None:
        for _ in range(int(seconds * 20)):
            self.clock.advance(0.05)

    def replayed(self) -> Outcome:
        outcome = Replayer().run(parts(self.notebook.octets))
        self.assertIsNone(outcome.difference, outcome)
        return outcome

    def test_no_secret_is_in_it(self) -> None:
        """Neither a phrase, nor what is made of it, nor a digest: of this host and of others."""
        other = self.segment.open("other", "em0", _Deaf())
        node = self.start(replace(CONFIG, advskew=100))
        authority = Authority()
        self.run_for(6)
        frames = [passed.frame for passed in self.segment.passed]
        for frame in frames[:]:
            heard = read(frame)
            if isinstance(heard, Heard):
                # The same from somebody else, with a counter of his own, signed with the second phrase.
                config = replace(CONFIG, phrases=CONFIG.phrases[1:])
                advertisement = heard.advertisement._replace(
                    counter=77 + len(frames), digest=authority.sign(config, 77 + len(frames)), advskew=0
                )
                frames.append(_carrying(frame, advertisement))
                other.send(frames[-1])
                self.run_for(0.1)
        self.recorder._keyframe_at = 0.0
        self.run_for(2)
        self.assertEqual(node.roster.all()[0].state, State.BACKUP)
        digests = [heard.advertisement.digest for heard in map(read, frames) if isinstance(heard, Heard)]
        self.assertGreater(len(digests), 4)
        told = str(parts(self.notebook.octets)) + repr(json.dumps(_hexed(parts(self.notebook.octets))))
        for phrase in CONFIG.phrases:
            key = phrase.octets.ljust(64, b"\0")
            pads = [bytes(octet ^ pad for octet in key) for pad in (0x36, 0x5C)]
            for secret in (phrase.octets, key[:20], *pads, *(sha1(pad).digest() for pad in pads)):
                self.assertNotIn(secret.hex(), told)
                self.assertNotIn(repr(secret)[2:-1], told)
                self.assertNotIn(secret, self.notebook.octets)
        for digest in digests:
            self.assertNotIn(digest.hex(), told)
            self.assertNotIn(repr(digest)[2:-1], told)
        recorded = [record[-1] for part in parts(self.notebook.octets) for record in part.records if record[0] in "sF"]
        advertisements = [heard for heard in map(read, recorded) if isinstance(heard, Heard)]
        self.assertEqual(len(advertisements), len(digests))
        self.assertEqual({heard.advertisement.digest for heard in advertisements}, {bytes(20)})
        self.assertGreater(self.replayed().decisions, 4)

    def test_digests_are_left_out_and_checksums_made_good(self) -> None:
        """Of advertisements over both families; all other frames stay as they are."""
        self.start(CONFIG)
        self.run_for(4)
        families = set()
        for frame in [passed.frame for passed in self.segment.passed]:
            heard = read(frame)
            if isinstance(heard, Heard):
                families.add(heard.family)
                bare = heard.advertisement._replace(digest=bytes(20))
                self.assertEqual(read(blanked(frame)), heard._replace(advertisement=bare))
                self.assertEqual(blanked(blanked(frame)), blanked(frame))
            else:
                self.assertEqual(blanked(frame), frame)
        self.assertEqual(families, {4, 6})

    def test_frames_that_nothing_follows_from(self) -> None:
        """Questions for other addresses, and advertisements with a wrong digest, are not recorded; of the latter it is
        told how many there were."""
        other = self.segment.open("other", "em0", _Deaf())
        self.start(CONFIG)
        self.run_for(4)
        sent = next(passed.frame for passed in self.segment.passed if isinstance(read(passed.frame), Heard))
        for _ in range(10):
            other.send(arp.request(ip_address("192.0.2.99").packed, OTHER_MAC, OTHER4))
            other.send(blanked(sent))
        self.run_for(2)
        records = [record for part in parts(self.notebook.octets) for record in part.records]
        self.assertEqual([record for record in records if record[0] == Input.FRAME], [])
        self.assertEqual([record for record in records if record[0] == "r"], [["r", {"badauth": 10}]])
        other.send(arp.request(ip_address("192.0.2.1").packed, OTHER_MAC, OTHER4))
        self.run_for(2)
        heard = [record[2] for part in parts(self.notebook.octets) for record in part.records if record[0] == "F"]
        self.assertEqual(heard, ["em0/arp"])
        self.replayed()

    def test_unicast_peers(self) -> None:
        """What is known of the MACs of peers, and what waits for one that is not known, is in a keyframe."""
        peers = ip_address("192.0.2.3"), ip_address("192.0.2.4")
        config = replace(CONFIG, addresses=CONFIG.addresses[:1], peers=peers)
        other = self.segment.open("other", "em0", _Deaf())
        node = self.start(config)
        self.run_for(1.5)
        asked = next(packet for packet in self._questions() if packet.target == OTHER4)
        other.send(arp.reply(asked, OTHER_MAC, OTHER4))
        self.run_for(4)
        self.assertIs(node.roster.all()[0].state, State.MASTER)
        self.recorder._keyframe_at = 0.0
        self.run_for(2)
        state = [record[2] for part in parts(self.notebook.octets) for record in part.records if record[0] == "K"]
        (voice,) = [attachment["voice"] for attachment in state[0]["state"]["attachments"]]
        (digest,) = {bytes.fromhex(frame)[-20:] for *_, frame in voice["unsent"]}
        self.assertEqual(digest, bytes(20))
        self.assertEqual([each[0] for each in voice["neighbours"]], ["c0000203", "c0000204"])
        self.assertEqual(voice["neighbours"][0][2], OTHER_MAC.hex())
        self.assertEqual([each[:2] for each in voice["unsent"]], [["c0000204", 1]])
        # The other one turns up: what has waited for it leaves, from the live node and from one that was restored.
        asked = [packet for packet in self._questions() if packet.target == ip_address("192.0.2.4").packed][-1]
        other.send(arp.reply(asked, b"\2\0\0\0\0\x44", ip_address("192.0.2.4").packed))
        self.run_for(3)
        self.replayed()
        (part,) = parts(self.notebook.octets)
        begin = next(at for at, record in enumerate(part.records) if record[0] == Input.KEYFRAME)
        outcome = Replayer().run([part._replace(records=part.records[begin:])])
        self.assertIsNone(outcome.difference, outcome)
        self.assertGreater(outcome.decisions, 5)

    def _questions(self) -> list[arp.Arp]:
        packets = [arp.read(passed.frame) for passed in self.segment.passed if passed.station == "node"]
        return [packet for packet in packets if isinstance(packet, arp.Arp) and packet.operation == arp.REQUEST]

    def test_a_slow_disk(self) -> None:
        """Holds nobody up. What it cannot take is left out, and a keyframe begins what is recorded after it."""
        node = self.start(CONFIG)
        self.run_for(5)
        self.notebook.slow = True
        self.run_for(MOST_UNWRITTEN + 20)
        self.assertIs(node.roster.all()[0].state, State.MASTER)
        self.assertLessEqual(len(self.notebook.waiting), MOST_UNWRITTEN + 1)
        self.notebook.let_go()
        self.run_for(5)
        before, after = parts(self.notebook.octets)
        self.assertFalse(after.follows)
        self.assertEqual(after.records[0][0], Input.KEYFRAME)
        outcome = self.replayed()
        self.assertEqual(outcome.missing, 1)
        self.assertLess(outcome.seconds, 20)
        self.assertEqual(self.flushLoggedErrors(), [])
        del before

    def test_a_full_disk(self) -> None:
        """Is told once; when there is room again the record goes on."""
        self.start(CONFIG)
        self.run_for(3)
        self.notebook.trouble = OSError(28, "No space left on device")
        self.run_for(5)
        told = [line for line in self.logged if "flight recorder" in line]
        self.assertEqual(len(told), 1)
        self.assertIn("No space left on device", told[0])
        self.notebook.trouble = None
        self.run_for(5)
        self.assertEqual(self.replayed().missing, 1)
        self.assertEqual(len([line for line in self.logged if "flight recorder" in line]), 1)

    def test_stopping_writes_the_last_second(self) -> None:
        """The farewell of a daemon that is stopped is on record."""
        node = self.start(CONFIG)
        self.run_for(4)
        stopping = node.stop()
        self.run_for(0.5)
        self.successResultOf(stopping)
        (part,) = parts(self.notebook.octets)
        became = [record[3] for record in part.records if record[0] == Decision.BECAME]
        self.assertEqual(became, ["BACKUP", "MASTER", "INIT"])
        self.assertEqual(part.records[-1][0], Input.SYSTEM)
        self.assertEqual([call for call in self.clock.getDelayedCalls() if call.active()], [])
        self.replayed()

    def test_what_others_do_when_a_command_is_done_is_a_command(self) -> None:
        """A vhid that is removed and added again by somebody who waits in between is so in the replay."""
        node = self.start(CONFIG)
        self.run_for(4)
        node.remove("1@em0").addCallback(lambda _: node.add(CONFIG)).addCallback(lambda vhost: vhost.settled())
        self.run_for(6)
        self.assertIs(node.roster.all()[0].state, State.MASTER)
        (part,) = parts(self.notebook.octets)
        commands = [record[3] for record in part.records if record[0] == Input.COMMAND]
        self.assertEqual(commands, ["start", "remove", "add", "settled"])
        self.replayed()

    def test_those_who_serve_at_the_addresses(self) -> None:
        """Are no part of it, but for the time that the addresses wait for them: in the replay they wait as long."""
        node = self.start(CONFIG)
        self.run_for(5)
        (vhost,) = node.roster.all()
        tenant = _Tenant()
        vhost.tenants.attend(tenant)
        self.run_for(1)
        vhost.asked(State.BACKUP)
        self.run_for(0.5)
        self.assertTrue(self.system.holds("1@em0"))
        tenant.ended.callback(None)
        self.run_for(0.1)
        self.assertFalse(self.system.holds("1@em0"))
        self.run_for(6)
        self.assertIs(vhost.state, State.MASTER)
        self.recorder._keyframe_at = 0.0
        self.run_for(3)
        self.replayed()

    def test_what_is_refused_is_refused_again(self) -> None:
        """A command that raises does so in the replay, and to whoever asks."""
        node = self.start(CONFIG)
        with self.assertRaises(ValueError):
            node.add(CONFIG)
        self.failureResultOf(node.remove("9@em0"), KeyError)
        self.run_for(2)
        self.replayed()


class PlainTests(SynchronousTestCase):
    def test_there_and_back(self) -> None:
        """Everything that a command may have for an argument; of phrases only how many there are."""
        config = replace(
            CONFIG,
            advbase=3,
            advskew=7,
            plane=PlaneKind.INTERFACE,
            dialect=Dialect.OPENBSD,
            replay=ReplayMode.ENFORCE,
            peers=(ip_address("192.0.2.3"),),
            peers6=(ip_address("fe80::3"),),
            sources=(ip_address("192.0.2.2"),),
        )
        for value in (config, Knobs(preempt=True, log=2), State.MASTER, "text", 5, 2.5, None, True):
            told = json.loads(json.dumps(plain.of(value)))
            back = plain.back(told)
            if isinstance(value, VirtualHostConfig):
                self.assertEqual(len(back.phrases), 2)
                back = replace(back, phrases=value.phrases)
            self.assertEqual(back, value)
        self.assertEqual(plain.to_link(json.loads(json.dumps(plain.of_link(LINK)))), LINK)
        self.assertEqual(plain.back(plain.of([State.INIT])), [State.INIT])
        with self.assertRaises(ValueError):
            plain.back({"pickle": "cos"})


class InterfaceTests(SynchronousTestCase):
    def test_all_are_what_they_stand_for(self) -> None:
        """On both sides."""
        for interface, *classes in (
            (ISystem, recording.TapedSystem, replaying.ReplayedSystem),
            (ILinkMonitor, recording.TapedMonitor, replaying.ReplayedMonitor),
            (IFramePort, recording.TapedPort, replaying.ReplayedPort),
            (IFrameReceiver, recording.TapedReceiver, recording.ConcernedReceiver),
            (IPlane, recording.TapedPlane, replaying.ReplayedPlane),
            (IGuard, recording.TapedGuard, replaying.ReplayedGuard),
            (INotebook, recording._TapedNotebook, replaying.ReplayedNotebook),
            (IAuthority, recording.TapedAuthority, replaying.ReplayedAuthority, Authority),
        ):
            for each in classes:
                verifyClass(interface, each, tentative=True)
        verifyObject(ISurroundings, ORDINARY)
        verifyClass(ISurroundings, FlightRecorder, tentative=True)

    def test_a_recorded_host_behaves_as_one_that_is_not(self) -> None:
        """The history of a world is the same with and without."""
        histories = []
        for recorded in (0, OCTETS):
            with World(7, recorded=recorded) as world:
                for name, advskew in (("a", 0), ("b", 100)):
                    configuration = Configuration(Knobs(preempt=True), (replace(CONFIG, advskew=advskew),))
                    world.add(name, configuration, {"em0": "lan"}).start()
                world.run(20)
                world.hosts["a"].crash()
                world.run(20)
                world.hosts["a"].start()
                world.run(20)
            histories.append(world.history.happenings)
        self.assertEqual(*([(each.host, each.text) for each in history] for history in histories))
        for without, recorded in zip(*histories, strict=True):
            # Timers are late by chance.
            self.assertApproximates(without.at, recorded.at, 0.01)
        self.assertGreater(len(histories[0]), 5)


class _Tenant:
    """Ends when it is told to, and then at leisure."""

    patience_seconds = 10.0

    def __init__(self) -> None:
        self.ended: Deferred[None] = Deferred()

    def told(self, lease: Lease | None) -> Deferred[None] | None:
        return self.ended if lease is None else None


class _Deaf:
    def connected(self, port: IFramePort) -> None:
        pass

    def frame_received(self, frame: bytes) -> None:
        pass

    def disconnected(self) -> None:
        pass


def _carrying(frame: bytes, advertisement: Any) -> bytes:
    """A frame that carries another advertisement, from another host."""
    from carptwist.wire import carp
    from carptwist.wire.advertisement import frame4, frame6

    heard = read(frame)
    assert isinstance(heard, Heard)
    source = OTHER4 if heard.family == 4 else ip_address("fe80::3").packed
    make = frame4 if heard.family == 4 else frame6
    return make(advertisement, source_mac=carp.virtual_mac(1), source=source)


def _hexed(found: Any) -> Any:
    """Records as JSON has them."""
    if isinstance(found, bytes):
        return found.hex()
    if isinstance(found, list | tuple):
        return [_hexed(each) for each in found]
    if isinstance(found, dict):
        return {key: _hexed(value) for key, value in found.items()}
    return found
