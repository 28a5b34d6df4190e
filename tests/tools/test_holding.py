"""Who had an address when, from records."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface

from carptwist.config.schema import Configuration, Knobs, Phrase, VirtualHostConfig
from carptwist.recorder.ring import parts
from carptwist.simulation.host import SimulatedHost
from carptwist.simulation.world import World
from carptwist.tools.holding import Overlap, Span, overlaps, spans
from carptwist.tools.replay import _both

CONFIG = VirtualHostConfig(1, "em0", (ip_interface("192.0.2.1/24"),), (Phrase(b"mekmitasdigoat"),))
#: How exactly the record knows what the world knows: what a kernel has, and when the daemon hears of it, is the same.
EXACT = 1e-3


def pair(world: World) -> tuple[SimulatedHost, SimulatedHost]:
    """Two hosts, of which a is preferred."""
    for name, advskew in (("a", 0), ("b", 100)):
        configuration = Configuration(Knobs(preempt=True), (replace(CONFIG, advskew=advskew),))
        world.add(name, configuration, {"em0": "lan"}).start()
    a, b = world.hosts.values()
    return a, b


def held(*hosts: SimulatedHost) -> list[Span]:
    return sorted(span for host in hosts for span in spans(parts(host.recording)))


def test_one_after_the_other() -> None:
    """What the world saw of a master that is stopped, and of its successor, the records tell as well."""
    with World(recorded=1 << 20) as world:
        a, b = pair(world)
        world.run(10)
        a.stop()
        world.run(10)
        a.start()
        world.run(10)
        b.stop()
        world.run(3)
        world.finish()
    (ownership,) = world.ownerships.values()
    seen: list[tuple[str, float]] = []
    former: tuple[str, ...] = ()
    for each in ownership.spans:
        seen += [(owner, each.begin) for owner in each.owners if owner not in former]
        former = each.owners
    told = held(a, b)
    assert [span.host for span in told] == [host for host, _ in seen] == ["a", "b", "a"]
    for span, (_, begin) in zip(told, seen, strict=True):
        assert abs(span.begin - begin) < EXACT
        assert (span.address, span.vhid) == ("192.0.2.1/24", "1@em0")
    assert [span.ended for span in told] == [True, True, False]
    # From one that lives to one that is better: it is told a moment after the other one has begun.
    (overlap,) = overlaps(told)
    both = [each for each in ownership.spans if len(each.owners) == 2]
    assert abs(overlap.end - overlap.begin - sum(each.end - each.begin for each in both)) < EXACT


def test_two_at_once() -> None:
    """A LAN that falls apart has two masters, for as long as the world saw them; told so that it is not overlooked."""
    with World(recorded=1 << 20) as world:
        a, b = pair(world)
        world.run(10)
        world.segments["lan"].partition([["a"], ["b"]])
        world.run(10)
        world.segments["lan"].heal()
        world.run(10)
    (overlap,) = overlaps(held(a, b))
    assert overlap.hosts == ("a", "b")
    assert 12 < overlap.begin < 13.5  # 3.4 s after the last one that b has heard
    assert 20 < overlap.end < 21.5
    assert _both(overlap).startswith("AT BOTH a AND b from 1970-01-01 00:00:1")


def test_a_daemon_that_is_killed() -> None:
    """Is known to have had the address no longer than its record goes; and the next one begins anew."""
    with World(recorded=1 << 20) as world:
        a, _ = pair(world)
        world.run(10)
        a.kill()
        world.run(10)
        a.start()
        world.run(10)
    first, second = spans(parts(a.recording))
    assert (first.ended, second.ended) == (False, False)
    assert 8.5 < first.end <= 10
    assert second.begin > 20


def test_from_a_keyframe_on() -> None:
    """Where the beginning was written over, what a host has is known from the oldest keyframe on."""
    with World(recorded=64 * 1024) as world:
        a, _ = pair(world)
        world.run(2500)
    found = parts(a.recording)
    assert found[0].records[0][0] == "K"
    (span,) = spans(found)
    assert span.begin > 10
    assert span.end > 2490


def test_what_is_no_overlap() -> None:
    """Two vhids of one address, under balancing; two spans that only touch; two of one host."""
    one = Span("192.0.2.1/24", 1.0, 2.0, "a", "1@em0", True)
    assert list(overlaps([one, one._replace(host="b", vhid="2@em0")])) == []
    assert list(overlaps([one, one._replace(host="b", begin=2.0, end=3.0)])) == []
    assert list(overlaps([one, one._replace(begin=1.5, end=3.0)])) == []
    assert list(overlaps([one, one._replace(host="b", vhid="1@eth7", begin=1.5, end=3.0)])) == [
        Overlap("192.0.2.1/24", 1.5, 2.0, ("a", "b"))
    ]


def test_a_daemon_that_is_stopped() -> None:
    """Hears from its guard when that has ended it, however late: nobody else had the address beside it."""
    with World(recorded=1 << 20) as world:
        a, b = pair(world)
        world.run(10)
        a.stall()
        world.run(30)
        a.resume()
        world.run(5)
    first = held(a)[0]
    assert first.ended
    assert 10 < first.end < 13
    assert [overlap for overlap in overlaps(held(a, b)) if overlap.begin < 40] == []
