"""The breaker: thousands of schedules of failures, with every rule looked at after everything that happens.

A schedule that breaks one is shrunk, and what is left is written to a scenario file: ``carptwist simulate --inspect
FILE`` shows what happens in it.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from carptwist.election.effects import Advertise, Announce
from carptwist.election.machine import Machine
from carptwist.election.precedence import is_bow_out
from carptwist.election.state import State
from carptwist.simulation import breaker
from carptwist.simulation.breaker import Breakage, complete, draw, draw_assault, search, shrink, trial
from carptwist.simulation.library import load_scenario
from carptwist.simulation.scenario import Forgery, HostEvent, Order, Replay, Selection
from carptwist.simulation.stage import make
from carptwist.simulation.writing import written
from carptwist.vhost.agenda import Agenda
from carptwist.vhost.attachment import Attachment
from carptwist.vhost.custody import Custody
from carptwist.vhost.roster import Roster
from carptwist.vhost.speech import Speech
from carptwist.vhost.virtualhost import VirtualHost
from tests.properties.mutants import MUTANTS, Mutant, planted

BATCHES = 8
SCHEDULES = 150
ASSAULTS = 250
#: Among so many schedules each planted fault is found.
MUTANT_SCHEDULES = 200


def told(breakage: Breakage) -> str:
    """A message about a breakage, with the file that shows it."""
    small = shrink(breakage)
    path = Path(tempfile.mkdtemp(prefix="carptwist-breaker-")) / f"seed-{breakage.schedule.seed}.toml"
    path.write_text(written(complete(small.schedule), f"{small.violation}\nfrom seed {breakage.schedule.seed}"))
    happening = "\n".join(f"  {each.at:.3f} s: {each.text}" for each in small.schedule.failures)
    return f"{small.violation}\n{happening}\ncarptwist simulate --inspect {path}"


@pytest.mark.parametrize("batch", range(BATCHES))
def test_nothing_breaks(batch: int) -> None:
    """No schedule breaks any rule of :mod:`carptwist.simulation.inspector`."""
    for breakage in search(range(batch * SCHEDULES, (batch + 1) * SCHEDULES)):
        pytest.fail(told(breakage))


@pytest.mark.parametrize("batch", range(BATCHES))
def test_no_replay_changes_anything(batch: int) -> None:
    """Nor is a takeover lost or late, whatever an attacker replays of what hosts have heard or said before."""
    for breakage in search(range(batch * ASSAULTS, (batch + 1) * ASSAULTS), draw_assault):
        pytest.fail(told(breakage))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.fault.replace(" ", "-"))
def test_a_planted_fault_is_found(mutant: Mutant) -> None:
    """Under the rule that it breaks, with a schedule that is short, and shows it again."""
    with planted(mutant):
        drawn = draw_assault if mutant.assaults else draw
        breakages = search(range(MUTANT_SCHEDULES), drawn)
        breakage = next((each for each in breakages if each.violation.rule == mutant.rule), None)
        assert breakage is not None, "nothing was found"
        small = shrink(breakage, 60)
        assert small.violation.rule == mutant.rule
        assert len(small.schedule.failures) <= 4
        assert trial(small.schedule) == small.violation
    assert trial(small.schedule) is None


def test_assaults_are_of_every_sort() -> None:
    """Whatever can be forged is forged, and whatever can happen to a host happens beside a replay."""
    events = [each.event for seed in range(300) for each in draw_assault(seed).failures]
    replays = [event for event in events if isinstance(event, Replay)]
    assert {(replay.selection, replay.forgery) for replay in replays} == set(product(Selection, Forgery))
    assert {event.order for event in events if isinstance(event, HostEvent)} == set(Order)
    with make(complete(draw_assault(1))) as world:
        world.run(13)
        assert sum(attacker.sent for attacker in world.attackers.values()) > 20


def test_schedules_are_of_every_sort() -> None:
    """Every kind of failure is drawn often, of one to four hosts, in one to three vhids."""
    schedules = [draw(seed) for seed in range(300)]
    kinds = Counter(
        str(getattr(each.event, "order", getattr(each.event, "what", type(each.event).__name__)))
        for schedule in schedules
        for each in schedule.failures
    )
    assert len(kinds) == 8 + 4 + 8
    assert min(kinds.values()) > 20
    assert {len(schedule.parts) for schedule in schedules} == {2, 3, 4}


def test_a_schedule_is_a_scenario_file(tmp_path: Path) -> None:
    """Written and read it is the same scenario, to the last digit."""
    for seed in range(40):
        scenario = complete(draw(seed) if seed % 2 else draw_assault(seed))
        path = tmp_path / "x.toml"
        path.write_text(written(scenario))
        read = load_scenario(path)
        assert read.parts == scenario.parts
        assert read.duration == scenario.duration
        assert read.events == tuple(sorted(scenario.events, key=lambda scheduled: scheduled.at))


class TeethTests(SynchronousTestCase):
    """A daemon with a fault is caught, under the right rule, and with a short schedule."""

    def caught(self, rule: str, most_failures: int = 2) -> Breakage:
        breakage = next(search(range(200)), None)
        assert breakage is not None, f"{rule}: nothing was found"
        small = shrink(breakage)
        self.assertEqual(small.violation.rule, rule)
        self.assertLessEqual(len(small.schedule.failures), most_failures)
        self.assertEqual(trial(small.schedule), small.violation)
        self.flushLoggedErrors()
        return small

    def test_addresses_that_stay(self) -> None:
        """A BACKUP that does not release."""
        self.patch(Custody, "release", lambda *_: succeed(None))
        self.caught("no address without MASTER")

    def test_two_masters(self) -> None:
        """A MASTER that never yields."""
        self.patch(Machine, "_heard_as_master", lambda *_: [])
        self.assertEqual(len(self.caught("one owner").schedule.parts), 2)

    def test_a_backup_that_speaks(self) -> None:
        """What it wanted to say as MASTER is said afterwards."""
        proper = Speech.advertise

        def out_of_turn(speech: Speech, effect: Advertise) -> None:
            vhost, voice = speech._vhost, speech._vhost.connection.voice
            if vhost.state is State.MASTER or is_bow_out(effect.advbase, effect.advskew) or voice is None:
                proper(speech, effect)
                return
            for family in vhost.machine.settings.families:
                voice.advertise(vhost, family, effect)

        self.patch(Agenda, "forget", lambda *_: None)
        self.patch(Speech, "advertise", out_of_turn)
        self.caught("no voice but a MASTER's", 3)

    def test_a_backup_that_announces(self) -> None:
        """A wrong effect of the rules themselves."""
        demoted = Machine.demoted

        def announcing(machine: Machine, now: float, demotion: int) -> list[Any]:
            return [*demoted(machine, now, demotion), Announce()]

        def announce(speech: Speech) -> None:
            voice = speech._vhost.connection.voice
            if voice is not None:
                voice.announce(speech._vhost)

        self.patch(Machine, "demoted", announcing)
        self.patch(Speech, "announce", announce)
        self.caught("no voice but a MASTER's")

    def test_demotion_that_is_not_told(self) -> None:
        """A vhid that does not hear of the host's demotion."""
        self.patch(VirtualHost, "demoted", lambda vhost, demotion: None)
        self.caught("one sum")

    def test_demotion_that_stays(self) -> None:
        """An entry for an interface that is up again."""
        self.patch(Roster, "undemote", lambda *_: None)
        self.caught("one sum")

    def test_a_lost_timer(self) -> None:
        """A timeout that is cancelled and not set again."""
        heard = VirtualHost.heard

        def deaf(vhost: VirtualHost, hearing: Any) -> None:
            heard(vhost, hearing)
            vhost._deadline.cancel()

        self.patch(VirtualHost, "heard", deaf)
        self.caught("no lost timer")

    def test_a_port_that_stays_open(self) -> None:
        """A daemon that ends without closing what it had opened."""
        self.patch(Attachment, "stop", lambda attachment: None)
        self.assertEqual(len(self.caught("everything put back").schedule.parts), 1)

    def test_a_bug(self) -> None:
        """A failure that was logged, and changed nothing."""

        def failing(vhost: VirtualHost) -> None:
            raise RuntimeError("on purpose")

        self.patch(VirtualHost, "_tick", failing)
        self.caught("no bug")

    def test_a_sound_daemon(self) -> None:
        """Breaks nothing in the same schedules."""
        self.assertEqual(list(search(range(20))), [])
        self.assertIsNone(trial(breaker.Schedule(1, draw(1).parts, ())))
