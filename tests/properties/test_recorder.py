"""Whatever happens to a host, its record replays to the same; and other rules show where they decide otherwise."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from carptwist.config.schema import Knobs
from carptwist.election.effects import Effect
from carptwist.election.machine import Machine
from carptwist.recorder.records import Decision, Input
from carptwist.recorder.replayer import Replayer
from carptwist.recorder.ring import parts
from carptwist.simulation.world import World
from carptwist.tools.flight import story
from tests.properties.clusters import draw
from tests.recorder.flights import ROOM, fly

FLIGHTS = range(40)
#: With so little room slots are left all the time.
SMALL = 48 * 1024


@pytest.mark.parametrize("seed", FLIGHTS)
@pytest.mark.parametrize("octets", [ROOM, SMALL])
def test_a_flight_replays_to_the_same(seed: int, octets: int) -> None:
    """From the first start on, and from any keyframe that is the oldest left; every frame, change of state, demotion,
    and order to a plane or the guard is the same, and so is the state at every keyframe."""
    world = fly(seed, octets=octets)
    for host in world.hosts.values():
        assert len(host.recording) <= octets
        found = parts(host.recording)
        assert found
        for begin in range(len(found)):
            outcome = Replayer().run(found[begin:])
            assert outcome.difference is None, f"seed {seed}, {host.name}, from part {begin}: {outcome}"


class Hasty(Machine):
    """A machine that waits for its master half as long."""

    def _await_master(self, now: float, *rest: Any) -> None:
        super()._await_master(now, *rest)
        self._master_down = {family: now + (due - now) / 2 for family, due in self._master_down.items()}


class Humble(Machine):
    """A machine that never preempts."""

    def heard(self, *arguments: Any) -> list[Effect]:
        preempt, self.preempt = self.preempt, False
        try:
            return super().heard(*arguments)
        finally:
            self.preempt = preempt


def test_other_rules_show_where_they_differ() -> None:
    """A machine that never preempts leaves the record at the first preemption, and not before it."""
    found = 0
    for seed in FLIGHTS:
        for host in fly(seed).hosts.values():
            record = parts(host.recording)
            outcome = Replayer(machine=Humble).run(record)
            preempted = [
                each
                for part in record
                for each in part.records
                if each[0] == Decision.BECAME and each[4] == "preempting a slower master"
            ]
            if not preempted:
                continue
            assert outcome.difference is not None
            assert outcome.difference.recorded == preempted[0]
            found += 1
    assert found > 5


def test_a_timer_that_is_set_otherwise_is_noticed() -> None:
    """A machine that is less patient leaves the record when it would have taken over; the right one does not."""
    config = replace(draw(Random(1)).members[0].configuration, knobs=Knobs())
    with World(recorded=ROOM) as world:
        for name in ("a", "b"):
            world.add(name, config, {"em0": "lan"}).start()
            world.run(5)
        world.hosts["a"].crash()
        world.run(20)
    recording = world.hosts["b"].recording
    assert Replayer().run(parts(recording)).difference is None
    outcome = Replayer(machine=Hasty).run(parts(recording))
    assert outcome.difference is not None
    assert outcome.difference.replayed is not None
    assert outcome.difference.replayed[3:] == ["MASTER", "master timed out"]
    assert outcome.difference.context[-1][0] == Input.TIMER
    taken_over = next(moment for moment in story(parts(recording)) if "BACKUP -> MASTER" in moment.text)
    assert outcome.difference_at < taken_over.wall
